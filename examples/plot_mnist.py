r"""
MNIST in three geometries
=========================

Handwritten digits through convolutional networks into the plane, the sphere and the hyperbolic
space: where the digits lie, what the models make of them, and how well a classifier reads the
codes, with all labels and with few.

Run as a script, it takes MNIST's four IDX files from a folder (or from where `fetch_mnist` finds
them); where there are none, as on the machine that built this page perhaps, it takes the 8 x 8
digits that come with scikit-learn, and says so::

    python examples/plot_mnist.py
    python examples/plot_mnist.py --folder FOLDER --epochs 5 --save-to PICTURES
"""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skccvae import GaussianVAETransformer, HyperbolicVAETransformer, SphericalVAETransformer
from skccvae.datasets import fetch_mnist
from skccvae.metrics import GeodesicDistance
from skccvae.plotting import LatentDisplay, ManifoldGridDisplay, ReconstructionDisplay

parser = argparse.ArgumentParser()
parser.add_argument("--folder", help="of the IDX files; otherwise where fetch_mnist finds them")
parser.add_argument("--epochs", type=int, help="5 for MNIST, 20 for scikit-learn's digits")
parser.add_argument("--save-to", type=Path, metavar="DIR", help="save the figures there")
parser.add_argument("--threads", type=int, default=1, help="of torch")
options = parser.parse_args()
torch.set_num_threads(options.threads)


def finish(figure, name: str) -> None:
    """Save a figure where that was asked for."""
    if options.save_to is not None:
        options.save_to.mkdir(parents=True, exist_ok=True)
        figure.savefig(options.save_to / f"{name}.png", dpi=110)


# %%
# The images are arrays of bytes (MNIST) or of numbers in [0, 1]; either goes into `fit` as it is.

try:
    mnist = fetch_mnist(data_home=options.folder, download_if_missing=False)
except OSError as error:
    if options.folder is not None:
        raise
    digits = load_digits()
    parts = train_test_split(
        digits.images / 16, digits.target, test_size=450, random_state=0, stratify=digits.target
    )
    X_train, X_test, y_train, y_test = parts
    own = {"likelihood": "gaussian", "batch_size": 64, "learning_rate": 3e-3}
    epochs = options.epochs or 20
    print(f"MNIST is not at hand ({type(error).__name__}); scikit-learn's 8 x 8 digits instead.")
else:
    X_train, X_test = mnist.images[:60000], mnist.images[60000:]
    y_train, y_test = mnist.target[:60000], mnist.target[60000:]
    own = {"likelihood": "bernoulli"}
    epochs = options.epochs or 5
print(f"{len(X_train)} images of {X_train.shape[1:]} to train on, {len(X_test)} to test on.")

# %%
# Three geometries at two dimensions and at ten, each the first step of a pipeline with a logistic
# regression behind it. MNIST's grey values enter the cross-entropy as they are, so that the bound
# on the log-likelihood cannot be compared with tables for binarised images. On 8 x 8 pixels the
# cross-entropy leaves the codes nearly empty; a normal with a scale learned for each pixel, which
# is a density, makes more of their grey values.

GEOMETRIES = {
    "plane": GaussianVAETransformer,
    "sphere": SphericalVAETransformer,
    "hyperbolic": HyperbolicVAETransformer,
}
settings = {
    "encoder": "conv",
    "decoder": "conv",
    "hidden_layer_sizes": (128,),
    "kl_warmup_epochs": epochs // 3,
    "max_epochs": epochs,
    "random_state": 0,
    **own,
}
pipelines = {}
print("latent space     d    ELBO      KL   accuracy   seconds")
for d in (2, 10):
    for name, cls in GEOMETRIES.items():
        start = time.perf_counter()
        steps = [("vae", cls(d, **settings)), ("scale", StandardScaler())]
        pipe = Pipeline([*steps, ("clf", LogisticRegression(max_iter=2000))]).fit(X_train, y_train)
        seconds = time.perf_counter() - start
        found = pipe["vae"].evaluate(X_test[:1000], n_importance_samples=8)
        accuracy = pipe.score(X_test, y_test)
        print(
            f"{name:<12} {d:>5}  {found['elbo']:>6.1f}  {found['kl']:>6.1f}  {accuracy:>9.3f}"
            f"  {seconds:>8.1f}"
        )
        pipelines[name, d] = pipe
