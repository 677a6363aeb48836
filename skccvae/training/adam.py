"""Adam with less overhead from Python."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Adam"]

_ONE = torch.ones((), device="cpu")
# Number of steps between two removals of negligible averages, and the sizes below which they are
# negligible, in float32 and if eps is at least 1e-8. An average of gradients below 1e-25 changes a
# weight by less than 1e-16 learning rates. An average of squares below 1e-33 is lost when its root
# is added to eps. Without gradients, an average shrinks from there to float32's denormal range in
# 282 steps or more, if its factor is 0.9 or more.
_REMOVE_EVERY = 256
_NEGLIGIBLE = {"exp_avg": 1e-25, "exp_avg_sq": 1e-33}
_SMALLEST_EPS = 1e-8


class Adam(torch.optim.Adam):
    """`torch.optim.Adam` with a fused step that gathers its tensors itself.

    For a small network, the time of a step is the time that it takes to call the operations.
    torch's own step spends more time deciding what to do than doing it. With the step of this
    class, a training step for 64 inputs (layers 256-128, batch 32) takes 0.92 of the time
    (`benchmarks/small_fits.py`). The operation is torch's, so the results are the same, up to
    changes of a weight below 1e-16 learning rates. torch's own step runs in all cases that are not
    plain: if there is a closure or the optimiser has hooks, before the first step, and for
    parameters of several types or devices. Hooks that torch calls for all optimisers are not called
    here.

    Those changes have a reason. If a weight gets no gradient any more, because its unit has become
    0 for every row, its average gradient shrinks by a tenth in each step. After some 800 steps it
    leaves the normal range of float32. Some processors take a hundred times as long for such
    denormal numbers, and an epoch may then take 2.5 times as long (`benchmarks/denormals.py`). So
    on a CPU, averages that have become negligible are set to 0 every 256 steps.

    Parameters
    ----------
    params : iterable of Parameter or of dict
        As for `torch.optim.Adam`.
    **options : object
        As for `torch.optim.Adam`.

    Examples
    --------
    >>> import torch
    >>> from skccvae.training.adam import Adam
    >>> layer = torch.nn.Linear(2, 1)
    >>> optimizer = Adam(layer.parameters(), lr=0.1, fused=True)
    >>> before = layer.bias.item()
    >>> for _ in range(2):
    ...     layer.bias.grad = torch.ones(1)
    ...     optimizer.step()
    >>> round(layer.bias.item() - before, 4)
    -0.2
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with its own settings."""
        super().add_param_group(param_group)
        self._plain = self._is_plain()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._plain = self._is_plain()

    def _is_plain(self) -> bool:
        groups = self.param_groups
        tensors = [tensor for group in groups for tensor in group["params"]]
        return (
            len({(tensor.dtype, tensor.device) for tensor in tensors}) == 1
            and all(group["fused"] for group in groups)
            and not any(group["amsgrad"] or group["maximize"] for group in groups)
            and hasattr(torch, "_fused_adam_")
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Make a step. Return what the closure returns, if there is one."""
        hooks = self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks
        if closure is not None or hooks or not self._plain:
            return super().step(closure)
        ready = []
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not all(self.state.get(p) for p in parameters):
                return super().step()
            states = [self.state[p] for p in parameters]
            if parameters:
                ready.append((group, parameters, states))
        for group, parameters, states in ready:
            steps: list[Tensor] = [state["step"] for state in states]
            if steps[0].is_cpu:  # a number in place of the tensor takes four times as long there
                torch._foreach_add_(steps, _ONE, alpha=1.0)
            else:
                torch._foreach_add_(steps, 1)
            torch._fused_adam_(
                parameters,
                [parameter.grad for parameter in parameters],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                steps,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )
            small = parameters[0].dtype == torch.float32 and group["eps"] >= _SMALLEST_EPS
            if small and steps[0].is_cpu and steps[0].item() % _REMOVE_EVERY == 0:
                _remove_negligible(states)
        return None

    # Without this mark, torch wraps the step of a subclass in a profiler record and in hooks.
    step.hooked = True


def _remove_negligible(states: list[dict[str, Tensor]]) -> None:
    """Set averages to 0 that are too small to matter. Other averages keep their bits."""
    for state in states:
        for name, size in _NEGLIGIBLE.items():
            state[name].copy_(F.hardshrink(state[name], size))
