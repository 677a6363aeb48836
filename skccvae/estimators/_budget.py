"""How long a model trains: what "auto" means for batch size, epochs and the KL warm-up."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

# Chosen on validation rows of digits, wine and breast cancer with a start at PCA: 150 epochs serve
# 1400 rows no better than 50 and make codes of 150 rows worse. No rule stops earlier: within 60
# epochs the training bound has no plateau on these or on 160 faces. Rules that saved a tenth of the
# epochs lost more than 0.5 % of it, most of all on 142 rows of wine, and codes were no better. The
# bound of held-out rows has its maximum earlier on most tables, after 12 to 51 epochs
# (`benchmarks/held_out_epochs.py`). But with 30 epochs, codes were no better on average (36 models
# on eight tables: linear .860, second reader .866, against .861 and .866 with 60 epochs), and worse
# in two dimensions (neighbours in the plane on digits .82 in place of .86).
_STEPS = 5000
_FEWEST_EPOCHS, _MOST_EPOCHS = 10, 60
BATCH = 128


class Budget(NamedTuple):
    """What the training parameters mean for a given number of rows.

    Attributes
    ----------
    batch_size : int
        Rows in a step.
    epochs : int
        Passes over the rows.
    warmup_epochs : int
        Passes over which the weight of the KL grows.
    """

    batch_size: int
    epochs: int
    warmup_epochs: int


def budget(
    n_rows: float,
    batch_size: int | str,
    max_epochs: int | str,
    kl_warmup_epochs: int | str,
    needs_warmup: bool,
) -> Budget:
    """Turn the training parameters of an estimator, each of which may be "auto", into numbers.

    Parameters
    ----------
    n_rows : float
        Number of rows to train on, or infinity if it is unknown.
    batch_size, max_epochs, kl_warmup_epochs : int or "auto"
        The parameters.
    needs_warmup : bool
        Whether the networks know nothing yet. A model that starts at PCA needs no warm-up, and a
        model that has been trained must not lose the weight of its KL again.

    Returns
    -------
    Budget

    Examples
    --------
    >>> from skccvae.estimators._budget import budget
    >>> budget(150, "auto", "auto", "auto", needs_warmup=True)
    Budget(batch_size=128, epochs=60, warmup_epochs=30)
    >>> budget(60_000, 64, "auto", 0, needs_warmup=True)
    Budget(batch_size=64, epochs=10, warmup_epochs=0)
    """
    rows = BATCH if batch_size == "auto" else int(batch_size)
    if max_epochs == "auto":
        wanted = math.ceil(_STEPS * rows / n_rows)
        max_epochs = min(max(wanted, _FEWEST_EPOCHS), _MOST_EPOCHS)
    if kl_warmup_epochs == "auto":
        kl_warmup_epochs = int(max_epochs) // 2 if needs_warmup else 0
    return Budget(rows, int(max_epochs), int(kl_warmup_epochs))


def resolved(estimator: Any, n_rows: float, one_pass: bool, at_pca: bool) -> Budget:
    """The budget for the next training of an estimator that has a net and may start at PCA."""
    fresh = not one_pass and len(estimator.net_.history) == 0 and not at_pca
    epochs = 1 if one_pass else estimator.max_epochs
    return budget(n_rows, estimator.batch_size, epochs, estimator.kl_warmup_epochs, fresh)
