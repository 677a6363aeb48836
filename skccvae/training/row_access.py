"""Going through rows that may lie in a file, without keeping its pages."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

# Numbers of rows that are looked through at once.
_NUMBERS = 2**20


def memory_map(array: Any) -> np.memmap | None:
    """The ``numpy.memmap`` that an array is, or is a view of.

    Parameters
    ----------
    array : ndarray
        Validation turns a ``numpy.memmap`` into a plain view of it.

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
    """Whether an array, or the array it is a view of, lies in a file on disk.

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


def release_pages(array: Any) -> None:
    """Let go of the pages that reading a memory map brought into this process.

    They count as its memory until the system needs them elsewhere, and a pass over a file would
    look like the whole file in memory. The system's own cache keeps them, so that reading them
    again is cheap.

    Parameters
    ----------
    array : ndarray
        Anything; an array in memory, and a map whose changes are private to the process
        (mode "c"), stay as they are.
    """
    mapped = memory_map(array)
    if mapped is None or mapped.mode == "c" or not hasattr(mmap, "MADV_DONTNEED"):
        return
    pages = getattr(mapped, "_mmap", None)
    if pages is not None:
        pages.madvise(mmap.MADV_DONTNEED)


def row_slices(X: Any) -> Iterator[slice]:
    """Slices of rows that cover X, each of a size that fits into memory.

    Parameters
    ----------
    X : array of shape (n, p)
        Dense, in memory, in a file, or a `DatasetRows`.

    Yields
    ------
    slice
        The same ones for the same shape, so that sums over slices do not depend on where X lies.
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
        In the dtype of X.
    """
    low = high = X[0]
    for part in row_slices(X):
        rows = X[part]
        low = np.minimum(low, rows.min(axis=0))
        high = np.maximum(high, rows.max(axis=0))
    return low, high
