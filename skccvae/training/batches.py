"""Rows as float32 batches on a device, without worker processes or a copy of the data.

A torch ``DataLoader`` fetches one row at a time. If the data is in memory, this takes longer than
the computations of the model. Here one indexing call makes a batch. Sparse matrices become dense
batch by batch, and bytes are scaled batch by batch. Real values are centred and scaled once if the
result is not too large, else batch by batch. Memory maps and torch Datasets are read batch by
batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skccvae.training.dataset_rows import DatasetRows
from skccvae.training.paired_rows import PairedRows
from skccvae.training.random import RandomStream
from skccvae.training.row_access import is_memory_mapped, release_pages

# Number of bytes of a memory map that may be read before its pages are released, and number of
# bytes that the system reads around a single row.
_MAPPED_BYTES = 2**23
_AROUND_ROW = 2**16


class Batch(NamedTuple):
    """The inputs of a training step.

    Attributes
    ----------
    x : Tensor of shape (n, p), float32
        The columns that the likelihood describes, in model units.
    targets : Tensor of shape (n, t), float32, or None
        Targets of the rows, under supervision.
    extra : Tensor of shape (n, q), float32, or None
        Inputs for the encoder only, in the few models that have them.
    weights : Tensor of shape (n,), float32, or None
        How often each row counts. None means once.
    target_weights : Tensor of shape (n, t), float32, or None
        How often each target of a row counts among the known targets.
    """

    x: Tensor
    targets: Tensor | None = None
    extra: Tensor | None = None
    weights: Tensor | None = None
    target_weights: Tensor | None = None


class RowWeights(NamedTuple):
    """Weights of the training rows.

    Attributes
    ----------
    rows : ndarray of shape (n,)
        Positive weights with mean 1 over the training rows.
    targets : ndarray of shape (n, t), or None
        The same weights, with mean 1 over the labelled training rows.
    """

    rows: np.ndarray
    targets: np.ndarray | None = None


def rounding(dtype: np.dtype, support: tuple[float, float]) -> float:
    """How far a scaler's rounding errors may move numbers out of a finite support.

    In half of all tables, a scaler returns numbers outside [0, 1] by a unit in the last place. The
    error is larger if the numbers that it read were far from 0.
    """
    eps = float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0
    return max(4 * eps, 2.0**-31) * max(map(abs, support))


@dataclass(frozen=True)
class RowScaling:
    """How a user's rows become model units.

    Attributes
    ----------
    divisor : float
        Divisor of every number: 255 for 8-bit images, and 1 otherwise.
    center, scale : ndarray of shape (p,) or None
        Mean and standard deviation of each column, for real values. A scale without a center does
        not change the rows. It is then only a unit for the likelihood.
    constant : ndarray of bool, shape (p,), or None
        Columns for which `invert` always returns the mean, whatever the model predicts.
    threshold : float or None
        Pixels above the threshold become 1, and the others become 0.
    period : float or None
        Period of angles. They are reduced to numbers at most half a period from 0.
    support : tuple of float or None
        Finite ends of the range of model units. Numbers outside it by no more than rounding errors
        (see `rounding`) are set to the nearest end.
    """

    divisor: float = 1.0
    center: np.ndarray | None = None
    scale: np.ndarray | None = None
    constant: np.ndarray | None = None
    threshold: float | None = None
    period: float | None = None
    support: tuple[float, float] | None = None

    @property
    def is_identity(self) -> bool:
        """Whether the user's units are model units."""
        changes = (self.center, self.threshold, self.period)
        return self.divisor == 1.0 and all(change is None for change in changes)

    @property
    def dtype(self) -> type:
        """The dtype that holds rows in the user's units: float64 if float32 is too coarse."""
        if self.center is None:
            return np.float32
        center, scale = np.abs(self.center), np.abs(np.asarray(self.scale))
        tiny, largest = np.finfo(np.float32).tiny, np.finfo(np.float32).max
        varies = scale > 0 if self.constant is None else (scale > 0) & ~self.constant
        # Float32 has steps of 1.2e-7 times the number. A thousandth of the scale must be visible.
        coarse = center > 1e4 * scale
        outside = (scale < 1e6 * tiny) | (center + 1e3 * scale > largest)
        return np.float64 if (varies & (coarse | outside)).any() else np.float32

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Convert dense rows to model units, float32."""
        dtype = rows.dtype
        if self.center is not None:
            # In float64, like the statistics. A float64 column around 1e9 keeps its digits only if
            # it is centred before it becomes float32.
            rows = (rows - self.center) / self.scale
        elif self.divisor != 1.0:
            rows = rows.astype(np.float32) / np.float32(self.divisor)
        if self.period is not None:
            # In float64, so that an angle of many turns keeps its digits. fmod is exact.
            rows = np.fmod(rows.astype(np.float64), self.period)
            rows -= self.period * np.sign(rows) * (np.abs(rows) > self.period / 2)
        if self.threshold is not None:
            rows = np.where(np.isnan(rows), rows, rows > self.threshold)
        # Numbers too large for float32 become infinite. The loss and the estimators report them.
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(rows, dtype=np.float32)
        if self.support is None or (
            rows.min() >= self.support[0] and rows.max() <= self.support[1]
        ):
            return rows
        inside = rows.clip(*self.support)
        near = np.abs(rows - inside) <= 2 * rounding(dtype, self.support)
        return np.where(near, inside, rows)

    def invert(self, rows: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
        """Convert model units to the user's units. A threshold and a period have no inverse."""
        if self.center is not None:
            rows = rows.astype(np.float64) * np.asarray(self.scale) + self.center
            if self.constant is not None:
                rows[:, self.constant] = self.center[self.constant]
        elif self.divisor != 1.0:
            rows = rows * np.float32(self.divisor)
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(rows, dtype=dtype)


