"""Float32 table of `skccvae.special.projected_normal_radius` for a training step.

As functions of theta = asinh(alpha / (2 sqrt(m))), two quantities are smooth and bounded: the
logarithm of the integral minus (m - 1) theta, and alpha times the excess of the mean. A row of the
table holds the coefficients of both and of their derivatives in theta, so one look-up and one
Horner scheme give all four. Each agrees with `radius_and_slopes` to within a few rounding units of
its largest term.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from skccvae.special.piecewise_polynomial import cell_nodes, fit_curves
from skccvae.special.projected_normal import radius_and_slopes

__all__ = ["RadiusTable", "radius_table"]

_DEGREE = 5
_CELL = 0.125
#: theta of the largest useful alpha, about 1e9 for small m. Beyond it, the curves are constant.
_LAST = 21.0


class RadiusValues(NamedTuple):
    """Values that a step needs for each draw, all of shape (n,)."""

    log_integral: Tensor
    product: Tensor  # alpha times the excess
    mean_square: Tensor
    log_integral_slope: Tensor  # derivative in theta, like the next one
    product_slope: Tensor
    theta_slope: Tensor  # dtheta/dalpha


class RadiusTable:
    """Table for one ambient dimension m.

    The draws of a projected normal have alpha >= -|e|, where e is the noise. The table begins at
    alpha = -sqrt(m) - 9. A normal vector longer than sqrt(m) + 9 has probability 1e-18.
    """

    def __init__(self, m: int) -> None:
        self.m = m
        root = math.sqrt(m)
        self._first = math.floor(math.asinh(-(root + 9) / (2 * root)) / _CELL)
        self._n_cells = math.ceil(_LAST / _CELL) - self._first
        with torch.inference_mode(False), torch.no_grad():
            theta = _CELL * (self._first + cell_nodes(self._n_cells, _DEGREE))
            alpha = 2 * root * torch.sinh(theta)
            log_integral, excess, *_ = radius_and_slopes(alpha, m)[0]
            curves = torch.stack((log_integral - (m - 1) * theta, alpha * excess), -1)
            table = fit_curves(curves, self._n_cells, _DEGREE)
            powers = torch.arange(1, _DEGREE + 1, dtype=torch.float64, device="cpu")
            slopes = torch.zeros_like(table)
            slopes[:, :-1] = table[:, 1:] * (powers / _CELL).unsqueeze(-1)
            self._table = torch.cat((table, slopes), -1).float()
        self._copies: dict[torch.device, Tensor] = {}

    def evaluate(self, alpha: Tensor) -> RadiusValues:
        """Read the table, outside autograd; alpha is float32 of any shape."""
        table = self._copies.get(alpha.device)
        if table is None:
            with torch.inference_mode(False):
                table = self._copies[alpha.device] = self._table.to(alpha.device)
        m = self.m
        theta = torch.asinh(alpha * (0.5 / math.sqrt(m)))
        # Cells begin at multiples of a power of two, so no digit of theta is lost.
        position = theta * (1 / _CELL)
        # clamped after the conversion to an integer, so that a NaN reads some row
        cell = (position.floor().long() - self._first).clamp_(0, self._n_cells - 1)
        t = (position - (cell + self._first)).clamp_(0, 1).unsqueeze(-1)
        *lower, value = table[cell].unbind(-2)
        for coefficient in reversed(lower):
            value = torch.addcmul(coefficient, value, t)
        bounded, product, slope, product_slope = value.unbind(-1)
        square = alpha * alpha
        return RadiusValues(
            torch.add(bounded, theta, alpha=m - 1),
            product,
            square + m + product,
            slope + (m - 1),
            product_slope,
            (square + 4 * m).rsqrt(),
        )


@lru_cache(maxsize=128)
def radius_table(m: int) -> RadiusTable:
    """Table of the projected normal in R^m."""
    return RadiusTable(m)
