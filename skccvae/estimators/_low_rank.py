"""Rows with missing values, filled in from a few principal components of the observed values."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

# Rounds of components and reconstructions; later ones change little compared with training.
_ROUNDS = 15


def fill_low_rank(rows: NDArray[np.float64], k: int, seed: int) -> NDArray[np.float64]:
    """Fill in NaN by iterating the regularised reconstruction from k components.

    Filling in the column means alone would shrink the variances and covariances that the components
    come from.

    Parameters
    ----------
    rows : ndarray of shape (n, p)
        NaN where a value is missing. A column that is all NaN is filled with 0.
    k : int
        Number of components, at most min(n, p). With 0 the column means remain.
    seed : int
        Seed of a randomised decomposition.

    Returns
    -------
    ndarray of shape (n, p)
        A copy, equal to ``rows`` wherever ``rows`` is not NaN.

    References
    ----------
    Josse and Husson, "Handling missing values in exploratory multivariate data analysis methods",
    Journal de la SFdS 2012, section 2.3. Components are shrunk by their share of noise, so that a
    few rows with many holes do not overfit.

    Examples
    --------
    >>> import numpy as np
    >>> from skccvae.estimators._low_rank import fill_low_rank
    >>> rows = np.outer(np.arange(6.0), [1.0, 2.0, -1.0])
    >>> rows[2, 1] = np.nan
    >>> bool(abs(fill_low_rank(rows, 1, seed=0)[2, 1] - 4.0) < 0.1)
    True
    """
    missing = np.isnan(rows)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # an empty column
        means = np.nan_to_num(np.nanmean(rows, axis=0))
    filled = np.where(missing, means, rows)
    if k < 1:
        return filled
    for _ in range(_ROUNDS):
        with np.errstate(invalid="ignore"):  # shares of a variance of 0
            pca = PCA(k, random_state=seed % 2**32).fit(filled)
        axes, variance = pca.components_, pca.explained_variance_
        # Holes have no noise of their own yet, so what is left over is spread over fewer values.
        noise = pca.noise_variance_ / max(1.0 - missing.mean(), 0.01)
        kept = 1 - np.minimum(noise / np.maximum(variance, 1e-300), 1)
        scores = (filled - pca.mean_) @ axes.T
        filled[missing] = (pca.mean_ + (scores * kept) @ axes)[missing]
    return filled
