"""What `make lowest` installs is the lowest version that pyproject.toml admits."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DECLARED = sorted(
    set(PROJECT["dependencies"]).union(
        *(EXTRAS[name] for name in ("molecules", "images", "plot", "interactive", "test"))
    )
)
LOWEST = dict(
    line.split("==")
    for line in (ROOT / "constraints-lowest.txt").read_text().splitlines()
    if line and not line.startswith("#")
)


@pytest.mark.parametrize("requirement", DECLARED)
def test_the_lowest_version_is_the_one_that_is_run(requirement: str) -> None:
    name, floor = requirement.split(">=")
    if name == "torch":
        pytest.skip("constraints-lowest.txt says why")
    assert re.fullmatch(rf"{re.escape(floor)}(\.\d+)*", LOWEST[name])


def test_nothing_else_is_held_down() -> None:
    assert set(LOWEST) == {requirement.split(">=")[0] for requirement in DECLARED}
