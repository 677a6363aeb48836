"""Weights of rows: what a user passes as ``sample_weight``, and how training uses it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skccvae._array_api import as_numpy
from skccvae._sklearn import check_sample_weight, safe_indexing
from skccvae.estimators._validation import without_mask
from skccvae.training import DatasetRows, MappedRows, RowWeights, is_memory_mapped

# Weights of a training are float32, in units of their mean over the rows that are trained on. Rows
# that are held out may be heavier than that mean by the inverse of this ratio, and losses need room
# above that.
_SMALLEST_RATIO = 1e-30


class WeightedRows(NamedTuple):
    """The rows whose weight is not 0.

    Attributes
    ----------
    X : ndarray, sparse CSR, PairedRows, DatasetRows or MappedRows of shape (k, p)
        These rows of X.
    y : object
        The same rows of y, in a container of its kind.
    weights : ndarray of shape (k,), or None
        Positive weights with mean 1. None if they are all equal.
    numbers : ndarray of int, shape (k,), or None
        The positions of these rows in the user's X. None if they are all rows.
    """

    X: Any
    y: Any
    weights: np.ndarray | None
    numbers: np.ndarray | None


def checked_weights(sample_weight: Any, n_rows: int, training: bool = False) -> np.ndarray:
    """A user's weights as float64, scaled so that the largest is 1.

    Parameters
    ----------
    sample_weight : array-like of shape (n_rows,), or a number
        One number stands for all rows.
    n_rows : int
        Number of rows that the weights belong to.
    training : bool, default=False
        Whether a model is trained with them, which bounds their ratios.

    Returns
    -------
    ndarray of shape (n_rows,)
        Weights between 0 and 1, so that no sum of them overflows.

    Raises
    ------
    ValueError
        If the weights have another shape, any is negative or not finite, or all are 0. For
        training, also if the ratio of two positive weights is above 1e30.

    Examples
    --------
    >>> from skccvae.estimators._weights import checked_weights
    >>> checked_weights([1, 2, 0], 3)
    array([0.5, 1. , 0. ])
    """
    given = as_numpy(without_mask(sample_weight, "sample_weight"))
    # Of the second argument only the number of rows matters and, with torch tensors, its library.
    try:
        weights = check_sample_weight(
            given, np.empty((n_rows, 0)), dtype=np.float64, ensure_non_negative=True
        )
        if not 0 < weights.max() < np.inf:  # scikit-learn does not check a single number
            raise ValueError(
                f"sample_weight is {weights.max()}, which is not finite or not above 0."
            )
    except ValueError as error:
        raise ValueError(
            f"{str(error).rstrip('.')}. Expected {n_rows} finite weights, none of them "
            "negative and at least one above 0. Pass None to give all rows the same weight."
        ) from error
    largest, smallest = weights.max(), weights[weights > 0].min()
    if training and smallest / largest < _SMALLEST_RATIO:
        raise ValueError(
            f"sample_weight goes from {smallest:.3g} (without zeros) to {largest:.3g}. Training, "
            f"in float32, accepts weights w down to {_SMALLEST_RATIO:.0e} of the largest; "
            "smaller ones would have no effect. If the largest is a mistake, correct it; to "
            f"leave such rows out, pass np.where(w < {_SMALLEST_RATIO:.0e} * w.max(), 0, w)."
        )
    return weights / largest


def weighted_rows(X: Any, y: Any, sample_weight: Any, wants_y: bool) -> WeightedRows:
    """Leave out the rows of weight 0, so that nothing that is learned depends on them.

    Parameters
    ----------
    X : ndarray, sparse CSR, PairedRows or DatasetRows of shape (n, p)
        Validated rows.
    y : object
        The user's y, or None.
    sample_weight : array-like of shape (n,)
        The user's weights.
    wants_y : bool
        Whether y will be read. Otherwise it may be anything.

    Returns
    -------
    WeightedRows
    """
    weights = checked_weights(sample_weight, X.shape[0], training=True)
    numbers = None
    if not weights.all():
        numbers = np.flatnonzero(weights)
        weights = weights[numbers]
        X = _rows_of(X, numbers)
        if wants_y and y is not None:
            y = safe_indexing(as_numpy(y), numbers)
    equal = weights.min() == weights.max()
    return WeightedRows(X, y, None if equal else weights / weights.mean(), numbers)


def _rows_of(X: Any, numbers: np.ndarray) -> Any:
    """Some of the rows. Those of a Dataset or a file are not copied."""
    if isinstance(X, DatasetRows):
        return X.only(numbers)
    return MappedRows(X, numbers) if is_memory_mapped(X) else X[numbers]


def training_weights(
    weights: np.ndarray, targets: np.ndarray | None, index: np.ndarray
) -> RowWeights:
    """Weights in units of their mean over the training rows.

    Parameters
    ----------
    weights : ndarray of shape (n,)
        Positive weights of the rows.
    targets : ndarray of shape (n, t), or None
        Targets, with NaN where they are unknown.
    index : ndarray of int
        The training rows.

    Returns
    -------
    RowWeights

    Examples
    --------
    >>> import numpy as np
    >>> from skccvae.estimators._weights import training_weights
    >>> targets = np.array([[np.nan], [0.5], [0.5], [0.1]])
    >>> training_weights(np.array([1.0, 2.0, 3.0, 4.0]), targets, np.arange(3))
    RowWeights(rows=array([0.5, 1. , 1.5, 2. ]), targets=array([[0.4],
           [0.8],
           [1.2],
           [1.6]]))
    """
    rows = weights / weights[index].mean()
    if targets is None:
        return RowWeights(rows)
    known = ~np.isnan(targets[index])
    # A target without a label among these rows counts in validation at most, where units cancel.
    means = (rows[index] @ known) / np.maximum(known.sum(axis=0), 1)
    return RowWeights(rows, rows[:, None] / np.where(means > 0, means, 1.0))
