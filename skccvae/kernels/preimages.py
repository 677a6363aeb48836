"""Preimage sums of a wrapped posterior and prior on a sphere, together with their slopes.

`skccvae.distributions.preimages` explains the sums.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["preimage_ratio"]


@lru_cache(maxsize=64)
def _constants(n: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """1 as a tensor (cheaper than a Python number), and 2 pi k for k = -n..n."""
    turns = 2 * math.pi * torch.arange(-n, n + 1, dtype=dtype, device=device)
    return torch.ones((), dtype=dtype, device=device), turns


def _first_dominates(radii: Tensor, E: Tensor, d: int) -> bool:
    """Whether all terms but k = 0 are lost in rounding in all rows, as happens for small K s^2.

    The next term is k = -1 at ``|t| = 2 pi / r - 1``. Beyond it, the terms only decrease with |t|
    where ``E t^2 > d - 1``. This check avoids nearly all of the sums, which saves a thirtieth of a
    training epoch. On devices other than the CPU, reading the result would wait for earlier work,
    so the answer is always no.
    """
    if radii.device.type != "cpu" or not radii.numel():
        return False
    t = (2 * math.pi / radii).sub_(1.0)
    Ett = t * t * E
    if not (float(t.min()) >= 1 and float(Ett.min()) > d - 1):
        return False
    return float(torch.sub(E, Ett).mul_(0.5).add_(t.log_(), alpha=d - 1).max()) < -40


def preimage_ratio(
    r: Tensor, rho: Tensor, eps: Tensor, precision: float, n: int
) -> tuple[Tensor, ...]:
    """Log preimage sum of the posterior q minus that of the prior p, and slopes.

    Each sum is relative to its term k = 0, as in
    :func:`skccvae.distributions.preimages.log_preimage_sum`. The logarithm of the k-th term is
    ``-E/2 (t^2 - 1) + (d - 1) log|t|`` with ``t = 1 + 2 pi k/r``, where E is the squared
    standardised length: ``|eps|^2`` for q, and ``precision rho^2`` for p with rho in place of r.

    Returns
    -------
    tuple of four tensors
        The difference; the derivative of the log-sum of q in r at fixed eps; the derivative of the
        log-sum of p in rho; and the mean of ``t^2 - 1`` over the terms of p, from which the
        derivative in the precision follows.
    """
    d = eps.shape[-1]
    one, turns = _constants(n, r.dtype, r.device)
    radii = torch.stack([r, rho])
    # At eps = 0, where r = 0 too, adding 1e-12 leaves only the first preimage.
    square = (eps * eps).sum(-1, keepdim=True).add_(1e-12)
    E = torch.stack([square, (rho * rho).mul_(precision)])
    if _first_dominates(radii, E, d):
        zero = torch.zeros_like(r)
        return zero, zero, zero, zero
    t = torch.addcdiv(one, turns, radii)
    # A preimage at the origin of the tangent space has weight 0 for d > 1; avoid its infinite
    # slope.
    tt = (t * t).clamp_min_(1e-30)
    excess = tt - one
    term = (excess * E).mul_(-0.5)
    if d > 1:
        term.add_(tt.log(), alpha=0.5 * (d - 1))
    largest = term.amax(-1, keepdim=True)
    weight = term.sub_(largest).exp_()
    total = weight.sum(-1, keepdim=True)
    weight.div_(total)
    slopes = t.sub_(tt).mul_(torch.sub((d - 1) / tt, E))
    slope_q, slope_p = slopes.mul_(weight).sum(-1, keepdim=True).div_(radii).unbind()
    mean_excess = excess.mul_(weight).select(0, 1).sum(-1, keepdim=True)
    slope_p = torch.addcmul(slope_p, mean_excess, rho, value=-precision)
    q, p = total.log_().add_(largest).unbind()
    return q - p, slope_q, slope_p, mean_excess
