"""Learning-rate schedules that continue from one training of a net to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import ReduceLROnPlateau


def resume_schedules(net: Any) -> None:
    """Bring the schedules of a net to the state that follows the epochs of its history.

    skorch makes a new schedule in each training and passes it the number of previous epochs. Torch
    then multiplies the rate of the last epoch once more, and a plateau schedule forgets the past.
    Here a schedule starts at the net's ``lr`` and repeats the steps of all previous epochs. The
    state of a schedule need not be stored: the history is enough, even if it comes from a file.

    Parameters
    ----------
    net : skorch.NeuralNet
        Its callbacks have begun the training. Callbacks with a ``last_epoch`` set by the user are
        not changed.
    """
    callbacks = [
        callback
        for _, callback in net.callbacks_
        if isinstance(callback, LRScheduler) and "last_epoch" not in callback.kwargs
    ]
    if not callbacks or not net.history:
        return
    start_rates(net)
    # Torch warns if a schedule makes a step before the optimiser. This one did, in past trainings.
    net.optimizer_._opt_called = True
    for callback in callbacks:
        callback.lr_scheduler_ = callback.policy_(net.optimizer_, **callback.kwargs)
    for row in net.history:
        for callback in callbacks:
            for scores in _steps(callback, row, net):
                callback.lr_scheduler_.step(*scores)


def start_rates(net: Any) -> None:
    """Set the rate of a net's optimiser and the initial rate of schedules to ``lr``."""
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
        # A callable monitor reads the net of its epoch, so earlier values cannot be computed again.
        if not callable(callback.monitor) and callback.monitor in record:
            yield (record[callback.monitor],)
