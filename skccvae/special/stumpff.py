r"""Stumpff functions and their relatives: trigonometry as functions of x = K r^2.

Stumpff's ``c_0(x) = cos(sqrt(x))`` and ``c_1(x) = sin(sqrt(x))/sqrt(x)`` have power series in x
that converge everywhere, so they pass smoothly through x = 0 from trigonometric to hyperbolic
functions. The code uses the series where ``|x| < 0.1`` and the closed forms elsewhere. Gradients
are correct in all three regions.
"""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

__all__ = ["arcsin_root", "cos_root", "log_sinc_root", "sinc_root"]

#: Below this |x| the power series in x are used; eight terms of them suffice for float64.
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


def _split(x: Tensor, sign: int | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Where to use the series, and safe arguments sqrt(-x) and sqrt(x) for the closed forms.

    Outside the region of a closed form its argument is set to 1 before the root is taken. Otherwise
    the gradient could contain zero times an infinite derivative.
    """
    small = x.abs() < SERIES_BELOW
    below = above = None
    if sign is None or sign < 0:
        below = torch.where(small | (x > 0), 1.0, -x).sqrt()
    if sign is None or sign > 0:
        above = torch.where(small | (x < 0), 1.0, x).sqrt()
    return small, below, above


def _join(
    x: Tensor, small: Tensor, series: Tensor, below: Tensor | None, above: Tensor | None
) -> Tensor:
    """Select among the three branches; at most one closed form may be None."""
    if below is None:
        assert above is not None
        return torch.where(small, series, above)
    if above is None:
        return torch.where(small, series, below)
    return torch.where(small, series, torch.where(x > 0, above, below))


def cos_root(x: Tensor, sign: int | None = None) -> Tensor:
    r"""``cos(sqrt(x))`` for x >= 0 and ``cosh(sqrt(-x))`` for x < 0: an entire function of x.

    Parameters
    ----------
    x : Tensor
        Any shape, any sign.
    sign : {-1, 1} or None
        Sign of every entry of x, if known; the other closed form is then not evaluated.

    Returns
    -------
    Tensor
        Same shape; 1 at x = 0, where the derivative is -1/2.

    Examples
    --------
    >>> import torch
    >>> cos_root(torch.tensor([0.0, -1.0])).tolist()
    [1.0, 1.5430805683135986]
    """
    small, lo, hi = _split(x, sign)
    return _join(
        x,
        small,
        _horner(torch.where(small, x, 0.0), _COS),
        None if lo is None else torch.cosh(lo),
        None if hi is None else torch.cos(hi),
    )


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
    >>> sinc_root(torch.tensor([0.0, -1.0])).tolist()
    [1.0, 1.175201177597046]
    """
    small, lo, hi = _split(x, sign)
    return _join(
        x,
        small,
        _horner(torch.where(small, x, 0.0), _SINC),
        None if lo is None else torch.sinh(lo) / lo,
        None if hi is None else torch.sin(hi) / hi,
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
    >>> round(log_sinc_root(torch.tensor(-1e6)).item(), 3)
    992.399
    """
    small, lo, hi = _split(x, sign)
    return _join(
        x,
        small,
        _horner(torch.where(small, x, 0.0), _LOG_SINC),
        None if lo is None else lo + torch.log(-torch.expm1(-2 * lo) / (2 * lo)),
        None if hi is None else torch.log((torch.sin(hi) / hi).abs()),
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
    >>> arcsin_root(torch.tensor([0.0, -1.0])).tolist()
    [1.0, 0.8813735842704773]
    """
    small, lo, hi = _split(y, sign)
    return _join(
        y,
        small,
        _horner(torch.where(small, y, 0.0), _ARCSIN),
        None if lo is None else torch.asinh(lo) / lo,
        None if hi is None else torch.asin(hi) / hi,
    )
