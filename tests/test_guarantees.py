"""The page of guarantees names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "guarantees.rst"


def promises() -> list[str]:
    promised = PAGE.read_text().split("What is not promised")[0]
    return re.split(r"^- ", promised, flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("promise", promises(), ids=lambda text: text[2:40])
def test_each_promise_names_its_tests(promise):
    named = re.findall(r"``(?:tests/estimators/)?(test_\w+\.py)(?:::(test_\w+))?``", promise)
    assert named
    for file, function in named:
        text = (ROOT / "tests" / "estimators" / file).read_text()
        assert not function or f"def {function}(" in text
