"""Dtypes of a frame's columns as text for files, and columns with these dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skccvae._labels import is_missing

# Columns of objects whose numbers are all of one kind, which their dtype does not say.
_BOOLS, _WHOLE = "object of bools", "object of whole numbers"


def holds_bools(column: Any) -> bool:
    """Whether a column of a frame holds only True and False."""
    if getattr(column.dtype, "kind", "O") == "b":
        return True
    if column.dtype != np.dtype(object):
        return False
    known = [entry for entry in column if not is_missing(entry)]
    return bool(known) and all(isinstance(entry, bool | np.bool_) for entry in known)


def is_decimal(dtype: Any) -> bool:
    """Whether a dtype is pandas' form of Arrow's decimals."""
    return str(getattr(dtype, "pyarrow_dtype", "")).startswith("decimal")


def dtype_text(column: Any) -> str:
    """The dtype of a column as text, which `dtype_of` reads."""
    if column.dtype == np.dtype(object):
        if holds_bools(column):
            return _BOOLS
        known = [entry for entry in column if not is_missing(entry)]
        whole = bool(known) and all(isinstance(entry, Integral) for entry in known)
        return _WHOLE if whole else "object"
    return _text(column.dtype)


def is_category(text: str) -> bool:
    """Whether a text stands for a category dtype."""
    return text.startswith("category ")


def _text(dtype: Any) -> str:
    if hasattr(dtype, "categories") and hasattr(dtype, "ordered"):
        order = "ordered" if dtype.ordered else "unordered"
        return f"category {order} {_text(dtype.categories.dtype)}"
    if hasattr(dtype, "storage") and dtype.name == "string":
        return f"string[{dtype.storage}]"
    if hasattr(dtype, "subtype") and hasattr(dtype, "fill_value"):  # sparse; the result is dense
        return str(dtype.subtype)
    import pandas as pd  # installed, because this is a dtype of its frames

    try:
        pd.api.types.pandas_dtype(str(dtype))
    except (TypeError, NotImplementedError):  # such as Arrow's dictionaries
        return "object"
    return str(dtype)


def dtype_of(text: str, levels: Sequence[Any]) -> Any:
    """The dtype that a text stands for. A category dtype gets these levels."""
    import pandas as pd

    if is_category(text):
        _, order, inner = text.split(" ", 2)
        categories = pd.Index(list(levels), dtype=dtype_of(inner, ()))
        return pd.CategoricalDtype(categories, ordered=order == "ordered")
    return pd.api.types.pandas_dtype("object" if text in (_BOOLS, _WHOLE) else text)


def numbers_of(values: NDArray[Any], dtype: Any, text: str) -> NDArray[Any]:
    """Numbers as a column takes them: rounded if it holds whole numbers, and within its range.

    ``text`` is the result of `dtype_text` for the column in `fit`.
    """
    kind = getattr(dtype, "kind", "O")
    if kind == "b":
        return values > 0.5
    if kind in "iu":
        limits = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
        whole = np.rint(values.astype(np.float64))
        low, high = float(limits.min), np.nextafter(float(limits.max), 0.0)
        high = high if limits.bits > 32 else float(limits.max)
        return whole.clip(low, high).astype(limits.dtype)
    if kind == "f":
        return values.astype(getattr(dtype, "numpy_dtype", dtype))
    if text in (_BOOLS, "bool", "boolean"):
        return (values > 0.5).astype(object)
    if text == _WHOLE or text.lower().startswith(("int", "uint")):
        return np.rint(values.astype(np.float64)).astype(np.int64).astype(object)
    return values
