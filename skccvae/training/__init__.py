"""Training: in-memory batches, the skorch net, callbacks, isolated random numbers."""

from .batches import Batches, RowScaling, RowSource
from .callbacks import EpochPrinter, KeepBest, ProgressBar
from .dataset_rows import DatasetRows
from .exceptions import DivergenceError
from .net import NegativeELBO, StopTraining, VAENet
from .random import derive_seed, entropy_from, isolated_random_state
from .row_access import column_limits, is_memory_mapped, row_slices

__all__ = [
    "Batches",
    "DatasetRows",
    "DivergenceError",
    "EpochPrinter",
    "KeepBest",
    "NegativeELBO",
    "ProgressBar",
    "RowScaling",
    "RowSource",
    "StopTraining",
    "VAENet",
    "column_limits",
    "derive_seed",
    "entropy_from",
    "is_memory_mapped",
    "isolated_random_state",
    "row_slices",
]
