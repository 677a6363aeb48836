"""Smooth bounds on what a network says of a posterior on a curved space, for any curvature.

A row far from the training data makes a network put out large numbers. On a hyperbolic space a
location or a draw at distance 44 curvature radii overflows float32, so both are bounded smoothly,
by bounds that recede as 1/sqrt|K|: they are gone in the limit K -> 0, and there the space, the
densities and the parameterisation are those of the Gaussian model.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Distance from the origin, in curvature radii, up to which float32 holds the squares of hyperboloid
# coordinates. Location and draw share it.
REACH = 42.0
# Largest logarithm of a scale, of either sign, whatever the space.
LOG_SCALE_BOUND = 10.0


def bounded_log_scale(raw: Tensor, bound: float = LOG_SCALE_BOUND) -> Tensor:
    """Logarithm of a scale from an unbounded network output, in (-bound, bound).

    It is the identity to one per cent where ``|raw| < 1.7``, and keeps rows far from the training
    data from turning into infinite or vanishing scales.

    Parameters
    ----------
    raw : Tensor
        Network output.
    bound : float, default=10.0
        Largest absolute value of the result.

    Returns
    -------
    Tensor
        ``bound * tanh(raw / bound)``.
    """
    return bound * torch.tanh(raw / bound)


def widest(dim: int, riemannian: bool, reach: float) -> float:
    """Scale, in curvature radii, whose draws stay within ``reach`` of a hyperbolic space.

    A wrapped normal's draws lie within ``scale (sqrt(d) + 5)``; a Riemannian normal follows the
    volume outwards, to about ``(d - 1) scale^2 + 6 scale``.
    """
    if not riemannian:
        return reach / (math.sqrt(dim) + 5)
    if dim == 1:
        return reach / 6
    return (math.sqrt(9 + (dim - 1) * reach) - 3) / (dim - 1)


def draw_reach(dim: int, prior_scale: float, curvature: float, riemannian: bool = False) -> float:
    """Share of `REACH` that draws take, in curvature radii; the location has the rest.

    Parameters
    ----------
    dim : int
        Intrinsic dimension.
    prior_scale : float
        Scale of the prior, which a posterior must be able to reach.
    curvature : float
        Negative curvature.
    riemannian : bool, default=False
        Whether the family is the Riemannian normal, else the wrapped one.

    Returns
    -------
    float
        At least half of `REACH`.

    Raises
    ------
    ValueError
        If draws from the prior itself would leave the range of float32.
    """
    unit_scale = 1.1 * prior_scale * math.sqrt(-curvature)
    needed = unit_scale * (math.sqrt(dim) + 5)
    if riemannian:
        needed = (dim - 1) * unit_scale**2 + 6 * unit_scale
    share = max(0.55 * REACH, needed)
    if share > REACH - 2:
        raise ValueError(
            f"With {dim} dimensions and curvature {curvature:g}, draws from the prior of scale "
            f"{prior_scale:g} lie too far out for float32. Use a curvature nearer to 0, a smaller "
            "prior_scale or fewer components."
        )
    return share


def learned_reach(K: float, dim: int, prior_scale: float, riemannian: bool) -> float:
    """`draw_reach` at the value of a learned curvature, at most what leaves room for a location."""
    if K >= 0:
        return 0.55 * REACH
    try:
        return draw_reach(dim, prior_scale, K, riemannian)
    except ValueError:
        return REACH - 2


def riemannian_prior_fits(dim: int, prior_scale: float, curvature: float) -> bool:
    """Whether draws of a Riemannian normal prior stay in the range of float32.

    Parameters
    ----------
    dim : int
        Intrinsic dimension.
    prior_scale : float
        Scale of the prior.
    curvature : float
        Curvature of any sign.
    """
    try:
        return curvature >= 0 or draw_reach(dim, prior_scale, curvature, True) > 0
    except ValueError:
        return False


def scale_bend(
    K: float | Tensor, dim: int, prior_scale: float, riemannian: bool = False
) -> float | Tensor:
    """1 / (largest scale)^2 of a posterior, proportional to |K|.

    On a hyperbolic space draws stay within `draw_reach`; on a sphere a normal wider than two radii
    covers it evenly, and no scale above that (or the prior's) means anything.
    """
    if isinstance(K, Tensor):
        reach = learned_reach(float(K.detach()), dim, prior_scale, riemannian)
        hyperbolic = -K / widest(dim, riemannian, reach) ** 2
        return torch.where(K < 0, hyperbolic, (K / 4).clamp(max=prior_scale**-2))
    if K > 0:
        return min(K / 4, prior_scale**-2)
    if K == 0:
        return 0.0
    return -K / widest(dim, riemannian, draw_reach(dim, prior_scale, K, riemannian)) ** 2


def location_bend(
    K: float | Tensor, dim: int, prior_scale: float, riemannian: bool = False
) -> float | Tensor:
    """1 / (largest coordinate of a location)^2, proportional to |K|; 0 for K >= 0."""
    if isinstance(K, Tensor):
        reach = learned_reach(float(K.detach()), dim, prior_scale, riemannian)
        return F.relu(-K) * (dim / (REACH - reach) ** 2)
    if K >= 0:
        return 0.0
    return -K * dim / (REACH - draw_reach(dim, prior_scale, K, riemannian)) ** 2


def farthest(bend: float) -> float:
    """Size from which a number is taken as this size, which its bound cannot tell apart.

    Its bound is reached there to 16 digits; far beyond it fourth powers leave float32, and the
    bounded number would be 0 and not the bound. Without a bend squares must stay finite.
    """
    return 1e4 / math.sqrt(max(bend, 1e-10)) if bend else 1e18


class _BoundSize(torch.autograd.Function):
    """`bound_size` for a fixed bend, with its slope ``(1 + (bend x^2)^2)^(-5/4)`` by hand."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bend: float) -> Tensor:
        x = x.clamp(-farthest(bend), farthest(bend))
        total = torch.add(1.0, x.square().square_(), alpha=bend * bend)
        factor = total.rsqrt().sqrt_()
        ctx.save_for_backward(factor / total)
        return x * factor

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.saved_tensors[0], None


class _BoundLogScale(torch.autograd.Function):
    """`bound_log_scale` for a fixed bend, with its slope by hand."""

    @staticmethod
    def forward(ctx: Any, log_scale: Tensor, log_bend: float) -> Tensor:
        excess = torch.add(2 * log_bend, log_scale, alpha=4.0)
        ctx.save_for_backward(torch.sigmoid(-excess))
        return torch.sub(log_scale, F.softplus(excess), alpha=0.25)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.saved_tensors[0], None


def bound_size(x: Tensor, bend: float | Tensor) -> Tensor:
    """Shorten numbers smoothly to a size below ``1 / sqrt(bend)``.

    ``x / (1 + (bend x^2)^2)^(1/4)``: the identity up to fourth order in x, and since ``bend`` is
    proportional to |K|, smooth in K through 0.
    """
    if isinstance(bend, Tensor):
        limit = 1e4 * bend.detach().clamp(min=1e-10).rsqrt()
        limit = torch.where(bend == 0, 1e18, limit)
        x = torch.clamp(x, -limit, limit)
        return x * (1 + (x.square() * bend).square()).rsqrt().sqrt()
    return x if bend == 0.0 else _BoundSize.apply(x, bend)


def bound_log_scale(log_scale: Tensor, bend: float | Tensor) -> Tensor:
    """Logarithm of `bound_size` of a scale."""
    if isinstance(bend, Tensor):
        return log_scale - 0.25 * torch.log1p((4 * log_scale).exp() * bend.square())
    return log_scale if bend == 0.0 else _BoundLogScale.apply(log_scale, math.log(bend))


class _ScaleFromNetwork(torch.autograd.Function):
    """`scale_from_network` for a fixed bend, with its slope by hand."""

    @staticmethod
    def forward(ctx: Any, raw: Tensor, log_bend: float) -> Tensor:
        unit = torch.tanh(raw * (1 / LOG_SCALE_BOUND))
        excess = torch.add(2 * log_bend, unit, alpha=4 * LOG_SCALE_BOUND)
        slope = torch.sigmoid(-excess)
        ctx.save_for_backward(torch.addcmul(slope, slope, unit * unit, value=-1))
        return torch.add(F.softplus(excess) * -0.25, unit, alpha=LOG_SCALE_BOUND)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.saved_tensors[0], None


def scale_from_network(raw: Tensor, bend: float | Tensor) -> Tensor:
    """Log-scale from a network's output: `bounded_log_scale`, then `bound_log_scale`."""
    if isinstance(bend, Tensor) or bend == 0.0:
        return bound_log_scale(bounded_log_scale(raw), bend)
    return _ScaleFromNetwork.apply(raw, math.log(bend))
