r"""
Three latent spaces for handwritten digits
==========================================

This program compares PCA, an autoencoder, and variational autoencoders with a flat, a spherical and
a hyperbolic latent space, at 2 and 10 dimensions and with default parameters. It measures how well
classifiers read the codes, how well the models explain new images, and how long the fits take. Then
it searches over curvature and dimension, and draws a picture of the two-dimensional spaces.

Run it from the root of a checkout. By default it reads the digits that come with scikit-learn,
downloads nothing, and takes a minute or two on two cores. It can also read MNIST::

    python examples/quickstart.py
    python examples/quickstart.py --mnist FOLDER     # with MNIST's four IDX files
    python examples/quickstart.py --mnist openml     # fetched from OpenML, once
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patheffects import withStroke
from scipy.spatial.transform import Rotation
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skccvae import (
    AutoencoderTransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    SphericalVAETransformer,
)
from skccvae.datasets import fetch_mnist

MODELS = {
    "autoencoder": AutoencoderTransformer,
    "Gaussian VAE": GaussianVAETransformer,
    "spherical VAE": SphericalVAETransformer,
    "hyperbolic VAE": HyperbolicVAETransformer,
}
DIMENSIONS = (2, 10)

# %%
# No parameter is set except the dimension. The models start at the principal components, and choose
# their likelihood by the values of the pixels and their number of epochs by the number of rows. The
# search also sets the curvature. In hyperbolic space the prior has a fixed scale, which gives the
# curvature a meaning. On the sphere, with its uniform prior, the curvature would only set a unit.

SEARCH = {"curvature": [-2.0, -1.0, -0.5, -0.1], "n_components": [2, 10, 30]}
SEARCH_ROWS = 3000
# Geodesic k-NN uses at most this many training rows: the matrix of distances must fit in memory.
NEIGHBOUR_ROWS = 5000
DRAWN_ROWS = 3000


def load(mnist: str | None):
    """Training and test images in [0, 1], their digits, and a sentence that says what they are."""
    if mnist is None:
        X, y = load_digits(return_X_y=True)
        parts = train_test_split(X / 16, y, random_state=0, stratify=y)
        name = "scikit-learn's digits (8 x 8 pixels)"
    else:
        if mnist == "openml":
            X, y = fetch_mnist(return_X_y=True)
        else:
            X, y = fetch_mnist(data_home=mnist, download_if_missing=False, return_X_y=True)
        X = X.astype(np.float32) / 255
        parts = [X[:60000], X[60000:], y[:60000], y[60000:]]
        name = "MNIST (28 x 28 pixels)"
    X_train, X_test, y_train, y_test = parts
    print(f"Data: {name}, {len(X_train)} images to train on and {len(X_test)} to test on.")
    return X_train, X_test, y_train, y_test


# %%
# Two classifiers read the codes. Logistic regression is the last step of a pipeline. The nearest
# neighbours use the geodesic distance of the space, from ``geodesic_distances``.


def with_classifier(step) -> Pipeline:
    """The latent space as the first step of a pipeline."""
    steps = [("vae", step), ("scale", StandardScaler()), ("clf", LogisticRegression(max_iter=3000))]
    return Pipeline(steps)


def neighbour_accuracy(distances, Z_train, y_train, Z_test, y_test) -> float:
    """Accuracy of five nearest neighbours in the distance of the space."""
    Z, y = Z_train[:NEIGHBOUR_ROWS], y_train[:NEIGHBOUR_ROWS]
    knn = KNeighborsClassifier(n_neighbors=5, metric="precomputed").fit(distances(Z), y)
    return knn.score(distances(Z_test, Z), y_test)


def compare(data, seed: int, **settings):
    """Rows of the table, and the fitted two-dimensional models."""
    X_train, X_test, y_train, y_test = data
    rows, two_dimensional = [], {}
    # PyTorch loads parts of itself at its first step. This fit keeps that out of the models' times.
    AutoencoderTransformer(max_epochs=1).fit(X_train[:32])
    jobs = [(d, name) for d in DIMENSIONS for name in ("PCA", *MODELS)]
    for number, (d, name) in enumerate(jobs, start=1):
        print(f"[{number:2d}/{len(jobs)}] {name}, d = {d}", flush=True)
        if name == "PCA":
            step, distances = PCA(d, random_state=seed), pairwise_distances
        else:
            step = MODELS[name](d, random_state=seed, verbose=1, **settings)
            distances = step.geodesic_distances
        model = with_classifier(step)
        start = time.perf_counter()
        model.fit(X_train, y_train)
        seconds = time.perf_counter() - start
        Z_train, Z_test = step.transform(X_train), step.transform(X_test)
        # log p(x) of new images: exact for probabilistic PCA, a lower bound for the models.
        likelihood = None if name == "autoencoder" else float(step.score(X_test))
        accuracy = model.score(X_test, y_test)
        neighbours = neighbour_accuracy(distances, Z_train, y_train, Z_test, y_test)
        rows.append((name, d, accuracy, neighbours, likelihood, seconds))
        if d == 2 and "VAE" in name:
            two_dimensional[name] = step
    return rows, two_dimensional


def print_table(rows) -> None:
    """The comparison, with one line for each model."""
    form = "{:<15} {:>2}  {:>11}  {:>9}  {:>14}  {:>7}"
    print()
    print(form.format("latent space", "d", "logistic", "geodesic", "log-likelihood", "fit"))
    print(form.format("", "", "regression", "5-NN", "nats per image", "seconds"))
    for previous, row in zip([None, *rows], rows, strict=False):
        name, d, accuracy, neighbours, likelihood, seconds = row
        if previous is None or previous[1] != d:
            print("-" * 68)
        bound = "-" if likelihood is None else f"{likelihood:.2f}"
        numbers = (f"{accuracy:.3f}", f"{neighbours:.3f}", bound, f"{seconds:.1f}")
        print(form.format(name, d, *numbers))
    print()
    print("Accuracy and log-likelihood are those of the test images. Distances between codes of")
    print("PCA and the autoencoder are Euclidean. The log-likelihood of PCA is that of")
    print("probabilistic PCA. All models have their default parameters.")


# %%
# Curvature and dimension are parameters of the pipeline's first step.


def search(data, grid: dict, seed: int, n_jobs: int | None, **settings) -> None:
    """Cross-validated accuracy over curvature and dimension."""
    X_train, X_test, y_train, y_test = data
    rows = slice(None, SEARCH_ROWS)
    vae = HyperbolicVAETransformer(random_state=seed, **settings)
    grid = {f"vae__{name}": values for name, values in grid.items()}
    print()
    print("GridSearchCV over the hyperbolic VAE's curvature and dimension:", flush=True)
    found = GridSearchCV(with_classifier(vae), grid, cv=3, n_jobs=n_jobs, verbose=2)
    found.fit(X_train[rows], y_train[rows])
    curvatures, dimensions = grid["vae__curvature"], grid["vae__n_components"]
    scores = found.cv_results_["mean_test_score"].reshape(len(curvatures), len(dimensions))
    print()
    print("cross-validated accuracy  " + "".join(f"{f'd = {d}':>9}" for d in dimensions))
    for curvature, line in zip(curvatures, scores, strict=True):
        print(f"{f'K = {curvature:g}':>24}  " + "".join(f"{score:9.3f}" for score in line))
    best = found.best_params_
    print(
        f"Best: K = {best['vae__curvature']:g}, d = {best['vae__n_components']}; "
        f"test accuracy {found.score(X_test, y_test):.3f}."
    )


# %%
# The picture shows the test images in each two-dimensional space, each in its own chart: the plane
# as it is, the sphere in Hammer's projection, which preserves areas, and the hyperbolic plane as
# the Poincaré disk, which preserves angles. Rings in the disk lie at distances 1, 2, 3, ... from
# the origin, and those in the plane at 2, 4, 6, ...

# Tol's muted scheme, with orange and grey, is made for readers with any of the common colour
# deficiencies. The names of the digits are written out for them too.
COLOURS = np.array(
    "#332288 #ee7733 #44aa99 #cc6677 #999933 #88ccee #882255 #117733 #aa4499 #666666".split()
)
RING = {"color": "0.82", "linewidth": 0.8, "fill": False, "zorder": 0}


def on_the_map(model, X) -> np.ndarray:
    """Longitude and latitude of embedded rows.

    A sphere has no north pole of its own. Out of 200 rotations, this takes the one that puts the
    fewest points near the edge of the map, where neighbours are torn apart.
    """
    Z = torch.from_numpy(model.transform(X)).double()
    points = model.manifold_.from_chart(Z, model.coordinates).numpy()
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    maps = []
    for rotation in Rotation.random(200, np.random.default_rng(0)):
        x, y, z = rotation.apply(points).T
        maps.append(np.column_stack([np.arctan2(y, x), np.arcsin(np.clip(z, -1, 1))]))
    near_the_edge = [
        np.mean((abs(lon) > 2.7) | (abs(lat) > 1.25)) for lon, lat in (m.T for m in maps)
    ]
    return maps[int(np.argmin(near_the_edge))]


def in_the_disk(model, X) -> np.ndarray:
    """Coordinates of embedded rows in the Poincaré disk of radius 1."""
    Z = torch.from_numpy(model.transform(X)).double()
    ambient = model.manifold_.from_chart(Z, model.coordinates)
    return model.manifold_.to_chart(ambient, "stereographic").numpy() / model.manifold_.radius_


def scatter(axes, model, X, y, places, title: str) -> None:
    """The points, coloured by digit, and each digit's name where that digit is densest."""
    axes.scatter(*places.T, c=COLOURS[y], s=16, alpha=0.8, linewidths=0)
    distances = model.geodesic_distances(model.transform(X))
    for digit in np.unique(y):
        own = np.flatnonzero(y == digit)
        among_own = np.sort(distances[np.ix_(own, own)], axis=1)
        axes.annotate(
            str(digit),
            places[own[among_own[:, len(own) // 3].argmin()]],
            color=COLOURS[digit],
            fontsize=18,
            fontweight="bold",
            ha="center",
            va="center",
            path_effects=[withStroke(linewidth=3.5, foreground="white")],
        )
    axes.set_title(title, fontsize=15)
    axes.set_anchor("N")


def draw(models: dict, X, y, path: Path) -> None:
    """Draw the three two-dimensional latent spaces."""
    figure = plt.figure(figsize=(10, 3.1), layout="constrained")
    grid = figure.add_gridspec(1, 3, width_ratios=[1, 1.75, 1])
    plane, sphere, disk = (
        figure.add_subplot(grid[0], aspect="equal"),
        figure.add_subplot(grid[1], projection="hammer"),
        figure.add_subplot(grid[2], aspect="equal"),
    )

    model = models["Gaussian VAE"]
    Z = model.transform(X)
    scatter(plane, model, X, y, Z, "Plane")
    edge = 1.03 * np.linalg.norm(Z, axis=1).max()
    for radius in range(2, int(edge) + 1, 2):
        plane.add_patch(plt.Circle((0, 0), radius, **RING))
    plane.set(xlim=(-edge, edge), ylim=(-edge, edge))
    plane.axis("off")

    model = models["spherical VAE"]
    scatter(sphere, model, X, y, on_the_map(model, X), "Sphere (Hammer projection)")
    sphere.grid(color=RING["color"], linewidth=RING["linewidth"])
    sphere.tick_params(labelbottom=False, labelleft=False)

    model = models["hyperbolic VAE"]
    scatter(disk, model, X, y, in_the_disk(model, X), "Poincaré disk")
    for radius in range(1, 6):
        disk.add_patch(plt.Circle((0, 0), np.tanh(radius / 2), **RING))
    disk.add_patch(plt.Circle((0, 0), 1, fill=False, linewidth=1.2))
    disk.set(xlim=(-1.02, 1.02), ylim=(-1.02, 1.02))
    disk.axis("off")

    figure.savefig(path, dpi=160)
    plt.close(figure)


# %%
# Finally, ``main`` puts the parts together.


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[1])
    parser.add_argument(
        "--mnist",
        nargs="?",
        const="openml",
        metavar="FOLDER|openml",
        help="MNIST instead of the digits: a folder with its IDX files, or from OpenML",
    )
    parser.add_argument("--figure", type=Path, default=Path("latent_spaces.png"), metavar="PATH")
    parser.add_argument("--seed", type=int, default=0, help="of the models, not of the split")
    parser.add_argument("--fast", action="store_true", help="two epochs, to see that it runs")
    options = parser.parse_args(arguments)
    start = time.perf_counter()

    if options.mnist is None:
        # For layers and batches this small, threads that wait for each other cost more than they
        # gain, and many times more if other work runs on the machine.
        torch.set_num_threads(1)
    settings, grid = {}, SEARCH
    if options.fast:
        settings, grid = {"max_epochs": 2}, {"curvature": [-1.0], "n_components": [2]}
    data = load(options.mnist)
    rows, models = compare(data, options.seed, **settings)
    print_table(rows)
    # One process on a GPU, because several would share its memory. Otherwise one for each core.
    n_jobs = 1 if options.fast or torch.cuda.is_available() else -1
    search(data, grid, options.seed, n_jobs, **settings)
    draw(models, data[1][:DRAWN_ROWS], data[3][:DRAWN_ROWS], options.figure)
    print(f"Figure: {options.figure} ({time.perf_counter() - start:.0f} s in all)")


if __name__ == "__main__":
    main()
