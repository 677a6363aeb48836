r"""
Faces on the plane, the sphere and in hyperbolic space
======================================================

The data are small grey crops of photographs, half of them faces. This example shows maps,
reconstructions of faces from a few numbers, and how well the codes tell faces from other crops,
compared with PCA and raw pixels.

.. include:: ../_static/figures/faces_made.txt

These are 200 crops of 25 x 25 pixels that come with scikit-image (``pip install scikit-image``):
100 faces of Labeled Faces in the Wild and 100 other parts of the same photographs. They are not
from CelebA, which may not be passed on. If you have CelebA's official folder, a script in the
repository does the same for colour images and its forty attributes::

    python benchmarks/celeba.py --folder FOLDER --rows 20000 --epochs 10 --save-to PICTURES
"""

# sphinx_gallery_thumbnail_path = '_static/figures/faces_reconstructions.png'

import matplotlib.pyplot as plt
import numpy as np
from skimage.data import lfw_subset
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skccvae import GaussianVAETransformer, HyperbolicVAETransformer, SphericalVAETransformer
from skccvae.metrics import GeodesicDistance
from skccvae.plotting import LatentDisplay

X = lfw_subset().reshape(200, -1).astype(np.float32)
y = np.repeat([1, 0], 100)
GEOMETRIES = {
    "plane": GaussianVAETransformer,
    "sphere": SphericalVAETransformer,
    "hyperbolic": HyperbolicVAETransformer,
}

# %%
# Default models of two and of ten dimensions are fitted to 140 of the crops.

X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=60, random_state=0, stratify=y)
models = {
    (name, d): cls(d, random_state=0).fit(X_train)
    for d in (2, 10)
    for name, cls in GEOMETRIES.items()
}
figure = plt.figure("faces_maps", figsize=(9, 3), layout="constrained")
labels = np.where(y == 1, "face", "other")
axes = figure.subplots(1, 3, width_ratios=[1, 1.75, 1])
for ax, name in zip(axes, GEOMETRIES, strict=True):
    LatentDisplay.from_estimator(models[name, 2], X, labels, ax=ax, class_labels="map")

# %%
# .. figure:: ../_static/figures/faces_maps.png
#    :alt: Codes of faces and of other crops in the plane, on the sphere and in the Poincaré disk.
#    :width: 100%
#
#    All 200 crops.
#
# The next figure shows faces that no model has seen, and their reconstructions by PCA and the
# models from ten numbers.

shown = X_test[y_test == 1][:14]
pca = PCA(10, random_state=0).fit(X_train)
rows = {"crop": shown, "PCA": pca.inverse_transform(pca.transform(shown))}
for name in GEOMETRIES:
    vae = models[name, 10]
    rows[name] = vae.inverse_transform(vae.transform(shown))
figure, axes = plt.subplots(
    len(rows), 1, num="faces_reconstructions", figsize=(9, 3.6), layout="constrained"
)
for ax, (name, images) in zip(axes, rows.items(), strict=True):
    ax.imshow(np.hstack(images.reshape(-1, 25, 25)), cmap="gray", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    ax.set_ylabel(name, rotation=0, ha="right", va="center")

# %%
# .. figure:: ../_static/figures/faces_reconstructions.png
#    :alt: A row of faces, and four rows of blurred faces: PCA, plane, sphere, hyperbolic.
#    :width: 100%
#
#    Faces held out, from ten numbers each.
#
# Is a crop a face? The table shows means of five folds, with their standard deviation.


def row(name: str, d: int, make, metric_of=None) -> str:
    """A line of the table: logistic regression and five neighbours behind an embedding."""
    scores = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(X, y):
        step = make().fit(X[train]) if make else None
        Z, W = (step.transform(X[i]) if step else X[i] for i in (train, test))
        metric = metric_of(step) if metric_of else "euclidean"
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        near = KNeighborsClassifier(5, metric=metric, algorithm="brute")
        scores.append([m.fit(Z, y[train]).score(W, y[test]) for m in (linear, near)])
    cells = zip(np.mean(scores, axis=0), np.std(scores, axis=0), strict=True)
    return f"{name:<12}{d:>4}" + "".join(f"   {m:.3f} ± {s:.3f}" for m, s in cells)


print("space          d        logistic            5-NN")
for d in (2, 10):
    print(row("PCA", d, lambda d=d: PCA(d, random_state=0)))
    for name, cls in GEOMETRIES.items():
        print(
            row(
                name,
                d,
                lambda cls=cls, d=d: cls(d, random_state=0),
                lambda vae: GeodesicDistance(vae.manifold_, vae.coordinates),
            )
        )
print(row("pixels", X.shape[1], None))

# %%
# .. literalinclude:: ../_static/figures/faces_printed.txt
#    :language: text
#
# Two numbers of a model tell faces from the rest better than two principal components do, by up to
# two standard deviations. At ten dimensions PCA, the models and the pixels are level within the
# spread of the folds: 200 crops cannot rank them, and on this question pixels are enough.
