"""Tutorial a on MNIST: PCA, an autoencoder and a VAE, each with two numbers per digit."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.decomposition import PCA

from figures._style import CLASSES, GREY, new
from skccvae import AutoencoderTransformer, GaussianVAETransformer
from skccvae.manifolds import Euclidean
from skccvae.plotting._classes import name_classes

__all__ = ["FIGURES", "Models", "fill", "fit", "split_kl"]

Array = NDArray[np.float64]
NAMES = ("PCA", "autoencoder", "VAE")
_fitted: dict[Any, Models] = {}


class Models(NamedTuple):
    """Three fitted models by name, the rows they were fitted to, and the held-out rows."""

    models: dict[str, Any]
    training: Array
    held_out: Array
    labels: NDArray[np.int64]

    def codes(self, name: str) -> Array:
        """Codes of the held-out rows, shape (n, 2)."""
        return np.asarray(self.models[name].transform(self.held_out), dtype=np.float64)

    def decode(self, name: str, Z: Array) -> Array:
        return np.asarray(self.models[name].inverse_transform(Z))

    def error(self, name: str) -> float:
        """Mean squared error per pixel on the held-out rows."""
        rows = self.decode(name, self.codes(name))
        return float(np.mean((rows - self.held_out) ** 2))


def fit(
    images: Array, labels: Any, *, n_rows: int = 20000, epochs: int = 30, seed: int = 0
) -> Models:
    """Fit all three to the first `n_rows` images, with at most the last 2000 held out.

    The two autoencoders have the same networks and start at random, so they differ only in the
    noise and the KL divergence. All figures of a run use the same fit.
    """
    key = (id(images), n_rows, epochs, seed)
    if key not in _fitted:
        X = np.asarray(images).reshape(len(images), -1)
        n_held_out = min(2000, len(X) - n_rows)
        settings = {
            "likelihood": "bernoulli",
            "init": "random",
            "kl_warmup_epochs": 0,
            "max_epochs": epochs,
            "random_state": seed,
        }
        models = {
            "PCA": PCA(2),
            "autoencoder": AutoencoderTransformer(2, **settings),
            "VAE": GaussianVAETransformer(2, **settings),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # grey values as probabilities of pixels
            for model in models.values():
                model.fit(X[:n_rows])
        _fitted[key] = Models(models, X[:n_rows], X[-n_held_out:], labels[-n_held_out:])
    return _fitted[key]


def draws(found: Models, name: str, n: int = 2000, seed: int = 0) -> Array:
    """Points to decode: draws from the VAE's prior, or from a normal fitted to the codes.

    An autoencoder does not define a distribution of its codes. To generate new digits, one has to
    choose one afterwards.
    """
    generator = np.random.default_rng(seed)
    if name == "VAE":
        return generator.standard_normal((n, 2))
    Z = np.asarray(found.models[name].transform(found.training), dtype=np.float64)
    return generator.multivariate_normal(Z.mean(axis=0), np.cov(Z.T), n)


def _posteriors(found: Models) -> tuple[Array, Array]:
    """Means and standard deviations of the posteriors of the training rows, shapes (n, 2)."""
    q = found.models["VAE"].posterior_distribution(found.training)
    return q.mean.double().numpy(), q.stddev.double().numpy()


def _log_ratio(z: Array, mean: Array, scale: Array) -> Array:
    """Logarithm of the ratio of a mean of normal densities to the prior, at each given point."""
    density = np.array([norm.pdf(place, mean, scale).prod(axis=1).mean() for place in z])
    return np.log(density) - norm.logpdf(z).sum(axis=1)


def fill(found: Models, n: int = 500) -> Array:
    """Ratio of the mean posterior of the training rows to the prior, at draws from the prior.

    If it is 1 everywhere, the decoder is trained exactly where the prior draws. Values near 0 are
    holes.
    """
    return np.exp(_log_ratio(draws(found, "VAE", n), *_posteriors(found)))


def split_kl(found: Models, n: int = 2000, seed: int = 0) -> dict[str, float]:
    """The mean KL of the training rows and its two parts, in nats.

    ``together`` is the KL of the mean of the posteriors from the prior, estimated from `n` draws.
    ``apart`` is the rest, by which the posteriors differ from each other: the mutual information of
    row and code. ``error`` is the standard error of both.

    References
    ----------
    Hoffman and Johnson, "ELBO surgery", NIPS workshop 2016, section 2.
    """
    mean, scale = _posteriors(found)
    kl = 0.5 * (mean**2 + scale**2 - 1 - 2 * np.log(scale)).sum(axis=1).mean()
    generator = np.random.default_rng(seed)
    row = generator.integers(len(mean), size=n)
    z = mean[row] + scale[row] * generator.standard_normal((n, 2))
    ratio = _log_ratio(z, mean, scale)
    return {
        "kl": float(kl),
        "apart": float(kl - ratio.mean()),
        "together": float(ratio.mean()),
        "error": float(ratio.std() / np.sqrt(n)),
    }


def draw_reconstructions(images: Array, labels: Any, **settings: Any) -> Figure:
    """A held-out digit of each class, and its reconstruction by each model."""
    found = fit(images, labels, **settings)
    rows = [int(np.flatnonzero(found.labels == digit)[0]) for digit in np.unique(found.labels)]
    shown = {"digit": found.held_out} | {
        name: found.decode(name, found.codes(name)) for name in NAMES
    }
    figure, axes = new(len(shown), len(rows), height=3.9)
    for line, (name, X) in zip(axes, shown.items(), strict=True):
        for ax, row in zip(line, rows, strict=True):
            ax.imshow(X[row].reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        error = "" if name == "digit" else f"\nerror {found.error(name):.4f}"
        line[0].set_ylabel(f"{name}{error}", rotation=0, ha="right", va="center")
    return figure


def draw_maps(images: Array, labels: Any, **settings: Any) -> Figure:
    """Codes of the held-out rows, coloured by the digit, which the models did not see."""
    found = fit(images, labels, **settings)
    figure, axes = new(1, 3, height=3.3)
    for ax, name in zip(axes[0], NAMES, strict=True):
        Z = found.codes(name)
        for digit in np.unique(found.labels):
            own = Z[found.labels == digit]
            ax.plot(*own.T, ".", markersize=2.5, color=CLASSES[digit], alpha=0.7, markeredgewidth=0)
        # The middle 99 % of the codes. Both axes have the same scale, which preserves distances.
        edge = np.quantile(np.abs(Z - np.median(Z, axis=0)), 0.995)
        middle = np.median(Z, axis=0)
        ax.set(xlim=middle[0] + edge * np.array([-1, 1]), ylim=middle[1] + edge * np.array([-1, 1]))
        ax.set(title=name, aspect="equal", xlabel="first coordinate")
    axes[0, 0].set_ylabel("second coordinate")
    figure.draw_without_rendering()  # so that names know where points are on the page
    names = np.unique(found.labels)
    for ax, name in zip(axes[0], NAMES, strict=True):
        Z = np.asarray(found.codes(name), dtype=np.float64)
        name_classes(ax, Euclidean(2), Z, Z, names, np.searchsorted(names, found.labels))
    return figure


def draw_clouds(images: Array, labels: Any, n_shown: int = 400, **settings: Any) -> Figure:
    """The codes of an autoencoder are points; those of a VAE are clouds that cover the prior."""
    found = fit(images, labels, **settings)
    figure, axes = new(1, 2, height=4.4)
    Z = found.codes("autoencoder")[:n_shown]
    axes[0, 0].plot(*Z.T, ".", color=GREY, markersize=3)
    edge = np.quantile(np.abs(Z), 0.99)
    axes[0, 0].set(xlim=(-edge, edge), ylim=(-edge, edge), title="Autoencoder: one point per digit")
    q = found.models["VAE"].posterior_distribution(found.held_out[:n_shown])
    ax = axes[0, 1]
    for mean, scale, digit in zip(q.mean, q.stddev, found.labels, strict=False):
        width, height = 4 * scale.numpy()
        look = {"color": CLASSES[digit], "alpha": 0.3, "linewidth": 0}
        ax.add_patch(Ellipse(mean.numpy(), width, height, **look))
    for radius in (1, 2, 3):
        ax.add_patch(Circle((0, 0), radius, fill=False, color="0.3", linestyle="--", linewidth=1))
    ax.set(xlim=(-4, 4), ylim=(-4, 4), title="VAE: one cloud per digit (two σ)")
    for ax in axes[0]:
        ax.set(aspect="equal", xlabel="first coordinate")
    axes[0, 0].set_ylabel("second coordinate")
    return figure


def draw_grids(images: Array, labels: Any, n_side: int = 14, **settings: Any) -> Figure:
    """Decoded points of a grid with equal steps of probability, for all three models."""
    found = fit(images, labels, **settings)
    steps = norm.ppf((np.arange(n_side) + 0.5) / n_side)
    figure, axes = new(1, 3, height=3.3)
    for ax, name in zip(axes[0], NAMES, strict=True):
        law = draws(found, name)
        centre, scale = law.mean(axis=0), law.std(axis=0)
        if name == "VAE":
            centre, scale = np.zeros(2), np.ones(2)
        across, up = np.meshgrid(centre[0] + scale[0] * steps, centre[1] + scale[1] * steps[::-1])
        tiles = found.decode(name, np.column_stack([across.ravel(), up.ravel()]))
        tiles = tiles.reshape(n_side, n_side, 28, 28).transpose(0, 2, 1, 3)
        ax.imshow(tiles.reshape(28 * n_side, -1), cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        ax.set_title(name)
        ax.spines[:].set_visible(False)
    return figure


FIGURES = {
    "a_reconstructions": draw_reconstructions,
    "a_maps": draw_maps,
    "a_clouds": draw_clouds,
    "a_grids": draw_grids,
}
