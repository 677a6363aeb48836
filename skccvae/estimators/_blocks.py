"""Which likelihood describes which columns, and how a list of likelihoods reads rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from skccvae._labels import is_measured
from skccvae._sklearn import get_column_indices
from skccvae.estimators._columns import MixedColumns, holds_text
from skccvae.estimators._frame_dtypes import holds_bools
from skccvae.estimators._molecules import molecular_graph
from skccvae.estimators._units import check_support, check_units, choose_likelihood, make_scaling
from skccvae.nn import (
    LIKELIHOODS,
    CategoricalLikelihood,
    Likelihood,
    MixedLikelihood,
    has_terms,
)
from skccvae.training import DatasetRows, RowScaling

Blocks = Sequence[tuple[Any, Any]]
_CATEGORICAL = CategoricalLikelihood.name
# A column with at most this many levels is never taken for identifiers.
_SURELY_LEVELS = 20


def wanted_blocks(estimator: Any, X: Any, *, reset: bool) -> Blocks | None:
    """The list of likelihoods that an estimator asks for, or None for a single likelihood.

    Parameters
    ----------
    estimator : BaseEstimator
        With ``likelihood="auto"`` the dtypes of a frame decide: category and text columns are
        categorical, bool columns are Bernoulli, and the other columns get the likelihood that they
        would get on their own.
    X : object
        X as the user passed it.
    reset : bool
        Whether the estimator sees data for the first time.
    """
    if not reset:
        # The likelihoods are known. The caller only needs to see that there are some.
        return () if estimator._input.columns is not None else None
    likelihood = estimator.likelihood
    if isinstance(likelihood, list | tuple):
        return likelihood
    wanted = isinstance(likelihood, str) and likelihood == "auto" and estimator.binarize is None
    frame = hasattr(X, "iloc") and getattr(X, "ndim", 0) == 2
    network = isinstance(estimator.encoder, str) and estimator.encoder != "mlp"
    if not (wanted and frame) or network or molecular_graph(estimator.encoder) is not None:
        return None
    category = X.shape[1] == 1 and hasattr(X.dtypes.iloc[0], "categories")
    if (X.shape[1] < 2 and not category) or estimator.image_shape is not None:
        return None  # a lone column of text may be molecules: validation says what to do
    columns = [X.iloc[:, place] for place in range(X.shape[1])]
    text = [holds_text(column) for column in columns]
    bools = [not t and holds_bools(c) for t, c in zip(text, columns, strict=True)]
    numbers = [not (t or b) for t, b in zip(text, bools, strict=True)]
    if not any(text) and (not any(bools) or not any(numbers)):
        return None
    for name, column, is_text in zip(X.columns, columns, text, strict=True):
        if is_text:
            _refuse_identifiers(name, column)
            _warn_of_numbers(name, column)
    kinds = (("auto", numbers), ("bernoulli", bools), (_CATEGORICAL, text))
    return [(name, np.flatnonzero(mask).tolist()) for name, mask in kinds if any(mask)]


def _refuse_identifiers(name: Any, column: Any) -> None:
    """Refuse a column that looks like identifiers and was not declared to be categorical."""
    if hasattr(column.dtype, "categories"):
        return
    n_levels = column.nunique()
    if n_levels > _SURELY_LEVELS and 2 * n_levels > len(column):
        raise ValueError(
            f"Column {name!r} of X holds {n_levels} different texts in {len(column)} rows. It "
            "looks like an identifier, from which nothing can be learned. Leave it out. If it is "
            f"not an identifier, make its dtype 'category': X.astype({{{name!r}: 'category'}}). If "
            f"it holds numbers as text, convert them: pandas.to_numeric(X[{name!r}])."
        )


def _warn_of_numbers(name: Any, column: Any) -> None:
    """Warn of a column of text that seems to hold measured numbers."""
    if hasattr(column.dtype, "categories"):
        return
    import pandas as pd  # installed, because this is a column of its frames

    numbers = np.asarray(pd.to_numeric(column.astype(object), errors="coerce"), dtype=np.float64)
    numbers = numbers[~np.isnan(numbers)]
    if len(numbers) > 0.9 * column.notna().sum() and is_measured(numbers):
        warnings.warn(
            f"Column {name!r} of X is text, so its {column.nunique()} different entries are read "
            "as levels of a category. If they are measured numbers, convert them: "
            f"pandas.to_numeric(X[{name!r}], errors='coerce') makes NaN of what is no number.",
            UserWarning,
            stacklevel=2,
        )


def mixed_rows(
    estimator: Any, X: Any, blocks: Blocks, number_rows: Callable[..., Any], *, reset: bool
) -> tuple[Any, MixedColumns]:
    """Rows of a table for `validate_rows`, and what is known about its columns.

    Parameters
    ----------
    estimator : BaseEstimator
        Learns the names of the columns, or compares them with those of `fit`.
    X : frame or array-like of shape (n, p)
        X as the user passed it.
    blocks : sequence of (str or type, columns)
        The list of likelihoods. It is not read if ``reset`` is False.
    number_rows : callable
        Validates rows of numbers.
    reset : bool
        Whether the estimator sees data for the first time.

    Returns
    -------
    rows : ndarray of shape (n, p), float64
        Rows of numbers. In categorical columns these are the numbers of the levels.
    columns : MixedColumns
    """
    if reset:
        _check_settings(estimator)
    allow_nan = estimator._takes_nan(reset)
    X = _with_text(X)
    frame = hasattr(X, "iloc") and X.ndim == 2

    def columns_of(table: Any) -> MixedColumns:
        if not reset:
            return estimator._input.columns
        names, block = _read_blocks(blocks, table, estimator.missing == "mask")
        return MixedColumns.learn(table, names, block)

    if frame or isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 2:
        # The names and the number of columns come first, because levels are looked up by place.
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        if 0 not in X.shape:
            columns = columns_of(X)
            rows, _ = number_rows(estimator, columns.coded(X, allow_nan), reset=reset)
            return rows.astype(np.float64), columns
    rows, shape = number_rows(estimator, X, reset=reset)
    if shape is not None or isinstance(rows, DatasetRows) or sp.issparse(rows):
        raise TypeError(
            "A list of likelihoods describes the columns of a table: a frame or an array of shape "
            f"(n_samples, n_features). X is {type(X).__name__}."
        )
    columns = columns_of(rows)
    return columns.coded(rows, allow_nan), columns


def _with_text(X: Any) -> Any:
    """A list of rows that contain text, as an array of objects. Anything else is returned as is."""
    if isinstance(X, list) and any(
        isinstance(entry, str) for row in X if isinstance(row, list | tuple) for entry in row
    ):
        return np.array(X, dtype=object)
    return X.astype(object) if isinstance(X, np.ndarray) and X.dtype.kind in "US" else X


def _check_settings(estimator: Any) -> None:
    """Refuse settings that have no meaning with a list of likelihoods."""
    for name, wanted in (("binarize", None), ("image_shape", None)):
        if getattr(estimator, name) is not wanted:
            raise ValueError(
                f"{name}={getattr(estimator, name)!r} has no meaning with a list of likelihoods, "
                f"which describes the columns of a table. Use {name}={wanted!r}."
            )
    for name in ("encoder", "decoder"):
        value = getattr(estimator, name)
        if isinstance(value, str) and value != "mlp" or molecular_graph(value) is not None:
            raise ValueError(
                f"{name}={value!r} has no meaning with a list of likelihoods, which describes the "
                f"columns of a table. Use {name}='mlp' or a network of your own."
            )


def _read_blocks(blocks: Blocks, X: Any, masked: bool) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Name of the likelihood of each block, and the block of each column."""
    names = [_block_name(number, entry, masked) for number, entry in enumerate(blocks)]
    block = np.full(X.shape[1], -1, dtype=np.int64)
    labels = list(X.columns) if hasattr(X, "iloc") else list(range(X.shape[1]))
    for number, (_, columns) in enumerate(blocks):
        try:
            chosen = columns(X) if callable(columns) else columns
            places = get_column_indices(X, chosen)
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise ValueError(
                f"likelihood[{number}] asks for the columns {columns!r}, which X does not have: "
                f"{error}"
            ) from error
        for place in np.atleast_1d(np.asarray(places, dtype=np.int64)):
            if block[place] >= 0:
                raise ValueError(
                    f"likelihood describes column {labels[place]!r} twice, in its entries "
                    f"{int(block[place])} and {number}. Name each column once."
                )
            block[place] = number
    if (block < 0).any():
        left = [labels[place] for place in np.flatnonzero(block < 0)]
        raise ValueError(
            f"likelihood does not describe column {left[0]!r} ({len(left)} of {len(block)} columns "
            "are left out). Name each column once, with ('auto', columns) for numbers of any kind, "
            "or drop it from X."
        )
    return tuple(names), block


