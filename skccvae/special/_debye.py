"""Exact coefficients of Debye's uniform expansion of the modified Bessel function.

Debye's expansion (DLMF 10.41.3) reads I_nu(nu t) ~ exp(nu eta) / sqrt(2 pi nu s) * sum_k U_k(p) /
nu^k with s = sqrt(1 + t^2) and p = 1 / s. The von Mises-Fisher family needs its logarithm, so this
file expands log sum_k U_k(p) / nu^k = sum_k D_k(p) / nu^k. The U_k and D_k are polynomials with
rational coefficients. They are computed exactly with `fractions` and rounded once at the end.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

Polynomial = list[Fraction]  # coefficient of p**i at index i

N_TERMS = 14


def _add(a: Polynomial, b: Polynomial) -> Polynomial:
    if len(a) < len(b):
        a, b = b, a
    return [x + (b[i] if i < len(b) else 0) for i, x in enumerate(a)]


def _multiply(a: Polynomial, b: Polynomial) -> Polynomial:
    out = [Fraction(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        if x:
            for j, y in enumerate(b):
                out[i + j] += x * y
    return out


def _derivative(a: Polynomial) -> Polynomial:
    return [i * x for i, x in enumerate(a)][1:] or [Fraction(0)]


def _integral(a: Polynomial) -> Polynomial:
    return [Fraction(0)] + [x / (i + 1) for i, x in enumerate(a)]


def _divide_by_p_minus_one(a: Polynomial) -> Polynomial:
    """Divide a(p) - a(1) by p - 1 (synthetic division)."""
    out: Polynomial = []
    carry = Fraction(0)
    for x in reversed(a[1:]):
        carry += x
        out.append(carry)
    return out[::-1] or [Fraction(0)]


@lru_cache(maxsize=1)
def _log_polynomials() -> tuple[Polynomial, ...]:
    """Polynomials D_1, ..., D_N, as defined in the module docstring."""
    half, eighth = Fraction(1, 2), Fraction(1, 8)
    u: list[Polynomial] = [[Fraction(1)]]
    for _ in range(N_TERMS):
        # DLMF 10.41.9: U_{k+1} = p^2 (1 - p^2) U_k' / 2 + integral_0^p (1 - 5 t^2) U_k(t) dt / 8
        from_derivative = _multiply(
            [Fraction(0), Fraction(0), half, Fraction(0), -half], _derivative(u[-1])
        )
        from_integral = _integral(_multiply([eighth, Fraction(0), -5 * eighth], u[-1]))
        u.append(_add(from_derivative, from_integral))
    d: list[Polynomial] = [[Fraction(0)]]
    for k in range(1, N_TERMS + 1):
        # k U_k = sum_j j D_j U_{k-j}: compare the derivatives of exp(sum D_j x^j) = sum U_k x^k
        term = u[k]
        for j in range(1, k):
            term = _add(term, [-Fraction(j, k) * x for x in _multiply(d[j], u[k - j])])
        d.append(term)
    return tuple(d[1:])


@lru_cache(maxsize=512)
def debye_coefficients(nu: float) -> tuple[tuple[float, ...], ...]:
    r"""Coefficients of the three polynomials in p that `skccvae.special.bessel` needs at order nu.

    With S(p) = sum_k D_k(p) / nu^k, they are

    * Q(p) = (S(p) - S(1)) / (p - 1), for the logarithm,
    * S'(p) p^3 / nu + p^2 / (2 nu), for the ratio of successive orders divided by t,
    * [S'' p^4 (1 - p^2) - S' p^3 (3 p^2 - 2) - p^4 + p^2 / 2] / nu, for nu times the derivative of
      that ratio in kappa. The caller adds the remaining term p^2 / (1 + p).

    Parameters
    ----------
    nu : float
        Positive order.

    Returns
    -------
    tuple of three tuples of float
        Coefficients in rising powers of p, padded with zeros to equal length.
    """
    order = Fraction(nu)
    s: Polynomial = [Fraction(0)]
    for k, d in enumerate(_log_polynomials(), start=1):
        s = _add(s, [x / order**k for x in d])
    s1 = _derivative(s)
    s2 = _derivative(s1)
    zero, one = Fraction(0), Fraction(1)
    ratio = _add(_multiply([zero] * 3 + [one], s1), [zero, zero, Fraction(1, 2)])
    slope = _multiply([zero] * 4 + [one, zero, -one], s2)
    slope = _add(slope, _multiply([zero] * 3 + [Fraction(2), zero, Fraction(-3)], s1))
    slope = _add(slope, [zero, zero, Fraction(1, 2), zero, -one])
    polynomials = [_divide_by_p_minus_one(s), *([x / order for x in q] for q in (ratio, slope))]
    length = max(map(len, polynomials))
    return tuple(tuple(float(x) for x in q + [zero] * (length - len(q))) for q in polynomials)
