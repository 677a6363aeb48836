"""`PackedGridSearchCV` against `GridSearchCV`: wall time of one search, and its scores.

The search is over five curvatures of both signs, two dimensions and three folds of the digits. It
has 30 fits, without the refit, scored by the bound on the log-likelihood. Models train for 60
epochs, as ``max_epochs="auto"`` would choose here. The times include starts and scores, which
packing does not accelerate. Both searches have the same ``n_jobs``. They take turns, and the figure
is the median over rounds of the ratio within a round. Processes are started before the first round.

With ``--checkout``, the plain search uses another version of the package, in a separate process
that waits while the other one works. With ``--same``, the script instead compares whole searches
over seeds: the largest difference in the mean score of a candidate, and the choices.

    OMP_NUM_THREADS=1 python benchmarks/search.py [--rounds 3] [--jobs 2] [--epochs 60]
        [--layers 64-64 256-128] [--batches 32 128] [--checkout ../other] [--same --seeds 3]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import _workers
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline

from skccvae import ConstantCurvatureVAETransformer

GRID: dict[str, list[Any]] = {"curvature": [-2.0, -0.5, 0.0, 0.5, 1.0], "n_components": [2, 5]}


def searched(kind: type, estimator: Any, grid: dict, y: Any, jobs: int) -> tuple[float, Any]:
    """Seconds of a search, and what it found."""
    X = load_digits().data / 16
    folds = KFold(3, shuffle=True, random_state=0)
    search = kind(estimator, grid, cv=folds, refit=False, n_jobs=jobs)
    start = time.perf_counter()
    search.fit(X, y)
    return time.perf_counter() - start, search


def model(layers: str, batch: int, epochs: int) -> ConstantCurvatureVAETransformer:
    return ConstantCurvatureVAETransformer(
        hidden_layer_sizes=tuple(map(int, layers.split("-"))),
        batch_size=batch,
        max_epochs=epochs,
        random_state=0,
    )


def work() -> None:
    """Answer each line "layers batch epochs jobs" with the seconds of a plain search."""
    for line in sys.stdin:
        layers, batch, epochs, jobs = line.split()
        vae = model(layers, int(batch), int(epochs))
        print(searched(GridSearchCV, vae, GRID, None, int(jobs))[0], flush=True)


def time_searches(options: argparse.Namespace) -> None:
    from skccvae.model_selection import PackedGridSearchCV

    other = None if options.checkout is None else _workers.start(__file__, options.checkout)

    def seconds(kind: type, *fit: Any) -> float:
        if other is not None and kind is GridSearchCV:
            return float(_workers.ask(other, " ".join(map(str, (*fit, options.jobs)))))
        return searched(kind, model(*fit), GRID, None, options.jobs)[0]

    print(f"{'layers':>10} {'batch':>6} {'plain s':>8} {'packed s':>9} {'ratio':>6}  rounds")
    for layers in options.layers:
        for batch in options.batches:
            kinds = [GridSearchCV, PackedGridSearchCV]
            for kind in kinds:  # starts processes, fills caches
                seconds(kind, layers, batch, 1)
            rounds = []
            for number in range(options.rounds):
                found = {
                    kind: seconds(kind, layers, batch, options.epochs)
                    for kind in (kinds if number % 2 == 0 else kinds[::-1])
                }
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
    from skccvae.model_selection import PackedGridSearchCV

    y = load_digits().target
    for layers in options.layers:
        for seed in range(options.first, options.first + options.seeds):
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
    parser.add_argument("--checkout", type=Path, help="package of the plain search")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--same", action="store_true", help="compare scores and not times")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="first of the seeds")
    options = parser.parse_args()
    warnings.simplefilter("ignore", category=UserWarning)
    if options.work:
        return work()
    (compare_scores if options.same else time_searches)(options)


if __name__ == "__main__":
    main()
