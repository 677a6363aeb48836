"""Exceptions that end the training loop early, at a divergence or a callback's request."""

from __future__ import annotations


class StopTraining(Exception):
    """A callback requests the end of training."""


class DivergenceError(ArithmeticError):
    """Training produced a loss or a weight that is not finite.

    The estimator that raised the error keeps the weights of the last finite epoch and is usable.

    Parameters
    ----------
    epoch : int
        Epoch of the divergence, counted from 1.
    what : str
        The quantity that was not finite.
    learning_rate : float
        The learning rate in use, which the message names.

    Attributes
    ----------
    epoch : int
        Epoch of the divergence.

    Examples
    --------
    >>> from skccvae.training import DivergenceError
    >>> DivergenceError(3, "the loss", 10.0).epoch
    3
    """

    def __init__(self, epoch: int, what: str = "the loss", learning_rate: float = 1e-3) -> None:
        self.epoch = epoch
        self.what = what
        self.learning_rate = learning_rate
        super().__init__(
            f"Training diverged in epoch {epoch}: {what} is not finite. The weights of the last "
            f"finite epoch ({epoch - 1}; 0 means the initial ones) are kept in net_.module_, and "
            f"the estimator can be used with them. Try a learning_rate below {learning_rate:g}, "
            "a longer kl_warmup_epochs, or scaling X."
        )

    def __reduce__(self):
        return type(self), (self.epoch, self.what, self.learning_rate)
