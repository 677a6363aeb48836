"""Write `bessel_reference.json`: von Mises-Fisher quantities with 60 digits of working precision.

Run `python tests/special/data/make_bessel_reference.py`; it needs mpmath. Every kappa is a float32
number, so that float32 and float64 tests start from the same argument. Columns of a row: kappa, log
F, A, A', KL(vMF || uniform), log F - kappa, 1 - A, with F = 0F1(; m/2; kappa^2/4), A = I_{m/2} /
I_{m/2-1}; dKL/dkappa is kappa A'.
"""

from __future__ import annotations

import json
from pathlib import Path

import mpmath as mp
import numpy as np

DIMENSIONS = [2, 3, 6, 11, 21, 51, 67, 101, 129, 201, 401, 1001, 2049]
KAPPAS = [float(np.float32(10.0**e)) for e in np.arange(-3, 7.01, 0.25)] + [
    0.5,
    2.0,
    7.0,
    40.0,
    1e7,
]


def row(m: int, kappa: float) -> list[float]:
    v = mp.mpf(m) / 2 - 1
    k = mp.mpf(kappa)
    # 0F1 at orders v, v + 1 and v + 2 gives everything; the cancellation is paid in digits
    f0, f1, f2 = (mp.besseli(v + i, k) for i in range(3))
    log_f = mp.log(f0) - v * mp.log(k / 2) + mp.loggamma(v + 1)
    a = f1 / f0
    # I_{v+1}' = I_{v+2} + (v+1)/k I_{v+1},  I_v' = I_{v+1} + v/k I_v
    slope = f2 / f0 + a / k - a * a
    return [kappa, *(float(x) for x in (log_f, a, slope, k * a - log_f, log_f - k, 1 - a))]


def main() -> None:
    mp.mp.dps = 60
    table = {str(m): [row(m, k) for k in sorted(set(KAPPAS))] for m in DIMENSIONS}
    path = Path(__file__).with_name("bessel_reference.json")
    path.write_text(json.dumps(table) + "\n")


if __name__ == "__main__":
    main()
