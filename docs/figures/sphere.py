"""Tutorial b: crowding at the centre, where a normal distribution lies, and the sphere."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import chi
from sklearn.neighbors import KNeighborsClassifier
from torch.distributions import Normal, kl_divergence

from figures import from_pca
from figures._style import BLUE, GREEN, GREY, ORANGE, PURPLE, legend, new
from skccvae import SphericalVAETransformer
from skccvae.distributions import HypersphericalUniform, VonMisesFisher
from skccvae.plotting import LatentDisplay

__all__ = ["FIGURES", "accuracies", "clouds", "lengths", "price"]

Array = NDArray[np.float64]
_fitted: dict[Any, SphericalVAETransformer] = {}


def price(distances: Array, scale: float = 0.3) -> tuple[Array, Array]:
    """KL of a posterior from its prior, by the distance of its location from the origin.

    The first is a normal in the plane with this scale in both directions. The second is the von
    Mises-Fisher law on the unit sphere that is equally narrow, with the uniform prior.
    """
    r = torch.as_tensor(distances)
    mean = torch.stack([r, torch.zeros_like(r)], -1)
    plane = kl_divergence(Normal(mean, scale), Normal(0.0, 1.0)).sum(-1)
    location = torch.stack([r.sin(), torch.zeros_like(r), r.cos()], -1)
    concentration = torch.full_like(r, 1 / scale**2)
    uniform = HypersphericalUniform(3, dtype=r.dtype)
    sphere = kl_divergence(VonMisesFisher(location, concentration), uniform)
    return plane.numpy(), sphere.numpy()


def clouds(n_draws: int = 3, dim: int = 500, seed: int = 0) -> tuple[Array, Array]:
    """Draws from the standard normal law, and uniform draws on the sphere of radius sqrt(dim)."""
    torch.manual_seed(seed)
    normal = torch.randn(n_draws, dim, dtype=torch.float64)
    sphere = math.sqrt(dim) * HypersphericalUniform(dim, dtype=torch.float64).sample((n_draws,))
    return normal.numpy(), sphere.numpy()


def lengths(n_draws: int = 5000, dim: int = 500) -> tuple[Array, Array]:
    """Lengths of such draws, in units of sqrt(dim)."""
    normal, sphere = clouds(n_draws, dim)
    return tuple(np.linalg.norm(z, axis=1) / math.sqrt(dim) for z in (normal, sphere))


def fit_sphere(
    images: Array, *, n_rows: int = 20000, epochs: int = 30, seed: int = 0
) -> SphericalVAETransformer:
    """The spherical VAE with the settings of `from_pca.fit`."""
    key = (id(images), n_rows, epochs, seed)
    if key not in _fitted:
        model = SphericalVAETransformer(
            2,
            likelihood="bernoulli",
            init="random",
            kl_warmup_epochs=0,
            max_epochs=epochs,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # grey values as probabilities of pixels
            _fitted[key] = model.fit(np.asarray(images).reshape(len(images), -1)[:n_rows])
    return _fitted[key]


def accuracies(images: Array, labels: Any, **settings: Any) -> dict[str, Any]:
    """Share of held-out digits whose ten nearest codes predict the right class, and the ELBO.

    For the plane, it is also given by quarters of the distance from the centre. Chords of the
    sphere order neighbours in the same way as its geodesic distances.
    """
    plane = from_pca.fit(images, labels, **settings)
    found: dict[str, Any] = {}
    models = {"plane": plane.models["VAE"], "sphere": fit_sphere(images, **settings)}
    for name, model in models.items():
        neighbours = KNeighborsClassifier(10).fit(
            model.transform(plane.training), labels[: len(plane.training)]
        )
        Z = model.transform(plane.held_out)
        right = neighbours.predict(Z) == plane.labels
        found[name] = float(right.mean())
        found[f"{name}_elbo"] = float(model.evaluate(plane.held_out)["elbo"])
        if name == "plane":
            order = np.argsort(np.linalg.norm(Z, axis=1))
            found["quarters"] = [float(right[part].mean()) for part in np.array_split(order, 4)]
    return found


def draw_price(
    images: Array, labels: Any, seeds: Sequence[int] = (0, 1, 2), **settings: Any
) -> Figure:
    """KL cost of a location, and accuracy of neighbours near the centre and far from it."""
    figure, axes = new(1, 2, height=3.2)
    ax = axes[0, 0]
    r = np.linspace(0, 4, 161)
    plane, _ = price(r)
    ax.plot(r, plane, color=BLUE, label="plane, normal prior")
    on_sphere = r[r <= math.pi]
    ax.plot(on_sphere, price(on_sphere)[1], color=ORANGE, label="sphere, uniform prior")
    ax.axvline(math.pi, color="0.8", linewidth=1, zorder=0)
    ax.text(math.pi + 0.08, 0.3, "antipode", color=GREY)
    ax.set(title="KL cost of a location", xlabel="distance of the location from the origin")
    ax.set(ylabel="KL, nats", ylim=(0, 10))
    legend(ax, loc="upper left")
    ax = axes[0, 1]
    seeded = [accuracies(images, labels, seed=seed, **settings) for seed in seeds]
    shares = np.array([[*found["quarters"], found["plane"], found["sphere"]] for found in seeded])
    spots = np.array([0, 1, 2, 3, 4.5, 5.5])
    ax.bar(spots, shares.mean(axis=0), color=[BLUE] * 5 + [ORANGE], width=0.7, alpha=0.75)
    for row in shares:
        ax.plot(spots, row, "o", color="black", markersize=3)
    for spot, column in zip(spots, shares.T, strict=True):
        ax.text(spot, column.max() + 0.025, f"{column.mean():.2f}", ha="center")
    ax.set_xticks(spots, ["nearest\nquarter", "2nd", "3rd", "farthest\nquarter", "all", "sphere"])
    ax.set(
        title="Accuracy of 10-NN, plane and sphere",
        ylabel="share of correct classes",
        ylim=(0, 1.08),
    )
    return figure


def draw_question(n_shown: int = 1500) -> Figure:
    """The question: two laws of 500 numbers. One is normal, the other lies on a sphere."""
    laws = {"B": clouds(n_shown)[0], "A": clouds(n_shown)[1]}
    figure, axes = new(2, 4, height=4.4)
    for line, name in zip(axes, "AB", strict=True):
        Z = laws[name]
        line[0].plot(Z[:, 0], Z[:, 1], ".", color=GREY, markersize=2)
        line[0].set(
            xlim=(-4, 4), ylim=(-4, 4), aspect="equal", xlabel="1st coordinate", xticks=[-3, 0, 3]
        )
        line[0].set_ylabel("2nd coordinate")
        line[0].set_title(f"{name}: {n_shown} draws", loc="left")
        for ax, draw, number in zip(line[1:], Z, range(1, 4), strict=False):
            ax.imshow(draw.reshape(20, 25), cmap="gray", vmin=-3, vmax=3)
            ax.set(xticks=[], yticks=[])
            ax.set_title(f"{name}, draw {number}: 500 coordinates", fontsize=9)
    return figure


def draw_solution() -> Figure:
    """The lengths of the draws distinguish A from B, by only a few per cent."""
    normal, sphere = lengths()
    figure, axes = new(1, 2, height=3.0)
    ax = axes[0, 0]
    ax.hist(normal, np.linspace(0.8, 1.2, 61), color=BLUE, density=True, label="B: normal")
    ax.axvline(sphere.mean(), color=ORANGE, label="A: on the sphere")
    ax.set(title="Length of 5000 draws in 500 dimensions", xlabel="length / √500", ylabel="density")
    ax.set(xlim=(0, 1.5), ylim=(0, 18.5))
    legend(ax, loc="upper left")
    ax = axes[0, 1]
    r = np.linspace(0, 2.5, 1001)
    for dim, colour in [(1, GREY), (2, PURPLE), (10, GREEN), (50, ORANGE), (500, BLUE)]:
        density = math.sqrt(dim) * chi(dim).pdf(r * math.sqrt(dim))
        ax.plot(r, density, color=colour, label=f"d = {dim}")
    ax.set(title="Density of the length, by dimension", xlabel="length / √d", ylabel="density")
    ax.set(ylim=(0, 18.5), xlim=(0, 2.5))
    legend(ax)
    return figure


def draw_maps(images: Array, labels: Any, **settings: Any) -> Figure:
    """Maps of the held-out digits in the plane and on the sphere, drawn by the package."""
    plane = from_pca.fit(images, labels, **settings)
    figure, axes = new(1, 2, height=3.3, width_ratios=[1, 1.75])
    models = [plane.models["VAE"], fit_sphere(images, **settings)]
    for ax, model in zip(axes[0], models, strict=True):
        LatentDisplay.from_estimator(model, plane.held_out, plane.labels, ax=ax, s=7)
    return figure


FIGURES = {
    "b_price": draw_price,
    "b_question": draw_question,
    "b_solution": draw_solution,
    "b_maps": draw_maps,
}
