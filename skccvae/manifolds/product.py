"""Products of spaces of constant curvature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from skccvae.manifolds.base import ConstantCurvature
from skccvae.manifolds.functional import _safe_sqrt
from skccvae.manifolds.manifold import Manifold

__all__ = ["Product"]


class Product(Manifold):
    """Riemannian product: the points of the factors side by side, their squared distances added.

    Parameters
    ----------
    factors : sequence of Euclidean, Sphere or Hyperbolic
        The factors, at least one.

    Attributes
    ----------
    factors : tuple
        The factors.
    curvature : tuple of float
        Curvature of each factor.

    Raises
    ------
    TypeError, ValueError
        If factors is empty or contains something else.

    Examples
    --------
    >>> from skccvae.manifolds import Euclidean, Hyperbolic, Sphere
    >>> from skccvae.manifolds import Product
    >>> space = Product([Hyperbolic(2), Sphere(2), Euclidean(2)])
    >>> space.dim, space.ambient_dim
    (6, 8)
    """

    def __init__(self, factors: Sequence[ConstantCurvature]) -> None:
        self._factors = tuple(factors)
        if not self._factors:
            raise ValueError(
                "A product needs at least one factor, as in Product([Sphere(2), Euclidean(2)])."
            )
        for factor in self._factors:
            if not isinstance(factor, ConstantCurvature):
                raise TypeError(f"Factors must be Euclidean, Sphere or Hyperbolic; got {factor!r}.")
        self.dim = sum(f.dim for f in self._factors)
        self.ambient_dim = sum(f.ambient_dim for f in self._factors)
        self.curvature = tuple(f.curvature for f in self._factors)

    def __repr__(self) -> str:
        return f"Product([{', '.join(map(repr, self.factors))}])"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Product) and self.factors == other.factors

    def __hash__(self) -> int:
        return hash(self.factors)

    @property
    def factors(self) -> tuple[ConstantCurvature, ...]:
        """The factors, in the order of their coordinates."""
        return self._factors

    def _each(self, method: str, *parts: Sequence[Tensor], **same: Any) -> list[Tensor]:
        """Call a method of each factor with its parts of the arguments, and the same keywords."""
        calls = zip(self.factors, *parts, strict=True)
        return [getattr(factor, method)(*own, **same) for factor, *own in calls]

    def _map(self, method: str, *points: Tensor) -> Tensor:
        """Apply a method of the factors to ambient points, and put the results side by side."""
        return torch.cat(self._each(method, *map(self.split, points)), -1)

    def _stack(self, method: str, *points: Tensor) -> Tensor:
        """Apply a method of the factors to ambient points, shape (..., n_factors)."""
        return torch.stack(self._each(method, *map(self.split, points)), -1)

    def origin(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """Origins of the factors side by side, shape (ambient_dim,)."""
        return torch.cat([f.origin(dtype, device) for f in self.factors])

    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        return self._map("exp", x, u)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        return self._map("log", x, y)

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        return self._map("transport", x, y, u)

    def project_tangent(self, x: Tensor, u: Tensor) -> Tensor:
        return self._map("project_tangent", x, u)

    def project(self, x: Tensor) -> Tensor:
        """Radial projection of each part; ValueError if a part has none."""
        self._check_points(x, self.ambient_dim)
        return self._map("project", x)

    def factor_dists(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance within each factor, shape (..., n_factors)."""
        return self._stack("dist", x, y)

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """Geodesic distance: root of the sum of squared factor distances, shape (...)."""
        return _safe_sqrt(self.factor_dists(x, y).square().sum(-1))

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Riemannian inner product, the sum over the factors, shape (...)."""
        return self._stack("inner", x, u, v).sum(-1)

    def belongs(self, x: Tensor, atol: float | None = None) -> Tensor:
        """Whether every part lies on its factor, a Boolean of shape (...)."""
        return torch.stack(self._each("belongs", self.split(x), atol=atol), -1).all(-1)

    def exp0(self, u: Tensor) -> Tensor:
        return torch.cat(self._each("exp0", self.split(u, "tangent")), -1)

    def log0(self, x: Tensor) -> Tensor:
        return self._map("log0", x)

    def to_frame(self, x: Tensor, u: Tensor) -> Tensor:
        return self._map("to_frame", x, u)

    def from_frame(self, x: Tensor, v: Tensor) -> Tensor:
        return torch.cat(self._each("from_frame", self.split(x), self.split(v, "tangent")), -1)

    def log_volume_ratio(self, r: Tensor) -> Tensor:
        """Sum over the factors of (d - 1) log(sin_K(r)/r), from their radii (..., n_factors)."""
        return torch.stack(self._each("log_volume_ratio", r.unbind(-1)), -1).sum(-1)

    def chart_dim(self, chart: str) -> int:
        return sum(f.chart_dim(chart) for f in self.factors)

    def to_chart(self, x: Tensor, chart: str, *, check: bool = True) -> Tensor:
        return torch.cat(self._each("to_chart", self.split(x), chart=chart, check=check), -1)

    def from_chart(self, coords: Tensor, chart: str, *, check: bool = True) -> Tensor:
        if check:
            self._check_points(coords, self.chart_dim(chart), f"{chart} coordinates")
        parts = self.split(coords, chart)
        return torch.cat(self._each("from_chart", parts, chart=chart, check=check), -1)

    def geodesic(self, x: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        return torch.cat(self._each("geodesic", self.split(x), self.split(y), t=t), -1)

    def _distance_block(self, x: Tensor, y: Tensor) -> Tensor:
        total = x.new_zeros(len(x), len(y))
        for block in self._each("_distance_block", self.split(x), self.split(y)):
            total += block.square()
        return total.sqrt()

    def _mean(self, points: Tensor, w: Tensor) -> Tensor:
        return torch.cat(self._each("_mean", self.split(points), w=w), -1)
