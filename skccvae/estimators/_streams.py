"""Streams in place of X: DataLoaders and IterableDatasets, read pass by pass in constant memory."""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

import numpy as np
import scipy.sparse as sp
from torch.utils.data import DataLoader, IterableDataset, SequentialSampler

from skccvae.estimators._budget import BATCH
from skccvae.estimators._molecules import molecular_graph
from skccvae.estimators._start import rows_looked_at
from skccvae.estimators._stream_items import (
    Block,
    grouped,
    joined,
    read_item,
    regrouped,
    without_lone_row,
)
from skccvae.training import RandomStream

_END = object()


def is_stream(X: Any) -> bool:
    """Whether X yields batches or rows and cannot be read by index."""
    return isinstance(X, DataLoader | IterableDataset)


class RowStream:
    """Passes over a stream, as blocks of rows, each of which becomes one batch.

    The first pass begins with the rows of `look`, which are not read twice. Random numbers that a
    loader draws from torch's global generators, such as those for the order of a DataLoader that
    shuffles, come from a `RandomStream`. They follow from the seed, and the global generators stay
    as they are.

    Parameters
    ----------
    loader : DataLoader or IterableDataset
        The stream.
    estimator : BaseVAETransformer
        The estimator, which says what a row is, and how many single rows make a batch.
    seed : int, default=0
        Seed of the random numbers of the loader.
    max_batches : int, optional
        The largest number of batches in a pass.

    Attributes
    ----------
    n_batches : int
        Number of batches in a pass, as far as it is known after `look`.
    length_known : bool
        Whether that number is final.
    """

    def __init__(
        self, loader: Any, estimator: Any, seed: int = 0, max_batches: int | None = None
    ) -> None:
        self.loader, self.max_batches = loader, max_batches
        self.name = type(loader).__name__
        self.batch_size = BATCH if estimator.batch_size == "auto" else int(estimator.batch_size)
        self.n_batches, self.length_known = 1, False
        self._molecules = molecular_graph(estimator.encoder) is not None
        self._image_shape = estimator.image_shape
        # A loader that makes batches of samples yields no single rows.
        self._rows_too = getattr(loader, "batch_sampler", None) is None
        self._batches_in_batches = (
            estimator.image_shape is None
            and getattr(loader, "batch_size", None) == 1
            and isinstance(getattr(loader, "dataset", None), IterableDataset)
        )
        self._random = RandomStream(seed, lends=True)
        self._first: tuple[Any, ...] | None = None
        self._names: Any = _END
        self._by_rows = False
        self._begun: Iterator[Block] | None = None
        self._n_passes = 0

    def look(self, one_batch: bool = False) -> Block:
        """Read the rows at the start of the first pass.

        Parameters
        ----------
        one_batch : bool, default=False
            Whether one batch is enough. Otherwise whole batches are read until they hold as many
            rows as a PCA start looks at.
        """
        blocks = self.blocks()
        seen = deque([next(blocks)])
        n_rows = seen[0].n_rows
        X = seen[0].X
        width = math.ceil(X.nnz / n_rows) if sp.issparse(X) else math.prod(X.shape[1:])
        enough = 1 if one_batch else rows_looked_at(max(width, 1))
        while n_rows < enough:
            block = next(blocks, None)
            if block is None:
                self.length_known = True
                break
            seen.append(block)
            n_rows += block.n_rows
        self.n_batches = len(seen)
        if not self.length_known:
            self._ask_for_length()
        first = joined(seen)
        # Blocks are released once they have been trained on.
        self._begun = chain((seen.popleft() for _ in range(len(seen))), blocks)
        return first

    def _ask_for_length(self) -> None:
        """Take the length that the stream itself reports, if it does."""
        try:
            length = len(self.loader)
        except (TypeError, NotImplementedError):
            return
        if self._by_rows:
            lone = int(self.batch_size > 1 and length % self.batch_size == 1)
            length = -(-(length - lone) // self.batch_size)
        if self.max_batches is not None:
            length = min(length, self.max_batches)
        self.n_batches, self.length_known = max(length, self.n_batches), True

    @property
    def n_rows(self) -> float:
        """Rows of a pass if its batches have the estimator's batch size; infinity if unknown."""
        return self.n_batches * self.batch_size if self.length_known else math.inf

    def blocks(self) -> Iterator[Block]:
        """Blocks of one pass."""
        begun, self._begun = self._begun, None
        return self._one_pass() if begun is None else begun

    def _one_pass(self) -> Iterator[Block]:
        self._n_passes += 1
        items = grouped(self._items(), self.batch_size)
        n_blocks = 0
        for block in without_lone_row(islice(items, self.max_batches)):
            n_blocks += 1
            yield block
        if n_blocks:
            return
        found = "nothing" if self._n_passes == 1 else f"nothing in pass {self._n_passes}"
        raise ValueError(
            f"{self.name} yields {found}. A stream must yield at least one row, and the same rows "
            "in each pass; a generator can be read only once. Let __iter__ of an IterableDataset "
            "begin a new pass each time, or call partial_fit, which makes one pass."
        )

    def _items(self) -> Iterator[tuple[Block, bool]]:
        """Items of the loader as blocks, and whether each is a single row."""
        with self._random.drawing():
            iterator = iter(self.loader)
        number = 0
        while True:
            with self._random.drawing():
                item = next(iterator, _END)
            if item is _END:
                return
            with naming(f"Item {number} of {self.name}"):
                block, is_row = read_item(
                    item,
                    rows_too=self._rows_too,
                    molecules=self._molecules,
                    shape=self._image_shape,
                )
                if block.n_rows:
                    self._compare(block, is_row)
            number += 1
            if block.n_rows:  # a filter may leave nothing of a batch
                yield block, is_row

    def _compare(self, block: Block, is_row: bool) -> None:
        """Refuse an item that differs in kind from the first one."""
        X = block.X
        if self._batches_in_batches and X.ndim == 3 and X.shape[0] == 1:
            n, p = X.shape[1:]
            raise ValueError(
                f"the DataLoader has put a batch of shape {(n, p)} into a batch of one. Use "
                "DataLoader(stream, batch_size=None). If the item is an image, set "
                f"image_shape={(n, p)}."
            )
        what = "a single row" if is_row else "a batch of rows"
        # Bytes may be grey values that are divided by 255, and no other numbers are.
        in_bytes = " in bytes" * (X.dtype == np.uint8)
        kind = (what, tuple(X.shape[1:]), in_bytes, ", sparse" * bool(sp.issparse(X)))
        if self._first is None:
            self._first, self._by_rows = kind, is_row
        if kind != self._first:
            this, first = ("{} of shape {}{}{}".format(*each) for each in (kind, self._first))
            raise ValueError(f"it is {this}, but the first one was {first}.")
        if self._names is _END:
            self._names = block.names
        if block.names != self._names:
            raise ValueError(
                f"its columns are {_listed(block.names)}, and those of the first item are "
                f"{_listed(self._names)}. They must be the same, in the same order."
            )


def _listed(names: tuple[Any, ...] | None) -> str:
    return "without names" if names is None else repr(list(names))


def warn_if_shuffled(X: Any) -> None:
    """Warn that the results are not in the order of the rows of the loader's dataset."""
    if not isinstance(X, DataLoader) or isinstance(X.dataset, IterableDataset):
        return
    if not isinstance(X.sampler, SequentialSampler):
        warnings.warn(
            "The DataLoader shuffles or samples, so the order of the results is not that of its "
            "dataset. Use shuffle=False for results in the order of the dataset.",
            UserWarning,
            stacklevel=3,
        )


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Add to an error the place in the stream where it happened."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{where}: {error}") from error


def over_parts(
    estimator: Any, X: Any, n_rows: int, method: Callable[[Any], np.ndarray]
) -> np.ndarray:
    """Return what a method returns for X, computed part by part if X is a stream.

    Parameters
    ----------
    estimator : BaseVAETransformer
        A fitted estimator.
    X : object
        X as the user passed it.
    n_rows : int
        Number of rows in a part.
    method : callable
        Takes rows and returns an array of the same length.
    """
    if not is_stream(X):
        return method(X)
    stream, results, start = RowStream(X, estimator), [], 0
    for part in regrouped(stream.blocks(), n_rows):
        with naming(f"Rows {start} to {start + part.n_rows - 1} of {stream.name}"):
            results.append(method(part.rows))
        start += part.n_rows
    return np.concatenate(results)
