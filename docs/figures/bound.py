"""Tutorial a, one latent number: the posterior, the bound and the gradient of a draw."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch.distributions import Normal

from figures._style import BLUE, GREEN, GREY, ORANGE, PURPLE, legend, new

__all__ = ["FIGURES", "Toy", "bound", "gradients", "toy"]

Array = NDArray[np.float64]

#: The decoder of the toy model: the mean of x at z. It is curved, so the posterior is not normal.
OBSERVED, NOISE = 1.2, 0.35


def decoder(z: Array) -> Array:
    return 1.5 * np.tanh(1.2 * z) + 0.15 * z


class Toy(NamedTuple):
    """Distributions of the toy model on a grid of z, and log p(x)."""

    z: Array
    prior: Array
    likelihood: Array
    posterior: Array
    log_evidence: float


def _log_normal(x: Array, mean: Array | float, scale: float) -> Array:
    return -0.5 * ((x - mean) / scale) ** 2 - math.log(scale) - 0.5 * math.log(2 * math.pi)


def toy(x: float = OBSERVED) -> Toy:
    """Prior, likelihood and posterior of one latent number, given the observed number x.

    With a single number z, a grid is possible. So the integral over z, which is intractable in many
    dimensions, is a sum here.
    """
    z = np.linspace(-8, 8, 16001)
    prior = np.exp(_log_normal(z, 0.0, 1.0))
    likelihood = np.exp(_log_normal(np.full_like(z, x), decoder(z), NOISE))
    evidence = np.trapezoid(prior * likelihood, z)
    return Toy(z, prior, likelihood, prior * likelihood / evidence, math.log(evidence))


def bound(mean: float, scale: float, x: float = OBSERVED) -> dict[str, float]:
    """ELBO of q = N(mean, scale^2) in the toy model, its two terms, and KL(q, posterior)."""
    z, _, likelihood, posterior, log_evidence = toy(x)
    log_q = _log_normal(z, mean, scale)
    q = np.exp(log_q)
    reconstruction = float(np.trapezoid(q * np.log(likelihood), z))
    kl_prior = 0.5 * (mean**2 + scale**2 - 1 - math.log(scale**2))
    gap = float(np.trapezoid(q * (log_q - np.log(posterior)), z))
    return {
        "reconstruction": reconstruction,
        "kl_prior": kl_prior,
        "elbo": reconstruction - kl_prior,
        "gap": gap,
        "log_evidence": log_evidence,
    }


def best_normal(x: float = OBSERVED) -> tuple[float, float]:
    """Mean and scale of the normal with the largest ELBO."""
    from scipy.optimize import minimize

    found = minimize(
        lambda p: -bound(p[0], math.exp(p[1]), x)["elbo"],
        [1.0, -1.0],
        method="Nelder-Mead",
        options={"xatol": 1e-5, "fatol": 1e-10},
    )
    return float(found.x[0]), math.exp(found.x[1])


def gradients(
    dim: int = 1, n_draws: int = 20000, mean: float = 0.8, scale: float = 0.5, seed: int = 0
) -> dict[str, Any]:
    r"""For each draw, two estimates of d/d mean of E_q[log p(x | z)] in the toy model.

    With `dim` latent numbers, the log-likelihood is the sum of as many toy models. The derivative
    is that in the first mean. ``score`` is :math:`\log p(x \mid z)\, \partial \log q(z) / \partial
    \mu`, and ``pathwise`` is the derivative of :math:`\log p(x \mid \mu + \sigma \epsilon)`.
    ``exact`` is computed by quadrature.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n_draws, dim, dtype=torch.float64, generator=generator)
    mu = torch.full_like(noise, mean).requires_grad_()
    z = mu + scale * noise
    x = torch.tensor(OBSERVED, dtype=torch.float64)
    fit = Normal(1.5 * torch.tanh(1.2 * z) + 0.15 * z, NOISE).log_prob(x).sum(dim=1)
    (pathwise,) = torch.autograd.grad(fit.sum(), mu)
    step = 1e-4
    both = [bound(mean + sign * step, scale)["reconstruction"] for sign in (1, -1)]
    return {
        "pathwise": pathwise[:, 0].numpy(),
        "score": (fit.detach() * noise[:, 0] / scale).numpy(),
        "exact": (both[0] - both[1]) / (2 * step),
    }


