"""Schedules of the learning rate that go on from one training of a net to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import ReduceLROnPlateau


def resume_schedules(net: Any) -> None:
    """Put the schedules of a net where the epochs of its history have brought them.

    skorch makes a new schedule in each training and tells it the number of epochs before. Torch
    then multiplies the rate of the last epoch once more, and a plateau forgets what it has seen.
    Here a schedule starts at the net's ``lr`` and makes the steps of all epochs before. Nothing of
    it has to be stored: the history is enough, also when it comes from a file.

    Parameters
    ----------
    net : skorch.NeuralNet
        Its callbacks have begun the training. A callback whose ``last_epoch`` the user has set is
        left alone.
    """
    callbacks = [
        callback
        for _, callback in net.callbacks_
        if isinstance(callback, LRScheduler) and "last_epoch" not in callback.kwargs
    ]
    if not callbacks or not net.history:
        return
    start_rates(net)
    # Torch warns of a schedule that moves before the optimizer; it has, in the trainings before.
    net.optimizer_._opt_called = True
    for callback in callbacks:
        callback.lr_scheduler_ = callback.policy_(net.optimizer_, **callback.kwargs)
    for row in net.history:
        for callback in callbacks:
            for scores in _steps(callback, row, net):
                callback.lr_scheduler_.step(*scores)


def start_rates(net: Any) -> None:
    """Set the rate of a net's optimizer, and the one that schedules start from, to ``lr``."""
    for group in net.optimizer_.param_groups:
        group["lr"] = group["initial_lr"] = net.lr


def _steps(callback: Any, row: dict[str, Any], net: Any) -> Iterator[Sequence[float]]:
    """Arguments of each step that a schedule made in an epoch."""
    batches = [batch for batch in row.get("batches", ()) if "train_loss" in batch]
    per_batch = callback.step_every == "batch"
    if not isinstance(callback.lr_scheduler_, ReduceLROnPlateau):
        yield from repeat((), row.get("train_batch_count", len(batches)) if per_batch else 1)
        return
    for record in batches if per_batch else [row]:
        # A function of the net can be asked at its own epoch only.
        if not callable(callback.monitor) and callback.monitor in record:
            yield (record[callback.monitor],)
