"""The constant curvature that fits a matrix of distances."""

from __future__ import annotations

import math
import warnings
from numbers import Integral

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import pdist, squareform
from sklearn.utils import check_random_state

from skccvae._sklearn import Interval, validate_params
from skccvae.metrics.distance_matrix import check_distance_matrix, draw_rows

__all__ = ["estimate_curvature"]

# The search is over s = sign(K) sqrt(|K|) times the diameter. At -20 the Gram matrix spans eight
# orders of magnitude, and float64 still resolves near points; from 1.5 pi on, a sphere is much
# smaller than the distances.
_LEAST, _MOST = -20.0, 1.5 * math.pi
_GRID = np.concatenate([np.linspace(_LEAST, -0.5, 40), np.linspace(0.0, _MOST, 20)])
# Below this the fit cannot be distinguished from the flat one, and the cosines lose their digits.
_FLAT = 1e-3
_MOST_ROWS = 500


@validate_params(
    {
        "D": "no_validation",
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_samples": [Interval(Integral, 1, None, closed="left"), None],
        "return_stress": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def estimate_curvature(
    D: ArrayLike,
    *,
    n_components: int = 2,
    n_samples: int | None = None,
    return_stress: bool = False,
    random_state: int | RandomState | None = None,
) -> float | tuple[float, float]:
    r"""Curvature K of the space of constant curvature that fits distances best.

    Points are placed in the space of `n_components` dimensions of each curvature by classical
    scaling, and K is the curvature for which the distances between these points are nearest to D.

    Parameters
    ----------
    D : array-like of shape (n, n)
        Distances: symmetric, with zeros on the diagonal.
    n_components : int, default=2
        Intrinsic dimension d of the space. K means little if d is not the dimension of the data:
        distances of many dimensions fit into a few dimensions only if these are strongly curved. In
        one dimension a circle has a length, but a segment fits all circles that are longer than
        itself.
    n_samples : int, default=None
        Number of points to draw at random; the others are left out. None takes all, up to 500.
    return_stress : bool, default=False
        Whether to return the stress as well.
    random_state : int, RandomState instance or None, default=None
        Seed for the draw of points.

    Returns
    -------
    K : float
        Curvature, in 1 / (unit of D)^2. The curvature radius :math:`1 / \sqrt{|K|}` is at least a
        twentieth of the largest distance if K < 0, and at least the largest distance over 1.5 pi if
        K > 0.
    stress : float
        The remaining misfit: :math:`\sqrt{\sum (D - D_K)^2 / \sum D^2}`, 0 for a perfect fit. It is
        returned only if `return_stress`. A K that leaves a stress of 0.2 says little about the
        data.

    Raises
    ------
    ValueError
        If D is not square, is empty, is not symmetric, or is not zero on the diagonal; if it
        contains NaN, infinity or negative numbers; if it has fewer than ``n_components + 2``
        points, which fit into many spaces; or if all distances are zero.
    TypeError
        If D does not hold numbers.

    Warns
    -----
    UserWarning
        If stronger curvature always fits better. K is then the lower end of the range. Noise in
        many dimensions behaves like this, and large trees may too.

    See Also
    --------
    delta_hyperbolicity : How far the distances are from those of a tree.

    Notes
    -----
    On the sphere the inner products of unit vectors are :math:`\cos(\sqrt{K} D)`. In hyperbolic
    space the inner products of points on the hyperboloid are :math:`-\cosh(\sqrt{-K} D)` [1]_. The
    d + 1 largest eigenvalues of this matrix (d in hyperbolic space) and their eigenvectors give the
    points, which are then moved onto the sphere or the hyperboloid [2]_. For K = 0 the method is
    classical scaling. Distances between points of a space of curvature K and dimension d are fitted
    exactly. Noise in the distances raises K, most of all in hyperbolic space, where the largest
    distances count most. For 120 points drawn from a normal around the origin with K = -1, two per
    cent of noise gave K between -0.95 and -0.85, and ten per cent between -0.42 and 0.14. Points
    all over a sphere with K = 1 gave 0.98 to 1.

    .. warning::
       Independent noise in many dimensions has almost equal distances. A plane has no room for more
       than three points at equal distances, but a strongly curved hyperbolic space does. Such data
       get the lower end of the range, whatever their geometry. The stress reveals this.

    References
    ----------
    .. [1] R. C. Wilson, E. R. Hancock, E. Pekalska and R. P. W. Duin, "Spherical and hyperbolic
       embeddings of data", IEEE TPAMI 36, 2014, sections 3 to 5. The paper chooses K by the
       eigenvalue of the wrong sign, which needs no dimension but scales with K.
    .. [2] M. Keller-Ressel and S. Nargang, "Hydra: a method for strain-minimizing hyperbolic
       embedding of network- and distance-based data", Journal of Complex Networks 8, 2020.

    Examples
    --------
    Points on a sphere of radius 1/2, and noise in 100 dimensions:

    >>> import warnings
    >>> import numpy as np
    >>> from sklearn.metrics import pairwise_distances
    >>> from skccvae.manifolds import Sphere
    >>> from skccvae.metrics import estimate_curvature, pairwise_geodesic_distances
    >>> rng = np.random.default_rng(0)
    >>> sphere = Sphere(2, 4.0)
    >>> D = pairwise_geodesic_distances(rng.normal(size=(100, 3)), manifold=sphere)
    >>> round(estimate_curvature(D), 3)
    4.0
    >>> noise = pairwise_distances(rng.normal(size=(100, 100)))
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     K, stress = estimate_curvature(noise, return_stress=True)
    >>> round(K, 2), round(stress, 2)
    (-1.31, 0.18)
    """
    matrix = check_distance_matrix(D)
    n = len(matrix)
    rows = draw_rows(n, n_samples, _MOST_ROWS, check_random_state(random_state))
    matrix = matrix[np.ix_(rows, rows)]
    if len(rows) < n_components + 2:
        raise ValueError(
            f"estimate_curvature needs at least n_components + 2 = {n_components + 2} points to "
            f"tell curvatures apart; got {len(rows)}. Fewer points fit into spaces of many "
            "curvatures."
        )
    diameter = matrix.max()
    if diameter == 0:
        raise ValueError("All distances of D are zero, so they fit any curvature.")
    # In units of the diameter, so that the search does not depend on the unit of D.
    matrix /= diameter
    d = int(n_components)
    stresses = [_stress(matrix, s, d) for s in _GRID]
    best = int(np.argmin(stresses))
    if best == 0:
        warnings.warn(
            "The more a hyperbolic space is curved, the better it fits the distances, up to a "
            "curvature radius of a twentieth of the largest distance, where the search ends. "
            "Noise in many dimensions behaves like this, and large trees may too.",
            UserWarning,
            stacklevel=2,
        )
    s, stress = float(_GRID[best]), float(stresses[best])
    if best > 0:
        ends = (_GRID[best - 1], _GRID[min(best + 1, len(_GRID) - 1)])
        found = minimize_scalar(
            lambda s: _stress(matrix, s, d), bounds=ends, method="bounded", options={"xatol": 1e-4}
        )
        if found.fun < stress:
            s, stress = float(found.x), float(found.fun)
    curvature = 0.0 if abs(s) < _FLAT else s * abs(s) / float(diameter) ** 2
    return (curvature, stress) if return_stress else curvature


def _stress(D: NDArray[np.float64], s: float, d: int) -> float:
    """Square root of the relative squared error of D in the best space of curvature s |s|."""
    error = np.square(D - _scaled_distances(D, s, d)).sum()
    return math.sqrt(error / np.square(D).sum())


def _scaled_distances(D: NDArray[np.float64], s: float, d: int) -> NDArray[np.float64]:
    """Distances between the points that classical scaling finds, curvature s |s|."""
    a = abs(s)
    if a < _FLAT:
        squares = np.square(D)
        means = squares.mean(axis=0)
        inner = -0.5 * (squares - means[:, None] - means + means.mean())
        return squareform(pdist(_largest(inner, d)))
    if s > 0:
        # No two points of the sphere are further apart than half a turn.
        points = _largest(np.cos(np.minimum(a * D, math.pi)), d + 1)
        points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), np.finfo(float).tiny)
        return squareform(2 * np.arcsin(np.minimum(pdist(points) / 2, 1.0))) / a
    points = _largest(-np.cosh(a * D), d)
    time = np.sqrt(1 + np.square(points).sum(axis=1))
    cosh = np.maximum(time[:, None] * time - points @ points.T, 1.0)
    distances = np.arccosh(cosh) / a
    np.fill_diagonal(distances, 0.0)
    return distances


def _largest(inner: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Coordinates that reproduce the k largest eigenvalues of a matrix of inner products."""
    n = len(inner)
    values, vectors = eigh(inner, subset_by_index=[n - k, n - 1])
    return vectors * np.sqrt(np.maximum(values, 0.0))
