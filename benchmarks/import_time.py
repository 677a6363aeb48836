"""Processor time of ``import skccvae``, beyond that of the packages on which it depends.

Each round starts one new process for each line and takes ``time.process_time()`` at its end. The
lines take turns, so that drift of the machine's speed affects all of them. The figures are medians
over the rounds: the total time, and the difference from the previous line.

    python benchmarks/import_time.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

FIT = (
    "import numpy; X = numpy.eye(8); "
    "skccvae.GaussianVAETransformer(max_epochs=1, hidden_layer_sizes=4).fit(X)"
)
CHAINS = {
    "beyond torch and scikit-learn": [
        "import torch",
        "import sklearn",
        "import skccvae",
        FIT,
    ],
    "beyond torch, scikit-learn and skorch": [
        "import torch, sklearn",
        "import skorch",
        "import skccvae",
    ],
}


def process_seconds(code: str) -> float:
    """Processor time of a fresh interpreter that runs the code."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{code}; import time; print(time.process_time())"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    programs = {
        (chain, number): "; ".join(steps[: number + 1])
        for chain, steps in CHAINS.items()
        for number in range(len(steps))
    }
    seconds: dict[tuple[str, int], list[float]] = {key: [] for key in programs}
    for _ in range(options.rounds):
        for key, code in programs.items():
            seconds[key].append(process_seconds(code))
    for chain, steps in CHAINS.items():
        print(chain)
        for number, step in enumerate(steps):
            here = seconds[chain, number]
            before = seconds[chain, number - 1] if number else [0.0] * options.rounds
            more = statistics.median(a - b for a, b in zip(here, before, strict=True))
            name = "first fit" if step == FIT else step
            limit = " (at most 0.3)" if step == "import skccvae" else ""
            print(f"  {name:24s} {statistics.median(here):5.2f} s, {more:+5.2f} s{limit}")


if __name__ == "__main__":
    main()
