"""The operations of every latent space, and the code that all spaces share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from skccvae.manifolds.functional import _safe_sqrt
from skccvae.manifolds.mean import normalised_weights
from skccvae.manifolds.pairwise import fill_blocks

__all__ = ["Manifold"]


class Manifold(ABC):
    """A space of constant curvature, or a product of such spaces.

    This is a closed set, not an interface to implement. :class:`Euclidean`, :class:`Sphere` and
    :class:`Hyperbolic` are all the model spaces of constant curvature that exist [1]_, and
    :class:`Product` combines them. Code that must look inside a space iterates over its `factors`.

    Points and tangent vectors have shape ``(..., ambient_dim)``, and tangent coordinates ``(...,
    dim)``. Leading shapes broadcast: each result has the broadcast shape of all arguments, even of
    those that do not affect its value. All methods except `pairwise` are differentiable.

    Attributes
    ----------
    dim : int
        Intrinsic dimension d.
    ambient_dim : int
        Length of a point.
    factors : tuple of Euclidean, Sphere or Hyperbolic
        The factors of a product. For any other space, a tuple with the space itself.

    References
    ----------
    .. [1] The Killing-Hopf theorem: J. M. Lee, "Introduction to Riemannian Manifolds", 2nd ed.,
       Springer (2018), chapter 12.
    """

    dim: int
    ambient_dim: int

    @property
    @abstractmethod
    def factors(self) -> tuple[Any, ...]:  # of ConstantCurvature, which is built on this file
        """The factors of a product. For any other space, a tuple with the space itself."""

    @abstractmethod
    def origin(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """The reference point, shape (ambient_dim,): zero, or the pole (R, 0, ..., 0)."""

    @abstractmethod
    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        """The point reached from x along the tangent vector u."""

    @abstractmethod
    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """The shortest tangent vector at x that leads to y."""

    @abstractmethod
    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """Geodesic distance, shape (...).

        The distance is computed from the chord, so that it is exactly 0 between equal points and
        accurate between near ones. Its gradient between equal points is 0.
        """

    @abstractmethod
    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """Tangent vector u at x, transported in parallel to y along the shortest geodesic."""

    @abstractmethod
    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Riemannian inner product of two tangent vectors at x, shape (...)."""

    @abstractmethod
    def project(self, x: Tensor) -> Tensor:
        """The point of the space on the ray through x; ValueError if there is none."""

    @abstractmethod
    def project_tangent(self, x: Tensor, u: Tensor) -> Tensor:
        """Orthogonal projection of an ambient vector onto the tangent space at x."""

    @abstractmethod
    def belongs(self, x: Tensor, atol: float | None = None) -> Tensor:
        """Whether x lies on the space, a Boolean of shape (...)."""

    @abstractmethod
    def exp0(self, u: Tensor) -> Tensor:
        """Exponential map at the origin of d tangent coordinates, (..., dim) to ambient."""

    @abstractmethod
    def log0(self, x: Tensor) -> Tensor:
        """Logarithm map at the origin in d tangent coordinates, ambient to (..., dim)."""

    @abstractmethod
    def to_frame(self, x: Tensor, u: Tensor) -> Tensor:
        """Coordinates (..., dim) of a tangent vector at x in the frame carried from the origin."""

    @abstractmethod
    def from_frame(self, x: Tensor, v: Tensor) -> Tensor:
        """Tangent vector at x with the given coordinates in the frame carried from the origin."""

    @abstractmethod
    def chart_dim(self, chart: str) -> int:
        """Number of coordinates of a chart; ValueError for an unknown one."""

    @abstractmethod
    def to_chart(self, x: Tensor, chart: str, *, check: bool = True) -> Tensor:
        """Coordinates of ambient points in a chart.

        Parameters
        ----------
        x : Tensor of shape (..., ambient_dim)
        chart : {"ambient", "natural", "stereographic", "tangent"}
            ``"stereographic"`` is ``tan_K(rho/2)`` times the direction from the origin. For K < 0
            it is the Poincaré ball of radius 1/sqrt(-K), which float32 resolves up to rho =
            16/sqrt(-K). For K = 0 it is half the point, the limit from both sides. ``"natural"`` is
            ``"ambient"`` if K > 0 and ``"tangent"`` otherwise. A product uses the chart of this
            name on every factor.
        check : bool, default=True
            If False, the antipode becomes NaN and raises no error. No value is then read on the
            host, so the call can be part of an exported graph.

        Returns
        -------
        Tensor of shape (..., chart_dim(chart))

        Raises
        ------
        ValueError
            For an unknown chart, and in the stereographic chart for the antipode of a sphere's
            origin.
        """

    @abstractmethod
    def from_chart(self, coords: Tensor, chart: str, *, check: bool = True) -> Tensor:
        """Ambient points with the given coordinates.

        Parameters
        ----------
        coords : Tensor of shape (..., chart_dim(chart))
        chart : {"ambient", "natural", "stereographic", "tangent"}
            Ambient coordinates are projected radially, see `project`. So are natural coordinates on
            a sphere, which are the same.
        check : bool, default=True
            If False, coordinates that belong to no point become NaN and raise no error. No value is
            then read on the host, so the call can be part of an exported graph.

        Returns
        -------
        Tensor of shape (..., ambient_dim)

        Raises
        ------
        ValueError
            For an unknown chart, a wrong number of columns, NaN or infinity, a stereographic point
            on or outside the Poincaré ball, or an ambient point that has no projection.
        """

    @abstractmethod
    def geodesic(self, x: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        """The point at fraction t of the shortest geodesic from x to y.

        Parameters
        ----------
        x, y : Tensor of shape (..., ambient_dim)
        t : float or Tensor of shape (...)
            0 gives x and 1 gives y; values outside extend the geodesic.

        Returns
        -------
        Tensor of shape (..., ambient_dim)

        Raises
        ------
        ValueError
            Between antipodes of a sphere, where many geodesics are equally short.
        """

    @abstractmethod
    def _distance_block(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances between all rows of x and all rows of y, in a new tensor (n, m)."""

    @abstractmethod
    def _mean(self, points: Tensor, w: Tensor) -> Tensor:
        """Fréchet mean of float64 points with positive weights of sum 1."""

    def split(self, x: Tensor, chart: str = "ambient") -> tuple[Tensor, ...]:
        """Parts of a point, or of its coordinates in a chart, one for each factor."""
        return x.split([f.chart_dim(chart) for f in self.factors], -1)

    def norm(self, x: Tensor, u: Tensor) -> Tensor:
        """Riemannian length of a tangent vector at x, shape (...), with gradient 0 at u = 0."""
        return _safe_sqrt(self.inner(x, u, u))

    def pairwise(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Matrix of geodesic distances between two sets of points.

        Parameters
        ----------
        x : Tensor of shape (n, ambient_dim)
            Points of the space, as rows.
        y : Tensor of shape (m, ambient_dim), optional
            Other points. By default they are x itself.

        Returns
        -------
        Tensor of shape (n, m), float64
            Without y, the matrix is exactly symmetric with zeros on the diagonal. It carries no
            gradient, whereas ``dist(x[:, None], y)`` does.

        Raises
        ------
        ValueError
            For a wrong number of dimensions or columns, NaN or infinity.

        Notes
        -----
        The distances are computed in float64 from differences of coordinates, not from inner
        products, so they are accurate for near points. About 5 MB of memory are used besides the
        result.
        """
        for points in (x,) if y is None else (x, y):
            self._check_rows(points)
        return fill_blocks(self._distance_block, x.double(), None if y is None else y.double())

    def frechet_mean(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """The point with the least weighted sum of squared distances to the rows of x.

        Parameters
        ----------
        x : Tensor of shape (n, ambient_dim)
            Points of the space, at least one.
        weights : Tensor of shape (n,), optional
            Non-negative weights, not all zero. By default they are equal.

        Returns
        -------
        Tensor of shape (ambient_dim,), of the dtype of x

        Raises
        ------
        ValueError
            For wrong shapes or weights, and if the mean is not unique. On a sphere, points that are
            not inside one open hemisphere may have several means, and antipodes always do.

        Notes
        -----
        The method is gradient descent in float64, with a step that follows from the curvature of
        the squared distance [1]_. On a sphere, the result is provably unique if all points are in a
        hemisphere around it [1]_. For other points, further starts look for another point that is
        as good. In a product each factor has its own mean.

        References
        ----------
        .. [1] B. Afsari, R. Tron, R. Vidal, "On the convergence of gradient descent for finding
           the Riemannian center of mass", SIAM J. Control Optim. 51 (2013).
        """
        self._check_rows(x)
        if len(x) == 0:
            raise ValueError("frechet_mean takes n points as rows, with n at least 1; got none.")
        w = normalised_weights(weights, len(x), x.device)
        points = self.project(x.double())
        return self._mean(points[w > 0], w[w > 0]).to(x.dtype)

    def _check_points(self, x: Tensor, width: int, what: str = "points") -> None:
        """Check the last dimension and that all numbers are finite; else ValueError."""
        if x.shape[-1:] != (width,):
            raise ValueError(
                f"{self!r} has intrinsic dimension {self.dim} and ambient dimension "
                f"{self.ambient_dim}; these {what} need {width} columns, got shape "
                f"{tuple(x.shape)}."
            )
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"The {what} contain NaN or infinity; remove or replace those rows.")

    def _check_rows(self, x: Tensor) -> None:
        """Check that x holds ambient points as its rows; else ValueError."""
        self._check_points(x, self.ambient_dim)
        if x.ndim != 2:
            raise ValueError(
                f"Expected points as rows, shape (n, {self.ambient_dim}); got shape "
                f"{tuple(x.shape)}."
            )
