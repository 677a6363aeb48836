"""The history of a net. Access to its last epoch takes the same time for any number of epochs."""

from __future__ import annotations

from typing import Any

from skorch.history import History


class EpochHistory(History):
    """skorch's history. Reading or writing one epoch does not copy the others.

    Examples
    --------
    >>> from skccvae.training.epoch_history import EpochHistory
    >>> history = EpochHistory()
    >>> history.new_epoch()
    >>> history.record("train_loss", 2.5)
    >>> history[-1, "train_loss"], history[:, "train_loss"]
    (2.5, [2.5])
    """

    def __getitem__(self, i: Any) -> Any:
        epoch = i[0] if isinstance(i, tuple) else i
        if not isinstance(epoch, int):
            return super().__getitem__(i)
        row: dict[str, Any] = list.__getitem__(self, epoch)
        return History([row])[0, *i[1:]] if isinstance(i, tuple) else row
