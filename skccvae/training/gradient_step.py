"""The losses of a training step, with the gradients of the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from skccvae.training.repeated import Repeated

__all__ = ["GradientStep", "renewed"]


class GradientStep:
    """Losses as a function of a batch. A call also leaves the gradients in the weights.

    They replace earlier gradients there. A weight without influence on the loss gets None.

    A copy or pickle of this object is None, because a recording belongs to weights at their place
    in memory.

    Parameters
    ----------
    losses : callable
        Takes the tensors of a batch, and returns tensors. The sum of the first one is minimised.
    leaves : sequence of Tensor
        The weights.
    key : tuple or None
        The conditions under which steps may be repeated from a recording, as `repeatable` says
        them. None if they must not.

    Examples
    --------
    >>> import torch
    >>> from skccvae.training.gradient_step import GradientStep
    >>> weight = torch.ones(2, requires_grad=True)
    >>> step = GradientStep(lambda x: [(weight * x).sum()], [weight], key=None)
    >>> step(torch.tensor([1.0, 2.0])), weight.grad
    ([tensor(3.)], tensor([1., 2.]))
    """

    def __init__(
        self,
        losses: Callable[..., Sequence[Tensor]],
        leaves: Sequence[Tensor],
        key: tuple | None,
    ) -> None:
        self.leaves = list(leaves)
        self.key = key
        self._call: Callable = partial(_with_gradients, losses, self.leaves)
        if key is not None:
            self._call = Repeated(self._call)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()

    def __call__(self, *inputs: Any) -> list[Tensor]:
        """The losses, without a graph."""
        results = self._call(*inputs)
        n_losses = len(results) - len(self.leaves)
        for leaf, grad in zip(self.leaves, results[n_losses:], strict=True):
            leaf.grad = grad
        return list(results[:n_losses])


def renewed(
    step: GradientStep | None,
    losses: Callable[..., Sequence[Tensor]],
    leaves: Sequence[Tensor],
    key: tuple | None,
) -> GradientStep:
    """The same step, with its recordings, if they still serve; else a new one."""
    if step is not None and key is not None and step.key == key:
        return step
    return GradientStep(losses, leaves, key)


def _with_gradients(
    losses: Callable[..., Sequence[Tensor]], leaves: Sequence[Tensor], *inputs: Any
) -> list[Tensor | None]:
    found = losses(*inputs)
    total = found[0] if found[0].dim() == 0 else found[0].sum()
    return [*(loss.detach() for loss in found), *_gradients(total, leaves)]


def _gradients(loss: Tensor, leaves: Sequence[Tensor]) -> list[Tensor | None]:
    """Gradients with the strides of the leaves, as ``backward`` leaves them there."""
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [
        grad
        if grad is None or grad.stride() == leaf.stride()
        else torch.empty_like(leaf).copy_(grad)
        for grad, leaf in zip(found, leaves, strict=True)
    ]
