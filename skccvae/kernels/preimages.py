"""Sums over the preimages of a point on a sphere, of posterior and prior at once, with slopes."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["preimage_ratio"]


@lru_cache(maxsize=64)
def _constants(n: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """1 as a tensor, a cheaper operand than Python's number, and 2 pi k for k = -n..n."""
    turns = 2 * math.pi * torch.arange(-n, n + 1, dtype=dtype, device=device)
    return torch.ones((), dtype=dtype, device=device), turns


def preimage_ratio(
    r: Tensor, rho: Tensor, eps: Tensor, precision: float, n: int
) -> tuple[Tensor, ...]:
    """Preimage sums of log q less log p, each relative to its first term, and their slopes.

    The k-th term relative to the first is ``-E/2 (t^2 - 1) + (d - 1) log|t|`` with
    ``t = 1 + 2 pi k/r`` and E the squared standardised length: ``|eps|^2`` for q, ``precision
    rho^2`` for p (see :func:`skccvae.distributions.preimages.log_preimage_sum`). Both densities
    are done at once. Returned are the difference, its parts' derivatives in r and in rho, and the
    weighted mean of ``t^2 - 1`` under p, for the derivative in its precision.
    """
    d = eps.shape[-1]
    one, turns = _constants(n, r.dtype, r.device)
    radii = torch.stack([r, rho])
    # The added 1e-12 makes eps = 0, where r = 0 too, count the first preimage alone.
    square = (eps * eps).sum(-1, keepdim=True).add_(1e-12)
    E = torch.stack([square, (rho * rho).mul_(precision)])
    t = torch.addcdiv(one, turns, radii)
    # A term at the very origin of the tangent space: weight 0 for d > 1, and no infinite slope.
    tt = (t * t).clamp_min_(1e-30)
    excess = tt - one
    term = (excess * E).mul_(-0.5)
    if d > 1:
        term.add_(tt.log(), alpha=0.5 * (d - 1))
    top = term.amax(-1, keepdim=True)
    weight = term.sub_(top).exp_()
    total = weight.sum(-1, keepdim=True)
    weight.div_(total)
    change = t.sub_(tt).mul_(torch.sub((d - 1) / tt, E))
    slope_q, slope_p = change.mul_(weight).sum(-1, keepdim=True).div_(radii).unbind()
    mean_excess = excess.mul_(weight).select(0, 1).sum(-1, keepdim=True)
    slope_p = torch.addcmul(slope_p, mean_excess, rho, value=-precision)
    q, p = total.log_().add_(top).unbind()
    return q - p, slope_q, slope_p, mean_excess
