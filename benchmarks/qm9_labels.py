"""Value of labels: error of a property against the number of labelled molecules, on QM9.

Encoders see the counts of fragments (Morgan, radius 2, 1024 wide) of all molecules but 2000 test
molecules, without labels, and encode each molecule in 32 numbers. Ridge regression, histogram
gradient boosting and ten neighbours by geodesic distance are then fitted to the first 100, 1000,
10000 and 100000 labelled molecules. Trees split along axes, so boosting reads independent axes
(FastICA of the same width). The codes of the supervised model are used unchanged, because labels
have determined its axes. That model is fitted again for each number of labels, and sees labels of
only this number of molecules. Energies are in eV. The regressor for the figure is chosen by the
errors on 2000 other molecules, the validation rows. Rows that are already in the CSV file are
skipped.

    python benchmarks/qm9_labels.py --data-home FOLDER --csv qm9_labels.csv
    python benchmarks/qm9_labels.py --csv qm9_labels.csv --table --figure qm9_labels.png
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _qm9 import KINDS, LINEAR, SUPERVISED, molecules, supervised_weight
from _runs import Runs, from_random_start
from sklearn.decomposition import FastICA, TruncatedSVD
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skccvae.manifolds import Euclidean
from skccvae.metrics import pairwise_geodesic_distances

TARGETS = ["alpha", "homo", "lumo", "gap", "u0_atom", "mu"]
UNITS = ["a0^3", "eV", "eV", "eV", "eV", "D"]
WIDTH = 32
KEYS = ["model", "regressor", "labels", "seed"]
FINGERPRINT = "fingerprint, 1024"


def encoders(seed: int) -> dict:
    """Name to (encoder or None for the fingerprint itself, whether it sees the labels)."""
    table: dict[str, tuple[Any, bool]] = {
        FINGERPRINT: (None, False),
        "TruncatedSVD": (TruncatedSVD(WIDTH, random_state=seed), False),
    }
    for name, kind in KINDS.items():
        table[f"{name}, linear"] = (
            from_random_start(kind(WIDTH, **LINEAR, random_state=seed)),
            False,
        )
    supervised = from_random_start(KINDS["Gaussian"](WIDTH, **SUPERVISED, random_state=seed))
    return table | {"Gaussian, supervised": (supervised, True)}


def ridge(code: np.ndarray, y: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Predictions of ridge regression on standardised columns."""
    # With more rows than that, the penalty hardly matters, and finding it takes minutes.
    grid = RidgeCV(np.logspace(-3, 4, 15), alpha_per_target=True)
    last = grid if len(code) <= 10000 else Ridge(1.0)
    model = make_pipeline(StandardScaler(), last)
    return model.fit(code, y).predict(goal)


