r"""Outlier detection by likelihood, compared with IsolationForest and LocalOutlierFactor.

All detectors have default parameters. A detector is fitted to half of the rows of one class, and
has to distinguish the other half from the rows of the other classes. The score is the AUROC, so
higher is better. Each class of digits and of wine is used in turn. For breast cancer, the known
class is benign tumours. Columns are standardised by the training rows, and pixels are divided by
16. ``alarms`` is the share of the other half that `predict` calls outliers with the default
``contamination="auto"``, and ``tenth`` the share with ``contamination=0.1``. With the file of
results, a run can be interrupted and resumed.

    python benchmarks/outliers.py --seeds 5
    python benchmarks/outliers.py --table       # what is in the file
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _runs import Runs
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

import skccvae

SETS = {
    "digits": (load_digits, range(10)),
    "breast cancer": (load_breast_cancer, [1]),
    "wine": (load_wine, range(3)),
}
GEOMETRIES = {
    "plane": skccvae.GaussianVAETransformer,
    "sphere": skccvae.SphericalVAETransformer,
    "hyperbolic": skccvae.HyperbolicVAETransformer,
}
DETECTORS = ["IsolationForest", "LocalOutlierFactor", "PCA 2", "PCA 10"]
DETECTORS += [f"{geometry} {d}" for d in (2, 10) for geometry in GEOMETRIES]


def detector(name: str, seed: int) -> Any:
    """A detector with default parameters; d is the dimension."""
    if name == "IsolationForest":
        return IsolationForest(random_state=seed)
    if name == "LocalOutlierFactor":
        return LocalOutlierFactor(novelty=True)
    kind, d = name.split()
    if kind == "PCA":
        return PCA(int(d), random_state=seed)
    return skccvae.LatentOutlierDetector(GEOMETRIES[kind](int(d), random_state=seed))


def scores(which: str, name: str, known: int, seed: int) -> dict[str, Any]:
    """AUROC of a detector that knows one class, and its false alarms."""
    X, y = SETS[which][0](return_X_y=True)
    train, inside = train_test_split(X[y == known], test_size=0.5, random_state=seed)
    scaler = StandardScaler().fit(train)
    parts = [train, inside, X[y != known]]
    train, inside, outside = (
        part / 16 if which == "digits" else scaler.transform(part) for part in parts
    )
    found = detector(name, seed).fit(train)
    rows = np.concatenate([inside, outside])
    truth = np.repeat([1, 0], [len(inside), len(outside)])
    values = found.score_samples(rows)
    shares: dict[str, Any] = {"alarms": "", "tenth": ""}
    if hasattr(found, "predict"):
        # A number for `contamination` is the share of the training rows below the threshold.
        tenth = np.percentile(found.score_samples(train), 10)
        shares["alarms"] = float(np.mean(found.predict(inside) == -1))
        shares["tenth"] = float(np.mean(values[: len(inside)] < tenth))
    return {"auroc": float(roc_auc_score(truth, values))} | shares


def table_of(runs: Runs) -> None:
    """Print means over classes and seeds, and the standard deviation of the seeds' means."""
    rows = runs.rows()
    for column in ("auroc", "alarms", "tenth"):
        print(f"{column:<20}" + "".join(f"{which:>20}" for which in SETS))
        for name in dict.fromkeys(row["detector"] for row in rows):
            line = ""
            for which in SETS:
                by_seed: dict[str, list[float]] = {}
                for row in rows:
                    if (row["set"], row["detector"]) == (which, name) and row[column]:
                        by_seed.setdefault(row["seed"], []).append(float(row[column]))
                means = [statistics.mean(values) for values in by_seed.values()]
                if len(means) > 1:
                    line += f"{statistics.mean(means):>12.3f} ± {statistics.stdev(means):.3f}"
            if line:
                print(f"{name:<20}{line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="print the table and stop")
    parser.add_argument(
        "--results", type=Path, default=Path(__file__).parent / "results" / "outliers.csv"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    runs = Runs(options.results, ["set", "known", "detector", "seed"], ["auroc", "alarms", "tenth"])
    if not options.table:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for which, (_, classes) in SETS.items():
                for known in classes:
                    for name in DETECTORS:
                        run = {"set": which, "known": known, "detector": name, "seed": seed}
                        if not runs.has(**run):
                            runs.add(**run, **scores(which, name, known, seed))
    table_of(runs)


if __name__ == "__main__":
    main()
