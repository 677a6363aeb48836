"""Products of spaces of constant curvature."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skccvae.manifolds.base import ConstantCurvature, Manifold, check_chart
from skccvae.manifolds.functional import _safe_sqrt

__all__ = ["Product"]


class Product(Manifold):
    """Riemannian product: points side by side, squared distances added.

    Parameters
    ----------
    factors : sequence of Euclidean, Sphere or Hyperbolic
        At least one.

    Attributes
    ----------
    factors : tuple
        The factors.
    curvature : tuple of float
        Curvature of each factor.

    Raises
    ------
    TypeError, ValueError
        If factors is empty or holds something else.

    Examples
    --------
    >>> from skccvae.manifolds import Euclidean, Hyperbolic, Sphere
    >>> space = Product([Hyperbolic(2), Sphere(2), Euclidean(2)])
    >>> space.dim, space.ambient_dim
    (6, 8)
    """

    def __init__(self, factors: Sequence[ConstantCurvature]) -> None:
        self.factors = tuple(factors)
        if not self.factors:
            raise ValueError(
                "A product needs at least one factor, as in Product([Sphere(2), Euclidean(2)])."
            )
        for factor in self.factors:
            if not isinstance(factor, ConstantCurvature):
                raise TypeError(f"Factors must be Euclidean, Sphere or Hyperbolic; got {factor!r}.")
        self.dim = sum(f.dim for f in self.factors)
        self.ambient_dim = sum(f.ambient_dim for f in self.factors)
        self.curvature = tuple(f.curvature for f in self.factors)

    def __repr__(self) -> str:
        return f"Product([{', '.join(map(repr, self.factors))}])"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Product) and self.factors == other.factors

    def __hash__(self) -> int:
        return hash(self.factors)

    def split(self, x: Tensor, chart: str = "ambient") -> tuple[Tensor, ...]:
        """Parts of a point (or of its coordinates in a chart), one a factor."""
        return x.split([f.chart_dim(chart) for f in self.factors], -1)

    def _map(self, name: str, *points: Tensor) -> Tensor:
        """Apply a method of the factors part by part and put the results side by side."""
        parts = zip(self.factors, *(self.split(p) for p in points), strict=True)
        return torch.cat([getattr(f, name)(*p) for f, *p in parts], -1)

    def origin(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """Origins of the factors side by side, shape (ambient_dim,)."""
        return torch.cat([f.origin(dtype, device) for f in self.factors])

    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        """Point reached from x along the tangent vector u."""
        return self._map("exp", x, u)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Shortest tangent vector at x that leads to y."""
        return self._map("log", x, y)

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """Tangent vector u at x carried to y, factor by factor."""
        return self._map("transport", x, y, u)

    def project_tangent(self, x: Tensor, u: Tensor) -> Tensor:
        """Orthogonal projection of an ambient vector on the tangent space at x."""
        return self._map("project_tangent", x, u)

    def project(self, x: Tensor) -> Tensor:
        """Radial projection of each part; ValueError where a part has none."""
        self._check_points(x, self.ambient_dim)
        return self._map("project", x)

    def factor_dists(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance within each factor, shape (..., n_factors)."""
        parts = zip(self.factors, self.split(x), self.split(y), strict=True)
        return torch.stack([f.dist(a, b) for f, a, b in parts], -1)

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """Geodesic distance: root of the sum of squared factor distances, shape (...)."""
        return _safe_sqrt(self.factor_dists(x, y).square().sum(-1))

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Riemannian inner product, the sum over the factors, shape (...)."""
        parts = zip(self.factors, self.split(x), self.split(u), self.split(v), strict=True)
        return torch.stack([f.inner(*p) for f, *p in parts], -1).sum(-1)

    def belongs(self, x: Tensor, atol: float | None = None) -> Tensor:
        """Whether every part lies on its factor, a Boolean of shape (...)."""
        parts = zip(self.factors, self.split(x), strict=True)
        return torch.stack([f.belongs(p, atol) for f, p in parts], -1).all(-1)

    def exp0(self, u: Tensor) -> Tensor:
        """Exponential map at the origin of d tangent coordinates, (..., dim) to ambient."""
        parts = zip(self.factors, self.split(u, "tangent"), strict=True)
        return torch.cat([f.exp0(p) for f, p in parts], -1)

    def log0(self, x: Tensor) -> Tensor:
        """Logarithm map at the origin in d tangent coordinates, ambient to (..., dim)."""
        return self._map("log0", x)

    def to_frame(self, x: Tensor, u: Tensor) -> Tensor:
        """Coordinates (..., dim) of a tangent vector at x in the frame carried from the origin."""
        return self._map("to_frame", x, u)

    def from_frame(self, x: Tensor, v: Tensor) -> Tensor:
        """Tangent vector at x with the given frame coordinates (..., dim)."""
        parts = zip(self.factors, self.split(x), self.split(v, "tangent"), strict=True)
        return torch.cat([f.from_frame(*p) for f, *p in parts], -1)

    def log_volume_ratio(self, r: Tensor) -> Tensor:
        """Sum over the factors of (d - 1) log(sin_K(r)/r), from their radii (..., n_factors)."""
        return torch.stack(
            [f.log_volume_ratio(r[..., i]) for i, f in enumerate(self.factors)], -1
        ).sum(-1)

    def chart_dim(self, chart: str) -> int:
        """Number of coordinates of a chart, the sum over the factors."""
        check_chart(chart)
        return sum(f.chart_dim(chart) for f in self.factors)

    def to_chart(self, x: Tensor, chart: str) -> Tensor:
        """Coordinates of ambient points, the same chart on every factor."""
        check_chart(chart)
        parts = zip(self.factors, self.split(x), strict=True)
        return torch.cat([f.to_chart(p, chart) for f, p in parts], -1)

    def from_chart(self, coords: Tensor, chart: str) -> Tensor:
        """Ambient points with the given coordinates; ValueError where a part has none."""
        self._check_points(coords, self.chart_dim(chart), f"{chart} coordinates")
        parts = zip(self.factors, self.split(coords, chart), strict=True)
        return torch.cat([f.from_chart(p, chart) for f, p in parts], -1)

    def geodesic(self, x: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        """Point at fraction t of the shortest geodesic from x to y; t of shape (...)."""
        parts = zip(self.factors, self.split(x), self.split(y), strict=True)
        return torch.cat([f.geodesic(a, b, t) for f, a, b in parts], -1)

    def frechet_mean(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """Frechet mean of the rows of x, factor by factor; ValueError where not unique."""
        self._check_points(x, self.ambient_dim)
        parts = zip(self.factors, self.split(x), strict=True)
        return torch.cat([f.frechet_mean(p, weights) for f, p in parts], -1)
