"""The result of a comparison of geometries: its table, and a test of the differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

__all__ = ["LOWER_IS_BETTER", "NO_DIFFERENCE", "GeometryComparison"]

NO_DIFFERENCE = "no difference"
LOWER_IS_BETTER = frozenset({"mean_squared_error"})
# Level of the test in `best`.
_LEVEL = 0.05


class GeometryComparison:
    """Criteria of several geometries, measured on the same splits of the rows.

    :func:`compare_geometries` returns one. Printing it shows a table.

    Parameters
    ----------
    geometries : sequence of str
        Names of the geometries.
    values : mapping of str to array-like of shape (n_repeats, n_geometries)
        The value of each criterion for each split and geometry. NaN means that there is none.
    n_train, n_test : int
        Number of training rows and of held-out rows in each split.
    n_components : int
        Intrinsic dimension of all latent spaces.
    likelihood : str
        Name of the likelihood.

    Attributes
    ----------
    geometries : tuple of str
        Names of the geometries.
    criteria : tuple of str
        Names of the criteria.
    values : dict of str to ndarray of shape (n_repeats, n_geometries)
        The values.
    n_repeats, n_train, n_test, n_components : int
        Number of splits, sizes of their parts, and dimension of the latent spaces.
    likelihood : str
        Name of the likelihood.

    Raises
    ------
    ValueError
        If there are fewer than two splits, which give no spread, or the shapes of the values do not
        fit.

    See Also
    --------
    skccvae.plotting.GeometryComparisonDisplay : A plot of it.

    Notes
    -----
    The test that `best` applies is the corrected resampled t-test [1]_.

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine Learning 52,
       2003, section 3.

    Examples
    --------
    >>> from skccvae.model_selection import GeometryComparison
    >>> values = {"log_likelihood": [[-3.0, -2.0], [-3.2, -2.1], [-2.9, -2.0]]}
    >>> result = GeometryComparison(
    ...     ["plane", "sphere"], values, n_train=75, n_test=25, n_components=2,
    ...     likelihood="gaussian",
    ... )
    >>> result.best("log_likelihood")
    'sphere'
    >>> print(result)
    2 dimensions, likelihood gaussian, 3 splits into 75 training rows and 25 held out
                            plane          sphere    best
    log_likelihood  -3.033 ± 0.15  -2.033 ± 0.058  sphere
    """

    def __init__(
        self,
        geometries: Sequence[str],
        values: Mapping[str, ArrayLike],
        *,
        n_train: int,
        n_test: int,
        n_components: int,
        likelihood: str,
    ) -> None:
        self.geometries = tuple(geometries)
        self.values = {name: np.asarray(v, dtype=float) for name, v in values.items()}
        self.criteria = tuple(self.values)
        self.n_train, self.n_test = int(n_train), int(n_test)
        self.n_components = int(n_components)
        self.likelihood = likelihood
        shapes = {v.shape for v in self.values.values()}
        if len(shapes) != 1 or any(
            len(shape) != 2 or shape[0] < 2 or shape[1] != len(self.geometries) for shape in shapes
        ):
            raise ValueError(
                "values must hold one array for each criterion, all of shape (n_repeats, "
                f"{len(self.geometries)}) with at least 2 repeats; got shapes {sorted(shapes)}."
            )
        self.n_repeats = next(iter(shapes))[0]

    # --- what differs -----------------------------------------------------------------------------

    def difference(self, criterion: str, first: str, second: str) -> tuple[float, float]:
        """Mean of the paired differences of two geometries, and its standard error.

        Parameters
        ----------
        criterion : str
            One of `criteria`.
        first, second : str
            Two of `geometries`.

        Returns
        -------
        mean : float
            Mean over the splits of the value of `first` minus that of `second`.
        standard_error : float
            Square root of ``(1 / n_repeats + n_test / n_train)`` times the sample variance of the
            differences. The second term accounts for the overlap of the training rows of different
            splits (Nadeau and Bengio 2003, section 3).

        Raises
        ------
        ValueError
            If a name is unknown.
        """
        values = self._of(criterion)
        pair = [self._place(first), self._place(second)]
        differences = values[:, pair[0]] - values[:, pair[1]]
        factor = 1 / self.n_repeats + self.n_test / self.n_train
        return float(differences.mean()), math.sqrt(factor * differences.var(ddof=1))

    def best(self, criterion: str) -> str:
        """Name of the best geometry, or "no difference" if the runner-up may be as good.

        Parameters
        ----------
        criterion : str
            One of `criteria`.

        Returns
        -------
        str
            The geometry with the best mean, if it is better than the second best by the corrected
            resampled t-test at 5 per cent, two-sided. The test requires that the mean of the paired
            differences exceeds their standard error (see :meth:`difference`) times the 97.5 per
            cent quantile of Student's t with ``n_repeats - 1`` degrees of freedom, 2.78 for five
            repeats. Otherwise ``"no difference"``.

        Raises
        ------
        ValueError
            If the criterion is unknown, or fewer than two geometries have a value in each split.
        """
        values = self._of(criterion)
        known = np.flatnonzero(~np.isnan(values).any(axis=0))
        if len(known) < 2:
            raise ValueError(
                f"best({criterion!r}) needs two geometries with a value in each split; got "
                f"{len(known)}."
            )
        sign = -1.0 if criterion in LOWER_IS_BETTER else 1.0
        order = known[np.argsort(-sign * values[:, known].mean(axis=0), kind="stable")]
        first, second = (self.geometries[place] for place in order[:2])
        gain, error = self.difference(criterion, first, second)
        quantile = student.ppf(1 - _LEVEL / 2, self.n_repeats - 1)
        return first if sign * gain > quantile * error else NO_DIFFERENCE

    # --- tables -----------------------------------------------------------------------------------

    @property
    def table(self) -> dict[str, NDArray[Any]]:
        """Columns of the table, each of shape (n_geometries,).

        They are ``geometry``, and for each criterion ``mean_...`` and ``std_...``, the mean and
        standard deviation over the splits.
        """
        columns: dict[str, NDArray[Any]] = {"geometry": np.array(self.geometries)}
        for name, values in self.values.items():
            columns[f"mean_{name}"] = values.mean(axis=0)
            columns[f"std_{name}"] = values.std(axis=0, ddof=1)
        return columns

    def to_frame(self) -> Any:
        """Return the table as a pandas DataFrame, one row for each geometry.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas, which is not installed (pip install pandas); `table` holds "
                "the same columns as arrays."
            ) from error
        return pd.DataFrame(self.table).set_index("geometry")

    def __str__(self) -> str:
        table = self.table
        lines = [["", *self.geometries, "best"]]
        for name in self.criteria:
            pairs = zip(table[f"mean_{name}"], table[f"std_{name}"], strict=True)
            cells = ["-" if np.isnan(mean) else f"{mean:.4g} ± {std:.2g}" for mean, std in pairs]
            compared = np.count_nonzero(~np.isnan(table[f"mean_{name}"])) > 1
            lines.append([name, *cells, self.best(name) if compared else "-"])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        head = (
            f"{self.n_components} dimensions, likelihood {self.likelihood}, {self.n_repeats} "
            f"splits into {self.n_train} training rows and {self.n_test} held out"
        )
        rows = (
            "  ".join(
                [line[0].ljust(widths[0])]
                + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
            )
            for line in lines
        )
        return "\n".join([head, *rows])

    def __repr__(self) -> str:
        return (
            f"GeometryComparison(geometries={list(self.geometries)}, criteria="
            f"{list(self.criteria)}, n_repeats={self.n_repeats})"
        )

    def _of(self, criterion: str) -> NDArray[np.float64]:
        if criterion not in self.values:
            raise ValueError(f"criterion must be one of {list(self.criteria)}; got {criterion!r}.")
        return self.values[criterion]

    def _place(self, geometry: str) -> int:
        if geometry not in self.geometries:
            raise ValueError(f"expected one of {list(self.geometries)}; got {geometry!r}.")
        return self.geometries.index(geometry)
