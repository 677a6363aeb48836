"""Training steps that are repeated from a recording, and the conditions for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._python_dispatch import _get_current_dispatch_mode

from skccvae.training.objective import NegativeELBO
from skccvae.training.recording import Recorded, record
from skccvae.vae import VAE

__all__ = ["Repeated", "gradients", "repeatable"]

# A recording takes as long as 30 steps of a small network. It is made when as many steps have
# shown that the shapes come again, and for no more than so many shapes.
_CALLS_BEFORE, _MOST_SHAPES = 30, 8
_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)
_SIMPLE = (int, float, str, bool, type(None), tuple)


class Repeated:
    """A function of tensors that is recorded once it has been called often enough.

    The recording is used only if it also gives the bits of the next call. It must therefore not
    matter how often the function is called, apart from the state of generators.

    A copy or pickle of this object is None, because a recording belongs to weights at their place
    in memory.

    Parameters
    ----------
    function : callable
        As for `skccvae.training.recording.record`. If it takes floats, it must treat a tensor of
        shape () in the same way. For other inputs, a recording serves only equal ones.

    Examples
    --------
    >>> import torch
    >>> from skccvae.training.repeated import Repeated
    >>> double = Repeated(lambda x, factor: [factor * x])
    >>> for _ in range(40):
    ...     (found,) = double(torch.ones(2), 2.0)
    >>> found, double.n_recorded
    (tensor([2., 2.]), 1)
    """

    def __init__(self, function: Callable[..., Sequence[Tensor | None]]) -> None:
        self._function = function
        self._calls: dict[tuple, int] = {}
        self._recorded: dict[tuple, Recorded | None] = {}
        self._confirmed: dict[tuple, Recorded] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()

    @property
    def n_recorded(self) -> int:
        """How many recordings are in use, each for other shapes."""
        return len(self._confirmed)

    def __call__(self, *inputs: Any) -> Sequence[Tensor | None]:
        """The function's results."""
        key = tuple(map(_kind, inputs))
        confirmed = self._confirmed.get(key)
        if confirmed is not None:
            return confirmed(*_as_tensors(inputs))
        calls = self._calls[key] = self._calls.get(key, 0) + 1
        if calls <= _CALLS_BEFORE or len(self._confirmed) >= _MOST_SHAPES:
            return self._function(*inputs)
        if key not in self._recorded:
            results, self._recorded[key] = record(self._function, *_as_tensors(inputs))
            return results
        recorded = self._recorded[key]
        if recorded is None:
            return self._function(*inputs)
        return self._confirm(key, recorded, inputs)

    def _confirm(self, key: tuple, recorded: Recorded, inputs: tuple) -> Sequence[Tensor | None]:
        before = [generator.get_state() for generator in recorded.generators]
        results = self._function(*inputs)
        after = [generator.get_state() for generator in recorded.generators]
        for generator, state in zip(recorded.generators, before, strict=True):
            generator.set_state(state)
        repeated = recorded(*_as_tensors(inputs))
        for generator, state in zip(recorded.generators, after, strict=True):
            generator.set_state(state)
        if all(map(_same_bits, results, repeated)):
            self._confirmed[key] = recorded
        else:
            self._recorded[key] = None
        return results


def _kind(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.shape
    return float if isinstance(value, float) else value


def _as_tensors(inputs: Sequence[Any]) -> list[Any]:
    return [
        torch.full((), value, dtype=torch.float32) if isinstance(value, float) else value
        for value in inputs
    ]


def _same_bits(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.dtype == other.dtype and torch.equal(_bits(one), _bits(other))


def _bits(tensor: Tensor) -> Tensor:
    kind = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return tensor.contiguous().view(kind)


def gradients(loss: Tensor, leaves: Sequence[Tensor]) -> list[Tensor | None]:
    """Gradients of a loss with the strides of the leaves, as ``backward`` leaves them there."""
    return [
        grad
        if grad is None or grad.stride() == leaf.stride()
        else torch.empty_like(leaf).copy_(grad)
        for grad, leaf in zip(
            torch.autograd.grad(loss, leaves, allow_unused=True), leaves, strict=True
        )
    ]


def repeatable(module: VAE, criterion: NegativeELBO) -> tuple | None:
    """A key of everything but the batch on which the operations of a step depend.

    Returns
    -------
    tuple or None
        Recordings may be used as long as the key stays the same. None if they must not be made: if
        the model contains a user's own modules or hooks, whose code may do anything, or if torch
        runs in a special mode.
    """
    tensors = [*module.parameters(), *module.buffers()]
    if type(module) is not VAE or type(criterion) is not NegativeELBO or _special_mode(tensors):
        return None
    if module.distance_weight and not _is_own(module.distance_metric):
        return None
    settings = []
    for part in (criterion, *module.modules()):
        if not _is_plain(part):
            return None
        simple = [(name, v) for name, v in vars(part).items() if isinstance(v, _SIMPLE)]
        settings.append((id(part), tuple(simple)))
    for tensor in tensors:
        if tensor._backward_hooks or getattr(tensor, "_post_accumulate_grad_hooks", None):
            return None
    places = [(id(t), t.data_ptr(), t.requires_grad) for t in tensors]
    return tuple(settings), tuple(places), module.generator, module.rounded


def _is_plain(part: nn.Module) -> bool:
    """Whether a module is one of this package or of torch, and nothing intervenes in its calls."""
    own = _is_own(type(part)) or type(part).__module__.startswith("torch.nn.modules.")
    hooked = "forward" in vars(part) or any(getattr(part, name, None) for name in _HOOKS)
    # These change their statistics in each call. A parametrised weight is computed in each call.
    other = isinstance(part, _NormBase) or "parametrizations" in part._modules
    return own and not hooked and not other


def _is_own(code: Any) -> bool:
    if isinstance(code, partial):
        return all(_is_own(each) for each in (code.func, *code.args) if callable(each))
    return getattr(code, "__module__", "").split(".")[0] == "skccvae"


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