def _block_name(number: int, entry: Any, masked: bool) -> str:
    """Check an entry of the list, and return the name of its likelihood."""
    if not isinstance(entry, list | tuple) or len(entry) != 2:
        raise TypeError(
            "likelihood must be a list of pairs of a likelihood and its columns, such as "
            f"[('gaussian', ['a', 'b']), ('categorical', ['c'])]; its entry {number} is {entry!r}."
        )
    kind = entry[0]
    if isinstance(kind, str):
        known = ("auto", *LIKELIHOODS, _CATEGORICAL)
        if kind not in known:
            raise ValueError(
                f"likelihood[{number}] must name one of {', '.join(map(repr, known))}; got "
                f"{kind!r}."
            )
        return kind
    if not (isinstance(kind, type) and issubclass(kind, Likelihood)) or kind in (
        Likelihood,
        MixedLikelihood,
    ):
        raise TypeError(
            f"likelihood[{number}] must name a likelihood or be a subclass of "
            f"skccvae.nn.Likelihood (the class, not an instance); got {kind!r}."
        )
    if masked and not has_terms(kind):
        raise ValueError(
            f"missing='mask' needs the log-probability of single columns, and {kind.__name__} "
            "overrides only that of a whole row. Let it define `log_prob_terms`."
        )
    return LIKELIHOODS[kind.name].name if kind in LIKELIHOODS.values() else kind.name


