"""Tables 1 and 2 of Davidson et al. (2018): likelihood and few-label accuracy on MNIST.

The script follows the paper's protocol: layers 256-128 with a mirrored decoder, Adam 1e-3, batch
64, training and test images binarised by new draws, KL warm-up over 100 of up to 500 epochs,
patience 50 on 10000 images held out, 500 importance samples; k-nearest neighbours by geodesic
distance on the embedding, with 100, 600 and 1000 labelled training images. Two things differ. The
concentration is given by the package's function instead of ``softplus + 1``, and there are 5
neighbours, over ten draws of the labelled images.

Without arguments, this runs for hours. ``--epochs`` and ``--warmup`` shorten it. Each line of the
CSV file says how many epochs were run and whether that was the paper's budget. Runs that are
already in the file are skipped.

    python benchmarks/mnist_davidson.py --folder FOLDER_WITH_IDX_FILES --csv davidson.csv
    python benchmarks/mnist_davidson.py --csv davidson.csv --table --figure davidson.png
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _mnist import KINDS, images
from _runs import Runs, from_random_start
from sklearn.neighbors import KNeighborsClassifier

from skccvae import SphericalVAETransformer
from skccvae.metrics import pairwise_geodesic_distances

# Models of the table, which start at random, and a sphere that starts at PCA, as by default.
PROJECTED = "projected normal"
MODELS = {**KINDS, PROJECTED: partial(SphericalVAETransformer, posterior="projected_normal")}
PAPER = (500, 100)
LABELS = (100, 600, 1000)
KEYS = ["d", "model", "seed", "max_epochs", "warmup"]
VALUES = ["epochs", "paper_budget", "log_likelihood", "elbo", "reconstruction", "kl"]
VALUES += [f"knn_{n}" for n in LABELS] + ["seconds"]


def neighbour_accuracy(vae, train, test, n_labels: int, draws: int = 10) -> float:
    """Mean accuracy of five neighbours among a few labelled images."""
    pool, goal = vae.transform(train.data), vae.transform(test.data)
    scores = []
    for draw in range(draws):
        chosen = np.random.default_rng(draw).choice(len(pool), n_labels, replace=False)
        distances = pairwise_geodesic_distances(
            goal, pool[chosen], manifold=vae.manifold_, coordinates=vae.coordinates
        )
        square = np.zeros((n_labels, n_labels))  # what fit wants of a precomputed metric
        knn = KNeighborsClassifier(5, metric="precomputed").fit(square, train.target[chosen])
        scores.append(knn.score(distances, test.target))
    return float(np.mean(scores))


def print_table(runs: Runs) -> None:
    """Both tables, one line per model."""
    labels = " ".join(f"knn {n:>5}" for n in LABELS)
    print(
        f"  d model             log-lik     elbo   recon.     kl {labels}  epochs  paper's budget"
    )
    names = list(MODELS)
    rows = runs.rows()
    rows.sort(key=lambda r: (int(r["max_epochs"]), int(r["d"]), names.index(r["model"])))
    for row in rows:
        numbers = " ".join(f"{float(row[v]):8.2f}" for v in VALUES[2:5])
        accuracy = " ".join(f"{100 * float(row[f'knn_{n}']):9.1f}" for n in LABELS)
        print(
            f"{row['d']:>3} {row['model']:<16} {numbers} {float(row['kl']):6.2f} {accuracy}"
            f"  {row['epochs']:>6}  {row['paper_budget']}"
        )


def curves(runs: Runs, column: str) -> dict[tuple[str, int], list[tuple[int, float]]]:
    """Points (d, value) of each model and budget of epochs."""
    found: dict[tuple[str, int], list[tuple[int, float]]] = {}
    for row in runs.rows():
        key = (row["model"], int(row["max_epochs"]))
        found.setdefault(key, []).append((int(row["d"]), float(row[column])))
    return found


def draw_figure(runs: Runs, path: Path) -> None:
    """Log-likelihood, ELBO and accuracy against dimension; budgets below the paper's are dotted."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 4.2), layout="constrained")
    panels = [("log_likelihood", "log-likelihood (nats)"), ("elbo", "ELBO (nats)")]
    panels.append(("knn_100", "accuracy, 100 labels"))
    colours = {"gaussian": "#0072B2", "spherical": "#D55E00", "hyperbolic": "#009E73"}
    colours[PROJECTED] = "#CC79A7"
    for axis, (column, label) in zip(axes, panels, strict=True):
        for (name, budget), points in curves(runs, column).items():
            dims, values = zip(*sorted(points), strict=True)
            style = {"color": colours[name], "label": f"{name}, {budget} epochs at most"}
            if budget < PAPER[0]:
                style |= {"markerfacecolor": "white", "linestyle": ":"}
            axis.plot(dims, values, marker="o", **style)
        axis.set(xscale="log", xlabel="intrinsic dimension d", ylabel=label)
        axis.set_xticks([2, 5, 10, 20, 40], ["2", "5", "10", "20", "40"])
        axis.minorticks_off()
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=None, help="folder with the IDX files")
    parser.add_argument("--csv", type=Path, default=Path("mnist_davidson.csv"))
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 5, 10, 20, 40])
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=PAPER[0])
    parser.add_argument("--warmup", type=int, default=PAPER[1])
    parser.add_argument("--importance-samples", type=int, default=500)
    parser.add_argument("--table", action="store_true", help="print the file and stop")
    parser.add_argument("--figure", type=Path, help="draw the file and stop")
    options = parser.parse_args()
    runs = Runs(options.csv, KEYS, VALUES)
    if options.table or options.figure:
        if options.table:
            print_table(runs)
        if options.figure:
            draw_figure(runs, options.figure)
        return
    torch.set_num_threads(1)
    train, test = images(options.folder)
    for seed in options.seeds:
        for dim in options.dims:
            for name in options.models:
                run = {"d": dim, "model": name, "seed": seed}
                run |= {"max_epochs": options.epochs, "warmup": options.warmup}
                if runs.has(**run):
                    continue
                start = time.perf_counter()
                vae = MODELS[name](
                    dim,
                    binarize="dynamic",
                    batch_size=64,
                    kl_warmup_epochs=options.warmup,
                    max_epochs=options.epochs,
                    early_stopping=True,
                    validation_fraction=1 / 6,
                    n_epochs_no_change=50,
                    random_state=seed,
                )
                if name == PROJECTED:
                    vae.set_params(likelihood="bernoulli")
                else:
                    from_random_start(vae, "bernoulli")
                vae.fit(train.data)
                seconds = time.perf_counter() - start
                found = vae.evaluate(test.data, options.importance_samples)
                full = (
                    options.epochs,
                    options.warmup,
                ) == PAPER and options.importance_samples >= 500
                runs.add(
                    **run,
                    epochs=vae.n_iter_,
                    paper_budget="yes" if full else "no",
                    **{v: found[v] for v in VALUES[2:6]},
                    **{
                        f"knn_{n}": neighbour_accuracy(vae, train, test, n_labels=n) for n in LABELS
                    },
                    seconds=seconds,
                )


if __name__ == "__main__":
    main()
