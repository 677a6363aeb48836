"""Plots of the scores of a search over curvature and dimension."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skccvae.plotting._search_drawing import draw_curves, draw_heatmap
from skccvae.plotting._style import make_axes


class CurvatureSearchDisplay:
    """Cross-validated score against curvature, with one curve for each dimension.

    Use :meth:`from_search` to make a display from a fitted search.

    Parameters
    ----------
    curvatures : array-like of shape (n_curvatures,)
        Signed curvatures K in increasing order.
    n_components : array-like of shape (n_dimensions,)
        Dimensions of the latent space.
    scores : array-like of shape (n_curvatures, n_dimensions)
        Mean scores. NaN means that the search did not try this pair.
    deviations : array-like of shape (n_curvatures, n_dimensions), default=None
        Standard deviations over the splits.
    score_name : str, default="score"
        Label for the scores.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure of the axes.

    Raises
    ------
    ValueError
        If the shapes of the arrays do not fit, or all scores are NaN.

    Notes
    -----
    With a von Mises-Fisher posterior and the uniform prior the KL does not depend on the curvature.
    Differences along such a curve come only from the scale of the inputs of the decoder.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skccvae.plotting import CurvatureSearchDisplay
    >>> scores = [[0.7, 0.9], [0.8, 0.85]]
    >>> display = CurvatureSearchDisplay([-1.0, 0.0], [2, 10], scores).plot()
    >>> display.best_
    (-1.0, 10)
    """

    def __init__(
        self,
        curvatures: ArrayLike,
        n_components: ArrayLike,
        scores: ArrayLike,
        deviations: ArrayLike | None = None,
        *,
        score_name: str = "score",
    ) -> None:
        self.curvatures = np.asarray(curvatures, dtype=float)
        self.n_components = np.asarray(n_components)
        self.scores = np.asarray(scores, dtype=float)
        self.deviations = None if deviations is None else np.asarray(deviations, dtype=float)
        self.score_name = score_name
        shape = (self.curvatures.size, self.n_components.size)
        for name, array in (("scores", self.scores), ("deviations", self.deviations)):
            if array is not None and array.shape != shape:
                raise ValueError(
                    f"{name} must have one row per curvature and one column per dimension, shape "
                    f"{shape}; got {array.shape}."
                )
        if np.isnan(self.scores).all():
            raise ValueError("All scores are NaN: no fit of the search succeeded.")

    @property
    def best_(self) -> tuple[float, Any]:
        """Curvature and dimension of the highest mean score."""
        row, column = np.unravel_index(np.nanargmax(self.scores), self.scores.shape)
        return float(self.curvatures[row]), self.n_components[column].item()

    @classmethod
    def from_search(
        cls,
        search: Any,
        *,
        curvature: str | None = None,
        n_components: str | None = None,
        metric: str = "score",
        kind: str = "curves",
        ax: Any = None,
        **kwargs: Any,
    ) -> CurvatureSearchDisplay:
        """Read a fitted search and draw its scores.

        Parameters
        ----------
        search : GridSearchCV or another search
            A fitted search, with ``cv_results_``, over the curvature and perhaps the dimension.
        curvature, n_components : str, default=None
            Names of the parameters, such as ``"vae__curvature"``. The default is the parameter
            whose name ends in ``curvature`` or ``n_components``.
        metric : str, default="score"
            Name of the metric, for a search with several metrics.
        kind : {"curves", "heatmap"}, default="curves"
            See :meth:`plot`.
        ax : matplotlib Axes, default=None
            Axes to draw on. The default is a new figure.
        **kwargs : dict
            Other arguments of :meth:`plot`.

        Returns
        -------
        CurvatureSearchDisplay

        Raises
        ------
        ValueError
            If the search did not vary the curvature, its values are not numbers, or the search
            does not have that metric.

        Notes
        -----
        If the search varied other parameters too, each pair shows its best score over these.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.model_selection import GridSearchCV
        >>> from skccvae import HyperbolicVAETransformer
        >>> from skccvae.plotting import CurvatureSearchDisplay
        >>> X = load_digits().data[:120] / 16
        >>> grid = {"curvature": [-1.0, -0.5], "n_components": [2]}
        >>> vae = HyperbolicVAETransformer(max_epochs=1, random_state=0)
        >>> search = GridSearchCV(vae, grid, cv=2).fit(X)
        >>> CurvatureSearchDisplay.from_search(search).scores.shape
        (2, 1)
        """
        check_is_fitted(search)
        results = search.cv_results_
        tried = [name.removeprefix("param_") for name in results if name.startswith("param_")]
        K_name = _parameter(curvature, "curvature", tried)
        if K_name is None:
            raise ValueError(
                f"The search did not vary a curvature; it varied {tried}. Pass the name of the "
                "parameter as curvature."
            )
        d_name = _parameter(n_components, "n_components", tried)
        if f"mean_test_{metric}" not in results:
            known = sorted(n.removeprefix("mean_test_") for n in results if "mean_test_" in n)
            raise ValueError(f"The search has no metric {metric!r}; it has {known}.")
        # Grids may differ in their parameters; some candidates have no curvature then.
        kept = np.flatnonzero(~np.ma.getmaskarray(results[f"param_{K_name}"]))
        values = [results[f"param_{K_name}"][place] for place in kept]
        try:
            K = np.array([float(value) for value in values])
        except (TypeError, ValueError) as error:
            raise ValueError(f"The values of {K_name} must be numbers; got {values}.") from error
        if d_name is None:  # one for all, from the estimator with the curvature
            d = [_dimension_beside(search, K_name)] * len(K)
        else:
            column, own = results[f"param_{d_name}"], _dimension_beside(search, K_name)
            hidden = np.ma.getmaskarray(column)
            d = [own if hidden[place] else column[place] for place in kept]
        curvatures, dimensions = sorted(set(K.tolist())), sorted(set(d))
        scores = np.full((len(curvatures), len(dimensions)), np.nan)
        deviations = scores.copy()
        for k, dim, mean, std in zip(
            K.tolist(),
            d,
            results[f"mean_test_{metric}"][kept],
            results[f"std_test_{metric}"][kept],
            strict=True,
        ):
            place = curvatures.index(k), dimensions.index(dim)
            if not mean <= scores[place] and not np.isnan(mean):
                scores[place], deviations[place] = mean, std
        name = "cross-validated score" if metric == "score" else f"cross-validated {metric}"
        display = cls(curvatures, dimensions, scores, deviations, score_name=name)
        return display.plot(ax, kind=kind, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        kind: str = "curves",
        colorbar: bool = True,
        legend: bool = True,
        **kwargs: Any,
    ) -> CurvatureSearchDisplay:
        """Draw the scores.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. The default is a new figure.
        kind : {"curves", "heatmap"}, default="curves"
            Curves with error bars of one standard deviation over the splits, or a coloured table
            with the mean and the standard deviation.
        colorbar, legend : bool, default=True
            Whether the table has a colour bar, and the curves a legend.
        **kwargs : dict
            Passed to ``errorbar`` or ``imshow``.

        Returns
        -------
        CurvatureSearchDisplay
            The display itself.

        Raises
        ------
        ValueError
            If kind is unknown.
        """
        if kind not in ("curves", "heatmap"):
            raise ValueError(f"kind must be 'curves' or 'heatmap'; got {kind!r}.")
        n_curvatures, n_dimensions = self.scores.shape
        size = (6.4, 4.2)
        if kind == "heatmap":  # cells of one size, however many
            size = (2.2 + 0.85 * max(n_curvatures, 3), 1.2 + 0.65 * n_dimensions)
        self.figure_, (self.ax_,) = make_axes(ax, 1, panel_size=size)
        if kind == "curves":
            draw_curves(self, kwargs, legend)
        else:
            draw_heatmap(self, kwargs, colorbar)
        return self


def _dimension_beside(search: Any, curvature: str) -> Any:
    """The ``n_components`` of the estimator in a search that varies only the curvature."""
    name = curvature.removesuffix("curvature") + "n_components"
    return search.estimator.get_params().get(name, 1)


def _parameter(given: str | None, ending: str, tried: list[str]) -> str | None:
    """Name of the searched parameter: the given name, or the only one with that ending."""
    if given is not None:
        if given not in tried:
            raise ValueError(f"The search did not vary {given!r}; it varied {tried}.")
        return given
    found = [name for name in tried if name.split("__")[-1] == ending]
    if len(found) > 1:
        raise ValueError(f"The search varied {found}; pass one of them as {ending}.")
    return found[0] if found else None
