"""Cost of a training step on a small table, against a bare torch loop and another checkout.

64 inputs, layers 256-128, batches of 32 rows, 5 dimensions, one thread. In this setting, most of
the time of a step is spent on launching operations, not on arithmetic. The bare loop has the same
layers and likelihood, torch's fused Adam, and nothing else: no linear path from PCA, no history.

Every version of the package trains in a separate process, five epochs at a time, in turn with an
epoch of the bare loop and with the others. In a round, all models take a turn. A figure is the
median over rounds of the ratio within a round, with the quartiles. Below 1, this checkout is faster
than the bare loop or the other checkout, and a model is faster than the Gaussian one.

    python benchmarks/small_fits.py
    python benchmarks/small_fits.py --checkout ../other
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import _workers
import numpy as np
import torch
import torch.nn.functional as F
from _epochs import EPOCHS, epoch_seconds
from _one_thread import one_thread
from torch import nn

N_FEATURES, BATCH, DIM, HIDDEN = 64, 32, 5, (256, 128)


def layers(*widths: int) -> nn.Sequential:
    pairs = [(nn.Linear(a, b), nn.ReLU()) for a, b in zip(widths, widths[1:], strict=False)]
    return nn.Sequential(*(layer for pair in pairs for layer in pair))


class Bare:
    """Gaussian VAE and its training loop in plain torch."""

    def __init__(self) -> None:
        self.encoder = nn.Sequential(layers(N_FEATURES, *HIDDEN), nn.Linear(HIDDEN[-1], 2 * DIM))
        self.decoder = nn.Sequential(layers(DIM, *HIDDEN[::-1]), nn.Linear(HIDDEN[0], N_FEATURES))
        weights = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimizer = torch.optim.Adam(weights, lr=1e-3, fused=True)

    def epoch(self, x: torch.Tensor) -> float:
        """Train on all rows once; the seconds."""
        start = time.perf_counter()
        for batch in x[torch.randperm(len(x))].split(BATCH):
            mean, log_scale = self.encoder(batch).chunk(2, dim=-1)
            scale = log_scale.exp()
            logits = self.decoder(mean + scale * torch.randn_like(mean))
            cost = F.binary_cross_entropy_with_logits(logits, batch, reduction="sum")
            kl = (0.5 * (mean.square() + scale.square() - 1) - log_scale).sum()
            self.optimizer.zero_grad()
            ((cost + kl) / len(batch)).backward()
            self.optimizer.step()
        return time.perf_counter() - start


def models() -> dict:
    """The estimators that are timed, by name."""
    import skccvae

    settings = {
        "n_components": DIM,
        "hidden_layer_sizes": HIDDEN,
        "likelihood": "bernoulli",
        "batch_size": BATCH,
        "max_epochs": EPOCHS,
        "warm_start": True,
        "random_state": 0,
        "device": "cpu",
    }
    return {
        "random start": skccvae.GaussianVAETransformer(init="random", **settings),
        "gaussian": skccvae.GaussianVAETransformer(**settings),
        "spherical": skccvae.SphericalVAETransformer(**settings),
        "hyperbolic": skccvae.HyperbolicVAETransformer(**settings),
    }


def work(rows: int) -> None:
    """Train the model named on each line of standard input. Answer the seconds of an epoch."""
    one_thread()
    X = np.random.default_rng(0).random((rows, N_FEATURES), dtype=np.float32)
    found, bare = models(), Bare()
    for line in sys.stdin:
        name = line.strip()
        if name == "bare":
            print(bare.epoch(torch.from_numpy(X)), flush=True)
            continue
        print(epoch_seconds(found[name].fit(X).net_), flush=True)


def start(path: Path, rows: int) -> subprocess.Popen:
    return _workers.start(__file__, path, "--rows", rows)


def ask(process: subprocess.Popen, name: str) -> float:
    return float(_workers.ask(process, name))


def described(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} ({low:.3f} .. {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkout", type=Path, help="folder of another version of the package")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rows", type=int, default=6400)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.rows)
        return
    paths = [Path(__file__).resolve().parents[1]]
    if options.checkout is not None:
        paths.append(options.checkout.resolve())
    processes = [start(path, options.rows) for path in paths]
    steps = options.rows // BATCH
    names = ["random start", "gaussian", "spherical", "hyperbolic"]
    for process in processes:  # builds models and tables
        for name in ("bare", *names):
            ask(process, name)
    print(f"{steps} steps of {BATCH} rows an epoch, {options.rounds} rounds")
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    for number in range(options.rounds):
        for name in names if number % 2 else names[::-1]:
            turns = [("bare", processes[0], "bare"), ("this", processes[0], name)]
            turns += [("other", process, name) for process in processes[1:]]
            for key, process, what in turns if number % 2 else turns[::-1]:
                seconds[name].setdefault(key, []).append(ask(process, what))
    print("microseconds a step, and this / bare, this / Gaussian, this / other (quartiles)")
    for name, found in seconds.items():
        own = statistics.median(found["this"]) / steps * 1e6
        against = {"bare": found["bare"], "plane": seconds["gaussian"]["this"]}
        against |= {"other": found["other"]} if "other" in found else {}
        columns = (
            described([mine / theirs for mine, theirs in zip(found["this"], other, strict=True)])
            for other in against.values()
        )
        print(f"  {name:<13} {own:5.0f}   {'   '.join(columns)}")
    for process in processes:
        process.stdin.close()
        process.wait()


if __name__ == "__main__":
    main()
