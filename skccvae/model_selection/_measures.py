"""Measures of one set of codes on held-out rows: reconstruction, distances and neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mode, rankdata

from skccvae._labels import Labels, is_measured

__all__ = [
    "Target",
    "distance_measures",
    "nearest_rows",
    "neighbour_measure",
    "reconstruction_measures",
]

# Distances that are held at once in a search for neighbours.
_ENTRIES = 2**23


class Target(NamedTuple):
    """The single target in y.

    Attributes
    ----------
    values : ndarray of shape (n,), float64
        Numbers, or numbers of classes. NaN for rows without a label.
    measured : bool
        Whether they are measured numbers rather than classes.
    """

    values: NDArray[np.float64]
    measured: bool

    @classmethod
    def read(cls, labels: Labels) -> Target:
        """Numbers for the labels of all rows."""
        found, measured = labels.values, is_measured(labels.values)
        if not measured:
            found = np.unique(found, return_inverse=True)[1]
        values = np.full(labels.known.shape, np.nan)
        values[labels.known] = found
        return cls(values, measured)

    @property
    def criterion(self) -> str:
        """Name of the result of `neighbour_measure` for this target."""
        return "knn_r2" if self.measured else "knn_accuracy"


def reconstruction_measures(
    rows: NDArray[np.float64], decoded: NDArray[np.float64], center: NDArray[np.float64]
) -> dict[str, float]:
    """Mean squared error, and the share of the variance that is explained.

    Parameters
    ----------
    rows, decoded : ndarray of shape (n, p)
        Rows and their reconstructions in one unit. NaN in `rows` does not count.
    center : ndarray of shape (p,)
        Mean of the training rows, whose error is the one to compare with.
    """
    error = np.nanmean(np.square(rows - decoded))
    total = np.nanmean(np.square(rows - center))
    share = 1 - error / total if total > 0 else np.nan
    return {"mean_squared_error": float(error), "explained_variance": float(share)}


def distance_measures(
    latent: NDArray[np.float64], reference: NDArray[np.float64]
) -> dict[str, float]:
    """Pearson and Spearman correlation of two matrices of distances, over pairs of points.

    Parameters
    ----------
    latent, reference : ndarray of shape (n, n)
        Symmetric matrices. A correlation is NaN if all distances of one are equal.
    """
    pairs = np.triu_indices(len(latent), k=1)
    a, b = latent[pairs], reference[pairs]
    return {"pearson": _correlation(a, b), "spearman": _correlation(rankdata(a), rankdata(b))}


def nearest_rows(
    between: Callable[..., NDArray[np.float64]],
    new: NDArray[Any],
    known: NDArray[Any],
    k: int,
) -> NDArray[np.int64]:
    """Places of the k nearest of the known points, for each new one, in no order.

    Parameters
    ----------
    between : callable
        Makes the matrix of distances between the rows of two arrays.
    new, known : ndarray of shape (n_new, m) and (n_known, m)
        Latent points.
    k : int
        Number of neighbours, at most n_known.
    """
    step = max(1, _ENTRIES // len(known))
    parts = (between(new[start : start + step], known) for start in range(0, len(new), step))
    return np.concatenate([np.argpartition(part, k - 1, axis=1)[:, :k] for part in parts])


def neighbour_measure(
    found: NDArray[np.float64], wanted: NDArray[np.float64], measured: bool
) -> float:
    """Accuracy of the vote of neighbours, or R^2 of their mean.

    Parameters
    ----------
    found : ndarray of shape (n, k)
        Labels of the neighbours, as numbers.
    wanted : ndarray of shape (n,)
        True labels.
    measured : bool
        Whether labels are measured numbers.
    """
    if not measured:
        return float(np.mean(mode(found, axis=1).mode == wanted))
    spread = np.square(wanted - wanted.mean()).sum()
    error = np.square(wanted - found.mean(axis=1)).sum()
    return float(1 - error / spread) if spread > 0 else float("nan")


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else float("nan")
