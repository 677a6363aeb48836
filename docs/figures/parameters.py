"""Guide: the effect of single parameters, on scikit-learn's digits and on a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from figures._drawing import disk
from figures._style import BLUE, CLASSES, GREEN, ORANGE, PURPLE, legend, new
from skccvae import (
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
)
from skccvae.datasets import make_branching_diffusion

__all__ = ["FIGURES", "digits", "fitted", "tree_by_input", "warmup_curves", "widths"]

Array = NDArray[np.float64]


def digits() -> tuple[Array, Array, Array]:
    """1200 digits for training, 597 held-out digits, and the labels of the latter."""
    X, y = load_digits(return_X_y=True)
    return X[:1200] / 16, X[1200:] / 16, y[1200:]


def fitted(make: Any, *args: Any, epochs: int | str = "auto", **settings: Any) -> dict[str, Any]:
    """A model of the digits, the codes of the held-out digits, and the results of `evaluate`."""
    train, held_out, labels = digits()
    model = make(*args, max_epochs=epochs, random_state=0, **settings).fit(train)
    codes = np.asarray(model.transform(held_out), dtype=float)
    return {"model": model, "codes": codes, "labels": labels, **model.evaluate(held_out)}


def warmup_curves(warmups: Sequence[int], epochs: int = 40) -> dict[int, dict[str, list[float]]]:
    """Training history of a six-dimensional model from a random start, by length of the warm-up."""
    train, _, _ = digits()
    found = {}
    for n in warmups:
        model = GaussianVAETransformer(
            6, init="random", kl_warmup_epochs=n, max_epochs=epochs, random_state=0
        )
        found[n] = model.fit(train).history_
    return found


def widths(posterior_scale: str | float, epochs: int | str = "auto") -> dict[str, Any]:
    """A flat model, with the means and scales of the posteriors of the held-out digits."""
    found = fitted(GaussianVAETransformer, posterior_scale=posterior_scale, epochs=epochs)
    law = found["model"].posterior_distribution(digits()[1])
    return {**found, "means": law.mean.numpy(), "scales": law.stddev.numpy()}


def tree_by_input(decoder_input: str, epochs: int = 60) -> dict[str, Any]:
    """Codes of a tree's nodes in the Poincaré disk, and the log-likelihood of those held out."""
    tree = make_branching_diffusion(random_state=0)
    test = np.random.default_rng(0).random(len(tree.data)) < 0.2
    model = HyperbolicVAETransformer(
        coordinates="stereographic",
        decoder_input=decoder_input,
        max_epochs=epochs,
        random_state=0,
    ).fit(tree.data[~test])
    codes = np.asarray(model.transform(tree.data), dtype=float)
    return {"codes": codes, "depth": tree.target, "score": model.score(tree.data[test])}


def _scatter(ax: Any, found: dict[str, Any], size: float = 3) -> None:
    for digit in range(10):
        own = found["codes"][found["labels"] == digit]
        look = {"markersize": size, "color": CLASSES[digit], "markeredgewidth": 0}
        ax.plot(*own[:, :2].T, ".", **look)
        ax.text(*np.median(own[:, :2], axis=0), str(digit), fontweight="bold")
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _number(value: float, digits_after: int = 1) -> str:
    return f"{value:.{digits_after}f}".replace("-", "\N{MINUS SIGN}")


