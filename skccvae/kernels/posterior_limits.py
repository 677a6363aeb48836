r"""Limits on a posterior at a fixed curvature, with their slopes, for use inside a step.

Plain path: `skccvae.nn.limits.limited_parameters`.

Speed: as separate operations, these limits and their gradient took 2 per cent of a hyperbolic epoch
(batch 128, layers 256-128, 784 inputs, d = 10). A step that includes them saves half of that time
(`benchmarks/epoch_time.py`).

A location is limited coordinate by coordinate. If q is the inverse square of the limit,

.. math:: u = r x, \quad r = (1 + q^2 x^4)^{-1/4}, \quad \frac{du}{dx} = \frac{r}{1 + q^2 x^4}.

A log-scale is first bounded, :math:`l = b \tanh(x/b)`, and then limited. If q is the
inverse square of the limit on scales,

.. math:: \log s = l - \tfrac14 \log(1 + q^2 e^{4l}), \quad
    \frac{d \log s}{dl} = \frac{1}{1 + q^2 e^{4l}}.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from skccvae.special.smooth_limit import saturation_point

__all__ = ["FixedLimits", "limited"]


class FixedLimits(NamedTuple):
    """Limits at a fixed curvature.

    Attributes
    ----------
    location, scale : float
        Inverse squares of the limits; 0 means no limit.
    bound : float
        Bound on log-scales, applied before the limit.
    """

    location: float
    scale: float
    bound: float


def limited(
    raw: Tensor, raw_scale: Tensor, limits: FixedLimits
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Limited tangent location and log-scale, with their derivatives in the network outputs.

    Parameters
    ----------
    raw, raw_scale : Tensor
        Outputs of the network for the location and for the logarithm of the scale.
    limits : FixedLimits
        The limits.

    Returns
    -------
    u, log_scale : Tensor
        Tangent location and log-scale.
    slope : Tensor or None
        Derivative of each coordinate of ``u`` in that of ``raw``; None if there is no limit.
    slope_scale : Tensor
        Derivative of ``log_scale`` in ``raw_scale``.
    """
    one = raw.new_ones(())
    u, slope = raw, None
    if limits.location:
        end = saturation_point(limits.location)
        x = raw.clamp(-end, end)
        square = x.square()
        divisor = torch.addcmul(one, square, square, value=limits.location**2)
        ratio = divisor.rsqrt().sqrt_()
        u, slope = x * ratio, ratio / divisor
    tanh = torch.tanh(raw_scale * (1 / limits.bound))
    log_scale, slope_scale = tanh * limits.bound, torch.addcmul(one, tanh, tanh, value=-1)
    if limits.scale:
        excess = torch.add(one * (2 * math.log(limits.scale)), log_scale, alpha=4)
        # torch's default threshold of 20 is too low: exp(-20) is far above float64's rounding.
        log_scale = log_scale.sub_(F.softplus(excess, threshold=40), alpha=0.25)
        slope_scale = slope_scale.mul_(excess.neg_().sigmoid_())
    return u, log_scale, slope, slope_scale
