"""Where the time of a training step goes, in microseconds.

The Gaussian, spherical and hyperbolic models have default parameters except for layers, batch size
and likelihood, and run on one thread. The parts are those of the training loop: batches (the rows,
pixels and noise of an epoch), the forward pass with the loss, the backward pass, and the optimiser.
For comparison, the script also times the bare matrix products of the same networks, forward and
backward, and a step that is repeated from a recording, in the last epoch of a fit of five.

    python benchmarks/step_parts.py [--epochs 7]
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import torch
from _epochs import EPOCHS
from torch import nn

from skccvae import GaussianVAETransformer, HyperbolicVAETransformer, SphericalVAETransformer
from skccvae.training import VAENet

KINDS = {
    "Gaussian": GaussianVAETransformer,
    "spherical": SphericalVAETransformer,
    "hyperbolic": HyperbolicVAETransformer,
}
# Inputs, layers, batch size.
SETTINGS: list[tuple[int, tuple[int, ...], int]] = [
    (784, (256, 128), 128),
    (64, (256, 128), 128),
    (64, (256, 128), 32),
    (64, (64,), 32),
]
PARTS = ("forward", "backward", "optimiser")


class Clock:
    """A training step whose parts are timed."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)

    def train_step(self, net: VAENet, batch: Any, *, weight: float = 1.0, **options: Any) -> list:
        """As `VAENet.train_step`, without what models at their defaults do not have."""
        times = [time.perf_counter()]
        loss, *parts = net.criterion_(net.module_, batch, weight)
        times.append(time.perf_counter())
        for group in net.optimizer_.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
        loss.backward()
        times.append(time.perf_counter())
        net.optimizer_.step()
        times.append(time.perf_counter())
        for part, start, end in zip(PARTS, times, times[1:], strict=False):
            self.seconds[part] += end - start
        return [loss.detach(), *parts]


def products(module: nn.Module, rows: int) -> float:
    """Seconds of the products of the dense layers of a model, forward and backward."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    data = [
        (torch.randn(rows, m.in_features), m.weight.detach(), torch.randn(rows, m.out_features))
        for m in layers
    ]
    taken = []
    for _ in range(50):
        start = time.perf_counter()
        for number, (x, weight, grad) in enumerate(data):
            x @ weight.T
            grad.T @ x
            if number:  # rows get no gradient
                grad @ weight
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=100, help="steps in an epoch")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = ("products", "recorded", "step", *PARTS, "loop")
    print(f"{'inputs, layers, batch':<22}{'model':<12}" + "".join(f"{n:>10}" for n in names))
    plain = VAENet.train_step
    for p, layers, size in SETTINGS:
        X = np.random.default_rng(0).random((size * options.steps, p), dtype=np.float32)
        for name, kind in KINDS.items():
            model = kind(
                10,
                likelihood="bernoulli",
                hidden_layer_sizes=layers,
                batch_size=size,
                max_epochs=1,
                warm_start=True,
                random_state=0,
            ).fit(X)
            found = []
            for _ in range(options.epochs):
                clock = Clock()
                VAENet.train_step = lambda net, batch, c=clock, **o: c.train_step(net, batch, **o)
                model.set_params(max_epochs=1).fit(X)
                VAENet.train_step = plain
                whole = model.net_.history[-1]["dur"]
                parts = list(clock.seconds.values())
                recorded = model.set_params(max_epochs=EPOCHS).fit(X).net_.history[-1]["dur"]
                found.append([recorded, whole, *parts, whole - sum(parts)])
            steps = np.median(found, axis=0) / options.steps
            cells = [products(model.net_.module_, size), *steps]
            where = f"{p}, {'-'.join(map(str, layers))}, {size}"
            print(
                f"{where:<22}{name:<12}" + "".join(f"{1e6 * c:>10.0f}" for c in cells), flush=True
            )


if __name__ == "__main__":
    main()
