"""The page ``docs/developer/walk.rst`` names every file that rows pass from ``fit`` to the loss.

A profiler notes each function of the package that gets rows among its arguments, or something made
from them: an array, a tensor, a batch or a distribution.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import numpy as np
import pytest
import torch

import skccvae
from skccvae.training import Batches, RowSource
from skccvae.training.batches import Batch

_spec = importlib.util.spec_from_file_location("floors", Path(__file__).with_name("test_floors.py"))
floors = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(floors)

PACKAGE = Path(skccvae.__file__).resolve().parent
PAGE = Path(__file__).resolve().parents[1] / "docs" / "developer" / "walk.rst"
DATA = (np.ndarray, torch.Tensor, torch.distributions.Distribution, Batch, Batches, RowSource)
MOST_FILES = 10


class Call(NamedTuple):
    """A call with data among its arguments, from a file of the package or from elsewhere (None)."""

    caller: str | None
    file: str
    function: str


def own_file(frame: FrameType | None) -> str | None:
    """Path of a frame's file inside of the package, else None."""
    path = Path(frame.f_code.co_filename) if frame is not None else Path()
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else None


def arguments(frame: FrameType) -> Iterator[object]:
    names, args, kwargs, values = inspect.getargvalues(frame)
    yield from (values[name] for name in names if name in values)
    if args:
        yield from values[args]
    if kwargs:
        yield from values[kwargs].values()


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    """Calls with data while a spherical model is fitted, in order, without accelerators."""
    X = np.random.default_rng(0).integers(0, 2, (60, 6)).astype(float)
    vae = skccvae.SphericalVAETransformer(
        init="random",
        hidden_layer_sizes=(8,),
        batch_size=16,
        max_epochs=1,
        random_state=0,
        device="cpu",
    )
    found: list[Call] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        file = own_file(frame) if event == "call" else None
        if file is not None and any(isinstance(value, DATA) for value in arguments(frame)):
            found.append(Call(own_file(frame.f_back), file, frame.f_code.co_name))

    with skccvae.kernels.disabled():
        vae.fit(X)  # makes the tables that later fits read
        before = sys.getprofile()
        sys.setprofile(note)
        try:
            vae.fit(X)
        finally:
            sys.setprofile(before)
    return found


def floor(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def height(file: str) -> int:
    """Number of a file's floor, from the ground up."""
    return -1 if floor(file) in floors.GROUND else floors.FLOORS.index(floor(file))


def files_of(calls: list[Call]) -> list[str]:
    """Files in the order of their first call; functions of mathematics aside."""
    return [f for f in dict.fromkeys(call.file for call in calls) if floor(f) != "special"]


def files_named(section: str) -> list[str]:
    """Files that a section of the page lists, each in bold type at the start of its entry."""
    text = PAGE.read_text(encoding="utf-8")
    body = text.partition(f".. _{section}:")[2].partition("\n.. _")[0]
    return re.findall(r"^(?:#\.|-) \*\*(\S+\.py)\*\*", body, re.MULTILINE)


def upward(calls: list[Call]) -> list[Call]:
    """Calls from a lower floor to a higher one."""
    return [
        call
        for call in calls
        if call.caller is not None
        and height(call.file) > height(call.caller)
        # torch's engine runs the gradients of all floors through the decorator there.
        and not (call.caller == "special/_autograd.py" and call.function == "backward")
    ]


def test_the_page_names_the_walk_in_order(calls: list[Call]) -> None:
    walk, helpers = files_named("walk"), files_named("walk-helpers")
    assert 1 < len(walk) <= MOST_FILES
    assert [file for file in files_of(calls) if file not in helpers] == walk


def test_the_helpers_on_the_page_are_called(calls: list[Call]) -> None:
    assert set(files_named("walk-helpers")) <= set(files_of(calls))


def test_the_walk_goes_down(calls: list[Call]) -> None:
    assert upward(calls) == []


def test_an_upward_call_is_found() -> None:
    up = Call("nn/latent/_base.py", "training/net.py", "train_step")
    down = Call("training/net.py", "vae.py", "elbo_terms")
    gradient = Call("special/_autograd.py", "distributions/product.py", "backward")
    outside = Call(None, "estimators/_base.py", "fit")
    assert upward([up, down, gradient, outside]) == [up]
