"""The IDX format of MNIST: a header of sizes, then the bytes of an array."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np

from skccvae.datasets._base import atomic_write, read_maybe_gzipped

# Third byte 8: unsigned bytes. Fourth byte: the number of dimensions.
IMAGES_MAGIC = 2051
LABELS_MAGIC = 2049
_KIND = {IMAGES_MAGIC: "images", LABELS_MAGIC: "labels"}


def read_idx(path: Path, magic: int) -> np.ndarray:
    """Read one IDX file of unsigned bytes, plain or gzipped, and check all of it.

    Parameters
    ----------
    path : Path
    magic : int
        2051 for images, 2049 for labels; its last byte is the number of dimensions.

    Returns
    -------
    array : ndarray of uint8
        The array, in the shape that the header states.

    Raises
    ------
    ValueError
        If the magic number is wrong, or the file holds fewer or more bytes than its header states.
        The message names the file.
    """
    raw = read_maybe_gzipped(path)
    found = int.from_bytes(raw[:4], "big")
    if len(raw) < 4 or found != magic:
        what = f"magic number {found}" if len(raw) >= 4 else f"only {len(raw)} bytes"
        hint = f": that is an IDX file of {_KIND[found]}" if found in _KIND else ""
        raise ValueError(
            f"{path}: expected magic number {magic} (IDX {_KIND[magic]}), got {what}{hint}"
        )
    n_dimensions = magic & 0xFF
    start = 4 + 4 * n_dimensions
    if len(raw) < start:
        raise ValueError(f"{path}: truncated in its header, which has {len(raw)} of {start} bytes")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", count=n_dimensions, offset=4))
    expected = math.prod(shape)
    came = len(raw) - start
    if came != expected:
        state = "truncated" if came < expected else "trailing bytes"
        raise ValueError(
            f"{path}: {state}: the header promises {' x '.join(map(str, shape))} = {expected} "
            f"bytes, {came} follow; fetch the file again"
        )
    # A copy, because an array over a bytes object is read-only.
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy()


def idx_header(array: np.ndarray) -> bytes:
    """Header of the IDX file for `array` (uint8)."""
    return b"".join(
        value.to_bytes(4, "big") for value in (0x0800 | array.ndim, *map(int, array.shape))
    )


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write a uint8 array atomically as an IDX file, gzipped if `path` ends in ``.gz``."""
    if array.dtype != np.uint8:
        raise TypeError(f"expected an array of uint8, got {array.dtype}")
    content = idx_header(array) + np.ascontiguousarray(array).tobytes()
    if path.suffix == ".gz":
        # No time stamp: the same array gives the same file.
        content = gzip.compress(content, compresslevel=6, mtime=0)
    with atomic_write(path) as stream:
        stream.write(content)
