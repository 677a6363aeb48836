"""Tutorial a: where decoders are trained. Three clusters and one latent number."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures._style import GREEN, GREY, ORANGE, legend, new
from skccvae import AutoencoderTransformer, GaussianVAETransformer

__all__ = ["FIGURES", "clusters", "far_share", "places"]

Array = NDArray[np.float64]
SPREAD = 0.15
#: A decoded point farther than this from every centre (four standard deviations) is unlike any row.
FAR = 4 * SPREAD


def clusters(n_rows: int = 900, seed: int = 0) -> tuple[Array, Array]:
    """Rows of three clusters in the plane, shape (n_rows, 2), and the centres, shape (3, 2)."""
    angles = np.radians([90, 210, 330])
    centres = 2 * np.column_stack([np.cos(angles), np.sin(angles)])
    noise = SPREAD * np.random.default_rng(seed).standard_normal((n_rows, 2))
    return centres[np.arange(n_rows) % 3] + noise, centres


def places(model: str, n_draws: int = 4000, epochs: int = 200, seed: int = 0) -> dict[str, Array]:
    """Fit one model and decode draws of its latent number.

    The draws of the VAE come from its prior. The autoencoder defines no distribution, so its draws
    come from a normal with the mean and the standard deviation of its codes.
    """
    X, centres = clusters()
    settings: dict[str, Any] = {
        "init": "random",
        "hidden_layer_sizes": (32, 32),
        "activation": "tanh",
        "learning_rate": 3e-3,
        "max_epochs": epochs,
        "random_state": seed,
        "likelihood": "isotropic_gaussian",
    }
    make = GaussianVAETransformer if model == "VAE" else AutoencoderTransformer
    fitted = make(1, **settings).fit(X.astype(np.float32))
    codes = fitted.transform(X.astype(np.float32))[:, 0].astype(float)
    centre, scale = (0.0, 1.0) if model == "VAE" else (codes.mean(), codes.std())
    z = np.sort(np.random.default_rng(seed).normal(centre, scale, n_draws))
    decoded = np.asarray(fitted.inverse_transform(z[:, None]), dtype=float)
    far = np.linalg.norm(decoded[:, None] - centres, axis=2).min(axis=1)
    return {"X": X, "codes": codes, "draws": z, "decoded": decoded, "distance": far}


def far_share(found: dict[str, Array]) -> float:
    """Share of the draws whose decoded point is far from all clusters."""
    return float(np.mean(found["distance"] > FAR))


def draw_holes(**settings: Any) -> Figure:
    """Decoded draws of both models, and how far they are from the data."""
    figure, axes = new(1, 3, height=3.2, width_ratios=[1, 1, 1.25])
    looks = [("autoencoder", ORANGE), ("VAE", GREEN)]
    for ax, (name, colour) in zip(axes[0], looks, strict=False):
        found = places(name, **settings)
        ax.plot(*found["X"].T, ".", color=GREY, markersize=2, label="data")
        step = max(1, len(found["draws"]) // 300)
        ax.plot(*found["decoded"][::step].T, "x", color=colour, markersize=4, label="decoded draws")
        ax.set(xlim=(-3, 3), ylim=(-2.2, 3.6), aspect="equal")
        ax.set_title(f"{name}: {100 * far_share(found):.0f} % of draws far off")
        legend(ax, loc="upper left")
        quantile = (np.arange(len(found["draws"])) + 0.5) / len(found["draws"])
        axes[0, 2].plot(quantile, found["distance"], color=colour, label=name)
    ax = axes[0, 2]
    ax.axhline(FAR, color="black", linestyle="--", linewidth=1)
    ax.text(0.0, FAR + 0.04, "far off", fontsize=9)
    ax.set(title="Distance of the decoded point", xlabel="share of the draws with a smaller code")
    ax.set(ylabel="distance to the nearest centre", ylim=(0, 2.5))
    legend(ax, loc="upper left", ncols=2)
    return figure


FIGURES = {"a_holes": draw_holes}
