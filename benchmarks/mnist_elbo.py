"""Test ELBO of the three geometries and of the projected normal on MNIST, at equal budget.

Dynamic binarisation of training and test images, MLP 256-128, batch 128, ten epochs from the
default start at PCA. The script prints one line per model: ELBO, reconstruction, KL and the
importance-weighted bound in nats per image, and the difference from the Gaussian model of the same
dimension.

    python benchmarks/mnist_elbo.py --folder FOLDER_WITH_IDX_FILES [--dims 10 40] [--epochs 10]
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import torch
from _mnist import KINDS, images

from skccvae import SphericalVAETransformer

MODELS = {**KINDS, "projected": partial(SphericalVAETransformer, posterior="projected_normal")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=None, help="folder with the IDX files")
    parser.add_argument("--dims", type=int, nargs="+", default=[10, 40])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--importance-samples", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train, test = (part.data for part in images(options.folder))
    print("dynamic binarisation of train and test; nats an image")
    print("model        d seed     elbo  recon.     kl   log-lik  elbo-gaussian  seconds")
    for dim in options.dims:
        for seed in options.seeds:
            base = None
            for name in options.models:
                start = time.perf_counter()
                vae = MODELS[name](
                    n_components=dim,
                    binarize="dynamic",
                    max_epochs=options.epochs,
                    kl_warmup_epochs=options.warmup,
                    random_state=seed,
                ).fit(train)
                seconds = time.perf_counter() - start
                result = vae.evaluate(test, options.importance_samples)
                if name == "gaussian":
                    base = result["elbo"]
                gap = "" if base is None else f"{result['elbo'] - base:+.2f}"
                print(
                    f"{name:<10} {dim:>3} {seed:>4} {result['elbo']:>8.2f} "
                    f"{result['reconstruction']:>7.2f} {result['kl']:>6.2f} "
                    f"{result['log_likelihood']:>9.2f} {gap:>14} {seconds:>8.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
