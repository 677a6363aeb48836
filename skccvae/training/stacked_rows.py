"""Batches of several models at once, each with its own rows in its own order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skccvae.training.batches import Batch, Batches

__all__ = ["StackedBatch", "StackedRows"]


class StackedBatch(NamedTuple):
    """One batch for each of m models.

    Attributes
    ----------
    x : Tensor of shape (m, b, p)
        Rows in model units. If a model has fewer than b rows, its first row is repeated.
    sizes : list of int
        Number of rows of each model without repetitions. It is 0 after the model's last batch in
        the epoch.
    weights : Tensor of shape (m, b) or None
        Weights with which sums over rows become the means of a model's batch. They are 0 for
        repeated rows. None means 1/b.
    targets, target_weights : Tensor of shape (m, b, t) or None
        As in `Batch`; for repeated rows, targets are NaN and their weights are 0.
    row_weights : list of Tensor or None
        Row weights from each model's `Batch`.
    """

    x: Tensor
    sizes: list[int]
    weights: Tensor | None = None
    targets: Tensor | None = None
    target_weights: Tensor | None = None
    row_weights: list[Tensor | None] | None = None

    def of(self, number: int) -> tuple[Tensor, Tensor | None]:
        """Rows and weights of one model."""
        weights = None if self.row_weights is None else self.row_weights[number]
        return self.x[number, : self.sizes[number]], weights


class StackedRows:
    """The batches of all models in one pass, side by side.

    Parameters
    ----------
    trains : sequence of Batches
        One for each model, all with the same number of columns.
    """

    def __init__(self, trains: Sequence[Batches]) -> None:
        self.trains = list(trains)
        self._rows: Tensor | None = None
        if all(map(_is_plain, trains)):
            self._rows, self._offsets = _side_by_side([t.source._resident for t in trains])

    def __iter__(self) -> Iterator[StackedBatch]:
        if self._rows is not None:
            yield from self._picked(self._rows)
            return
        passes = [iter(train) for train in self.trains]
        last: list[Batch] = []
        for _ in range(max(map(len, self.trains))):
            batches = [next(batches, None) for batches in passes]
            sizes = [0 if batch is None else batch.x.shape[0] for batch in batches]
            # A model without a batch left repeats its last one, with weight 0.
            last = [last[i] if b is None else b for i, b in enumerate(batches)]
            yield _stacked(last, sizes)

    def _picked(self, rows: Tensor) -> Iterator[StackedBatch]:
        """The same batches, each with one indexing call for all models."""
        passes = [train.indices() for train in self.trains]
        m, p = len(passes), rows.shape[1]
        for number in range(max(map(len, passes))):
            sizes = [len(each[number]) if number < len(each) else 0 for each in passes]
            n = max(sizes)
            index = np.empty((m, n), dtype=np.int64)
            for own, each, size, offset in zip(index, passes, sizes, self._offsets, strict=True):
                picked = each[min(number, len(each) - 1)]
                own[:] = picked[0]
                own[:size] = picked[:size]
                own += offset
            places = torch.from_numpy(index.reshape(-1)).to(rows.device)
            x = rows.index_select(0, places).reshape(m, n, p)
            weights = None
            if min(sizes) < n:
                own_rows = torch.arange(n)[None] < torch.tensor(sizes)[:, None]
                counts = torch.tensor(sizes, dtype=x.dtype).clamp(min=1)
                weights = (own_rows / counts[:, None]).to(x.device, x.dtype)
            yield StackedBatch(x, sizes, weights)


def _is_plain(train: Batches) -> bool:
    """Whether batches are unchanged rows of one tensor."""
    source = train.source
    return (
        source._resident is not None
        and source._resident.dtype == torch.float32
        and source.targets is None
        and source.weights is None
        and not train.binarize
    )


def _side_by_side(tensors: Sequence[Any]) -> tuple[Tensor, list[int]]:
    """Rows of all tensors, without duplicate tensors, and the start of each tensor's rows."""
    unique: list[Tensor] = []
    places = []
    for tensor in tensors:
        found = (i for i, other in enumerate(unique) if _equal(tensor, other))
        place = next(found, len(unique))
        if place == len(unique):
            unique.append(tensor)
        places.append(place)
    starts = np.cumsum([0, *map(len, unique)]).tolist()
    return torch.cat(unique), [starts[place] for place in places]


def _equal(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    # NaN, a missing value, is not equal to itself.
    return torch.equal(one.contiguous().view(torch.int32), other.contiguous().view(torch.int32))


def _stacked(batches: list[Batch], sizes: list[int]) -> StackedBatch:
    n = max(sizes)
    x = torch.stack([_filled(batch.x, n) for batch in batches])
    weighted = batches[0].weights is not None
    weights = row_weights = None
    if weighted or min(sizes) < n:
        weights = x.new_zeros(len(batches), n)
        for own, batch, size in zip(weights, batches, sizes, strict=True):
            if size:
                own[:size] = 1 / size if batch.weights is None else batch.weights / size
    if weighted:
        row_weights = [batch.weights for batch in batches]
    targets = target_weights = None
    if batches[0].targets is not None:
        width = batches[0].targets.shape[-1]
        targets = x.new_full((len(batches), n, width), float("nan"))
        for own, batch, size in zip(targets, batches, sizes, strict=True):
            own[:size] = batch.targets[:size]  # type: ignore[index]
    if batches[0].target_weights is not None:
        target_weights = torch.zeros_like(targets)  # type: ignore[arg-type]
        for own, batch, size in zip(target_weights, batches, sizes, strict=True):
            own[:size] = batch.target_weights[:size]  # type: ignore[index]
    return StackedBatch(x, sizes, weights, targets, target_weights, row_weights)


def _filled(x: Tensor, n: int) -> Tensor:
    if x.shape[0] >= n:
        return x[:n]
    return torch.cat([x, x[:1].expand(n - x.shape[0], -1)])
