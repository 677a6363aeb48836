"""Convert Arrow and polars tables to pandas frames, and filled-in values back to such tables.

The estimators know only pandas frames. In these frames, an Arrow dictionary and a polars
Categorical or Enum become a category, and null is a missing value.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np


def as_frame(X: Any, name: str = "X") -> Any:
    """Convert a table of Arrow, polars or another exporter of Arrow streams to a pandas frame.

    Parameters
    ----------
    X : object
        Rows or targets, as the user passed them.
    name : str, default="X"
        Name of X in error messages.

    Returns
    -------
    object
        A DataFrame. Columns of whole numbers or bools with nulls get pandas' nullable types, and
        decimals become float64. If X is not such a table, or pandas or pyarrow is not installed, X
        itself: scikit-learn can read purely numeric tables without them.

    Raises
    ------
    TypeError
        If X is a query plan or a reader that has not yet become a table.
    ValueError
        If two columns of the rows have the same name. Targets may have such columns.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from skccvae._tables import as_frame
    >>> table = pa.table({"size": [1.5, None], "kind": pa.array(["a", "b"]).dictionary_encode()})
    >>> as_frame(table).dtypes.astype(str).tolist()
    ['float64', 'category']
    """
    if name != "y":
        _refuse_equal_names(X, name)
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
    # By default they would become floats, which round whole numbers, and objects.
    kinds = {
        kind: pd.api.types.pandas_dtype("boolean" if kind == pa.bool_() else _capitals(str(kind)))
        for kind in with_null
        if pa.types.is_integer(kind) or kind == pa.bool_()
    }
    return table.to_pandas(types_mapper=kinds.get)


def like_table(X: Any, before: Any, after: Any) -> Any:
    """A copy of a table in which columns with missing values are replaced by those of a frame.

    Parameters
    ----------
    X : object
        The table that the user passed.
    before : object
        The result of `as_frame` for X.
    after : object
        The same frame with the missing values filled in.

    Returns
    -------
    object
        ``after`` itself if X is not a table that `as_frame` converts. Columns keep their type,
        except columns of whole numbers or decimals that are filled with real numbers.
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
        column = column if real or pa.types.is_null(field.type) else column.cast(field.type)
        table = table.set_column(places[place], field.with_type(column.type), column)
    if hasattr(X, "with_columns"):
        changed = table.select([places[k] for k in np.flatnonzero(before.isna().any())])
        return X.with_columns(type(X)(changed).get_columns())
    return table.combine_chunks().to_batches()[0] if isinstance(X, pa.RecordBatch) else table


def _is_table(X: Any) -> bool:
    exports = hasattr(X, "__arrow_c_stream__") and not hasattr(X, "iloc")
    return exports and len(getattr(X, "shape", ())) == 2


def _refuse_equal_names(X: Any, name: str) -> None:
    """Raise if two columns of a table have the same name."""
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        names = list(X.columns)
    else:
        names = list(getattr(X, "column_names", None) or ()) if _is_table(X) else []
    twice = [column for column, n in Counter(names).items() if n > 1]
    if twice:
        shown = ", ".join(map(repr, twice[:5])) + ", ..." * (len(twice) > 5)
        raise ValueError(
            f"{name} must have columns of different names, but several are called {shown}. Rename "
            f"them, or pass an array such as {name}.to_numpy(), whose columns have no names."
        )


def _refuse_what_is_no_table_yet(X: Any, name: str) -> None:
    kind = type(X).__name__
    if hasattr(X, "collect") and hasattr(X, "collect_schema"):
        raise TypeError(f"{name} is a {kind}, a query plan without rows. Pass {name}.collect().")
    if hasattr(X, "to_table") and (hasattr(X, "schema") or hasattr(X, "dataset_schema")):
        raise TypeError(
            f"{name} is a {kind}, whose rows have not been read. Pass {name}.to_table()."
        )
    if hasattr(X, "read_all") and hasattr(X, "schema"):
        raise TypeError(
            f"{name} is a {kind}, whose rows have not been read. Pass {name}.read_all()."
        )


def _as_arrow(X: Any, pa: Any, decimals: bool = False) -> Any:
    """Convert to an Arrow table. Decimals become float64 unless ``decimals`` is true."""
    # polars exports its own text layout, which some versions of pyarrow cannot convert.
    table = X.to_arrow() if hasattr(X, "to_arrow") else pa.table(X)
    if decimals:
        return table
    kinds = [pa.float64() if pa.types.is_decimal(k) else k for k in table.schema.types]
    pairs = zip(table.schema, kinds, strict=True)
    return table.cast(pa.schema([f.with_type(k) for f, k in pairs], table.schema.metadata))


def _capitals(kind: str) -> str:
    """The name of pandas' nullable type for the name of an Arrow type of whole numbers."""
    return kind.replace("int", "Int").replace("u", "U")
