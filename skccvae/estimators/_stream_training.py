"""Training on streams: unsupported settings, the first rows, and the batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from skccvae.estimators._distances import FEWEST_ROWS
from skccvae.estimators._streams import RowStream, naming
from skccvae.estimators._validation import validate_rows
from skccvae.training import RandomStream, StreamBatches


def opened(
    estimator: Any, X: Any, seed: int, go_on: bool
) -> tuple[RowStream, Any, np.ndarray | None, AbstractContextManager]:
    """A stream, its first rows and their labels, and a context that names them in errors.

    The first rows settle everything that is decided once. For a model that is trained further, one
    batch is enough.
    """
    stream = RowStream(X, estimator, seed, estimator.max_batches)
    first = stream.look(one_batch=go_on)
    if estimator.supervised_weight > 0:
        check_labels(first.y)
    return stream, first.rows, first.y, naming(f"The first {first.n_rows} row(s) of {stream.name}")


def check_stream_settings(estimator: Any, y: Any, sample_weight: Any, one_pass: bool) -> None:
    """Refuse settings that do not work with a stream."""
    if sample_weight is not None:
        raise ValueError(
            "sample_weight needs an array or a Dataset as X, whose rows are known before training. "
            "Let a stream yield rows as often as they count, for example with "
            "torch.utils.data.WeightedRandomSampler."
        )
    if estimator.early_stopping and not one_pass:
        raise ValueError(
            "early_stopping=True holds out rows of X, which needs an array or a Dataset, because a "
            "stream may yield its rows in another order in each pass. Use early_stopping=False. To "
            "stop early, call partial_fit on the stream once for each pass, and score on an array "
            "of other rows in between."
        )
    if estimator.supervised_weight > 0 and y is not None:
        raise ValueError(
            "y is given, but a stream brings its own labels. Let it yield tuples (batch, labels), "
            "and pass y=None."
        )


def check_labels(labels: np.ndarray | None) -> np.ndarray:
    """The labels of rows, which supervision needs."""
    if labels is None:
        raise ValueError(
            "supervised_weight > 0 needs labels. Let the stream yield tuples (batch, labels), with "
            "NaN for rows without a label, or set supervised_weight=0."
        )
    return labels


def stream_batches(estimator: Any, stream: RowStream, random: RandomStream) -> StreamBatches:
    """Batches for the training of an estimator whose units are known."""

    def read() -> Iterator[tuple[Any, np.ndarray | None]]:
        largest = 0
        for number, block in enumerate(stream.blocks()):
            with naming(f"Batch {number} of {stream.name}"):
                X = validate_rows(estimator, block.rows, reset=False)
                estimator._check_support(X)
                targets = None
                if estimator._targets is not None:
                    labels = check_labels(block.y)
                    targets = estimator._targets.transform(labels, block.n_rows)
            largest = max(largest, block.n_rows)
            yield X, targets
        if largest < FEWEST_ROWS and estimator.distance_weight > 0:
            raise ValueError(
                "distance_weight compares the distances of the rows of a batch, and needs at least "
                f"three rows; the largest batch of {stream.name} has n_samples={largest}. Give its "
                "DataLoader a larger batch_size, or let an IterableDataset yield larger batches, "
                "or single rows of shape (n_features,), which become batches of batch_size."
            )

    return StreamBatches(
        read,
        estimator._input.units,
        estimator.device_,
        stream=random,
        binarize=estimator.binarize == "dynamic",
        missing=estimator.missing == "mask",
        expected=stream.n_batches,
    )
