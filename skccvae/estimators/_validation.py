"""Checks and conversions at the border: a user's X, device and settings to what training takes."""

from __future__ import annotations

import math
import warnings
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils.sparsefuncs import mean_variance_axis
from sklearn.utils.validation import validate_data
from torch.utils.data import DataLoader, Dataset

from skccvae.estimators._input_spec import InputSpec
from skccvae.estimators._molecules import COUNT_LIKELIHOODS, molecular_graph, molecule_rows
from skccvae.training import DatasetRows, RowScaling, column_limits, is_memory_mapped, row_slices


class DataRange(NamedTuple):
    """Smallest and largest entry of X, zeros of a sparse matrix included."""

    low: float
    high: float


def flatten_rows(X: Any, allow_nan: bool = False) -> tuple[Any, tuple[int, ...] | None]:
    """Images to rows.

    Parameters
    ----------
    X : array-like or torch Dataset
        Two dimensions, or (n, ...) with more.
    allow_nan : bool, default=False
        Whether NaN is a missing number.

    Returns
    -------
    X : array-like or DatasetRows of shape (n, p)
        Rows; two-dimensional input is returned as it came.
    shape : tuple of int or None
        Shape of one sample where X had more than two dimensions.
    """
    if sp.issparse(X):
        return X, None
    if isinstance(X, Dataset) or _samples_of_a_dataset(X):
        rows = DatasetRows(X, allow_nan)
        return rows, rows.sample_shape if len(rows.sample_shape) > 1 else None
    if isinstance(X, DataLoader):
        raise TypeError(
            "X is a DataLoader; pass its dataset (loader.dataset), batches are made by the "
            "estimator."
        )
    if isinstance(X, list | tuple):
        try:
            as_array = np.asarray(X)
        except ValueError:  # rows of different lengths: validation says so
            return X, None
        X = as_array if as_array.ndim > 2 else X
    shape = getattr(X, "shape", None)
    if shape is None or len(shape) <= 2:
        return X, None
    X = np.asarray(X)
    return X.reshape(X.shape[0], math.prod(X.shape[1:])), tuple(int(n) for n in X.shape[1:])


def _samples_of_a_dataset(X: Any) -> bool:
    """Whether X is a list of (sample, label) or (sample,), as scikit-learn takes of a Dataset."""
    return (
        isinstance(X, list)
        and bool(X)
        and all(isinstance(v, tuple) and v and isinstance(v[0], torch.Tensor) for v in X)
    )


def _refuse_strings(X: Any) -> None:
    """Say what to do about a column of SMILES, which is what one-dimensional strings may be."""
    if hasattr(X, "iloc") and getattr(X, "ndim", 0) == 2 and X.shape[1] == 1:
        X = X.iloc[:, 0]
    if not (isinstance(X, list) or getattr(X, "ndim", 0) == 1):
        return
    first = next(iter(X), None)
    if isinstance(first, str) or hasattr(first, "GetAtoms"):
        raise ValueError(
            f"X is a column of {type(first).__name__}. For molecules use encoder="
            "'molecular_graph', or put skccvae.molecules.FingerprintTransformer() before the "
            "estimator."
        )


def validate_rows(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Check X as scikit-learn does, images included, and say what a wrong shape should be.

    Parameters
    ----------
    estimator : BaseEstimator
        Learns the contract of its input from X (``n_features_in_``, ``feature_names_in_`` and
        ``_input``), or has it compared with X.
    X : array-like, sparse or torch Dataset
        The user's X.
    reset : bool
        Whether this is the first sight of the data.

    Returns
    -------
    ndarray, sparse CSR or DatasetRows of shape (n, p)
        Numbers without infinity, and without NaN unless the likelihood is of angles; a Dataset's
        are looked at as they are read.
    """
    encoder = estimator.encoder if reset else estimator._structure["encoder"]
    shape: tuple[int, ...] | None = None
    if molecular_graph(encoder) is not None:
        X = molecule_rows(estimator, X, reset=reset)
    else:
        X, shape = _number_rows(estimator, X, reset=reset)
    if reset:
        estimator._input = InputSpec.learn(estimator, shape)
    else:
        check_units(X, estimator.likelihood_, estimator._input.units.divisor)
    return X


def _number_rows(estimator: Any, X: Any, *, reset: bool) -> tuple[Any, tuple[int, ...] | None]:
    """Rows of numbers for `validate_rows`, and the shape of one sample where X holds images."""
    _refuse_strings(X)
    angles = (estimator.likelihood if reset else estimator.likelihood_) == "von_mises"
    X, shape = flatten_rows(X, allow_nan=angles)
    if angles and sp.issparse(X):
        raise TypeError(
            "likelihood='von_mises' needs a dense X: the entries that a sparse matrix leaves out "
            "would all be angles of 0. Use X.toarray(), with NaN for angles that are missing."
        )
    if not reset:
        estimator._input.check_shape(shape)
    mapped = is_memory_mapped(X)
    X = validate_data(
        estimator,
        X,
        reset=reset,
        skip_check_array=isinstance(X, DatasetRows),
        accept_sparse="csr",
        dtype="numeric",
        order=None if mapped else "C",
        # scikit-learn's look at a whole memory map would bring all of it into memory.
        ensure_all_finite=False if mapped else "allow-nan" if angles else True,
        ensure_min_samples=1,
    )
    if mapped and is_memory_mapped(X) and X.dtype.kind == "f":
        _check_finite(X, allow_nan=angles)
    if angles and not isinstance(X, DatasetRows):
        _check_some_angle(X)
    return X, shape


def _check_some_angle(X: np.ndarray) -> None:
    """Refuse rows without any angle: nothing is known of them, and nothing could be learned."""
    if X.dtype.kind != "f":
        return
    empty = np.concatenate(
        [part.start + np.flatnonzero(np.isnan(X[part]).all(axis=1)) for part in row_slices(X)]
    )
    if empty.size:
        raise ValueError(
            f"X holds {empty.size} row(s) of nothing but NaN, the first at {int(empty[0])}; a row "
            "needs at least one angle. Leave them out: X[~np.isnan(X).all(axis=1)]."
        )


def _check_finite(X: np.ndarray, allow_nan: bool = False) -> None:
    for part in row_slices(X):
        bad = np.isinf(X[part]) if allow_nan else ~np.isfinite(X[part])
        finite = ~bad.any(axis=1)
        if not finite.all():
            raise ValueError(
                f"Input X contains NaN or infinity, first in row {part.start + finite.argmin()}; "
                "impute or leave out such rows."
            )


def targets_for(X: Any, y: Any) -> Any:
    """The user's y, or the labels of a Dataset of ``(sample, label)`` tuples where y is None."""
    return X.labels() if y is None and isinstance(X, DatasetRows) else y


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


def check_objective(objective: str, free_bits: float) -> None:
    """Refuse free bits where the objective has no KL of its own to free."""
    if objective == "iwae" and free_bits > 0:
        raise ValueError(
            f"free_bits={free_bits!r} has no meaning with objective='iwae', whose bound holds the "
            "KL inside it. Use free_bits=0 or objective='elbo'."
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
