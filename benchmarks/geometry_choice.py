"""How often `compare_geometries` picks the expected space, over seeds.

Trees (branching diffusion and WordNet's mammals) are compared by the correlation of distances, with
the stress term. The days of a year and a mixture on a sphere are compared by the log-likelihood. On
independent normal noise, neither score should show a difference. For each data set, one line says
which space was picked, and how often.

    python benchmarks/geometry_choice.py [--seeds 10]
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import torch
from scipy.spatial.distance import pdist, squareform

from skccvae.datasets import (
    load_daily_temperatures,
    load_mammals,
    make_branching_diffusion,
    make_sphere_mixture,
)
from skccvae.model_selection import compare_geometries


def branching(seed: int) -> dict:
    tree = make_branching_diffusion(random_state=seed)
    true = tree.tree_distances[np.ix_(tree.node, tree.node)]
    return {"X": tree.data, "distances": true, "distance_weight": 3.0}


def mammals(seed: int) -> dict:
    chosen = np.random.default_rng(seed).choice(1182, 600, replace=False)
    data = load_mammals()
    true = data.tree_distances[np.ix_(chosen, chosen)]
    return {"X": data.data[chosen], "distances": true, "distance_weight": 3.0}


def days(seed: int) -> dict:
    return {"X": load_daily_temperatures().data, "n_components": 1, "max_epochs": 300}


def mixture(seed: int) -> dict:
    return {"X": make_sphere_mixture(600, concentration=0.0, random_state=seed).data}


def noise(seed: int) -> dict:
    X = np.random.default_rng(seed).normal(size=(300, 20))
    return {"X": X, "distances": squareform(pdist(X))}


# The set, the criterion, and the answer of the tables.
CASES = [
    (branching, "pearson", "hyperbolic"),
    (mammals, "pearson", "hyperbolic"),
    (days, "log_likelihood", "sphere"),
    (mixture, "log_likelihood", "sphere"),
    (noise, "log_likelihood", "no difference"),
    (noise, "pearson", "no difference"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for make, criterion, wanted in CASES:
        picked: Counter[str] = Counter()
        for seed in range(options.seeds):
            settings = {"max_epochs": options.epochs, **make(seed)}
            result = compare_geometries(
                settings.pop("X"), n_repeats=options.repeats, random_state=seed, **settings
            )
            picked[str(result.best(criterion))] += 1
        right = picked[wanted]
        print(f"{make.__name__:<10} {criterion:<15} {wanted} in {right} of {options.seeds}", end="")
        print("".join(f"; {name} {n}" for name, n in picked.items() if name != wanted), flush=True)


if __name__ == "__main__":
    main()
