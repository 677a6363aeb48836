"""The cost of concentration: the divergence, its Bessel functions, and a single scale."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch.distributions import kl_divergence

from figures._drawing import Camera, globe
from figures._style import BLUE, GREEN, GREY, ORANGE, legend, new
from skccvae.distributions import HypersphericalUniform, ProjectedNormal, VonMisesFisher
from skccvae.special import bessel_ratio, log_bessel_i, vmf_kl_uniform

__all__ = ["FIGURES", "Prices", "divergence", "log_bessel", "prices"]

Array = NDArray[np.float64]


class Limits(NamedTuple):
    exact: Array
    small: Array  # leading term for small kappa
    large: Array  # leading terms for large kappa


def divergence(kappa: Array, m: int) -> Limits:
    """KL of a von Mises-Fisher law from the uniform law, and its limits at both ends."""
    exact = vmf_kl_uniform(torch.as_tensor(kappa), m).numpy()
    half = 0.5 * (m - 1)
    constant = 0.5 * math.log(2 * math.pi) - (0.5 * m - 1) * math.log(2) - math.lgamma(0.5 * m)
    return Limits(exact, kappa**2 / (2 * m), half * (np.log(kappa) - 1) + constant)


def log_bessel(x: Array, order: float) -> Limits:
    """Logarithm of I_v, and its limits (DLMF 10.30.1 and 10.30.4)."""
    exact = log_bessel_i(order, torch.as_tensor(x)).numpy()
    small = order * np.log(x / 2) - math.lgamma(order + 1)
    return Limits(exact, small, x - 0.5 * np.log(2 * math.pi * x))


def ratio(x: Array, m: int) -> Limits:
    """Mean cosine A = I_{m/2} / I_{m/2 - 1}, and its limits."""
    exact = bessel_ratio(0.5 * m - 1, torch.as_tensor(x)).numpy()
    return Limits(exact, x / m, 1 - 0.5 * (m - 1) / x)


def draw_divergence(*, n_curve: int = 200) -> Figure:
    """KL, log I_v and the mean cosine over kappa, with their limits."""
    figure, axes = new(1, 3, height=3.9)
    kappa = np.geomspace(1e-2, 1e4, n_curve)
    for m, colour in ((3, ORANGE), (11, BLUE), (41, GREEN)):
        label = rf"$m = {m}$"
        for ax, found in zip(
            axes[0],
            (divergence(kappa, m), log_bessel(kappa, m / 2 - 1), ratio(kappa, m)),
            strict=True,
        ):
            ax.plot(kappa, found.exact, color=colour, label=label)
            ax.plot(kappa, found.small, ":", color=colour, lw=1.2)
            shown = np.where(kappa > m, found.large, np.nan)
            ax.plot(kappa, shown, "--", color=colour, lw=1.2)
    axes[0, 0].set(yscale="log", ylim=(1e-6, 1e3), title="KL from the uniform distribution, nats")
    smallest = math.log(torch.finfo(torch.float32).tiny)
    axes[0, 1].axhspan(-400, smallest, color=GREY, alpha=0.25, lw=0)
    axes[0, 1].annotate("beyond float32's range", (0.02, -170), fontsize=8.5)
    axes[0, 1].axhspan(-smallest, 400, color=GREY, alpha=0.25, lw=0)
    axes[0, 1].set(ylim=(-200, 200), title=r"$\log I_{m/2 - 1}(\kappa)$")
    axes[0, 2].set(ylim=(0, 1.1), title=r"mean cosine $A(\kappa)$")
    for ax in axes[0]:
        ax.set(xscale="log", xlabel=r"concentration $\kappa$")
    legend(axes[0, 0], loc="lower right")
    return figure


class Prices(NamedTuple):
    """KL of two laws that fix the first n_used of d = m - 1 directions to a given precision.

    Spreads are in units of the spread 1 / sqrt(m) that the uniform law has in every coordinate.
    """

    concentration: float
    von_mises_fisher: float  # KL in nats
    projected: float  # KL in nats
    projected_error: float  # its standard error
    gaussian: float  # KL of the Gaussian model with the same means and scales, an upper bound
    spread_von_mises_fisher: Array  # of each coordinate, estimated from draws
    spread_projected: Array


def prices(
    n_used: int, *, m: int = 41, precision: float = 0.3, n_draws: int = 4000, seed: int = 0
) -> Prices:
    """Compare a von Mises-Fisher law and a projected normal of equal spread in the used directions.

    The projected normal has standard deviation `precision` in the used coordinates and 1 in the
    others. Its means have size sqrt(1 - precision^2) in the used coordinates, so that the mean of
    |x|^2 is m as for the prior, and are 0 elsewhere. The concentration is the smallest at which
    draws have that spread in every coordinate orthogonal to the location.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loc = torch.zeros(m, dtype=torch.float64)
        loc[:n_used] = math.sqrt(1 - precision**2)
        scale = torch.ones(m, dtype=torch.float64)
        scale[:n_used] = precision
        projected = ProjectedNormal(loc, scale)
        noise = torch.randn(n_draws, m, dtype=torch.float64)
        z, kl = projected.rsample_with_kl(noise)
        gaussian = 0.5 * (loc**2 + scale**2 - 1 - 2 * scale.log()).sum()

        def spread(kappa: float) -> float:
            """Spread orthogonal to the location: sqrt(A / kappa), in units of 1 / sqrt(m)."""
            k = torch.tensor(kappa, dtype=torch.float64)
            return math.sqrt(m * float(bessel_ratio(0.5 * m - 1, k)) / kappa)

        low, high = 1e-3, 1e6
        for _ in range(60):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if spread(middle) > precision else (low, middle)
        round_law = VonMisesFisher(loc / loc.norm(), high)
        y = round_law.rsample((n_draws,))
    return Prices(
        high,
        float(kl_divergence(round_law, HypersphericalUniform(m))),
        float(kl.mean()),
        float(kl.std()) / math.sqrt(n_draws),
        float(gaussian),
        y.std(0).numpy() * math.sqrt(m),
        z.std(0).numpy() * math.sqrt(m),
    )


