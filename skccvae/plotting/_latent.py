"""Scatter plots of embedded rows in their latent space."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from skccvae.manifolds import ConstantCurvature, Manifold, Product
from skccvae.plotting import _maps as maps
from skccvae.plotting._panels import draw_map, map_of, title_of
from skccvae.plotting._style import (
    COLOUR_MAP,
    COLOURS,
    as_labels,
    class_style,
    is_classes,
    make_axes,
    text_outline,
)

KINDS = ("auto", "plane", "hammer", "3d", "disk")
# Number of rows of a class from which the position of its name is computed.
_LABEL_ROWS = 400


def ambient_points(vae: Any, X: Any) -> NDArray[np.float64]:
    """Embed the rows of X, as ambient points of ``vae.manifold_`` in float64."""
    check_is_fitted(vae)
    if not isinstance(getattr(vae, "manifold_", None), Manifold):
        raise TypeError(
            "Expected a fitted transformer of skccvae, with an attribute manifold_; got "
            f"{type(vae).__name__}. For a Pipeline, pass its step, such as pipeline['vae']."
        )
    Z = torch.from_numpy(np.array(vae.transform(X), dtype=np.float64))
    return np.asarray(vae.manifold_.from_chart(Z, vae.coordinates).numpy())


class LatentDisplay:
    """Points of a latent space of constant curvature, on a map that suits its geometry.

    A plane has rings at round distances from the origin. A sphere is shown in Hammer's equal-area
    projection or as a globe. A hyperbolic plane is shown as the Poincare disk, which preserves
    angles, with a grid of geodesics (solid) and circles of equal distance from the origin (dashed).
    The factors of a product are side by side. A one-dimensional factor is a line or a circle, with
    the points spread across its width.

    Use :meth:`from_estimator` to make a display from a fitted model.

    Parameters
    ----------
    points : array-like of shape (n_points, ambient_dim)
        Ambient points.
    manifold : Manifold
        Space of the points.
    y : array-like of shape (n_points,), default=None
        Classes or numbers that colour the points.

    Attributes
    ----------
    ax_ : matplotlib Axes or ndarray of Axes
        The axes; for a product, an array with one axes per factor.
    figure_ : matplotlib Figure
        The figure of the axes.
    colorbar_ : matplotlib Colorbar or None
        The colour bar, if y holds numbers.
    places_ : list of ndarray of shape (n_points, 2) or (n_points, 3)
        For each panel, the coordinates of the points in its axes.

    Raises
    ------
    ValueError
        If points are not in the space or y has another length.

    See Also
    --------
    ManifoldGridDisplay : Decoded images on the same maps.

    Notes
    -----
    A sphere has no natural north pole, so the map is rotated to keep points away from its edge.

    If all points are in the inner half of the Poincare disk, the plot shows only that half.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skccvae.manifolds import Hyperbolic
    >>> from skccvae.plotting import LatentDisplay
    >>> space = Hyperbolic(2)
    >>> u = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> display = LatentDisplay(space.exp0(u), space, y=[0, 1, 1]).plot()
    >>> display.places_[0].round(3).tolist()  # tanh(r/2) from the middle of the disk
    [[0.0, 0.0], [0.462, 0.0], [0.0, 0.762]]
    """

    def __init__(
        self, points: ArrayLike, manifold: Manifold, *, y: ArrayLike | None = None
    ) -> None:
        if not isinstance(manifold, Manifold):
            raise TypeError(
                f"manifold must be a space of skccvae.manifolds; got {type(manifold).__name__}."
            )
        array = np.array(np.asarray(points), dtype=np.float64)  # torch tensors too; a copy
        if array.ndim != 2 or len(array) == 0:
            raise ValueError(f"points must be a non-empty 2-D array; got shape {array.shape}.")
        self.points = np.asarray(manifold.from_chart(torch.from_numpy(array), "ambient").numpy())
        self.manifold = manifold
        self.y = as_labels(y, len(array))

    @classmethod
    def from_estimator(
        cls,
        vae: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        kind: str = "auto",
        dims: tuple[int, int] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> LatentDisplay:
        """Embed X and draw the points.

        Parameters
        ----------
        vae : estimator
            A fitted transformer of skccvae.
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in ``fit``.
        y : array-like of shape (n_samples,), default=None
            Classes or numbers that colour the points.
        kind : {"auto", "plane", "hammer", "3d", "disk"}, default="auto"
            See :meth:`plot`.
        dims : tuple of two int, default=None
            See :meth:`plot`.
        ax : matplotlib Axes or sequence of Axes, default=None
            See :meth:`plot`.
        **kwargs : dict
            Other arguments of :meth:`plot`.

        Returns
        -------
        LatentDisplay

        Raises
        ------
        ValueError
            If the space has more than two dimensions and dims is None.
        NotFittedError
            If vae is not fitted.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from sklearn.datasets import load_digits
        >>> from skccvae import SphericalVAETransformer
        >>> from skccvae.plotting import LatentDisplay
        >>> X, y = load_digits(return_X_y=True)
        >>> vae = SphericalVAETransformer(2, max_epochs=1, random_state=0).fit(X[:200] / 16)
        >>> display = LatentDisplay.from_estimator(vae, X[:200] / 16, y[:200])
        >>> display.ax_.get_title()
        'Sphere (Hammer projection)'
        """
        points = ambient_points(vae, X)
        return cls(points, vae.manifold_, y=y).plot(ax, kind=kind, dims=dims, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        kind: str = "auto",
        dims: tuple[int, int] | None = None,
        class_labels: str = "auto",
        **kwargs: Any,
    ) -> LatentDisplay:
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, default=None
            Axes to draw on, one for each factor of a product. They must be 3-D axes for
            ``kind="3d"``, and ordinary axes otherwise. The default is a new figure.
        kind : {"auto", "plane", "hammer", "3d", "disk"}, default="auto"
            The map. ``"auto"`` is the plane for K = 0, Hammer's map for K > 0 and the disk for
            K < 0. In a product, ``"3d"`` applies to its spheres.
        dims : tuple of two int, default=None
            For a space of more than two dimensions: the two directions to draw. Each point is
            projected to the nearest point on the plane (great sphere, hyperbolic plane) through the
            origin along these directions.
        class_labels : {"auto", "map", "legend", "none"}, default="auto"
            Where to write the names of the classes: on the map, where each class is densest, or in
            a legend. ``"auto"`` writes short names on the map. 3-D axes always use a legend.
        **kwargs : dict
            Passed to ``scatter``, such as ``s=20`` or ``alpha=0.5``.

        Returns
        -------
        LatentDisplay
            The display itself.

        Raises
        ------
        ValueError
            If kind does not fit the space, the space has more than two dimensions and dims is
            None, or the number of axes differs from the number of factors.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}; got {kind!r}.")
        if class_labels not in ("auto", "map", "legend", "none"):
            raise ValueError(
                f"class_labels must be 'auto', 'map', 'legend' or 'none'; got {class_labels!r}."
            )
        panels = [maps.two_dimensional(*part, dims) for part in self._parts()]
        product = isinstance(self.manifold, Product)
        kinds = [map_of(space, kind, product) for space, _ in panels]
        self.figure_, axes = make_axes(
            ax,
            len(panels),
            panel_size=(4.0, 4.3),
            three_d=[k == "3d" for k in kinds],
            widths=[1.75 if k == "hammer" else 1.2 if k == "3d" else 1 for k in kinds],
        )
        names = None if self.y is None or not is_classes(self.y) else np.unique(self.y)
        if class_labels == "auto":
            short = names is not None and all(len(str(name)) <= 3 for name in names)
            class_labels = "map" if short else "legend"
        self.places_, self.colorbar_ = [], None
        drawn = None
        for panel, (space, points), name in zip(axes, panels, kinds, strict=True):
            places = draw_map(panel, space, points, name)
            self.places_.append(places)
            drawn = self._scatter(panel, places, names, kwargs)
            if class_labels == "map" and names is not None and name != "3d":
                self._name_classes(panel, space, points, places, names)
            panel.set_title(title_of(space, name, product), fontsize=13)
            if name in ("plane", "hammer", "disk", "circle"):
                panel.set_anchor("N")  # aligns the titles of panels side by side
        if self.y is not None and names is None:
            bar = self.figure_.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02, panchor=False)
            self.colorbar_ = bar
            bar.solids.set_alpha(1)
        elif names is not None and (
            class_labels == "legend" or class_labels == "map" and "3d" in kinds
        ):
            self._legend(axes[-1], names)
        self.ax_ = np.array(axes, dtype=object) if product else axes[0]
        return self

    def _parts(self) -> list[tuple[ConstantCurvature, NDArray[np.float64]]]:
        """Each factor of the space and the points in it."""
        parts = self.manifold.split(torch.from_numpy(self.points))
        return [(f, p.numpy()) for f, p in zip(self.manifold.factors, parts, strict=True)]

    def _scatter(
        self, ax: Any, places: NDArray[np.float64], names: Any, kwargs: dict[str, Any]
    ) -> Any:
        # Hundreds of points or tens of thousands should both remain distinguishable.
        size = float(np.clip(18000 / len(places), 4, 24))
        style = {"s": size, "alpha": 0.75, "linewidths": 0, "zorder": 2} | kwargs
        # In random order, so that the last class does not cover the others.
        order = np.random.default_rng(0).permutation(len(places))
        if places.shape[1] == 2:
            return self._scatter_rows(ax, places, order, names, style)
        # Points on the far side of the globe are faint.
        near = places[order] @ maps.direction(ax.elev, ax.azim) > 0
        far = style | {"alpha": 0.15 * float(style["alpha"]), "zorder": 1, "depthshade": False}
        self._scatter_rows(ax, places, order[~near], names, far)
        return self._scatter_rows(ax, places, order[near], names, {"depthshade": False} | style)

    def _scatter_rows(
        self, ax: Any, places: NDArray[np.float64], rows: Any, names: Any, style: dict[str, Any]
    ) -> Any:
        """Draw some of the points in the colours of y."""
        if self.y is None:
            own_colour = {} if {"c", "color"} & set(style) else {"color": COLOURS[0]}
            return ax.scatter(*places[rows].T, **own_colour | style)
        if names is None:
            scale = {"cmap": COLOUR_MAP, "vmin": self.y.min(), "vmax": self.y.max()}
            return ax.scatter(*places[rows].T, **{"c": self.y[rows]} | scale | style)
        codes = np.searchsorted(names, self.y[rows])
        looks = [class_style(i) for i in range(len(names))]
        colours = np.array([look["color"] for look in looks])
        marks = np.array([look["marker"] for look in looks])[codes]
        drawn = None
        for marker in np.unique(marks).tolist():
            own = marks == marker
            look = {"color": colours[codes[own]], "marker": marker}
            drawn = ax.scatter(*places[rows[own]].T, **look | style)
        return drawn

    def _name_classes(
        self, ax: Any, space: ConstantCurvature, points: Any, places: Any, names: Any
    ) -> None:
        """Write the name of each class where it is densest in geodesic distance."""
        assert self.y is not None
        for index, name in enumerate(names):
            own = np.flatnonzero(self.y == name)
            if len(own) > _LABEL_ROWS:
                own = own[np.linspace(0, len(own) - 1, _LABEL_ROWS).astype(int)]
            p = torch.from_numpy(points[own])
            ranked = np.sort(space.pairwise(p).numpy(), axis=1)
            ax.annotate(
                str(name),
                places[own[ranked[:, len(own) // 3].argmin()]],
                color=class_style(index)["color"],
                fontsize=17,
                fontweight="bold",
                ha="center",
                va="center",
                path_effects=text_outline(),
                zorder=3,
            )

    def _legend(self, ax: Any, names: Any) -> None:
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], linestyle="", markersize=7, label=str(name), **class_style(index))
            for index, name in enumerate(names)
        ]
        ax.legend(
            handles=handles,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            fontsize=11,
            ncols=1 + (len(names) - 1) // 12,
            handletextpad=0.2,
        )
