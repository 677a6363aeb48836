r"""Distance of a Riemannian normal draw from its location: normaliser, moments, quantiles.

In units of the scale s, the distance rho has the density ``exp(-rho^2/2) sin_c(rho)^(d-1) / Z(c)``.
This is one family in the signed number c = K s^2. All functions here are smooth in c through 0 and
are read from tables that `riemannian_quadrature` builds once per dimension.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from skccvae.special._autograd import with_derivative
from skccvae.special.bessel import working_dtype
from skccvae.special.piecewise_polynomial import cells_at, locate
from skccvae.special.quantile import SCORE_LIMIT
from skccvae.special.riemannian_quadrature import (
    LARGEST_W,
    curves,
    log_chi_mass,
    negative_end,
    quantile,
)

__all__ = ["normal_radius", "radial_log_partition", "radial_mean_square"]


class Partition(NamedTuple):
    """Functions of c, all with the shape of c."""

    log_mass: Tensor  # log Z(c)
    slope: Tensor  # its derivative in c
    square: Tensor  # E[rho^2] = d + 2 c slope
    square_slope: Tensor  # its derivative in c


def _positive_partition(c: Tensor, d: int) -> Partition:
    w = c * d
    inverse = 1 / (1 + w)  # 1 - x; its derivative in w is -inverse^2
    mass, mean, mean_slope, slope = _read(w * inverse, d, 1)
    return Partition(
        mass - 0.5 * d * torch.log1p(w) + log_chi_mass(d),
        d * slope * inverse,
        mean * inverse,
        d * inverse.square() * (mean_slope * inverse - mean),
    )


def _negative_partition(c: Tensor, d: int) -> Partition:
    if d == 1:
        zero = 0 * c  # keeps NaN
        return Partition(zero + log_chi_mass(1), zero, zero + 1, zero)
    w = -c * d
    beyond = w > LARGEST_W
    inner = torch.where(beyond, LARGEST_W, w)
    mass, mean, mean_slope, slope = _read(torch.log1p(inner), d, -1)
    outer = torch.where(beyond, w, 1.0)
    # beyond the table, the distribution is normal with mean (d - 1) sqrt(-c) and variance 1
    n = d - 1
    far = n * n * outer / d
    log_far = 0.5 * far + 0.5 * math.log(2 * math.pi) - 0.5 * n * torch.log(4 * outer / d)
    return Partition(
        torch.where(beyond, log_far, mass + log_chi_mass(d)),
        -d * torch.where(beyond, 0.5 * n * n / d - 0.5 * n / outer, slope),
        torch.where(beyond, far + 1, mean),
        -d * torch.where(beyond, n * n / d, mean_slope / (1 + inner)),
    )


def _read(x: Tensor, d: int, sign: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Curves of `riemannian_quadrature.moments`, with the derivative in x of the second.

    The order is log_mass, square, derivative of square, slope.
    """
    table = curves(d, sign, x.device, x.dtype)
    n_cells, n_coefficients = table.shape[:2]
    per_x = n_cells / (negative_end() if sign < 0 else 1.0)
    index, local = locate(x * per_x, n_cells)
    rows = cells_at(table, index)
    t = local.unsqueeze(-1)
    value, derivative = rows[..., -1, :], torch.zeros_like(rows[..., -1, :])
    for k in range(n_coefficients - 2, -1, -1):
        derivative = torch.addcmul(value, derivative, t)
        value = torch.addcmul(rows[..., k, :], value, t)
    mass, mean, slope = value.unbind(-1)
    return mass, mean, derivative[..., 1] * per_x, slope


def partition(c: Tensor, d: int, sign: int | None) -> Partition:
    """Normaliser and mean square, outside autograd and in the best precision of the device.

    Parameters
    ----------
    c : Tensor
        K s^2, any shape.
    d : int
        Intrinsic dimension, at least 1.
    sign : {-1, 0, 1} or None
        Sign of every entry of c, if known.
    """
    with torch.no_grad():
        c = c.detach().to(working_dtype(c.device))
        if sign is not None:
            c = c.clamp(min=0) if sign == 0 else c  # a flat curvature may still be below 0
            return (_negative_partition if sign < 0 else _positive_partition)(c, d)
        below = _negative_partition(c.clamp(max=0), d)
        above = _positive_partition(c.clamp(min=0), d)
        return Partition(*(torch.where(c < 0, a, b) for a, b in zip(below, above, strict=True)))


