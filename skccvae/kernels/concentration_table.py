r"""One float32 table with everything that a training step on the sphere reads.

For a rotationally symmetric distribution with concentration kappa in a fixed ambient dimension m, a
step needs the quantile of the angle, the divergence from the uniform distribution, and the
derivatives of both. Without their singular factors at kappa = 0 and infinity, all four are smooth
in the normal score (see `skccvae.special.quantile`) and in xi = kappa / (kappa + c) with c = m - 1.
One look-up and two short Horner schemes evaluate all four.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from skccvae.special.bessel import bessel_family
from skccvae.special.piecewise_polynomial import cell_nodes, fit_curves, fit_surface
from skccvae.special.power_spherical import power_spherical_kl_uniform, power_spherical_quantile
from skccvae.special.quantile import SCORE_LIMIT, RadialQuantile
from skccvae.special.von_mises_fisher import vmf_quantile

__all__ = ["ConcentrationTable", "power_spherical_table", "von_mises_fisher_table"]

_N_CELLS = 64
_DEGREE = 3

KLWithSlope = Callable[[Tensor], tuple[Tensor, Tensor]]


class ConcentrationValues(NamedTuple):
    """Values that a step needs for each row, all of shape (n,)."""

    cosine: Tensor  # w = cos(theta), with theta the angle to the location
    versine: Tensor  # (1 - w) / 2
    angle_slope: Tensor  # -1/2 dy/dlog(kappa), y = 2 log tan(theta / 2)
    kl: Tensor  # divergence from the uniform distribution
    kl_slope: Tensor  # dKL/dlog(kappa)


class ConcentrationTable:
    r"""Table for one distribution in one ambient dimension.

    Parameters
    ----------
    m : int
        Ambient dimension.
    quantile : RadialQuantile
        Float64 table of Y = y + log(1 + kappa / c) as a function of score and xi.
    kl_with_slope : callable
        kappa -> (KL, dKL/dlog(kappa)) in float64, with full relative accuracy.

    Notes
    -----
    With b = m (m - 1) / 2, the divergence is (m - 1) / 4 log(1 + kappa^2 / b) + xi^2 H(xi), and its
    slope is xi^2 D(xi). So both keep their relative accuracy as kappa -> 0. For each power of xi, a
    row of the table holds the coefficients, in powers of the score, of Y and -1/2 dy/dlog(kappa)
    (interleaved), and then the coefficients of H and D.
    """

    def __init__(self, m: int, quantile: RadialQuantile, kl_with_slope: KLWithSlope) -> None:
        self.m = m
        n, degree = _N_CELLS, _DEGREE
        with torch.inference_mode(False), torch.no_grad():
            nodes = cell_nodes(n, degree)
            score = nodes * (2 * SCORE_LIMIT / n) - SCORE_LIMIT
            xi = nodes / n
            y, slope = quantile.evaluate(*torch.broadcast_tensors(score.unsqueeze(-1), xi))
            angle_slope = 0.5 * xi * (1 - slope * (1 - xi))
            # the curves have finite limits at both ends, and these points come within 1e-7 of them
            inner = xi.clamp(1e-7, 1 - 1e-7)
            kappa = (m - 1) * inner / (1 - inner)
            kl, kl_slope = kl_with_slope(kappa)
            logarithm = 0.25 * (m - 1) * torch.log1p(kappa * kappa * (2 / (m * (m - 1))))
            square = inner * inner
            curves = torch.stack(((kl - logarithm) / square, kl_slope / square), -1)
            surfaces = torch.stack([fit_surface(v, (n, n), degree) for v in (y, angle_slope)], -1)
            # (cell, power of score, power of xi, 2) -> (cell, power of xi, interleaved)
            by_xi = surfaces.transpose(1, 2).reshape(n * n, degree + 1, -1)
            curve_rows = fit_curves(curves, n, degree).repeat(n, 1, 1)
            self._rows = torch.cat((by_xi, curve_rows), -1).to(torch.float32).contiguous()
            # as tensors, because torch converts a Python number again in each operation
            constants = (
                [[n / (2 * SCORE_LIMIT)], [n]],
                [[0.5 * n], [0.0]],
                math.log(2 * (m - 1) / m),  # log(c^2 / b)
                1.0,
            )
            self._constants = [
                torch.tensor(x, dtype=torch.float32, device="cpu") for x in constants
            ]
        self._copies: dict[torch.device, list[Tensor]] = {}

    def on(self, device: torch.device) -> list[Tensor]:
        """Rows, scale and offset of the coordinates, log(c^2 / b) and 1, on a device."""
        found = self._copies.get(device)
        if found is None:
            with torch.inference_mode(False):
                found = [part.to(device) for part in (self._rows, *self._constants)]
            self._copies[device] = found
        return found

    def evaluate(self, score: Tensor, log_relative: Tensor) -> ConcentrationValues:
        """Read the table, outside autograd.

        Parameters
        ----------
        score : Tensor
            Normal scores, shape (n,), float32.
        log_relative : Tensor
            log(kappa / (m - 1)), shape (n,), float32.

        Returns
        -------
        ConcentrationValues
            NaN where an argument is NaN.
        """
        rows, scale, offset, log_c2_over_b, one = self.on(score.device)
        xi = torch.sigmoid(log_relative)
        # both coordinates at once, because an operation costs more than the arithmetic in it
        position = torch.addcmul(offset, torch.stack((score, xi)), scale).clamp_(0, _N_CELLS)
        cell = position.long().clamp_(0, _N_CELLS - 1)  # the second clamp is for NaN
        t_score, t_xi = (position - cell).unsqueeze(-1).unbind(0)
        score_cell, xi_cell = cell.unbind(0)
        found = rows.index_select(0, torch.add(xi_cell, score_cell, alpha=_N_CELLS))
        c0, c1, c2, c3 = found.unbind(1)
        row = torch.addcmul(c0, torch.addcmul(c1, torch.addcmul(c2, c3, t_xi), t_xi), t_xi)
        c0, c1, c2, c3, curves = row.view(-1, _DEGREE + 2, 2).unbind(1)
        pair = torch.addcmul(
            c0, torch.addcmul(c1, torch.addcmul(c2, c3, t_score), t_score), t_score
        )
        y_shifted, angle_slope = pair.unbind(-1)
        versine = torch.sigmoid(y_shifted - softplus(log_relative))
        kl, kl_slope = (curves * (xi * xi).unsqueeze(-1)).unbind(-1)
        logarithm = softplus(torch.add(log_c2_over_b, log_relative, alpha=2))
        cosine = torch.add(one, versine, alpha=-2)
        return ConcentrationValues(
            cosine,
            versine,
            angle_slope,
            torch.add(kl, logarithm, alpha=0.25 * (self.m - 1)),
            kl_slope,
        )


@lru_cache(maxsize=128)
def von_mises_fisher_table(m: int) -> ConcentrationTable:
    """Table of the von Mises-Fisher distribution in R^m."""

    def kl_with_slope(kappa: Tensor) -> tuple[Tensor, Tensor]:
        family = bessel_family(0.5 * m - 1, kappa)
        return kappa * family.ratio - family.log_f, kappa * kappa * family.slope

    return ConcentrationTable(m, vmf_quantile(m, torch.float64), kl_with_slope)


@lru_cache(maxsize=128)
def power_spherical_table(m: int) -> ConcentrationTable:
    """Table of the power spherical distribution in R^m."""

    def kl_with_slope(kappa: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            kappa = kappa.detach().requires_grad_()
            kl = power_spherical_kl_uniform(kappa, m)
            (slope,) = torch.autograd.grad(kl.sum(), kappa)
        return kl.detach(), kappa.detach() * slope

    return ConcentrationTable(m, power_spherical_quantile(m, torch.float64), kl_with_slope)
