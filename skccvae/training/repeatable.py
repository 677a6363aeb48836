"""When training steps may be repeated from a recording, and for how long one recording serves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._python_dispatch import _get_current_dispatch_mode

from skccvae.kernels import are_enabled
from skccvae.training.objective import NegativeELBO
from skccvae.vae import VAE

__all__ = ["repeatable"]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
# Attributes of these types are compared by their value, all others by their identity.
_SIMPLE = (int, float, str, type(None))
# What every module has. Hooks are looked at by themselves; the rest plays no part in a call.
_OF_EVERY_MODULE = frozenset(vars(nn.Module())) - {"training"}


def repeatable(module: VAE, criterion: NegativeELBO) -> tuple | None:
    """A key of what the operations of a step depend on, apart from the batch.

    It covers the attributes of all modules, the place of all weights in memory, which of them need
    a gradient, and whether accelerators are used. So there is a new key when a curvature begins to
    learn. It does not cover what is inside of other objects, such as a manifold, which do not
    change in training.

    Returns
    -------
    tuple or None
        A recording serves as long as the key stays equal. None if there must be no recording: if
        the model contains a user's own modules, functions or hooks, whose code may do anything, or
        if torch runs in a special mode.
    """
    tensors = [*module.parameters(), *module.buffers()]
    if type(module) is not VAE or type(criterion) is not NegativeELBO or _special_mode(tensors):
        return None
    if module.distance_weight and not _is_own(module.distance_metric):
        return None
    if not all(map(_is_plain_tensor, tensors)):
        return None
    settings = []
    for part in (criterion, *module.modules()):
        if not _is_plain_module(part):
            return None
        own = {name: v for name, v in vars(part).items() if name not in _OF_EVERY_MODULE}
        # A method of the class may be replaced in this module.
        if not own.keys().isdisjoint(_methods(type(part))):  # type: ignore[arg-type]
            return None
        own.update({**part._modules, **part._parameters, **part._buffers})
        settings.append((_Same(part), type(part), [(n, _value(v)) for n, v in own.items()]))
    places = [
        (t.data_ptr(), t.shape, t.stride(), t.dtype, t.device, t.requires_grad) for t in tensors
    ]
    return tuple(settings), tuple(places), are_enabled()


class _Same:
    """Equal only for the same object, which it keeps alive."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    __hash__ = None  # type: ignore[assignment]


def _value(attribute: Any) -> Any:
    simple = isinstance(attribute, _SIMPLE) or (
        isinstance(attribute, tuple) and all(isinstance(v, _SIMPLE) for v in attribute)
    )
    return attribute if simple else _Same(attribute)


def _is_plain_module(part: nn.Module) -> bool:
    """Whether a module is one of this package or of torch, and nothing intervenes in its calls."""
    hooked = any(getattr(part, name) for name in _HOOKS)
    # A parametrised weight is computed in each call.
    changed = hooked or part._compiled_call_impl or "parametrizations" in part._modules
    return not changed and _is_plain_class(type(part))  # type: ignore[arg-type]


@cache
def _is_plain_class(kind: type) -> bool:
    # Normalisation by batches changes its statistics in each call.
    own = _is_own(kind) or kind.__module__.startswith("torch.nn.modules.")
    return own and not issubclass(kind, _NormBase)


@cache
def _methods(kind: type) -> frozenset[str]:
    return frozenset(name for name in dir(kind) if callable(getattr(kind, name, None)))


def _is_plain_tensor(tensor: Tensor) -> bool:
    hooks = tensor._backward_hooks or getattr(tensor, "_post_accumulate_grad_hooks", None)
    return type(tensor) in (Tensor, nn.Parameter) and not hooks


def _is_own(code: Any) -> bool:
    """Whether a class or function, and all functions that it is given, are of this package."""
    if isinstance(code, partial):
        given = (*code.args, *code.keywords.values())
        return all(_is_own(each) for each in (code.func, *given) if callable(each))
    return (getattr(code, "__module__", None) or "").split(".")[0] == "skccvae"


def _special_mode(tensors: Sequence[Tensor]) -> bool:
    kinds = {tensor.device.type for tensor in tensors}
    return (
        not kinds <= {"cpu", "cuda"}
        or _get_current_dispatch_mode() is not None
        or torch._C._len_torch_function_stack() > 0
        or torch.is_anomaly_enabled()
        or any(torch.is_autocast_enabled(kind) for kind in kinds)
        or bool(torch.nn.modules.module._has_any_global_hook())
    )
