"""What should the decoder read from a curved space? Three choices on data of known geometry.

The choices are plain coordinates, the log map at the origin, and signed distances to learned
hyperplanes. They are compared by the held-out log-likelihood of two-dimensional models on the
branching diffusion (a tree) and on the mixture on a sphere, as means over seeds.

    python benchmarks/decoder_input.py [--seeds 3] [--epochs 60]
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from _runs import from_random_start

from skccvae import HyperbolicVAETransformer, SphericalVAETransformer
from skccvae.datasets import make_branching_diffusion, make_sphere_mixture

INPUTS = ("coordinates", "tangent", "gyroplane")
SPACES = {
    "tree, hyperbolic, wrapped normal": (
        make_branching_diffusion,
        HyperbolicVAETransformer(2),
    ),
    "tree, hyperbolic, Riemannian normal": (
        make_branching_diffusion,
        HyperbolicVAETransformer(2, posterior="riemannian_normal"),
    ),
    "sphere, Riemannian normal": (
        make_sphere_mixture,
        SphericalVAETransformer(2, posterior="riemannian_normal"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--rows", type=int, default=3000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':<36}" + " ".join(f"{name:>12}" for name in INPUTS))
    for name, (make, vae) in SPACES.items():
        scores = np.empty((options.seeds, len(INPUTS)))
        for seed in range(options.seeds):
            X = make(n_samples=options.rows, random_state=seed).data.astype(np.float32)
            cut = int(0.8 * len(X))
            for column, decoder_input in enumerate(INPUTS):
                vae.set_params(
                    decoder_input=decoder_input,
                    hidden_layer_sizes=(64,),
                    batch_size=64,
                    max_epochs=options.epochs,
                    random_state=seed,
                )
                fitted = from_random_start(vae, "gaussian").fit(X[:cut])
                scores[seed, column] = fitted.score(X[cut:])
        mean = " ".join(f"{score:12.2f}" for score in scores.mean(axis=0))
        print(f"{name:<36}{mean}", flush=True)


if __name__ == "__main__":
    main()
