"""Training: in-memory batches, the skorch net, callbacks, isolated random numbers."""

from skccvae.training.batches import Batch, Batches, RowScaling, RowSource, rounding
from skccvae.training.callbacks import EpochPrinter, KeepBest, ProgressBar
from skccvae.training.dataset_rows import DatasetRows
from skccvae.training.exceptions import DivergenceError
from skccvae.training.net import NegativeELBO, StopTraining, VAENet
from skccvae.training.paired_rows import PairedRows
from skccvae.training.random import derive_seed, entropy_from, isolated_random_state
from skccvae.training.row_access import column_limits, is_memory_mapped, row_slices

__all__ = [
    "Batch",
    "Batches",
    "DatasetRows",
    "DivergenceError",
    "EpochPrinter",
    "KeepBest",
    "NegativeELBO",
    "PairedRows",
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
    "rounding",
    "row_slices",
]
