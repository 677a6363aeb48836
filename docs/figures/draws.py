"""Draws from the von Mises-Fisher law: samples, the two parts of a point, and the quantile."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures._drawing import Camera, bare, globe
from figures._style import BLUE, GREEN, GREY, ORANGE, PURPLE, legend, new
from skccvae.distributions import VonMisesFisher
from skccvae.special import bessel_ratio

__all__ = ["FIGURES", "cosine_density", "cosine_quantiles", "mean_cosines", "mirror", "turns"]

Array = NDArray[np.float64]
CONCENTRATIONS = (1.0, 10.0, 100.0)


def draws(loc: Any, kappa: float, n_draws: int, seed: int) -> Array:
    """Draws (n_draws, m) from the package's law."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        law = VonMisesFisher(torch.as_tensor(loc, dtype=torch.float64), kappa)
        return law.rsample((n_draws,)).numpy()


class Cosines(NamedTuple):
    kappa: float
    mean: float  # of the draws
    error: float  # standard error of that mean
    exact: float  # I_{m/2}(kappa) / I_{m/2 - 1}(kappa)


def mean_cosines(m: int, *, n_draws: int = 2000, seed: int = 0) -> list[Cosines]:
    """Mean cosine of the angle between draws and their location, and its exact value."""
    result = []
    loc = np.eye(m)[0]
    for kappa in CONCENTRATIONS:
        w = draws(loc, kappa, n_draws, seed)[:, 0]
        exact = bessel_ratio(0.5 * m - 1, torch.tensor(kappa, dtype=torch.float64)).item()
        result.append(Cosines(kappa, w.mean(), w.std() / math.sqrt(n_draws), exact))
    return result


def cosine_density(w: Array, kappa: float, m: int) -> Array:
    """Density of the cosine w = <mu, z>, normalised by a sum over 20000 angles."""

    def unnormalised(theta: Array) -> Array:  # of the angle theta, with w = cos theta
        return np.exp(kappa * (np.cos(theta) - 1)) * np.sin(theta) ** (m - 2)

    n_angles = 20000
    middle = (np.arange(n_angles) + 0.5) * np.pi / n_angles
    total = unnormalised(middle).sum() * np.pi / n_angles
    return np.exp(kappa * (w - 1)) * (1 - w * w) ** (0.5 * (m - 3)) / total


def draw_samples(*, n_draws: int = 500, seed: int = 0) -> Figure:
    """Points on the circle and on the sphere at three concentrations."""
    figure, axes = new(2, 3, height=6.2)
    camera = Camera(20, 20)
    loc = np.array([math.cos(0.9), math.sin(0.9) * 0.8, math.sin(0.9) * 0.6])
    turn = np.linspace(0, 2 * np.pi, 361)
    for column, kappa in enumerate(CONCENTRATIONS):
        ax = axes[0, column]
        bare(ax, 1.5)
        ax.plot(np.cos(turn), np.sin(turn), color=GREY, lw=1.0)
        z = draws([0.8, 0.6], kappa, n_draws, seed)
        reach = np.random.default_rng(seed).uniform(1.03, 1.28, n_draws)  # to show points
        ax.scatter(*(z * reach[:, None]).T, s=5, color=ORANGE, linewidths=0, alpha=0.6)
        ax.annotate("", (0.8, 0.6), (0, 0), arrowprops={"arrowstyle": "-|>", "lw": 1.8})
        ax.set_title(rf"circle, $m = 2$, $\kappa = {kappa:g}$")
        ax = axes[1, column]
        globe(ax, camera)
        camera.dots(ax, draws(loc, kappa, n_draws, seed), s=6, color=ORANGE)
        camera.arrow(ax, [0, 0, 0], loc)
        ax.set_title(rf"sphere, $m = 3$, $\kappa = {kappa:g}$")
    return figure