@lru_cache(maxsize=64)
def _curve_numbers(d: int, sign: int) -> list[list[list[float]]]:
    numbers = curves(d, sign, torch.device("cpu"), torch.float64).transpose(1, 2).tolist()
    return numbers


def partition_number(c: float, d: int) -> tuple[float, float]:
    """Logarithm of Z(c)/Z(0), and E[rho^2] - d, for a single number, without tensors.

    Parameters
    ----------
    c : float
        K s^2.
    d : int
        Intrinsic dimension.
    """
    w = abs(c) * d
    if c < 0 and (d == 1 or w > LARGEST_W):
        if d == 1:
            return 0.0, 0.0
        far = -c * (d - 1) ** 2
        log_far = 0.5 * (far + math.log(2 * math.pi) - (d - 1) * math.log(-4 * c))
        return log_far - log_chi_mass(d), far + 1 - d
    sign = -1 if c < 0 else 1
    table = _curve_numbers(d, sign)
    position = math.log1p(w) / negative_end() if sign < 0 else w / (1 + w)
    position *= len(table)
    cell = min(int(position), len(table) - 1)
    t = position - cell
    mass, _, slope = (_horner(row, t) for row in table[cell])
    if sign < 0:
        return mass, 2 * w * slope
    return mass - 0.5 * d * math.log1p(w), 2 * w * slope / (1 + w)


def _horner(coefficients: list[float], t: float) -> float:
    value = 0.0
    for a in reversed(coefficients):
        value = value * t + a
    return value


def radial_log_partition(c: Tensor, d: int, sign: int | None = None) -> Tensor:
    r"""Logarithm of the integral of exp(-rho^2 / 2) sin_c(rho)^(d-1) over rho > 0.

    Parameters
    ----------
    c : Tensor
        Curvature times squared scale, any shape and sign; float32 or float64.
    d : int
        Intrinsic dimension, at least 1.
    sign : {-1, 0, 1} or None
        Sign of every entry of c, if known; this halves the work.

    Returns
    -------
    Tensor
        Shape and dtype of c, computed in float64 with a relative error near 1e-12. For c > 0, the
        integral ends at pi/sqrt(c). At c = 0, the value is ``log(2^(d/2 - 1) Gamma(d/2))``. For c
        far below 0, it grows like -(d - 1)^2 c / 2. It can be differentiated once.

    Notes
    -----
    The published closed form for c < 0 is an alternating sum of d error functions, which cancels
    from d = 5 on. The quadrature has only positive terms.

    References
    ----------
    S. Said, L. Bombrun, Y. Berthoumieu, "New Riemannian priors on the univariate normal model",
    Entropy 16 (2014), for the family; E. Mathieu et al., "Continuous hierarchical representations
    with Poincaré variational auto-encoders", NeurIPS 2019, appendix B, for the closed form.

    Examples
    --------
    >>> import math, torch
    >>> from skccvae.special.riemannian_normal import radial_log_partition
    >>> value = radial_log_partition(torch.tensor([0.0, -1.0], dtype=torch.float64), 3)
    >>> exact = math.log(math.sqrt(math.pi / 8) * (math.exp(2) - 1))  # c = -1
    >>> round(value[1].item() - exact, 9)
    0.0
    """

    def value_and_slope(c: Tensor) -> tuple[Tensor, Tensor]:
        values = partition(c, d, sign)
        return values.log_mass, values.slope

    return with_derivative(c, value_and_slope)


def radial_mean_square(c: Tensor, d: int, sign: int | None = None) -> Tensor:
    r"""Mean of rho^2 under the density proportional to exp(-rho^2 / 2) sin_c(rho)^(d-1).

    Parameters
    ----------
    c, d, sign
        As for `radial_log_partition`.

    Returns
    -------
    Tensor
        Shape and dtype of c. It is d plus 2 c times the derivative of the log-partition, so it is d
        at c = 0. It can be differentiated once.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special.riemannian_normal import radial_mean_square
    >>> radial_mean_square(torch.tensor([0.0, -1.0]), 1)  # a line is flat
    tensor([1., 1.])
    """

    def value_and_slope(c: Tensor) -> tuple[Tensor, Tensor]:
        values = partition(c, d, sign)
        return values.square, values.square_slope

    return with_derivative(c, value_and_slope)


