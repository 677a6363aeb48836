"""Rows that are held out of training, and the callbacks that monitor them."""

from __future__ import annotations

import warnings

import numpy as np

from skccvae.estimators._budget import Budget
from skccvae.estimators._model import ModelMixin
from skccvae.training import derive_seed

# Number of the stream of random numbers, in addition to those of `_base`.
_SPLIT = 1


class EarlyStoppingMixin(ModelMixin):
    """Choose the rows that are held out, and the callbacks that watch the epochs."""

    _budget: Budget

    def _split(self, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
        n_valid = max(1, round(self.validation_fraction * n_rows))
        if n_rows - n_valid < 1:
            raise ValueError(
                f"early_stopping=True holds out {n_valid} row(s) of X and leaves none to train on: "
                f"X has n_samples={n_rows}. Use early_stopping=False or more rows."
            )
        seed = derive_seed(self._entropy, _SPLIT)
        order = np.random.default_rng(seed).permutation(n_rows)
        return np.sort(order[n_valid:]), np.sort(order[:n_valid])

    def _callbacks(self, epochs: int, settled: int | None) -> list:
        from skccvae.training import EpochPrinter, KeepBest, ProgressBar  # imports skorch too

        name = type(self).__name__
        callbacks = list(self.callbacks or [])
        if settled is not None:
            callbacks.append(KeepBest(self.n_epochs_no_change, settled))
        if self.verbose == 1:
            callbacks.append(ProgressBar(epochs, name))
        elif self.verbose > 1:
            callbacks.append(EpochPrinter(name))
        return callbacks

    def _check_early_stopping(self, epochs: int, settled: int) -> None:
        total, warmup = len(self.net_.history) + epochs, self._budget.warmup_epochs
        if total <= settled:
            what = f"epochs of the KL warm-up do not count (kl_warmup_epochs={warmup})"
            if settled > warmup:
                what = "epochs in which the scale of the distance term is measured do not count"
            warnings.warn(
                f"early_stopping=True has no effect: {what}, and all {total} epochs are such "
                "epochs.",
                UserWarning,
                stacklevel=2,
            )
