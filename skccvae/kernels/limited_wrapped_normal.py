"""Training step of a wrapped normal from network outputs, at a fixed negative curvature.

Plain path: `skccvae.nn.limits.limited_parameters`, then `skccvae.kernels.wrapped_normal`.

Speed: an epoch of the hyperbolic model takes 1.07 times as long as the Gaussian's if the limits and
the axes of the prior are part of the step, and 1.12 times if both are computed outside it
(`benchmarks/epoch_time.py`; 10 latent dimensions).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skccvae.kernels.posterior_limits import FixedLimits, limited
from skccvae.kernels.wrapped_normal import Settings, backward_step, forward_step
from skccvae.special._autograd import first_order_only
from skccvae.special.trigonometry import FLAT

__all__ = ["step"]


class _LimitedStep(torch.autograd.Function):
    """The step from network outputs, at a fixed curvature. The fourth output is u."""

    @staticmethod
    def forward(
        ctx: Any,
        raw: Tensor,
        raw_scale: Tensor,
        eps: Tensor,
        s: Settings,
        limits: FixedLimits,
        axes: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        u, log_scale, slope, slope_scale = limited(raw, raw_scale, limits)
        outputs, saved = forward_step(u, log_scale, eps, s, axes)
        ctx.saved, ctx.settings, ctx.axes = saved, s, axes
        ctx.slopes = slope, slope_scale
        ctx.set_materialize_grads(False)
        return *outputs, u.clone() if slope is None else u

    @staticmethod
    @first_order_only
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if all(g is None for g in grads):
            return (None,) * 6
        *of_draw, of_location = grads
        g_u, g_log_scale, _ = backward_step(ctx.saved, ctx.settings, tuple(of_draw), axes=ctx.axes)
        slope, slope_scale = ctx.slopes
        if of_location is not None:
            g_u = g_u.add_(of_location)
        if slope is not None:
            g_u = g_u.mul_(slope)
        return g_u, g_log_scale.mul_(slope_scale), None, None, None, None


def step(
    raw: Tensor,
    raw_scale: Tensor,
    noise: Tensor,
    curvature: float,
    limits: tuple[float, float, float],
    axes: Tensor | None = None,
    prior_scale: float = 1.0,
    log_map: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw a sample from network outputs, with the limits for a fixed negative curvature.

    Parameters
    ----------
    raw : Tensor of shape (..., d)
        Output for the location.
    raw_scale : Tensor of shape (..., d)
        Output for the logarithm of the scale.
    noise : Tensor of shape (..., d)
        As for `skccvae.kernels.wrapped_normal.step`. All three tensors have the same shape.
    curvature : float
        K < 0.
    limits : tuple of float
        As for `skccvae.kernels.posterior_limits.FixedLimits`.
    axes : Tensor of shape (d,), optional
        Scales of the prior's axes, in place of ``prior_scale``. They are the units of the raw
        location and scale, of the returned location and of the draw. Only with ``log_map``.
    prior_scale, log_map
        As for `skccvae.kernels.wrapped_normal.step`.

    Returns
    -------
    zc, zs, log_ratio : Tensor
        As for `skccvae.kernels.wrapped_normal.step`.
    u : Tensor of shape (..., d)
        Location, as a tangent vector at the origin.
    """
    settings = Settings(min(curvature, -FLAT), float(prior_scale), 0, log_map)
    return _LimitedStep.apply(raw, raw_scale, noise, settings, FixedLimits(*limits), axes)
