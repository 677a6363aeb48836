"""Training: in-memory batches, the skorch net, callbacks, isolated random numbers."""

from .batches import Batches, RowScaling, RowSource, is_memory_mapped
from .callbacks import EpochPrinter, KeepBest, ProgressBar
from .exceptions import DivergenceError
from .net import NegativeELBO, StopTraining, VAENet
from .random import derive_seed, entropy_from, isolated_random_state

__all__ = [
    "Batches",
    "DivergenceError",
    "EpochPrinter",
    "KeepBest",
    "NegativeELBO",
    "ProgressBar",
    "RowScaling",
    "RowSource",
    "StopTraining",
    "VAENet",
    "derive_seed",
    "entropy_from",
    "is_memory_mapped",
    "isolated_random_state",
]