def draw_decomposition() -> Figure:
    """The two parts of a point, and the density of the first."""
    figure, axes = new(1, 2, height=3.9)
    camera = Camera(18, 35)
    ax = axes[0, 0]
    globe(ax, camera)
    mu = np.array([1.0, 0.0, 0.0])
    w, turn = 0.6, np.linspace(0, 2 * np.pi, 181)
    v = np.array([0.0, math.cos(1.5), math.sin(1.5)])
    z = w * mu + math.sqrt(1 - w * w) * v
    ring = np.stack([np.cos(turn), np.sin(turn)], -1) * math.sqrt(1 - w * w)
    ring = np.column_stack([np.full(turn.shape, w), ring])
    camera.line(ax, ring, color=BLUE, lw=1.6)
    camera.arrow(ax, [0, 0, 0], mu, color=GREY)
    camera.arrow(ax, [0, 0, 0], w * mu, color=ORANGE)
    camera.arrow(ax, w * mu, z, color=BLUE)
    camera.arrow(ax, [0, 0, 0], z, color="black")
    camera.text(ax, mu, r"$\mu$", (-4, 6), color=GREY)
    camera.text(ax, 0.5 * w * mu, r"$w\,\mu$", (-28, -4), color=ORANGE)
    camera.text(ax, w * mu + 0.5 * (z - w * mu), r"$\sqrt{1 - w^2}\,v$", (-22, 8), color=BLUE)
    camera.text(ax, z, r"$z$", (9, -8))
    ax.set_title(r"A point is $z = w\,\mu + \sqrt{1 - w^2}\;v$")
    ax = axes[0, 1]
    grid = np.linspace(-1, 1, 801)[1:-1]
    for m, colour in ((3, ORANGE), (11, BLUE), (41, GREEN)):
        for kappa, style in ((10.0, "-"), (5.0 * (m - 1), "--"))[: 1 if m == 3 else 2]:
            label = rf"$m = {m}$, $\kappa = {kappa:g}$"
            ax.plot(grid, cosine_density(grid, kappa, m), style, color=colour, label=label)
    ax.set(xlabel="cosine $w$", ylabel="density", title="Density of the cosine")
    legend(ax, loc="upper left")
    return figure


def mirror(points: Array, mu: Array) -> Array:
    """Rows of `points` under the Householder reflection that maps e_1 = (1, 0, ..., 0) to mu."""
    normal = np.eye(len(mu))[0] - mu
    normal = normal / np.linalg.norm(normal)
    return points - 2 * np.outer(points @ normal, normal)


def turns(angle: float, *, n_steps: int = 360) -> float:
    """Number of turns of e_2's image about mu while mu circles once round e_1 at this angle."""
    longitude = np.linspace(0, 2 * np.pi, n_steps + 1)
    images = []
    for phi in longitude:
        mu = np.array(
            [np.cos(angle), np.sin(angle) * np.cos(phi), np.sin(angle) * np.sin(phi)],
        )
        images.append(mirror(np.eye(3)[1:2], mu)[0])
    heading = np.unwrap(np.arctan2(*np.array(images)[:, [2, 1]].T))
    return float((heading[-1] - heading[0]) / (2 * np.pi))


def draw_householder(*, n_draws: int = 60, seed: int = 1) -> Figure:
    """The reflection on the circle, and its effect if mu is near e_1."""
    figure, axes = new(1, 2, height=4.0)
    ax = axes[0, 0]
    bare(ax, 1.35)
    turn = np.linspace(0, 2 * np.pi, 361)
    ax.plot(np.cos(turn), np.sin(turn), color=GREY, lw=1.0)
    mu = np.array([math.cos(2.0), math.sin(2.0)])
    start = draws([1.0, 0.0], 12.0, n_draws, seed)
    image = mirror(start, mu)
    along = np.array([math.cos(1.0), math.sin(1.0)])
    ax.plot(*np.outer([-1.25, 1.25], along).T, "--", color=PURPLE, lw=1.6, label="mirror")
    for a, b in zip(start[:8], image[:8], strict=True):
        ax.plot(*np.stack([a, b]).T, color=GREY, lw=0.5)
    ax.scatter(*start.T, s=14, color=BLUE, label="draws around $e_1$", zorder=3)
    ax.scatter(*image.T, s=14, color=ORANGE, label=r"their images, around $\mu$", zorder=3)
    for tip, text in (([1.0, 0.0], "$e_1$"), (mu, r"$\mu$")):
        ax.annotate("", tip, (0, 0), arrowprops={"arrowstyle": "-|>", "lw": 1.6})
        ax.annotate(text, 1.14 * np.asarray(tip), ha="center", va="center", fontsize=11)
    legend(ax, loc="upper left", bbox_to_anchor=(0.82, 0.3))
    ax.set_title(r"The mirror between $e_1$ and $\mu$")
    ax = axes[0, 1]
    bare(ax, 1.45)
    ax.plot(np.cos(turn), np.sin(turn), color=GREY, lw=1.0)
    for phi in np.linspace(0, 2 * np.pi, 16, endpoint=False):
        angle = 0.01
        foot = np.array([np.cos(phi), np.sin(phi)])
        image = mirror(np.eye(3)[1:2], np.array([np.cos(angle), *(np.sin(angle) * foot)]))[0, 1:]
        ax.annotate(
            "",
            foot + 0.33 * image,
            foot,
            arrowprops={"arrowstyle": "-|>", "lw": 1.6, "color": BLUE},
        )
        ax.scatter(*foot, s=14, color=ORANGE, zorder=3)
    ax.scatter(0, 0, s=30, color="black")
    ax.annotate("$e_1$", (0.08, -0.02), va="center", fontsize=11)
    ax.set_title(r"Image of $e_2$ as $\mu$ (orange) circles $e_1$")
    return figure


