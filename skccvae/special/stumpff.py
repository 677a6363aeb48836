r"""Stumpff functions and their relatives: trigonometry as functions of x = K r^2.

Stumpff's ``c_0(x) = cos(sqrt(x))`` and ``c_1(x) = sin(sqrt(x))/sqrt(x)`` have power series in x
that converge everywhere, so they pass smoothly through x = 0 from trigonometric to hyperbolic
functions. The code uses the series where ``|x| < 0.1`` and the closed forms elsewhere. Gradients
are correct in all three regions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

__all__ = ["arcsin_root", "cos_root", "log_sinc_root", "sinc_root"]

#: The power series in x are used for |x| below this. Eight of their terms suffice for float64.
SERIES_BELOW = 0.1


def _bernoulli(n: int) -> list[Fraction]:
    """Exact Bernoulli numbers B_0 .. B_n, by their recurrence."""
    b = [Fraction(1)]
    for m in range(1, n + 1):
        b.append(-sum((math.comb(m + 1, k) * b[k] for k in range(m)), Fraction(0)) / (m + 1))
    return b


def _log_sinc_series(n: int) -> list[float]:
    """Coefficients of x^1 .. x^n in log(sin(sqrt(x))/sqrt(x)), from the Bernoulli numbers."""
    b = _bernoulli(2 * n)
    return [
        float(-abs(b[2 * k]) * 2 ** (2 * k) / (2 * k * math.factorial(2 * k)))
        for k in range(1, n + 1)
    ]


_COS = [(-1) ** n / math.factorial(2 * n) for n in range(8)]
_SINC = [(-1) ** n / math.factorial(2 * n + 1) for n in range(8)]
_LOG_SINC = [0.0, *_log_sinc_series(9)]
# asin(t)/t = sum binom(2n, n)/(4^n (2n + 1)) t^(2n). It needs more terms than the others, because
# they shrink only like 0.1^n / n^1.5.
_ARCSIN = [math.comb(2 * n, n) / (4**n * (2 * n + 1)) for n in range(15)]


def _horner(x: Tensor, coefficients: list[float]) -> Tensor:
    """Value of a polynomial given by its coefficients, lowest power first."""
    value = x * coefficients[-1] + coefficients[-2]
    for a in reversed(coefficients[:-2]):
        value = value * x + a
    return value


def _in_three_regions(
    x: Tensor,
    sign: int | None,
    coefficients: list[float],
    below: Callable[[Tensor], Tensor],
    above: Callable[[Tensor], Tensor],
) -> Tensor:
    """A power series in x near 0, ``below(sqrt(-x))`` for x < 0 and ``above(sqrt(x))`` for x > 0.

    If the sign of x is known, the other closed form is not evaluated. Outside its region, a closed
    form gets the argument 1, before the root is taken. Otherwise, the gradient could contain zero
    times an infinite derivative.
    """
    small = x.abs() < SERIES_BELOW
    series = _horner(torch.where(small, x, 0.0), coefficients)
    closed = None
    if sign is None or sign < 0:
        closed = below(torch.where(small | (x > 0), 1.0, -x).sqrt())
    if sign is None or sign > 0:
        positive = above(torch.where(small | (x < 0), 1.0, x).sqrt())
        closed = positive if closed is None else torch.where(x > 0, positive, closed)
    assert closed is not None, "sign is -1, 1 or None"
    return torch.where(small, series, closed)


def cos_root(x: Tensor, sign: int | None = None) -> Tensor:
    r"""``cos(sqrt(x))`` for x >= 0 and ``cosh(sqrt(-x))`` for x < 0: an entire function of x.

    Parameters
    ----------
    x : Tensor
        Any shape, any sign.
    sign : {-1, 1} or None
        Sign of every entry of x, if known. The other closed form is then not evaluated.

    Returns
    -------
    Tensor
        Same shape; 1 at x = 0, where the derivative is -1/2.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special.stumpff import cos_root
    >>> cos_root(torch.tensor([0.0, -1.0])).tolist()
    [1.0, 1.5430805683135986]
    """
    return _in_three_regions(x, sign, _COS, torch.cosh, torch.cos)


def sinc_root(x: Tensor, sign: int | None = None) -> Tensor:
    r"""``sin(sqrt(x))/sqrt(x)`` for x > 0, ``sinh(sqrt(-x))/sqrt(-x)`` for x < 0, 1 at x = 0.

    Parameters
    ----------
    x : Tensor
        Any shape, any sign.
    sign : {-1, 1} or None
        Sign of every entry of x, if known.

    Returns
    -------
    Tensor
        Same shape.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special.stumpff import sinc_root
    >>> sinc_root(torch.tensor([0.0, -1.0])).tolist()
    [1.0, 1.175201177597046]
    """
    return _in_three_regions(
        x,
        sign,
        _SINC,
        lambda r: torch.sinh(r) / r,
        lambda r: torch.sin(r) / r,
    )


def log_sinc_root(x: Tensor, sign: int | None = None) -> Tensor:
    r"""Logarithm of ``|sinc_root(x)|``, without overflow for large negative x.

    Parameters
    ----------
    x : Tensor
        Any shape, any sign.
    sign : {-1, 1} or None
        Sign of every entry of x, if known.

    Returns
    -------
    Tensor
        Same shape; minus infinity at x = (pi k)^2, k = 1, 2, ...

    Examples
    --------
    >>> import torch
    >>> from skccvae.special.stumpff import log_sinc_root
    >>> round(log_sinc_root(torch.tensor(-1e6)).item(), 3)
    992.399
    """
    return _in_three_regions(
        x,
        sign,
        _LOG_SINC,
        lambda r: r + torch.log(-torch.expm1(-2 * r) / (2 * r)),
        lambda r: torch.log((torch.sin(r) / r).abs()),
    )


def arcsin_root(y: Tensor, sign: int | None = None) -> Tensor:
    r"""``asin(sqrt(y))/sqrt(y)`` for 0 < y <= 1, ``asinh(sqrt(-y))/sqrt(-y)`` for y < 0, 1 at 0.

    Parameters
    ----------
    y : Tensor
        Any shape; at most 1 (NaN above).
    sign : {-1, 1} or None
        Sign of every entry of y, if known.

    Returns
    -------
    Tensor
        Same shape.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special.stumpff import arcsin_root
    >>> arcsin_root(torch.tensor([0.0, -1.0])).tolist()
    [1.0, 0.8813735842704773]
    """
    return _in_three_regions(
        y,
        sign,
        _ARCSIN,
        lambda r: torch.asinh(r) / r,
        lambda r: torch.asin(r) / r,
    )
