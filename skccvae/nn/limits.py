"""Smooth limits on a posterior in a curved space, so that float32 can represent its draws.

For a row far from the training data a network may output large numbers. In hyperbolic space a
location or a draw at a distance of 44 curvature radii overflows float32, so the location and the
scale are limited smoothly. The limits grow like 1/sqrt(|K|) and vanish for K -> 0. There the space,
the densities and the parameterisation are those of the Gaussian model.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from skccvae.special.smooth_limit import limit_log_scale, limit_size, soft_bound

__all__ = [
    "LOG_SCALE_BOUND",
    "REACH",
    "Limits",
    "draw_reach",
    "limited_parameters",
    "limits_on_device",
    "posterior_limits",
    "riemannian_prior_fits",
    "scale_limit",
]

#: Distance from the origin, in curvature radii, up to which float32 can represent the squares of
#: hyperboloid coordinates. The distance of the location and the length of the step from it to the
#: draw share this budget.
REACH = 42.0
#: Largest absolute value of the logarithm of a scale, in every space.
LOG_SCALE_BOUND = 10.0


class Limits(NamedTuple):
    """Limits on a posterior at a curvature K, as inverse squares for `limit_size`.

    Attributes
    ----------
    location, location_slope : float
        1 / (largest coordinate of the tangent location)^2, which is 0 for K >= 0, and its
        derivative in K.
    scale, scale_slope : float
        1 / (largest scale)^2, and its derivative in K.
    """

    location: float
    location_slope: float
    scale: float
    scale_slope: float


def largest_scale(dim: int, riemannian: bool, reach: float) -> float:
    """Largest scale whose draws stay within ``reach`` of the location in hyperbolic space.

    Scale and reach are in curvature radii. Draws of a wrapped normal lie within
    ``scale (sqrt(d) + 5)``. Draws of a Riemannian normal lie farther out, where there is more
    volume: within about ``(d - 1) scale^2 + 6 scale``.
    """
    if not riemannian:
        return reach / (math.sqrt(dim) + 5)
    if dim == 1:
        return reach / 6
    return (math.sqrt(9 + (dim - 1) * reach) - 3) / (dim - 1)


def draw_reach(dim: int, prior_scale: float, curvature: float, riemannian: bool = False) -> float:
    """Part of `REACH` reserved for the step from the location to a draw, in curvature radii.

    The location gets the rest.

    Parameters
    ----------
    dim : int
        Intrinsic dimension.
    prior_scale : float
        Scale of the prior. A posterior must be able to have this scale.
    curvature : float
        Negative curvature.
    riemannian : bool, default=False
        Whether the family is the Riemannian normal; otherwise it is the wrapped normal.

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
            f"{prior_scale:g} lie too far out for float32. Use a curvature closer to 0, a smaller "
            "prior_scale or fewer components."
        )
    return share


def riemannian_prior_fits(dim: int, prior_scale: float, curvature: float) -> bool:
    """Whether float32 can represent the draws of a Riemannian normal prior.

    Parameters
    ----------
    dim : int
        Intrinsic dimension.
    prior_scale : float
        Scale of the prior.
    curvature : float
        Curvature of any sign.

    Returns
    -------
    bool
        Always True for a curvature >= 0.

    Examples
    --------
    >>> from skccvae.nn import riemannian_prior_fits
    >>> riemannian_prior_fits(2, 1.0, -1.0), riemannian_prior_fits(50, 1.0, -1.0)
    (True, False)
    """
    try:
        return curvature >= 0 or draw_reach(dim, prior_scale, curvature, True) > 0
    except ValueError:
        return False


