"""Training in bfloat16: relative time of an epoch, and effect on the test ELBO of MNIST.

Without options, the script measures the time of an epoch in units of the hand-written float32 loop
of ``epoch_time.py``. This loop has the same layers, in the plainest torch code. The models and the
loop take turns on one thread, in an order that rotates. Only the epochs are timed, without the work
of ``fit`` before and after them. A figure is the median over rounds of the ratio within a round,
with its quartiles. Batches have 128 rows. The data are either 784 grey inputs with layers 256-128,
or sparse bits (2048 columns, 2 per cent of them 1) with a layer of 512. The loop reads the sparse
bits from a dense tensor.

With ``--elbo``, every geometry is trained on MNIST (``binarize="dynamic"``) in both precisions. The
test ELBO of each run is a line of a CSV file. Runs that are already there are skipped.

    python benchmarks/precision.py [--rounds 15] [--rows 12800] [--dims 10 40] [--dynamic]
    python benchmarks/precision.py --elbo [--folder FOLDER_WITH_IDX_FILES] [--csv precision.csv]
    python benchmarks/precision.py --elbo --table                      # print what is there
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from _epochs import epoch_seconds
from _mnist import KINDS, images
from _one_thread import one_thread
from _runs import Runs
from epoch_time import N_FEATURES, SETTINGS, HandWritten

from skccvae.nn.precision import knows_bfloat16

PRECISIONS = ("float32", "bfloat16")
KEYS = ["d", "model", "precision", "seed", "epochs"]
VALUES = ["elbo", "reconstruction", "kl"]


def ratios(runs: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Times of all epochs but the first over that of the first in the same round."""
    names = list(runs)
    for run in runs.values():
        run()
    found: dict[str, list[float]] = {name: [] for name in names[1:]}
    for number in range(rounds):
        shift = number % len(names)
        seconds = {name: runs[name]() for name in names[shift:] + names[:shift]}
        for name in found:
            found[name].append(seconds[name] / seconds[names[0]])
    return found


def show(title: str, found: dict[str, list[float]]) -> None:
    """Print medians and quartiles."""
    print(title)
    for name, values in found.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"  {name:<22} {middle:.3f}  ({low:.3f} .. {high:.3f})", flush=True)


def models(dim: int, X: Any, **settings: Any) -> dict[str, Callable[[], float]]:
    """An epoch of each geometry in each precision, which returns its seconds."""

    def epoch(vae: Any) -> float:
        return epoch_seconds(vae.fit(X).net_)

    return {
        f"{name} {precision}": partial(
            epoch, kind(dim, precision=precision, **{**SETTINGS, **settings})
        )
        for name, kind in KINDS.items()
        for precision in PRECISIONS
    }


def by_hand(loop: HandWritten, rows: torch.Tensor, drawn: bool = False) -> float:
    """Seconds of an epoch of the hand-written loop."""
    start = time.perf_counter()
    loop.epoch(rows, drawn=drawn)
    return time.perf_counter() - start


def measure(options: argparse.Namespace) -> None:
    """Ratios for grey images and for sparse bits."""
    rng = np.random.default_rng(0)
    X = rng.random((options.rows, N_FEATURES), dtype=np.float32)
    rows = torch.from_numpy(X)
    drawn = {"binarize": "dynamic"} if options.dynamic else {}
    for dim in options.dims:
        loop = partial(by_hand, HandWritten(dim), rows, options.dynamic)
        found = ratios({"loop": loop, **models(dim, X, **drawn)}, options.rounds)
        show(f"784 inputs, layers 256-128, d = {dim}", found)
    bits = sp.random_array((options.rows, 2048), density=0.02, rng=rng, dtype=np.float32)
    bits.data[:] = 1.0
    bits, dense = bits.tocsr(), torch.from_numpy(bits.toarray())
    dim = options.dims[0]
    loop = partial(by_hand, HandWritten(dim, 2048, (512,)), dense)
    runs = {"loop": loop, **models(dim, bits, hidden_layer_sizes=(512,))}
    show(f"2048 sparse columns, layer 512, d = {dim}", ratios(runs, options.rounds))


def measure_elbo(options: argparse.Namespace, runs: Runs) -> None:
    """Train what is not in the file."""
    train, test = (part.data for part in images(options.folder))
    for seed in options.seeds:
        for d in options.dims:
            for name, kind in KINDS.items():
                for precision in PRECISIONS:
                    run = {"d": d, "model": name, "precision": precision, "seed": seed}
                    run["epochs"] = options.epochs
                    if runs.has(**run):
                        continue
                    vae = kind(
                        d,
                        precision=precision,
                        binarize="dynamic",
                        max_epochs=options.epochs,
                        random_state=seed,
                    ).fit(train)
                    found = vae.evaluate(test, n_importance_samples=1)
                    runs.add(**run, **{value: found[value] for value in VALUES})


def print_table(runs: Runs) -> None:
    """Test ELBO in each precision, and the difference."""
    elbo = {tuple(row[key] for key in KEYS): float(row["elbo"]) for row in runs.rows()}
    print("test ELBO, nats an image: float32, bfloat16, difference")
    for (d, model, precision, seed, epochs), plain in sorted(elbo.items()):
        rounded = elbo.get((d, model, "bfloat16", seed, epochs))
        if precision == "float32" and rounded is not None:
            print(
                f"  d={d:<3} {model:<11} seed {seed}, {epochs} epochs  {plain:8.2f} "
                f"{rounded:8.2f}  {rounded - plain:+.2f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=12800)
    parser.add_argument("--dims", type=int, nargs="+", default=[10, 40])
    parser.add_argument("--dynamic", action="store_true", help="draw the pixels in each epoch")
    parser.add_argument("--elbo", action="store_true")
    parser.add_argument("--folder", default=None, help="folder with the IDX files")
    parser.add_argument("--csv", type=Path, default=Path("precision.csv"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--table", action="store_true", help="print the file and stop")
    options = parser.parse_args()
    one_thread()
    torch.manual_seed(0)
    runs = Runs(options.csv, KEYS, VALUES)
    if options.elbo:
        if not options.table:
            measure_elbo(options, runs)
        print_table(runs)
        return
    native = "native" if knows_bfloat16("cpu") else "no native"
    print(f"{options.rows} rows, {options.rounds} rounds, {native} bfloat16, times of the loop")
    measure(options)


if __name__ == "__main__":
    main()
