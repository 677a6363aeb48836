"""The rows of a training as skorch's callbacks expect them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from skorch.dataset import Dataset

from skccvae.training.batches import Batches


class CallbackRows(Dataset):
    """skorch's Dataset of the rows that a training, or its validation, reads.

    The arrays are made when a callback asks for them, so that they take no memory otherwise.

    Parameters
    ----------
    batches : Batches
        Batches of these rows.

    Attributes
    ----------
    X : ndarray of shape (n, p), float32
        The rows in model units, as ``net.module_`` reads them.
    y : ndarray of shape (n, t), float32, or None
        Targets of the rows, under supervision.
    index : ndarray of int
        Which rows of the X of `fit` they are; those of weight 0 are not among them.
    """

    def __init__(self, batches: Batches) -> None:
        # Not the constructor of skorch, which would read the rows.
        self.batches = batches
        numbers = batches.source.numbers
        self.index = batches.index if numbers is None else numbers[batches.index]
        self.X_indexing = self.y_indexing = None
        self.X_is_ndframe = False

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def X(self) -> np.ndarray:
        return np.concatenate([batch.x.cpu().numpy() for batch in self.batches.in_order()])

    @cached_property
    def y(self) -> np.ndarray | None:
        targets = self.batches.source.targets
        return (
            None if targets is None else np.asarray(targets[self.batches.index], dtype=np.float32)
        )
