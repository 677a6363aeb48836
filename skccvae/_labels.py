"""Read the labels in y from any container, with any marker for missing labels."""

from __future__ import annotations

import warnings
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from skccvae._array_api import as_numpy
from skccvae._tables import as_frame


class Labels(NamedTuple):
    """One target of y.

    Attributes
    ----------
    values : ndarray of shape (n_known,)
        The labels that are not missing: numbers, bools or text.
    known : ndarray of shape (n,), bool
        The rows that have a label.
    """

    values: np.ndarray
    known: np.ndarray


def read_labels(y: Any, n_rows: int) -> list[Labels]:
    """Split y into targets, and separate known labels from missing ones.

    NaN, None, NaT, ``pandas.NA`` and masked entries count as missing, in any container.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or (n_rows, n_targets)
        A list, an array, a masked array, a Series or a data frame.
    n_rows : int
        Number of rows that y should have.

    Returns
    -------
    list of Labels
        One for each target.

    Raises
    ------
    ValueError
        If y has another shape, or a target mixes kinds of labels or contains something other than
        numbers, bools or text.
    """
    # Column by column, because in one array a column of text would turn the numbers into objects.
    y = as_frame(y, "y")
    frame = hasattr(y, "iloc") and y.ndim == 2
    array = y if frame else _as_array(y)
    shape = array.shape
    if len(shape) not in (1, 2) or shape[0] != n_rows or 0 in shape[1:]:
        raise ValueError(f"y must have shape ({n_rows},) or ({n_rows}, n_targets); got {shape}.")
    if frame:
        columns = [np.asarray(y.iloc[:, number]) for number in range(shape[1])]
    else:
        columns = list(array.reshape(n_rows, -1).T)
    return [_read_column(column, number) for number, column in enumerate(columns)]


def is_measured(values: np.ndarray) -> bool:
    """Whether the labels of a target are measured numbers rather than names of classes.

    Fractions are measured. Whole numbers are measured if they take many values, that is, more than
    20 and more than a tenth of the number of labels. Digits from 0 to 9 are classes, but counts up
    to 1000 are not.
    """
    if values.dtype.kind not in "fiu":
        return False
    if (values != np.round(values)).any():
        return True
    return len(np.unique(values)) > max(20, 0.1 * len(values))


def warn_of_many_classes(values: np.ndarray, number: int) -> None:
    """Warn about numbers given as text, and whenever scikit-learn's classifiers would warn."""
    if values.dtype.kind != "U":
        return
    classes = np.unique(values)
    try:
        suspicious = is_measured(values.astype(np.float64))
    except ValueError:  # text that is not a number
        suspicious = len(values) > 20 and len(classes) > round(0.5 * len(values))
    if suspicious:
        warnings.warn(
            f"Target {number} of y is text, so its {len(values)} labels are read as "
            f"{len(classes)} classes, such as {str(classes[0])!r}. If they are measured numbers, "
            "convert them: y.astype(float).",
            UserWarning,
            stacklevel=3,
        )


def _as_array(y: Any) -> np.ndarray:
    y = as_numpy(y)
    if isinstance(y, np.ma.MaskedArray):
        array = np.array(y.data, dtype=object)
        array[np.ma.getmaskarray(y)] = None
        return array
    array = np.asarray(y)
    # In an array of text made from a list, NaN and numbers become text.
    from_list = array.dtype.kind in "US" and not hasattr(y, "dtype")
    return np.asarray(y, dtype=object) if from_list else array


def _read_column(column: np.ndarray, number: int) -> Labels:
    known = np.ones(column.shape, dtype=bool)
    if column.dtype.kind == "f":
        known = ~np.isnan(column)
    elif column.dtype.kind == "O":
        known = np.array([not is_missing(label) for label in column], dtype=bool)
    values = column[known]
    if column.dtype.kind == "O":
        values = _of_one_kind(values, number)
    if values.dtype.kind not in "biufU":
        raise _wrong_kind(values.dtype.name, number)
    return Labels(values, known)


def is_missing(label: Any) -> bool:
    """Whether a label or an entry is None, NaN, NaT or pandas.NA."""
    try:
        return label is None or bool(label != label)  # NaN and NaT differ from themselves
    except TypeError:  # pandas.NA is neither true nor false
        return True
    except ValueError:  # an array, which `_of_one_kind` rejects
        return False


def _of_one_kind(values: np.ndarray, number: int) -> np.ndarray:
    """Convert objects to an array of numbers, bools or text."""
    labels = [v.item() if isinstance(v, np.generic) else v for v in values]
    if all(isinstance(label, bool) for label in labels):
        return np.array(labels, dtype=bool)
    if all(isinstance(label, str) for label in labels):
        return np.array(labels, dtype=str)
    if all(isinstance(label, Real | Decimal) and not isinstance(label, bool) for label in labels):
        numbers = np.array(labels)
        return numbers if numbers.dtype.kind in "iuf" else numbers.astype(np.float64)
    raise _wrong_kind(" and ".join(sorted({type(label).__name__ for label in labels})), number)


def _wrong_kind(found: str, number: int) -> ValueError:
    return ValueError(
        f"Target {number} of y holds {found}; expected numbers, bools or class names as text, not "
        "a mixture, with NaN or None for rows without a label. Convert dates to numbers, such as "
        "days."
    )
