"""Reading rows that may be in a file, without keeping its pages in memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

# Number of entries (not rows) in a slice.
_NUMBERS = 2**20


def memory_map(array: Any) -> np.memmap | None:
    """The ``numpy.memmap`` that an array is, or is a view of.

    scikit-learn's validation turns a ``numpy.memmap`` into a plain view of it.

    Parameters
    ----------
    array : ndarray
        Any array.

    Returns
    -------
    numpy.memmap or None
        None for an array in memory.
    """
    while array is not None:
        if isinstance(array, np.memmap):
            return array
        array = getattr(array, "base", None)
    return None


def is_memory_mapped(array: Any) -> bool:
    """Whether an array, or the array of which it is a view, is in a file on disk.

    Parameters
    ----------
    array : ndarray
        Any array.

    Returns
    -------
    bool
        True for a ``numpy.memmap`` and for its views.
    """
    return memory_map(array) is not None


class MappedRows:
    """Some rows of a memory map, read from the file only when they are requested.

    Parameters
    ----------
    array : ndarray of shape (n, p)
        A memory map, or a view of one.
    numbers : ndarray of int, shape (k,)
        The positions of the rows, in ascending order.
    """

    ndim = 2
    # Without this, NumPy would read the rows one by one.
    __array_ufunc__ = None

    def __init__(self, array: np.ndarray, numbers: np.ndarray) -> None:
        self.base = array  # where `memory_map` looks
        self.numbers = numbers
        self.shape = (len(numbers), array.shape[1])
        self.size = self.shape[0] * self.shape[1]
        self.dtype = array.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """Rows at a slice or an index array, or one row."""
        return np.asarray(self.base[self.numbers[index]])


def release_pages(array: Any) -> None:
    """Release the pages that this process has read from a memory map.

    They count as memory of the process until the system needs the space, so after a pass the whole
    file would seem to be in memory. The system's own cache keeps the pages, so it is cheap to read
    them again.

    Parameters
    ----------
    array : ndarray
        Any array. Nothing happens to an array in memory, or to a map whose changes are private to
        the process (mode "c").
    """
    mapped = memory_map(array)
    if mapped is None or mapped.mode == "c" or not hasattr(mmap, "MADV_DONTNEED"):
        return
    pages = getattr(mapped, "_mmap", None)
    if pages is not None:
        pages.madvise(mmap.MADV_DONTNEED)


def row_slices(X: Any) -> Iterator[slice]:
    """Slices of rows that cover X, each small enough for memory.

    Parameters
    ----------
    X : array of shape (n, p)
        A dense array in memory or in a file, or a `DatasetRows`.

    Yields
    ------
    slice
        The slices depend only on the shape, so sums over them do not depend on where X is stored.
    """
    step = max(1, _NUMBERS // X.shape[1])
    for start in range(0, X.shape[0], step):
        yield slice(start, min(start + step, X.shape[0]))
        release_pages(X)


def column_limits(X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest entry of each column, slice by slice.

    Parameters
    ----------
    X : array of shape (n, p)
        As for `row_slices`.

    Returns
    -------
    low, high : ndarray of shape (p,)
        They have the dtype of X. NaN is ignored in columns that have other numbers.
    """
    low = high = X[0]
    for part in row_slices(X):
        rows = X[part]
        low = np.fmin(low, _ends(rows, np.minimum, np.fmin))
        high = np.fmax(high, _ends(rows, np.maximum, np.fmax))
    return low, high


def _ends(rows: np.ndarray, fast: np.ufunc, careful: np.ufunc) -> np.ndarray:
    """Ends of columns. The function that ignores NaN is slower and only runs if there is a NaN."""
    found = fast.reduce(rows, axis=0)
    if found.dtype.kind == "f" and np.isnan(found).any():
        found = careful.reduce(rows, axis=0)
    return found
