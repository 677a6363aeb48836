"""How denormal numbers in Adam's averages slow a fit down, and what their removal buys.

The average gradient of a weight that gets no gradient any more shrinks by a tenth in each step.
After some 800 steps it is a denormal number: below 1.2e-38, with fewer digits the smaller it is.
Some processors compute with these as fast as with other numbers. Others take a hundred times as
long.

Two Gaussian models, with batches of 128 rows and one thread, train in turn on the same rows. One
has `torch.optim.Adam`, the other this package's `Adam`, which sets such averages to 0. The rows are
images of MNIST, or noise, where most hidden units soon give 0 for every row. The figures are the
milliseconds of a step in each epoch, the share of denormal averages at its end, and the ratio.

    python benchmarks/denormals.py [--folder FOLDER_WITH_IDX_FILES] [--epochs 14]
"""

from __future__ import annotations

import argparse
from unittest import mock

import numpy as np
import torch
from _mnist import images

from skccvae import GaussianVAETransformer
from skccvae.training.adam import Adam

BATCH, N_ROWS = 128, 12800
SMALLEST = torch.finfo(torch.float32).tiny


def epoch(model: GaussianVAETransformer, X: np.ndarray, kind: type) -> tuple[float, float]:
    """Train for an epoch; milliseconds of a step, and share of denormal averages."""
    with mock.patch("skccvae.estimators._model.Adam", kind):
        model.fit(X)
    optimizer = model.net_.optimizer_
    assert type(optimizer) is kind
    averages = torch.cat([state["exp_avg"].flatten() for state in optimizer.state.values()])
    denormal = (averages != 0) & (averages.abs() < SMALLEST)
    seconds = model.net_.history[-1]["dur"]
    return 1e3 * seconds * BATCH / len(X), float(denormal.double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", help="folder with the files of MNIST; without it, only noise")
    parser.add_argument("--epochs", type=int, default=14)
    options = parser.parse_args()
    torch.set_num_threads(1)
    noise = np.random.default_rng(0).random((N_ROWS, 784), dtype=np.float32)
    tables = {"noise": noise}
    if options.folder:
        train, _ = images(options.folder)
        tables["MNIST"] = train.data[:N_ROWS]
    for name, X in tables.items():
        print(f"{name:<8}{'torch':>8}{'denormal':>10}{'ours':>8}{'denormal':>10}{'ratio':>8}")
        models = {
            kind: GaussianVAETransformer(
                10,
                likelihood="bernoulli",
                batch_size=BATCH,
                max_epochs=1,
                warm_start=True,
                random_state=0,
            )
            for kind in (torch.optim.Adam, Adam)
        }
        for number in range(1, options.epochs + 1):
            found = [epoch(model, X, kind) for kind, model in models.items()]
            (theirs, first), (ours, second) = found
            cells = f"{theirs:>8.2f}{first:>10.3f}{ours:>8.2f}{second:>10.3f}{theirs / ours:>8.2f}"
            print(f"{number:<8}{cells}", flush=True)


if __name__ == "__main__":
    main()