def posterior_limits(K: float, dim: int, prior_scale: float, riemannian: bool = False) -> Limits:
    """Limits on a posterior at a curvature.

    In hyperbolic space draws stay within `draw_reach` of the location. On a sphere the scale is at
    most two radii, or the scale of the prior if that is larger, because a normal of scale two radii
    is already almost uniform.

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
    location, scale = -dim / (REACH - reach) ** 2, -(largest_scale(dim, riemannian, reach) ** -2)
    return Limits(K * location, location, K * scale, scale)


def learned_limits(K: float, dim: int, prior_scale: float, riemannian: bool) -> Limits:
    """`posterior_limits` for a learned curvature, which always leave room for a location."""
    try:
        return posterior_limits(K, dim, prior_scale, riemannian)
    except ValueError:
        return _hyperbolic_limits(K, dim, riemannian, REACH - 2)


def limits_on_device(
    K: Tensor, dim: int, prior_scale: float, riemannian: bool
) -> tuple[Tensor, Tensor]:
    """`learned_limits` without reading K, which would mean waiting for its device.

    Parameters
    ----------
    K : Tensor of shape ()
        Curvature of any sign.
    dim, prior_scale, riemannian
        As for `draw_reach`.

    Returns
    -------
    location, scale : Tensor of shape ()
        Inverse squares of the limits, with a gradient in K.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn.limits import limits_on_device
    >>> location, scale = limits_on_device(torch.tensor(4.0), 2, 0.5, False)
    >>> float(location), float(scale.rsqrt())  # no limit, and two radii of a sphere
    (0.0, 1.0)
    """
    unit_scale = 1.1 * prior_scale * (-K.detach()).clamp(min=0).sqrt()
    needed = unit_scale * (math.sqrt(dim) + 5)
    if riemannian:
        needed = (dim - 1) * unit_scale.square() + 6 * unit_scale
    reach = needed.clamp(0.55 * REACH, REACH - 2)
    if riemannian and dim > 1:
        largest = ((9 + (dim - 1) * reach).sqrt() - 3) / (dim - 1)
    else:
        largest = reach / (6 if riemannian else math.sqrt(dim) + 5)
    location = torch.where(K < 0, -K * dim / (REACH - reach).square(), 0.0)
    on_sphere = (K / 4).clamp(max=prior_scale**-2)
    return location, torch.where(K < 0, -K / largest.square(), on_sphere)


def scale_limit(K: float, dim: int, prior_scale: float, riemannian: bool = False) -> float:
    """Largest scale of a posterior at a curvature, infinite for K = 0.

    Parameters
    ----------
    K, dim, prior_scale, riemannian
        As for `posterior_limits`.

    Examples
    --------
    >>> from skccvae.nn.limits import scale_limit
    >>> scale_limit(4.0, 2, 0.5)  # two radii of a sphere
    1.0
    """
    inverse_square = learned_limits(K, dim, prior_scale, riemannian).scale
    return inverse_square**-0.5 if inverse_square > 0 else math.inf


def limited_parameters(
    raw: Tensor,
    raw_scale: Tensor,
    K: float | Tensor,
    dim: int,
    prior_scale: float,
    riemannian: bool,
    limits: Limits | None = None,
) -> tuple[Tensor, Tensor]:
    """Tangent location and log-scale of a posterior from the unlimited outputs of a network.

    Parameters
    ----------
    raw : Tensor of shape (..., d)
        Output of the network for the location.
    raw_scale : Tensor of shape (..., d) or (..., 1)
        Output of the network for the logarithm of the scale.
    K : float or Tensor of shape ()
        Curvature. A tensor gets a gradient through the limits.
    dim, prior_scale, riemannian
        As for `draw_reach`.
    limits : Limits, optional
        `posterior_limits` of a fixed curvature, if already known.

    Returns
    -------
    tangent, log_scale : Tensor
        Shapes of ``raw`` and ``raw_scale``.
    """
    log_scale = soft_bound(raw_scale, LOG_SCALE_BOUND)
    if not isinstance(K, Tensor):
        limits = limits or posterior_limits(K, dim, prior_scale, riemannian)
        return limit_size(raw, limits.location), limit_log_scale(log_scale, limits.scale)
    if limits is None and K.device.type != "cpu":
        size, width = limits_on_device(K, dim, prior_scale, riemannian)
        return limit_size(raw, size), limit_log_scale(log_scale, width)
    limits = limits or learned_limits(float(K.detach()), dim, prior_scale, riemannian)
    # A limit is constant or proportional to K.
    if limits.location_slope:
        raw = limit_size(raw, K * limits.location_slope, limits.location)
    scale = K * limits.scale_slope if limits.scale_slope else limits.scale
    return raw, limit_log_scale(log_scale, scale)
