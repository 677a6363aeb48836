"""Gromov's delta: how far distances are from those of a tree."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from skccvae._sklearn import Interval, validate_params
from skccvae.metrics.distance_matrix import check_distance_matrix, draw_rows

__all__ = ["delta_hyperbolicity"]

# All base points of this many rows take a few seconds; one of 1000 rows takes about as long.
_MOST_EXACT, _BASE_POINTS = 200, 10


@validate_params(
    {
        "D": "no_validation",
        "relative": ["boolean"],
        "n_samples": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def delta_hyperbolicity(
    D: ArrayLike,
    *,
    relative: bool = False,
    n_samples: int | None = None,
    random_state: int | RandomState | None = None,
) -> float:
    r"""Gromov's delta of a matrix of distances: 0 for a tree, large for a flat or round space.

    Four points can be split into two pairs in three ways. For each way, add up the distances within
    the two pairs. Delta is half of the difference between the largest and the second largest sum,
    maximised over all sets of four points [1]_.

    Parameters
    ----------
    D : array-like of shape (n, n)
        Distances: symmetric, with zeros on the diagonal.
    relative : bool, default=False
        Whether to return :math:`2 \delta / \max D`, which does not depend on the unit of the
        distances: 0 for a tree, and at most 1 [3]_.
    n_samples : int, default=None
        Number of base points, drawn at random. For each, the sets of four points that contain it
        are compared, in :math:`n^3` steps. With all n points the result is exact. With fewer it is
        a lower bound, at least half of the exact value. None takes all points up to n = 200, and 10
        otherwise.
    random_state : int, RandomState instance or None, default=None
        Seed for the draw of base points.

    Returns
    -------
    float
        Delta in the unit of D, or the relative delta. It is 0 for fewer than four points, and if
        all distances are zero.

    Raises
    ------
    ValueError
        If D is not square, is empty, is not symmetric, is not zero on the diagonal, or contains
        NaN, infinity or negative numbers.
    TypeError
        If D does not hold numbers.

    See Also
    --------
    estimate_curvature : Curvature of the space that fits the distances best.
    skccvae.model_selection.compare_geometries : How well each geometry describes the rows.

    Notes
    -----
    For a base point w, with the Gromov products :math:`A_{xy} = (d_{xw} + d_{yw} - d_{xy}) / 2`,
    delta is the largest entry of :math:`A \otimes A - A`, where :math:`(A \otimes A)_{xz} = \max_y
    \min(A_{xy}, A_{yz})` [2]_. The computation needs memory for three more matrices of the size of
    D. The bounds hold for distances that obey the triangle inequality, which is not checked.

    Delta is :math:`\log(2) / \sqrt{-K}` for the hyperbolic plane [4]_, a quarter of the length of a
    circle, :math:`\pi / (2 \sqrt{K})` for a sphere, and at most half of the diameter of any space.

    .. warning::
       A small relative delta does not show that data have the structure of a tree. Independent
       noise in many dimensions has almost equal distances, as do the ends of a star with equal
       rays, which is a tree. Compare with the value for rows whose columns have been shuffled
       separately.

    References
    ----------
    .. [1] Gromov, "Hyperbolic groups", in: Essays in group theory, Springer 1987.
    .. [2] H. Fournier, A. Ismail and A. Vigneron, "Computing the Gromov hyperbolicity of a discrete
       metric space", Information Processing Letters 115, 2015, section 2.
    .. [3] Khrulkov et al., "Hyperbolic image embeddings", CVPR 2020, section 3.
    .. [4] Nica and Špakula, "Strong hyperbolicity", Groups, Geometry, and Dynamics 10, 2016.

    Examples
    --------
    The distances of a tree, and those of a cycle of eight edges:

    >>> import numpy as np
    >>> from skccvae.datasets import make_branching_diffusion
    >>> from skccvae.metrics import delta_hyperbolicity
    >>> tree = make_branching_diffusion(depth=4, random_state=0)
    >>> delta_hyperbolicity(tree.tree_distances)
    0.0
    >>> steps = np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
    >>> delta_hyperbolicity(np.minimum(steps, 8 - steps))
    2.0

    Noise looks more like a tree the more dimensions it has:

    >>> from sklearn.metrics import pairwise_distances
    >>> rng = np.random.default_rng(0)
    >>> for dim in (2, 10, 100):
    ...     D = pairwise_distances(rng.normal(size=(100, dim)))
    ...     print(dim, round(delta_hyperbolicity(D, relative=True), 2))
    2 0.57
    10 0.46
    100 0.3
    """
    matrix = check_distance_matrix(D)
    diameter = matrix.max()
    if diameter == 0:
        return 0.0
    n = len(matrix)
    most = n if n <= _MOST_EXACT else _BASE_POINTS
    base_points = draw_rows(n, n_samples, most, check_random_state(random_state))
    delta = max(_delta_at(matrix, int(w)) for w in base_points)
    # Sums of distances are rounded; what rounding leaves of a tree is 0.
    delta = 0.0 if delta < 8 * np.finfo(float).eps * diameter else delta
    return 2 * delta / float(diameter) if relative else delta


def _delta_at(D: NDArray[np.float64], base: int) -> float:
    """Largest delta of four points, one of which is the base point."""
    radius = D[base]
    products = (radius[:, None] + radius - D) / 2
    best = products.copy()  # y = x or y = z, which give no less than the product itself
    smaller = np.empty_like(products)
    for column in products:  # the matrix is symmetric, so this is a row, too
        np.minimum(column[:, None], column, out=smaller)
        np.maximum(best, smaller, out=best)
    return float((best - products).max())
