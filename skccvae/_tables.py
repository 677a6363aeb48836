"""Tables of Arrow and polars as pandas frames, and what is filled in back in their own kind.

The estimators know one kind of frame, that of pandas. A dictionary of Arrow, like a Categorical or
an Enum of polars, is a category there, and null is a missing value.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def as_frame(X: Any, name: str = "X") -> Any:
    """A table of Arrow, polars or another library that exports Arrow's stream, as a pandas frame.

    Parameters
    ----------
    X : object
        What a user passes as rows or targets.
    name : str, default="X"
        What errors call it.

    Returns
    -------
    object
        A DataFrame, in which types of whole numbers and bools that have nulls are those of pandas
        that know missing values, and decimals are float64. X itself if it is no such table, or if
        pandas or pyarrow is not installed: scikit-learn reads tables of numbers alone without.

    Raises
    ------
    TypeError
        If X is a plan or a reader of a table, and no table yet.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from skccvae._tables import as_frame
    >>> table = pa.table({"size": [1.5, None], "kind": pa.array(["a", "b"]).dictionary_encode()})
    >>> as_frame(table).dtypes.astype(str).tolist()
    ['float64', 'category']
    """
    if not _is_table(X):
        _refuse_what_is_no_table_yet(X, name)
        return X
    try:
        import pandas as pd
        import pyarrow as pa
    except ImportError:
        return X
    table = _as_arrow(X, pa)
    with_null = {
        kind
        for kind, column in zip(table.schema.types, table.columns, strict=True)
        if column.null_count
    }
    # pandas' default for them are floats, which round whole numbers, and objects.
    kinds = {
        kind: pd.api.types.pandas_dtype("boolean" if kind == pa.bool_() else _capitals(str(kind)))
        for kind in with_null
        if pa.types.is_integer(kind) or kind == pa.bool_()
    }
    return table.to_pandas(types_mapper=kinds.get)


def like_table(X: Any, before: Any, after: Any) -> Any:
    """A copy of a table in which the columns that had missing values are those of a frame.

    Parameters
    ----------
    X : object
        What the user passed.
    before : object
        What `as_frame` has made of it.
    after : object
        The same, filled in.

    Returns
    -------
    object
        ``after`` itself if X was no such table. Columns keep their type, except for whole numbers
        and decimals in which real numbers are filled in.
    """
    if before is X:
        return after
    import pyarrow as pa

    table = _as_arrow(X, pa, decimals=True)
    places = [k for k, n in enumerate(table.schema.names) if n in set(before.columns)]
    for place in np.flatnonzero(before.isna().any()).tolist():
        field = table.schema.field(places[place])
        column = pa.array(after.iloc[:, place], from_pandas=True)
        real = pa.types.is_floating(column.type) and not pa.types.is_floating(field.type)
        column = column if real else column.cast(field.type)
        table = table.set_column(places[place], field.with_type(column.type), column)
    if hasattr(X, "with_columns"):
        changed = table.select([places[k] for k in np.flatnonzero(before.isna().any())])
        return X.with_columns(type(X)(changed).get_columns())
    return table.combine_chunks().to_batches()[0] if isinstance(X, pa.RecordBatch) else table


def _is_table(X: Any) -> bool:
    exports = hasattr(X, "__arrow_c_stream__") and not hasattr(X, "iloc")
    return exports and len(getattr(X, "shape", ())) == 2


def _refuse_what_is_no_table_yet(X: Any, name: str) -> None:
    kind = type(X).__name__
    if hasattr(X, "collect") and hasattr(X, "collect_schema"):
        raise TypeError(f"{name} is a {kind}, a plan without rows. Pass {name}.collect().")
    if hasattr(X, "to_table") and (hasattr(X, "schema") or hasattr(X, "dataset_schema")):
        raise TypeError(f"{name} is a {kind}, whose rows are not read yet. Pass {name}.to_table().")
    if hasattr(X, "read_all") and hasattr(X, "schema"):
        raise TypeError(f"{name} is a {kind}, whose rows are not read yet. Pass {name}.read_all().")


def _as_arrow(X: Any, pa: Any, decimals: bool = False) -> Any:
    """A table of Arrow; decimals as float64 unless they are wanted."""
    # polars exports its own layout of text, which not all versions of pyarrow convert.
    table = X.to_arrow() if hasattr(X, "to_arrow") else pa.table(X)
    if decimals:
        return table
    kinds = [pa.float64() if pa.types.is_decimal(k) else k for k in table.schema.types]
    pairs = zip(table.schema, kinds, strict=True)
    return table.cast(pa.schema([f.with_type(k) for f, k in pairs], table.schema.metadata))


def _capitals(kind: str) -> str:
    """Arrow's name of a type of whole numbers as pandas' name of the one that knows NA."""
    return kind.replace("int", "Int").replace("u", "U")
