"""Float64 versions of the values that `skccvae.kernels.radius_table` reads from its table."""

from __future__ import annotations

import math

from torch import Tensor

from skccvae.kernels.radius_table import RadiusValues
from skccvae.special.riemannian_normal import partition, radius_and_slope
from skccvae.special.riemannian_quadrature import log_chi_mass

__all__ = ["exact_values", "near_flat_values"]


def exact_values(score: Tensor, log_scale: Tensor, K: float, d: int) -> RadiusValues:
    """Float64 version of `RadiusTable.evaluate`. Its log_theta_slope is that of log(theta)."""
    sign = 1 if K > 0 else -1
    scale = log_scale.exp()
    c = K * scale * scale
    rho, slope = radius_and_slope(score, c, d, sign)
    values = partition(c, d, sign)
    log_mass_slope = values.slope * (sign / d)
    return RadiusValues(
        math.sqrt(abs(K)) * scale * rho,
        1 + 2 * c * slope / rho,
        d * log_scale + values.log_mass - log_chi_mass(d),
        values.square,
        slope / rho * (sign / d),
        log_mass_slope * (1 + c * d) if sign > 0 else log_mass_slope,
    )


def near_flat_values(
    values: RadiusValues, log_scale: Tensor, K: float, target: float, d: int
) -> RadiusValues:
    """Convert values from the float32 table at K to float64 values at a nearby curvature `target`.

    `log_theta_slope` and `square` are computed from derivatives that keep their digits as K -> 0.
    """
    theta, _, log_mass, square, log_rho_slope, log_mass_slope = (v.double() for v in values)
    w = abs(target) * d * (2 * log_scale).exp()
    if K > 0:
        log_mass_slope = log_mass_slope / (1 + w)
    if (target > 0) != (K > 0):
        log_rho_slope, log_mass_slope = -log_rho_slope, -log_mass_slope
    theta = theta * math.sqrt(abs(target / K))
    return RadiusValues(
        theta,
        1 + 2 * w * log_rho_slope,
        log_mass,
        d + 2 * w * log_mass_slope,
        log_rho_slope,
        log_mass_slope,
    )
