"""How to call an operation of torch with the least work before it starts."""

from __future__ import annotations

from collections.abc import Callable
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["cheapest_call"]

# A number as the second argument of these becomes a tensor once, and not in each call.
_ARITHMETIC = frozenset(("add", "div", "mul", "sub"))

Call = tuple[Callable[..., Any] | str, tuple, dict[str, Any]]


def cheapest_call(func: Any, args: tuple, kwargs: dict[str, Any], out: Any) -> Call:
    """Another call with the same result.

    The operations ``torch.ops.aten...`` look at all their arguments in each call. Most of them are
    also functions or methods that know their arguments beforehand, and take as little as half the
    time. With few exceptions, both take the same arguments and have the same defaults. The caller
    has to compare the results once.

    Parameters
    ----------
    func : torch._ops.OpOverload
        An operation of ``torch.ops.aten``.
    args, kwargs : tuple, dict
        What it was called with.
    out : object
        What it returned.

    Returns
    -------
    target : callable or str
        A function, or the name of a method of the first argument.
    args, kwargs : tuple, dict
        What to call it with.

    Examples
    --------
    >>> import torch
    >>> from skccvae.training.cheap_calls import cheapest_call
    >>> x = torch.ones(3)
    >>> target, args, _ = cheapest_call(torch.ops.aten.slice.Tensor, (x, 0, 1, 9), {}, x[1:9])
    >>> target is torch.narrow, args[1:]
    (True, (0, 1, 2))
    """
    name = func.overloadpacket.__name__
    if name == "_to_copy" and kwargs.keys() == {"dtype"} and _changes_type(args[0], out):
        return "to", (*args, kwargs["dtype"]), {}
    if name in _REWRITTEN and not kwargs:
        found = _REWRITTEN[name](*args, out=out)
        if found is not None:
            return (*found, kwargs)
    if name.rstrip("_") in _ARITHMETIC and _is_by_number(args):
        args = args[0], torch.tensor(float(args[1]), dtype=torch.float32)
    return _target(func, name), args, kwargs


def _target(func: Any, name: str) -> Callable[..., Any] | str:
    places = [(torch, name), (F, name)]
    if name.startswith("linalg_"):
        places.append((torch.linalg, name.removeprefix("linalg_")))
    for module, function in places:
        if isinstance(getattr(module, function, None), BuiltinFunctionType):
            return getattr(module, function)
    return name if isinstance(getattr(Tensor, name, None), MethodDescriptorType) else func


def _changes_type(x: Any, out: Tensor) -> bool:
    return isinstance(x, Tensor) and x.dtype != out.dtype  # a number may become a tensor, too


def _is_by_number(args: tuple) -> bool:
    return (
        len(args) == 2
        and type(args[1]) in (int, float)
        and isinstance(args[0], Tensor)
        and args[0].dtype == torch.float32
    )


def _slice(x: Tensor, dim: int = 0, start=None, end=None, step: int = 1, *, out: Tensor):
    if step != 1:
        return None
    size = x.shape[dim]
    first = 0 if start is None else start + size if start < 0 else start
    return torch.narrow, (x, dim, min(max(first, 0), size), out.shape[dim])


def _split(x: Tensor, size: int, dim: int = 0, *, out: list[Tensor]):
    return torch.split_with_sizes, (x, [part.shape[dim] for part in out], dim)


def _pow(x: Any, exponent: Any, *, out: Tensor):
    squares = type(exponent) in (int, float) and exponent == 2 and out.dtype == x.dtype
    return (torch.mul, (x, x)) if squares else None


def _pow_(x: Tensor, exponent: Any, *, out: Tensor):
    squares = type(exponent) in (int, float) and exponent == 2
    return ("mul_", (x, x)) if squares else None


_REWRITTEN: dict[str, Callable[..., tuple[Callable[..., Any] | str, tuple] | None]] = {
    "slice": _slice,
    "split": _split,
    "pow": _pow,
    "pow_": _pow_,
}
