"""What every latent space can do: the common interface and everything written once for all K."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from skccvae.manifolds import functional as polar
from skccvae.manifolds.mean import frechet_mean
from skccvae.special.trigonometry import log_sinc_k, sinc_k

__all__ = ["CHARTS", "ConstantCurvature", "Manifold"]

#: Names of the coordinate charts that every space offers.
CHARTS = ("ambient", "stereographic", "tangent")


def check_dim(dim: object) -> int:
    """Intrinsic dimension as a Python int, or a TypeError / ValueError that explains itself."""
    if isinstance(dim, bool) or not isinstance(dim, numbers.Integral):
        raise TypeError(
            f"dim must be an integer, the intrinsic dimension of the space; got {dim!r} of type "
            f"{type(dim).__name__}."
        )
    if dim < 1:
        raise ValueError(f"dim must be at least 1; got {dim}.")
    return int(dim)


def check_curvature(curvature: object, sign: int, name: str) -> float:
    """Curvature as a finite float of the given sign, or an error that says what to use."""
    if isinstance(curvature, bool) or not isinstance(curvature, numbers.Real):
        raise TypeError(
            f"curvature must be a real number; got {curvature!r} of type "
            f"{type(curvature).__name__}."
        )
    value = float(curvature)
    if not math.isfinite(value) or value * sign <= 0:
        wanted = "positive, as in curvature=1.0" if sign > 0 else "negative, as in curvature=-1.0"
        raise ValueError(f"The curvature of a {name} must be finite and {wanted}; got {value!r}.")
    return value


def check_chart(chart: object) -> None:
    """Refuse an unknown chart name."""
    if chart not in CHARTS:
        raise ValueError(f"chart must be one of {', '.join(map(repr, CHARTS))}; got {chart!r}.")


class Manifold(ABC):
    """Interface of a Riemannian manifold whose points are rows of ``ambient_dim`` numbers.

    Subclasses: :class:`Euclidean`, :class:`Sphere`, :class:`Hyperbolic` and :class:`Product`.
    Points and tangent vectors have shape ``(..., ambient_dim)`` and broadcast; everything is
    differentiable.

    Attributes
    ----------
    dim : int
        Intrinsic dimension d.
    ambient_dim : int
        Length of a point.
    """

    dim: int
    ambient_dim: int

    @abstractmethod
    def origin(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """Point of reference, shape (ambient_dim,)."""

    @abstractmethod
    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        """Point reached from x along the tangent vector u."""

    @abstractmethod
    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Shortest tangent vector at x that leads to y."""

    @abstractmethod
    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """Geodesic distance, shape (...)."""

    @abstractmethod
    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """Tangent vector u at x carried to y in parallel along the shortest geodesic."""

    @abstractmethod
    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Riemannian inner product of two tangent vectors at x, shape (...)."""

    @abstractmethod
    def project(self, x: Tensor) -> Tensor:
        """Point of the space on the ray through x; ValueError where there is none."""

    @abstractmethod
    def project_tangent(self, x: Tensor, u: Tensor) -> Tensor:
        """Orthogonal projection of an ambient vector on the tangent space at x."""

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
    def to_chart(self, x: Tensor, chart: str) -> Tensor:
        """Coordinates of ambient points in a chart."""

    @abstractmethod
    def from_chart(self, coords: Tensor, chart: str) -> Tensor:
        """Ambient points with the given coordinates; ValueError where there are none."""

    @abstractmethod
    def chart_dim(self, chart: str) -> int:
        """Number of coordinates of a chart."""

    @abstractmethod
    def geodesic(self, x: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        """Point at fraction t of the shortest geodesic from x to y."""

    @abstractmethod
    def frechet_mean(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """Point of least weighted sum of squared distances to the rows of x."""

    def norm(self, x: Tensor, u: Tensor) -> Tensor:
        """Riemannian length of a tangent vector at x, shape (...), with gradient 0 at u = 0."""
        return polar._safe_sqrt(self.inner(x, u, u))

    def _check_points(self, x: Tensor, width: int, what: str = "points") -> None:
        """Shape and finiteness, with a message that says intrinsic or ambient."""
        if x.shape[-1:] != (width,):
            raise ValueError(
                f"{self!r} has intrinsic dimension {self.dim} and ambient dimension "
                f"{self.ambient_dim}; these {what} need {width} columns, got shape "
                f"{tuple(x.shape)}."
            )
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"The {what} contain NaN or infinity; remove or replace those rows.")


class ConstantCurvature(Manifold):
    """Common part of the simply connected spaces of constant curvature.

    Attributes
    ----------
    curvature : float
        Signed curvature K.
    radius_ : float
        Radius R = ``1/sqrt(|K|)`` of the embedding; infinity for K = 0.
    """

    def __init__(self, dim: int, curvature: float) -> None:
        self.dim = check_dim(dim)
        self.curvature = curvature
        self.radius_ = math.inf if curvature == 0 else 1 / math.sqrt(abs(curvature))
        self.ambient_dim = self.dim + (curvature != 0)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dim={self.dim}, curvature={self.curvature:g})"

    def __eq__(self, other: object) -> bool:
        return (
            type(self) is type(other)
            and isinstance(other, ConstantCurvature)
            and (self.dim, self.curvature) == (other.dim, other.curvature)
        )

    def __hash__(self) -> int:
        return hash((type(self), self.dim, self.curvature))

    def to_polar(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Polar pair (c, s) of an ambient point; see :mod:`skccvae.manifolds.functional`."""
        if self.curvature == 0:
            return torch.ones_like(x[..., 0]), x
        return x[..., 0] / self.radius_, x[..., 1:]

    def from_polar(self, c: Tensor, s: Tensor) -> Tensor:
        """Ambient point of a polar pair (c, s)."""
        if self.curvature == 0:
            return s
        return torch.cat([(c * self.radius_).unsqueeze(-1), s], -1)

    def origin(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """Point of reference, shape (ambient_dim,): zero, or the pole (R, 0, ..., 0)."""
        x = torch.zeros(self.ambient_dim, dtype=dtype, device=device)
        if self.curvature != 0:
            x[0] = self.radius_
        return x

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """Geodesic distance, shape (...).

        Taken from the chord, so that it is exactly 0 between equal points and keeps its digits
        between near ones; its gradient there is 0.
        """
        return polar.distance(*self.to_polar(x), *self.to_polar(y), self.curvature)

    def exp0(self, u: Tensor) -> Tensor:
        """Exponential map at the origin of d tangent coordinates, (..., dim) to ambient."""
        return self.from_polar(*polar.exp_origin(u, self.curvature))

    def log0(self, x: Tensor) -> Tensor:
        """Logarithm map at the origin in d tangent coordinates, ambient to (..., dim)."""
        return polar.log_origin(*self.to_polar(x), self.curvature)

    def log_volume_ratio(self, r: Tensor) -> Tensor:
        """Log of the polar volume element over the flat one, (d - 1) log(sin_K(r)/r).

        Parameters
        ----------
        r : Tensor
            Distance from the pole of the polar coordinates, >= 0.
        """
        if self.dim == 1:
            return torch.zeros_like(r)
        return (self.dim - 1) * log_sinc_k(r, self.curvature)

    def chart_dim(self, chart: str) -> int:
        """Number of coordinates of a chart: ambient_dim or dim."""
        check_chart(chart)
        return self.ambient_dim if chart == "ambient" else self.dim

    def to_chart(self, x: Tensor, chart: str) -> Tensor:
        """Coordinates of ambient points in a chart.

        Parameters
        ----------
        x : Tensor of shape (..., ambient_dim)
        chart : {"ambient", "stereographic", "tangent"}
            ``"stereographic"`` is ``tan_K(rho/2)`` times the direction from the origin: for K < 0
            the Poincare ball of radius 1/sqrt(-K), which float32 resolves up to
            rho = 16/sqrt(-K); for K = 0 half the point, the limit of both.

        Raises
        ------
        ValueError
            For an unknown chart, or the stereographic image of the antipode of a sphere's origin.
        """
        check_chart(chart)
        if chart == "ambient":
            return x
        if chart == "tangent":
            return self.log0(x)
        c, s = self.to_polar(x)
        if self.curvature <= 0:
            return s / (1 + c).unsqueeze(-1)
        if bool(((c <= -1) | ((c < 0) & (s == 0).all(-1))).any()):
            raise ValueError(
                "The antipode of the origin has no stereographic coordinates (they would be "
                "infinite); use chart='ambient' for data that covers the whole sphere."
            )
        factor = polar._frame_factor(c, s, self.curvature, 1) / self.curvature
        return s * factor.unsqueeze(-1)

    def from_chart(self, coords: Tensor, chart: str) -> Tensor:
        """Ambient points with the given coordinates.

        Parameters
        ----------
        coords : Tensor of shape (..., chart_dim(chart))
        chart : {"ambient", "stereographic", "tangent"}
            Ambient coordinates are projected radially, see :meth:`project`.

        Raises
        ------
        ValueError
            For an unknown chart, a wrong number of columns, NaN or infinity, a stereographic point
            on or outside the Poincare ball, or an ambient point that has no projection.
        """
        if chart == "ambient":
            return self.project(coords)
        self._check_points(coords, self.chart_dim(chart), f"{chart} coordinates")
        if chart == "tangent":
            return self.exp0(coords)
        q = 1 + self.curvature * coords.square().sum(-1)
        if bool((q <= 0).any()):
            raise ValueError(
                f"Stereographic coordinates must lie inside the ball of radius "
                f"1/sqrt(-curvature) = {self.radius_:g}; the largest norm here is "
                f"{float(torch.linalg.vector_norm(coords, dim=-1).max()):g}."
            )
        return self.from_polar((2 - q) / q, 2 * coords / q.unsqueeze(-1))

    def geodesic(self, x: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        """Point at fraction t of the shortest geodesic from x to y.

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
            Between antipodes of a sphere, where every great circle is a shortest way.
        """
        t = torch.as_tensor(t, dtype=x.dtype, device=x.device)
        r = self.dist(x, y)
        if self.curvature > 0 and bool((r * math.sqrt(self.curvature) > math.pi - 1e-6).any()):
            raise ValueError(
                "Two of the points are antipodes of each other: no shortest geodesic between them "
                "is distinguished. Move one of the two a little."
            )
        # sin_K((1 - t) r) x + sin_K(t r) y, over sin_K(r): for 0 <= t <= 1 a sum that does not
        # cancel, while exp(t log) would lose the far end of a long hyperbolic geodesic.
        whole = sinc_k(r, self.curvature)
        a = (1 - t) * sinc_k((1 - t) * r, self.curvature) / whole
        b = t * sinc_k(t * r, self.curvature) / whole
        return self._restore(a.unsqueeze(-1) * x + b.unsqueeze(-1) * y)

    def _restore(self, x: Tensor) -> Tensor:
        """Remove rounding from a point that lies on the space but for rounding."""
        return x

    def frechet_mean(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """Point of least weighted sum of squared distances to the rows of x.

        Parameters
        ----------
        x : Tensor of shape (n, ambient_dim)
            Points of the space.
        weights : Tensor of shape (n,), optional
            Non-negative, not all zero; equal by default.

        Returns
        -------
        Tensor of shape (ambient_dim,)

        Raises
        ------
        ValueError
            For bad shapes or weights, and where the mean is not unique: on a sphere, points that
            are not inside one open hemisphere may have several, antipodes always do.

        Notes
        -----
        Gradient descent with a step from the curvature of the squared distance [1]_, in float64.
        Where the points do not lie in a hemisphere about the result, which would prove it unique
        [1]_, further starts look for another point as good.

        References
        ----------
        .. [1] B. Afsari, R. Tron, R. Vidal, "On the convergence of gradient descent for finding
           the Riemannian center of mass", SIAM J. Control Optim. 51 (2013).
        """
        return frechet_mean(self, x, weights)
