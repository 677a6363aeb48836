"""Plots of a comparison of geometries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skccvae.plotting._style import make_axes, merge_style
from skccvae.plotting._theme import class_style, shade

# Axis labels of the criteria of `compare_geometries`; others have their own name.
LABELS = {
    "log_likelihood": "log-likelihood, nats per row",
    "elbo": "ELBO, nats per row",
    "mean_squared_error": "mean squared error",
    "explained_variance": "explained variance",
    "pearson": "Pearson correlation of distances",
    "spearman": "Spearman correlation of distances",
    "knn_accuracy": "accuracy of nearest neighbours",
    "knn_r2": "$R^2$ of nearest neighbours",
}


class GeometryComparisonDisplay:
    """Criteria of several geometries, with one panel for each criterion.

    A large marker is the mean over the splits, with an error bar of one standard deviation. Small
    markers are the splits. Use :meth:`from_comparison` to make a display from the result of
    :func:`skccvae.model_selection.compare_geometries`.

    Parameters
    ----------
    geometries : sequence of str
        Names of the geometries.
    values : mapping of str to array-like of shape (n_repeats, n_geometries)
        The value of each criterion for each split and geometry. NaN means that there is none.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes
        The axes, one for each panel.
    figure_ : matplotlib Figure
        The figure of the axes.

    Raises
    ------
    ValueError
        If the shapes of the values do not fit the geometries, or there is no criterion.

    Notes
    -----
    The splits are paired, so overlapping error bars do not mean that two geometries are equally
    good. The method `best` of the comparison tests the differences.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skccvae.plotting import GeometryComparisonDisplay
    >>> values = {"log_likelihood": [[-3.0, -2.0], [-3.2, -2.1], [-2.9, -2.0]]}
    >>> display = GeometryComparisonDisplay(["plane", "sphere"], values).plot()
    >>> display.ax_[0].get_ylabel()
    'log-likelihood, nats per row'
    """

    def __init__(self, geometries: Sequence[str], values: Mapping[str, ArrayLike]) -> None:
        self.geometries = list(geometries)
        self.values = {name: np.asarray(v, dtype=float) for name, v in values.items()}
        if not self.values:
            raise ValueError("values must hold at least one criterion; got none.")
        for name, found in self.values.items():
            if found.ndim != 2 or found.shape[0] < 1 or found.shape[1] != len(self.geometries):
                raise ValueError(
                    f"values[{name!r}] must have one row for each split and one column for each of "
                    f"{len(self.geometries)} geometries; got shape {found.shape}."
                )

    @classmethod
    def from_comparison(
        cls,
        comparison: Any,
        *,
        criteria: Sequence[str] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> GeometryComparisonDisplay:
        """Draw the result of a comparison.

        Parameters
        ----------
        comparison : GeometryComparison
            The result of `compare_geometries`.
        criteria : sequence of str, default=None
            Criteria to draw, in this order. The default is all criteria of the comparison.
        ax : sequence of matplotlib Axes, default=None
            One axes for each criterion. The default is a new figure.
        **kwargs : dict
            Other arguments of :meth:`plot`.

        Returns
        -------
        GeometryComparisonDisplay

        Raises
        ------
        ValueError
            If the comparison does not have one of the criteria.
        """
        names = list(comparison.criteria if criteria is None else criteria)
        unknown = [name for name in names if name not in comparison.values]
        if unknown:
            raise ValueError(
                f"The comparison has no {unknown[0]!r}; it has {list(comparison.values)}."
            )
        values = {name: comparison.values[name] for name in names}
        return cls(comparison.geometries, values).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> GeometryComparisonDisplay:
        """Draw the criteria.

        Parameters
        ----------
        ax : sequence of matplotlib Axes, default=None
            One axes for each criterion. The default is a new figure.
        **kwargs : dict
            Passed to ``errorbar``.

        Returns
        -------
        GeometryComparisonDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the number of axes is not that of the criteria.
        """
        self.figure_, axes = make_axes(ax, len(self.values), panel_size=(2.6, 3.4))
        self.ax_ = np.array(axes, dtype=object)
        for panel, (name, values) in zip(axes, self.values.items(), strict=True):
            self._panel(panel, name, values, kwargs)
        return self

    def _panel(self, ax: Any, name: str, values: np.ndarray, kwargs: dict[str, Any]) -> None:
        from matplotlib.lines import Line2D

        places = np.arange(len(self.geometries))
        for place, own in zip(places, values.T, strict=True):
            if np.isnan(own).any():
                continue  # a geometry without this criterion leaves its place empty
            style = class_style(int(place)) | {"linestyle": "", "capsize": 4, "markersize": 8}
            style = merge_style(style, kwargs, Line2D)
            spread = own.std(ddof=1) if len(own) > 1 else None
            ax.errorbar(place, own.mean(), spread, **style)
            beside = np.full(len(own), place + 0.22)
            ax.plot(beside, own, linestyle="", marker=".", color=shade(0.6), zorder=1)
        ax.set_xticks(places, self.geometries, rotation=30, ha="right")
        ax.set_xlim(-0.5, len(places) - 0.5)
        ax.set_ylabel(LABELS.get(name, name))
        ax.grid(axis="y", color=shade(0.92), linewidth=0.8)
        ax.spines[["right", "top"]].set_visible(False)