flat = {name: pipelines[name, 2]["vae"] for name in GEOMETRIES}
deep = {name: pipelines[name, 10]["vae"] for name in GEOMETRIES}

# %%
# Test images in the two-dimensional spaces, each on a map of its own.

figure = plt.figure(figsize=(12, 3.8), layout="constrained")
axes = figure.subplots(1, 3, width_ratios=[1, 1.75, 1])
for ax, vae in zip(axes, flat.values(), strict=True):
    LatentDisplay.from_estimator(vae, X_test[:3000], y_test[:3000], ax=ax)
finish(figure, "mnist_latent_spaces")

# %%
# What the decoders draw there. The map of the sphere is turned as above.

figure = plt.figure(figsize=(12, 3.8), layout="constrained")
axes = figure.subplots(1, 3, width_ratios=[1, 1.75, 1])
for ax, vae in zip(axes, flat.values(), strict=True):
    ManifoldGridDisplay.from_estimator(vae, X_test[:3000], ax=ax)
finish(figure, "mnist_grids")

# %%
# Test images and what is left of them after two numbers and after ten.

figure, axes = plt.subplots(3, 2, figsize=(13, 4.6), layout="constrained")
for row, name in zip(axes, GEOMETRIES, strict=True):
    for ax, vae in zip(row, (flat[name], deep[name]), strict=True):
        ReconstructionDisplay.from_estimator(vae, X_test, n_images=10, ax=ax)
        ax.set_title(f"{name}, d = {vae.n_components}")
finish(figure, "mnist_reconstructions")

# %%
# Images of points drawn from the prior, and the geodesic between two images: ten points at equal
# distances, decoded.


def strip(ax, images, title: str) -> None:
    """Images side by side."""
    images = np.clip(images / (255 if X_test.dtype == np.uint8 else 1), 0, 1)
    gap = np.ones((*images.shape[1:-1], 1))
    ax.imshow(np.hstack([np.hstack([image, gap]) for image in images]), cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize=11)
    ax.axis("off")


ends = [np.flatnonzero(y_test == digit)[0] for digit in (3, 8, 1, 7)]
figure, axes = plt.subplots(9, 1, figsize=(8, 9.5), layout="constrained")
for rows, (name, vae) in zip(axes.reshape(3, 3), deep.items(), strict=True):
    strip(rows[0], vae.sample(14, random_state=1), f"{name}, d = 10: samples")
    paths = vae.interpolate(X_test[ends[::2]], X_test[ends[1::2]], n_steps=14)
    strip(rows[1], paths[0], "from a 3 to an 8 along the geodesic")
    strip(rows[2], paths[1], "from a 1 to a 7")
finish(figure, "mnist_samples_and_geodesics")

# %%
# Ten labels a class. The latent spaces were fitted without labels: frozen, they are a step of a
# pipeline whose `fit` leaves them as they are, and nearest neighbours go by the distance of the
# space.

rng = np.random.default_rng(0)
few = np.concatenate(
    [rng.choice(np.flatnonzero(y_train == c), 10, replace=False) for c in range(10)]
)
rows = slice(0, 2000)


def flattened(images):
    """Images as rows of numbers."""
    return images.reshape(len(images), -1).astype(float)


knn = KNeighborsClassifier(n_neighbors=3).fit(flattened(X_train[few]), y_train[few])
print(f"Three nearest of {len(few)} labelled images, accuracy on {len(X_test[rows])} test images")
print(f"  pixels              {knn.score(flattened(X_test[rows]), y_test[rows]):.3f}")
for (name, d), fitted in pipelines.items():
    vae = fitted["vae"]
    metric = GeodesicDistance(vae.manifold_, vae.coordinates)
    knn = Pipeline(
        [
            ("vae", FrozenEstimator(vae)),
            ("knn", KNeighborsClassifier(n_neighbors=3, metric=metric, algorithm="brute")),
        ]
    ).fit(X_train[few], y_train[few])
    print(f"  {name:<12} d = {d:<2}  {knn.score(X_test[rows], y_test[rows]):.3f}")

plt.show()
