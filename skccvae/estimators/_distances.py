"""What `distance_metric` of an estimator asks for, as a function of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skccvae.nn import ROW_DISTANCES


def row_distances(metric: str | Callable[[np.ndarray], Any]) -> Callable[[Tensor], Tensor]:
    """Distances between the rows of a batch by name, or by a function of the user's.

    Parameters
    ----------
    metric : str or callable
        A key of `ROW_DISTANCES`, or a function of an array (n, p) that returns an array (n, n).

    Returns
    -------
    callable
        Of a tensor (n, p), returns a tensor (n, n).
    """
    if isinstance(metric, str):
        return ROW_DISTANCES[metric]
    return lambda rows: _checked(metric, rows)


def _checked(metric: Callable[[np.ndarray], Any], rows: Tensor) -> Tensor:
    found = np.asarray(metric(rows.detach().cpu().numpy()), dtype=np.float32)
    n = len(rows)
    if found.shape != (n, n):
        raise ValueError(
            f"distance_metric must return the distances of all rows to each other, shape "
            f"({n}, {n}) for {n} rows; it returned shape {found.shape}."
        )
    if not np.isfinite(found).all() or found.min() < 0:
        raise ValueError(
            "distance_metric must return numbers that are finite and not negative; it returned "
            f"some from {found.min()} to {found.max()}."
        )
    return torch.from_numpy(0.5 * (found + found.T)).to(rows)
