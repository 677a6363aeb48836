"""Training: batches from memory, files and streams, the skorch net, callbacks, random numbers.

skorch is imported only when a name that needs it is first used, that is, when the first net is
built. Importing it takes as long as importing torch.
"""

import importlib
import sys
import warnings
from contextlib import nullcontext
from typing import TYPE_CHECKING

from skccvae.training.batches import (
    Batch,
    Batches,
    RowScaling,
    RowSource,
    RowWeights,
    rounding,
)
from skccvae.training.dataset_rows import DatasetRows
from skccvae.training.exceptions import DivergenceError, StopTraining
from skccvae.training.modes import own_modes
from skccvae.training.objective import NegativeELBO
from skccvae.training.paired_rows import PairedRows
from skccvae.training.random import RandomStream, derive_seed, entropy_from
from skccvae.training.row_access import (
    MappedRows,
    column_limits,
    is_memory_mapped,
    row_slices,
)
from skccvae.training.stream_batches import StreamBatches

if TYPE_CHECKING:
    from skccvae.training.callbacks import EpochPrinter, KeepBest, ProgressBar
    from skccvae.training.net import VAENet
else:
    _WITH_SKORCH = {
        "EpochPrinter": "callbacks",
        "KeepBest": "callbacks",
        "ProgressBar": "callbacks",
        "VAENet": "net",
    }

    def __getattr__(name):
        if name not in _WITH_SKORCH:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Modules that skorch imports issue warnings that do not concern the caller of `fit`.
        known = "skorch" in sys.modules
        with nullcontext() if known else warnings.catch_warnings(action="ignore"):
            return getattr(importlib.import_module(f"{__name__}.{_WITH_SKORCH[name]}"), name)

    def __dir__():
        return sorted({*globals(), *_WITH_SKORCH})


__all__ = [
    "Batch",
    "Batches",
    "DatasetRows",
    "DivergenceError",
    "EpochPrinter",
    "KeepBest",
    "MappedRows",
    "NegativeELBO",
    "PairedRows",
    "ProgressBar",
    "RandomStream",
    "RowScaling",
    "RowSource",
    "RowWeights",
    "StopTraining",
    "StreamBatches",
    "VAENet",
    "column_limits",
    "derive_seed",
    "entropy_from",
    "is_memory_mapped",
    "own_modes",
    "rounding",
    "row_slices",
]
