r"""
Faces in three geometries
=========================

Convolutional networks encode colour images of faces in the plane, the sphere and hyperbolic space.
Then their forty yes-or-no attributes are predicted from the codes, all at once.

CelebA may not be redistributed, so this script reads the official folder if there is one (its
licence is in the documentation of `fetch_celeba`). Otherwise, it uses the small grey faces that
come with scikit-image. Without scikit-image, it draws artificial faces. It prints which faces it
uses. Run it as a script::

    python benchmarks/celeba.py
    python benchmarks/celeba.py --folder FOLDER --rows 20000 --epochs 10 --save-to PICTURES
"""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skccvae import GaussianVAETransformer, HyperbolicVAETransformer, SphericalVAETransformer
from skccvae.datasets import fetch_celeba
from skccvae.metrics import GeodesicDistance
from skccvae.plotting import LatentDisplay, ManifoldGridDisplay, ReconstructionDisplay

parser = argparse.ArgumentParser()
parser.add_argument("--folder", help="CelebA as published; otherwise where fetch_celeba finds it")
parser.add_argument("--rows", type=int, default=20000, help="training images of CelebA")
parser.add_argument("--epochs", type=int, help="10 for CelebA, else 80 or 14")
parser.add_argument("--save-to", type=Path, metavar="DIR", help="save the figures there")
parser.add_argument("--threads", type=int, default=1, help="of torch")
options = parser.parse_args()
torch.set_num_threads(options.threads)


def finish(figure, name: str) -> None:
    """Save a figure if this was asked for."""
    if options.save_to is not None:
        options.save_to.mkdir(parents=True, exist_ok=True)
        figure.savefig(options.save_to / f"{name}.png", dpi=110)


# %%
# The images are a memory map of bytes, read batch by batch: the model sees only ``--rows`` of
# 162770 faces, but memory would not grow with all of them.


def celeba():
    """Training and test images, their attributes, and the names of these."""
    train = fetch_celeba(data_home=options.folder, subset="train")
    test = fetch_celeba(data_home=options.folder, subset="test")
    rows, n = slice(0, options.rows), slice(0, 5000)
    return train.images[rows], test.images[n], train.target[rows], test.target[n], test.target_names


# %%
# The substitutes. scikit-image has 100 grey crops of faces and 100 of other parts of photographs;
# the one attribute is whether it is a face. Drawn faces are ovals with eyes and a mouth, and have
# four attributes.


def small_crops():
    """The crops of scikit-image; ImportError or OSError if they are not available."""
    from skimage.data import lfw_subset

    X = np.rint(255 * lfw_subset()).astype(np.uint8)
    y = np.repeat([[1], [0]], 100, axis=0)
    return (*train_test_split(X, y, test_size=60, random_state=0, stratify=y), ["Face"])


def drawn_faces(n: int = 1200, side: int = 16):
    """Ovals with eyes, hair and a mouth."""
    rng = np.random.default_rng(0)
    v, u = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    y = (rng.random((n, 4)) < [0.5, 0.3, 0.4, 0.25]).astype(int)
    X = np.empty((n, side, side, 3))
    for image, (smiling, glasses, fair, hat) in zip(X, y, strict=True):
        shift, skin, wall = rng.normal(0, 0.05), rng.uniform(0.6, 1), rng.uniform(0.3, 0.9)
        x, z = u - shift, v
        image[:] = np.array([0.7, 0.85, 1]) * wall
        hair = (0.85, 0.7, 0.35) if fair else (0.25, 0.15, 0.1)
        image[(x / 0.72) ** 2 + ((z + 0.12) / 0.88) ** 2 < 1] = hair
        image[(x / 0.58) ** 2 + ((z - 0.08) / 0.75) ** 2 < 1] = np.array([1, 0.8, 0.65]) * skin
        image[(abs(abs(x) - 0.25) < 0.09) & (abs(z + 0.1) < 0.07)] = 0.1
        mouth = 0.42 - (1.3 if smiling else -1) * (x**2 - 0.05)
        image[(abs(x) < 0.4) & (abs(z - mouth) < 0.09)] = (0.6, 0.1, 0.15)
        if glasses:
            rim = abs(np.hypot(abs(x) - 0.25, z + 0.1) - 0.2) < 0.05
            image[rim | ((abs(x) < 0.06) & (abs(z + 0.1) < 0.05))] = 0.05
        if hat:
            image[(z < -0.42) & (z > -0.95) & (abs(x) < 0.62)] = (0.7, 0.2, 0.2)
    X = np.rint(255 * np.clip(X + rng.normal(0, 0.01, X.shape), 0, 1)).astype(np.uint8)
    names = ["Smiling", "Eyeglasses", "Blond_Hair", "Wearing_Hat"]
    return (*train_test_split(X, y, test_size=300, random_state=0), names)


