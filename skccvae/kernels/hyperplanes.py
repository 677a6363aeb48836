r"""Signed distances to geodesic hyperplanes in one operation, with its gradient by hand.

Plain path: `skccvae.nn.gyroplane.Gyroplanes` without an accelerator. What this buys: TODO

With gain ``g = |w|``, offset b and S = sin_K(b), C = cos_K(b), the layer is

.. math:: g \arcsin_K(x), \qquad x = \langle s, w \rangle C / g - c\, S.

What depends on the planes alone is a few hundred numbers, what depends on the rows a matrix of rows
times planes; at that size a step of training pays for each operation on the matrix, so that there
are as few as can be. The curvature is a Python number here; where it is learned its gradient is

.. math:: \frac{\partial \arcsin_K x}{\partial K}
    = \frac{1}{2K}\Big(\frac{x}{\sqrt{1 - K x^2}} - \arcsin_K x\Big),

by a series where that cancels.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from skccvae.special import cos_k, sin_k
from skccvae.special._autograd import first_order_only
from skccvae.special.smooth_limit import saturation_point
from skccvae.special.trigonometry import FLAT, SMALL_CURVATURE

__all__ = ["FARTHEST", "POLE", "SMALLEST_GAIN", "step"]

#: Largest offset of a plane in curvature radii; beyond it float32 cannot tell how far it is.
FARTHEST = 20.0
#: K x^2 within this of 1 is a plane's pole, where the arcsine has an infinite slope.
POLE = 2e-6
#: A gain that has vanished has no direction; above this its plane is far and counts for nothing.
SMALLEST_GAIN = 1e-6
#: Below this |K x^2| derivatives in K are series: 8 terms are exact in float32, 16 in float64.
_SERIES_BELOW, _TERMS = 0.1, 16
# (1/sqrt(1 - t) - asin(sqrt t)/sqrt t) / 2t and (cos(sqrt t) - sin(sqrt t)/sqrt t) / 2t.
_ARCSINE = [math.comb(2 * n, n) / 4**n * n / (2 * n + 1) for n in range(1, _TERMS + 1)]
_SINE = [(-1) ** n * n / math.factorial(2 * n + 1) for n in range(1, _TERMS + 1)]


def _series(t: Tensor, coefficients: list[float]) -> Tensor:
    if t.dtype != torch.float64:
        coefficients = coefficients[: _TERMS // 2]
    value = torch.full_like(t, coefficients[-1])
    for a in reversed(coefficients[:-1]):
        value.mul_(t).add_(a)
    return value


def _arcsine(x: Tensor, sign: int) -> tuple[Tensor, Tensor]:
    """Inverse of sin, sinh or the identity, and its slope; on a sphere on its middle branch.

    At a pole of the plane, where the slope is infinite, the ratio of angle to sine is held.
    """
    if sign == 0:
        return x, torch.ones_like(x)
    square = x * x
    if sign < 0:
        root = square.add(1.0).sqrt_()
        # asinh |x| without cancellation, by functions that are vectorised.
        angle = torch.addcdiv(x.abs(), square, root + 1).log1p_().copysign_(x)
        return angle, root.reciprocal_()
    pole = square > 1 - POLE
    held = math.asin(math.sqrt(1 - POLE)) / math.sqrt(1 - POLE)
    angle = torch.where(pole, x * held, torch.asin(x.clamp(-1.0, 1.0)))
    return angle, torch.where(pole, held, (1 - square).clamp_(min=POLE).rsqrt_())


def _arcsine_by_K(x: Tensor, angle: Tensor, slope: Tensor, g_angle: Tensor, K: float) -> Tensor:
    """Sum of gradients in the angle times the derivative of arcsin_K in K, in units of the radius.

    At a pole the ratio of angle to sine is held, and the difference vanishes by itself.
    """
    if abs(K) >= SMALL_CURVATURE and x.dtype != torch.float64:
        return (torch.addcmul(angle.neg(), x, slope) * g_angle).sum() / (2 * K)
    t = (x * x).mul_(1 if K > 0 else -1)
    series = _series(t, _ARCSINE).mul_(t).mul_(x).div_(K)
    closed = torch.addcmul(angle.neg(), x, slope).div_(2 * K)
    return (torch.where(t.abs() < _SERIES_BELOW, series, closed) * g_angle).sum()


def _sine_by_K(b: Tensor, sine: Tensor, cosine: Tensor, K: float) -> Tensor:
    """Derivative of sin_K(b) in K."""
    t = K * b * b
    series = _series(t, _SINE) * b**3
    if K == 0:
        return series
    return torch.where(t.abs() < _SERIES_BELOW, series, (b * cosine - sine) / (2 * K))


class _Distances(torch.autograd.Function):
    """The step for a curvature that is a number, and the tensor that it was read from, if any."""

    @staticmethod
    def forward(
        ctx: Any, c: Tensor, s: Tensor, weight: Tensor, bias: Tensor, K: float, learned: Any
    ) -> Tensor:
        # All lengths in units of the radius, so that the matrix needs no multiplication for it.
        K, sign = (0.0, 0) if abs(K) < FLAT else (K, 1 if K > 0 else -1)
        size = math.sqrt(abs(K)) if sign else 1.0
        gain = torch.linalg.vector_norm(weight, dim=-1).clamp_min_(SMALLEST_GAIN)
        limit = max(-K, 0.0) / FARTHEST**2
        raw = (-bias / gain).clamp_(-saturation_point(limit), saturation_point(limit))
        shrink = (limit * raw.square()).square_().add_(1.0).rsqrt_().sqrt_()
        offset = raw * shrink
        # Odd and even, so that the sign of the offset needs no care.
        sine, cosine = sin_k(offset, K), cos_k(offset, K)
        ratio = cosine / gain
        scaled = weight * (ratio * size).unsqueeze(-1)
        rows = s.reshape(-1, s.shape[-1])
        c = c.reshape(-1, 1)
        x = torch.mm(rows, scaled.T).addcmul_(c, sine, value=-size)
        angle, slope = _arcsine(x, sign)
        ctx.save_for_backward(c, rows, weight)
        # Intermediates, not inputs or outputs: kept plainly, which costs less than saving each.
        ctx.planes = (gain, raw, limit, shrink, offset, sine, cosine, ratio, scaled)
        ctx.rows = (x, angle, slope)
        ctx.K, ctx.size, ctx.shape = K, size, s.shape
        ctx.like = None if learned is None else (learned.dtype, learned.device)
        return (angle * (gain / size)).reshape(*s.shape[:-1], len(gain))

    @staticmethod
    @first_order_only
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        gain, raw, limit, shrink, offset, sine, cosine, ratio, scaled = ctx.planes
        c, rows, weight = ctx.saved_tensors
        x, angle, slope = ctx.rows
        K, size = ctx.K, ctx.size
        grad = grad.reshape(-1, len(gain))
        g_gain = (grad * angle).sum(0) / size
        g_angle = grad * (gain / size)
        g_x = g_angle * slope
        g_rows = torch.mm(g_x, scaled)
        g_c = torch.mv(g_x, sine * -size)
        g_sine = torch.mv(g_x.T, c.squeeze(-1)) * -size
        g_scaled = torch.mm(g_x.T, rows) * size
        # The planes: scaled = w C / g, offset = the bounded -bias / g, g = |w|.
        g_cosine = (g_scaled * weight).sum(-1) / gain
        g_offset = g_sine * cosine - K * sine * g_cosine
        g_raw = g_offset * shrink**5
        g_bias = -g_raw / gain
        g_gain = g_gain - g_cosine * ratio - g_raw * raw / gain
        g_weight = torch.addcmul(
            g_scaled * ratio.unsqueeze(-1), weight, (g_gain / gain).unsqueeze(-1)
        )
        g_K = None
        if ctx.like is not None:
            total = (g_sine * _sine_by_K(offset, sine, cosine, K)).sum()
            total = total - 0.5 * (g_cosine * offset * sine).sum()
            if K:
                total = total + _arcsine_by_K(x, angle, slope, g_angle, K)
            else:
                total = total + (g_angle * x**3).sum() / 6
            if K < 0:
                total = total + (0.5 * limit / FARTHEST**2) * (g_offset * offset**5).sum()
            g_K = total.to(*reversed(ctx.like))
        shape = ctx.shape
        return g_c.reshape(shape[:-1]), g_rows.reshape(shape), g_weight, g_bias, None, g_K


def step(c: Tensor, s: Tensor, weight: Tensor, bias: Tensor, curvature: float | Tensor) -> Tensor:
    """Gain times signed distance of points to planes.

    Parameters
    ----------
    c : Tensor of shape (...)
    s : Tensor of shape (..., d)
        Polar pair of the points.
    weight : Tensor of shape (n_planes, d)
        Directions times gains.
    bias : Tensor of shape (n_planes,)
        Minus gain times offset.
    curvature : float or Tensor of shape ()
        Curvature; a tensor on the CPU gets a gradient.

    Returns
    -------
    Tensor of shape (..., n_planes)

    Examples
    --------
    >>> import torch
    >>> from skccvae.kernels import hyperplanes
    >>> w, b = torch.tensor([[3.0, 4.0]]), torch.tensor([-5.0])
    >>> hyperplanes.step(torch.ones(1), torch.tensor([[3.0, 4.0]]), w, b, 0.0).tolist()
    [[20.0]]
    """
    learned = curvature if isinstance(curvature, Tensor) and curvature.requires_grad else None
    K = float(curvature.detach() if isinstance(curvature, Tensor) else curvature)
    return _Distances.apply(c, s, weight, bias, K, learned)
