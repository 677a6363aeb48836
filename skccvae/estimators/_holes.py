"""Missing values in the container that the user passed: where they are, and a filled-in copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from skccvae._labels import is_missing
from skccvae.estimators._frame_dtypes import is_decimal


def dense(rows: Any, part: slice) -> NDArray[Any]:
    """Some of the validated rows as a new floating array."""
    picked = rows[part]
    picked = picked.toarray() if sp.issparse(picked) else np.asarray(picked)
    return picked.astype(picked.dtype if picked.dtype.kind == "f" else np.float64)


def places_of_holes(rows: Any, part: slice) -> NDArray[np.bool_]:
    """Boolean mask of the missing entries of some of the validated rows, shape (m, p)."""
    return np.isnan(dense(rows, part))


def filled(
    X: Any, rows: Any, values: NDArray[np.float64], sample_shape: tuple[int, ...] | None
) -> Any:
    """A copy of X in its own container, with values in place of the missing entries.

    Parameters
    ----------
    X : object
        X as the user passed it.
    rows : ndarray, sparse CSR or DatasetRows of shape (n, p)
        The same rows, validated.
    values : ndarray of shape (n_holes,)
        The values row by row.
    sample_shape : tuple of int or None
        Shape of a sample, for a result that is a new array.

    Examples
    --------
    >>> import numpy as np
    >>> from skccvae.estimators._holes import filled
    >>> X = np.array([[1.0, np.nan]], dtype=np.float32)
    >>> filled(X, X, np.array([2.5]), None)
    array([[1. , 2.5]], dtype=float32)
    """
    if sp.issparse(rows):
        out = rows.copy()
        if len(values):
            out.data[np.isnan(out.data)] = values
        return out.asformat(X.format)
    if hasattr(X, "iloc"):
        return _filled_frame(X, values)
    plain = isinstance(X, np.ndarray) and not isinstance(X, np.ma.MaskedArray)
    if plain and (X.dtype.kind == "f" or not len(values)) and X.dtype != object:
        out = np.array(X)  # a plain array in memory, even if X is a memory map
    else:
        out = dense(rows, slice(None))
        out = out.reshape(len(out), *sample_shape) if sample_shape else out
    if len(values):
        out[np.isnan(out)] = values
    if isinstance(X, torch.Tensor):
        return torch.from_numpy(out).to(X.device, X.dtype)
    return out


def _filled_frame(X: Any, values: NDArray[np.float64]) -> Any:
    """A copy of a data frame in which columns with holes are filled."""
    out = X.copy()
    missing = np.stack(
        [np.fromiter(map(is_missing, X.iloc[:, j]), dtype=bool) for j in range(X.shape[1])], axis=1
    )
    found = np.full(missing.shape, np.nan)
    found[missing] = values
    for place in np.flatnonzero(missing.any(axis=0)):
        column, holes = X.iloc[:, place], missing[:, place]
        if hasattr(column, "sparse"):
            column = column.sparse.to_dense()
        if getattr(column.dtype, "kind", "O") in "biu" or is_decimal(
            column.dtype
        ):  # pandas' own types, which know NA
            column = column.astype("Float64")
        column = column.copy()
        numbers = found[holes, place]
        numpy_float = isinstance(column.dtype, np.dtype) and column.dtype.kind == "f"
        column.iloc[holes] = numbers.astype(column.dtype) if numpy_float else numbers
        out.isetitem(place, column)
    return out
