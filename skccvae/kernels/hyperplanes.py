r"""Signed distances to geodesic hyperplanes in one operation with a hand-written gradient.

Plain path: `skccvae.nn.gyroplane.Gyroplanes` without an accelerator.

Speed: with this accelerator, a training epoch of a wrapped normal with a learned curvature takes
1.3 times as long as the Gaussian's, and 1.7 times without it. For a Riemannian normal with a fixed
curvature, the factors are 1.3 and 1.6 (`benchmarks/epoch_against.py --without hyperplanes`; 10
latent and 784 input dimensions).

Let (c, s) be the polar pair of a point. For a plane with weight vector w, gain ``g = |w|`` and
offset b, and with S = sin_K(b) and C = cos_K(b), the layer computes

.. math:: g \arcsin_K(x), \qquad x = \langle s, w \rangle C / g - c\, S.

The planes contribute only a few hundred numbers, but the results for all rows form a matrix (rows,
planes). The cost of a training step is determined by the number of operations on that matrix, so
the code uses as few as possible. The curvature is a Python number here. If it is learned, its
gradient is

.. math:: \frac{\partial \arcsin_K x}{\partial K}
    = \frac{1}{2K}\Big(\frac{x}{\sqrt{1 - K x^2}} - \arcsin_K x\Big),

or a series where this difference cancels.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from skccvae.kernels.curvature_gradient import value_and_learned
from skccvae.special import cos_k, sin_k
from skccvae.special._autograd import first_order_only
from skccvae.special.smooth_limit import saturation_point
from skccvae.special.trigonometry import FLAT, SMALL_CURVATURE

__all__ = ["step"]

#: For |K x^2| below this, derivatives in K use series, truncated below the rounding error.
_SERIES_BELOW = 0.1
# (1/sqrt(1 - t) - asin(sqrt t)/sqrt t) / 2t and (cos(sqrt t) - sin(sqrt t)/sqrt t) / 2t.
_ARCSINE = [math.comb(2 * n, n) / 4**n * n / (2 * n + 1) for n in range(1, 17)]
_SINE = [(-1) ** n * n / math.factorial(2 * n + 1) for n in range(1, 9)]


def _largest(x: Tensor) -> float:
    """Largest entry, or infinity on a device where reading it would wait for earlier work."""
    return float(x.max()) if x.device.type == "cpu" and x.numel() else math.inf


def _series(t: Tensor, coefficients: list[float], largest: float) -> Tensor:
    """Power series in t, with as many terms as ``|t| <= largest`` needs."""
    digits = math.log(torch.finfo(t.dtype).eps / 10)
    largest = max(largest, 1e-30) if largest < _SERIES_BELOW else _SERIES_BELOW
    first, *others = coefficients[: 1 + math.ceil(digits / math.log(largest))]
    if not others:
        return torch.full_like(t, first)
    value = t * others.pop()
    for a in reversed(others):
        value.add_(a).mul_(t)
    return value.add_(first)


def _arcsine(x: Tensor, sign: int, pole_margin: float) -> tuple[Tensor, Tensor]:
    """Inverse of sin (middle branch), of sinh or of the identity, and its slope.

    At a pole of the plane, the slope is infinite, so the ratio of angle to sine is held constant.
    """
    if sign == 0:
        return x, torch.ones_like(x)
    if sign < 0:
        size = x.abs()
        # asinh |x| without cancellation, from functions that torch vectorises. The square of x,
        # which is a sinh, may overflow.
        root = torch.hypot(x, torch.ones((), dtype=x.dtype, device=x.device))
        angle = (size / (root + 1)).mul_(size).add_(size).log1p_().copysign_(x)
        return angle, root.reciprocal_()
    square = x * x
    pole = square > 1 - pole_margin
    ratio = math.asin(math.sqrt(1 - pole_margin)) / math.sqrt(1 - pole_margin)
    angle = torch.where(pole, x * ratio, torch.asin(x.clamp(-1.0, 1.0)))
    return angle, torch.where(pole, ratio, (1 - square).clamp_(min=pole_margin).rsqrt_())


def _arcsine_by_K(x: Tensor, angle: Tensor, slope: Tensor, g_angle: Tensor, K: float) -> Tensor:
    """Gradient in K through arcsin_K, given the gradients in the angle, in units of the radius.

    At a pole, the ratio of angle to sine is constant, so the difference is 0 there.
    """
    if abs(K) >= SMALL_CURVATURE and x.dtype != torch.float64:
        gap = torch.addcmul(angle, x, slope, value=-1)
        return torch.dot(gap.view(-1), g_angle.view(-1)) / (-2 * K)
    square = x * x
    largest = _largest(square)
    t = square if K > 0 else -square  # may be infinite, where the series is not used
    by_K = _series(t, _ARCSINE, largest).mul_(t).mul_(x)
    if largest >= _SERIES_BELOW:
        closed = torch.addcmul(angle.neg(), x, slope).mul_(0.5)
        by_K = torch.where(t.abs() < _SERIES_BELOW, by_K, closed)
    return torch.dot(by_K.view(-1), g_angle.view(-1)) / K


def _sine_by_K(b: Tensor, sine: Tensor, cosine: Tensor, K: float) -> Tensor:
    """Derivative of sin_K(b) in K."""
    square = b * b
    largest = abs(K) * _largest(square)
    series = _series(K * square, _SINE, largest).mul_(square).mul_(b)
    if K == 0 or largest < _SERIES_BELOW:
        return series
    closed = (b * cosine - sine) / (2 * K)
    return torch.where(square < _SERIES_BELOW / abs(K), series, closed)


def _of_rows(planes: Tensor) -> Tensor:
    """View of values per plane, (n,) or (m, n), that broadcasts over rows, (k, n) or (m, k, n)."""
    return planes if planes.dim() == 1 else planes.unsqueeze(-2)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Product of a matrix and a vector, or of m matrices and m vectors."""
    if vector.dim() == 1:
        return torch.mv(matrix, vector)
    return torch.matmul(matrix, vector.unsqueeze(-1)).squeeze(-1)


