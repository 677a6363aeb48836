"""One space or a product: E, S, H and two products on MNIST at equal intrinsic dimension.

Dynamic binarisation of training and test images, MLP 256-128, batch 128, Adam 1e-3, thirty epochs.
Models start at random, with a KL warm-up over five epochs. Those marked ``pca`` start at
principal components, without a warm-up. P is the sphere with the projected normal posterior. The
script writes one line per run to a CSV file and skips runs that are already there, so it can be
interrupted and resumed.

    python benchmarks/mnist_products.py --folder FOLDER_WITH_IDX_FILES --csv results.csv
    python benchmarks/mnist_products.py --csv results.csv --table       # print what is there
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from _mnist import images
from _runs import Runs, from_random_start

from skccvae import (
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)

SPHERES = {2: ["2s1"], 5: ["s3,s2"], 10: ["2s5"], 20: ["2s10"], 40: ["2s20", "4s10"]}
MIXED = {2: "h1,s1", 5: "h2,s2,e1", 10: "h4,s3,e3", 20: "h7,s7,e6", 40: "h14,s13,e13"}
KEYS = ["d", "model", "seed", "epochs"]
VALUES = ["elbo", "reconstruction", "kl", "log_likelihood", "s"]
SETTINGS = {"binarize": "dynamic", "kl_warmup_epochs": 5}
START_AT_PCA = {"binarize": "dynamic"}


def models(dim: int) -> dict:
    random = {
        "E": GaussianVAETransformer(dim, **SETTINGS),
        "S": SphericalVAETransformer(dim, **SETTINGS),
        "H": HyperbolicVAETransformer(dim, **SETTINGS),
        **{
            signature: MixedCurvatureVAETransformer(signature, **SETTINGS)
            for signature in (*SPHERES[dim], MIXED[dim])
        },
    }
    projected = SphericalVAETransformer(dim, posterior="projected_normal", **START_AT_PCA)
    return {
        **{name: from_random_start(model, "bernoulli") for name, model in random.items()},
        "E pca": GaussianVAETransformer(dim, **START_AT_PCA),
        "S pca": SphericalVAETransformer(dim, **START_AT_PCA),
        "P pca": projected,
        "H pca": HyperbolicVAETransformer(dim, **START_AT_PCA),
    }


def print_table(runs: Runs) -> None:
    """Means over seeds, one line per model and dimension."""
    columns = f"{'log-lik':>9} {'elbo':>9} {'recon.':>9} {'kl':>7}  seeds epochs"
    print(f"{'d':>3} {'model':<13} {columns}")
    means = runs.means().items()
    for (dim, model, epochs), mean in sorted(means, key=lambda item: int(item[0][0])):
        print(
            f"{dim:>3} {model:<13} {mean['log_likelihood']:>9.2f} {mean['elbo']:>9.2f} "
            f"{mean['reconstruction']:>9.2f} {mean['kl']:>7.2f}  {mean['runs']:>5} {epochs:>6}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=None, help="folder with the IDX files")
    parser.add_argument("--csv", type=Path, default=Path("mnist_products.csv"))
    parser.add_argument("--dims", type=int, nargs="+", default=[40, 20, 10, 5, 2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--models", nargs="+", help="names as in the table; all by default")
    parser.add_argument("--importance-samples", type=int, default=64)
    parser.add_argument("--table", action="store_true", help="print the file and stop")
    options = parser.parse_args()
    runs = Runs(options.csv, KEYS, VALUES)
    if options.table:
        print_table(runs)
        return
    torch.set_num_threads(1)
    train, test = (part.data for part in images(options.folder))
    for seed in options.seeds:
        for dim in options.dims:
            for name, vae in models(dim).items():
                run = {"d": dim, "model": name, "seed": seed, "epochs": options.epochs}
                if runs.has(**run) or name not in (options.models or [name]):
                    continue
                start = time.perf_counter()
                vae.set_params(max_epochs=options.epochs, random_state=seed).fit(train)
                seconds = time.perf_counter() - start
                found = vae.evaluate(test, options.importance_samples)
                runs.add(**run, **{v: found[v] for v in VALUES[:4]}, s=round(seconds))


if __name__ == "__main__":
    main()