def draw_posterior() -> Figure:
    """The posterior as the product of prior and likelihood, and the normal that fits it best."""
    z, prior, likelihood, posterior, _ = toy()
    mean, scale = best_normal()
    figure, axes = new(1, 3, height=2.9)
    ax = axes[0, 0]
    ax.plot(z, decoder(z), color=GREY)
    ax.fill_between(z, decoder(z) - NOISE, decoder(z) + NOISE, color="0.88")
    ax.axhline(OBSERVED, color=ORANGE, linestyle="--")
    ax.text(-2.9, OBSERVED + 0.1, "observed x = 1.2", color=ORANGE)
    ax.text(-2.9, -1.3, "decoder f(z),\nnoise ± s", color=GREY)
    ax.set(title="The model: x = f(z) + noise", xlabel="latent z", ylabel="x", ylim=(-2.4, 2.4))
    ax = axes[0, 1]
    ax.plot(z, prior, color=BLUE, label="prior p(z)")
    ax.plot(z, likelihood, color=ORANGE, label="likelihood p(x | z)")
    ax.plot(z, posterior, color="black", label="posterior p(z | x)")
    ax.set(title="Posterior ∝ prior × likelihood", xlabel="latent z", ylim=(0, 2.1))
    legend(ax, loc="upper left")
    ax = axes[0, 2]
    ax.plot(z, posterior, color="black", label="posterior p(z | x)")
    q = np.exp(_log_normal(z, mean, scale))
    ax.plot(z, q, color=GREEN, label=f"best normal q:\nμ = {mean:.2f}, σ = {scale:.2f}")
    ax.set(title="Its best normal approximation", xlabel="latent z", ylim=(0, 2.1))
    legend(ax, loc="upper left")
    for ax in axes[0]:
        ax.set_xlim(-3, 3)
    return figure


def draw_bound() -> Figure:
    """The ELBO as a function of q's mean and of its scale. It is log p(x) minus a KL divergence."""
    mean, scale = best_normal()
    figure, axes = new(1, 2, height=3.2)
    sweeps: list[tuple[str, Array, Callable[[float], dict[str, float]]]] = [
        ("mean μ of q", np.linspace(0.1, 2.1, 81), lambda t: bound(t, scale)),
        ("scale σ of q", np.linspace(0.08, 1.2, 81), lambda t: bound(mean, t)),
    ]
    for ax, (name, values, at) in zip(axes[0], sweeps, strict=True):
        rows = [at(t) for t in values]
        evidence = rows[0]["log_evidence"]
        elbo = np.array([row["elbo"] for row in rows])
        ax.axhline(evidence, color="black", linestyle="--")
        ax.plot(values, elbo, color=GREEN)
        ax.fill_between(values, elbo, evidence, color=GREEN, alpha=0.15, linewidth=0)
        ax.plot(values, [row["reconstruction"] for row in rows], color=ORANGE, linewidth=1.3)
        ax.plot(values, [-row["kl_prior"] for row in rows], color=BLUE, linewidth=1.3)
        ax.set(xlabel=name, ylim=(-4, 1.6))
    axes[0, 0].set(title="The bound as the mean of q varies", ylabel="nats")
    axes[0, 1].set_title("The bound as the scale of q varies")
    lines = axes[0, 0].lines
    names = ["log p(x)", "ELBO", "reconstruction term", "−KL(q, prior)"]
    legend(axes[0, 1], lines, names, loc="upper right", ncols=2)
    axes[0, 0].annotate(
        "gap = KL(q, posterior)", (0.55, -1.45), (0.85, -3.4), arrowprops={"arrowstyle": "-"}
    )
    return figure


def draw_gradient(n_draws: int = 200_000) -> Figure:
    """A draw as a function of μ at fixed noise, and the spread of two gradient estimates."""
    figure, axes = new(1, 2, height=3.2, width_ratios=[1, 1.15])
    ax = axes[0, 0]
    noise = Normal(0.0, 1.0).icdf(torch.linspace(0.06, 0.94, 9)).numpy()
    z = np.linspace(-1.5, 3.5, 401)
    for row, (mean, colour) in enumerate([(0.6, BLUE), (1.4, ORANGE)]):
        density = np.exp(_log_normal(z, mean, 0.5))
        ax.plot(z, 0.7 * density - row, color=colour)
        ax.plot(mean + 0.5 * noise, np.full(9, -float(row)), "o", color=colour, markersize=5)
        ax.text(3.4, 0.25 - row, f"μ = {mean}", color=colour, ha="right")
    for e in noise:
        arrow = {"arrowstyle": "->", "color": "0.6", "linewidth": 1}
        ax.annotate("", (1.4 + 0.5 * e, -0.94), (0.6 + 0.5 * e, -0.05), arrowprops=arrow)
    ax.set(title="z = μ + σ ε: ε is fixed, z moves", xlabel="latent z", yticks=[])
    ax.spines["left"].set_visible(False)
    ax = axes[0, 1]
    dims = [1, 2, 5, 10, 20, 50]
    found = [gradients(dim, n_draws) for dim in dims]
    for name, label, colour in [
        ("score", "log p(x | z) ∂ log q(z) / ∂μ: no path through z", PURPLE),
        ("pathwise", "∂ log p(x | μ + σε) / ∂μ: path through z", GREEN),
    ]:
        ax.loglog(dims, [row[name].std() for row in found], "o-", color=colour, label=label)
    ax.axhline(found[0]["exact"], color="black", linestyle="--", linewidth=1.2)
    ax.text(1, 0.8 * found[0]["exact"], f"the exact gradient: {found[0]['exact']:.2f}", va="top")
    ax.set(title="Spread of two gradient estimates", xlabel="number of latent dimensions")
    ax.set(ylabel="standard deviation, one draw", ylim=(1, 2000), xticks=dims)
    ax.set_xticks(dims, [str(dim) for dim in dims])
    ax.minorticks_off()
    legend(ax, loc="upper left")
    return figure


FIGURES = {
    "a_posterior": draw_posterior,
    "a_bound": draw_bound,
    "a_gradient": draw_gradient,
}
