r"""Stress of geodesic distances in one operation with a hand-written gradient.

Plain path: `skccvae.nn.distance_term`.

Speed: a hyperbolic epoch at batch 128 (layers 256-128, 784 inputs, d = 10) with the stress term
takes 1.14 times as long as the epoch without it (`benchmarks/epoch_time.py --distances`). For the
pairs of 128 rows, the plain path takes 10 ms, which is ten times as long as this accelerator, while
a training step takes 5 ms.

With the versines v and distances d of all pairs, :math:`d = 2 \arcsin_K \sqrt{v/2}`, the stress is

.. math:: S = \sum (u d - D)^2 / \sum D^2, \qquad u = \sum d D / \sum d^2,

and, because u minimises the stress and so contributes no gradient,

.. math:: \frac{\partial S}{\partial v} = \frac{2 u (u d - D)}{\sum D^2} \frac{1}{\sin_K d},
    \qquad \frac{\partial d}{\partial K} = \frac{1}{2K}
    \Big(\frac{2 \sqrt{v/2}}{\sqrt{1 - K v/2}} - d\Big)

at fixed v, or a series where this cancels. On a sphere, v is half the squared chord. Otherwise, if
h is the versine between a point and the origin,

.. math:: v_{ij} = h_i + h_j - K h_i h_j - \langle s_i, s_j \rangle, \qquad
    h = \frac{|s|^2}{1 + \sqrt{1 - K |s|^2}}.

Versines and their gradients are matrix products in float64. The cost is determined by the number of
operations on matrices (n, n) in float32.

Limitation: in hyperbolic space, v is a small difference of large numbers if two points are close to
each other but far from the origin. A distance of 0.1 has an error of 7e-6 at 13 curvature radii
from the origin and of 0.025 at 16, and is lost at 18. The plain path keeps it. This matters little
for the stress, which is relative to distances of about twice the distance from the origin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skccvae.special._autograd import first_order_only

__all__ = ["COINCIDENT", "step"]

#: Points with a versine below this count as coincident; there the distance has no slope.
COINCIDENT = 1e-24
# For |K v/2| below this, the derivative in K is a series. Its next term is below rounding.
_SERIES_BELOW = 1e-2
# On a sphere of at most this curvature, a distance may change only the last digit of the cosine.
_LARGE_SPHERE = 1e-2


def _distances(v: Tensor, K: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distances that belong to versines v, their slopes in v, the half sines and half cosines."""
    near = v < COINCIDENT
    half = (0.5 * v).clamp_(min=0.5 * COINCIDENT).sqrt_()
    if K == 0:
        cosine, angle = torch.ones_like(half), half
    else:
        root = math.sqrt(abs(K))
        x = half * root
        if K < 0:
            cosine = x.square().add_(1).sqrt_()
            # asinh from functions that torch vectorises takes a thirtieth of the time of
            # torch.asinh.
            angle = (x / (cosine + 1)).mul_(x).add_(x).log1p_().div_(root)
        else:
            x.clamp_(max=1 - torch.finfo(x.dtype).eps)
            cosine = x.square().neg_().add_(1).sqrt_()
            angle = torch.asin(x).div_(root)
    slope = (half * cosine).mul_(2).reciprocal_().masked_fill_(near, 0.0)
    return angle * 2, slope, half, cosine


def _slope_in_curvature(d: Tensor, half: Tensor, cosine: Tensor, K: float) -> Tensor:
    """Derivative of the distances in K at fixed versines."""
    t = K * half.square()
    series = 2 * half * half.square() * (1 / 6 + t * (0.15 + t * (15 / 112 + t * (35 / 288))))
    if K == 0:
        return series
    exact = (2 * half / cosine - d) / (2 * K)
    return torch.where(t.abs() < _SERIES_BELOW, series, exact)


def _versines(points: Tensor, K: float) -> tuple[Tensor, Tensor, Tensor]:
    """Versines of all pairs, versines to the origin, and slopes of the latter in |points|^2."""
    q = points.square().sum(-1)
    if K == 0:
        h, slope = 0.5 * q, torch.full_like(q, 0.5)
        pairs = h[:, None] + h
    else:
        cosine = (1 - K * q).sqrt_()
        h, slope = q / (1 + cosine), 0.5 / cosine
        pairs = h[:, None] * (1 - K * h) + h
    return torch.addmm(pairs, points, points.T, alpha=-1), h, slope


def _ratio(tangent: Tensor, K: float) -> tuple[Tensor, Tensor]:
    """sinh(x)/x and its slope in x^2, at x^2 = -K |tangent|^2 >= 0, in float64."""
    x = tangent.square().sum(-1).mul_(-K)
    root = x.sqrt().clamp_(min=1e-150)
    ratio = torch.sinh(root).div_(root)
    # The quotient cancels near 0. There, the next term of the series is about 1e-14.
    series = (x * (1 / 1680) + 1 / 60).mul_(x).add_(1 / 6)
    slope = torch.cosh(root).sub_(ratio).div_(2 * root.square())
    return ratio, torch.where(x < 1e-3, series, slope)


class _Form(NamedTuple):
    """Form in which the points of a factor are given.

    Attributes
    ----------
    K : float
        Curvature.
    chords : bool
        Whether they are ambient points, whose versines are half the squared chords. Otherwise they
        are the vectors of the polar form.
    tangent : bool
        Whether they are tangent vectors at the origin.
    """

    K: float
    chords: bool = False
    tangent: bool = False

    @property
    def bend(self) -> float:
        """The curvature in the formula for the versine."""
        return 0.0 if self.chords else self.K


