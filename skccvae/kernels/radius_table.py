r"""One float32 table with everything that a Riemannian normal training step reads.

The arc theta = sqrt(|c|) rho is the distance of a draw from its location in units of the radius of
curvature. It depends only on its normal score (see `skccvae.special.quantile`) and on c = K s^2. A
step needs theta, its derivative in log s, the normaliser and the mean square of rho. Without their
singular factors at the ends, all four are smooth in the score and in the bounded coordinate of
c. One look-up and two short Horner schemes evaluate them.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from skccvae.special.piecewise_polynomial import (
    cell_nodes,
    fit_curves,
    fit_surface,
)
from skccvae.special.quantile import SCORE_LIMIT
from skccvae.special.riemannian_normal import partition, radius_and_slope
from skccvae.special.riemannian_quadrature import LARGEST_W, negative_end, quantile

__all__ = ["RadiusTable", "radius_table"]

_N_CELLS = 64
_DEGREE = 3
_N_CHI = 128
_CHI_DEGREE = 4


class RadiusValues(NamedTuple):
    """Values that a step needs for each row, all of shape (n, 1)."""

    theta: Tensor  # sqrt(|c|) rho
    log_theta_slope: Tensor  # derivative in log s of log(theta); for c > 0 of log(tan(theta/2))
    log_mass: Tensor  # d log s + log Z(c)/Z(0)
    square: Tensor  # E[rho^2], the derivative of log_mass in log s
    log_rho_slope: Tensor  # derivative of log(rho) in w = |c| d
    log_mass_slope: Tensor  # derivative of log Z in w; for c > 0 times 1 + w


class RadiusTable:
    r"""Table for one dimension and one sign of the curvature.

    Parameters
    ----------
    d : int
        Intrinsic dimension.
    sign : {-1, 1}
        Sign of the curvature.

    Notes
    -----
    With w = |c| d and Y as in `skccvae.special.riemannian_quadrature`,

    * c < 0: theta = exp(Y) sqrt(w (1 + w)/d), up to w = 255. There the coordinates of a draw are
      far outside the range of float32. Beyond w = 255, the table extrapolates the last cell.
    * c > 0: tan(theta/2) = exp(Y) sqrt(w/((1 + w) d))/2, for every w.

    For each power of x, a row of the table holds the coefficients, in powers of the score, of Y
    (plus constants) and of two derivatives, interleaved, and then the coefficients of the three
    curves.
    """

    def __init__(self, d: int, sign: int) -> None:
        self.d, self.sign = d, sign
        n, degree = _N_CELLS, _DEGREE
        with torch.inference_mode(False), torch.no_grad():
            nodes = cell_nodes(n, degree)
            score = nodes * (2 * SCORE_LIMIT / n) - SCORE_LIMIT
            x = nodes / n * (negative_end() if sign < 0 else 1.0)
            y, slope = quantile(d, sign, torch.float64).evaluate(
                *torch.broadcast_tensors(score.unsqueeze(-1), x)
            )
            y = y - 0.5 * math.log(d) - (math.log(2) if sign > 0 else 0.0)
            if sign > 0:
                # x has the derivative 2 x (1 - x) in log s
                log_theta_slope = 2 * x * (1 - x) * slope + (1 - x)
                # so close to c = infinity that the values equal their limits
                inner = x.clamp(max=1 - 1e-9)
                w = inner / (1 - inner)
                values = partition(w / d, d, 1)
                curves = (values.log_mass + 0.5 * d * torch.log1p(w), values.square * (1 + w))
                log_mass_slope = values.slope * (1 + w) / d
            else:
                w = torch.expm1(x).clamp(max=LARGEST_W)
                # besides Y, log(theta) has a part whose derivative in log s is 1 + w/(1 + w)
                w = 0 * w if d == 1 else w
                fraction = -torch.expm1(-x)
                log_theta_slope = 2 * fraction * slope + 1 + fraction
                if d == 1:
                    y, log_theta_slope = y[:, :1].expand_as(y), torch.ones_like(log_theta_slope)
                values = partition(-w / d, d, -1)
                curves = (values.log_mass, values.square)
                log_mass_slope = values.slope * (-1 / d)
            log_mass = curves[0] - partition(x.new_zeros(1), d, 1).log_mass
            scores, c = torch.broadcast_tensors(score.unsqueeze(-1), sign * w / d)
            rho, log_rho_slope = radius_and_slope(scores, c, d, sign)
            parts = (y, log_theta_slope, log_rho_slope / rho * (sign / d))
            surfaces = torch.stack([fit_surface(v, (n, n), degree) for v in parts], -1)
            # (cell, power of score, power of x, 3) -> (cell, power of x, interleaved)
            by_x = surfaces.transpose(1, 2).reshape(n * n, degree + 1, -1)
            columns = torch.stack((log_mass, curves[1], log_mass_slope), -1)
            curve_rows = fit_curves(columns, n, degree).repeat(n, 1, 1)
            self._rows = torch.cat((by_x, curve_rows), -1).to(torch.float32).contiguous()
            # as tensors, because torch converts a Python number again in each operation
            per_x = n / (negative_end() if sign < 0 else 1.0)
            self._constants = [
                torch.tensor(v, dtype=torch.float32, device="cpu")
                for v in (
                    [[[n / (2 * SCORE_LIMIT)]], [[per_x]]],
                    [[[0.5 * n]], [[0.0]]],
                    [[[0.0]], [[0.0]]],
                    [[[float(n)]], [[math.inf]]],
                )
            ]
        self._copies: dict[torch.device, list[Tensor]] = {}

    def on(self, device: torch.device) -> list[Tensor]:
        """Rows, scale, offset, and the smallest and largest position, on a device."""
        found = self._copies.get(device)
        if found is None:
            with torch.inference_mode(False):
                found = [part.to(device) for part in (self._rows, *self._constants)]
            self._copies[device] = found
        return found

    def evaluate(self, score: Tensor, log_scale: Tensor, shift: Tensor | float) -> RadiusValues:
        """Read the table, outside autograd.

        Parameters
        ----------
        score : Tensor
            Normal scores, shape (n, 1), float32. They saturate at the magnitude `SCORE_LIMIT`.
        log_scale : Tensor
            log s, shape (n, 1), float32.
        shift : Tensor or float
            log(|K| d). A tensor is cheaper than a float.

        Returns
        -------
        RadiusValues
            Shape (n, 1). They are NaN where an argument is NaN.
        """
        rows, scale, offset, low, high = self.on(score.device)
        log_relative = torch.add(shift, log_scale, alpha=2)
        log1p_w = softplus(log_relative)
        sphere = self.sign > 0
        x = torch.sigmoid(log_relative) if sphere else log1p_w
        # both coordinates at once, because an operation costs more than the arithmetic in it
        position = torch.addcmul(offset, torch.stack((score, x)), scale)
        position = torch.clamp(position, low, high)
        cell = position.long().clamp_(0, _N_CELLS - 1)  # the second clamp is for NaN
        t_score, t_x = (position - cell).unbind(0)
        score_cell, x_cell = cell.unbind(0)
        index = torch.add(x_cell, score_cell, alpha=_N_CELLS).view(-1)
        c0, c1, c2, c3 = rows.index_select(0, index).unbind(1)
        row = torch.addcmul(c0, torch.addcmul(c1, torch.addcmul(c2, c3, t_x), t_x), t_x)
        c0, c1, c2, c3, curves = row.view(-1, _DEGREE + 2, 3).unbind(1)
        surfaces = torch.addcmul(
            c0, torch.addcmul(c1, torch.addcmul(c2, c3, t_score), t_score), t_score
        )
        y, log_theta_slope, log_rho_slope = surfaces.split(1, -1)
        log_mass, square, log_mass_slope = curves.split(1, -1)
        log_mass = torch.add(log_mass, log_scale, alpha=self.d)
        if sphere:
            half = torch.add(y, log_relative - log1p_w, alpha=0.5).exp_()
            log_mass.sub_(log1p_w, alpha=0.5 * self.d)
            theta = half.atan_().mul_(2)
            return RadiusValues(
                theta, log_theta_slope, log_mass, square * (1 - x), log_rho_slope, log_mass_slope
            )
        if self.d > 1:
            log_relative.add_(log1p_w)
        theta = torch.add(y, log_relative, alpha=0.5).exp_()
        return RadiusValues(theta, log_theta_slope, log_mass, square, log_rho_slope, log_mass_slope)


@lru_cache(maxsize=256)
def _chi_curve(d: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Table of the log-quantile of chi over the score, and the position of score 0."""
    with torch.inference_mode(False), torch.no_grad():
        score = cell_nodes(_N_CHI, _CHI_DEGREE) * (2 * SCORE_LIMIT / _N_CHI) - SCORE_LIMIT
        y, _ = quantile(d, 1, torch.float64).evaluate(score, torch.zeros_like(score))
        rows = fit_curves(y.unsqueeze(-1), _N_CHI, _CHI_DEGREE).to(device=device, dtype=dtype)
        return rows, rows.new_full((), 0.5 * _N_CHI)


def chi_radius(score: Tensor, d: int) -> Tensor:
    """Radius at c = 0 (the quantile of the chi distribution), outside autograd.

    Parameters
    ----------
    score : Tensor
        Normal scores, shape (n, 1).
    d : int
        Dimension.
    """
    rows, middle = _chi_curve(d, score.device, score.dtype)
    position = torch.add(middle, score, alpha=_N_CHI / (2 * SCORE_LIMIT)).clamp_(0, _N_CHI)
    cell = position.long().clamp_(0, _N_CHI - 1)
    t = position - cell
    *lower, value = rows.index_select(0, cell.view(-1)).unbind(1)
    for coefficient in reversed(lower):
        value = torch.addcmul(coefficient, value, t)
    return value.exp_()


@lru_cache(maxsize=256)
def radius_table(d: int, sign: int) -> RadiusTable:
    """Table for dimension d and one sign of the curvature."""
    return RadiusTable(d, sign)
