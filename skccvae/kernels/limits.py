"""The limits on a posterior in a curved space, in one operation each with hand-written gradients.

Plain path: `skccvae.nn.limits.limited_parameters` without an accelerator. What this buys: each
limit takes several operations on small tensors, and a training step pays for the number of
operations. TODO
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from skccvae.special._autograd import first_order_only, with_derivative
from skccvae.special.smooth_limit import saturation_point

__all__ = ["step"]


def _limited_location(raw: Tensor, limit: float) -> Tensor:
    """`limit_size` for a fixed curvature; the slope is ``(1 + (limit x^2)^2)^(-5/4)``.

    Like `limit_size`, it takes ``1 / (largest size)^2`` as its limit.
    """

    def value_and_slope(x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.clamp(-saturation_point(limit), saturation_point(limit))
        total = torch.add(1.0, x.square().square_(), alpha=limit * limit)
        factor = total.rsqrt().sqrt_()
        return x * factor, factor / total

    return raw if limit == 0 else with_derivative(raw, value_and_slope)


def _limited_log_scale(raw: Tensor, limit: float, bound: float) -> Tensor:
    """`soft_bound`, then `limit_log_scale`, for a fixed curvature."""

    def value_and_slope(raw: Tensor) -> tuple[Tensor, Tensor]:
        unit = torch.tanh(raw * (1 / bound))
        excess = torch.add(2 * math.log(limit), unit, alpha=4 * bound)
        slope = torch.sigmoid(-excess)
        value = torch.add(softplus(excess, threshold=40) * -0.25, unit, alpha=bound)
        return value, torch.addcmul(slope, slope, unit * unit, value=-1)

    return bound * torch.tanh(raw / bound) if limit == 0 else with_derivative(raw, value_and_slope)


class _Learned(torch.autograd.Function):
    """Both limits for a learned curvature, with gradients in both raw tensors and K."""

    @staticmethod
    def forward(
        ctx: Any,
        raw: Tensor,
        raw_scale: Tensor,
        K: Tensor,
        location: tuple[float, float],
        scale: tuple[float, float],
        bound: float,
    ) -> tuple[Tensor, Tensor]:
        far = saturation_point(location[0])
        raw = raw.clamp(-far, far)
        total = (raw.square() * location[0]).square_().add_(1.0)
        factor = total.rsqrt().sqrt_()
        tangent = raw * factor
        unit = torch.tanh(raw_scale * (1 / bound))
        # limit^2 scale^4; its logarithm would be infinite where the limit is 0
        quartic = torch.exp(unit * (4 * bound)).mul_(scale[0] ** 2)
        log_scale = torch.add(quartic.log1p().mul_(-0.25), unit, alpha=bound)
        # These are neither inputs nor outputs, so plain attributes suffice and cost less.
        kept = (1 + quartic).reciprocal_()
        ctx.saved = (tangent, factor.div_(total), unit, kept, quartic.mul_(kept))
        ctx.location, ctx.scale, ctx.like = location, scale, (K.dtype, K.device)
        ctx.set_materialize_grads(False)
        # An output must not be stored on ctx; `detach` returns another tensor of the same data.
        return tangent.detach(), log_scale

    @staticmethod
    @first_order_only
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        g_tangent, g_log = grads
        tangent, slope, unit, kept, taken = ctx.saved
        g_raw = g_scale = None
        g_K = torch.zeros((), dtype=ctx.like[0], device=ctx.like[1])
        if g_tangent is not None:
            g_raw = g_tangent * slope
            value, change = ctx.location
            if value:
                total = tangent.square().square_().mul_(tangent).mul_(g_tangent).sum()
                g_K.add_(total, alpha=-0.5 * value * change)
        if g_log is not None:
            g_scale = torch.addcmul(kept, kept, unit * unit, value=-1).mul_(g_log)
            value, change = ctx.scale
            if value:
                # Not 1 - kept, which rounds to 0 near K = 0 and is then divided by a small limit.
                g_K.add_((g_log * taken).sum(), alpha=-0.5 * change / value)
        return g_raw, g_scale, g_K, None, None, None


def step(
    raw: Tensor,
    raw_scale: Tensor,
    K: float | Tensor,
    location: float,
    location_slope: float,
    scale: float,
    scale_slope: float,
    bound: float,
) -> tuple[Tensor, Tensor]:
    """Limit the location and the log-scale of a posterior.

    Parameters
    ----------
    raw, raw_scale, K : Tensor, Tensor, float or Tensor
        As for `skccvae.nn.limits.limited_parameters`.
    location, location_slope, scale, scale_slope : float
        Fields of `skccvae.nn.limits.Limits` at this curvature.
    bound : float
        Largest absolute value of the logarithm of a scale.
    """
    if isinstance(K, Tensor):
        limits = (location, location_slope), (scale, scale_slope)
        return _Learned.apply(raw, raw_scale, K, *limits, bound)
    return _limited_location(raw, location), _limited_log_scale(raw_scale, scale, bound)
