"""How far a posterior on a curved space may reach, so that float32 can hold its draws.

A row far from the training data makes a network put out large numbers. On a hyperbolic space a
location or a draw at distance 44 curvature radii overflows float32, so both are limited smoothly.
The limits recede as 1/sqrt|K|: they are gone in the limit K -> 0, and there the space, the
densities and the parameterisation are those of the Gaussian model.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from skccvae.kernels import accelerator
from skccvae.special.smooth_limit import limit_log_scale, limit_size, soft_bound

__all__ = [
    "LOG_SCALE_BOUND",
    "REACH",
    "Limits",
    "draw_reach",
    "limited",
    "posterior_limits",
    "riemannian_prior_fits",
]

#: Distance from the origin, in curvature radii, up to which float32 holds the squares of
#: hyperboloid coordinates. Location and draw share it.
REACH = 42.0
#: Largest logarithm of a scale, of either sign, whatever the space.
LOG_SCALE_BOUND = 10.0


class Limits(NamedTuple):
    """Limits of a posterior at a curvature K, as inverse squares, which `limit_size` takes.

    Attributes
    ----------
    location, location_slope : float
        1 / (largest coordinate of the tangent location)^2, 0 for K >= 0; its derivative in K.
    scale, scale_slope : float
        1 / (largest scale)^2; its derivative in K.
    """

    location: float
    location_slope: float
    scale: float
    scale_slope: float


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


def posterior_limits(K: float, dim: int, prior_scale: float, riemannian: bool = False) -> Limits:
    """Limits of a posterior at a curvature.

    On a hyperbolic space draws stay within `draw_reach`. On a sphere a normal wider than two radii
    covers it evenly, and no scale above that (or the prior's) means anything.

    Parameters
    ----------
    K : float
        Curvature of any sign.
    dim, prior_scale, riemannian
        As for `draw_reach`.

    Raises
    ------
    ValueError
        If draws from the prior itself would leave the range of float32.
    """
    if K / 4 >= prior_scale**-2:
        return Limits(0.0, 0.0, prior_scale**-2, 0.0)
    if K >= 0:
        return Limits(0.0, 0.0, K / 4, 0.25)
    return _hyperbolic_limits(K, dim, riemannian, draw_reach(dim, prior_scale, K, riemannian))


def _hyperbolic_limits(K: float, dim: int, riemannian: bool, reach: float) -> Limits:
    location, scale = -dim / (REACH - reach) ** 2, -(widest(dim, riemannian, reach) ** -2)
    return Limits(K * location, location, K * scale, scale)


def _learned_limits(K: float, dim: int, prior_scale: float, riemannian: bool) -> Limits:
    """`posterior_limits` of a curvature that is learned, which leave room for a location."""
    try:
        return posterior_limits(K, dim, prior_scale, riemannian)
    except ValueError:
        return _hyperbolic_limits(K, dim, riemannian, REACH - 2)


def limited(
    raw: Tensor,
    raw_scale: Tensor,
    K: float | Tensor,
    dim: int,
    prior_scale: float,
    riemannian: bool,
    limits: Limits | None = None,
) -> tuple[Tensor, Tensor]:
    """Tangent location and log-scale of a posterior from the unlimited numbers of a network.

    Parameters
    ----------
    raw : Tensor of shape (..., d)
        What the network says of the location.
    raw_scale : Tensor of shape (..., d) or (..., 1)
        What it says of the scale.
    K : float or Tensor of shape ()
        Curvature; a tensor gets a gradient through the limits.
    dim, prior_scale, riemannian
        As for `draw_reach`.
    limits : Limits, optional
        `posterior_limits` of a fixed curvature, where they are known already.

    Returns
    -------
    tangent, log_scale : Tensor
        Shapes of ``raw`` and ``raw_scale``.
    """
    if limits is None:
        if isinstance(K, Tensor):
            limits = _learned_limits(float(K.detach()), dim, prior_scale, riemannian)
        else:
            limits = posterior_limits(K, dim, prior_scale, riemannian)
    fused = accelerator("limits", raw, curvature=K)
    if fused is not None:
        return fused(raw, raw_scale, K, *limits, LOG_SCALE_BOUND)
    location: float | Tensor = limits.location
    scale: float | Tensor = limits.scale
    if isinstance(K, Tensor):
        change = K - K.detach()  # 0, with a gradient
        location = location + limits.location_slope * change
        scale = scale + limits.scale_slope * change
    log_scale = soft_bound(raw_scale, LOG_SCALE_BOUND)
    return limit_size(raw, location), limit_log_scale(log_scale, scale)