@dataclass
class RowSource:
    """Rows of X, served as float32 tensors on a device.

    Parameters
    ----------
    X : ndarray, scipy sparse, DatasetRows or PairedRows of shape (n, p)
        Rows in the user's units.
    scaling : RowScaling
        Map to model units.
    device : str or torch.device
        Device of the batches.
    targets : ndarray of shape (n, t), optional
        Targets of the rows.
    resident : bool, default=True
        Whether X may be kept as one tensor on the device, which pays off over many passes. A single
        pass needs no copy.
    weights : RowWeights, optional
        Weights of the rows, and of their targets.
    numbers : ndarray of int, shape (n,), optional
        The positions of these rows in the user's X, if they are not all of its rows.
    """

    X: Any
    scaling: RowScaling
    device: Any = "cpu"
    targets: np.ndarray | None = None
    resident: bool = True
    weights: RowWeights | None = None
    numbers: np.ndarray | None = None
    _extra: sp.csr_array | None = field(default=None, init=False, repr=False)
    _resident: Tensor | None = field(default=None, init=False, repr=False)
    _resident_targets: Tensor | None = field(default=None, init=False, repr=False)
    _resident_weights: tuple[Tensor | None, ...] = field(default=(), init=False, repr=False)
    _mapped: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.X, PairedRows):
            self.X, self._extra = self.X.observed, self.X.extra
        if sp.issparse(self.X):
            self.X = self.X.tocsr()
        elif self.resident and self._may_reside():
            if self.X.dtype == np.uint8:
                self._resident = _from_numpy(self.X).to(self.device)
            else:
                self._resident = _from_numpy(self.scaling.apply(self.X)).to(self.device)
        if self.targets is not None:
            self._resident_targets = self._on_device(self.targets)
        if self.weights is not None:
            self._resident_weights = tuple(
                None if part is None else self._on_device(part) for part in self.weights
            )

    def _on_device(self, array: np.ndarray) -> Tensor:
        return _from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self.device)

    def _may_reside(self) -> bool:
        """Whether X becomes one tensor. It must be in memory and not too large as a tensor."""
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
        scaled = self.scaling.apply(rows)
        on_cpu = torch.device(self.device).type == "cpu"
        if on_cpu and isinstance(index, slice) and np.may_share_memory(scaled, rows):
            scaled = scaled.copy()  # a user's network may write to it, but X must not change
        batch = _from_numpy(scaled)
        if is_memory_mapped(self.X):
            self._mapped += rows.nbytes + _AROUND_ROW * rows.shape[0]
            if self._mapped > _MAPPED_BYTES:
                release_pages(self.X)
                self._mapped = 0
        # Rows that a DataLoader pinned are still pinned here if they need no scaling.
        return batch if on_cpu else batch.to(self.device, non_blocking=batch.is_pinned())

    def batch(self, index: np.ndarray | slice) -> Batch:
        """Rows at an index array or a slice, with their targets, extra inputs and weights."""
        targets = extra = None
        if self._resident_targets is not None:
            targets = self._pick(self._resident_targets, index)
        if self._extra is not None:
            rows = self._extra[index].toarray().astype(np.float32, copy=False)
            extra = torch.from_numpy(rows).to(self.device)
        weights = (w if w is None else self._pick(w, index) for w in self._resident_weights)
        return Batch(self.rows(index), targets, extra, *weights)

    def _pick(self, tensor: Tensor, index: np.ndarray | slice) -> Tensor:
        if isinstance(index, slice):
            return tensor[index].clone()
        return tensor.index_select(0, torch.from_numpy(index).to(tensor.device))