def _positive_radius(score: Tensor, c: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """The radius rho and its derivative in c."""
    w = c * d
    inverse = 1 / (1 + w)
    x = w * inverse
    y, slope = quantile(d, 1, score.dtype).evaluate(score, x)
    e = torch.exp(y) * inverse.sqrt()
    t = 0.5 * torch.exp(y) * (x / d).sqrt()  # tan(theta / 2)
    theta = 2 * torch.atan(t)
    tiny = t < 1e-4
    safe = torch.where(tiny, 1.0, t)
    rho = e * torch.where(tiny, 1 - t * t / 3, torch.atan(safe) / safe)
    sinc = torch.where(tiny, 1 - (2 / 3) * t * t, 2 * safe / ((1 + safe * safe) * theta))
    # (1 - sin(theta)/theta)/theta^2, by its series where the difference cancels
    near = theta < 0.02
    versinc = torch.where(
        near, 1 / 6 - theta * theta / 120, (1 - sinc) / torch.where(near, 1.0, theta).square()
    )
    log_e_slope = inverse * (inverse * slope - 0.5)  # in w, with e = 2 tan(theta/2)/sqrt(c)
    return rho, rho * (d * sinc * log_e_slope - 0.5 * versinc * rho * rho)


def _negative_radius(score: Tensor, c: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """The radius rho and its derivative in c."""
    w = -c * d
    if d == 1:
        w = 0 * w
    beyond = w > LARGEST_W
    inner = torch.where(beyond, LARGEST_W, w)
    x = torch.log1p(inner)
    y, slope = quantile(d, -1, score.dtype).evaluate(score, x)
    rho = torch.exp(y + 0.5 * x)
    rate = rho * (slope + 0.5) / (1 + inner) * (-d if d > 1 else 0)
    root = torch.where(beyond, -c, 1.0).sqrt()
    far = (d - 1) * root + score.clamp(-SCORE_LIMIT, SCORE_LIMIT)
    return torch.where(beyond, far, rho), torch.where(beyond, -0.5 * (d - 1) / root, rate)


def radius_and_slope(score: Tensor, c: Tensor, d: int, sign: int | None) -> tuple[Tensor, Tensor]:
    """`normal_radius` and its derivative in c, outside autograd, for equal shapes and dtypes."""
    if sign is not None:
        c = c.clamp(min=0) if sign == 0 else c  # a flat curvature may still be below 0
        return (_negative_radius if sign < 0 else _positive_radius)(score, c, d)
    below = _negative_radius(score, c.clamp(max=0), d)
    above = _positive_radius(score, c.clamp(min=0), d)
    rho, slope = (torch.where(c < 0, a, b) for a, b in zip(below, above, strict=True))
    return rho, slope


def normal_radius(score: Tensor, c: Tensor, d: int, sign: int | None = None) -> Tensor:
    r"""Quantile of the radius in units of the scale, given its normal score.

    Parameters
    ----------
    score : Tensor
        Standard normal scores. They are noise and get no gradient. Scores of magnitude above 8.3
        (probability 1e-16) are clipped to 8.3.
    c : Tensor
        Curvature times squared scale; broadcasts against the score.
    d, sign
        As for `radial_log_partition`.

    Returns
    -------
    Tensor
        rho, with the broadcast shape, and below pi/sqrt(c) for c > 0. Its derivative in c at a
        fixed score is exact (implicit reparametrisation). It can be differentiated once.

    References
    ----------
    Figurnov, Mohamed, Mnih, "Implicit reparameterization gradients", 2018, equation 6.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special.riemannian_normal import normal_radius
    >>> rho = normal_radius(torch.tensor([0.0]), torch.tensor([0.0]), 2)  # sqrt(2 log 2)
    >>> round(rho.item(), 5)
    1.17741
    """

    def value_and_slope(c: Tensor) -> tuple[Tensor, Tensor]:
        scores, wide = torch.broadcast_tensors(score, c)
        return radius_and_slope(scores, wide, d, sign)

    return with_derivative(c.to(score.dtype), value_and_slope)