def _edges(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    edge = 1.05 * max(np.pi, *(np.abs(row["codes"]).max() for row in rows))
    for ax in axes:
        ax.set(xlim=(-edge, edge), ylim=(-edge, edge))


def draw_curvature(**settings: Any) -> Figure:
    """The same digits in spaces of five curvatures, in the tangent chart and at equal scale."""
    figure, axes = new(1, 5, height=2.5)
    rows = []
    for ax, K in zip(axes[0], (-4.0, -1.0, 0.0, 1.0, 4.0), strict=True):
        rows.append(fitted(ConstantCurvatureVAETransformer, curvature=K, **settings))
        _scatter(ax, rows[-1])
        if K > 0:
            turn = np.linspace(0, 2 * np.pi, 181)
            far = np.pi / np.sqrt(K)
            ax.plot(far * np.cos(turn), far * np.sin(turn), color=ORANGE, linewidth=1)
        ax.set_title("K = " + _number(K, 0))
        ax.set_xlabel("log-likelihood " + _number(rows[-1]["log_likelihood"]))
    _edges(axes[0], rows)
    return figure


def draw_dimension(dims: Sequence[int] = (1, 2, 5, 10, 20, 40), **settings: Any) -> Figure:
    """Terms of the bound against d, and four digits as decoded by models with several d."""
    rows = [fitted(GaussianVAETransformer, d, **settings) for d in dims]
    figure, axes = new(1, 2, height=3.2, width_ratios=[1, 1.3])
    ax = axes[0, 0]
    for name, colour in [("log_likelihood", BLUE), ("elbo", GREEN), ("kl", ORANGE)]:
        label = {"elbo": "ELBO", "kl": "KL"}.get(name, "log-likelihood")
        ax.plot(dims, [row[name] for row in rows], "o-", color=colour, label=label)
    ax.set(xscale="log", xticks=list(dims), xlabel="dimensions d", ylabel="nats per held-out digit")
    ax.set_xticklabels([str(d) for d in dims])
    ax.minorticks_off()
    legend(ax)
    held_out = digits()[1]
    chosen = [int(np.flatnonzero(digits()[2] == digit)[0]) for digit in (0, 2, 4, 9)]
    tiles = [held_out[chosen]]
    tiles += [row["model"].inverse_transform(row["codes"][chosen]) for row in rows]
    padded = [np.pad(np.reshape(t, (-1, 8, 8)), ((0, 0), (1, 1), (1, 1))) for t in tiles]
    image = np.concatenate([np.concatenate(t) for t in padded], axis=1)
    axes[0, 1].imshow(image, cmap="gray_r", vmin=0, vmax=1)
    axes[0, 1].set_xticks(10 * np.arange(len(tiles)) + 4.5, ["digit", *[f"d = {d}" for d in dims]])
    axes[0, 1].set_yticks([])
    axes[0, 1].spines[:].set_visible(False)
    return figure


def draw_beta(**settings: Any) -> Figure:
    """Maps of the digits for five weights of the KL, at equal scale."""
    figure, axes = new(1, 5, height=2.6)
    rows = []
    for ax, beta in zip(axes[0], (0.1, 0.5, 1.0, 4.0, 16.0), strict=True):
        row = fitted(GaussianVAETransformer, prior_scale=1.0, beta=beta, **settings)
        rows.append(row)
        _scatter(ax, row)
        ax.set_title(f"beta = {beta:g}")
        ax.set_xlabel(f"KL {row['kl']:.1f}\nlog-lik. {_number(row['log_likelihood'])}")
    _edges(axes[0], rows)
    return figure


def draw_warmup(warmups: Sequence[int] = (0, 10, 30), epochs: int = 40) -> Figure:
    """KL and reconstruction by epoch."""
    figure, axes = new(1, 2, height=2.9)
    curves = warmup_curves(warmups, epochs)
    for (n, history), colour in zip(curves.items(), (BLUE, ORANGE, PURPLE), strict=False):
        for ax, name in zip(axes[0], ("kl", "elbo"), strict=True):
            label = f"warm-up over {n} epochs" if n else "no warm-up"
            ax.plot(history["epoch"], history[name], color=colour, label=label)
    axes[0, 0].set(xlabel="epoch", ylabel="KL, nats per digit", title="KL")
    axes[0, 1].set(xlabel="epoch", ylabel="nats per digit", title="ELBO with the full KL")
    legend(axes[0, 0])
    return figure


def draw_posterior_scale(**settings: Any) -> Figure:
    """Posteriors of 200 digits as ellipses of one standard deviation."""
    figure, axes = new(1, 4, height=3.0)
    for ax, scale in zip(axes[0], ("free", "shared", 0.3, 1.0), strict=True):
        row = widths(scale, **settings)
        _scatter(ax, row, size=0)
        means, scales = row["means"][:200], row["scales"][:200]
        colours = [CLASSES[label] for label in row["labels"][:200]]
        clouds = EllipseCollection(
            2 * scales[:, 0],
            2 * scales[:, 1],
            np.zeros(len(scales)),
            units="xy",
            offsets=means,
            offset_transform=ax.transData,
            facecolors=colours,
            alpha=0.35,
        )
        ax.add_collection(clouds)
        ax.set_title(f'"{scale}"' if isinstance(scale, str) else f"{scale:g}")
        ax.set_xlabel(f"KL {row['kl']:.1f}\nlog-lik. {_number(row['log_likelihood'])}")
    return figure


def draw_decoder_input(**settings: Any) -> Figure:
    """Nodes of a tree in the disk, coloured by depth."""
    figure, axes = new(1, 3, height=3.7)
    for ax, name in zip(axes[0], ("coordinates", "tangent", "gyroplane"), strict=True):
        row = tree_by_input(name, **settings)
        disk(ax)
        ax.scatter(*row["codes"].T, c=row["depth"], s=5, cmap="viridis", linewidths=0)
        ax.set_title(f'"{name}"')
        ax.set_xlabel("log-likelihood " + _number(row["score"]))
    return figure


FIGURES = {
    "p_curvature": draw_curvature,
    "p_dimension": draw_dimension,
    "p_beta": draw_beta,
    "p_warmup": draw_warmup,
    "p_posterior_scale": draw_posterior_scale,
    "p_decoder_input": draw_decoder_input,
}
