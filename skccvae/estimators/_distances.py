"""The distances that an estimator's `distance_metric` names, as a function of tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skccvae.nn import ROW_DISTANCES
from skccvae.training import RowScaling

# Metrics that are lengths and depend on the units of the columns. The others compare angles or
# shares of the whole, which a shift of the columns would change.
_LENGTHS = ("euclidean", "l2", "cityblock", "manhattan", "l1")
# Two rows have a single distance, which is proportional to any other, so their stress is 0.
FEWEST_ROWS = 3
# In units of the largest distance. Distances from a matrix product in float32 have smaller errors.
_ROUNDING = 1e-2


def row_distances(
    metric: str | Callable[[np.ndarray], Any], units: RowScaling
) -> Callable[[Tensor, Tensor], Tensor]:
    """Distances between the rows of a batch, by name or by a function of the user.

    Parameters
    ----------
    metric : str or callable
        A key of `ROW_DISTANCES`, or a function of an array (n, p) that returns an array (n, n).
    units : RowScaling
        The scaling from the units of X to model units.

    Returns
    -------
    callable
        The function that `skccvae.vae.VAE` takes. Lengths are those of the rows as the encoder
        reads them. Other metrics, and functions of the user, get rows in the units of X. In place
        of a missing value a named metric sees what the encoder reads, 0 in model units; a function
        of the user sees NaN.
    """
    # Partial functions, because they can be pickled if the user's function can be.
    if not isinstance(metric, str):
        return partial(_of_rows, partial(_checked, metric), units)
    if metric in _LENGTHS:
        return partial(_of_inputs, ROW_DISTANCES[metric])
    return partial(_of_filled_rows, ROW_DISTANCES[metric], units)


def check_pairs(n_trained: int, n_rows: int) -> None:
    """Refuse to train on too few rows for a comparison of distances.

    Parameters
    ----------
    n_trained : int
        Rows that are trained on.
    n_rows : int
        Rows of X with a weight above 0.
    """
    if n_trained < FEWEST_ROWS:
        raise ValueError(
            "distance_weight compares the distances of rows and needs at least three rows to train "
            f"on; X has n_samples={n_rows}"
            + f", of which early_stopping leaves {n_trained}" * (n_trained < n_rows)
            + ". Pass more rows, or set distance_weight=0."
        )


def _of_inputs(metric: Callable[[Tensor], Tensor], inputs: Tensor, x: Tensor) -> Tensor:
    return metric(inputs)


def _of_rows(
    metric: Callable[[Tensor], Tensor], units: RowScaling, inputs: Tensor, x: Tensor
) -> Tensor:
    return metric(_in_units(x, units))


def _of_filled_rows(
    metric: Callable[[Tensor], Tensor], units: RowScaling, inputs: Tensor, x: Tensor
) -> Tensor:
    # Comparisons with NaN are false, so a metric may treat rows with missing values as equal.
    return metric(_in_units(torch.where(x.isnan(), 0.0, x), units))


def _in_units(x: Tensor, units: RowScaling) -> Tensor:
    if units.center is not None:
        scale = torch.as_tensor(units.scale).to(x)
        return x * scale + torch.as_tensor(units.center).to(x)
    return x * units.divisor


def _checked(metric: Callable[[np.ndarray], Any], rows: Tensor) -> Tensor:
    found = np.asarray(metric(rows.detach().cpu().numpy()), dtype=np.float32)
    n = len(rows)
    if found.shape != (n, n):
        raise ValueError(
            f"distance_metric must return the distances of all rows to each other, shape "
            f"({n}, {n}) for {n} rows; it returned shape {found.shape}."
        )
    if not np.isfinite(found).all() or found.min() < 0:
        holes = " Rows have NaN where a value is missing." if rows.isnan().any() else ""
        some = "NaN" if np.isnan(found).any() else f"some from {found.min()} to {found.max()}"
        raise ValueError(
            "distance_metric must return numbers that are finite and not negative; it returned "
            f"{some}.{holes}"
        )
    # Rounding may leave this much of large distances.
    near = _ROUNDING * found.max()
    if found.diagonal().max() > near:
        raise ValueError(
            "distance_metric must return 0 for the distance of a row to itself; it returned up to "
            f"{found.diagonal().max()}. Are these similarities?"
        )
    if np.abs(found - found.T).max() > near:
        raise ValueError(
            "distance_metric must return a symmetric matrix; two entries (i, j) and (j, i) differ "
            f"by {np.abs(found - found.T).max()}."
        )
    return torch.from_numpy(0.5 * (found + found.T)).to(rows)
