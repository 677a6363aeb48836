"""Tutorial e: the axis of curvature, its limit and its units."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from figures._style import BLUE, CLASSES, GREEN, GREY, ORANGE, legend, new
from skccvae import ConstantCurvatureVAETransformer
from skccvae.distributions import RiemannianNormal
from skccvae.manifolds import constant_curvature
from skccvae.special import sin_k

__all__ = ["FIGURES", "angle_sum", "circumference", "divergence", "strip"]

Array = NDArray[np.float64]
CURVATURES = (-2.0, -1.0, 0.0, 1.0, 2.0)


def colour_of(K: float) -> str:
    return BLUE if K == 0 else ORANGE if K > 0 else GREEN


def name_of(K: float) -> str:
    return f"K = {K:g}".replace("-", "\N{MINUS SIGN}")


def circumference(radius: Array, K: float) -> Array:
    """Circumference of a circle with the given radius, 2 pi sin_K(radius)."""
    r = torch.as_tensor(radius)
    return np.asarray(2 * math.pi * sin_k(r, torch.tensor(K, dtype=r.dtype)))


def angle_sum(K: float, side: float = 1.0) -> float:
    """Sum of the angles of a triangle with three sides of the given length, in degrees.

    Two corners are at this distance from the third. A bisection finds the angle at the third corner
    for which the opposite side is as long as the other two.
    """
    space = constant_curvature(2, K)

    def corner(angle: float) -> torch.Tensor:
        direction = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
        return space.exp0(side * direction)

    low, high = 0.0, math.pi
    for _ in range(60):
        angle = (low + high) / 2
        if float(space.dist(corner(0.0), corner(angle))) < side:
            low = angle
        else:
            high = angle
    return 3 * math.degrees(angle)


def divergence(K: float, scale: float, n_draws: int = 2000, seed: int = 0) -> float:
    """KL of a posterior from the prior with the given scale, as a mean over draws.

    The posterior is at the distance `scale` from the origin and has scale 0.3 `scale`, so it is
    always the same in units of the prior's scale. Equal seeds use equal noise.
    """
    space = constant_curvature(2, K)
    where = space.exp0(torch.tensor([scale, 0.0], dtype=torch.float64))
    width = torch.tensor([0.3 * scale], dtype=torch.float64)
    q = RiemannianNormal(where, width, space)
    prior = RiemannianNormal(
        space.origin(dtype=torch.float64), torch.tensor([scale], dtype=torch.float64), space
    )
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n_draws, q.noise_dim, dtype=torch.float64, generator=generator)
    z = q.rsample_from_noise(noise)
    return float((q.log_prob(z) - prior.log_prob(z)).mean())


def strip(
    images: Array,
    labels: Any,
    *,
    curvatures: Sequence[float] = CURVATURES,
    n_rows: int = 10000,
    epochs: int = 20,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The same model at five curvatures: codes of held-out rows in the tangent chart, and the ELBO.

    The chart is the log map at the origin, which preserves directions and distances from the
    origin.
    """
    X = np.asarray(images).reshape(len(images), -1)
    held_out = X[-min(2000, len(X) - n_rows) :]
    found = []
    for K in curvatures:
        model = ConstantCurvatureVAETransformer(
            2, curvature=K, likelihood="bernoulli", max_epochs=epochs, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # grey values as probabilities of pixels
            model.fit(X[:n_rows])
            elbo = float(model.evaluate(held_out)["elbo"])
        codes = np.asarray(model.transform(held_out), dtype=float)
        found.append({"K": K, "codes": codes, "elbo": elbo, "labels": labels[-len(held_out) :]})
    return found


def draw_spaces() -> Figure:
    """The effect of K on circles and triangles, which is smooth through K = 0."""
    figure, axes = new(1, 2, height=3.3)
    ax = axes[0, 0]
    for K, style in zip(CURVATURES, ["-", "--", "-", "--", "-"], strict=True):
        r = np.linspace(0, min(2.5, math.pi / math.sqrt(K)) if K > 0 else 2.5, 201)
        ax.plot(r, circumference(r, K), style, color=colour_of(K), label=name_of(K))
    ax.set(title="Circumference of a circle", xlabel="radius", ylabel="circumference")
    ax.set(ylim=(0, 40), xlim=(0, 2.5))
    legend(ax, loc="upper left")
    ax = axes[0, 1]
    K = np.linspace(-2, 2, 81)
    ax.plot(K, [angle_sum(k) for k in K], color="black")
    for k in CURVATURES:
        ax.plot([k], [angle_sum(k)], "o", color=colour_of(k))
    ax.axhline(180, color="0.8", linewidth=1, zorder=0)
    ax.set(title="Angles of a triangle with all sides 1", xlabel="curvature K")
    ax.set_ylabel("sum of the angles, degrees")
    return figure


def draw_strip(images: Array, labels: Any, **settings: Any) -> Figure:
    """Five models of the same digits, from hyperbolic space to the sphere."""
    rows = strip(images, labels, **settings)
    figure, axes = new(1, len(rows), height=2.6)
    edge = max(np.quantile(np.linalg.norm(row["codes"], axis=1), 0.99) for row in rows)
    for ax, row in zip(axes[0], rows, strict=True):
        for digit in np.unique(row["labels"]):
            own = row["codes"][row["labels"] == digit]
            ax.plot(*own.T, ".", markersize=2, color=CLASSES[digit], alpha=0.7, markeredgewidth=0)
            ax.text(*np.median(own, axis=0), str(digit), color=CLASSES[digit], fontweight="bold")
        for radius in (1, 2, 3):
            if row["K"] <= 0 or radius < math.pi / math.sqrt(row["K"]):
                ax.add_patch(Circle((0, 0), radius, fill=False, color="0.8", zorder=0))
        if row["K"] > 0:
            antipode = math.pi / math.sqrt(row["K"])
            ax.add_patch(Circle((0, 0), antipode, fill=False, color=ORANGE, linewidth=1.5))
        ax.set(xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal", xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_title(name_of(row["K"]), color=colour_of(row["K"]))
        ax.set_xlabel(f"ELBO {row['elbo']:.1f}".replace("-", "\N{MINUS SIGN}"))
    return figure


def draw_units(n_draws: int = 2000) -> Figure:
    """A KL against K for three scales of the prior, and against K times the squared scale."""
    figure, axes = new(1, 2, height=3.2, sharey=True)
    product = np.linspace(-2, 2, 41)
    for scale, style, width in [(0.5, "-", 5), (1.0, "-", 2.5), (2.0, "--", 1.2)]:
        colour = {0.5: "0.75", 1.0: BLUE, 2.0: "black"}[scale]
        values = [divergence(k / scale**2, scale, n_draws) for k in product]
        look = {"color": colour, "linestyle": style, "linewidth": width}
        axes[0, 0].plot(product / scale**2, values, label=f"scale s = {scale:g}", **look)
        axes[0, 1].plot(product, values, label=f"scale s = {scale:g}", **look)
    flat = 0.5 * (1 + 2 * 0.3**2 - 2 - 2 * math.log(0.3**2))
    axes[0, 1].plot([0], [flat], "o", color=ORANGE, zorder=5, label="Gaussian formula")
    axes[0, 0].set(title="One posterior, three priors", xlabel="curvature K", ylabel="KL, nats")
    axes[0, 0].axvline(0, color=GREY, linewidth=0.8, zorder=0)
    axes[0, 0].set_xlim(-4, 4)
    axes[0, 1].set(title="The same in units of the prior's scale", xlabel="K s²")
    for ax in axes[0]:
        legend(ax)
    return figure


FIGURES = {"e_spaces": draw_spaces, "e_strip": draw_strip, "e_units": draw_units}
