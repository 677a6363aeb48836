"""Checks and conversions of a user's X, y and settings into what training takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data
from torch.utils.data import DataLoader, Dataset, IterableDataset

from skccvae._array_api import as_numpy
from skccvae._labels import is_missing
from skccvae._tables import as_frame
from skccvae.estimators._blocks import check_blocks, mixed_rows, wanted_blocks
from skccvae.estimators._frame_dtypes import is_decimal
from skccvae.estimators._input_spec import InputSpec
from skccvae.estimators._molecules import molecular_graph, molecule_rows
from skccvae.estimators._units import check_units
from skccvae.nn import has_terms
from skccvae.training import DatasetRows, is_memory_mapped, row_slices


def flatten_rows(
    X: Any, allow_nan: bool = False, allow_empty: bool = False
) -> tuple[Any, tuple[int, ...] | None]:
    """Flatten images to rows.

    Parameters
    ----------
    X : array-like or torch Dataset
        An array of two dimensions, or of shape (n, ...) with more.
    allow_nan : bool, default=False
        Whether NaN stands for a missing number.
    allow_empty : bool, default=False
        Whether a row may consist of NaN only.

    Returns
    -------
    X : array-like or DatasetRows of shape (n, p)
        Rows. Two-dimensional input is returned unchanged.
    shape : tuple of int or None
        Shape of one sample, if X had more than two dimensions.
    """
    if sp.issparse(X):
        return X, None
    if isinstance(X, DataLoader | IterableDataset):
        raise TypeError(
            f"X is a stream ({type(X).__name__}), which fit, partial_fit, transform, "
            "score_samples, score and evaluate read batch by batch. All other methods take an "
            "array or a map-style torch Dataset, with __len__ and __getitem__."
        )
    if isinstance(X, Iterator):
        raise TypeError(
            f"X is a {type(X).__name__}, which can be read only once. Wrap it in a torch "
            "IterableDataset whose __iter__ begins a new pass, or make an array of its rows."
        )
    if isinstance(X, Dataset) or _samples_of_a_dataset(X):
        rows = DatasetRows(X, allow_nan, allow_empty)
        return rows, rows.sample_shape if len(rows.sample_shape) > 1 else None
    if isinstance(X, list | tuple):
        try:
            as_array = np.asarray(X)
        except ValueError:  # rows of different lengths: validation says so
            return X, None
        X = as_array if as_array.ndim > 2 or _has_odd_numbers(as_array) else X
    shape = getattr(X, "shape", None)
    if shape is None or len(shape) <= 2:
        return X, None
    X = np.asarray(X)
    return X.reshape(X.shape[0], math.prod(X.shape[1:])), tuple(int(n) for n in X.shape[1:])


def without_mask(X: Any, name: str = "X", allow_nan: bool = False) -> Any:
    """The numbers of a masked array, with NaN where they are masked. Anything else is unchanged.

    Raises
    ------
    ValueError
        If there are masked entries, and NaN is not allowed.
    """
    if not isinstance(X, np.ma.MaskedArray):
        return X
    if not np.ma.is_masked(X):
        return X.data
    if allow_nan:
        return np.ma.filled(X.astype(np.float64), np.nan)
    raise ValueError(
        f"{name} is a masked array with {np.count_nonzero(X.mask)} masked entries, and missing "
        f"numbers are not accepted here. Fill them, with {name}.filled(value) for example, or "
        "leave such rows out. Rows with missing values need missing='mask'."
    )


def _samples_of_a_dataset(X: Any) -> bool:
    """Whether X is a list of (sample, label) or (sample,), as scikit-learn makes of a Dataset."""
    return (
        isinstance(X, list)
        and bool(X)
        and all(isinstance(v, tuple) and v and isinstance(v[0], torch.Tensor) for v in X)
    )


def _refuse_what_is_no_number(X: Any) -> None:
    """Refuse text, categories and dates, name the column, and say what to do about it."""
    if hasattr(X, "iloc") and getattr(X, "ndim", 0) == 2:
        for number, (name, dtype) in enumerate(zip(X.columns, X.dtypes, strict=True)):
            found = _no_number(X.iloc[:, number])
            if found is not None:
                raise _not_numbers(f"Column {name!r} of X ({dtype})", found, X.shape[1] == 1)
        return
    if isinstance(X, list) or getattr(X, "ndim", 0) == 1:
        first = next(iter(X), None)
        if isinstance(first, str) or hasattr(first, "GetAtoms"):
            raise _not_numbers("X", first, True)


def _no_number(column: Any) -> Any:
    """The first entry of a column of a data frame that is not a number, or None."""
    categories = getattr(column.dtype, "categories", None)
    kind = (column.dtype if categories is None else categories.dtype).kind
    if kind in "biufc":
        return None
    for entry in column:
        if is_missing(entry):
            continue
        # Text that spells a number is one, as for scikit-learn, except as a category.
        if kind in "mM" or categories is not None and isinstance(entry, str):
            return entry
        try:
            float(entry)
        except (TypeError, ValueError):
            return entry
    return None


def _not_numbers(where: str, found: Any, one_column: bool) -> ValueError:
    what = "text" if isinstance(found, str) else type(found).__name__
    may_be_molecule = one_column and (isinstance(found, str) or hasattr(found, "GetAtoms"))
    return ValueError(
        f"{where} holds {what}, such as {str(found)[:40]!r}, but X takes numbers "
        "only: bool, integer or float. For categories in a frame use "
        "likelihood=[('categorical', columns), ('auto', other_columns)], or encode them, for "
        "example with sklearn.preprocessing.OneHotEncoder. Turn dates into numbers, such as days, "
        "or leave the column out." + " For molecules use encoder='molecular_graph', or put "
        "skccvae.molecules.FingerprintTransformer() before the estimator." * may_be_molecule
    )


def validate_rows(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Check X as scikit-learn does, images included, and say what a wrong shape should be.

    Parameters
    ----------
    estimator : BaseEstimator
        Learns the specification of X (``n_features_in_``, ``feature_names_in_`` and ``_input``), or
        compares X with it.
    X : array-like, sparse or torch Dataset
        X as the user passed it. Tensors and arrays of other libraries become NumPy arrays here,
        and Arrow and polars tables become frames.
    reset : bool
        Whether the estimator sees data for the first time.

    Returns
    -------
    ndarray, sparse CSR or DatasetRows of shape (n, p)
        Numbers without infinity, and without NaN unless the likelihood accepts it. The rows of a
        Dataset are checked as they are read.
    """
    X = _without_decimals(as_frame(as_numpy(X)))
    encoder = estimator.encoder if reset else estimator._structure["encoder"]
    shape: tuple[int, ...] | None = None
    blocks, columns = wanted_blocks(estimator, X, reset=reset), None
    if blocks is not None:
        X, columns = mixed_rows(estimator, X, blocks, _number_rows, reset=reset)
    elif molecular_graph(encoder) is not None:
        X = molecule_rows(estimator, X, reset=reset)
    else:
        X, shape = _number_rows(estimator, X, reset=reset)
    if reset:
        estimator._input = InputSpec.learn(estimator, shape, columns)
    elif columns is not None:
        check_blocks(X, columns, estimator._structure["likelihood"], hard=False)
    else:
        check_units(X, estimator._likelihood_class(False), estimator._input.units.divisor)
    return X


