"""`PackedGridSearchCV` against `GridSearchCV`: wall time of one search, and its scores.

The digits, five curvatures of both signs, two dimensions and three folds: 30 fits, without the
refit, scored by the bound of the log-likelihood. Models train for 60 epochs, which is what
``max_epochs="auto"`` takes here; starts and scores, which no pack makes faster, count as well. Both
searches have the same ``n_jobs``. They take turns, and the figure is the median over rounds of the
ratio within a round. Processes are started before the first round.

With ``--same`` it compares whole searches over seeds instead: the largest difference of the mean
score of a candidate, and the choices.

    OMP_NUM_THREADS=1 python benchmarks/search.py [--rounds 3] [--jobs 2] [--epochs 60]
        [--layers 64-64 256-128] [--batches 32 128] [--same --seeds 3]
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline

from skccvae import ConstantCurvatureVAETransformer
from skccvae.model_selection import PackedGridSearchCV

GRID: dict[str, list[Any]] = {"curvature": [-2.0, -0.5, 0.0, 0.5, 1.0], "n_components": [2, 5]}


def searched(kind: type, estimator: Any, grid: dict, y: Any, jobs: int) -> tuple[float, Any]:
    """Seconds of a search, and what it found."""
    X = load_digits().data / 16
    folds = KFold(3, shuffle=True, random_state=0)
    search = kind(estimator, grid, cv=folds, refit=False, n_jobs=jobs)
    start = time.perf_counter()
    search.fit(X, y)
    return time.perf_counter() - start, search


def time_searches(options: argparse.Namespace) -> None:
    print(f"{'layers':>10} {'batch':>6} {'plain s':>8} {'packed s':>9} {'ratio':>6}  rounds")
    for layers in options.layers:
        for batch in options.batches:
            vae = ConstantCurvatureVAETransformer(
                hidden_layer_sizes=tuple(map(int, layers.split("-"))),
                batch_size=batch,
                max_epochs=options.epochs,
                random_state=0,
            )
            for kind in (GridSearchCV, PackedGridSearchCV):  # starts processes, fills caches
                searched(kind, vae.set_params(max_epochs=1), GRID, None, options.jobs)
            vae.set_params(max_epochs=options.epochs)
            rounds = []
            for number in range(options.rounds):
                kinds = [GridSearchCV, PackedGridSearchCV]
                found = {}
                for kind in kinds if number % 2 == 0 else kinds[::-1]:
                    found[kind], _ = searched(kind, vae, GRID, None, options.jobs)
                rounds.append((found[GridSearchCV], found[PackedGridSearchCV]))
            ratios = [plain / packed for plain, packed in rounds]
            plain, packed = (statistics.median(times) for times in zip(*rounds, strict=True))
            spread = " ".join(f"{ratio:.2f}" for ratio in ratios)
            print(
                f"{layers:>10} {batch:>6} {plain:8.2f} {packed:9.2f} "
                f"{statistics.median(ratios):6.2f}  {spread}",
                flush=True,
            )


def compare_scores(options: argparse.Namespace) -> None:
    y = load_digits().target
    for layers in options.layers:
        for seed in range(options.seeds):
            sizes = tuple(map(int, layers.split("-")))
            vae = ConstantCurvatureVAETransformer(
                hidden_layer_sizes=sizes, batch_size=options.batches[0], random_state=seed
            )
            pipe = Pipeline([("vae", vae), ("clf", LogisticRegression(max_iter=2000))])
            grid = {f"vae__{name}": values for name, values in GRID.items()}
            _, plain = searched(GridSearchCV, pipe, grid, y, options.jobs)
            _, packed = searched(PackedGridSearchCV, pipe, grid, y, options.jobs)
            scores = [s.cv_results_["mean_test_score"] for s in (plain, packed)]
            gap = np.abs(scores[0] - scores[1]).max()
            print(
                f"layers {layers}, seed {seed}: largest difference of a mean accuracy {gap:.4f}; "
                f"best {plain.best_score_:.4f} {plain.best_params_} and {packed.best_score_:.4f} "
                f"{packed.best_params_}; packed {packed.cv_results_['packed'].all()}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--layers", nargs="+", default=["64-64", "256-128"])
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 128])
    parser.add_argument("--same", action="store_true", help="compare scores and not times")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore", category=UserWarning)
    (compare_scores if options.same else time_searches)(options)


if __name__ == "__main__":
    main()
