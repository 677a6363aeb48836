"""Batches of several models at once, each with its own rows in its own order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from skccvae.training.batches import Batch, Batches

__all__ = ["StackedBatch", "StackedRows"]


class StackedBatch(NamedTuple):
    """A batch of each of m models.

    Attributes
    ----------
    x : Tensor of shape (m, b, p)
        Rows in model units. Where a model has fewer than b, the first is there again.
    sizes : list of int
        How many rows of each model are its own; 0 for one that is done with its epoch.
    weights : Tensor of shape (m, b) or None
        Weights whose weighted sums are the means of a model's batch: 0 for rows that are there
        again. None for 1/b.
    targets, target_weights : Tensor of shape (m, b, t) or None
        As in `Batch`; NaN for rows that are there again.
    row_weights : list of Tensor or None
        Weights of the rows in each model's `Batch`.
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


@dataclass
class StackedRows:
    """The batches of one pass of each model, side by side.

    Parameters
    ----------
    trains : sequence of Batches
        One for each model, with equal numbers of columns.
    """

    trains: Sequence[Batches]

    def __iter__(self) -> Iterator[StackedBatch]:
        passes = [iter(train) for train in self.trains]
        last: list[Batch] = []
        for _ in range(max(map(len, self.trains))):
            batches = [next(batches, None) for batches in passes]
            sizes = [0 if batch is None else batch.x.shape[0] for batch in batches]
            # A model without a batch shows its last one once more, without weight.
            last = [last[i] if b is None else b for i, b in enumerate(batches)]
            yield _stacked(last, sizes)


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
