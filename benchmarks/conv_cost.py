"""Cost of the convolutional networks, compared with the perceptron, and time of an epoch.

Batch 128, d = 10, binary cross-entropy, random images. The first figure is the ratio of the times
of an epoch (conv / mlp, layers 256-128) on 28 x 28 images, as the median over rounds. The two
models take turns, so that drift of the machine's speed affects both. The second figure is the time
of an epoch over 64 x 64 x 3 images.

    python benchmarks/conv_cost.py [--rounds 5] [--rows 2560] [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from skccvae import GaussianVAETransformer


def epoch_seconds(vae: GaussianVAETransformer, X: np.ndarray) -> float:
    start = time.perf_counter()
    vae.partial_fit(X)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=2560)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, size=(options.rows, 28, 28), dtype=np.uint8)
    settings = {"n_components": 10, "random_state": 0, "device": "cpu"}
    models = {
        name: GaussianVAETransformer(encoder=name, decoder=name, **settings)
        for name in ("mlp", "conv")
    }
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for vae in models.values():
        vae.partial_fit(X[:256])
    for _ in range(options.rounds):
        for name, vae in models.items():
            seconds[name].append(epoch_seconds(vae, X))
    steps = -(-options.rows // 128)
    for name, values in seconds.items():
        size = sum(p.numel() for p in models[name].net_.module_.parameters())
        step = 1000 * statistics.median(values) / steps
        print(f"28 x 28, {name:4s}: {step:6.1f} ms a step, {size} weights")
    ratios = [c / m for c, m in zip(seconds["conv"], seconds["mlp"], strict=True)]
    print(f"28 x 28, conv / mlp: {statistics.median(ratios):.2f} (at most 8)")
    X = rng.integers(0, 256, size=(2000, 64, 64, 3), dtype=np.uint8)
    for likelihood in ("bernoulli", "discretized_logistic"):
        vae = GaussianVAETransformer(
            encoder="conv", decoder="conv", likelihood=likelihood, **settings
        )
        vae.partial_fit(X[:128])
        print(
            f"64 x 64 x 3, {likelihood}: {epoch_seconds(vae, X):.1f} s an epoch of 2000 images "
            "(at most 60)"
        )
        start = time.perf_counter()
        vae.inverse_transform(vae.transform(X))
        print(f"  transform and inverse_transform: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
