"""Convolutional networks against a multilayer perceptron on MNIST, ten dimensions, equal epochs.

Training and test images are binarised dynamically. The script prints the test log-likelihood (by
importance sampling), the ELBO, and the seconds of the fit, whose ratio is the cost.

    python benchmarks/mnist_conv.py --folder FOLDER_WITH_IDX_FILES [--epochs 3] [--rows 60000]
"""

from __future__ import annotations

import argparse
import time

import torch
from _mnist import images
from _runs import from_random_start

from skccvae import GaussianVAETransformer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=None, help="folder with the IDX files")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=60000, help="training images")
    parser.add_argument("--importance-samples", type=int, default=64)
    parser.add_argument("--test-rows", type=int, default=10000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train, test = (part.data for part in images(options.folder))
    train, test = train[: options.rows], test[: options.test_rows]
    print("nets   log-lik     elbo  seconds")
    taken = {}
    for nets in ("mlp", "conv"):
        start = time.process_time()
        vae = GaussianVAETransformer(
            10,
            encoder=nets,
            decoder=nets,
            image_shape=(28, 28),
            binarize="dynamic",
            max_epochs=options.epochs,
            random_state=0,
        )
        from_random_start(vae, "bernoulli").fit(train)
        taken[nets] = time.process_time() - start
        found = vae.evaluate(test, options.importance_samples)
        numbers = f"{found['log_likelihood']:9.2f} {found['elbo']:8.2f} {taken[nets]:8.1f}"
        print(f"{nets:<5} {numbers}", flush=True)
    print(f"conv / mlp seconds of processor time: {taken['conv'] / taken['mlp']:.2f}")


if __name__ == "__main__":
    main()
