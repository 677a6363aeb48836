"""What the numbers of X suggest: a likelihood that suits them, and a scaling to model units."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils.sparsefuncs import mean_variance_axis, min_max_axis

from skccvae.nn import (
    BernoulliLikelihood,
    CountGaussianLikelihood,
    GaussianLikelihood,
    IsotropicGaussianLikelihood,
    Likelihood,
    likelihood_class,
)
from skccvae.training import (
    DatasetRows,
    PairedRows,
    RowScaling,
    column_limits,
    rounding,
    row_slices,
)

# Columns are in one unit if the largest range is within this factor of the lower quartile.
_SAME_UNIT = 10.0
# Larger whole numbers than this are amounts, not counts.
_LARGEST_COUNT = 1000
# Rows that say whether counts are mostly 0 and 1.
_ROWS_ASKED = 10_000
# Rates up to some e^12 are within easy reach of a decoder whose unit is 1.
_LARGE_COUNT = 1e5


def _observed(X: Any) -> Any:
    """The columns of validated rows that the likelihood describes."""
    return X.observed if isinstance(X, PairedRows) else X


class DataRange(NamedTuple):
    """Smallest and largest entry of X, including the zeros of a sparse matrix."""

    low: float
    high: float


def data_range(X: Any) -> DataRange:
    """Smallest and largest entry of dense or sparse X, ignoring NaN.

    A Dataset is read once for this. For a Dataset of bytes the answer is a bound: callers ask
    whether the bytes are only 0 and 1 or reach up to 255, and the first byte above 1 settles that.
    """
    X = _observed(X)
    if isinstance(X, DatasetRows):
        if X.dtype == np.uint8:
            return DataRange(0.0, 255.0 if X.exceeds(1) else 1.0)
        return _range_of(np.stack(X.limits(), axis=1))
    if sp.issparse(X):
        stored = X.data
        implied = X.nnz < X.shape[0] * X.shape[1]
        if stored.size == 0:
            return DataRange(0.0, 0.0)
        low, high = float(np.fmin.reduce(stored)), float(np.fmax.reduce(stored))
        return DataRange(min(low, 0.0), max(high, 0.0)) if implied else DataRange(low, high)
    return _range_of(
        [[end.reduce(X[part], axis=None) for end in (np.fmin, np.fmax)] for part in row_slices(X)]
    )


def _put_back(
    found: DataRange, X: Any, kind: type[Likelihood], divisor: float, whole: bool = False
) -> DataRange:
    """The range of X, with ends that rounding moved out of a finite support put back into it.

    If all numbers of X are about as small as that rounding, such as lengths of molecules in metres,
    they are data and stay as they are.
    """
    low, high = found
    least, most = (divisor * end for end in kind.support)
    if math.isfinite(least) and math.isfinite(most):
        slack = rounding(X.dtype, (least, most))
        if whole and max(-low, high) < 100 * slack:
            return found
        low = least if least - slack <= low < least else low
        high = most if most < high <= most + slack else high
    return DataRange(low, high)


def check_support(X: Any, kind: type[Likelihood], divisor: float) -> None:
    """Refuse rows that leave the support of a likelihood by more than rounding."""
    X = _observed(X)
    kind.check_support(*_put_back(data_range(X), X, kind, divisor), divisor)


def _range_of(ends: Any) -> DataRange:
    """Combine the smallest and largest entries of parts into one range, ignoring NaN."""
    low, high = np.asarray(ends).T
    return DataRange(float(np.fmin.reduce(low)), float(np.fmax.reduce(high)))


def _auto_likelihood(X: Any, divisor: float) -> type[Likelihood]:
    """The likelihood for numbers of an unknown kind.

    Zeros and ones are Bernoulli. Columns that share a unit, such as grey values, counts or
    standardised columns, get one noise scale, as in PCA, so that columns that hardly vary count
    less than others. Where they count things that mostly occur once, such as words or fragments of
    a molecule, the total of a row gets less noise as well. Columns with different units get a scale
    each.
    """
    if _all_entries(X, lambda values: ((values == 0) | (values == divisor)).all()):
        return BernoulliLikelihood
    low, high = _column_range(X)
    if X.shape[1] > 1 and low.min() >= 0 and high.max() <= _LARGEST_COUNT and _occur_once(X):
        return CountGaussianLikelihood
    with np.errstate(over="ignore"):
        ranges = (high - low)[high > low]
    if len(ranges) == 0:
        return IsotropicGaussianLikelihood
    if ranges.max() <= _SAME_UNIT * np.quantile(ranges, 0.25, method="lower"):
        return IsotropicGaussianLikelihood
    small = not low.any() and high.max() <= _LARGEST_COUNT
    counts = small and _all_entries(X, lambda values: (values == np.rint(values)).all())
    return IsotropicGaussianLikelihood if counts else GaussianLikelihood


def _occur_once(X: Any) -> bool:
    """Whether X holds whole numbers, of which most are 0 and half of the others are 1.

    Grey values are whole numbers too, but few of them are 1. Up to `_ROWS_ASKED` rows, evenly
    spaced, decide about the shares, so that images are not read once more.
    """
    n = X.shape[0]
    part = X[np.linspace(0, n - 1, min(n, _ROWS_ASKED)).round().astype(int)]
    values = _known(part.data if sp.issparse(part) else part)
    present, once = int(np.count_nonzero(values)), int(np.count_nonzero(values == 1))
    if present == 0 or 2 * once < present or 2 * present > math.prod(part.shape):
        return False
    return _all_entries(X, lambda values: (values == np.rint(values)).all())


def _all_entries(X: Any, holds: Callable[[np.ndarray], Any]) -> bool:
    """Whether something holds for all entries except NaN. Zeros of a sparse X are not checked."""
    if sp.issparse(X):
        return bool(holds(_known(X.data)))
    return all(bool(holds(_known(X[rows]))) for rows in row_slices(X))


def _known(values: np.ndarray) -> np.ndarray:
    """The values, without NaN."""
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(1, dtype=bool)
    return values[~missing] if missing.any() else values


def choose_likelihood(X: Any, likelihood: Any, binarize: Any) -> tuple[type[Likelihood], float]:
    """Choose the class of the likelihood, and the number that X is divided by.

    Parameters
    ----------
    X : ndarray or sparse of shape (n, p)
        Validated rows.
    likelihood : str or type
        The estimator's parameter.
    binarize : None, "dynamic" or float
        The estimator's parameter.

    Returns
    -------
    kind : type
        A subclass of `Likelihood`.
    divisor : float
        255 if bytes hold 8-bit intensities and the likelihood reads them, and 1 otherwise.

    Raises
    ------
    ValueError
        If X leaves the support of the likelihood.
    """
    X, kind = _observed(X), likelihood_class(likelihood)
    found = data_range(X)
    if math.isnan(found.low):
        raise ValueError(
            "X holds no value at all: every entry is NaN. A model needs data to learn from."
        )
    divisor = 255.0 if X.dtype == np.uint8 and found.high > 1 and kind.reads_bytes else 1.0
    low, high = _put_back(found, X, kind, divisor, whole=True)
    if isinstance(likelihood, str) and likelihood == "auto":
        if binarize is None:
            kind = _auto_likelihood(X, divisor)
            divisor = divisor if kind.reads_bytes else 1.0
        elif not kind.supports(low, high, divisor):
            negative = "Negative values in data: " if low < 0 else ""
            raise ValueError(
                f"{negative}binarize={binarize!r} needs X in [0, 1] (or 8-bit images); X runs from "
                f"{low:.9g} "
                f"to {high:.9g}. Scale it, for example with sklearn.preprocessing.MinMaxScaler."
            )
    if binarize is not None and not kind.binarizable:
        raise ValueError(
            f"binarize={binarize!r} makes X 0 or 1, which likelihood={kind.name!r} does not "
            "describe. Use likelihood='bernoulli'."
        )
    kind.check_support(low, high, divisor)
    warning = kind.unit_warning(low, high)
    if warning is not None:
        warnings.warn(warning, UserWarning, stacklevel=2)
    return kind, divisor


def check_units(X: Any, kind: type[Likelihood], divisor: float) -> None:
    """Refuse rows that are plainly in other units than those the model was started with.

    Some numbers may lie outside the support, as happens with a scaler that was fitted on other
    rows. The units are wrong if most numbers, zeros aside, lie outside the support by more than its
    width. The first million numbers are checked.
    """
    X, (least, most) = _observed(X), kind.support
    if kind.reads_bytes and X.dtype == np.uint8 and divisor == 1.0:
        high = data_range(X).high
        if high > 1:
            raise ValueError(
                f"X holds bytes up to {high:g}, but the model was fitted on values in [0, 1]. "
                "Divide X by 255, or fit on bytes."
            )
    if math.isfinite(least) or math.isfinite(most):
        part = X[next(row_slices(X))]
        values = part.data if sp.issparse(part) else part
        margin = most - least if math.isfinite(most - least) else 0.0
        outside = (values < divisor * (least - margin)) | (values > divisor * (most + margin))
        if 2 * np.count_nonzero(outside) > np.count_nonzero(_known(values)):
            check_support(part, kind, divisor)
    if divisor != 1.0 and X.dtype.kind == "f" and 0 < data_range(X).high <= 1:
        warnings.warn(
            f"The model was fitted on bytes from 0 to {divisor:g}, but no entry of X exceeds 1. "
            "Multiply pixels in [0, 1] by 255 first.",
            UserWarning,
            stacklevel=3,
        )


def _column_range(X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest entry of each column of rows in any container, in float64."""
    if sp.issparse(X):
        low, high = min_max_axis(X, axis=0, ignore_nan=True)
    else:
        low, high = X.limits() if isinstance(X, DatasetRows) else column_limits(X)
    return low.astype(np.float64), high.astype(np.float64)


