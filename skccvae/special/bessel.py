r"""Logarithm, ratio and derivative of the modified Bessel function, without cancellation.

I_v(kappa) itself is never formed, because it underflows in float32 from order 32 on. This file
works with

    F_v(kappa) = 0F1(; v + 1; kappa^2 / 4) = Gamma(v + 1) (kappa / 2)^{-v} I_v(kappa).

F_v is 1 at kappa = 0, so log F_v keeps its *relative* accuracy for small kappa. Debye's uniform
expansion gives F at an order raised to at least 20, where it is accurate to the last digit for
every kappa. Recurrences with only positive terms then lower the order to v. There is no branch on
kappa.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from skccvae.special._autograd import with_derivative
from skccvae.special._debye import debye_coefficients

__all__ = ["bessel_ratio", "log_bessel_i", "log_hyp0f1"]

_DEBYE_ORDER = 20.0


class BesselFamily(NamedTuple):
    """Results of one evaluation, each with the shape of kappa and the dtype `working_dtype`."""

    log_f: Tensor  # log F_v(kappa)
    log_f_scaled: Tensor  # log F_v(kappa) - kappa
    ratio: Tensor  # A = I_{v+1}(kappa) / I_v(kappa), the derivative of log F_v
    slope: Tensor  # A'


def working_dtype(device: torch.device) -> torch.dtype:
    """float64 where the device supports it (all except Apple's mps)."""
    return torch.float32 if device.type == "mps" else torch.float64


@lru_cache(maxsize=512)
def _coefficient_matrix(nu: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(debye_coefficients(nu), dtype=dtype, device=device).t().contiguous()


def bessel_family(order: float, kappa: Tensor) -> BesselFamily:
    """Evaluate log F, A and A' together, in float64 and outside autograd.

    Parameters
    ----------
    order : float
        v >= 0. The von Mises-Fisher distribution on the unit sphere in R^m has v = m / 2 - 1.
    kappa : Tensor
        Any shape, >= 0. Converted to the working precision (`working_dtype`).

    Returns
    -------
    BesselFamily
        Finite for kappa from 0 to 1e12. At kappa = 0: log F = 0, A = 0, A' = 1 / (2 v + 2).
    """
    n_steps = max(0, math.ceil(_DEBYE_ORDER - order))
    nu = order + n_steps
    kappa = kappa.detach().to(working_dtype(kappa.device))
    t = kappa / nu
    s = torch.sqrt(1 + t * t)
    p = 1 / s
    y = t * t / (1 + s)  # s - 1
    matrix = _coefficient_matrix(nu, kappa.device, kappa.dtype)
    powers = torch.ones((*kappa.shape, matrix.shape[0]), dtype=kappa.dtype, device=kappa.device)
    powers[..., 1:] = p.unsqueeze(-1)
    # a sum of products, because autocast would lower the precision of a matrix product
    q, ratio_terms, slope_terms = (
        (torch.cumprod(powers, -1).unsqueeze(-1) * matrix).sum(-2).unbind(-1)
    )
    corrections = -0.5 * torch.log1p(y) - y * p * q  # p - 1 = -y / s
    half_log = torch.log1p(0.5 * y)
    log_f = nu * (y - half_log) + corrections
    log_f_scaled = corrections - nu * ((y + t) / (s + t) + half_log)  # y - t = -(y + t) / (s + t)
    rho = (1 / (1 + s) - ratio_terms) / nu  # A / kappa, finite at 0
    slope = (p * p / (1 + p) + slope_terms) / nu
    if n_steps:
        squared = kappa * kappa
        excess = torch.zeros_like(kappa)  # F_v / F_nu - 1
        v = nu
        for _ in range(n_steps):
            z = squared * rho
            step = z / (2 * v)  # F_{v-1} / F_v - 1
            excess = excess + step + excess * step
            rho = 1 / (2 * v + z)
            slope = rho * rho * (2 * v - squared * slope)
            v -= 1
        log_ratio = torch.log1p(excess)
        log_f = log_f + log_ratio
        log_f_scaled = log_f_scaled + log_ratio
    return BesselFamily(log_f, log_f_scaled, kappa * rho, slope)


def _check_order(order: float) -> float:
    if not (isinstance(order, (int, float)) and 0 <= order < math.inf):
        raise ValueError(f"order must be a finite number >= 0, got {order!r}; use v = m / 2 - 1.")
    return float(order)


def _check_argument(x: Tensor) -> None:
    if not (isinstance(x, Tensor) and x.is_floating_point()):
        raise TypeError(f"the argument must be a floating-point tensor, got {type(x).__name__}.")


def log_hyp0f1(order: float, x: Tensor, scaled: bool = False) -> Tensor:
    r"""Logarithm of 0F1(; v + 1; x^2 / 4), the Bessel function I_v without its power of x.

    Parameters
    ----------
    order : float
        v >= 0.
    x : Tensor
        Any shape, floating point, >= 0 (not checked; the result is meaningless for negative x).
    scaled : bool
        If true, subtract x from the result, with no loss of accuracy.

    Returns
    -------
    Tensor
        Shape and dtype of x, computed in float64. It is 0 at x = 0. It can be differentiated once
        in x. The derivative is exact: I_{v+1} / I_v (minus 1 if scaled).

    Raises
    ------
    ValueError
        If the order is negative or not finite.
    TypeError
        If x is not a floating-point tensor.

    References
    ----------
    DLMF 10.39.9 and 10.41.3, https://dlmf.nist.gov/10.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import log_hyp0f1
    >>> log_hyp0f1(0.5, torch.tensor([2.0], dtype=torch.float64))  # log(sinh(2) / 2)
    tensor([0.5952], dtype=torch.float64)
    """
    _check_argument(x)
    order = _check_order(order)

    def value_and_slope(x: Tensor) -> tuple[Tensor, Tensor]:
        family = bessel_family(order, x)
        if scaled:
            return family.log_f_scaled, family.ratio - 1
        return family.log_f, family.ratio

    return with_derivative(x, value_and_slope)


def log_bessel_i(order: float, x: Tensor) -> Tensor:
    r"""Logarithm of the modified Bessel function of the first kind, log I_v(x).

    Parameters
    ----------
    order : float
        v >= 0.
    x : Tensor
        Any shape, floating point, > 0. At x = 0 the value is -inf (0 for v = 0).

    Returns
    -------
    Tensor
        Shape and dtype of x. It can be differentiated once in x.

    Raises
    ------
    ValueError, TypeError
        As for `log_hyp0f1`.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import log_bessel_i
    >>> log_bessel_i(1000, torch.tensor([1.0], dtype=torch.float64))  # far below 1e-308
    tensor([-6605.2751], dtype=torch.float64)
    """
    _check_argument(x)
    wide = x.to(working_dtype(x.device))
    value = log_hyp0f1(order, wide) - math.lgamma(order + 1)
    return (value + order * torch.log(0.5 * wide) if order > 0 else value).to(x.dtype)


def bessel_ratio(order: float, x: Tensor) -> Tensor:
    r"""Ratio I_{v+1}(x) / I_v(x) of modified Bessel functions.

    With v = m / 2 - 1, it is the mean resultant length of a von Mises-Fisher distribution on the
    sphere in R^m.

    Parameters
    ----------
    order : float
        v >= 0.
    x : Tensor
        Any shape, floating point, >= 0.

    Returns
    -------
    Tensor
        In [0, 1], shape and dtype of x, about x / (2 v + 2) near 0. It can be differentiated once
        in x.

    Raises
    ------
    ValueError, TypeError
        As for `log_hyp0f1`.

    References
    ----------
    The recurrence is DLMF 10.29.1 divided by I_v. It is stable for decreasing orders (Amos 1974).

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import bessel_ratio
    >>> bessel_ratio(0.5, torch.tensor([2.0]))  # coth(2) - 1 / 2
    tensor([0.5373])
    """
    _check_argument(x)
    order = _check_order(order)

    def value_and_slope(x: Tensor) -> tuple[Tensor, Tensor]:
        family = bessel_family(order, x)
        return family.ratio, family.slope

    return with_derivative(x, value_and_slope)