class _Stress(torch.autograd.Function):
    """Stress as a function of the wanted distances and of each factor's points and curvature."""

    @staticmethod
    def forward(ctx: Any, wanted: Tensor, forms: list[_Form], *tensors: Tensor) -> Tensor:
        dtype = wanted.dtype
        factors, found, tangents = [], [], []
        for points, form in zip(tensors[0::2], forms, strict=True):
            points, K = points.double(), form.K
            if form.tangent:
                ratio, steepness = _ratio(points, K)
                tangents += [points, ratio, steepness]
                points = points * ratio[:, None]
            v, h, slope = _versines(points, form.bend)
            factors.append((points, h, slope, K))
            found.append(_distances(v.to(dtype), K))
        if len(found) == 1:
            latent = found[0][0]
        else:
            squares = torch.stack([d for d, *_ in found]).square_().sum(0)
            latent = squares.clamp_(min=COINCIDENT).sqrt_()
        latent.fill_diagonal_(0.0)
        tiny = torch.finfo(dtype).tiny
        size = wanted.square().sum(dtype=torch.float64).clamp_(min=tiny)
        agreement = (latent * wanted).sum(dtype=torch.float64)
        unit = agreement / latent.square().sum(dtype=torch.float64).clamp_(min=tiny)
        rest = (latent * unit.to(dtype)).sub_(wanted)
        value = rest.square().sum(dtype=torch.float64) / size
        gradient = rest.mul_((2 * unit / size).to(dtype))  # of the distances
        saved = []
        for (points, h, slope, K), (d, in_versine, half, cosine), needed in zip(
            factors, found, ctx.needs_input_grad[3::2], strict=True
        ):
            own = gradient if len(found) == 1 else gradient * d / latent.clamp(min=tiny)
            in_K = own.new_zeros(())  # at fixed versines
            if needed:
                in_K = (own * _slope_in_curvature(d, half, cosine, K)).sum(dtype=torch.float64)
            saved += [points, h, slope, (own * in_versine).fill_diagonal_(0.0), in_K]
        ctx.forms = forms
        ctx.dtypes = [tensor.dtype for tensor in tensors]
        ctx.save_for_backward(*saved, *tangents)
        return value.to(dtype)

    @staticmethod
    @first_order_only
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        found: list[Tensor | None] = []
        scale, saved = grads[0].double(), ctx.saved_tensors
        tangents = iter(saved[5 * len(ctx.forms) :])
        for number, form in enumerate(ctx.forms):
            K = form.bend
            points, h, slope, weights, in_K = saved[5 * number : 5 * number + 5]
            moments = torch.cat([points, h[:, None], torch.ones_like(h)[:, None]], 1)
            # Each pair appears in the matrix twice.
            moved = (weights.double() @ moments).mul_(2 * scale)
            in_h = moved[:, -1] - K * moved[:, -2]
            in_points = (2 * slope * in_h)[:, None] * points - moved[:, :-2]
            in_K = scale * in_K
            if not form.chords:
                in_K = in_K + (in_h * slope * h * h).sum() - 0.5 * (h * moved[:, -2]).sum()
            if form.tangent:
                u, ratio, steepness = (next(tangents) for _ in range(3))
                in_square = (in_points * u).sum(-1).mul_(steepness)
                in_points = in_points * ratio[:, None] - (2 * K * in_square)[:, None] * u
                in_K = in_K - (in_square * u.square().sum(-1)).sum()
            found += [in_points, in_K]
        given = zip(found, ctx.dtypes, strict=True)
        return None, None, *(None if g is None else g.to(dtype) for g, dtype in given)


def step(parts: Sequence[tuple[Tensor | None, Tensor, float | Tensor]], wanted: Tensor) -> Tensor:
    """Stress between the geodesic distances of points and the wanted distances.

    Parameters
    ----------
    parts : sequence of (c, s, K) or (None, u, K)
        As for `skccvae.nn.geodesic_pairs`; tangent vectors only for K <= 0.
    wanted : Tensor of shape (n, n)
        Symmetric, with zeros on the diagonal.

    Returns
    -------
    Tensor of shape ()
        As `skccvae.nn.stress` of `geodesic_pairs`.

    Examples
    --------
    >>> import torch
    >>> from skccvae.kernels.stress import step
    >>> s = torch.tensor([[0.0], [1.0], [3.0]], requires_grad=True)
    >>> D = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [2.0, 2.0, 0.0]])
    >>> round(step([(torch.ones(3), s, 0.0)], D).item(), 4)
    0.0397
    """
    tensors: list[Tensor] = []
    forms: list[_Form] = []
    for c, s, K in parts:
        value = float(K.detach()) if isinstance(K, Tensor) else K
        form = _Form(value, tangent=c is None)
        if c is not None and not isinstance(K, Tensor) and value > _LARGE_SPHERE:
            s, form = torch.cat([c[:, None] / value**0.5, s], 1), _Form(value, chords=True)
        elif c is not None and value > 0:
            # Half the squared chord between ambient points, relative to the pole, so that nothing
            # cancels on a large sphere.
            root = K.double().sqrt() if isinstance(K, Tensor) else value**0.5
            c, s = c.double(), s.double()
            near = -root * s.square().sum(-1) / (1 + c.clamp(min=0))
            s = torch.cat([torch.where(c > 0, near, (c - 1) / root)[:, None], s], 1)
            form = _Form(value, chords=True)
        # Otherwise the cosine is computed from s in float64, because far out in hyperbolic space an
        # error in the last digit of c is as large as a distance.
        # A number stays on the CPU, where reading it does not wait for the device.
        tensors += [s, K if isinstance(K, Tensor) else torch.tensor(K, dtype=s.dtype)]
        forms.append(form)
    return _Stress.apply(wanted, forms, *tensors)
