"""The bounds of a posterior at a curvature that is learned, in one piece.

`bounds` moves with the curvature, and each of its formulas is a handful of operations, which cost a
step of training more than their arithmetic. Where the value of the curvature can be read without
waiting for a device, both bounds are taken here at once, with their gradients by hand.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from skccvae.nn.bounds import (
    LOG_SCALE_BOUND,
    REACH,
    bound_size,
    farthest,
    learned_reach,
    location_bend,
    scale_bend,
    scale_from_network,
    widest,
)

__all__ = ["learned_bounds"]


class _Bends(NamedTuple):
    """Both bends at a value of K, and their slopes in K."""

    location: float
    location_slope: float
    scale: float
    scale_slope: float


def _bends(K: float, dim: int, prior_scale: float, riemannian: bool) -> _Bends:
    if K >= 0:
        free = K / 4 < prior_scale**-2
        return _Bends(0.0, 0.0, K / 4 if free else prior_scale**-2, 0.25 if free else 0.0)
    reach = learned_reach(K, dim, prior_scale, riemannian)
    location, scale = -dim / (REACH - reach) ** 2, -(widest(dim, riemannian, reach) ** -2)
    return _Bends(K * location, location, K * scale, scale)


class _LearnedBounds(torch.autograd.Function):
    """Bounded location and log-scale, with gradients in both raw numbers and the curvature."""

    @staticmethod
    def forward(
        ctx: Any, raw: Tensor, raw_scale: Tensor, K: Tensor, bends: _Bends
    ) -> tuple[Tensor, Tensor]:
        far = farthest(bends.location)
        raw = raw.clamp(-far, far)
        total = (raw.square() * bends.location).square_().add_(1.0)
        factor = total.rsqrt().sqrt_()
        tangent = raw * factor
        unit = torch.tanh(raw_scale * (1 / LOG_SCALE_BOUND))
        # bend^2 scale^4, of which no logarithm is taken: the bend may be 0.
        quartic = torch.exp(unit * (4 * LOG_SCALE_BOUND)).mul_(bends.scale**2)
        log_scale = torch.add(quartic.log1p().mul_(-0.25), unit, alpha=LOG_SCALE_BOUND)
        # Intermediates, not inputs or outputs: kept plainly, which costs less than saving each.
        kept = (1 + quartic).reciprocal_()
        ctx.saved = (tangent, factor.div_(total), unit, kept, quartic.mul_(kept))
        ctx.bends, ctx.like = bends, (K.dtype, K.device)
        ctx.set_materialize_grads(False)
        # `detach` makes another object of the same numbers: what is saved must not be an output.
        return tangent.detach(), log_scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_tangent: Tensor | None, g_log: Tensor | None) -> tuple[Any, ...]:
        tangent, slope, unit, kept, taken = ctx.saved
        bends: _Bends = ctx.bends
        g_raw = g_scale = None
        g_K = torch.zeros((), dtype=ctx.like[0], device=ctx.like[1])
        if g_tangent is not None:
            g_raw = g_tangent * slope
            if bends.location:
                moved = tangent.square().square_().mul_(tangent).mul_(g_tangent).sum()
                g_K.add_(moved, alpha=-0.5 * bends.location * bends.location_slope)
        if g_log is not None:
            g_scale = torch.addcmul(kept, kept, unit * unit, value=-1).mul_(g_log)
            if bends.scale:
                # 1 - kept would round to nothing near K = 0, where it is divided by the bend.
                moved = (g_log * taken).sum()
                g_K.add_(moved, alpha=-0.5 * bends.scale_slope / bends.scale)
        return g_raw, g_scale, g_K, None


def learned_bounds(
    raw: Tensor, raw_scale: Tensor, K: Tensor, dim: int, prior_scale: float, riemannian: bool
) -> tuple[Tensor, Tensor]:
    """`bound_size` of a location and `scale_from_network` of a scale, at a curvature to learn.

    Parameters
    ----------
    raw : Tensor of shape (..., d)
        What the network says of the location.
    raw_scale : Tensor of shape (..., d) or (..., 1)
        What it says of the scale.
    K : Tensor of shape ()
        Curvature; it gets a gradient through the bounds.
    dim : int
        Intrinsic dimension d.
    prior_scale : float
        Scale of the prior.
    riemannian : bool
        Whether the family is the Riemannian normal, else the wrapped one.

    Returns
    -------
    tangent, log_scale : Tensor
        Shapes of ``raw`` and ``raw_scale``.
    """
    if K.device.type == "cpu":
        bends = _bends(float(K.detach()), dim, prior_scale, riemannian)
        return _LearnedBounds.apply(raw, raw_scale, K, bends)
    location = location_bend(K, dim, prior_scale, riemannian)
    scale = scale_bend(K, dim, prior_scale, riemannian)
    return bound_size(raw, location), scale_from_network(raw_scale, scale)