# --- rows in model units --------------------------------------------------------------------------


def _block_class(columns: MixedColumns, number: int, likelihood: Any) -> Any:
    """Class of the likelihood of a block, or ``"auto"``."""
    name = columns.names[number]
    known = {**LIKELIHOODS, _CATEGORICAL: CategoricalLikelihood, "auto": "auto"}
    if name in known:
        return known[name]
    return likelihood[number][0]


def _blocks(columns: MixedColumns) -> list[tuple[int, NDArray[np.int64]]]:
    """The numbers of the blocks that have columns, with their columns."""
    pairs = ((k, np.flatnonzero(columns.block == k)) for k in range(len(columns.names)))
    return [(number, places) for number, places in pairs if len(places)]


def mixed_units(
    X: NDArray[np.float64], columns: MixedColumns, likelihood: Any, weights: Any
) -> tuple[MixedColumns, RowScaling]:
    """Settle what the rows decide: likelihoods that are "auto", shares of levels, and units.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Rows whose levels are numbers.
    columns : MixedColumns
        The columns as learned from the user's X.
    likelihood : object
        The parameter of the estimator, which may hold the user's own classes.
    weights : ndarray of shape (n,) or None
        Weights of the rows.
    """
    p, names = X.shape[1], list(columns.names)
    center, scale, constant = np.zeros(p), np.ones(p), np.zeros(p, dtype=bool)
    told, shares = np.ones(p), {}
    for number, places in _blocks(columns):
        part = np.ascontiguousarray(X[:, places])
        kind = _block_class(columns, number, likelihood)
        if kind is CategoricalLikelihood:
            for place in places:
                shares[place] = _shares(X[:, place], len(columns.levels[place]), weights)
            continue
        if np.isnan(part).all():
            raise ValueError(
                f"No value was observed in X's columns {places.tolist()} (counted from 0), which "
                f"have their own likelihood ({names[number]!r}). Leave them out."
            )
        kind, _ = choose_likelihood(part, kind, None)
        names[number] = kind.name
        units = make_scaling(part, kind, 1.0, None, weights)
        if units.center is not None:
            center[places], scale[places] = units.center, units.scale
            constant[places] = units.constant
        if units.scale is not None:
            told[places] = units.scale
    flat = np.concatenate([shares[place] for place in sorted(shares)] or [np.empty(0)])
    known = replace(columns, names=tuple(names), shares=flat, scale=told)
    return known, RowScaling(1.0, center, scale, constant)


