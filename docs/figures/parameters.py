"""What parameters do to one and the same data: scikit-learn's handwritten digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from figures._style import BLUE, CLASSES, GREEN, ORANGE, legend, new
from skccvae import (
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
)

__all__ = ["FIGURES", "fitted", "histories", "reconstructions"]

Array = NDArray[np.float64]
N_TRAIN = 1300


def digits() -> tuple[Array, Array, NDArray[np.int64], NDArray[np.int64]]:
    """Training and held-out rows between 0 and 1, and their labels."""
    X, y = load_digits(return_X_y=True)
    return X[:N_TRAIN] / 16, X[N_TRAIN:] / 16, y[:N_TRAIN], y[N_TRAIN:]


def fitted(models: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Codes of held-out rows of some models, their mean ELBO and KL, and what neighbours know.

    Codes are in the tangent chart, whose distances from the origin are true.
    """
    train, test, y_train, y_test = digits()
    found = []
    for name, model in models.items():
        model.set_params(random_state=0, coordinates="tangent").fit(train)
        codes = model.transform(test)
        nearest = KNeighborsClassifier(5).fit(model.transform(train), y_train)
        means = model.evaluate(test)
        found.append(
            {
                "name": name,
                "codes": codes,
                "elbo": means["elbo"],
                "kl": means["kl"],
                "neighbours": nearest.score(codes, y_test),
                "labels": y_test,
            }
        )
    return found


def _maps(models: Mapping[str, Any], **settings: Any) -> Figure:
    rows = fitted({name: model.set_params(**settings) for name, model in models.items()})
    figure, axes = new(1, len(rows), height=9.0 / len(rows) + 0.75)
    for ax, row in zip(axes[0], rows, strict=True):
        for digit in range(10):
            own = row["codes"][row["labels"] == digit]
            ax.plot(*own.T, ".", markersize=4, color=CLASSES[digit], alpha=0.8, markeredgewidth=0)
            ax.text(*np.median(own, axis=0), str(digit), color=CLASSES[digit], fontweight="bold")
        edge = 1.05 * np.quantile(np.abs(row["codes"]), 0.995)
        ax.set(xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal")
        ax.tick_params(labelsize=8)
        ax.set_title(row["name"])
        text = f"ELBO {row['elbo']:.1f}, KL {row['kl']:.1f}\n5-NN {row['neighbours']:.2f}"
        ax.set_xlabel(text.replace("-", "\N{MINUS SIGN}", 1) if row["elbo"] < 0 else text)
    return figure


def draw_curvature(**settings: Any) -> Figure:
    """The same model at four curvatures."""
    models = {
        f"K = {K:g}".replace("-", "\N{MINUS SIGN}"): ConstantCurvatureVAETransformer(2, curvature=K)
        for K in (-4.0, -1.0, 0.0, 0.5)
    }
    return _maps(models, **settings)


def draw_beta(**settings: Any) -> Figure:
    """Four weights of the KL."""
    return _maps(
        {f"beta = {b:g}": GaussianVAETransformer(2, beta=b) for b in (0.1, 0.5, 1.0, 4.0)},
        **settings,
    )


def draw_scale(**settings: Any) -> Figure:
    """Posteriors with scales of their own, with one for all, and with given ones."""
    models = {
        f"posterior_scale = {s!r}": GaussianVAETransformer(2, posterior_scale=s)
        for s in ("free", "shared", 0.1, 1.0)
    }
    return _maps(models, **settings)


def draw_decoder_input(**settings: Any) -> Figure:
    """What the decoder reads of a hyperbolic plane."""
    models = {
        name: HyperbolicVAETransformer(2, decoder_input=name)
        for name in ("tangent", "coordinates", "gyroplane")
    }
    return _maps(models, **settings)


def reconstructions(dims: tuple[int, ...] = (1, 2, 5, 10, 30), **settings: Any) -> list[Array]:
    """Ten held-out digits, and what is left of them at each number of dimensions."""
    train, test, _, labels = digits()
    shown = test[[int(np.argmax(labels == digit)) for digit in range(10)]]
    found = [shown]
    for d in dims:
        model = GaussianVAETransformer(d, random_state=0, **settings).fit(train)
        found.append(model.inverse_transform(model.transform(shown)))
    return found


def draw_dimension(dims: tuple[int, ...] = (1, 2, 5, 10, 30), **settings: Any) -> Figure:
    """Digits and their reconstructions."""
    rows = reconstructions(dims, **settings)
    figure, axes = new(len(rows), 10, height=9.0 * len(rows) / 10 + 0.2)
    for line, images, name in zip(axes, rows, ["rows", *(f"d = {d}" for d in dims)], strict=True):
        for ax, image in zip(line, images, strict=True):
            ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        line[0].set_ylabel(name)
    return figure


def histories(epochs: int = 60) -> dict[str, dict[str, list[float]]]:
    """Histories of three starts."""
    train, *_ = digits()
    starts = {
        "start at components": {"init": "pca"},
        "random, with warm-up": {"init": "random"},
        "random, without": {"init": "random", "kl_warmup_epochs": 0},
    }
    return {
        name: GaussianVAETransformer(10, max_epochs=epochs, random_state=0, **options)
        .fit(train)
        .history_
        for name, options in starts.items()
    }


def draw_warmup(epochs: int = 60) -> Figure:
    """ELBO and KL by epoch, for three starts."""
    figure, axes = new(1, 2, height=3.2)
    found = histories(epochs)
    for (name, history), colour in zip(found.items(), (BLUE, ORANGE, GREEN), strict=True):
        for ax, key in zip(axes[0], ("elbo", "kl"), strict=True):
            ax.plot(np.arange(1, epochs + 1), history[key], color=colour, label=name)
    axes[0, 0].set(title="ELBO of the training rows", xlabel="epoch", ylabel="nats")
    last = [history["elbo"][-1] for history in found.values()]
    axes[0, 0].set_ylim(min(last) - 40, max(last) + 5)
    axes[0, 1].set(title="KL", xlabel="epoch", ylabel="nats")
    legend(axes[0, 0], loc="lower right")
    return figure


FIGURES = {
    "p_curvature": draw_curvature,
    "p_dimension": draw_dimension,
    "p_beta": draw_beta,
    "p_warmup": draw_warmup,
    "p_scale": draw_scale,
    "p_decoder_input": draw_decoder_input,
}
