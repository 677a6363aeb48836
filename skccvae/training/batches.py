"""Rows to float32 batches on a device, without a worker or a copy of the data.

A torch ``DataLoader`` fetches one row at a time; for data in memory that costs more than the
model. Here a batch is one indexing call. Sparse matrices are made dense batch by batch, bytes
are scaled batch by batch, and real values are centred and scaled batch by batch unless they fit
once. Memory maps and torch Datasets are read batch by batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skccvae.training.dataset_rows import DatasetRows
from skccvae.training.row_access import is_memory_mapped, release_pages

# Bytes of a memory map that may be brought in before its pages are let go, and what reading a
# single row brings in: the system maps the pages around it too.
_MAPPED_BYTES = 2**23
_AROUND_ROW = 2**16


@dataclass(frozen=True)
class RowScaling:
    """How a user's rows become model units.

    Attributes
    ----------
    divisor : float
        What every number is divided by; 255 for 8-bit images, else 1.
    center, scale : ndarray of shape (p,) or None
        Mean and standard deviation of each column, for real values.
    threshold : float or None
        Cut that makes pixels 0 or 1.
    period : float or None
        Whole periods are taken off, down to half a one, for angles.
    """

    divisor: float = 1.0
    center: np.ndarray | None = None
    scale: np.ndarray | None = None
    threshold: float | None = None
    period: float | None = None

    @property
    def is_identity(self) -> bool:
        """Whether rows are already in model units."""
        changes = (self.center, self.threshold, self.period)
        return self.divisor == 1.0 and all(change is None for change in changes)

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Dense rows to model units, float32."""
        if self.center is not None:
            # In the dtype of the data (at least float64 statistics): a float64 column around 1e9
            # keeps its digits only if it is centred before it becomes float32.
            # What stands behind the columns with a center, a graph for an encoder, comes as it is.
            seen, behind = np.split(rows, [len(self.center)], axis=1)
            rows = (seen - self.center) / self.scale
            if behind.shape[1]:
                rows = np.concatenate([rows, behind], axis=1)
        elif self.divisor != 1.0:
            rows = rows.astype(np.float32) / np.float32(self.divisor)
        if self.period is not None:
            # In float64, so that an angle after many turns keeps its digits; fmod is exact.
            rows = np.fmod(rows.astype(np.float64), self.period)
            rows -= self.period * np.sign(rows) * (np.abs(rows) > self.period / 2)
        if self.threshold is not None:
            rows = rows > self.threshold
        # Numbers beyond float32 become infinite, which the loss and the estimators' methods report.
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(rows, dtype=np.float32)

    def invert(self, rows: np.ndarray) -> np.ndarray:
        """Model units to the user's units, float32; a threshold and a period have no inverse."""
        if self.center is not None:
            rows = rows.astype(np.float64) * np.asarray(self.scale) + self.center
        elif self.divisor != 1.0:
            rows = rows * np.float32(self.divisor)
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(rows, dtype=np.float32)


@dataclass
class RowSource:
    """Rows of X, served as float32 tensors on a device.

    Parameters
    ----------
    X : ndarray, scipy sparse or DatasetRows of shape (n, p)
        Rows in the user's units.
    scaling : RowScaling
        To model units.
    device : str or torch.device
        Where batches go.
    targets : ndarray of shape (n, t), optional
        Targets that go along with the rows.
    resident : bool, default=True
        Whether X may be kept as one tensor on the device, for many passes; a single pass needs
        no copy.
    """

    X: Any
    scaling: RowScaling
    device: Any = "cpu"
    targets: np.ndarray | None = None
    resident: bool = True
    _resident: Tensor | None = field(default=None, init=False, repr=False)
    _resident_targets: Tensor | None = field(default=None, init=False, repr=False)
    _mapped: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if sp.issparse(self.X):
            self.X = self.X.tocsr()
        elif self.resident and self._may_reside():
            if self.X.dtype == np.uint8:
                self._resident = _from_numpy(self.X).to(self.device)
            else:
                self._resident = _from_numpy(self.scaling.apply(self.X)).to(self.device)
        if self.targets is not None:
            self._resident_targets = _from_numpy(
                np.ascontiguousarray(self.targets, dtype=np.float32)
            ).to(self.device)

    def _may_reside(self) -> bool:
        """Whether the whole of X is kept as one tensor: in memory already, and no larger so."""
        if isinstance(self.X, DatasetRows) or is_memory_mapped(self.X):
            return False
        if self.X.dtype == np.uint8:
            return self.scaling.center is None
        if self.X.dtype == np.float32 and self.scaling.is_identity:
            return True
        return self.X.size * 4 <= 2**30

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def rows(self, index: np.ndarray | slice) -> Tensor:
        """Rows at an index array or a slice, in model units."""
        if self._resident is not None:
            picked = self._pick(self._resident, index)
            if picked.dtype == torch.uint8:
                picked = picked.to(torch.float32).div_(self.scaling.divisor)
                if self.scaling.threshold is not None:
                    picked = (picked > self.scaling.threshold).float()
            return picked
        rows = self.X[index]
        rows = rows.toarray() if sp.issparse(rows) else np.asarray(rows)
        batch = _from_numpy(self.scaling.apply(rows))
        if is_memory_mapped(self.X):
            self._mapped += rows.nbytes + _AROUND_ROW * rows.shape[0]
            if self._mapped > _MAPPED_BYTES:
                release_pages(self.X)
                self._mapped = 0
        return batch.to(self.device)

    def target_rows(self, index: np.ndarray | slice) -> Tensor | None:
        """Targets at an index, or None where there are none."""
        if self._resident_targets is None:
            return None
        return self._pick(self._resident_targets, index)

    def _pick(self, tensor: Tensor, index: np.ndarray | slice) -> Tensor:
        if isinstance(index, slice):
            return tensor[index]
        return tensor.index_select(0, torch.from_numpy(index).to(tensor.device))


def _from_numpy(array: np.ndarray) -> Tensor:
    """Tensor that shares memory where torch allows it, without a warning for read-only data."""
    array = np.ascontiguousarray(array)
    if not array.flags.writeable:
        # The rows are only ever read; torch has no read-only tensors and would warn.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return torch.from_numpy(array)
    return torch.from_numpy(array)


@dataclass
class Batches:
    """Batches of a source, shuffled afresh on each pass where asked.

    Parameters
    ----------
    source : RowSource
        The rows.
    index : ndarray of int
        Rows of the source that belong to this set.
    batch_size : int
        Rows a batch; the last may be smaller.
    shuffle : bool
        Draws the order from torch's global generator.
    binarize : bool
        Draw each pixel from a Bernoulli distribution: afresh where the batches are shuffled, for
        validation the same at each pass (the net does it).
    """

    source: RowSource
    index: np.ndarray
    batch_size: int
    shuffle: bool = True
    binarize: bool = False

    def __len__(self) -> int:
        return -(-len(self.index) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        order = self.index
        if self.shuffle:
            order = order[torch.randperm(len(order)).numpy()]
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            rows = self.source.rows(chosen)
            if self.binarize and self.shuffle:
                rows = torch.bernoulli(rows)
            yield rows, self.source.target_rows(chosen)