def _shares(codes: NDArray[np.float64], n: int, weights: Any) -> NDArray[np.float64]:
    known = ~np.isnan(codes)
    part = None if weights is None else weights[known]
    counts = np.bincount(codes[known].astype(np.int64), part, minlength=n).astype(np.float64)
    return counts / counts.sum() if counts.sum() else np.full(n, 1.0 / n)


def mixed_likelihood(columns: MixedColumns, likelihood: Any) -> MixedLikelihood:
    """The likelihood of all columns together, for the model."""
    ends = np.cumsum([len(levels) for levels in columns.levels])
    parts, blocks = [], []
    for number, places in _blocks(columns):
        kind: Any = _block_class(columns, number, likelihood)
        if kind is CategoricalLikelihood:
            ranges = [(ends[place] - len(columns.levels[place]), ends[place]) for place in places]
            shares = [torch.from_numpy(columns.shares[first:last]) for first, last in ranges]
            parts.append(kind(len(places), shares=shares))
        else:
            told = columns.scale[places]
            unit = kind.scaling in ("columns", "shared") or (told != 1).any()
            parts.append(kind(len(places), torch.from_numpy(told) if unit else None))
        blocks.append(places.tolist())
    return MixedLikelihood(parts, blocks)


def check_blocks(
    X: NDArray[np.float64], columns: MixedColumns, likelihood: Any, hard: bool
) -> None:
    """Refuse rows outside the support of a likelihood. If not ``hard``, allow small excursions."""
    for number, places in _blocks(columns):
        kind = _block_class(columns, number, likelihood)
        if kind is CategoricalLikelihood:
            continue
        part = np.ascontiguousarray(X[:, places])
        if hard:
            check_support(part, kind, 1.0)
        else:
            check_units(part, kind, 1.0)


def saved_blocks(estimator: Any) -> list[tuple[Any, list[Any]]]:
    """The list of likelihoods that a fitted estimator was given, with columns by name or place.

    Slices, masks and functions would select other columns in another frame, and files hold no code.
    An entry without columns stays, so that all entries keep their numbers.
    """
    spec = estimator._input
    return [
        (kind, _labels(spec, np.flatnonzero(spec.columns.block == number)))
        for number, (kind, _) in enumerate(estimator._structure["likelihood"])
    ]


def chosen_blocks(estimator: Any) -> list[tuple[Any, list[Any]]]:
    """The list of likelihoods that a fitted estimator uses, with each "auto" resolved."""
    spec, given = estimator._input, estimator._structure["likelihood"]
    found = []
    for number, places in _blocks(spec.columns):
        name = spec.columns.names[number]
        own = name not in LIKELIHOODS and name != _CATEGORICAL
        found.append((given[number][0] if own else name, _labels(spec, places)))
    return found


def _labels(spec: Any, places: NDArray[np.int64]) -> list[Any]:
    names = spec.column_names
    return [int(place) if names is None else names[place] for place in places]
