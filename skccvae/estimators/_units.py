"""What the numbers of X say: the likelihood that suits them, and how they reach model units."""

from __future__ import annotations

import math
import warnings
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils.sparsefuncs import mean_variance_axis

from skccvae.estimators._molecules import COUNT_LIKELIHOODS
from skccvae.training import DatasetRows, RowScaling, column_limits, row_slices


class DataRange(NamedTuple):
    """Smallest and largest entry of X, zeros of a sparse matrix included."""

    low: float
    high: float


def data_range(X: Any) -> DataRange:
    """Smallest and largest entry of dense or sparse X.

    A Dataset is read once for it. Of one of bytes the answer is a bound: all that anyone asks is
    whether they are 0 and 1 or reach up to 255, and the first byte above 1 says so.
    """
    if isinstance(X, DatasetRows):
        if X.dtype == np.uint8:
            return DataRange(0.0, 255.0 if X.exceeds(1) else 1.0)
        return DataRange(*(float(end) for end in (X.limits()[0].min(), X.limits()[1].max())))
    if sp.issparse(X):
        stored = X.data
        implied = X.nnz < X.shape[0] * X.shape[1]
        if stored.size == 0:
            return DataRange(0.0, 0.0)
        low, high = float(stored.min()), float(stored.max())
        return DataRange(min(low, 0.0), max(high, 0.0)) if implied else DataRange(low, high)
    ends = [(X[part].min(), X[part].max()) for part in row_slices(X)]
    return DataRange(float(min(low for low, _ in ends)), float(max(high for _, high in ends)))


UNIT_LIKELIHOODS = ("bernoulli", "continuous_bernoulli", "discretized_logistic")


def choose_likelihood(X: Any, likelihood: str, binarize: Any) -> tuple[str, float]:
    """Name of the likelihood, and what X is divided by.

    Parameters
    ----------
    X : ndarray or sparse of shape (n, p)
        Validated rows.
    likelihood : str
        The estimator's parameter.
    binarize : None, "dynamic" or float
        The estimator's parameter.

    Returns
    -------
    name : str
        A key of ``LIKELIHOODS``.
    divisor : float
        255 where bytes hold 8-bit intensities and the likelihood lives on [0, 1], else 1.

    Raises
    ------
    ValueError
        If X does not lie where the likelihood lives.
    """
    low, high = data_range(X)
    unit_wanted = likelihood in (*UNIT_LIKELIHOODS, "auto") or binarize is not None
    divisor = 255.0 if X.dtype == np.uint8 and high > 1 and unit_wanted else 1.0
    in_unit = low >= 0 and high <= divisor
    if likelihood == "auto":
        if binarize is not None and not in_unit:
            raise ValueError(
                f"binarize={binarize!r} needs X in [0, 1] (or 8-bit images); X runs from {low:g} "
                f"to {high:g}. Scale it, for example with sklearn.preprocessing.MinMaxScaler."
            )
        return ("bernoulli" if in_unit else "gaussian"), divisor
    if binarize is not None and likelihood not in UNIT_LIKELIHOODS:
        raise ValueError(
            f"binarize={binarize!r} makes X 0 or 1, which likelihood={likelihood!r} does not "
            "describe. Use likelihood='bernoulli'."
        )
    check_range(low, high, likelihood, divisor)
    if likelihood == "von_mises":
        _notice_degrees(X, low, high)
    return likelihood, divisor


def _notice_degrees(X: Any, low: float, high: float) -> None:
    """Warn where angles run over more turns than radians are likely to."""
    if math.isnan(low):  # angles are missing: once more, without them
        # Of a Dataset those columns are known in which none is.
        whole = isinstance(X, DatasetRows)
        parts = [np.stack(X.limits())] if whole else (X[part] for part in row_slices(X))
        ends = np.array([[f.reduce(p, axis=None) for f in (np.fmin, np.fmax)] for p in parts])
        low, high = float(np.fmin.reduce(ends[:, 0])), float(np.fmax.reduce(ends[:, 1]))
    if max(-low, high) > 4 * math.pi:
        warnings.warn(
            f"likelihood='von_mises' reads radians, and X runs from {low:g} to {high:g}, which is "
            "several turns. If X is in degrees, pass numpy.deg2rad(X).",
            UserWarning,
            stacklevel=3,
        )


