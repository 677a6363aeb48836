"""Cost of a training epoch and of `transform`, as ratios in one interleaved run.

Batch 128, layers 256-128, 784 inputs, one thread. In each round every model runs five epochs, in an
order that rotates, so that drift of the machine's speed affects all alike. The figure is the median
over rounds of the ratio within a round. The hand-written loop has the same layers and the same
arithmetic in the plainest torch code, without the linear path that lets models start at PCA. Models
with a random start have no linear path either.

With ``--posteriors``, the script runs every posterior and products of k factors instead. With
``--distances``, it runs the stress term and posteriors with one scale.

    python benchmarks/epoch_time.py [--rounds 15] [--rows 12800] [--dims 2 10 40] [--posteriors]
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F
from _epochs import EPOCHS
from _one_thread import one_thread
from sklearn.base import clone
from torch import nn

from skccvae import (
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)
from skccvae.nn import mlp

N_FEATURES = 784
# The likelihood of the hand-written loop.
SETTINGS = {
    "likelihood": "bernoulli",
    "max_epochs": EPOCHS,
    "warm_start": True,
    "random_state": 0,
}


class HandWritten(nn.Module):
    """Gaussian VAE as a tutorial writes it, with its own training loop."""

    def __init__(
        self, dim: int, n_features: int = N_FEATURES, hidden: tuple[int, ...] = (256, 128)
    ) -> None:
        super().__init__()
        self.encoder = mlp(n_features, hidden, "relu")
        self.mean, self.log_var = nn.Linear(hidden[-1], dim), nn.Linear(hidden[-1], dim)
        self.decoder = mlp(dim, hidden[::-1], "relu", n_features)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)

    def epoch(self, x: torch.Tensor, batch_size: int = 128, drawn: bool = False) -> float:
        order = torch.randperm(len(x))
        total = 0.0
        for start in range(0, len(x), batch_size):
            batch = x[order[start : start + batch_size]]
            if drawn:
                batch = torch.bernoulli(batch)
            hidden = self.encoder(batch)
            mean, log_var = self.mean(hidden), self.log_var(hidden)
            z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
            reconstruction = F.binary_cross_entropy_with_logits(
                self.decoder(z), batch, reduction="sum"
            )
            kl = -0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())
            loss = (reconstruction + kl) / len(batch)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total


def epoch_of(estimator, X: np.ndarray):
    """More epochs on data that is already there, as `fit` runs them."""
    estimator.fit(X)
    return lambda: estimator.fit(X)


def posteriors(dim: int) -> dict:
    """An estimator for each posterior, and products, at intrinsic dimension ``dim``."""
    # At K = -1 a Riemannian normal of scale 1 in 40 dimensions leaves the range of float32.
    K = -1.0 if dim <= 10 else -0.25
    models = {
        "vMF": SphericalVAETransformer(dim),
        "power spherical": SphericalVAETransformer(dim, posterior="power_spherical"),
        "projected normal": SphericalVAETransformer(dim, posterior="projected_normal"),
        "Riemannian, K>0": SphericalVAETransformer(dim, posterior="riemannian_normal"),
        "wrapped, K>0": SphericalVAETransformer(dim, posterior="wrapped_normal"),
        "wrapped, K<0": HyperbolicVAETransformer(dim),
        "Riemannian, K<0": HyperbolicVAETransformer(
            dim, curvature=K, posterior="riemannian_normal"
        ),
        "constant, K<0": ConstantCurvatureVAETransformer(dim, curvature=K),
        "constant, learned": ConstantCurvatureVAETransformer(dim, learn_curvature=True),
    }
    for k in (2, 4, 8):
        if dim % k == 0:
            signature = f"{k}s{dim // k}"
            models[signature] = MixedCurvatureVAETransformer(signature)
    return models


def measure_posteriors(dim: int, rounds: int, X: np.ndarray) -> None:
    settings = SETTINGS
    models = {"gaussian": GaussianVAETransformer(dim), **posteriors(dim)}
    runs = {name: epoch_of(model.set_params(**settings), X) for name, model in models.items()}
    print(f"d = {dim}: ratio to the Gaussian model's epoch")
    for name, ratios in interleave(runs, rounds, "gaussian").items():
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"  {name:<18} {middle:.3f}  ({low:.3f} .. {high:.3f})", flush=True)


def distances(dim: int) -> dict:
    """Each space alone, with the stress term, and with one scale for all rows."""
    spaces = {
        "gaussian": GaussianVAETransformer(dim),
        "spherical": SphericalVAETransformer(dim),
        "hyperbolic": HyperbolicVAETransformer(dim),
        "learned K": ConstantCurvatureVAETransformer(
            dim, curvature=-1.0, learn_curvature=True, decoder_input="tangent"
        ),
    }
    variants: dict[str, dict] = {
        "": {},
        " + distances": {"distance_weight": 1.0},
        " shared": {"posterior_scale": "shared"},
        " fixed": {"posterior_scale": 0.5},
    }
    return {
        name + variant: clone(model).set_params(**settings)
        for name, model in spaces.items()
        for variant, settings in variants.items()
    }


def measure_distances(dim: int, rounds: int, X: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    # Noise cannot be decoded, so the scale of the term would be measured in every epoch.
    X = (rng.random((len(X), 5)) @ rng.random((5, N_FEATURES)) / 5).astype(np.float32)
    runs = {n: epoch_of(m.set_params(**SETTINGS), X) for n, m in distances(dim).items()}
    print(f"d = {dim}: ratio to the epoch of the same space without")
    for name in ("gaussian", "spherical", "hyperbolic", "learned K"):
        own = {n: run for n, run in runs.items() if n.startswith(name)}
        for variant, ratios in interleave(own, rounds, name).items():
            low, middle, high = statistics.quantiles(ratios, n=4)
            print(f"  {variant:<24} {middle:.3f}  ({low:.3f} .. {high:.3f})", flush=True)


def interleave(runs: dict, rounds: int, base: str) -> dict[str, list[float]]:
    """Ratios of each run to the base right beside it, in rounds."""
    ratios: dict[str, list[float]] = {name: [] for name in runs if name != base}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name in ratios:
            start = time.perf_counter()
            runs[base]()
            middle = time.perf_counter()
            runs[name]()
            ratios[name].append((time.perf_counter() - middle) / (middle - start))
    return ratios


def measure(dim: int, rounds: int, X: np.ndarray) -> dict[str, list[float]]:
    settings = {"n_components": dim, **SETTINGS}
    x = torch.from_numpy(X)
    by_hand = HandWritten(dim)
    runs = {
        "hand-written": lambda: [by_hand.epoch(x) for _ in range(EPOCHS)],
        "gaussian": epoch_of(GaussianVAETransformer(**settings), X),
        "random start": epoch_of(GaussianVAETransformer(init="random", **settings), X),
        "spherical": epoch_of(SphericalVAETransformer(**settings), X),
        "hyperbolic": epoch_of(HyperbolicVAETransformer(**settings), X),
    }
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            start = time.perf_counter()
            runs[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def transform_ratio(dim: int, rounds: int, X: np.ndarray) -> dict[str, float]:
    """`transform` over a bare forward pass of encoder and head in one batch."""
    ratios = {}
    for kind in (GaussianVAETransformer, SphericalVAETransformer, HyperbolicVAETransformer):
        vae = kind(n_components=dim, **SETTINGS).fit(X)
        module, x = vae.net_.module_, torch.from_numpy(X)
        pairs = []
        for _ in range(rounds):
            start = time.perf_counter()
            with torch.inference_mode():
                module.encode(x)
            middle = time.perf_counter()
            vae.transform(X)
            pairs.append((time.perf_counter() - middle) / (middle - start))
        ratios[kind.__name__] = statistics.median(pairs)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=12800)
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 10, 40])
    parser.add_argument("--posteriors", action="store_true")
    parser.add_argument("--distances", action="store_true")
    options = parser.parse_args()
    one_thread()
    torch.manual_seed(0)
    X = np.random.default_rng(0).random((options.rows, N_FEATURES), dtype=np.float32)
    print(f"{options.rows} rows, {options.rounds} rounds, median ratio (and quartiles)")
    for dim in options.dims:
        if options.posteriors:
            measure_posteriors(dim, options.rounds, X)
            continue
        if options.distances:
            measure_distances(dim, options.rounds, X)
            continue
        seconds = measure(dim, options.rounds, X)
        base = seconds["gaussian"]
        print(f"d = {dim}: gaussian {statistics.median(base) / EPOCHS:.3f} s an epoch")
        for name in ("spherical", "hyperbolic"):
            ratios = [a / b for a, b in zip(seconds[name], base, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            print(f"  {name:<12} / gaussian      {middle:.3f}  ({low:.3f} .. {high:.3f})")
        for other in ("hand-written", "random start"):
            ratios = [a / b for a, b in zip(base, seconds[other], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            print(f"  {'gaussian':<12} / {other}  {middle:.3f}  ({low:.3f} .. {high:.3f})")
        for name, ratio in transform_ratio(dim, options.rounds, X).items():
            print(f"  {name} transform / forward  {ratio:.3f}")


if __name__ == "__main__":
    main()
