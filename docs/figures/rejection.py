"""Rejection sampling of the cosine, and its gradient with and without the correction.

Wood (1994) draws a number e from a beta distribution, maps it to w = h(e, kappa) and accepts w with
a probability that depends on kappa. The gradient of E[f(w)] therefore has a part that runs through
h, and a part that runs through the acceptance (Naesseth et al., 2017, equation 5).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures._style import BLUE, GREEN, GREY, ORANGE, PURPLE, legend, new
from figures.draws import cosine_density
from skccvae.distributions import VonMisesFisher
from skccvae.special import bessel_ratio

__all__ = ["FIGURES", "Estimate", "accepted_share", "estimates", "exact_slopes", "propose"]

Array = NDArray[np.float64]


def shape_of(kappa: torch.Tensor, m: int) -> torch.Tensor:
    """Wood's b, which fits the proposals to the concentration."""
    return (torch.sqrt(4 * kappa**2 + (m - 1) ** 2) - 2 * kappa) / (m - 1)


def switched_shape(kappa: torch.Tensor, m: int) -> torch.Tensor:
    """Wood's b up to kappa = 10, its limit for large kappa from 11 upwards, and a blend between."""
    share = (kappa - 10).clamp(0, 1)
    return share * (m - 1) / (4 * kappa) + (1 - share) * shape_of(kappa, m)


