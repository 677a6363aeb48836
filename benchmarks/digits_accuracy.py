"""Digits at 10 dimensions: is every geometry at least as accurate as PCA at the same width?

Each seed gives a different stratified split of scikit-learn's digits and a different
initialisation. Codes go through the pipeline of ``examples/quickstart.py``, with default
parameters. PCA gets the better of two pipelines, with and without standardised codes.

    python benchmarks/digits_accuracy.py [--seeds 5] [--n-components 10]

The exit status is 1 if the mean accuracy of any geometry is below that of PCA.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

QUICKSTART = Path(__file__).resolve().parents[1] / "examples" / "quickstart.py"


def accuracies(seed: int, d: int, names: list[str], quickstart: dict) -> dict[str, float]:
    """Test accuracy of PCA and of each named model on one split."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=seed, stratify=y)
    with_classifier = quickstart["with_classifier"]
    plain = make_pipeline(PCA(d, random_state=seed), LogisticRegression(max_iter=3000))
    pipelines = (plain, with_classifier(PCA(d, random_state=seed)))
    out = {"PCA": max(p.fit(X_train, y_train).score(X_test, y_test) for p in pipelines)}
    for name in names:
        step = quickstart["MODELS"][name](d, random_state=seed)
        model = with_classifier(step).fit(X_train, y_train)
        out[name] = model.score(X_test, y_test)
    return out


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--n-components", type=int, default=10)
    options = parser.parse_args(arguments)

    quickstart = runpy.run_path(str(QUICKSTART))
    names = list(quickstart["MODELS"])
    print("seed  " + "  ".join(f"{name:>14}" for name in ["PCA", *names]))
    runs = []
    for seed in range(options.seeds):
        runs.append(accuracies(seed, options.n_components, names, quickstart))
        print(f"{seed:>4}  " + "  ".join(f"{v:14.3f}" for v in runs[-1].values()), flush=True)
    mean = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
    print("mean  " + "  ".join(f"{value:14.3f}" for value in mean.values()))
    short = [n for n in names if "VAE" in n and mean[n] < mean["PCA"]]
    if short:
        print(f"less accurate than PCA: {', '.join(short)}")
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main())
