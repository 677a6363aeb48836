"""Batches of a stream, in which rows come one after the other and cannot be read by index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skccvae.training.batches import Batch, RowScaling, RowSource, drawn
from skccvae.training.random import RandomStream


@dataclass
class StreamBatches:
    """Batches of a stream for a net, the counterpart of `Batches` for rows in memory.

    Parameters
    ----------
    read : callable
        Starts a pass over the stream. It returns an iterator of pairs (X, targets). X is an
        ndarray, a sparse array or `PairedRows`, of shape (n, p), in the user's units. Targets have
        shape (n, t) or are None. Each pair becomes one batch.
    scaling : RowScaling
        Map to model units.
    device : str or torch.device, default="cpu"
        Device of the batches.
    stream : RandomStream, optional
        Source of the random numbers of ``binarize``. None means torch's global generators.
    binarize : bool, default=False
        Whether to draw each pixel from a Bernoulli distribution, anew in each pass.
    missing : bool, default=False
        Whether rows may contain NaN. Draws do not change NaN.
    quick_draws : bool, default=False
        As for `Batches`.
    expected : int, default=1
        Number of batches in a pass, as far as it is known before the first pass.

    Attributes
    ----------
    n_batches, n_rows : int
        Numbers of batches and rows in the last complete pass. Before the first pass they are
        ``expected`` and 0.

    Examples
    --------
    >>> import numpy as np
    >>> from skccvae.training import RowScaling, StreamBatches
    >>> parts = [(np.ones((4, 2)), None), (np.zeros((3, 2)), None)]
    >>> batches = StreamBatches(lambda: iter(parts), RowScaling(divisor=2.0))
    >>> [batch.x.sum().item() for batch in batches]
    [4.0, 0.0]
    >>> len(batches), batches.n_rows
    (2, 7)
    """

    read: Callable[[], Iterator[tuple[Any, np.ndarray | None]]]
    scaling: RowScaling
    device: Any = "cpu"
    stream: RandomStream | None = None
    binarize: bool = False
    missing: bool = False
    quick_draws: bool = False
    expected: int = 1
    n_batches: int = field(init=False)
    n_rows: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.n_batches = max(1, self.expected)

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[Batch]:
        n_batches = n_rows = 0
        for X, targets in self.read():
            source = RowSource(X, self.scaling, self.device, targets, resident=False)
            batch = source.batch(slice(0, len(source)))
            if self.binarize:
                generator = None if self.stream is None else self.stream.device
                batch = batch._replace(x=drawn(batch.x, generator, self.missing, self.quick_draws))
            n_batches, n_rows = n_batches + 1, n_rows + len(source)
            yield batch
        self.n_batches, self.n_rows = n_batches, n_rows