def column_statistics(
    X: Any, shared: bool = False, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, in float64 whatever the dtype of X.

    The function makes two passes over X: one for the range of each column, which a Dataset keeps,
    and one for sums. Dense rows are read in slices.

    Parameters
    ----------
    X : ndarray, sparse CSR or DatasetRows of shape (n, p)
        Validated rows.
    shared : bool, default=False
        Whether all columns share one scale, the square root of their mean variance.
    weights : ndarray of shape (n,), optional
        How often each row counts, a positive number.

    Returns
    -------
    center, scale : ndarray of shape (p,)
        The scale of a constant column is its absolute value, or 1 for a column of zeros.
    constant : ndarray of bool, shape (p,)
        Columns whose smallest entry is their largest. A column of only NaN counts as zeros.

    Raises
    ------
    ValueError
        If the range of a column overflows float64.
    """
    low, high = (np.where(np.isnan(end), 0.0, end) for end in _column_range(X))
    with np.errstate(over="ignore"):
        wide = ~np.isfinite(high - low)
    if wide.any():
        column = int(np.argmax(wide))
        raise ValueError(
            f"Column {column} of X runs from {low[column]} to {high[column]}, a range that "
            "overflows float64. Divide X by a large number."
        )
    constant = low == high
    # Squares of 1e200 overflow, and those of 1e-200 vanish. Dividing by the largest number first
    # keeps them in range.
    if sp.issparse(X):
        # Division by a power of two is exact.
        unit = np.ldexp(1.0, np.frexp(np.maximum(-low, high))[1] - 1)
        floats = X.astype(np.float64)
        floats.data /= unit[floats.indices]
        relative, variance = mean_variance_axis(floats, axis=0, weights=weights)
        mean = relative * unit
    else:
        # A trial mean from the first row makes the sums of squares safe at any offset.
        offset = X[0].astype(np.float64)
        offset = np.where(np.isnan(offset), low, offset)
        total, square = np.zeros((2, X.shape[1]))
        n = np.full(X.shape[1], float(X.shape[0]) if weights is None else weights.sum())
        unit = np.where(constant, 1.0, np.maximum(offset - low, high - offset))
        for rows in row_slices(X):
            deviation = (X[rows].astype(np.float64) - offset) / unit
            part = None if weights is None else weights[rows]
            missing = np.isnan(deviation)
            if missing.any():
                lost = missing if part is None else missing * part[:, None]
                n = n - lost.sum(axis=0)
                deviation[missing] = 0.0
            total += _column_sums(deviation, part)
            square += _column_sums(np.square(deviation), part)
        n = np.maximum(n, 1.0 if weights is None else np.finfo(np.float64).tiny)
        relative = total / n
        mean = offset + unit * relative
        variance = np.maximum(square / n - relative**2, 0.0)
    scale = np.where(constant, 0.0, np.sqrt(variance) * unit)
    largest = scale.max()  # its square may overflow
    if shared and largest > 0:
        scale[:] = largest * np.sqrt(np.mean((scale / largest) ** 2))
    # The spread of a column that is not constant may still round to 0 in float64.
    size = np.where(constant, np.abs(low), high - low)
    scale = np.where(scale > 0, scale, np.where(size > 0, size, 1.0))
    return np.where(constant, low, mean), scale, constant


def _column_sums(rows: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    return rows.sum(axis=0) if weights is None else weights @ rows


def _rate_units(X: Any, weights: np.ndarray | None) -> np.ndarray | None:
    """Mean of each column with large counts, and 1 for the others. None if no counts are large."""
    large = _column_range(X)[1] > _LARGE_COUNT
    means = column_statistics(X, weights=weights)[0] if large.any() else None
    return None if means is None else np.where(large, means, 1.0)


def make_scaling(
    X: Any,
    kind: type[Likelihood],
    divisor: float,
    binarize: Any,
    weights: np.ndarray | None = None,
) -> RowScaling:
    """The map from a user's rows to model units for a likelihood; the rows may have weights."""
    if kind.scaling == "rates":
        return RowScaling(scale=_rate_units(_observed(X), weights))
    if kind.scaling is not None:
        shared = kind.scaling == "shared"
        return RowScaling(1.0, *column_statistics(_observed(X), shared, weights))
    threshold = float(binarize) if isinstance(binarize, Real) else None
    support = kind.support if all(map(math.isfinite, kind.support)) else None
    return RowScaling(divisor, threshold=threshold, period=kind.period, support=support)
