"""torch's Adam without what its method does beside the kernel in every step.

torch checks the settings again, sorts the tensors by device, and opens a range for its profiler. In
a step of 32 rows of a small table that took a tenth of the time (`benchmarks/small_fits.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

__all__ = ["FusedAdam"]

# torch's method with its hooks and its profiler, as an instance of torch's class has it.
_torch_step: Any = torch.optim.Adam.step
if not getattr(_torch_step, "hooked", False):
    _torch_step = torch.optim.Optimizer.profile_hook_step(_torch_step)
# Settings of a group that are not a number for the kernel.
_OTHERS = ("amsgrad", "capturable", "decoupled_weight_decay", "differentiable")


class FusedAdam(torch.optim.Adam):
    """Adam whose step on a CPU is one call of torch's fused kernel, with the same bits.

    A step that finds anything but float32 weights on a CPU whose averages are known, such as the
    first one, is torch's own. So is every step with a closure or hooks.

    Parameters
    ----------
    params : iterable
        Parameters or groups of them, as torch takes them.
    lr : float, default=1e-3
        Learning rate.
    fused : bool, default=True
        False on devices that have no fused kernel.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.

    Examples
    --------
    >>> import torch
    >>> from skccvae.training.fused_adam import FusedAdam
    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> optimizer = FusedAdam([weight], lr=0.1)
    >>> for _ in range(2):
    ...     weight.grad = torch.tensor([1.0, -2.0])
    ...     optimizer.step()
    >>> weight.data
    tensor([-0.2000,  0.2000])
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, *, fused: bool = True) -> None:
        super().__init__(params, lr=lr, fused=fused)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move the weights that have a gradient."""
        work = None if closure is not None or self._is_watched() else self._lists()
        if work is None:
            return _torch_step(self, closure)
        with torch.no_grad():
            for group, weights, states in work:
                steps = [state["step"] for state in states]
                beta1, beta2 = group["betas"]
                torch._foreach_add_(steps, 1)
                torch._fused_adam_(
                    weights,
                    [weight.grad for weight in weights],
                    [state["exp_avg"] for state in states],
                    [state["exp_avg_sq"] for state in states],
                    [],
                    steps,
                    lr=group["lr"],
                    beta1=beta1,
                    beta2=beta2,
                    weight_decay=group["weight_decay"],
                    eps=group["eps"],
                    amsgrad=False,
                    maximize=group["maximize"],
                )
        return None

    # torch would wrap any other method in its hooks and its profiler.
    step.hooked = True

    def _is_watched(self) -> bool:
        return bool(
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _global_optimizer_pre_hooks
            or _global_optimizer_post_hooks
        )

    def _lists(self) -> list[tuple[dict[str, Any], list[Any], list[Any]]] | None:
        """Each group with its weights and what is known of them; None if torch must see to it."""
        found = []
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            states = [self.state.get(weight) for weight in weights]
            plain = all(w.dtype == torch.float32 and w.device.type == "cpu" for w in weights)
            simple = group["fused"] and not any(group.get(name) for name in _OTHERS)
            if not (simple and plain and all(states)):
                return None
            found.append((group, weights, states))
        return found
