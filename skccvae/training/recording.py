"""A function of tensors as a list of operations, which runs without Python's and autograd's work.

In a step of a small network, most of the time goes into deciding what to do: the code of the
modules, the graph for the gradient, and the walk through it. All of this comes out the same in each
step. `record` calls the function once and writes down the operations that torch carries out, those
of the backward pass included. The result calls the same operations in the same order, or cheaper
ones with the same bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from skccvae.training.recorded import (
    CannotRecord,
    Recorded,
    Writer,
    changed_tensors,
    memory_of,
    tensors_in,
)

__all__ = ["record"]

# A recording keeps every result until it is complete. If they are larger than this in total, the
# arithmetic takes most of the time of a step anyway.
_MOST_NUMBERS = 2**24
# torch notes for all threads together whether one of them is in such a mode.
_ONE_AT_A_TIME = threading.Lock()


def record(
    function: Callable[..., Sequence[Tensor | None]], *inputs: Any
) -> tuple[Sequence[Tensor | None], Recorded | None]:
    """Call a function, and record its operations if they always are the same.

    There is no recording if the function reads a number with `item`, makes tensors whose shapes
    depend on numbers, changes a tensor that it has not made, draws from torch's global generators,
    or makes sparse or very large tensors. The function is then called a second time, so it must not
    change anything but generators. Numbers that it reads with `tolist` or `numpy` go unnoticed.

    Other tensors that the function reads, such as weights, are read again in each call. They must
    stay at their place in memory. Settings that are no tensors must stay as they are. Results may
    be such a tensor itself, so do not write to them.

    Parameters
    ----------
    function : callable
        Takes the inputs, and returns a sequence of tensors or of None. It may compute gradients.
    *inputs : Tensor or object
        Arguments of the function, at least one. Those that are not tensors must be the same in each
        call.

    Returns
    -------
    results : sequence of Tensor or None
        What the function has returned.
    recorded : Recorded or None
        The recorded function, for other inputs of the same shapes.

    Examples
    --------
    >>> import torch
    >>> from skccvae.training.recording import record
    >>> def slope(x):
    ...     x = x.detach().requires_grad_()
    ...     return torch.autograd.grad((x**3).sum(), x)
    >>> _, recorded = record(slope, torch.ones(2))
    >>> recorded(torch.tensor([1.0, 2.0]))
    (tensor([ 3., 12.]),)
    >>> _, recorded = record(lambda x: [x * float(x.max())], torch.ones(2))
    >>> recorded is None
    True
    """
    recorder = _Recorder()
    try:
        with _ONE_AT_A_TIME, recorder:
            results = function(*inputs)
    except CannotRecord:
        for generator, state in reversed(recorder.states):
            generator.set_state(state)
        return function(*inputs), None
    try:
        return results, Writer(recorder.calls, inputs).write(results)
    except Exception:  # training can do without, whatever this torch does differently
        return results, None


class _Recorder(TorchDispatchMode):
    """Notes the operations below autograd, and what they return."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple, dict[str, Any], Any]] = []
        #: The state of a generator before each draw. Each has an object of its own in Python, even
        #: if they are the same generator.
        self.states: list[tuple[torch.Generator, Tensor]] = []
        #: The memory of tensors that the function has made.
        self._memory: set[int] = set()
        self._numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        self._check(func, args, kwargs)
        out = func(*args, **kwargs)
        if any(tensor.layout is not torch.strided for tensor in tensors_in(out)):
            raise CannotRecord(f"{func} makes a sparse tensor.")
        known = {memory_of(tensor) for tensor in tensors_in([*args, *kwargs.values()])}
        for tensor in tensors_in(out):
            if memory_of(tensor) not in known:  # a view is not new
                self._memory.add(memory_of(tensor))
                self._numbers += tensor.numel()
        self.calls.append((func, args, kwargs, out))
        return out

    def _check(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        """Raise an error before an operation that cannot be recorded."""
        tags = func.tags
        if any(t.layout is not torch.strided for t in tensors_in([*args, *kwargs.values()])):
            raise CannotRecord(f"{func} reads a sparse tensor.")
        if torch.Tag.data_dependent_output in tags:
            raise CannotRecord(f"{func} reads a number.")
        masks = (torch.bool, torch.uint8)
        if torch.Tag.dynamic_output_shape in tags and (
            func is not torch.ops.aten.index.Tensor
            or any(tensor.dtype in masks for tensor in tensors_in(args[1]))
        ):
            raise CannotRecord(f"The shape of the result of {func} depends on numbers.")
        if torch.Tag.nondeterministic_seeded in tags:
            generator = kwargs.get("generator")
            if generator is None:
                raise CannotRecord(f"{func} draws from a global generator.")
            self.states.append((generator, generator.get_state()))
        for tensor in changed_tensors(func, args, kwargs):
            if memory_of(tensor) not in self._memory:
                raise CannotRecord(f"{func} changes a tensor from outside.")
        if self._numbers > _MOST_NUMBERS:
            raise CannotRecord("The tensors are too large.")