def _from_numpy(array: np.ndarray) -> Tensor:
    """Tensor that shares the array's memory if torch can, without warnings for read-only data."""
    array = np.ascontiguousarray(array)
    if min(array.strides, default=0) < 0:  # a single row of a reversed view counts as contiguous
        array = array.copy()
    if not array.flags.writeable:
        # Torch has no read-only tensors and would warn, but nothing writes to these rows.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return torch.from_numpy(array)
    return torch.from_numpy(array)


def drawn(
    x: Tensor, generator: torch.Generator | None, missing: bool, quick: bool = False
) -> Tensor:
    """Pixels drawn from Bernoulli distributions. If values may be missing, NaN is kept.

    ``quick`` draws by comparison with uniform numbers. That takes a fifth of the time and gives
    other bits.
    """
    if quick:
        # Comparisons with NaN are false, so a missing pixel is drawn as 0 before NaN is put back.
        pixels = (torch.rand(x.shape, generator=generator, device=x.device) < x).to(x.dtype)
    elif not missing:
        return torch.bernoulli(x, generator=generator)
    else:
        pixels = torch.bernoulli(x.nan_to_num(), generator=generator)
    return torch.where(x.isnan(), x, pixels) if missing else pixels


@dataclass
class Batches:
    """Batches of a source, optionally in a new order on each pass.

    Parameters
    ----------
    source : RowSource
        The rows.
    index : ndarray of int
        Rows of the source that belong to this set.
    batch_size : int
        Rows per batch. The last batch may be smaller. If only one row is left over, it is added to
        the previous batch, because batch normalisation needs two rows.
    shuffle : bool
        Whether to shuffle the rows on each pass.
    binarize : bool
        Whether to draw each pixel from a Bernoulli distribution. Shuffled batches get new draws on
        each pass. For the other batches, those of validation, the net makes the same draws each
        time.
    stream : RandomStream, optional
        Source of all random numbers of the training. None means torch's global generators.
    missing : bool, default=False
        Whether rows may contain NaN. Draws do not change NaN.
    quick_draws : bool, default=False
        Whether to draw pixels by comparison with uniform numbers. That takes a fifth of the time of
        `torch.bernoulli` on a CPU and gives other bits.
    """

    source: RowSource
    index: np.ndarray
    batch_size: int
    shuffle: bool = True
    binarize: bool = False
    stream: RandomStream | None = None
    missing: bool = False
    quick_draws: bool = False

    def __len__(self) -> int:
        return max(1, -(-(len(self.index) - self._lone_row) // self.batch_size))

    @property
    def _lone_row(self) -> int:
        """1 if a single row is left over after full batches of several rows."""
        return int(self.batch_size > 1 and len(self.index) % self.batch_size == 1)

    def __iter__(self) -> Iterator[Batch]:
        device = self.stream.device if self.stream else None
        for index in self.indices():
            batch = self.source.batch(index)
            if self.binarize and self.shuffle:
                batch = batch._replace(x=drawn(batch.x, device, self.missing, self.quick_draws))
            yield batch

    def indices(self) -> list[np.ndarray]:
        """Row indices of each batch of the next pass. With shuffling, this draws a new order."""
        order, n_batches = self.index, len(self)
        if self.shuffle:
            orders = self.stream.order if self.stream else None
            order = order[torch.randperm(len(order), generator=orders, device="cpu").numpy()]
        ends = [number * self.batch_size for number in range(1, n_batches)]
        return np.split(order, ends)

    def in_order(self) -> Iterator[Batch]:
        """The same rows without random numbers: in the order of ``index``, and not binarised."""
        yield from replace(self, shuffle=False, binarize=False)