try:
    X_train, X_test, y_train, y_test, names = celeba()
    epochs, own = options.epochs or 10, {"batch_size": 128, "learning_rate": 1e-3}
    print("CelebA, the official partition.")
except OSError:
    if options.folder is not None:
        raise
    own = {"batch_size": 32, "learning_rate": 2e-3}
    try:
        X_train, X_test, y_train, y_test, names = small_crops()
        epochs = options.epochs or 80
        print("CelebA is not at hand; scikit-image's crops of faces and of other things instead.")
    except (ImportError, OSError):
        X_train, X_test, y_train, y_test, names = drawn_faces()
        epochs = options.epochs or 14
        print("Neither CelebA nor scikit-image is at hand; drawn faces instead.")
print(f"{len(X_train)} images of {X_train.shape[1:]} to train on, {len(X_test)} to test on.")

# %%
# Three geometries at two dimensions and at 16 (32 for CelebA), for 8-bit intensities. The images go
# in as they are; a row's bound on the log-likelihood, divided by the number of its intensities and
# by log 2, is its cost in bits. The weight of the KL rises nearly to the end of the short training.

GEOMETRIES = {
    "plane": GaussianVAETransformer,
    "sphere": SphericalVAETransformer,
    "hyperbolic": HyperbolicVAETransformer,
}
big = 32 if len(names) == 40 else 16
settings = {
    "encoder": "conv",
    "decoder": "conv",
    "hidden_layer_sizes": (128,),
    "likelihood": "discretized_logistic",
    "activation": "silu",
    "kl_warmup_epochs": epochs - epochs // 8,
    "max_epochs": epochs,
    "random_state": 0,
    **own,
}
models = {}
print("latent space     d    bits per dimension      KL   seconds")
for d in (2, big):
    for name, cls in GEOMETRIES.items():
        start = time.perf_counter()
        vae = models[name, d] = cls(d, **settings).fit(X_train)
        seconds = time.perf_counter() - start
        found = vae.evaluate(X_test[:300], n_importance_samples=4)
        bits = -found["elbo"] / X_train[0].size / np.log(2)
        print(f"{name:<12} {d:>5}  {bits:>18.3f}  {found['kl']:>8.1f}  {seconds:>8.1f}")
flat = {name: models[name, 2] for name in GEOMETRIES}
deep = {name: models[name, big] for name in GEOMETRIES}

# %%
# Test images in the two-dimensional spaces, by one attribute.

shown = next((names.index(name) for name in ("Male", "Blond_Hair") if name in names), 0)
labels = np.where(y_test[:, shown] == 1, names[shown], "not")
figure = plt.figure(figsize=(12, 3.8), layout="constrained")
axes = figure.subplots(1, 3, width_ratios=[1, 1.75, 1])
for ax, vae in zip(axes, flat.values(), strict=True):
    LatentDisplay.from_estimator(vae, X_test[:3000], labels[:3000], ax=ax, class_labels="map")
finish(figure, "celeba_latent_spaces")

# %%
# What the decoders draw there. The map of the sphere is turned as above.

figure = plt.figure(figsize=(12, 3.8), layout="constrained")
axes = figure.subplots(1, 3, width_ratios=[1, 1.75, 1])
for ax, vae in zip(axes, flat.values(), strict=True):
    ManifoldGridDisplay.from_estimator(vae, X_test[:3000], ax=ax)
finish(figure, "celeba_grids")

# %%
# Test images and what is left of them after two numbers and after more.

figure, axes = plt.subplots(3, 2, figsize=(13, 4.6), layout="constrained")
for row, name in zip(axes, GEOMETRIES, strict=True):
    for ax, vae in zip(row, (flat[name], deep[name]), strict=True):
        ReconstructionDisplay.from_estimator(vae, X_test, n_images=10, ax=ax)
        ax.set_title(f"{name}, d = {vae.n_components}")
finish(figure, "celeba_reconstructions")

# %%
# Images of points drawn from the prior, and the geodesic between two faces.


def strip(ax, images, title: str) -> None:
    """Images side by side."""
    images = np.clip(images / 255, 0, 1)
    gap = np.ones((images.shape[1], 1, *images.shape[3:]))
    ax.imshow(np.hstack([np.hstack([image, gap]) for image in images]), cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize=11)
    ax.axis("off")


