"""The items of a DataLoader or an IterableDataset, as blocks of rows with their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from skccvae._array_api import as_numpy
from skccvae._tables import as_frame
from skccvae.estimators._validation import without_mask


class Block(NamedTuple):
    """Rows that came together.

    Attributes
    ----------
    X : ndarray of shape (n, ...) or csr_array of shape (n, p)
        Rows in the user's units, not yet checked.
    y : ndarray of shape (n,) or (n, t), or None
        Labels of the rows, if they came with labels.
    names : tuple or None
        Names of the columns, if they came in a frame.
    """

    X: Any
    y: np.ndarray | None
    names: tuple[Any, ...] | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.X.shape[0])

    @property
    def rows(self) -> Any:
        """X in the form in which it is validated: a frame if its columns have names."""
        if self.names is None:
            return self.X
        import pandas as pd  # installed, because the rows came in a frame of it

        return pd.DataFrame(self.X, columns=list(self.names), copy=False)

    def part(self, rows: slice) -> Block:
        """Some of the rows."""
        return Block(self.X[rows], None if self.y is None else self.y[rows], self.names)


def joined(blocks: Sequence[Block]) -> Block:
    """The rows of several blocks as one block."""
    if len(blocks) == 1:
        return blocks[0]
    parts = [block.X for block in blocks]
    X = sp.csr_array(sp.vstack(parts)) if sp.issparse(parts[0]) else np.concatenate(parts)
    labels = [block.y for block in blocks if block.y is not None]
    y = np.concatenate(labels) if len(labels) == len(blocks) else None
    return Block(X, y, blocks[0].names)


def read_item(item: Any, *, rows_too: bool, molecules: bool, shape: Any) -> tuple[Block, bool]:
    """Read one item of a stream.

    Parameters
    ----------
    item : object
        A batch or a row: a tensor, an array, a sparse matrix, or molecules, alone or in a tuple or
        list ``(batch,)`` or ``(batch, labels)``.
    rows_too : bool
        Whether an item may be a single row. It may not if a DataLoader makes the batches.
    molecules : bool
        Whether rows are SMILES strings or RDKit molecules.
    shape : tuple of int or None
        Shape of one image, if the estimator knows it.

    Returns
    -------
    block : Block
        One row or several.
    is_row : bool
        Whether the item was a single row rather than a batch.

    Raises
    ------
    TypeError
        If the item holds no numbers, or is not a batch.
    ValueError
        If a row has no numbers.
    """
    X, y = _parted(item, molecules)
    X = as_frame(X, "it")
    names = tuple(X.columns) if hasattr(X, "iloc") and hasattr(X, "columns") else None
    if molecules:
        is_row = isinstance(X, str) or not hasattr(X, "__len__")
        X = _column([X] if is_row else list(X))
    else:
        X = _numbers(_plain_frame(X) if names else X)
        is_row = X.ndim == 1 or (shape is not None and X.shape == tuple(shape))
        if X.ndim == 0 or (is_row and not rows_too):
            raise TypeError(
                f"it is an array of shape {X.shape}, but a batch has the shape (n, p), or (n, ...) "
                "for images."
            )
        X = X[None] if is_row else X
        X = X.copy()  # it may be a buffer that the next item is written to
    if y is not None:
        y = _labels([y] if is_row else y).copy()
        if len(y) != X.shape[0]:
            raise ValueError(f"it holds {X.shape[0]} row(s) and {len(y)} label(s).")
    if 0 in X.shape[1:]:
        raise ValueError(f"it is empty, with shape {X.shape}.")
    return Block(X, y, names), is_row


def _parted(item: Any, molecules: bool) -> tuple[Any, Any]:
    """The rows and labels of an item, with None if there are no labels."""
    if not isinstance(item, tuple | list):
        return item, None
    first = item[0] if item else None
    holds_rows = hasattr(first, "shape") or (molecules and isinstance(first, list | tuple))
    if len(item) == 1 and holds_rows:
        return first, None
    if len(item) == 2 and holds_rows:
        return first, item[1]
    if molecules and (isinstance(first, str) or hasattr(first, "GetAtoms")):
        return item, None
    raise TypeError(
        f"it is a {type(item).__name__} of length {len(item)}; expected a tensor, an array or a "
        "sparse matrix, or a tuple (batch, labels)."
    )


def _plain_frame(X: Any) -> Any:
    """A frame in which pandas' own and Arrow's numbers are float64, with NaN where missing."""
    try:
        own = [not isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in X.dtypes]
        return X.to_numpy(np.float64, na_value=np.nan) if any(own) else X
    except (TypeError, ValueError):  # the frame holds more than numbers
        return X


def _numbers(X: Any) -> Any:
    """Rows as an array or CSR matrix."""
    if isinstance(X, torch.Tensor):
        X = as_numpy(X) if X.layout == torch.strided else _from_sparse_tensor(X)
    elif sp.issparse(X):
        X = sp.csr_array(X.reshape(1, -1) if X.ndim == 1 else X)
    else:
        kind = type(X).__name__
        try:
            X = np.asarray(without_mask(as_numpy(X), "it"))
        except (TypeError, ValueError) as error:
            raise TypeError(f"it is a {kind}, which is not an array of numbers: {error}") from None
        if X.dtype.kind not in "biuf":
            raise TypeError(
                f"it is a {kind} that holds things other than real numbers. Let the stream yield a "
                "tensor, an array, a sparse matrix or a frame of numbers, or a tuple (batch, "
                "labels). Replace text by codes, such as those of "
                "sklearn.preprocessing.OrdinalEncoder."
            )
    return X


def _from_sparse_tensor(X: torch.Tensor) -> sp.csr_array:
    X = X.detach().cpu()
    if X.layout == torch.sparse_csr:
        parts = (X.values(), X.col_indices(), X.crow_indices())
        return sp.csr_array(tuple(as_numpy(part) for part in parts), shape=tuple(X.shape))
    X = X.to_sparse_coo().coalesce()
    values, (rows, columns) = as_numpy(X.values()), as_numpy(X.indices())
    return sp.csr_array(sp.coo_array((values, (rows, columns)), shape=tuple(X.shape)))


def _column(molecules: list) -> np.ndarray:
    """A column of objects."""
    column = np.empty((len(molecules), 1), dtype=object)
    column[:, 0] = molecules
    return column


def _labels(y: Any) -> np.ndarray:
    """Labels as an array. Lists become objects, since an array of text would spell NaN out."""
    if isinstance(y, list | tuple):
        y = [v.tolist() if isinstance(v, torch.Tensor | np.ndarray) else v for v in y]
        return np.asarray(y, dtype=object)
    return np.atleast_1d(np.asarray(as_numpy(y)))


def grouped(items: Iterator[tuple[Block, bool]], size: int) -> Iterator[Block]:
    """Batches of a stream. Single rows are collected into batches of ``size`` rows."""
    rows: list[Block] = []
    for block, is_row in items:
        if is_row:
            rows.append(block)
        elif rows:
            raise TypeError(
                "it is a batch, but single rows came before it; yield one or the other."
            )
        else:
            yield block
        if len(rows) == size:
            yield joined(rows)
            rows = []
    if rows:
        yield joined(rows)


def without_lone_row(blocks: Iterator[Block]) -> Iterator[Block]:
    """Blocks, with a single row at the end joined to the block before it.

    Batch normalisation needs two rows.
    """
    window: list[Block] = []
    for block in blocks:
        window.append(block)
        if len(window) > 2:
            yield window.pop(0)
    if len(window) == 2 and window[1].n_rows == 1 < window[0].n_rows:
        window = [joined(window)]
    yield from window


def regrouped(blocks: Iterator[Block], size: int) -> Iterator[Block]:
    """The same rows in blocks of ``size`` rows. The last block may be smaller."""
    waiting: list[Block] = []
    n_rows = 0
    for block in blocks:
        waiting.append(block)
        n_rows += block.n_rows
        if n_rows < size:
            continue
        rows = joined(waiting)
        cut = n_rows - n_rows % size
        for start in range(0, cut, size):
            yield rows.part(slice(start, start + size))
        waiting = [rows.part(slice(cut, n_rows))] if cut < n_rows else []
        n_rows -= cut
    if waiting:
        yield joined(waiting)
