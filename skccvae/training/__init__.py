"""Training: in-memory batches, the skorch net, callbacks, random numbers."""

from skccvae.training.batches import Batch, Batches, RowScaling, RowSource, rounding
from skccvae.training.callbacks import EpochPrinter, KeepBest, ProgressBar
from skccvae.training.dataset_rows import DatasetRows
from skccvae.training.exceptions import DivergenceError, StopTraining
from skccvae.training.modes import own_modes
from skccvae.training.net import VAENet
from skccvae.training.objective import NegativeELBO
from skccvae.training.paired_rows import PairedRows
from skccvae.training.random import RandomStream, derive_seed, entropy_from
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
    "RandomStream",
    "RowScaling",
    "RowSource",
    "StopTraining",
    "VAENet",
    "column_limits",
    "derive_seed",
    "entropy_from",
    "is_memory_mapped",
    "own_modes",
    "rounding",
    "row_slices",
]
