"""Several starts of one fit, of which the estimator keeps the best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skccvae.nn import SkipEncoder
from skccvae.training import DivergenceError


class StartsMixin:
    """How many copies of the estimator `fit` trains, and which is the best."""

    n_init: int | str
    net_: Any
    _entropy: int

    def _best_of_starts(
        self, train: Callable, error: DivergenceError | None
    ) -> tuple[Any, BaseException | None]:
        """The best of this first copy and of further starts.

        ``train(number, entropy)`` trains a copy and returns it with the error that ended its
        training early. ``error`` is the one that ended this first copy. The best copy is returned
        with an error: that of the first copy if all have diverged, or the interrupt that ended the
        last.
        """
        best = self
        for number in range(1, self._n_starts()):
            try:
                other, ended = train(number, self._entropy)
            except KeyboardInterrupt as interrupt:  # before its first epoch was complete
                ended = interrupt
            if isinstance(ended, DivergenceError):
                continue
            if ended is not None:
                return best, ended
            scale = float(best.net_.module_.distance_scale)
            if error is not None or other._final_loss(scale) < best._final_loss(scale):
                best, error = other, None
        return best, error

    def _n_starts(self) -> int:
        """How many models `fit` trains, of which it keeps the best."""
        if self.n_init != "auto":
            return int(self.n_init)
        module = self.net_.module_
        circle = module.latent.dim == 1 and isinstance(module.encoder, SkipEncoder)
        return module.latent.n_starts if circle else 1

    def _final_loss(self, scale: float = 0.0) -> float:
        """The loss by which starts are compared. ``scale`` is the price of a unit of stress."""
        history, net = self.net_.history, self.net_
        rows = history[-max(1, len(history) // 10) :]
        prefix = "train"
        if "valid_loss" in history[-1]:
            prefix = "valid"
            settled = history[net.settled_after_ :] or history
            rows = [min(settled, key=lambda row: row["valid_loss"])]
        name = "stress" if prefix == "train" else "valid_stress"
        # Each start has measured a scale of its own.
        excess = net.module_.distance_weight * (scale - float(net.module_.distance_scale))
        losses = [row[f"{prefix}_loss"] + excess * row.get(name, 0.0) for row in rows]
        return sum(losses) / len(losses)