class _Distances(torch.autograd.Function):
    """The layer at a curvature K; `learned` is the tensor behind K, or None."""

    @staticmethod
    def forward(
        ctx: Any,
        c: Tensor,
        s: Tensor,
        weight: Tensor,
        bias: Tensor,
        K: float,
        learned: Any,
        largest_offset: float,
        pole_margin: float,
        smallest_gain: float,
    ) -> Tensor:
        # All lengths are in units of the radius, which saves one operation on the matrix.
        K, sign = (0.0, 0) if abs(K) < FLAT else (K, 1 if K > 0 else -1)
        size = math.sqrt(abs(K)) if sign else 1.0
        gain = torch.linalg.vector_norm(weight, dim=-1).clamp_min_(smallest_gain)
        limit = max(-K, 0.0) / largest_offset**2
        raw = (-bias / gain).clamp_(-saturation_point(limit), saturation_point(limit))
        shrink, offset = None, raw
        if limit:
            shrink = (limit * raw.square()).square_().add_(1.0).rsqrt_().sqrt_()
            offset = raw * shrink
        # The sine is odd and the cosine even, so negative offsets are correct too.
        sine, cosine = sin_k(offset, K), cos_k(offset, K)
        ratio = cosine / gain
        scaled = weight * (ratio * size).unsqueeze(-1)
        # One set of planes, (n, d), or one for each model, (m, n, d).
        lead = weight.shape[:-2]
        rows = s.reshape(*lead, -1, s.shape[-1])
        c = c.reshape(*lead, -1, 1)
        x = torch.matmul(rows, scaled.mT).addcmul_(c, _of_rows(sine), value=-size)
        angle, slope = _arcsine(x, sign, pole_margin)
        ctx.save_for_backward(c, rows, weight)
        # These are neither inputs nor outputs, so plain attributes suffice and cost less.
        ctx.planes = (gain, raw, limit, shrink, offset, sine, cosine, ratio, scaled)
        ctx.rows = (x, angle, slope)
        ctx.K, ctx.size, ctx.shape, ctx.largest_offset = K, size, s.shape, largest_offset
        ctx.like = None if learned is None else (learned.dtype, learned.device)
        return (angle * _of_rows(gain / size)).reshape(*s.shape[:-1], gain.shape[-1])

    @staticmethod
    @first_order_only
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        gain, raw, limit, shrink, offset, sine, cosine, ratio, scaled = ctx.planes
        c, rows, weight = ctx.saved_tensors
        x, angle, slope = ctx.rows
        K, size = ctx.K, ctx.size
        grad = grad.reshape(x.shape)
        g_gain = (grad * angle).sum(-2) / size
        g_angle = grad * _of_rows(gain / size)
        g_x = g_angle * slope
        g_rows = torch.matmul(g_x, scaled)
        g_c = _times(g_x, sine * -size)
        g_sine = _times(g_x.mT, c.squeeze(-1)) * -size
        g_scaled = torch.matmul(g_x.mT, rows) * size
        # For the planes: scaled = w C / g, offset = limit_size(-bias / g), g = |w|.
        g_cosine = (g_scaled * weight).sum(-1) / gain
        g_offset = g_sine * cosine - K * sine * g_cosine
        g_raw = g_offset if shrink is None else g_offset * shrink**5
        g_bias = -g_raw / gain
        g_gain = g_gain - g_cosine * ratio - g_raw * raw / gain
        g_weight = torch.addcmul(
            g_scaled * ratio.unsqueeze(-1), weight, (g_gain / gain).unsqueeze(-1)
        )
        g_K = None
        if ctx.like is not None:
            total = torch.dot(g_sine, _sine_by_K(offset, sine, cosine, K))
            total = total - 0.5 * torch.dot(g_cosine, offset * sine)
            if K:
                total = total + _arcsine_by_K(x, angle, slope, g_angle, K)
            else:
                total = total + (g_angle * x**3).sum() / 6
            if K < 0:
                shift = torch.dot(g_offset, offset**5)
                total = total + (0.5 * limit / ctx.largest_offset**2) * shift
            g_K = total.to(*reversed(ctx.like))
        shape = ctx.shape
        return (
            g_c.reshape(shape[:-1]),
            g_rows.reshape(shape),
            g_weight,
            g_bias,
            None,
            g_K,
            None,
            None,
            None,
        )


def step(
    c: Tensor,
    s: Tensor,
    weight: Tensor,
    bias: Tensor,
    curvature: float | Tensor,
    largest_offset: float = 20.0,
    pole_margin: float = 2e-6,
    smallest_gain: float = 1e-6,
) -> Tensor:
    """Compute the gain times the signed distance of points to planes.

    Parameters
    ----------
    c : Tensor of shape (...)
    s : Tensor of shape (..., d)
        Polar pair of the points.
    weight : Tensor of shape (n_planes, d) or (m, n_planes, d)
        Unit normals times gains. With m sets of planes, the points have shape (m, k, d), and each
        set of points belongs to one set of planes.
    bias : Tensor of shape (n_planes,) or (m, n_planes)
        Minus gain times offset.
    curvature : float or Tensor of shape ()
        Curvature. A tensor must be on the CPU; it gets a gradient. With m sets of planes, it must
        be a float.
    largest_offset, pole_margin, smallest_gain : float
        Limits beyond which the layer departs from its formula; see `skccvae.nn.gyroplane`.

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
    K, learned = value_and_learned(curvature)
    margins = largest_offset, pole_margin, smallest_gain
    return _Distances.apply(c, s, weight, bias, K, learned, *margins)