class Quantiles(NamedTuple):
    cosine: Array  # at each score, from the package
    slope: Array  # its derivative in kappa, from the package
    probability: Array  # F(cosine; kappa) by quadrature, which is Phi(score)
    implicit: Array  # -(dF/dkappa) / p by quadrature


def cosine_quantiles(scores: Array, kappa: float, m: int) -> Quantiles:
    """Cosines and their derivatives from the package's draw, and the same by quadrature."""
    concentration = torch.full(scores.shape, kappa, dtype=torch.float64, requires_grad=True)
    loc = torch.zeros(m, dtype=torch.float64)
    loc[0] = 1
    # The noise in the direction is orthogonal to loc, so the first coordinate is the cosine.
    noise = torch.zeros(*scores.shape, m + 1, dtype=torch.float64)
    noise[..., 0], noise[..., 2] = torch.as_tensor(scores), 1
    w = VonMisesFisher(loc, concentration).rsample_from_noise(noise)[..., 0]
    (slope,) = torch.autograd.grad(w.sum(), concentration)
    # The package counts from mu outwards, so a large score is a large angle and a small cosine.
    cosine = w.detach().numpy()
    angle = np.arccos(cosine)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    theta = 0.5 * angle[:, None] * (nodes + 1)
    mass = cosine_density(np.cos(theta), kappa, m) * np.sin(theta)
    beyond = 0.5 * angle * (mass @ weights)
    # The derivative of log p in kappa is w - A. The mass above a cosine is 1 - F, hence the sign.
    mean = bessel_ratio(0.5 * m - 1, torch.tensor(kappa, dtype=torch.float64)).item()
    rate = 0.5 * angle * ((mass * (np.cos(theta) - mean)) @ weights)
    return Quantiles(cosine, slope.numpy(), beyond, rate / cosine_density(cosine, kappa, m))


def draw_quantile() -> Figure:
    """The distribution function and its inverse, and the derivative at fixed noise."""
    figure, axes = new(1, 3, height=3.5)
    m, colours = 11, (BLUE, ORANGE, GREEN)
    scores = np.linspace(-3, 3, 121)
    probability = torch.special.ndtr(torch.as_tensor(scores)).numpy()
    for kappa, colour in zip((2.0, 10.0, 40.0), colours, strict=True):
        read = cosine_quantiles(scores, kappa, m)
        label = rf"$\kappa = {kappa:g}$"
        axes[0, 0].plot(read.cosine, 1 - probability, color=colour, label=label)
        axes[0, 1].plot(scores, np.log((1 - read.cosine) / (1 + read.cosine)), color=colour)
        axes[0, 2].plot(read.cosine, read.slope, color=colour)
        axes[0, 2].plot(read.cosine[::8], read.implicit[::8], "o", color=colour, ms=4)
        at = int(np.argmin(abs(scores + 0.5)))
        w = read.cosine[at]
        level = 1 - probability[at]
        axes[0, 0].plot([w, w], [0, level], ":", color=colour, lw=1.2)
    axes[0, 0].axhline(level, color="black", ls=":", lw=1.0)
    axes[0, 0].annotate("uniform number", (-0.72, level + 0.02), fontsize=8.5)
    axes[0, 0].set(xlabel="cosine $w$", ylabel=r"$F(w; \kappa)$", title="Uniform number to cosine")
    legend(axes[0, 0], loc="upper left", bbox_to_anchor=(0, 0.66))
    axes[0, 1].set(xlabel="normal score $u$", title=r"$2 \log \tan(\theta/2)$ against the score")
    axes[0, 2].set(
        xlabel="cosine $w$", title=r"$\partial w / \partial \kappa$; dots: $-F_\kappa / p$"
    )
    axes[0, 2].set_yscale("log")
    return figure


FIGURES = {
    "c_samples": draw_samples,
    "c_decomposition": draw_decomposition,
    "c_householder": draw_householder,
    "c_quantile": draw_quantile,
}
