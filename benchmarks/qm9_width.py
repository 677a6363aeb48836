"""Thirty-two numbers for a molecule: codes of QM9 against TruncatedSVD, by regression error.

Encoders see the Morgan fingerprint (radius 2, 1024 wide) of all molecules but 2000 test molecules.
Graph encoders see the molecules themselves. Histogram gradient boosting sees the codes of 10000
labelled molecules. Settings are compared on 2000 validation molecules. Trees split along axes, but
a latent space has no preferred axes. So each code, including that of TruncatedSVD, is used both
unchanged and with independent axes (FastICA of the same width). Rows that are already in the CSV
file are skipped.

    python benchmarks/qm9_width.py --data-home FOLDER --csv qm9_width.csv
    python benchmarks/qm9_width.py --csv qm9_width.csv --table
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from _qm9 import GRAPH, KINDS, LINEAR, SUPERVISED, molecules, rows_of, supervised_weight
from _runs import Runs, from_random_start
from sklearn.base import clone
from sklearn.decomposition import FastICA, TruncatedSVD
from sklearn.ensemble import HistGradientBoostingRegressor

TARGETS = ["alpha", "homo", "gap", "u0_atom", "mu"]
KEYS = ["model", "axes", "width", "seed"]
VALUES = [f"{part}_{target}" for target in TARGETS for part in ("valid", "test")] + [
    "kl",
    "seconds",
]


def models(width: int) -> dict:
    """Name to (encoder, what it reads, whether it sees the labels)."""
    table = {
        "TruncatedSVD, bits": (TruncatedSVD(width), "bits", False),
        "TruncatedSVD, counts": (TruncatedSVD(width), "counts", False),
    }
    for name, kind in KINDS.items():
        linear, labelled, graph = (
            from_random_start(kind(width, **settings)) for settings in (LINEAR, SUPERVISED, GRAPH)
        )
        table[f"{name}, default"] = (kind(width), "counts", False)
        table[f"{name}, linear"] = (linear, "counts", False)
        table[f"{name}, supervised"] = (labelled, "counts", True)
        table[f"{name}, graph"] = (graph, "smiles", False)
        table[f"{name}, graph, supervised"] = (clone(graph), "smiles", True)
    return table


def errors(code: np.ndarray, Y: np.ndarray, parts: dict[str, np.ndarray]) -> dict[str, str]:
    """Mean absolute errors on the validation and test rows, to four digits."""
    out = {}
    for number, target in enumerate(TARGETS):
        model = HistGradientBoostingRegressor(random_state=0)
        model.fit(code[parts["labels"]], Y[parts["labels"], number])
        for part in ("valid", "test"):
            error = np.abs(model.predict(code[parts[part]]) - Y[parts[part], number]).mean()
            out[f"{part}_{target}"] = f"{error:.4g}"
    return out


def print_table(runs: Runs, part: str) -> None:
    """Mean errors over seeds, one line per model, axes and width."""
    print(f"{part} rows\n{'model':<29} axes        width " + " ".join(f"{t:>8}" for t in TARGETS))
    for (name, axes, width), mean in runs.means().items():
        numbers = " ".join(f"{mean[f'{part}_{target}']:8.4g}" for target in TARGETS)
        print(f"{name:<29} {axes:<11} {width:>5} {numbers}  {mean['runs']} seed(s)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-home", default=None, help="folder with qm9.csv or qm9.csv.gz")
    parser.add_argument("--csv", type=Path, default=Path("qm9_width.csv"))
    parser.add_argument("--widths", type=int, nargs="+", default=[32])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--models", nargs="+", choices=list(models(2)), help="by default all but the graph encoders"
    )
    parser.add_argument("--table", action="store_true", help="print the file and stop")
    options = parser.parse_args()
    runs = Runs(options.csv, KEYS, VALUES)
    if options.table:
        for part in ("valid", "test"):
            print_table(runs, part)
        return
    torch.set_num_threads(1)
    qm9 = molecules(options.data_home, TARGETS)
    for seed in options.seeds:
        order = np.random.default_rng(seed).permutation(len(qm9.target))
        parts = {"test": order[:2000], "valid": order[2000:4000], "labels": order[4000:14000]}
        train = order[2000:]
        known = np.full(qm9.target.shape, np.nan)
        known[parts["labels"]] = qm9.target[parts["labels"]]
        for width in options.widths:
            for name, (encoder, reads, sees_labels) in models(width).items():
                run = {"model": name, "width": width, "seed": seed}
                wanted = name in options.models if options.models else "graph" not in name
                if not wanted or runs.has(**run, axes="independent"):
                    continue
                X = getattr(qm9, reads)
                start = time.perf_counter()
                encoder.set_params(random_state=seed)
                if sees_labels:
                    weight = supervised_weight(len(parts["labels"]), len(train))
                    encoder.set_params(supervised_weight=weight)
                encoder.fit(rows_of(X, train), known[train] if sees_labels else None)
                code = encoder.transform(X)
                cost = {
                    "kl": encoder.history_["kl"][-1] if hasattr(encoder, "history_") else 0.0,
                    "seconds": time.perf_counter() - start,
                }
                ica = FastICA(width, whiten="unit-variance", random_state=seed, max_iter=200)
                turned = ica.fit(code[train]).transform(code)
                for axes, numbers in (("own", code), ("independent", turned)):
                    runs.add(**run, axes=axes, **errors(numbers, qm9.target, parts), **cost)


if __name__ == "__main__":
    main()