def boosting(code: np.ndarray, y: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Predictions of histogram gradient boosting, one model per target."""
    columns = [
        HistGradientBoostingRegressor(random_state=0).fit(code, t).predict(goal) for t in y.T
    ]
    return np.stack(columns, axis=1)


def neighbours(code: np.ndarray, y: np.ndarray, goal: np.ndarray, space: dict) -> np.ndarray:
    """Mean of the ten nearest by geodesic distance, weighted by its inverse."""
    out = []
    for start in range(0, len(goal), 50):
        distances = pairwise_geodesic_distances(goal[start : start + 50], code, **space)
        nearest = np.argpartition(distances, 9, axis=1)[:, :10]
        weights = 1 / (np.take_along_axis(distances, nearest, axis=1) + 1e-9)
        out.append((y[nearest] * weights[..., None]).sum(1) / weights.sum(1)[:, None])
    return np.concatenate(out)


def regressors(encoder: Any, independent: Callable | None) -> dict:
    """Name to a function of (labelled codes, targets, codes to predict).

    Boosting reads the code through ``independent``, or as it is where that is None.
    """
    if encoder is None:
        return {"ridge": ridge, "boosting": boosting}
    space = {"manifold": Euclidean(WIDTH), "coordinates": "ambient"}
    if hasattr(encoder, "manifold_"):
        space = {"manifold": encoder.manifold_, "coordinates": encoder.coordinates}

    def turned(code: np.ndarray, y: np.ndarray, goal: np.ndarray) -> np.ndarray:
        if independent is None:
            return boosting(code, y, goal)
        return boosting(independent(code), y, independent(goal))

    return {
        "ridge": ridge,
        "boosting": turned,
        "neighbours": lambda code, y, goal: neighbours(code, y, goal, space),
    }


def print_table(runs: Runs) -> None:
    """Mean errors over seeds, one line per model, regressor and number of labels."""
    head = " ".join(f"{f'{t} {u}':>12}" for t, u in zip(TARGETS, UNITS, strict=True))
    print(f"{'model':<22} {'regressor':<11} {'labels':>7} {head}")
    for (name, regressor, labels), mean in runs.means().items():
        numbers = " ".join(f"{mean[target]:12.4g}" for target in TARGETS)
        print(f"{name:<22} {regressor:<11} {labels:>7} {numbers}  {mean['runs']} seed(s)")


def draw_figure(runs: Runs, path: Path) -> None:
    """Test error of each model against the number of labels, one panel per target.

    Of the regressors, it shows the one with the smallest error on the validation molecules.
    """
    import matplotlib.pyplot as plt

    best: dict[tuple[str, str, int], tuple[float, float]] = {}
    for (name, _, labels), mean in runs.means().items():
        for target in TARGETS:
            key, found = (target, name, int(labels)), (mean[f"valid_{target}"], mean[target])
            best[key] = min(found, best.get(key, found))
    figure, axes = plt.subplots(2, 3, figsize=(10, 6), layout="constrained", sharex=True)
    colours = ["#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7"]
    markers = "xsov^D"
    names = list(dict.fromkeys(name for _, name, _ in best))
    for axis, target, unit in zip(axes.flat, TARGETS, UNITS, strict=True):
        for number, name in enumerate(names):
            colour, marker = colours[number], markers[number]
            own = {n: e for (t, m, n), (_, e) in best.items() if (t, m) == (target, name)}
            points = sorted(own.items())
            axis.plot(*zip(*points, strict=True), marker=marker, color=colour, label=name, ms=5)
        axis.set(xscale="log", yscale="log", title=target, ylabel=f"mean absolute error ({unit})")
        for which in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            which("{x:.2g}")
    for axis in axes[1]:
        axis.set_xlabel("labelled molecules")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=110)


def measure(options: argparse.Namespace, runs: Runs) -> None:
    """Every row that is not there yet."""
    torch.set_num_threads(1)
    qm9 = molecules(options.data_home, TARGETS, energy_unit="ev")
    for seed in options.seeds:
        order = np.random.default_rng(seed).permutation(len(qm9.target))
        test, valid, train, pool = order[:2000], order[2000:4000], order[2000:], order[4000:]
        goals = np.concatenate([test, valid])
        for name, (encoder, sees_labels) in encoders(seed).items():
            code = independent = None
            for n_labels in options.labels:
                labelled = pool[:n_labels]
                row = {"model": name, "labels": n_labels, "seed": seed}
                if all(runs.has(**row, regressor=r) for r in regressors(encoder, None)):
                    continue
                if encoder is None:
                    index = np.concatenate([goals, labelled])
                    code = np.zeros((len(qm9.target), qm9.counts.shape[1]), dtype=np.float32)
                    code[index] = qm9.counts[index].toarray()
                elif sees_labels:
                    known = np.full(qm9.target.shape, np.nan)
                    known[labelled] = qm9.target[labelled]
                    weight = supervised_weight(len(labelled), len(train))
                    encoder.set_params(supervised_weight=weight)
                    code = encoder.fit(qm9.counts[train], known[train]).transform(qm9.counts)
                elif code is None:
                    code = encoder.fit(qm9.counts[train]).transform(qm9.counts)
                    ica = FastICA(
                        WIDTH, whiten="unit-variance", random_state=seed, max_iter=200
                    ).fit(code[train])
                    independent = ica.transform
                for regressor, predict in regressors(encoder, independent).items():
                    if runs.has(**row, regressor=regressor):
                        continue
                    start = time.perf_counter()
                    found = predict(code[labelled], qm9.target[labelled], code[goals])
                    errors = np.abs(found - qm9.target[goals])
                    error, unseen = (part.mean(axis=0) for part in np.split(errors, [len(test)]))
                    runs.add(
                        **row,
                        regressor=regressor,
                        **{t: f"{e:.4g}" for t, e in zip(TARGETS, error, strict=True)},
                        **{f"valid_{t}": f"{e:.4g}" for t, e in zip(TARGETS, unseen, strict=True)},
                        seconds=time.perf_counter() - start,
                    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-home", default=None, help="folder with qm9.csv or qm9.csv.gz")
    parser.add_argument("--csv", type=Path, default=Path("qm9_labels.csv"))
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 1000, 10000, 100000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--table", action="store_true", help="print the file and stop")
    parser.add_argument("--figure", type=Path, help="draw the file and stop")
    options = parser.parse_args()
    runs = Runs(options.csv, KEYS, [*TARGETS, *(f"valid_{t}" for t in TARGETS), "seconds"])
    if options.table:
        print_table(runs)
    if options.figure:
        draw_figure(runs, options.figure)
    if not (options.table or options.figure):
        measure(options, runs)


if __name__ == "__main__":
    main()
