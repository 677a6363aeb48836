"""Does a search over K find the geometry of the data, and does a learned K move towards it?

Two data sets whose geometry is known: the noisy observations of a branching diffusion (a tree) and
a mixture on a sphere behind a random map. For each seed, the script computes the held-out
log-likelihood of a two-dimensional model at each curvature of a grid with both signs, and the
curvature that training reaches from a start at 0.

    python benchmarks/curvature_signs.py [--seeds 10] [--epochs 60]
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from _runs import from_random_start

from skccvae import ConstantCurvatureVAETransformer
from skccvae.datasets import make_branching_diffusion, make_sphere_mixture

GRID = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]
MAKERS = {"tree": (make_branching_diffusion, -1), "sphere": (make_sphere_mixture, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--data", nargs="+", default=list(MAKERS), choices=list(MAKERS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.data:
        make, sign = MAKERS[name]
        found = moved = 0
        print(f"{name}: held-out log-likelihood at K = {GRID}, then the learned K")
        for seed in range(options.seeds):
            X = make(n_samples=options.rows, random_state=seed).data.astype(np.float32)
            cut = int(0.8 * len(X))
            settings = {
                "hidden_layer_sizes": (64,),
                "batch_size": 64,
                "max_epochs": options.epochs,
                "random_state": seed,
            }
            scores = []
            for K in GRID:
                vae = ConstantCurvatureVAETransformer(2, curvature=K, **settings)
                from_random_start(vae, "gaussian").fit(X[:cut])
                scores.append(vae.score(X[cut:]))
            vae = ConstantCurvatureVAETransformer(2, learn_curvature=True, **settings)
            learned = from_random_start(vae, "gaussian").fit(X[:cut]).curvature_
            best = GRID[int(np.argmax(scores))]
            found += bool(np.sign(best) == sign)
            moved += bool(np.sign(learned) == sign)
            line = " ".join(f"{score:8.2f}" for score in scores)
            print(f"  seed {seed}: {line}  best K {best:g}, learned K {learned:+.2f}", flush=True)
        print(
            f"{name}: the search picks the sign {sign:+d} in {found} of {options.seeds} seeds, "
            f"learning moves there in {moved}"
        )


if __name__ == "__main__":
    main()
