"""Tutorial e: a torus and a cylinder are products, as are the latent spaces that fit them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures._style import new
from skccvae import GaussianVAETransformer, MixedCurvatureVAETransformer

__all__ = ["FIGURES", "Pictures", "fit", "kept", "pictures"]

Array = NDArray[np.float64]
SIDE = 10
PRODUCTS = {"torus": "2s1", "cylinder": "s1,e1"}


class Pictures(NamedTuple):
    """Pictures (n, SIDE * SIDE), and the crossings of their bars: across and up, shape (n,)."""

    X: NDArray[np.float32]
    across: Array
    up: Array


def pictures(kind: str, n_rows: int = 3000, seed: int = 0) -> Pictures:
    """Two crossing bars on pictures whose right edge continues at the left edge.

    On a torus, the upper edge also continues at the lower edge. On a cylinder, it does not, and
    `up` is between -3 and 3. `across` is an angle, and on a torus `up` is an angle as well.
    """
    generator = np.random.default_rng(seed)
    ring = np.arange(SIDE) * 2 * np.pi / SIDE
    across = generator.uniform(-np.pi, np.pi, n_rows)
    columns = np.exp(2 * (np.cos(ring - across[:, None]) - 1))
    if kind == "torus":
        up = generator.uniform(-np.pi, np.pi, n_rows)
        lines = np.exp(2 * (np.cos(ring - up[:, None]) - 1))
    else:
        up = generator.uniform(-3, 3, n_rows)
        lines = np.exp(-((np.linspace(-3.6, 3.6, SIDE) - up[:, None]) ** 2))
    X = columns[:, None, :] + 0.7 * lines[:, :, None]
    X = X + 0.05 * generator.standard_normal(X.shape)
    return Pictures(X.reshape(n_rows, -1).astype(np.float32), across, up)


def _distances(kind: str, rows: Pictures) -> Array:
    """True distances of the crossings, shape (n, n)."""

    def around(angles: Array) -> Array:
        apart = np.abs(angles[:, None] - angles)
        return np.minimum(apart, 2 * np.pi - apart)

    up = around(rows.up) if kind == "torus" else rows.up[:, None] - rows.up
    return np.hypot(around(rows.across), up)


def kept(kind: str, model: Any, rows: Pictures, n_neighbours: int = 10) -> float:
    """Share of the nearest crossings that are also among the nearest codes by geodesic distance."""
    near = []
    for distances in (_distances(kind, rows), model.geodesic_distances(model.transform(rows.X))):
        distances = np.array(distances, dtype=float)
        np.fill_diagonal(distances, np.inf)
        near.append(np.argsort(distances, axis=1)[:, :n_neighbours])
    return float(np.mean([len(set(a) & set(b)) for a, b in zip(*near, strict=True)])) / n_neighbours


def fit(
    kind: str, space: str, *, n_rows: int = 3000, epochs: int = 40, n_init: int = 12, seed: int = 0
) -> Any:
    """A VAE of a product, or of the plane if ``space="plane"``: the best of several random starts.

    A circle that is folded at the start stays folded, so a single start often fails.
    """
    settings: dict[str, Any] = {
        "init": "random",
        "n_init": n_init,
        "learning_rate": 2e-3,
        "max_epochs": epochs,
        "random_state": seed,
    }
    model = (
        GaussianVAETransformer(2, **settings)
        if space == "plane"
        else MixedCurvatureVAETransformer(space, **settings)
    )
    return model.fit(pictures(kind, n_rows).X)


def measure(kind: str, **settings: Any) -> dict[str, dict[str, float]]:
    """ELBO and `kept` of the product and the plane, on 1000 new pictures."""
    fresh = pictures(kind, 1000, seed=1)
    found = {}
    for space in (PRODUCTS[kind], "plane"):
        model = fit(kind, space, **settings)
        elbo = float(model.evaluate(fresh.X)["elbo"])
        found[space] = {"elbo": elbo, "kept": kept(kind, model, fresh)}
    return found


def surface(kind: str, Z: Array) -> Array:
    """Points in space (n, 3) for natural coordinates, with a ring for the first circle.

    The second circle is drawn as the tube of the torus, and the line as the height of the cylinder.
    """
    first = Z[:, :2]
    if kind == "torus":
        return np.column_stack([first * (1 + 0.42 * Z[:, 2:3]), 0.42 * Z[:, 3]])
    return np.column_stack([first, 1.2 * Z[:, 2] / np.abs(Z[:, 2]).max()])


def in_order(kind: str, Z: Array, across: Array) -> Array:
    """Natural coordinates. On a torus, the circle that follows `across` comes first.

    Two circles are interchangeable, and each has two directions. The random start decides between
    them.
    """
    if kind != "torus":
        return Z

    def agreement(circle: Array) -> float:
        code = circle[:, 0] + 1j * circle[:, 1]
        turns = np.exp(1j * across)
        return float(max(abs(np.mean(code * turns)), abs(np.mean(code * turns.conj()))))

    swap = agreement(Z[:, :2]) < agreement(Z[:, 2:])
    return Z[:, [2, 3, 0, 1]] if swap else Z


def _codes_of_factors(kind: str, Z: Array) -> tuple[Array, Array]:
    up = np.arctan2(Z[:, 3], Z[:, 2]) if kind == "torus" else Z[:, 2]
    return np.arctan2(Z[:, 1], Z[:, 0]), up


def draw_products(**settings: Any) -> Figure:
    """Pictures, the codes of each factor against the truth, and the codes on the surface."""
    figure, axes = new(2, 4, height=5.4, width_ratios=[1, 1, 1, 1.25])
    for line, (kind, signature) in zip(axes, PRODUCTS.items(), strict=True):
        rows = pictures(kind, 1000, seed=1)
        Z = np.asarray(fit(kind, signature, **settings).transform(rows.X), dtype=float)
        Z = in_order(kind, Z, rows.across)
        shown = rows.X[:9].reshape(3, 3, SIDE, SIDE)
        gap = np.full((3, 3, SIDE + 1, SIDE + 1), 1.0)
        gap[:, :, :SIDE, :SIDE] = 1 - 0.6 * shown
        line[0].imshow(
            gap.transpose(0, 2, 1, 3).reshape(3 * (SIDE + 1), -1), cmap="gray", vmin=0, vmax=1
        )
        line[0].set(xticks=[], yticks=[])
        line[0].set_title(f"{kind}: pictures")
        parts = zip(line[1:3], _codes_of_factors(kind, Z), (rows.across, rows.up), strict=True)
        for ax, code, truth in parts:
            ax.scatter(truth, code, s=3, c=rows.across, cmap="twilight_shifted", linewidth=0)
            ax.set(xlabel="position of the crossing", ylabel="code")
        line[1].set_title("horizontal: a circle")
        line[2].set_title("vertical: a circle" if kind == "torus" else "vertical: a line")
        place = line[3].get_subplotspec()
        line[3].remove()
        ax = figure.add_subplot(place, projection="3d")
        ax.scatter(*surface(kind, Z).T, s=4, c=rows.across, cmap="twilight_shifted", linewidth=0)
        ax.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), zlim=(-1.3, 1.3))
        ax.set_box_aspect((1, 1, 1), zoom=1.5)
        ax.view_init(elev=40, azim=-60)
        ax.set_axis_off()
        ax.set_title(f'codes, "{signature}"')
    return figure


FIGURES = {"e_products": draw_products}
