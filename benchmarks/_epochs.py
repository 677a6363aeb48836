"""How benchmarks time the epochs of a fit."""

from typing import Any

# In the first of them, the recording of the steps is made, as in every fit.
EPOCHS = 5


def epoch_seconds(net: Any) -> float:
    """Mean time of an epoch of a fit of ``EPOCHS`` epochs, in seconds.

    It leaves out what a fit does before and after its epochs, such as checking X.
    """
    return float(sum(row["dur"] for row in net.history[-EPOCHS:]) / EPOCHS)
