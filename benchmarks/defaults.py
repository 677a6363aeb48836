r"""Models with default parameters, compared with PCA and related methods of the same width.

Only the width is set (and the factors of a product), unless ``--set`` names other parameters. A
predictor is trained on the codes of the training rows and scored on the test rows. The predictors
are logistic or ridge regression on raw and on standardised codes (of which the better one on
average counts), and five neighbours by geodesic distance. For molecules, they are ridge regression
and boosting on 32 numbers. With the file of results, a run can be interrupted and resumed.

    pip install scikit-image palmerpenguins umap-learn
    python benchmarks/defaults.py --splits 5 [--sets wine digits] [--no-umap]
    python benchmarks/defaults.py --table       # what is in the file
    python benchmarks/defaults.py --models PCA mixed "mixed, radius sqrt(d)" \
        --results benchmarks/results/product_radius.csv
    python benchmarks/defaults.py --set init=pca max_epochs=auto likelihood=isotropic_gaussian \
        --results benchmarks/results/start_at_pca.csv
    python benchmarks/defaults.py --first-seed 100 --splits 4 --dims 2 10 32 \
        --models Gaussian spherical hyperbolic --sets iris wine "breast cancer" diabetes penguins \
        digits faces "QM9 600 counts" --set max_epochs=30 --results benchmarks/results/epochs_30.csv

Scores are accuracies, or R2 for regression, so higher is better. Seeds from 100 upwards are for
choosing settings (``--first-seed 100``) and appear in no table.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import _tables
import numpy as np
import torch
from _runs import Runs
from _tables import TABLES, Table
from sklearn.base import clone
from sklearn.decomposition import PCA, FactorAnalysis, TruncatedSVD
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skccvae
from skccvae.manifolds import parse_signature

OURS = ("Gaussian", "spherical", "hyperbolic", "constant", "mixed")
# Not a default: a product with spheres of radius sqrt(d), which are as wide as normal priors.
WIDE = "mixed, radius sqrt(d)"
SIGNATURES = {2: "s1,h1", 5: "h2,s2,e1", 10: "h4,s4,e2", 32: "h10,s10,e12"}


def model(name: str, d: int, seed: int, settings: dict[str, str | int]) -> Any:
    """An estimator of d numbers; settings are for ours alone."""
    found = _default(name, d, seed)
    return found.set_params(**settings) if name in (*OURS, "projected") else found


def _default(name: str, d: int, seed: int) -> Any:
    if name == "UMAP":
        from umap import UMAP

        return UMAP(n_components=d, random_state=seed, n_jobs=1)
    return {
        "PCA": lambda: PCA(d, random_state=seed),
        "SVD": lambda: TruncatedSVD(d, random_state=seed),
        "FA": lambda: FactorAnalysis(d, random_state=seed),
        "Gaussian": lambda: skccvae.GaussianVAETransformer(d, random_state=seed),
        "spherical": lambda: skccvae.SphericalVAETransformer(d, random_state=seed),
        "projected": lambda: skccvae.SphericalVAETransformer(
            d, posterior="projected_normal", random_state=seed
        ),
        "hyperbolic": lambda: skccvae.HyperbolicVAETransformer(d, random_state=seed),
        "constant": lambda: skccvae.ConstantCurvatureVAETransformer(d, random_state=seed),
        "mixed": lambda: skccvae.MixedCurvatureVAETransformer(SIGNATURES[d], random_state=seed),
        WIDE: lambda: skccvae.MixedCurvatureVAETransformer(
            SIGNATURES[d], curvature=_wide(SIGNATURES[d]), random_state=seed
        ),
    }[name]()


def _wide(signature: str) -> list[float]:
    """Curvatures of the factors, with 1/d for spheres of dimension d."""
    factors = parse_signature(signature)
    return [1 / f.dim if f.kind == "s" else -1.0 if f.kind == "h" else 0.0 for f in factors]


def scores(estimator: Any, table: Table, seed: int) -> dict[str, float]:
    """Scores of the predictors on the codes of one split."""
    stratify = None if table.regression else table.y
    X, X_test, y, y_test = train_test_split(
        table.X, table.y, test_size=0.2, random_state=seed, stratify=stratify
    )
    start = time.process_time()
    codes, codes_test = estimator.fit_transform(X), estimator.transform(X_test)
    seconds = time.process_time() - start
    linear = (
        RidgeCV(np.logspace(-3, 3, 13)) if table.regression else LogisticRegression(max_iter=5000)
    )
    found = {}
    for name, predictor in (
        ("linear", linear),
        ("standardised", make_pipeline(StandardScaler(), clone(linear))),
    ):
        found[name] = predictor.fit(codes, y).score(codes_test, y_test)
    if table.dims == (32,):
        boosting = HistGradientBoostingRegressor(random_state=0)
        found["second"] = boosting.fit(codes, y).score(codes_test, y_test)
    else:
        nearest = KNeighborsRegressor if table.regression else KNeighborsClassifier
        if hasattr(estimator, "geodesic_distances"):
            neighbours = nearest(5, metric="precomputed")
            neighbours.fit(estimator.geodesic_distances(codes), y)
            at_test = estimator.geodesic_distances(codes_test, codes)
        else:
            neighbours, at_test = nearest(5).fit(codes, y), codes_test
        found["second"] = neighbours.score(at_test, y_test)
    return found | {"seconds": seconds}


def table_of(runs: Runs) -> None:
    """Print mean scores, mean ranks, and the cells where a model of ours is far below PCA."""
    rows = runs.rows()
    cells = sorted({(r["set"], int(r["d"])) for r in rows})
    names = list(dict.fromkeys(r["model"] for r in rows))
    print(f"{'set':<16}{'d':>3} " + "".join(f"{n:>16}" for n in names))
    ranks: dict[str, list[float]] = {n: [] for n in names}
    low = []
    for cell in cells:
        values: dict[str, dict[str, dict[int, float]]] = {}
        for name in names:
            mine = [r for r in rows if (r["set"], int(r["d"])) == cell and r["model"] == name]
            if not mine:
                continue
            better = max(("linear", "standardised"), key=lambda k: sum(float(r[k]) for r in mine))
            values[name] = {
                "linear": {int(r["seed"]): float(r[better]) for r in mine},
                "second": {int(r["seed"]): float(r["second"]) for r in mine},
            }
        line = ""
        for name in names:
            if name not in values:
                line += f"{'':>16}"
                continue
            pair = [np.mean(list(values[name][k].values())) for k in ("linear", "second")]
            line += f"{pair[0]:>9.3f} /{pair[1]:>5.3f}"
        print(f"{cell[0]:<16}{cell[1]:>3} {line}")
        for kind in ("linear", "second"):
            means = {n: float(np.mean(list(v[kind].values()))) for n, v in values.items()}
            order = sorted(means, key=lambda n: -means[n])
            for name in means:
                ranks[name].append(order.index(name) + 1)
            for name in set(means) & {*OURS, "projected"}:
                seeds = sorted(set(values[name][kind]) & set(values["PCA"][kind]))
                gaps = np.array([values[name][kind][s] - values["PCA"][kind][s] for s in seeds])
                error = gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else np.nan
                if gaps.mean() < -0.02:
                    low.append((cell, kind, name, gaps.mean(), error))
    print("mean rank            " + "".join(f"{np.mean(ranks[n]):>16.2f}" for n in names))
    print("more than 0.02 below PCA (difference, standard error of the paired difference):")
    for (name, d), kind, which, gap, error in low:
        mark = "" if gap + 2 * error < -0.02 else "  within two standard errors"
        print(f"  {name}, d = {d}, {kind}: {which} {gap:.3f} ({error:.3f}){mark}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--data-home", help="folder with mnist and qm9, for those sets")
    parser.add_argument("--dims", type=int, nargs="+")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=WORD")
    parser.add_argument("--no-umap", action="store_true")
    parser.add_argument("--table", action="store_true", help="print the table and stop")
    parser.add_argument(
        "--results", type=Path, default=Path(__file__).parent / "results" / "defaults.csv"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    _tables.DATA_HOME = options.data_home
    values = ["linear", "standardised", "second", "seconds"]
    runs = Runs(options.results, ["set", "d", "model", "seed"], values)
    if not options.table:
        pairs = (word.split("=") for word in options.set)
        settings = {key: int(value) if value.isdigit() else value for key, value in pairs}
        names = options.models or ["PCA", "SVD", "FA", "UMAP", *OURS, "projected"]
        names = [n for n in names if not (n == "UMAP" and options.no_umap)]
        for name in options.sets:
            table = TABLES[name]()
            for d in table.dims:
                if options.dims and d not in options.dims:
                    continue
                for seed in range(options.first_seed, options.first_seed + options.splits):
                    for which in names:
                        run = {"set": name, "d": d, "model": which, "seed": seed}
                        if not runs.has(**run):
                            runs.add(**run, **scores(model(which, d, seed, settings), table, seed))
    table_of(runs)


if __name__ == "__main__":
    main()