def _number_rows(estimator: Any, X: Any, *, reset: bool) -> tuple[Any, tuple[int, ...] | None]:
    """Rows of numbers for `validate_rows`, and the shape of one sample if X holds images."""
    _refuse_what_is_no_number(X)
    kind, allow_nan = estimator._likelihood_class(reset), estimator._takes_nan(reset)
    allow_empty = (estimator.missing if reset else estimator._structure["missing"]) == "mask"
    if allow_empty and not has_terms(kind):
        raise ValueError(
            f"missing='mask' needs the log-probability of single columns, and {kind.__name__} "
            "overrides only that of a whole row. Let it define `log_prob_terms` or `distribution` "
            "in the same class, or use missing='error'."
        )
    X, shape = flatten_rows(without_mask(X, allow_nan=allow_nan), allow_nan, allow_empty)
    if sp.issparse(X) and not kind.accept_sparse:
        missing = ", with NaN for entries that are missing" if allow_nan else ""
        raise TypeError(
            f"likelihood={kind.name!r} needs a dense X: the entries that a sparse matrix leaves "
            f"out would all be read as 0. Use X.toarray(){missing}."
        )
    if not reset:
        estimator._input.check_shape(shape)
    mapped = is_memory_mapped(X)
    # scikit-learn 1.8 leaves a frame with columns of objects and of pandas' own types as objects.
    objects = hasattr(X, "iloc") and X.ndim == 2 and bool((X.dtypes == np.dtype(object)).any())
    X = _nan_for_missing(X)
    with _naming_the_parameter():
        X = validate_data(
            estimator,
            X,
            reset=reset,
            skip_check_array=isinstance(X, DatasetRows),
            accept_sparse="csr",
            dtype=np.float64 if objects else "numeric",
            order=None if mapped else "C",
            # scikit-learn's check of a memory map would read all of it into memory.
            ensure_all_finite=False if mapped else "allow-nan" if allow_nan else True,
            ensure_min_samples=1,
        )
    if X.dtype.kind in "mM" and X.shape[0]:
        raise _not_numbers("X", X[0, 0], False)
    if sp.issparse(X):
        X = _without_duplicates(X, allow_nan)
    if mapped and is_memory_mapped(X) and X.dtype.kind == "f":
        _check_finite(X, allow_nan)
    if allow_nan and not allow_empty and not isinstance(X, DatasetRows):
        _check_some_entry(X)
    return X, shape


