"""The rows of a training, in the form that skorch's callbacks expect."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from skorch.dataset import Dataset

from skccvae.training.batches import Batches
from skccvae.training.stream_batches import StreamBatches


class CallbackRows(Dataset):
    """skorch's Dataset of the rows that are used for training or for validation.

    The arrays are only made when a callback asks for them. Otherwise they take no memory.

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
        Positions of these rows in the X of `fit`. Rows of weight 0 are not included.
    """

    def __init__(self, batches: Batches) -> None:
        # skorch's constructor is not called, because it would read the rows.
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


class StreamedRows(Dataset):
    """What callbacks get in place of the rows of a stream, which are not kept.

    Parameters
    ----------
    batches : StreamBatches
        Batches of these rows. The length is the number of rows in the last complete pass.
    """

    def __init__(self, batches: StreamBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return self.batches.n_rows

    @property
    def X(self) -> np.ndarray:
        raise TypeError(
            "A callback asked for the rows of the training, which come from a stream and are not "
            "kept. Give the callback its own rows, as an array or a Dataset."
        )

    y = X


def callback_rows(batches: Batches | StreamBatches) -> Dataset:
    """The rows of these batches, for callbacks."""
    return StreamedRows(batches) if isinstance(batches, StreamBatches) else CallbackRows(batches)