def check_range(low: float, high: float, likelihood: str, divisor: float) -> None:
    """Raise ValueError if X leaves the support of a likelihood."""
    if likelihood in UNIT_LIKELIHOODS and not (low >= 0 and high <= divisor):
        raise ValueError(
            f"likelihood={likelihood!r} needs X in [0, {divisor:g}]; X runs from {low:g} to "
            f"{high:g}. Scale it, for example with sklearn.preprocessing.MinMaxScaler, or use "
            "likelihood='gaussian'."
        )
    if likelihood in COUNT_LIKELIHOODS and low < 0:
        raise ValueError(
            f"likelihood={likelihood!r} needs counts, X >= 0; its smallest entry is {low:g}. "
            "Use likelihood='gaussian' for real values."
        )


def check_units(X: Any, likelihood: str, divisor: float) -> None:
    """Refuse rows that are plainly in other units than those the model was started with."""
    if likelihood not in UNIT_LIKELIHOODS or sp.issparse(X):
        return
    if X.dtype == np.uint8 and divisor == 1.0:
        high = data_range(X).high
        if high > 1:
            raise ValueError(
                f"X holds bytes up to {high:g}, but the model was fitted on values in [0, 1]; "
                "divide X by 255, or fit on bytes."
            )
    if X.dtype.kind == "f" and divisor != 1.0 and 0 < data_range(X).high <= 1:
        warnings.warn(
            f"The model was fitted on bytes from 0 to {divisor:g}, and no entry of X exceeds 1: "
            "pixels in [0, 1] have to be multiplied by 255 first.",
            UserWarning,
            stacklevel=3,
        )


def column_statistics(X: Any, shared: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, in float64 and in slices of rows.

    Two passes over X: one for the range of each column, which a Dataset keeps, and one for sums.

    Parameters
    ----------
    X : ndarray, sparse CSR or DatasetRows of shape (n, p)
        Validated rows.
    shared : bool, default=False
        Whether all columns get one scale, the root of their mean variance.

    Returns
    -------
    center, scale : ndarray of shape (p,)
        A column whose spread is rounding error of its size has scale 1 in units of its size, so
        that a constant column stays finite.
    """
    if sp.issparse(X):
        floats = X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)
        mean, variance = mean_variance_axis(floats, axis=0)
        mean, scale = mean.astype(np.float64), np.sqrt(variance.astype(np.float64))
    else:
        n = X.shape[0]
        # A trial mean from the first row makes the sums of squares safe at any offset.
        offset = X[0].astype(np.float64)
        total = np.zeros(X.shape[1])
        square = np.zeros(X.shape[1])
        # Squares of 1e200 overflow; dividing by the largest deviation first keeps them in range.
        limits = X.limits() if isinstance(X, DatasetRows) else column_limits(X)
        low, high = (end.astype(np.float64) for end in limits)
        spread = np.maximum(offset - low, high - offset)
        unit = np.where(spread > 0, spread, 1.0)
        for rows in row_slices(X):
            deviation = (X[rows].astype(np.float64) - offset) / unit
            total += deviation.sum(axis=0)
            square += np.square(deviation).sum(axis=0)
        relative = total / n
        mean = offset + unit * relative
        scale = np.sqrt(np.maximum(square / n - relative**2, 0.0)) * unit
    noise = 8 * np.finfo(np.float64 if X.dtype.kind != "f" else X.dtype).eps * np.abs(mean)
    flat = scale <= noise
    if shared and not flat.all():
        largest = scale.max()  # whose square may overflow
        return mean, np.full_like(scale, largest * np.sqrt(np.mean((scale / largest) ** 2)))
    scale[flat] = np.where(mean[flat] != 0, np.abs(mean[flat]), 1.0)
    return mean, scale


def make_scaling(X: Any, likelihood: str, divisor: float, binarize: Any) -> RowScaling:
    """The map from a user's rows to model units for a likelihood."""
    threshold = float(binarize) if isinstance(binarize, Real) else None
    if likelihood in ("gaussian", "isotropic_gaussian"):
        center, scale = column_statistics(X, shared=likelihood == "isotropic_gaussian")
        return RowScaling(center=center, scale=scale)
    if likelihood == "von_mises":
        return RowScaling(period=2 * math.pi)
    return RowScaling(divisor=divisor, threshold=threshold)