def _has_odd_numbers(rows: NDArray[Any]) -> bool:
    """Whether rows of a list hold None, ``pandas.NA`` or decimals, which only objects can."""
    if rows.dtype != object or rows.ndim != 2:
        return False
    return any(is_missing(entry) or isinstance(entry, Decimal) for entry in rows.flat)


def _without_decimals(X: Any) -> Any:
    """X with floats in place of Arrow's decimals, if it is a frame that has some."""
    if hasattr(X, "iloc") and getattr(X, "ndim", 0) == 2:
        places = [k for k, kind in enumerate(X.dtypes) if is_decimal(kind)]
        if places:
            X = X.copy(deep=False)
            for place in places:
                X.isetitem(place, X.iloc[:, place].astype("Float64"))
    return X


def _nan_for_missing(X: Any) -> Any:
    """Objects with NaN for each None and ``pandas.NA``, which NumPy does not read as numbers."""

    def number(entry: Any) -> Any:
        return np.nan if is_missing(entry) else entry

    if hasattr(X, "iloc") and X.ndim == 2:
        places = np.flatnonzero(X.dtypes == np.dtype(object))
        if len(places):
            X = X.copy(deep=False)
            for place in places:
                X.isetitem(place, X.iloc[:, place].map(number))
        return X
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 2:
        return np.frompyfunc(number, 1, 1)(X)
    return X


@contextmanager
def _naming_the_parameter() -> Iterator[None]:
    """Add to scikit-learn's message about NaN the parameter that accepts it."""
    try:
        yield
    except ValueError as error:
        first, found, _ = str(error).partition("contains NaN.")
        if not found:
            raise
        raise ValueError(
            f"{first}contains NaN. If NaN is a value that was not observed, set missing='mask'. "
            "Otherwise leave such rows out, or fill them in with sklearn.impute.SimpleImputer, for "
            "example."
        ) from None


def _without_duplicates(X: Any, allow_nan: bool) -> Any:
    """Sparse CSR rows with one stored entry for each place. The user's rows stay as they are."""
    # A new object, because SciPy stores in a matrix whether it is canonical, and trusts that.
    rows = type(X)((X.data, X.indices, X.indptr), shape=X.shape)
    if rows.has_canonical_format:
        return X
    rows = rows.copy()
    rows.sum_duplicates()
    assert_all_finite(rows, input_name="X", allow_nan=allow_nan)  # a sum may overflow
    return rows


def _check_some_entry(X: np.ndarray) -> None:
    """Refuse rows that are all NaN, because there is nothing to learn from them."""
    if X.dtype.kind != "f":
        return
    empty = np.concatenate(
        [part.start + np.flatnonzero(np.isnan(X[part]).all(axis=1)) for part in row_slices(X)]
    )
    if empty.size:
        raise ValueError(
            f"X holds {empty.size} row(s) that are all NaN, the first at {int(empty[0])}; a row "
            "needs at least one number. Leave them out: X[~np.isnan(X).all(axis=1)]."
        )


def _check_finite(X: np.ndarray, allow_nan: bool = False) -> None:
    for part in row_slices(X):
        bad = np.isinf(X[part]) if allow_nan else ~np.isfinite(X[part])
        finite = ~bad.any(axis=1)
        if not finite.all():
            raise ValueError(
                f"Input X contains NaN or infinity, first in row {part.start + finite.argmin()}. "
                "Impute or leave out such rows, or set missing='mask' if NaN is a value that was "
                "not observed."
            )


def targets_for(X: Any, y: Any) -> Any:
    """The user's y, or the labels of a Dataset of ``(sample, label)`` tuples if y is None."""
    return X.labels() if y is None and isinstance(X, DatasetRows) else y


def check_objective(objective: str, free_bits: float) -> None:
    """Refuse free bits if the objective has no separate KL."""
    if objective == "iwae" and free_bits > 0:
        raise ValueError(
            f"free_bits={free_bits!r} has no meaning with objective='iwae', whose bound has no "
            "separate KL. Use free_bits=0 or objective='elbo'."
        )
