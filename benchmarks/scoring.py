"""Time of scoring by importance sampling on MNIST against another checkout of the package.

This checkout fits a model of each geometry and saves it: 10 dimensions, layers 256-128, a Bernoulli
likelihood. Processes of both versions load the files and score the same test images in turn, in one
interleaved run with one thread each. The figure is the ratio of their times, as the median over
rounds, with the smallest and largest. It is below 1 if this checkout is faster. With ``--floor``, a
process of this checkout only decodes the same number of draws, which is a lower bound on the time
of scoring.

    python benchmarks/scoring.py --checkout ../other
    python benchmarks/scoring.py --floor
    python benchmarks/scoring.py --checkout ../other --rows 10000 --rounds 1 --models gaussian
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _workers
import numpy as np
import torch
from _mnist import KINDS, images


def work(folder: Path, data: str | None, rows: int, draws: int, floor: bool) -> None:
    """Score with the model named on each line of standard input, and answer the seconds."""
    import skccvae

    torch.set_num_threads(1)
    X = images(data)[1].data[:rows]
    for line in sys.stdin:
        name = line.strip()
        model = skccvae.load(folder / f"{name}.skccvae", device="cpu")
        model.score_samples(X[:8], 2)
        start = time.perf_counter()
        scores = decode(model, len(X), draws) if floor else model.score_samples(X, draws)
        took = time.perf_counter() - start
        np.save(folder / f"{name}-{os.getpid()}.npy", scores)
        print(took, os.getpid(), flush=True)


@torch.inference_mode()
def decode(model, rows: int, draws: int) -> np.ndarray:
    """Products and activations of the decoder alone, in pieces that stay in the cache."""
    module = model.net_.module_
    features = torch.randn(320, module.latent.n_features)
    for _ in range(rows * draws // len(features)):
        module.decode(features)
    return np.zeros(rows)


def start(path: Path, folder: Path, options: argparse.Namespace, floor: bool) -> subprocess.Popen:
    arguments = [folder, "--rows", options.rows, "--draws", options.draws]
    arguments += [] if options.data is None else ["--data", options.data]
    arguments += ["--floor"] if floor else []
    return _workers.start(__file__, path, *arguments)


def ask(process: subprocess.Popen, name: str, folder: Path) -> tuple[float, np.ndarray]:
    took, number = _workers.ask(process, name).split()
    return float(took), np.load(folder / f"{name}-{number}.npy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--checkout", type=Path, help="folder of another version of the package")
    other.add_argument("--floor", action="store_true", help="against the decoder alone")
    parser.add_argument("--data", help="folder that holds mnist/")
    parser.add_argument("--models", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.data, options.rows, options.draws, options.floor)
        return
    here = Path(__file__).resolve().parents[1]
    path = here if options.checkout is None else options.checkout.resolve()
    X = images(options.data)[0].data[:12800]
    print(f"{options.rows} rows, {options.draws} draws, {options.rounds} rounds:")
    print("this / other (smallest .. largest), seconds of this, largest difference in nats")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in options.models:
            settings = {"likelihood": "bernoulli", "max_epochs": 2, "random_state": 0}
            KINDS[kind](10, **settings, device="cpu").fit(X).save(folder / f"{kind}.skccvae")
        pair = [start(here, folder, options, False), start(path, folder, options, options.floor)]
        for kind in options.models:
            seconds, difference = np.empty((options.rounds, 2)), 0.0
            for number in range(options.rounds):
                scores = {}
                for side in (0, 1) if number % 2 else (1, 0):
                    seconds[number, side], scores[side] = ask(pair[side], kind, folder)
                difference = max(difference, float(np.abs(scores[0] - scores[1]).max()))
            ratio = seconds[:, 0] / seconds[:, 1]
            spread = f"({ratio.min():.3f} .. {ratio.max():.3f})"
            line = f"  {kind:<10} {np.median(ratio):.3f}  {spread}"
            line = f"{line}  {np.median(seconds[:, 0]):.2f} s"
            print(line if options.floor else f"{line}  {difference:.1e}", flush=True)
        for process in pair:
            process.stdin.close()
            process.wait()


if __name__ == "__main__":
    main()
