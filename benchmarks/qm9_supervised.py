"""Effect of `supervised_weight` on the codes of few molecules, all of them labelled.

A model with 32 latent dimensions sees only the labelled molecules, either as fingerprint counts or
as the molecules themselves. Ridge regression and histogram gradient boosting are fitted to the
codes of the same molecules and predict the property of 2000 others. The baseline is boosting on the
counts. Errors are root mean squared errors. The gap is in eV, alpha in a0^3. Rows that are already
in the CSV file are skipped.

    python benchmarks/qm9_supervised.py --data-home FOLDER --csv qm9_supervised.csv
    python benchmarks/qm9_supervised.py --csv qm9_supervised.csv --table
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from _qm9 import KINDS, molecules, rows_of
from _runs import Runs
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skccvae.molecules import MolecularGraph

TARGETS = ["gap", "alpha"]
WIDTH = 32
SETTINGS = {
    "init": "pca",
    "likelihood": "isotropic_gaussian",
    "max_epochs": 60,
    "batch_size": 64,
}
GRAPH = SETTINGS | {"encoder": MolecularGraph(n_bits=1024), "hidden_layer_sizes": (128, 128)}
FINGERPRINT = "fingerprint, 1024"
KEYS = ["target", "labels", "encoder", "space", "weight", "weight_decay", "early_stopping", "seed"]
VALUES = ["ridge", "boosting", "epochs"]


def rmse(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.square(found - expected).mean()))


def print_table(runs: Runs) -> None:
    """Mean errors over seeds, and of each seed's smaller one over boosting on fingerprints."""
    base: dict[tuple[str, ...], float] = {}
    ratios: dict[tuple[str, ...], list[float]] = {}
    for row in runs.rows():
        if row["encoder"] == FINGERPRINT:
            base[row["target"], row["labels"], row["seed"]] = float(row["boosting"])
    for row in runs.rows():
        best = min(float(row["ridge"]), float(row["boosting"]))
        name = tuple(row[key] for key in KEYS if key != "seed")
        ratios.setdefault(name, []).append(best / base[row["target"], row["labels"], row["seed"]])
    means = runs.means()
    print(f"{'target':<7}labels encoder {'space':<11}weight decay stopped  ridge  boosting  ratio")
    for (target, labels, encoder, space, weight, decay, stopped), mean in sorted(means.items()):
        ratio = np.mean(ratios[target, labels, encoder, space, weight, decay, stopped])
        print(
            f"{target:<7}{labels:>6} {encoder[:7]:<8}{space:<11}{weight:>6}{decay:>6} {stopped:<8}"
            f"{mean['ridge']:6.3f} {mean['boosting']:9.3f} {ratio:6.3f}  {mean['runs']} seeds"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-home", default=None, help="folder with qm9.csv or qm9.csv.gz")
    parser.add_argument("--csv", type=Path, default=Path("qm9_supervised.csv"))
    parser.add_argument("--labels", type=int, nargs="+", default=[600, 1000])
    parser.add_argument("--encoders", nargs="+", default=["mlp", "graph"])
    parser.add_argument("--spaces", nargs="+", default=list(KINDS))
    parser.add_argument("--weights", type=float, nargs="+", default=[1.0, 10.0, 30.0, 100.0])
    parser.add_argument("--weight-decay", type=float, nargs="+", default=[0.0])
    parser.add_argument("--early-stopping", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102, 103])
    parser.add_argument("--table", action="store_true", help="print the file and stop")
    options = parser.parse_args()
    runs = Runs(options.csv, KEYS, VALUES)
    if options.table:
        print_table(runs)
        return
    torch.set_num_threads(1)
    qm9 = molecules(options.data_home, TARGETS, energy_unit="ev")
    models = [(FINGERPRINT, "", 0.0, 0.0, False)] + [
        (encoder, space, weight, decay, options.early_stopping)
        for encoder in options.encoders
        for space in options.spaces
        for weight in options.weights
        for decay in options.weight_decay
    ]
    for seed in options.seeds:
        order = np.random.default_rng(seed).permutation(len(qm9.target))
        test = order[1000:3000]
        for n_labels in options.labels:
            train = order[:n_labels]
            for number, target in enumerate(TARGETS):
                y, y_test = qm9.target[train, number], qm9.target[test, number]
                for encoder, space, weight, decay, stopped in models:
                    # as text, since the file has three digits of a float
                    numbers = (f"{weight:g}", f"{decay:g}")
                    names = (target, n_labels, encoder, space, *numbers, stopped, seed)
                    run = dict(zip(KEYS, names, strict=True))
                    if runs.has(**run):
                        continue
                    epochs = 0
                    X = qm9.smiles if encoder == "graph" else qm9.counts
                    rows, rows_test = rows_of(X, train), rows_of(X, test)
                    if encoder == FINGERPRINT:
                        code, code_test = rows.toarray(), rows_test.toarray()
                    else:
                        vae = KINDS[space](
                            WIDTH,
                            **(GRAPH if encoder == "graph" else SETTINGS),
                            supervised_weight=weight,
                            weight_decay=decay,
                            early_stopping=stopped,
                            random_state=seed,
                        ).fit(rows, y)
                        code, code_test, epochs = (
                            vae.transform(rows),
                            vae.transform(rows_test),
                            vae.n_iter_,
                        )
                    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15)))
                    if encoder == FINGERPRINT:  # counts have one unit, and rare ones say little
                        ridge = RidgeCV(np.logspace(-1, 5, 13))
                    trees = HistGradientBoostingRegressor(random_state=0)
                    found = [model.fit(code, y).predict(code_test) for model in (ridge, trees)]
                    runs.add(
                        **run,
                        ridge=f"{rmse(found[0], y_test):.4g}",
                        boosting=f"{rmse(found[1], y_test):.4g}",
                        epochs=epochs,
                    )


if __name__ == "__main__":
    main()
