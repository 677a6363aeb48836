r"""One-dimensional laws behind the Riemannian normal distribution, and their exact quadrature.

In units of its scale s, the distance rho of a draw to the location has the density

.. math:: e^{-\rho^2/2} \sin_c(\rho)^{d-1} / Z(c), \qquad c = K s^2,

a family in one signed number c, which passes through c = 0 (the chi law) smoothly. With
``w = |c| d`` as the natural size of that number, each sign has its own bounded coordinate and its
own variable on the line, in which quantiles are smooth and keep relative accuracy:

* c < 0: ``x = log(1 + w)``, up to w = 255. Beyond, the law is the normal law of mean
  ``(d - 1) sqrt(-c)`` and variance 1 to more digits than float64 has. The variable is
  ``Y = log rho - x/2``.
* c > 0: ``x = w/(1 + w)``, up to and including 1, the uniform law on the sphere. With theta =
  sqrt(c) rho the variable is ``Y = log(2 tan(theta/2)/sqrt(c)) + log(1 + w)/2``, so that
  ``tan(theta/2) = sqrt(x/d) exp(Y)/2``: nothing is singular at either end.
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
    _find_edge,
    _find_modes,
    _integrate,
)
from skccvae.special.stumpff import log_sinc_root

__all__ = [
    "LARGEST",
    "curves",
    "log_chi_mass",
    "log_integral",
    "moments",
    "negative_end",
    "quantile",
]

#: Where the tables of c < 0 end: there (d - 1) sqrt(-c) is so large that sinh is an exponential.
LARGEST = 255.0

_BRACKET = (-80.0, 80.0)
_N_CELLS = 64
_N_CURVE_CELLS = 40
_CURVE_DEGREE = 7
_N_PIECES = 96  # of the window of integration, six Gauss-Legendre nodes each


def negative_end() -> float:
    """Last coordinate x of the tables of c < 0."""
    return math.log1p(LARGEST)


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
    """Unnormalised log-density with respect to dY; its constants are those of `moments`."""

    def negative(y: Tensor, x: Tensor) -> Tensor:
        rho = torch.exp(y + 0.5 * x)
        theta = (rho * torch.sqrt(torch.expm1(x) / d)).clamp_min(1e-150)
        # log(sinh(theta)/theta); expm1 keeps its digits, so no series is needed at small theta
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
        Sign of c; both tables contain c = 0.
    dtype : torch.dtype
        float32 gets a table that is cheaper to read.
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
    """Log-density (n, 1) at the mode, and the edges of the pieces of the window around it."""
    mode = _find_modes(log_density, x, _BRACKET)
    u = torch.arange(_N_PIECES // 2 + 1, dtype=torch.float64, device="cpu") / (_N_PIECES // 2)
    grading = 0.3 * u + 0.7 * u * u
    left = mode + (_find_edge(log_density, x, mode, _BRACKET[0]) - mode) * grading.flip(0)
    right = mode + (_find_edge(log_density, x, mode, _BRACKET[1]) - mode) * grading
    return log_density(mode, x), torch.cat((left[:, :-1], right), -1)


def _integrate_window(
    log_density: LogDensity, x: Tensor, peak: Tensor, knots: Tensor, value: LogDensity | None
) -> Tensor:
    """Integral of exp(log_density - peak) times a function, shape (n,)."""

    def weighted(y: Tensor) -> Tensor:
        density = torch.exp(log_density(y, x) - peak)
        return density if value is None else density * value(y, x)

    return _integrate(weighted, knots[:, :-1], knots[:, 1:]).sum(-1)


def log_integral(log_density: LogDensity, x: Tensor) -> Tensor:
    """Logarithm of the integral over y of exp(log_density(y, x)), for every parameter of x (n,).

    The one quadrature behind all radial laws; see `RadialQuantile` for what it asks of a density,
    whose mode and mass must lie in -80 < y < 80.
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
        Shape (n,). For c < 0: ``log(Z(c)/Z(0))``, ``E[rho^2]`` and ``d log Z/dw``. For c > 0 the
        same after what is singular at x = 1 is split off: ``log(Z(c)/Z(0)) + d/2 log(1 + w)``,
        ``(1 + w) E[rho^2]`` and ``(1 + w) d log Z/dw``.

    Notes
    -----
    Composite Gauss-Legendre rule around the mode, to where the density has fallen by exp(-60).
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
    # E[rho^2] = d + 2 w d log Z/dw, but where w is small
    w = torch.expm1(x) if sign < 0 else x / (1 - x)
    rest = square - d if sign < 0 else square * (1 - x) - d
    slope = rest / (2 * (w if sign < 0 else x)).clamp_min(0.1)
    if d > 1:
        x = x.unsqueeze(-1)
        slope[near] = (d - 1) / d * integral(near, slope_of) / mass[near]
    elif sign > 0:
        # c enters through the end of the range alone
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