def cosine_of(e: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The map h from a beta number to a proposed cosine, for the shape b at kappa."""
    return (1 - (1 + b) * e) / (1 - (1 - b) * e)


def log_acceptance(w: torch.Tensor, kappa: torch.Tensor, m: int, b: torch.Tensor) -> torch.Tensor:
    """Logarithm of the probability that a proposal is accepted."""
    x = (1 - b) / (1 + b)
    return kappa * (w - x) + (m - 1) * torch.log((1 - x * w) / (1 - x * x))


class Proposals(NamedTuple):
    e: Array  # the beta numbers
    cosine: Array  # the proposals h(e, kappa)
    height: Array  # the uniform numbers that decide
    accepted: NDArray[np.bool_]


def propose(kappa: float, m: int, *, n_proposals: int, seed: int) -> Proposals:
    """One round of Wood's algorithm for many proposals at once."""
    rng = np.random.default_rng(seed)
    e = rng.beta(0.5 * (m - 1), 0.5 * (m - 1), n_proposals)
    height = rng.uniform(size=n_proposals)
    k = torch.tensor(kappa, dtype=torch.float64)
    b = shape_of(k, m)
    w = cosine_of(torch.as_tensor(e), b)
    chance = log_acceptance(w, k, m, b).exp().numpy()
    return Proposals(e, w.numpy(), height, height < chance)


def _angles(n: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """Midpoints of n equal angles and their weights, for integrals over e = sin(t / 2)^2."""
    t = (torch.arange(n, dtype=torch.float64) + 0.5) * math.pi / n
    return t, torch.full_like(t, math.pi / n)


def _beta_weights(m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes e and weights of the beta law with both parameters (m - 1) / 2."""
    t, weight = _angles()
    weight = weight * torch.sin(t) ** (m - 2)
    return torch.sin(t / 2) ** 2, weight / weight.sum()


def accepted_share(kappa: float, m: int) -> float:
    """Probability that a proposal is accepted, by quadrature."""
    e, weight = _beta_weights(m)
    k = torch.tensor(kappa, dtype=torch.float64)
    b = shape_of(k, m)
    return float((weight * log_acceptance(cosine_of(e, b), k, m, b).exp()).sum())


def pathwise_and_correction(
    e: torch.Tensor, kappa: float, m: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The two parts of d E[w] / d kappa at accepted beta numbers.

    The first is dh/dkappa, which automatic differentiation returns. The second is w times the
    derivative of log(q(w; kappa) |dh/de|). This is the log-density of the accepted numbers e up to
    the density of the beta law, which does not depend on kappa.
    """
    k = torch.full_like(e, kappa, requires_grad=True)
    b = shape_of(k, m)
    w = cosine_of(e, b)
    (pathwise,) = torch.autograd.grad(w.sum(), k, retain_graph=True)
    # 1 - w^2 = 4 b e (1 - e) / (1 - (1 - b) e)^2 and |dh/de| = 2 b / (1 - (1 - b) e)^2
    log_q = k * w + 0.5 * (m - 3) * (torch.log(b) - 2 * torch.log(1 - (1 - b) * e))
    log_slope = torch.log(b) - 2 * torch.log(1 - (1 - b) * e)
    (score,) = torch.autograd.grad((log_q + log_slope).sum(), k)
    mean = bessel_ratio(0.5 * m - 1, torch.tensor(kappa, dtype=torch.float64))
    return pathwise, w.detach() * (score - mean)


class Slopes(NamedTuple):
    exact: float  # A'(kappa), from the Bessel functions
    naive: float  # the mean of dh/dkappa over accepted draws, by quadrature
    corrected: float  # with the correction term, by quadrature
    switched: float  # as the naive value, with the switched shape


def exact_slopes(kappa: float, m: int) -> Slopes:
    """d E[w] / d kappa, and the means to which the two estimators tend."""
    k = torch.tensor(kappa, dtype=torch.float64, requires_grad=True)
    (exact,) = torch.autograd.grad(bessel_ratio(0.5 * m - 1, k), k)
    e, weight = _beta_weights(m)
    wood, switched = shape_of(k, m), switched_shape(k, m)
    (slope,) = torch.autograd.grad(switched, k)
    pathwise, correction = pathwise_and_correction(e, kappa, m)
    k = k.detach()

    def mean(values: torch.Tensor, b: torch.Tensor) -> float:
        """Mean over the accepted numbers."""
        share = weight * log_acceptance(cosine_of(e, b), k, m, b).clamp(max=0).exp()
        return float((share * values).sum() / share.sum())

    naive, b = mean(pathwise, wood.detach()), switched.detach()
    through_switch = slope * 2 * e * (e - 1) / (1 - (1 - b) * e) ** 2  # dh/db, times db/dkappa
    return Slopes(
        float(exact), naive, naive + mean(correction, wood.detach()), mean(through_switch, b)
    )


class Estimate(NamedTuple):
    mean: float
    error: float  # standard error of the mean
    deviation: float  # standard deviation of one draw's gradient


def estimates(kappa: float, m: int, *, n_draws: int, seed: int) -> dict[str, Estimate]:
    """Monte Carlo estimates of d E[w] / d kappa: naive, corrected, and the package's."""
    proposals = propose(kappa, m, n_proposals=n_draws, seed=seed)
    e = torch.as_tensor(proposals.e[proposals.accepted])
    pathwise, correction = pathwise_and_correction(e, kappa, m)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        concentration = torch.full((len(e),), kappa, dtype=torch.float64, requires_grad=True)
        loc = torch.zeros(m, dtype=torch.float64)
        loc[0] = 1
        w = VonMisesFisher(loc, concentration).rsample()[..., 0]
        (implicit,) = torch.autograd.grad(w.sum(), concentration)
    found = {"naive": pathwise, "corrected": pathwise + correction, "quantile": implicit}
    result = {}
    for name, values in found.items():
        deviation = float(values.std())
        result[name] = Estimate(float(values.mean()), deviation / math.sqrt(len(e)), deviation)
    return result


def draw_rejection(*, n_proposals: int = 1500, seed: int = 0) -> Figure:
    """Beta numbers, their cosines, and those that are accepted."""
    figure, axes = new(1, 3, height=3.5)
    m, kappa = 5, 5.0
    found = propose(kappa, m, n_proposals=n_proposals, seed=seed)
    grid = np.linspace(-1, 1, 401)[1:-1]
    k = torch.tensor(kappa, dtype=torch.float64)
    e = torch.linspace(0, 1, 401, dtype=torch.float64)
    ax = axes[0, 0]
    ax.plot(e, cosine_of(e, shape_of(k, m)), color=GREY)
    for number in found.e[:12]:
        w = float(cosine_of(torch.tensor(number), shape_of(k, m)))
        ax.plot([number, number, 0], [-1, w, w], color=BLUE, lw=0.7)
    ax.set(
        xlabel=r"$\epsilon$ from a beta distribution",
        ylabel="proposed cosine $w$",
        title="1. Propose",
    )
    ax.set(xlim=(0, 1), ylim=(-1, 1))
    ax = axes[0, 1]
    for keep, colour, label in ((True, BLUE, "accepted"), (False, ORANGE, "rejected")):
        here = found.accepted == keep
        ax.scatter(
            found.cosine[here], found.height[here], s=5, color=colour, linewidths=0, label=label
        )
    chance = log_acceptance(torch.as_tensor(grid), k, m, shape_of(k, m)).exp()
    ax.plot(grid, chance, color="black", label="P(accept $w$)")
    ax.set(xlabel="proposed cosine $w$", ylabel="uniform number", title="2. Decide")
    ax.set(xlim=(-1, 1), ylim=(0, 1.45), yticks=[0, 0.5, 1])
    legend(ax, ncols=2, loc="upper center", handlelength=1.2, columnspacing=1.0)
    ax = axes[0, 2]
    edges = np.linspace(-1, 1, 26).tolist()
    width = edges[1] - edges[0]
    share = 1 / (n_proposals * width)
    for values, colour in ((found.cosine, ORANGE), (found.cosine[found.accepted], BLUE)):
        ax.hist(values, edges, weights=np.full(len(values), share), color=colour, alpha=0.75)
    target = accepted_share(kappa, m) * cosine_density(grid, kappa, m)
    ax.plot(grid, target, color="black")
    ax.set(xlabel="cosine $w$", title="3. Keep the accepted ones", ylabel="density of proposals")
    return figure


def draw_gradient(*, n_draws: int = 20000, n_curve: int = 60, seed: int = 0) -> Figure:
    """Bias of the naive gradient against kappa, with estimates and their standard deviations."""
    figure, axes = new(2, 3, height=6.2)
    curve = np.geomspace(0.5, 200, n_curve)
    at = np.geomspace(0.6, 160, 9)
    styles = {"naive": ("o", ORANGE), "corrected": ("s", BLUE), "quantile": ("^", GREEN)}
    for column, m in enumerate((2, 11, 41)):
        exact, naive, _, _ = np.array([exact_slopes(kappa, m) for kappa in curve]).T
        found = [estimates(kappa, m, n_draws=n_draws, seed=seed + i) for i, kappa in enumerate(at)]
        truth = np.array([exact_slopes(kappa, m).exact for kappa in at])
        ax = axes[0, column]
        ax.plot(curve, np.ones_like(curve), color="black", label="exact")
        ax.plot(curve, naive / exact, color=ORANGE, label="naive (mean)")
        for shift, (name, (marker, colour)) in zip((0.97, 1.0, 1.03), styles.items(), strict=True):
            mean = np.array([one[name].mean for one in found]) / truth
            error = 2 * np.array([one[name].error for one in found]) / truth
            ax.errorbar(at * shift, mean, error, fmt=marker, color=colour, ms=4, lw=1, label=name)
            if column != 1:
                deviation = np.array([one[name].deviation for one in found]) / truth
                below = axes[1, 1 + column // 2]
                below.plot(at, deviation, marker=marker, color=colour, ms=4, lw=1, label=name)
                below.set(xscale="log", title=f"standard deviation, $m = {m}$")
        ax.set(xscale="log", ylim=(0.45, 1.08), title=f"gradient / exact, $m = {m}$")
    ax = axes[1, 0]
    fine = np.sort(np.concatenate([np.geomspace(1, 200, n_curve), [9.999, 10.001, 10.999, 11.001]]))
    for m, colour in ((11, GREY), (21, BLUE), (41, PURPLE)):
        pairs = [exact_slopes(kappa, m) for kappa in fine]
        ax.plot(
            fine, [pair.switched / pair.exact for pair in pairs], color=colour, label=f"$m = {m}$"
        )
    ax.set(xscale="log", title=r"gradient / exact, $b$ switched")
    for ax in axes[1, 1:]:
        ax.set_ylim(bottom=0)
    for ax in axes[1]:
        ax.set_xlabel(r"concentration $\kappa$")
        legend(ax, loc="upper left" if ax is axes[1, 2] else "lower right")
    legend(axes[0, 2], loc="lower right")
    return figure


FIGURES = {"c_rejection": draw_rejection, "c_gradient": draw_gradient}
