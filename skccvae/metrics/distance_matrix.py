"""Checks of a matrix of distances for the metrics of this package."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skccvae._array_api import as_numpy

__all__ = ["check_distance_matrix", "draw_rows"]

# Relative difference of d(i, j) and d(j, i), and size of d(i, i), that rounding in float32 leaves.
_ROUNDING = 1e-5


def check_distance_matrix(D: Any, name: str = "D") -> NDArray[np.float64]:
    """Check a matrix of distances, and return it in float64.

    Parameters
    ----------
    D : array-like of shape (n, n)
        Distances between n points.
    name : str, default="D"
        The name of D in error messages.

    Returns
    -------
    ndarray of shape (n, n), float64
        A copy, exactly symmetric with zeros on the diagonal.

    Raises
    ------
    TypeError
        If D does not hold numbers.
    ValueError
        If D is not square, is empty, contains NaN, infinity or negative numbers, is not symmetric,
        or its diagonal is not zero. Differences within float32 rounding are accepted.

    Notes
    -----
    The triangle inequality is not checked, because that would take n^3 steps.

    Examples
    --------
    >>> from skccvae.metrics.distance_matrix import check_distance_matrix
    >>> check_distance_matrix([[0, 1], [1, 0]])
    array([[0., 1.],
           [1., 0.]])
    """
    try:
        matrix = np.array(as_numpy(D), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a square matrix of numbers: {error}") from error
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(
            f"{name} must hold the distances between every two of n points, shape (n, n) with "
            f"n >= 1; got shape {matrix.shape}. sklearn.metrics.pairwise_distances makes such a "
            "matrix from rows."
        )
    if not np.isfinite(matrix).all():
        raise ValueError(
            f"{name} contains NaN or infinity, first in row "
            f"{int(np.argmin(np.isfinite(matrix).all(axis=1)))}; leave out points whose distances "
            "are unknown, and points of another component of the graph."
        )
    if (matrix < 0).any():
        raise ValueError(f"{name} must hold distances >= 0; the smallest is {matrix.min():.3g}.")
    slack = _ROUNDING * matrix.max()
    on_diagonal = np.diagonal(matrix).max()
    if on_diagonal > slack:
        raise ValueError(
            f"{name} must have zeros on its diagonal; the largest entry there is {on_diagonal:.3g}."
            " Turn similarities into distances first."
        )
    asymmetry = np.abs(matrix - matrix.T).max()
    if asymmetry > slack:
        raise ValueError(
            f"{name} must be symmetric; {name}[i, j] and {name}[j, i] differ by up to "
            f"{asymmetry:.3g}. If both are measurements of the same distance, pass their mean, "
            f"({name} + {name}.T) / 2."
        )
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 0.0)
    return matrix


def draw_rows(n: int, n_samples: int | None, most: int, rng: Any) -> NDArray[np.int64]:
    """Row numbers in increasing order: all rows, or a draw without replacement.

    Parameters
    ----------
    n : int
        Number of rows.
    n_samples : int or None
        How many to draw. More than n means n, and None means `most`.
    most : int
        How many to draw if n_samples is None.
    rng : RandomState
        Source of the draw.
    """
    wanted = most if n_samples is None else n_samples
    if wanted >= n:
        return np.arange(n)
    return np.sort(rng.choice(n, size=wanted, replace=False))
