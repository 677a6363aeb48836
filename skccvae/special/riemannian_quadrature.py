r"""Quadrature for the radius of the Riemannian normal distribution.

In units of the scale s, the distance rho of a draw from its location has the density

.. math:: e^{-\rho^2/2} \sin_c(\rho)^{d-1} / Z(c), \qquad c = K s^2.

This family depends on one signed number c and passes smoothly through the chi distribution at c =
0. Let ``w = |c| d``. For each sign of c, the tables replace c by a bounded coordinate x, and rho by
a variable Y on the whole line, whose quantiles are smooth and keep their relative accuracy:

* c < 0: ``x = log(1 + w)``, up to w = 255. Beyond that, the distribution equals the normal one
  with mean ``(d - 1) sqrt(-c)`` and variance 1, to more digits than float64 has. The variable is
  ``Y = log rho - x/2``.
* c > 0: ``x = w/(1 + w)``, up to and including x = 1, the uniform distribution on the sphere. With
  ``theta = sqrt(c) rho``, the variable is ``Y = log(2 tan(theta/2)/sqrt(c)) + log(1 + w)/2``, so
  ``tan(theta/2) = sqrt(x/d) exp(Y)/2`` and neither end is singular.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from skccvae.special.piecewise_polynomial import cell_nodes, fit_curves
from skccvae.special.quantile import (
    LogDensity,
    RadialQuantile,
    find_edge,
    find_modes,
    integrate,
)
from skccvae.special.stumpff import log_sinc_root

__all__ = [
    "LARGEST_W",
    "curves",
    "log_chi_mass",
    "log_integral",
    "moments",
    "negative_end",
    "quantile",
]

#: Largest w = |c| d in the tables for c < 0. Beyond it, sinh is an exponential to all digits.
LARGEST_W = 255.0

_BRACKET = (-80.0, 80.0)
_N_CELLS = 64
_N_CURVE_CELLS = 40
_CURVE_DEGREE = 7
_N_PIECES = 96  # pieces of the integral, with six Gauss-Legendre nodes each


def negative_end() -> float:
    """Largest coordinate x in the tables for c < 0."""
    return math.log1p(LARGEST_W)


def log_chi_mass(d: int) -> float:
    """Logarithm of Z(0), the integral of exp(-rho^2 / 2) rho^(d-1)."""
    return (0.5 * d - 1) * math.log(2) + math.lgamma(0.5 * d)


def _ratio_arctan(t: Tensor) -> Tensor:
    """arctan(t)/t for t >= 0, 1 at 0."""
    small = t < 1e-4
    safe = torch.where(small, 1.0, t)
    return torch.where(small, 1 - t * t / 3, torch.atan(safe) / safe)


def _half_tangent(y: Tensor, x: Tensor, d: int) -> Tensor:
    return torch.exp(y + 0.5 * torch.log(x / d)) * 0.5


def _log_density(d: int, sign: int) -> LogDensity:
    """Unnormalised log-density of Y, with the constants that `moments` relies on."""

    def negative(y: Tensor, x: Tensor) -> Tensor:
        rho = torch.exp(y + 0.5 * x)
        theta = (rho * torch.sqrt(torch.expm1(x) / d)).clamp_min(1e-150)
        # log(sinh(theta)/theta); expm1 keeps the digits, so small theta needs no series
        log_sinc = theta + torch.log(-torch.expm1(-2 * theta) / (2 * theta))
        return d * (y + 0.5 * x) - 0.5 * rho * rho + (d - 1) * log_sinc

    def positive(y: Tensor, x: Tensor) -> Tensor:
        t = _half_tangent(y, x, d)
        square = (1 - x) * torch.exp(2 * y) * _ratio_arctan(t).square()
        return d * (y - torch.log1p(t * t)) - 0.5 * square

    return negative if sign < 0 else positive


@lru_cache(maxsize=256)
def quantile(d: int, sign: int, dtype: torch.dtype) -> RadialQuantile:
    """Quantile table of Y in dimension d, for one sign of the curvature.

    Parameters
    ----------
    d : int
        Intrinsic dimension.
    sign : {-1, 1}
        Sign of c. Both tables contain c = 0.
    dtype : torch.dtype
        The table for float32 is cheaper to read.
    """
    upper = negative_end() if sign < 0 else 1.0
    n_cells, degree = ((64, _N_CELLS), 5) if dtype == torch.float64 else ((96, _N_CELLS), 3)
    return RadialQuantile(
        _log_density(d, sign), 0.0, upper, n_cells=n_cells, degree=degree, bracket=_BRACKET
    )


def _slope_of_log_sinc(x: Tensor, sign: int) -> Tensor:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(log_sinc_root(x, sign).sum(), x)
    return slope


def _window(log_density: LogDensity, x: Tensor) -> tuple[Tensor, Tensor]:
    """Log-density (n, 1) at the mode, and the knots between the pieces of the integral."""
    mode = find_modes(log_density, x, _BRACKET)
    u = torch.arange(_N_PIECES // 2 + 1, dtype=torch.float64, device="cpu") / (_N_PIECES // 2)
    grading = 0.3 * u + 0.7 * u * u
    left = mode + (find_edge(log_density, x, mode, _BRACKET[0]) - mode) * grading.flip(0)
    right = mode + (find_edge(log_density, x, mode, _BRACKET[1]) - mode) * grading
    return log_density(mode, x), torch.cat((left[:, :-1], right), -1)


def _integrate_window(
    log_density: LogDensity, x: Tensor, peak: Tensor, knots: Tensor, value: LogDensity | None
) -> Tensor:
    """Integral of exp(log_density - peak) times a function, shape (n,)."""

    def weighted(y: Tensor) -> Tensor:
        density = torch.exp(log_density(y, x) - peak)
        return density if value is None else density * value(y, x)

    return integrate(weighted, knots[:, :-1], knots[:, 1:]).sum(-1)


def log_integral(log_density: LogDensity, x: Tensor) -> Tensor:
    """Logarithm of the integral over y of exp(log_density(y, x)), for each parameter in x (n,).

    `RadialQuantile` states the conditions on the density. Its mode and mass must lie in
    -80 < y < 80.
    """
    x = x.unsqueeze(-1)
    peak, knots = _window(log_density, x)
    mass = _integrate_window(log_density, x, peak, knots, None)
    return peak.squeeze(-1) + torch.log(mass)


def moments(x: Tensor, d: int, sign: int) -> tuple[Tensor, Tensor, Tensor]:
    r"""Quadrature of log Z, the mean square and the derivative of log Z, in float64.

    Parameters
    ----------
    x : Tensor
        Coordinates of c, shape (n,), float64 on the CPU.
    d, sign : int
        Dimension and sign of c.

    Returns
    -------
    log_mass, square, slope : Tensor
        Shape (n,). For c < 0: ``log(Z(c)/Z(0))``, ``E[rho^2]`` and ``d log Z/dw``. For c > 0,
        the same without their singular factors at x = 1: ``log(Z(c)/Z(0)) + d/2 log(1 + w)``,
        ``(1 + w) E[rho^2]`` and ``(1 + w) d log Z/dw``.

    Notes
    -----
    The rule is a composite Gauss-Legendre rule, up to where the density is exp(-60) of its maximum.
    """
    log_density = _log_density(d, sign)
    near = x < 0.3
    x = x.unsqueeze(-1)
    peak, knots = _window(log_density, x)

    def integral(rows: Tensor, value: LogDensity | None) -> Tensor:
        return _integrate_window(log_density, x[rows], peak[rows], knots[rows], value)

    def square_of(y: Tensor, x: Tensor) -> Tensor:
        if sign < 0:
            return torch.exp(2 * y + x)
        return torch.exp(2 * y) * _ratio_arctan(_half_tangent(y, x, d)).square()

    def slope_of(y: Tensor, x: Tensor) -> Tensor:
        square = square_of(y, x)
        angle = square * (-torch.expm1(x) / d if sign < 0 else x / d)
        return sign * square * _slope_of_log_sinc(angle, sign)

    everywhere = torch.ones_like(near)
    mass = integral(everywhere, None)
    square = integral(everywhere, square_of) / mass
    log_mass = peak.squeeze(-1) + torch.log(mass) - log_chi_mass(d)
    x = x.squeeze(-1)
    # from E[rho^2] = d + 2 w d log Z/dw, except where w is small and this cancels
    w = torch.expm1(x) if sign < 0 else x / (1 - x)
    rest = square - d if sign < 0 else square * (1 - x) - d
    slope = rest / (2 * (w if sign < 0 else x)).clamp_min(0.1)
    if d > 1:
        x = x.unsqueeze(-1)
        slope[near] = (d - 1) / d * integral(near, slope_of) / mass[near]
    elif sign > 0:
        # in one dimension, c only sets the end of the range of rho
        c = w[near].clamp_min(1e-6)
        edge = -0.5 * math.pi**2 / c + 1.5 * torch.log1p(c) - 1.5 * torch.log(c)
        slope[near] = -0.5 * math.pi * torch.exp(edge - log_mass[near] - log_chi_mass(1))
    else:
        slope = torch.zeros_like(slope)
    return log_mass, square, slope


@lru_cache(maxsize=256)
def curves(d: int, sign: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Table of the three curves of `moments`, for `piecewise_polynomial.read_curves`."""
    with torch.inference_mode(False), torch.no_grad():
        x = cell_nodes(_N_CURVE_CELLS, _CURVE_DEGREE) / _N_CURVE_CELLS
        x = x * (negative_end() if sign < 0 else 1.0)
        values = torch.stack(moments(x, d, sign), -1)
        return fit_curves(values, _N_CURVE_CELLS, _CURVE_DEGREE).to(dtype=dtype, device=device)
