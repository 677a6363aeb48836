"""The ELBO of held-out rows along the 60 epochs that a default model trains on a small table.

A fifth of the rows is held out. The noise of their bound is the same after each epoch. One fit for
each table, with ``random_state=0``; no parameter is set except the dimension.

    python benchmarks/held_out_epochs.py --data-home FOLDER_WITH_MNIST_AND_QM9
"""

from __future__ import annotations

import argparse
import warnings

import _tables
import numpy as np
import torch
from _tables import TABLES

import skccvae

DIMS = {"iris": 2, "wine": 5, "breast cancer": 10, "diabetes": 5, "penguins": 2, "digits": 10}
DIMS |= {"faces": 10, "MNIST 5000": 10, "QM9 600 bits": 32, "QM9 5000 bits": 32}
EPOCHS = 60


def held_out(X: np.ndarray, d: int) -> np.ndarray:
    """The held-out ELBO after each epoch, in nats per row."""
    vae = skccvae.GaussianVAETransformer(
        d,
        max_epochs=EPOCHS,
        early_stopping=True,
        n_epochs_no_change=EPOCHS,
        validation_fraction=0.2,
        random_state=0,
    )
    return np.array(vae.fit(X).history_["valid_elbo"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=DIMS, default=list(DIMS))
    parser.add_argument("--data-home", help="folder with mnist and qm9, for those sets")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    _tables.DATA_HOME = options.data_home
    columns = ("table", "rows", "columns", "d", "best epoch", "ELBO there", "after 30", "after 60")
    print("{:<14} {:>5} {:>7} {:>3} {:>10} {:>10} {:>9} {:>9}".format(*columns))
    for name in options.sets:
        X = TABLES[name]().X
        bound = held_out(X, DIMS[name])
        best = int(bound.argmax())
        print(
            f"{name:<14} {X.shape[0]:5} {X.shape[1]:7} {DIMS[name]:3} {best + 1:10} "
            f"{bound[best]:10.2f} {bound[29]:9.2f} {bound[-1]:9.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