def draw_one_scale(*, n_draws: int = 4000, seed: int = 0) -> Figure:
    """A law on the sphere with a scale for each direction, and the cost of one scale for all 40."""
    figure, axes = new(1, 3, height=3.8, width_ratios=(1, 1.1, 1.1))
    camera = Camera(22, 25)
    globe(axes[0, 0], camera)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loc = torch.tensor([0.6, 1.8, 0.0], dtype=torch.float64)
        law = ProjectedNormal(loc, torch.tensor([0.15, 0.15, 1.0], dtype=torch.float64))
        stretched = law.rsample((400,)).numpy()
        mean = torch.tensor([0.75, 0.3, 0.59], dtype=torch.float64)
        rounded = VonMisesFisher(mean / mean.norm(), 60.0).rsample((400,)).numpy()
    camera.dots(axes[0, 0], stretched, s=6, color=GREEN)
    camera.dots(axes[0, 0], rounded, s=6, color=ORANGE)
    axes[0, 0].set_title("One scale, one per direction")
    used = np.array([2, 5, 10, 15, 20, 25, 30, 35, 40])
    found = [prices(int(k), n_draws=n_draws, seed=seed) for k in used]
    at_five = found[1]
    ax = axes[0, 1]
    index = np.arange(1, 42)
    ax.plot(
        index, at_five.spread_von_mises_fisher, "o", ms=4, color=ORANGE, label="von Mises-Fisher"
    )
    ax.plot(index, at_five.spread_projected, "^", ms=4, color=GREEN, label="projected normal")
    ax.axhline(1, color=GREY, lw=1, ls=":")
    ax.annotate("the prior", (30, 1.03), fontsize=8.5, color=GREY)
    ax.set(xlabel="coordinate", ylim=(0, 1.3), title="Spread relative to the prior")
    legend(ax, loc="center right")
    ax = axes[0, 2]
    ax.plot(used, [one.von_mises_fisher for one in found], "o-", color=ORANGE, ms=4)
    ax.plot(used, [one.projected for one in found], "^-", color=GREEN, ms=4)
    ax.plot(used, [one.gaussian for one in found], "--", color=BLUE, label="diagonal Gaussian")
    ax.set(xlabel="number of used directions", title="KL, nats ($m = 41$)", ylim=(0, None))
    legend(ax, loc="lower right")
    return figure


FIGURES = {"c_divergence": draw_divergence, "c_one_scale": draw_one_scale}
