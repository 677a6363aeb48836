"""Scatter plots of encoded rows in their latent space."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from skccvae._array_api import as_numpy
from skccvae._tables import as_frame
from skccvae.manifolds import ConstantCurvature, Manifold, Product
from skccvae.plotting import _maps as maps
from skccvae.plotting import _regions as regions
from skccvae.plotting._classes import draw_legend, where_to_name
from skccvae.plotting._interactive import InteractiveMap
from skccvae.plotting._latent_panel import Regions, draw_panel, regions_of
from skccvae.plotting._model import ambient_points, find_model, posterior_of
from skccvae.plotting._panels import check_view, map_of, title_of
from skccvae.plotting._style import as_labels, colour_values, make_axes, merge_style, order_of

KINDS = ("auto", "plane", "hammer", "3d", "disk")


class LatentDisplay(InteractiveMap):
    """Points of a latent space of constant curvature, on a map that suits its geometry.

    A plane has rings at round distances r from the origin. A sphere is shown in Hammer's equal-area
    projection or as a globe. A hyperbolic plane is shown as the Poincaré disk, which preserves
    angles, with a grid of geodesics (solid) and circles of equal distance r from the origin
    (dashed).
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
        Classes or numbers that colour the points. Points with a missing label (NaN, None,
        ``pandas.NA``) or an infinite number are grey. Classes of a
        pandas category dtype keep its order; others are sorted.
    posterior : torch Distribution, default=None
        Posteriors of some of the points, as ``posterior_distribution`` of an estimator returns
        them, for ``plot(uncertainty=True)``: batch shape (n_rows,), event shape (ambient_dim,).
        Distributions on the unit sphere are scaled to the sphere of the space.
    posterior_rows : array-like of shape (n_rows,), default=None
        Row numbers of these points. The default is all points.

    Attributes
    ----------
    ax_ : matplotlib Axes or ndarray of Axes
        The axes. For a product, an array with one axes per factor.
    figure_ : matplotlib Figure
        The figure of the axes.
    colorbar_ : matplotlib Colorbar or None
        The colour bar, if y holds numbers.
    places_ : list of ndarray of shape (n_points, 2) or (n_points, 3)
        For each panel, the coordinates of the points in its axes.
    regions_ : list of ndarray of shape (n_regions, n_steps, 2) or (n_regions, n_steps, 3)
        For each panel, the outlines of the regions in its axes. Empty without ``uncertainty``.

    Raises
    ------
    ValueError
        If points are not in the space, y has another length or holds dates or mixed kinds, or the
        posterior does not fit the points.

    See Also
    --------
    ManifoldGridDisplay : Decoded images on the same maps.

    Notes
    -----
    A sphere has no natural north pole. Its map, like the globe, turns the side with the points to
    the middle, or another way if that leaves fewer points near the edge of the map.

    If all points are in the inner half of the Poincaré disk, the plot shows only that half. A few
    points far from all others do not determine the scale. They are drawn as hollow markers at the
    edge of the map, and a note below the map states their number.

    Lines and text take their colours from matplotlib's settings, so that they suit dark backgrounds
    too.

    Examples
    --------
    >>> import torch
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
        self,
        points: ArrayLike,
        manifold: Manifold,
        *,
        y: ArrayLike | None = None,
        posterior: Any = None,
        posterior_rows: ArrayLike | None = None,
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
        self._order = order_of(as_frame(y, "y"))
        self.posterior, self.posterior_rows = posterior, posterior_rows
        if posterior is not None:
            self.posterior_rows = regions.check_posterior(posterior, posterior_rows, self.points)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        kind: str = "auto",
        dims: tuple[int, int] | None = None,
        uncertainty: bool | float = False,
        n_regions: int | str = "auto",
        ax: Any = None,
        **kwargs: Any,
    ) -> LatentDisplay:
        """Encode X and draw the points.

        Parameters
        ----------
        estimator : estimator
            A fitted transformer of skccvae, a Pipeline with one as a step (later steps are not
            used), or a fitted search over either.
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in ``fit``.
        y : array-like of shape (n_samples,), default=None
            Classes or numbers that colour the points. Points without a label are grey.
        kind : {"auto", "plane", "hammer", "3d", "disk"}, default="auto"
            See :meth:`plot`.
        dims : tuple of two int, default=None
            See :meth:`plot`.
        uncertainty : bool or float, default=False
            Whether to draw regions that hold a share of the posteriors; see :meth:`plot`.
        n_regions : "auto" or int, default="auto"
            Number of points with a region; see :meth:`plot`.
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
            If the space has more than two dimensions and dims is None, or uncertainty or n_regions
            is out of range.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it contains no transformer of skccvae, or uncertainty asks for posteriors that the
            transformer does not have.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from sklearn.datasets import load_digits
        >>> from skccvae import SphericalVAETransformer
        >>> from skccvae.plotting import LatentDisplay
        >>> X, y = load_digits(return_X_y=True)
        >>> vae = SphericalVAETransformer(2, max_epochs=1, random_state=0).fit(X[:200] / 16)
        >>> display = LatentDisplay.from_estimator(vae, X[:200] / 16, y[:200], uncertainty=True)
        >>> display.ax_.get_title()
        'Sphere (Hammer projection), K = 1'
        >>> display.regions_[0].shape[1:]  # outlines on the map, each of 90 % of a posterior
        (121, 2)
        """
        manifold = find_model(estimator)[0].manifold_
        points = ambient_points(estimator, X)
        posterior = rows = None
        if regions.as_share(uncertainty) is not None:
            rows = regions.spread_rows(manifold, points, n_regions)
            posterior = posterior_of(estimator, X, rows)
        display = cls(points, manifold, y=y, posterior=posterior, posterior_rows=rows)
        arguments = {"kind": kind, "dims": dims, "uncertainty": uncertainty} | kwargs
        return display.plot(ax, n_regions=n_regions, **arguments)

    def plot(
        self,
        ax: Any = None,
        *,
        kind: str = "auto",
        dims: tuple[int, int] | None = None,
        class_labels: str = "auto",
        y_kind: str = "auto",
        uncertainty: bool | float = False,
        n_regions: int | str = "auto",
        view: tuple[float, float] | None = None,
        clip_outliers: bool = True,
        colorbar: bool = True,
        legend: bool = True,
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
        y_kind : {"auto", "classes", "numbers"}, default="auto"
            How to read y. ``"auto"`` reads text, bools and up to 20 different whole numbers as
            classes, and other numbers as quantities on a scale of colours.
        uncertainty : bool or float, default=False
            Draw the regions that hold this share of the posterior of some points; True means 0.9.
            A region is an ellipse in the tangent space at the point, mapped to the space by the
            exponential map, or an interval in one dimension. For a normal in the plane, the
            semi-axes are 2.15 standard deviations for 0.9, and one standard deviation for 0.39.
        n_regions : "auto" or int, default="auto"
            Number of points with a region, which are spread over the map. ``"auto"`` is at most
            100, and fewer where wide regions would lie on top of each other.
        view : tuple of two float, default=None
            Elevation and azimuth in degrees from which a globe is seen. The default is the mean
            direction of the points, or, if they are all around it, a side with many of them.
        clip_outliers : bool, default=True
            Whether a plane, a line or an enlarged disk may leave out points more than twice as far
            from the origin as 95 % of all points. They are drawn as hollow markers at its edge.
        colorbar, legend : bool, default=True
            Whether there is a colour bar for numbers, and a legend for classes. There is none for
            colours of your own (``color`` or ``c``).
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
            None, the number of axes differs from the number of factors, uncertainty asks for a
            posterior that the display does not have, or another argument is out of range.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}; got {kind!r}.")
        if class_labels not in ("auto", "map", "legend", "none"):
            raise ValueError(
                f"class_labels must be 'auto', 'map', 'legend' or 'none'; got {class_labels!r}."
            )
        product = isinstance(self.manifold, Product)
        parts = self._parts(self.points)
        panels = [maps.two_dimensional(*part, dims) for part in parts]
        kinds = [map_of(space, kind, product) for space, _ in panels]
        view = check_view(view, kinds)
        around = self._around(regions.as_share(uncertainty), n_regions, dims)
        self.figure_, axes = make_axes(
            ax,
            len(panels),
            panel_size=(4.0, 4.3),
            three_d=[k == "3d" for k in kinds],
            widths=[1.75 if k == "hammer" else 1.0 for k in kinds],
        )
        names = values = None
        if self.y is not None:
            names, values = colour_values(self.y, y_kind, self._order)
        class_labels = where_to_name(class_labels, names)
        options: Any = {"view": view, "clip": clip_outliers, "style": kwargs}
        options["name_on_map"] = class_labels == "map"
        self.places_, self.regions_, self.colorbar_ = [], [], None
        drawn: Any = None
        for number, panel in enumerate(axes):
            outlines = None if around is None else around[number]
            shown = (*panels[number], kinds[number], (names, values))
            places, lines, drawn = draw_panel(panel, *shown, regions=outlines, **options)
            self.places_.append(places)
            if lines is not None:
                self.regions_.append(lines)
            panel.set_title(title_of(parts[number][0], kinds[number], dims), fontsize=13)
        from matplotlib.collections import PathCollection  # here, because it is now known to exist

        # What would explain colours that are the user's own.
        explained = not {"c", "color"} & set(merge_style({}, kwargs, PathCollection))
        if values is not None and names is None and colorbar and explained:
            bar = self.figure_.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02, panchor=False)
            self.colorbar_ = bar
            bar.solids.set_alpha(1)
        wanted = class_labels == "legend" or class_labels == "map" and "3d" in kinds
        if names is not None and legend and wanted and explained:
            draw_legend(axes[-1], names, values, widen=ax is None)
        self.ax_ = np.array(axes, dtype=object) if product else axes[0]
        return self

    def _around(self, share: float | None, n: Any, dims: Any) -> list[Regions] | None:
        """For each panel the regions in its space, or None if there are none."""
        if share is None:
            return None
        if self.posterior is None:
            raise ValueError(
                "uncertainty needs the posteriors of the points: pass uncertainty to "
                "from_estimator, or posterior to the display."
            )
        known = np.asarray(self.posterior_rows)
        entries = regions.spread_rows(self.manifold, self.points[known], n)
        draws = regions.draw_posterior(self.posterior, self.manifold, entries)
        rows = known[entries]
        at, drawn = self._parts(self.points[rows]), self._parts(draws.reshape(-1, draws.shape[-1]))
        return [
            regions_of(factor, rows, points, z.reshape(len(draws), *points.shape), dims, share, n)
            for (factor, points), (_, z) in zip(at, drawn, strict=True)
        ]

    def _parts(
        self, points: NDArray[np.float64]
    ) -> list[tuple[ConstantCurvature, NDArray[np.float64]]]:
        """Each factor of the space, and the points in it."""
        parts = self.manifold.split(torch.from_numpy(points))
        return [(f, p.numpy()) for f, p in zip(self.manifold.factors, parts, strict=True)]