first = np.flatnonzero(y_test[:, shown] == 1)[0]
second = np.argmax((y_test != y_test[first]).sum(axis=1))  # with most other attributes
figure, axes = plt.subplots(6, 1, figsize=(8, 6.4), layout="constrained")
for rows, (name, vae) in zip(axes.reshape(3, 2), deep.items(), strict=True):
    strip(rows[0], vae.sample(14, random_state=1), f"{name}, d = {big}: samples")
    path = vae.interpolate(X_test[[first]], X_test[[second]], n_steps=14)[0]
    strip(rows[1], path, "between two test images along the geodesic")
finish(figure, "celeba_samples_and_geodesics")

# %%
# All attributes at once: a logistic regression for each behind the frozen latent space. Where one
# face in fifty has an attribute, "no" is right 98 times in a hundred, so accuracy says little. Here
# are the balanced accuracy, which is 0.5 for guessing, and the average precision, which is the
# attribute's frequency for guessing.


def positive(probabilities, classes) -> np.ndarray:
    """Columns with the probability of "yes", whatever classes the few labels held."""
    columns = [
        p[:, list(c).index(1)] if 1 in c else np.zeros(len(p))
        for p, c in zip(probabilities, classes, strict=True)
    ]
    return np.column_stack(columns)


def scores(p: np.ndarray, threshold: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Balanced accuracy and average precision of each attribute that varies in the test images."""
    columns = [k for k in range(len(names)) if 0 < y_test[:, k].mean() < 1]
    accuracy = [balanced_accuracy_score(y_test[:, k], p[:, k] >= threshold) for k in columns]
    precision = [average_precision_score(y_test[:, k], p[:, k]) for k in columns]
    return np.array(accuracy), np.array(precision)


print(f"Attributes: {len(names)}. Means    balanced accuracy   average precision")
print(f"guessing {0.5:>24.3f} {y_test.mean():>19.3f}")
each = {}
for (name, d), vae in models.items():
    pipe = Pipeline(
        [
            ("vae", FrozenEstimator(vae)),
            ("scale", StandardScaler()),
            (
                "clf",
                MultiOutputClassifier(LogisticRegression(class_weight="balanced", max_iter=1000)),
            ),
        ]
    ).fit(X_train, y_train)
    accuracy, precision = scores(positive(pipe.predict_proba(X_test), pipe["clf"].classes_))
    each[name, d] = precision
    print(f"{name:<10} d = {d:<3} {accuracy.mean():>14.3f} {precision.mean():>19.3f}")

# %%
# The attributes one by one, by what the best geometry adds to their frequency.

figure, ax = plt.subplots(figsize=(8, 1.4 + 0.26 * len(names)), layout="constrained")
rates = y_test.mean(axis=0)
order = np.argsort(np.max([each[name, big] for name in GEOMETRIES], axis=0) - rates)
height = np.arange(len(names))
ax.barh(height, rates[order], color="0.85", label="guessing")
for name, marker, colour in zip(GEOMETRIES, "os^", ("#332288", "#ee7733", "#44aa99"), strict=True):
    ax.plot(each[name, big][order], height, marker, color=colour, label=f"{name}, d = {big}")
ax.set_yticks(height, np.array(names)[order])
ax.set(xlim=(0, 1.03), ylim=(-0.7, len(names) - 0.3), xlabel="average precision")
figure.legend(loc="outside lower center", ncols=4, frameon=False)
finish(figure, "celeba_attributes")

# %%
# The same from few labels, by nearest neighbours in the distance of the space, compared with
# nearest neighbours in pixels.

few = np.random.default_rng(0).choice(len(X_train), min(100, len(X_train) // 2), replace=False)
few = np.sort(few)
y_few = y_train[few] if len(names) > 1 else y_train[few, 0]
flattened = [np.asarray(X).reshape(len(X), -1).astype(float) for X in (X_train[few], X_test)]
knn = KNeighborsClassifier(n_neighbors=5).fit(flattened[0], y_few)
print(f"Five nearest of {len(few)} labelled images, average precision")
print(f"  guessing             {y_test.mean():.3f}")


def mean_precision(probabilities, classes) -> float:
    """Mean over the attributes; scikit-learn gives a single array if there is only one."""
    if len(names) == 1:
        probabilities, classes = [probabilities], [classes]
    return float(scores(positive(probabilities, classes))[1].mean())


print(f"  pixels               {mean_precision(knn.predict_proba(flattened[1]), knn.classes_):.3f}")
for (name, d), vae in models.items():
    metric = GeodesicDistance(vae.manifold_, vae.coordinates)
    pipe = Pipeline(
        [
            ("vae", FrozenEstimator(vae)),
            ("knn", KNeighborsClassifier(n_neighbors=5, metric=metric, algorithm="brute")),
        ]
    ).fit(X_train[few], y_few)
    found = mean_precision(pipe.predict_proba(X_test), pipe["knn"].classes_)
    print(f"  {name:<12} d = {d:<3} {found:.3f}")

plt.show()
