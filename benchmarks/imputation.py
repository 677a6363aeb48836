r"""Imputation of values that are missing at random, and codes of rows with missing values.

About 30 % of the values of a table are removed, independently of each other. Each method is fitted
to the rest and imputes the removed values. Errors are those of the removed values, in units of the
standard deviation of each column of the whole table. The imputers of scikit-learn get standardised
columns, and our models get the table (images divided by their largest value).

The accuracy is that of logistic regression on standardised codes of a quarter of the rows. The
model and the regression are fitted to the other three quarters. It is given without missing values,
and with missing values in both parts. For the imputers, the regression reads all imputed columns
instead of codes. With the file of results, a run can be interrupted and resumed.

    python benchmarks/imputation.py --folder FOLDER_WITH_MNIST
    python benchmarks/imputation.py --table        # what is in the file
    python benchmarks/imputation.py --choose --sets wine --results choice.csv

Settings were chosen on seeds from 100 upwards (``--choose``), and the table uses seeds from 0
upwards. Seconds are those of the process in one thread, for fitting and imputing together.
`IterativeImputer` is not run on MNIST. Its seconds there are extrapolated from the regressions of
three columns to 784 columns, for a single one of its ten rounds.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import _tables
import numpy as np
import torch
from _runs import Runs
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skccvae import GaussianVAETransformer

SHARE = 0.3
Rows = NDArray[np.float64]


def _mnist() -> tuple[Any, Any]:
    table = _tables._mnist()
    return table.X / 255.0, table.y


TABLES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "wine": lambda: load_wine(return_X_y=True),
    "breast cancer": lambda: load_breast_cancer(return_X_y=True),
    "digits": lambda: (load_digits().data / 16, load_digits().target),
    "MNIST 5000": _mnist,
}
# What is not left at its default; widths and numbers of epochs that `--choose` tries.
SETTINGS: dict[str, dict[str, Any]] = {
    "wine": {"n_components": 8, "max_epochs": 200},
    "breast cancer": {
        "n_components": 16,
        "hidden_layer_sizes": (256,),
        "max_epochs": 200,
        "batch_size": 32,
        "learning_rate": 3e-3,
    },
    "digits": {
        "n_components": 12,
        "likelihood": "discretized_logistic",
        "hidden_layer_sizes": (256,),
        "max_epochs": 60,
        "batch_size": 192,
        "learning_rate": 3e-3,
    },
    "MNIST 5000": {"n_components": 30, "likelihood": "bernoulli"},
}
WIDTHS = {
    "wine": (2, 4, 6, 8, 10),
    "breast cancer": (8, 12, 16, 20),
    "digits": (8, 12, 16, 20),
    "MNIST 5000": (10, 20, 30),
}
EPOCHS = {"wine": (50, 100, 200, 400)}
IMPUTERS = {
    "mean": lambda seed: SimpleImputer(keep_empty_features=True),
    "neighbours": lambda seed: KNNImputer(keep_empty_features=True),
    "iterative": lambda seed: IterativeImputer(random_state=seed, keep_empty_features=True),
}


def with_holes(X: Rows, seed: int) -> Rows:
    """A copy in which values are missing completely at random."""
    return np.where(np.random.default_rng(seed).random(X.shape) < SHARE, np.nan, X)


def model(name: str, seed: int, **settings: Any) -> GaussianVAETransformer:
    """Our model for a table."""
    return GaussianVAETransformer(
        missing="mask", random_state=seed, **{**SETTINGS[name], **settings}
    )


def errors(filled: Rows, X: Rows, holes: Rows) -> dict[str, float]:
    """Root mean square and mean absolute error of what was missing, in standard deviations."""
    deviation = X.std(axis=0)
    found = ((filled - X) / np.where(deviation > 0, deviation, 1.0))[np.isnan(holes)]
    return {"rmse": float(np.sqrt(np.square(found).mean())), "mae": float(np.abs(found).mean())}


def by_scikit_learn(which: str, X: Rows, holes: Rows, seed: int) -> dict[str, float]:
    """Errors and seconds of an imputer, on standardised columns."""
    start = time.process_time()
    scaler = StandardScaler().fit(holes)
    rows = scaler.transform(holes)
    if which == "iterative" and X.shape[1] > 100:
        other = np.nan_to_num(rows)
        for column in (300, 400, 500):
            known = ~np.isnan(rows[:, column])
            rest = np.delete(other, column, axis=1)[known]
            BayesianRidge().fit(rest, rows[known, column])
        return {"seconds": (time.process_time() - start) / 3 * X.shape[1]}
    filled = scaler.inverse_transform(IMPUTERS[which](seed).fit_transform(rows))
    seconds = time.process_time() - start
    return errors(filled, X, holes) | {"seconds": seconds}


def accuracy_of_rows(which: str, holes: Rows, y: Any, seed: int) -> float:
    """Accuracy of logistic regression on rows that an imputer has filled in, as in `accuracy`."""
    train, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=seed, stratify=y)
    reader = make_pipeline(
        StandardScaler(), IMPUTERS[which](seed), LogisticRegression(max_iter=5000)
    )
    return float(reader.fit(holes[train], y[train]).score(holes[test], y[test]))


def by_us(name: str, X: Rows, holes: Rows, seed: int, **settings: Any) -> dict[str, float]:
    """Errors and seconds of our model."""
    start = time.process_time()
    filled = model(name, seed, **settings).fit(holes).impute(holes)
    seconds = time.process_time() - start
    return errors(filled, X, holes) | {"seconds": seconds}


def accuracy(name: str, rows: Rows, y: Any, seed: int) -> float:
    """Accuracy of logistic regression on codes of rows that the model was not fitted on."""
    train, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=seed, stratify=y)
    vae = model(name, seed).fit(rows[train])
    reader = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    reader.fit(vae.transform(rows[train]), y[train])
    return float(reader.score(vae.transform(rows[test]), y[test]))


def jobs_for(
    name: str, X: Rows, y: Any, choose: bool
) -> dict[str, Callable[..., dict[str, float]]]:
    """What is measured on a table, by name: functions of the rows with holes and a seed."""
    if choose:
        widths = {f"d = {d}": partial(by_us, name, X, n_components=d) for d in WIDTHS[name]}
        epochs = {
            f"{n} epochs": partial(by_us, name, X, max_epochs=n) for n in EPOCHS.get(name, ())
        }
        return widths | epochs

    def ours(holes: Rows, seed: int) -> dict[str, float]:
        return by_us(name, X, holes, seed) | {"accuracy": accuracy(name, holes, y, seed)}

    def whole(holes: Rows, seed: int) -> dict[str, float]:
        return {"accuracy": accuracy(name, X, y, seed)}

    def theirs(which: str, holes: Rows, seed: int) -> dict[str, float]:
        found = by_scikit_learn(which, X, holes, seed)
        if X.shape[1] > 100:
            return found
        return found | {"accuracy": accuracy_of_rows(which, holes, y, seed)}

    imputers = {which: partial(theirs, which) for which in IMPUTERS}
    return {**imputers, "ours": ours, "ours, no holes": whole}


def print_table(runs: Runs) -> None:
    print(
        f"{'table':<16}{'method':<16}{'runs':>5}{'RMSE':>8}{'MAE':>8}{'seconds':>10}{'accuracy':>10}"
    )
    for (name, method), means in runs.means().items():
        cells = [
            f"{means[key]:{width}.{digits}f}" if key in means else " " * width
            for key, width, digits in (
                ("rmse", 8, 3),
                ("mae", 8, 3),
                ("seconds", 10, 1),
                ("accuracy", 10, 3),
            )
        ]
        print(f"{name:<16}{method:<16}{means['runs']:>5}{''.join(cells)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--folder", help="folder with mnist, for that set")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--choose", action="store_true", help="try settings on seeds from 100 on")
    parser.add_argument("--table", action="store_true", help="print the table and stop")
    parser.add_argument(
        "--results", type=Path, default=Path(__file__).parent / "results" / "imputation.csv"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    _tables.DATA_HOME = options.folder
    runs = Runs(options.results, ["set", "method", "seed"], ["rmse", "mae", "seconds", "accuracy"])
    first = 100 if options.choose else 0
    # The first fit of a process imports modules that later fits find imported.
    GaussianVAETransformer(1, max_epochs=1).fit(np.eye(4))
    for name in [] if options.table else options.sets:
        X, y = TABLES[name]()
        jobs = jobs_for(name, X, y, options.choose)
        for seed in range(first, first + options.seeds):
            holes = with_holes(X, seed)
            for method, job in jobs.items():
                if not runs.has(set=name, method=method, seed=seed):
                    found = dict.fromkeys(runs.values, "") | job(holes, seed)
                    runs.add(set=name, method=method, seed=seed, **found)
    print_table(runs)


if __name__ == "__main__":
    main()
