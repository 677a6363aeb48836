"""Cross-entropy of bits with few logarithms: per row in float64, and in total for rounded logits.

torch's own function takes a logarithm for each pixel, and computes the sigmoids again for the
gradient. Here one logarithm serves many pixels, and training keeps the sigmoids.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["cross_entropy_in_double", "total_cross_entropy"]

# Number of probabilities that are multiplied before a logarithm is taken. Each is at least 1/2, so
# far more than eight would still be exact to the last digits.
_AT_ONCE = 8
# The same in float64, whose range ends below 2^-1000. There, rounding is no reason for a smaller
# number.
_AT_ONCE_IN_DOUBLE = 512


class _TotalCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        work = logits.float().reshape(-1)
        p, x = work.sigmoid(), x.reshape(-1)
        linear = torch.dot(work, x)
        # The softplus of a logit is its positive part less the logarithm of the larger of p, 1 - p.
        # New memory costs more than the arithmetic, so the logits make room for the rest.
        positive = work.relu_().sum()
        likelier = torch.maximum(p, torch.sub(1, p, out=work), out=work)
        even = len(likelier) // _AT_ONCE * _AT_ONCE
        products = likelier[:even].view(_AT_ONCE, -1).prod(0)
        logarithms = products.log().sum() + likelier[even:].log().sum()
        ctx.save_for_backward(p.sub_(x).view_as(logits).to(logits.dtype))
        return positive - linear - logarithms

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (difference,) = ctx.saved_tensors
        return difference * grads[0], None


def total_cross_entropy(logits: Tensor, x: Tensor) -> Tensor:
    """Sum of the cross-entropies between bits, or probabilities, and logits; a scalar in nats.

    Parameters
    ----------
    logits : Tensor
        Outputs of a decoder. They get a gradient, once differentiable. ``x`` gets none.
    x : Tensor of the same shape, float32
        Numbers in [0, 1].

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn.likelihoods._cross_entropy import total_cross_entropy
    >>> total_cross_entropy(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))  # 2 log(2)
    tensor(1.3863)
    """
    return _TotalCrossEntropy.apply(logits, x)


def cross_entropy_in_double(logits: Tensor, x: Tensor) -> Tensor:
    """Cross-entropy of rows of bits, or probabilities, in nats, shape (...).

    Parameters
    ----------
    logits : Tensor of shape (..., p), float64
        Outputs of a decoder.
    x : Tensor of shape (..., p)
        Numbers in [0, 1]. Its leading dimensions and those of ``logits`` broadcast.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn.likelihoods._cross_entropy import cross_entropy_in_double
    >>> logits = torch.zeros(1, 2, dtype=torch.float64)
    >>> cross_entropy_in_double(logits, torch.tensor([[0.0, 1.0]]))  # 2 log(2)
    tensor([1.3863], dtype=torch.float64)
    """
    # With p the sigmoid of |l|, the likelier outcome's: |l| / 2 - (x - 1/2) l - log p.
    linear = ((x.to(logits) - 0.5) * logits).sum(-1)
    size = logits.abs()
    parts = size.sigmoid().split(_AT_ONCE_IN_DOUBLE, dim=-1)
    logarithms = torch.stack([part.prod(-1).log() for part in parts]).sum(0)
    return 0.5 * size.sum(-1) - linear - logarithms
