"""Geodesic distance between latent points, as a matrix and as a callable metric."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from skccvae._array_api import as_given, as_numpy
from skccvae.manifolds import Manifold
from skccvae.manifolds.charts import resolve_chart

__all__ = ["GeodesicDistance", "pairwise_geodesic_distances"]


def pairwise_geodesic_distances(
    Z: ArrayLike,
    W: ArrayLike | None = None,
    *,
    manifold: Manifold,
    coordinates: str = "ambient",
) -> NDArray[np.float64]:
    """Matrix of geodesic distances between the rows of two arrays.

    Parameters
    ----------
    Z : array-like of shape (n, n_coordinates)
        Points, as a transformer with these coordinates returns them.
    W : array-like of shape (m, n_coordinates), optional
        Other points. By default they are Z itself.
    manifold : Manifold
        The space of the points.
    coordinates : {"ambient", "natural", "stereographic", "tangent"}, default="ambient"
        Chart of the rows. Ambient points are projected radially onto the space, and so are natural
        points of a sphere.

    Returns
    -------
    ndarray of shape (n, m), float64
        Without W, the matrix is exactly symmetric with zeros on the diagonal.

    Raises
    ------
    TypeError
        If manifold is not a space of skccvae.manifolds.
    ValueError
        For a wrong number of dimensions or columns, NaN or infinity, points that are not in the
        chart, or an unknown chart.

    Notes
    -----
    The distances are computed in float64 from differences of coordinates, not from inner products,
    so they are accurate for near points. About 5 MB of memory are used besides the result. See
    :meth:`Manifold.pairwise <skccvae.manifolds.Manifold.pairwise>`.

    Examples
    --------
    >>> from skccvae.manifolds import Hyperbolic
    >>> from skccvae.metrics import pairwise_geodesic_distances
    >>> Z = [[0.0, 0.0], [3.0, 0.0], [-1.0, 0.0]]
    >>> pairwise_geodesic_distances(Z, manifold=Hyperbolic(2), coordinates="tangent").round(6)
    array([[0., 3., 1.],
           [3., 0., 4.],
           [1., 4., 0.]])
    """
    z = _points(Z, manifold, coordinates, "Z")
    w = None if W is None else _points(W, manifold, coordinates, "W")
    return as_given(manifold.pairwise(z, w).numpy(), Z)


def _check_manifold(manifold: object) -> None:
    if not isinstance(manifold, Manifold):
        raise TypeError(
            "manifold must be a space of skccvae.manifolds, such as a fitted transformer's "
            f"manifold_; got {type(manifold).__name__}."
        )


def _points(Z: ArrayLike, manifold: Manifold, coordinates: str, name: str) -> Tensor:
    """Checked ambient points in float64 on the CPU."""
    _check_manifold(manifold)
    width = manifold.chart_dim(coordinates)
    array = np.array(as_numpy(Z), dtype=np.float64)  # a copy
    if array.ndim != 2:
        raise ValueError(
            f"{name} must have two dimensions, with {width} {coordinates} coordinates in each row; "
            f"got shape {array.shape}."
        )
    return manifold.from_chart(torch.from_numpy(array), coordinates)


class GeodesicDistance:
    """Geodesic distance between two points, as a metric for scikit-learn.

    Pass it as ``metric=`` wherever scikit-learn takes a callable. scikit-learn calls it for one
    pair at a time, which takes about ten microseconds. For more than a few thousand points use
    `pairwise` and ``metric="precomputed"``, which is a hundred times faster.

    Parameters
    ----------
    manifold : Manifold
        The space of the points.
    coordinates : {"ambient", "natural", "stereographic", "tangent"}, default="ambient"
        Chart of the points.

    Raises
    ------
    TypeError, ValueError
        If manifold is not a space of skccvae.manifolds, or the chart is unknown.

    Notes
    -----
    Tree algorithms also measure distances to means of points, which are not points of the space.
    Any vector is therefore first mapped to a point of the space: radially on the sphere, where the
    zero vector goes to the origin, and by its spatial coordinates in hyperbolic space. This keeps
    the triangle inequality, on which trees rely, and does not change points of the space.

    In hyperbolic spaces of many dimensions the geodesic between two far points passes near the
    origin, and the point nearest to the origin is the nearest neighbour of almost all others.
    There a flatter space, or the Euclidean metric on tangent coordinates, finds better neighbours.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skccvae.manifolds import Sphere
    >>> from skccvae.metrics import GeodesicDistance
    >>> Z = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> metric = GeodesicDistance(Sphere(2))
    >>> knn = KNeighborsClassifier(1, metric=metric).fit(Z, [0, 1, 2])
    >>> knn.predict([[0.9, 0.1, 0.0]])
    array([0])
    """

    def __init__(self, manifold: Manifold, coordinates: str = "ambient") -> None:
        _check_manifold(manifold)
        self.manifold = manifold
        self.coordinates = coordinates
        self._width = manifold.chart_dim(coordinates)
        ends = np.cumsum([f.chart_dim(coordinates) for f in manifold.factors]).tolist()
        self._parts = [
            (slice(start, end), float(f.curvature), resolve_chart(coordinates, f.curvature))
            for start, end, f in zip([0, *ends[:-1]], ends, manifold.factors, strict=True)
        ]

    def __repr__(self) -> str:
        return f"GeodesicDistance({self.manifold!r}, coordinates={self.coordinates!r})"

    def __call__(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        """Distance between two points.

        Parameters
        ----------
        x, y : ndarray of shape (n_coordinates,)

        Returns
        -------
        float

        Raises
        ------
        ValueError
            For a wrong number of coordinates.
        """
        if len(x) != self._width or len(y) != self._width:
            raise ValueError(
                f"{self!r} takes points of {self._width} coordinates; got {len(x)} and {len(y)}."
            )
        if not all(chart in _EMBEDDED for _, _, chart in self._parts):
            return float(self.pairwise([x], [y])[0, 0])
        distances = [_distance(x[part], y[part], K, chart) for part, K, chart in self._parts]
        return distances[0] if len(distances) == 1 else math.hypot(*distances)

    def pairwise(self, Z: ArrayLike, W: ArrayLike | None = None) -> NDArray[np.float64]:
        """Matrix of distances; see :func:`pairwise_geodesic_distances`."""
        return pairwise_geodesic_distances(
            Z, W, manifold=self.manifold, coordinates=self.coordinates
        )


# The same distance for a single pair, in NumPy. Only overhead counts there, and the methods of the
# space, which work on tensors, take at least twenty times as long. A test compares the two. A chart
# that is not implemented here takes the slow way.
_EMBEDDED = ("ambient", "stereographic", "tangent")


def _norm(x: NDArray[np.float64]) -> float:
    return math.sqrt(float(x @ x))


def _distance(x: NDArray[np.float64], y: NDArray[np.float64], K: float, coordinates: str) -> float:
    """Distance between two points of one factor, as `Manifold.pairwise` computes it."""
    p, q = _embed(x, K, coordinates), _embed(y, K, coordinates)
    if K == 0:
        return _norm(p - q)
    if K > 0:
        return 2 * math.atan2(_norm(p - q), _norm(p + q)) / math.sqrt(K)
    a, b = _norm(p), _norm(q)
    # For a point at the origin `turn` counts for nothing, whatever its direction.
    turn = p / a - q / b if a > 0 and b > 0 else p
    radial = math.sinh((math.asinh(a) - math.asinh(b)) / 2)
    root = math.hypot(radial, _norm(turn) * math.sqrt(a) * math.sqrt(b) / 2)
    return 2 * math.asinh(root) / math.sqrt(-K)


def _embed(x: NDArray[np.float64], K: float, coordinates: str) -> NDArray[np.float64]:
    """Euclidean point, unit vector of the sphere, or spatial part on the unit hyperboloid."""
    if K == 0:
        return 2 * x if coordinates == "stereographic" else x
    a = math.sqrt(abs(K))
    if coordinates == "ambient":
        if K < 0:
            return a * x[1:]
        n = _norm(x)
        return x / n if n > 0 else np.eye(1, len(x))[0]
    n = a * _norm(x)
    if coordinates == "tangent":
        angle, ratio = n, (1.0 if n == 0 else (math.sinh(n) if K < 0 else math.sin(n)) / n)
    elif K < 0:
        if n >= 1:
            raise ValueError(f"A stereographic point lies outside the ball of radius {1 / a:g}.")
        return 2 * a * x / ((1 - n) * (1 + n))
    else:
        angle = 2 * math.atan(n)
        ratio = 2 / (1 + n * n)
    s = a * ratio * x
    return s if K < 0 else np.concatenate(([math.cos(angle)], s))
