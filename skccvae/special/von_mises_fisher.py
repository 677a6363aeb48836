r"""Functions of the von Mises-Fisher concentration: normaliser, divergence, quantiles.

For float64, the exact recurrences of `skccvae.special.bessel` are used. Models train in float32,
where the cost of each tensor operation matters. So for float32, functions of kappa are read from
tables, which are built from the exact functions once per ambient dimension m. All tables share one
bounded coordinate of the concentration,

    xi = kappa / (kappa + c),   c = m - 1,

in which all tabulated functions are analytic up to and including kappa = infinity. So the tables
cover every concentration, and they are accurate to the rounding of float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from skccvae.special._autograd import with_derivative
from skccvae.special.bessel import BesselFamily, bessel_family
from skccvae.special.piecewise_polynomial import cell_nodes, fit_curves, locate, read_curves
from skccvae.special.quantile import RadialQuantile

__all__ = ["vmf_kl_uniform", "vmf_log_normalizer", "vmf_variances"]

_N_CELLS = 64
_CURVE_DEGREE = 3


class ConcentrationGrid(NamedTuple):
    """Positions of concentrations in the tables for one m."""

    inverse: Tensor  # 1 / (kappa + c)
    xi: Tensor  # kappa / (kappa + c)
    cell: Tensor  # cell of xi
    local: Tensor  # position in the cell, in [0, 1]

    def read_quantile(
        self, quantile: RadialQuantile, score: Tensor, kappa: Tensor, m: int
    ) -> tuple[Tensor, Tensor]:
        """Read y = Y - log(1 + kappa / c) and dy/dkappa from a table of `bounded_quantile`."""
        c = m - 1
        shifted, slope = quantile.evaluate_located(score, self.cell, self.local)
        y = shifted - torch.log1p(kappa * (1 / c))
        # dxi/dkappa = c / (kappa + c)^2 and d log(1 + kappa / c)/dkappa = 1 / (kappa + c)
        return y, (slope * self.inverse).mul_(c).sub_(1).mul_(self.inverse)


def concentration_grid(kappa: Tensor, m: int) -> ConcentrationGrid:
    """Locate concentrations (any shape, >= 0) in the tables for ambient dimension m."""
    inverse = (kappa + (m - 1)).reciprocal_()
    xi = kappa * inverse
    return ConcentrationGrid(inverse, xi, *locate(xi * _N_CELLS, _N_CELLS))


@lru_cache(maxsize=256)
def _curves(m: int, device: torch.device) -> Tensor:
    r"""Float32 table of three curves in xi.

    With b = m (m - 1) / 2, they are

    * H = (KL - (m - 1) / 4 log(1 + kappa^2 / b)) / xi^2. The subtracted logarithm behaves like the
      divergence at both ends: like kappa^2 / (2 m) near 0, and like (m - 1) / 2 log kappa.
    * D = dKL/dkappa (kappa^2 + b) / kappa, which is (m - 1) / 2 at both ends.
    * E = (1 - A) (kappa + c), where A is the mean resultant length.

    The divergence, the normaliser and their slopes follow from these curves without cancellation.
    """
    c, b = m - 1, 0.5 * m * (m - 1)
    with torch.inference_mode(False), torch.no_grad():
        xi = cell_nodes(_N_CELLS, _CURVE_DEGREE) / _N_CELLS
        inner = xi[1:-1]  # at the ends, kappa = 0 and kappa = infinity, the limits are known
        kappa = c * inner / (1 - inner)
        family = bessel_family(0.5 * m - 1, kappa)
        logarithm = 0.25 * (m - 1) * torch.log1p(kappa * kappa / b)
        h = (_kl(kappa, family) - logarithm) / (inner * inner)
        d = family.slope * (kappa * kappa + b)
        e = (1 - family.ratio) * (kappa + c)
        # I_v(kappa) ~ exp(kappa) / sqrt(2 pi kappa) gives H at infinity
        half = 0.5 * (m - 1)
        h_end = 0.5 * half * math.log(b) - half - math.lgamma(0.5 * m)
        h_end += 0.5 * math.log(2 * math.pi) - (0.5 * m - 1) * math.log(2)
        ends = torch.tensor(
            [[0.0, half, c], [h_end, half, half]], dtype=torch.float64, device="cpu"
        )
        values = torch.cat((ends[:1], torch.stack((h, d, e), -1), ends[1:]))
        table = fit_curves(values, _N_CELLS, _CURVE_DEGREE)
        return table.to(dtype=torch.float32, device=device)


def _kl(kappa: Tensor, family: BesselFamily) -> Tensor:
    return kappa * family.ratio - family.log_f


def _kl_from_table(kappa: Tensor, m: int, h: Tensor, grid: ConcentrationGrid) -> Tensor:
    logarithm = (kappa * kappa).mul_(2 / (m * (m - 1))).log1p_().mul_(0.25 * (m - 1))
    return logarithm.addcmul_(h * grid.xi, grid.xi)


def vmf_kl_uniform(kappa: Tensor, m: int, grid: ConcentrationGrid | None = None) -> Tensor:
    r"""Kullback-Leibler divergence of a von Mises-Fisher from the uniform distribution.

    KL = kappa A(kappa) - log 0F1(; m/2; kappa^2/4), with derivative kappa A'(kappa).

    Parameters
    ----------
    kappa : Tensor
        Concentrations, any shape, float32 or float64, >= 0 (not checked).
    m : int
        Ambient dimension, at least 2.
    grid : ConcentrationGrid, optional
        `concentration_grid(kappa, m)`, if it is already known.

    Returns
    -------
    Tensor
        Shape and dtype of kappa, in nats. It is about kappa^2 / (2 m) near 0, with full relative
        accuracy, and grows like (m - 1) / 2 log kappa. It can be differentiated once.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import vmf_kl_uniform
    >>> vmf_kl_uniform(torch.tensor([0.0, 1.0, 100.0], dtype=torch.float64), 3)
    tensor([0.0000, 0.1516, 4.2983], dtype=torch.float64)
    """

    def value_and_slope(kappa: Tensor) -> tuple[Tensor, Tensor]:
        if kappa.dtype != torch.float32:
            family = bessel_family(0.5 * m - 1, kappa)
            return _kl(kappa, family), kappa * family.slope
        place = concentration_grid(kappa, m) if grid is None else grid
        h, d, _ = read_curves(_curves(m, kappa.device), place.cell, place.local)
        slope = d.mul(kappa).div_((kappa * kappa).add_(0.5 * m * (m - 1)))
        return _kl_from_table(kappa, m, h, place), slope

    return with_derivative(kappa, value_and_slope)


def vmf_log_normalizer(kappa: Tensor, m: int, grid: ConcentrationGrid | None = None) -> Tensor:
    r"""Logarithm of the mean of exp(kappa (w - 1)) for z uniform on the sphere, w = <mu, z>.

    The log-density of the von Mises-Fisher distribution with respect to the *uniform distribution*
    is kappa (w - 1) minus this value. In this form no large terms cancel at large kappa.

    Parameters
    ----------
    kappa, m, grid
        As for `vmf_kl_uniform`.

    Returns
    -------
    Tensor
        Shape and dtype of kappa; 0 at kappa = 0. It can be differentiated once. The derivative is
        A(kappa) - 1, where A is the mean resultant length.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import vmf_log_normalizer
    >>> vmf_log_normalizer(torch.tensor([2.0], dtype=torch.float64), 3)  # log(sinh(2) / 2) - 2
    tensor([-1.4048], dtype=torch.float64)
    """

    def value_and_slope(kappa: Tensor) -> tuple[Tensor, Tensor]:
        if kappa.dtype != torch.float32:
            family = bessel_family(0.5 * m - 1, kappa)
            return family.log_f_scaled, family.ratio - 1
        place = concentration_grid(kappa, m) if grid is None else grid
        h, _, e = read_curves(_curves(m, kappa.device), place.cell, place.local)
        return -_kl_from_table(kappa, m, h, place) - e * place.xi, -e * place.inverse

    return with_derivative(kappa, value_and_slope)


def vmf_variances(kappa: Tensor, m: int) -> tuple[Tensor, Tensor]:
    r"""Variances of a von Mises-Fisher draw along its mean direction and orthogonal to it.

    If A is the mean resultant length, they are A' and A / kappa.

    Parameters
    ----------
    kappa, m
        As for `vmf_kl_uniform`.

    Returns
    -------
    (Tensor, Tensor)
        Shape and dtype of kappa, computed in float64. Both are 1 / m at kappa = 0. For large kappa
        they decay like (m - 1) / (2 kappa^2) and 1 / kappa. They can be differentiated once.

    References
    ----------
    Mardia and Jupp, "Directional statistics", 2000, appendix 1: A' = 1 - A^2 - (m - 1) A / kappa.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special.von_mises_fisher import vmf_variances
    >>> vmf_variances(torch.tensor([0.0, 10.0]), 3)
    (tensor([0.3333, 0.0100]), tensor([0.3333, 0.0900]))
    """

    def along_and_across(kappa: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        _, _, ratio, slope = bessel_family(0.5 * m - 1, kappa)
        kappa = kappa.to(ratio.dtype)
        large = kappa > 1
        small = (1 - ratio.square() - slope) / (m - 1)
        across = torch.where(large, ratio / torch.where(large, kappa, 1.0), small)
        # (A' - A / kappa) / kappa, by the first term of its series where it cancels
        near = kappa < 1e-4 * m
        difference = (slope - across) / torch.where(near, 1.0, kappa)
        across_slope = torch.where(near, -2 * kappa / (m * m * (m + 2)), difference)
        return slope, across, -2 * ratio * slope - (m - 1) * across_slope, across_slope

    along = with_derivative(kappa, lambda kappa: along_and_across(kappa)[::2])
    across = with_derivative(kappa, lambda kappa: along_and_across(kappa)[1::2])
    return along, across


def bounded_quantile(
    m: int, dtype: torch.dtype, log_ratio: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> RadialQuantile:
    r"""Quantile table of Y = 2 log tan(theta / 2) + log(1 + kappa / c), with theta the angle to mu.

    The uniform distribution's density of y = 2 log tan(theta / 2) is proportional to (sin
    theta)^(m-1). Adding log(1 + kappa / c) = -log(1 - xi) keeps Y bounded as kappa grows. In terms
    of Y and xi the density has no singularity at xi = 1. (For a von Mises-Fisher distribution, 4 c
    e^Y has a chi-square distribution there.)

    Parameters
    ----------
    m : int
        Ambient dimension.
    dtype : torch.dtype
        The table for float32 is cheaper to read. It is accurate to the rounding of float32 (to 1e-5
        in the tails at m = 2).
    log_ratio : callable
        ``log_ratio(Y, q, log1p(q e^Y))`` with q = 1 - xi is the distribution's log-density with
        respect to the uniform distribution, divided by c.
    """

    def log_density(y: Tensor, xi: Tensor) -> Tensor:
        q = 1 - xi
        log1p_qy = torch.logaddexp(torch.zeros_like(y), y + torch.log(q))
        return (m - 1) * (0.5 * y - log1p_qy + log_ratio(y, q, log1p_qy))

    if dtype == torch.float64:
        return RadialQuantile(log_density, 0.0, 1.0, n_cells=(64, _N_CELLS), degree=5)
    return RadialQuantile(log_density, 0.0, 1.0, n_cells=(96, _N_CELLS), degree=3)


@lru_cache(maxsize=256)
def vmf_quantile(m: int, dtype: torch.dtype) -> RadialQuantile:
    """Quantile table of the von Mises-Fisher distribution; see `bounded_quantile`."""
    # kappa (w - 1) / c with w = -tanh(y / 2), kappa = c xi / q and y = Y + log q
    return bounded_quantile(m, dtype, lambda y, q, _: -2 * (1 - q) / (torch.exp(-y) + q))


def vmf_log_tangent(
    score: Tensor, kappa: Tensor, m: int, grid: ConcentrationGrid
) -> tuple[Tensor, Tensor]:
    r"""Quantile y = 2 log tan(theta / 2) of the angle to the mean, and dy/dkappa.

    Parameters
    ----------
    score : Tensor
        Standard normal scores.
    kappa : Tensor
        Concentrations; they broadcast against the scores.
    m : int
        Ambient dimension.
    grid : ConcentrationGrid
        `concentration_grid(kappa, m)`.

    Returns
    -------
    (Tensor, Tensor)
        y and dy/dkappa, with the broadcast shape. w = -tanh(y / 2) and sin(theta) = sech(y / 2).
    """
    return grid.read_quantile(vmf_quantile(m, kappa.dtype), score, kappa, m)
