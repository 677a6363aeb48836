"""Shared by all tests: one thread, fixed example generation, data folders, GPU tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from skccvae.training import gradient_step, repeated

# Tests run in parallel processes, one core each.
torch.set_num_threads(1)

# The same examples on every run and no deadline: a test must not depend on the machine's speed.
settings.register_profile("skccvae", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("skccvae")

REPOSITORY = Path(__file__).resolve().parents[1]
MNIST_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked ``gpu`` where torch sees no CUDA device."""
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="torch sees no CUDA device")
    for item in items:
        if item.get_closest_marker("gpu") is not None:
            item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> Iterator[None]:
    """Python's own handler of Ctrl-C, which tests send themselves.

    A shell without job control starts background commands with this signal ignored. Python then
    installs no handler, and all processes that a test starts would ignore the signal as well.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[repeated.Repeated]:
    """The objects that training makes to repeat its steps. A second step is recorded at once."""
    made: list[repeated.Repeated] = []

    class Noted(repeated.Repeated):
        def __init__(self, function):
            super().__init__(function)
            made.append(self)

    monkeypatch.setattr(repeated, "_CALLS_BEFORE", 1)
    monkeypatch.setattr(gradient_step, "Repeated", Noted)
    return made


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of downloaded data sets: ``$SKCCVAE_DATA``, else ``../shared/data``."""
    named = os.environ.get("SKCCVAE_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        if named:
            pytest.fail(f"SKCCVAE_DATA={named} is not a folder")
        pytest.skip("no data folder: set SKCCVAE_DATA, or put it at ../shared/data")
    return folder


@pytest.fixture(scope="session")
def mnist_folder(data_folder: Path) -> Path:
    """Folder with MNIST's four gzipped IDX files."""
    folder = data_folder / "mnist"
    missing = [name for name in MNIST_FILES if not (folder / name).is_file()]
    if missing:
        pytest.skip(f"MNIST is not complete in the data folder: no {', '.join(missing)}")
    return folder
