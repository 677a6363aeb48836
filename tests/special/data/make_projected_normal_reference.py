"""Write `projected_normal_reference.json`: integrals M_n(alpha) with 40 digits of precision.

Run `python tests/special/data/make_projected_normal_reference.py`; it needs mpmath. Every alpha is
a float32 number, so that float32 and float64 tests start from the same argument. With n = m - 1 the
columns of a row are alpha, log M_n, M_{n+1} / M_n - alpha, M_{n+1} / M_n, M_{n+2} / M_n, and the
variance M_{n+2} / M_n - (M_{n+1} / M_n)^2.

M_n(alpha) = n! e^(-alpha^2 / 4) U(n + 1/2, -alpha), where U is mpmath's
parabolic cylinder function, which is slow and loses digits for large arguments.
"""

from __future__ import annotations

import json
from pathlib import Path

import mpmath as mp
import numpy as np

DIMENSIONS = [2, 3, 4, 6, 11, 21, 41, 101, 401, 2049]
ALPHAS = [-50.0, -38.0, -20.0, -10.0, -5.0, -2.0, -1.0, -0.3, 0.0, 0.1, 0.5, 1.0, 2.0, 3.0, 4.0]
ALPHAS += [
    5.0,
    6.0,
    8.0,
    10.0,
    15.0,
    25.0,
    50.0,
    100.0,
    300.0,
    1e3,
    3e3,
    1e4,
    1e-4,
    -1e-4,
    0.7,
    2.6,
]


def integrals(n: int, alpha: mp.mpf) -> list[mp.mpf]:
    """M_n, M_{n+1} and M_{n+2} up to a common factor, and the logarithm of that factor."""
    mode = (alpha + mp.sqrt(alpha * alpha + 4 * (n + 1))) / 2
    width = 1 / mp.sqrt(mode**2 + n + 1)

    def log_density(t: mp.mpf) -> mp.mpf:
        return (n + 1) * t - (mode * mp.exp(t) - alpha) ** 2 / 2

    top = log_density(mp.mpf(0))
    # A trapezoidal sum in log(u / mode) with steps of a tenth of the width converges geometrically;
    # it ends where the terms are below 1e-45 of the largest.
    step, sums = width / 10, [mp.mpf(0)] * 3
    for side in (1, -1):
        k = 0 if side == 1 else 1
        while True:
            t = side * k * step
            gap = log_density(t) - top
            if gap < -104:
                break
            p = mp.exp(gap)
            for i in range(3):
                sums[i] += p * mp.exp(i * t)
            k += 1
    return [s * mode**i for i, s in enumerate(sums)] + [top + (n + 1) * mp.log(mode) + mp.log(step)]


def row(m: int, alpha: float) -> list[float]:
    a = mp.mpf(alpha)
    m0, m1, m2, factor = integrals(m - 1, a)
    mean, square = m1 / m0, m2 / m0
    return [
        alpha,
        *(float(x) for x in (mp.log(m0) + factor, mean - a, mean, square, square - mean**2)),
    ]


def check(m: int, alpha: float) -> None:
    n, a = m - 1, mp.mpf(alpha)
    m0, m1, _, factor = integrals(n, a)
    for order, log_value in ((n, mp.log(m0) + factor), (n + 1, mp.log(m1) + factor)):
        cylinder = mp.pcfu(order + mp.mpf(1) / 2, -a)
        exact = mp.loggamma(order + 1) - a * a / 4 + mp.log(cylinder)
        assert abs(log_value - exact) < 1e-25 * (1 + abs(exact)), (m, alpha)


def main() -> None:
    mp.mp.dps = 40
    alphas = sorted(float(np.float32(a)) for a in ALPHAS)
    for m in DIMENSIONS[:7]:
        for alpha in alphas:
            if abs(alpha) <= 15:
                check(m, alpha)
    table = {str(m): [row(m, a) for a in alphas] for m in DIMENSIONS}
    path = Path(__file__).with_name("projected_normal_reference.json")
    path.write_text(json.dumps(table) + "\n")


if __name__ == "__main__":
    main()
