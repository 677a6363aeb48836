"""Scatter plots of embedded rows in their latent space."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from skccvae._array_api import as_numpy
from skccvae.manifolds import ConstantCurvature, Manifold, Product
from skccvae.plotting import _maps as maps
from skccvae.plotting._model import ambient_points, find_model
from skccvae.plotting._panels import draw_map, map_of, title_of
from skccvae.plotting._style import (
    COLOUR_MAP,
    COLOURS,
    UNLABELLED,
    as_labels,
    class_style,
    colour_values,
    make_axes,
    merge_style,
    text_outline,
)

Places = NDArray[np.float64]

KINDS = ("auto", "plane", "hammer", "3d", "disk")
# Arguments of scatter that may have an entry for each point.
_PER_POINT = {"s", "c", "color", "alpha", "linewidth", "edgecolor", "facecolor"}
# Number of rows of a class from which the position of its name is computed.
_LABEL_ROWS = 400


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
        Classes or numbers that colour the points. Those of missing labels (NaN, None,
        ``pandas.NA``) and infinite numbers are grey.

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
        If points are not in the space, or y has another length or holds dates or mixed kinds.

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
        array = np.array(as_numpy(points), dtype=np.float64)  # a copy
        if array.ndim != 2 or len(array) == 0:
            raise ValueError(f"points must be a non-empty 2-D array; got shape {array.shape}.")
        self.points = np.asarray(manifold.from_chart(torch.from_numpy(array), "ambient").numpy())
        self.manifold = manifold
        self.y = as_labels(y, len(array))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
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
        estimator : estimator
            A fitted transformer of skccvae, a Pipeline with one as a step (later steps are not
            used), or a fitted search over either.
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in ``fit``.
        y : array-like of shape (n_samples,), default=None
            Classes or numbers that colour the points, grey where they are missing.
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
            If the estimator is not fitted.
        TypeError
            If there is no transformer of skccvae in it.

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
        manifold = find_model(estimator)[0].manifold_
        return cls(ambient_points(estimator, X), manifold, y=y).plot(
            ax, kind=kind, dims=dims, **kwargs
        )

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
        names: Any = None
        values: Any = None
        if self.y is not None:
            names, values = colour_values(self.y)
        if class_labels == "auto":
            short = names is not None and all(len(str(name)) <= 3 for name in names)
            class_labels = "map" if short else "legend"
        self.places_, self.colorbar_ = [], None
        drawn = None
        for panel, (space, points), name in zip(axes, panels, kinds, strict=True):
            places = draw_map(panel, space, points, name)
            self.places_.append(places)
            drawn = self._scatter(panel, places, names, values, kwargs)
            if class_labels == "map" and names is not None and name != "3d":
                self._name_classes(panel, space, points, places, names, values)
            panel.set_title(title_of(space, name, product), fontsize=13)
            if name in ("plane", "hammer", "disk", "circle"):
                panel.set_anchor("N")  # aligns the titles of panels side by side
        if values is not None and names is None:
            bar = self.figure_.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02, panchor=False)
            self.colorbar_ = bar
            bar.solids.set_alpha(1)
        elif names is not None and (
            class_labels == "legend" or class_labels == "map" and "3d" in kinds
        ):
            self._legend(axes[-1], names, unlabelled=bool(np.isnan(values).any()))
        self.ax_ = np.array(axes, dtype=object) if product else axes[0]
        return self

    def _parts(self) -> list[tuple[ConstantCurvature, NDArray[np.float64]]]:
        """Each factor of the space and the points in it."""
        parts = self.manifold.split(torch.from_numpy(self.points))
        return [(f, p.numpy()) for f, p in zip(self.manifold.factors, parts, strict=True)]

    def _scatter(
        self, ax: Any, places: Places, names: Any, values: Any, kwargs: dict[str, Any]
    ) -> Any:
        from matplotlib.collections import PathCollection
        from matplotlib.colors import Normalize

        # Hundreds of points or tens of thousands should both remain distinguishable.
        size = float(np.clip(18000 / len(places), 4, 24))
        style: dict[str, Any] = {"s": size, "alpha": 0.75, "linewidth": 0, "zorder": 2}
        if values is not None and names is None:
            # One scale of colours for all panels, whichever points these show.
            style |= {"cmap": COLOUR_MAP, "vmin": np.nanmin(values), "vmax": np.nanmax(values)}
            if isinstance(kwargs.get("norm"), Normalize):
                kwargs["norm"].autoscale_None(values[~np.isnan(values)])
        style = merge_style(style, kwargs, PathCollection)
        # In random order, so that the last class does not cover the others.
        order = np.random.default_rng(0).permutation(len(places))
        if places.shape[1] == 2:
            return _scatter_rows(ax, places, order, names, values, style)
        # Points on the far side of the globe are faint.
        near = places[order] @ maps.direction(ax.elev, ax.azim) > 0
        faint = np.multiply(0.15, 1.0 if style["alpha"] is None else style["alpha"])
        far = style | {"alpha": faint, "zorder": 1, "depthshade": False}
        _scatter_rows(ax, places, order[~near], names, values, far)
        near_style = {"depthshade": False} | style
        return _scatter_rows(ax, places, order[near], names, values, near_style)

    def _name_classes(
        self, ax: Any, space: ConstantCurvature, points: Any, places: Any, names: Any, values: Any
    ) -> None:
        """Write the name of each class where it is densest in geodesic distance."""
        for index, name in enumerate(names):
            own = np.flatnonzero(values == index)
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

    def _legend(self, ax: Any, names: Any, unlabelled: bool) -> None:
        from matplotlib.lines import Line2D

        looks = [(str(name), class_style(index)) for index, name in enumerate(names)]
        looks += [("no label", UNLABELLED)] * unlabelled
        handles = [
            Line2D([], [], linestyle="", markersize=7, label=name, **look) for name, look in looks
        ]
        ax.legend(
            handles=handles,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            fontsize=11,
            ncols=1 + (len(looks) - 1) // 12,
            handletextpad=0.2,
        )


def _scatter_rows(
    ax: Any, places: Places, rows: Any, names: Any, values: Any, style: dict[str, Any]
) -> Any:
    """Draw some of the points: first those without label, then the others in their colours."""
    if values is None:
        return _draw(ax, places, rows, {"color": COLOURS[0]}, style)
    missing = np.isnan(values[rows])
    if missing.any():
        grey = {name: style[name] for name in style if name not in ("cmap", "norm", "vmin", "vmax")}
        _draw(ax, places, rows[missing], UNLABELLED, grey)
        rows = rows[~missing]
    if names is None:
        return _draw(ax, places, rows, {"c": values[rows]}, style)
    looks = [class_style(i) for i in range(len(names))]
    marks = np.array([looks[int(i)]["marker"] for i in values[rows]])
    drawn = None
    for marker in np.unique(marks).tolist():
        own = rows[marks == marker]
        colours = [looks[int(i)]["color"] for i in values[own]]
        drawn = _draw(ax, places, own, {"color": colours, "marker": marker}, style)
    return drawn


def _draw(ax: Any, places: Places, rows: Any, look: dict[str, Any], style: dict[str, Any]) -> Any:
    """Scatter rows; arguments with one entry for each place are taken at the rows."""
    from matplotlib.colors import is_color_like

    if {"c", "color"} & set(style):
        look = {name: look[name] for name in look if name not in ("c", "color")}
    for name in _PER_POINT & set(style):
        value = style[name]
        if np.ndim(value) and len(value) == len(places):
            if not ("color" in name and is_color_like(value)):
                each = list(value)
                style = style | {name: [each[row] for row in rows]}
    return ax.scatter(*places[rows].T, **look | style)
