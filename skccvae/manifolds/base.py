"""The base of the three spaces of constant curvature: formulas written once for all K."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skccvae.manifolds import functional as polar
from skccvae.manifolds.charts import INTRINSIC_CHARTS, resolve_chart
from skccvae.manifolds.checks import check_dim
from skccvae.manifolds.manifold import Manifold
from skccvae.manifolds.polar_distance import distance
from skccvae.special.trigonometry import log_sinc_k, sinc_k

__all__ = ["ConstantCurvature"]


class ConstantCurvature(Manifold):
    """One space of constant curvature: the base of Euclidean, Sphere and Hyperbolic.

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
            isinstance(other, ConstantCurvature)
            and type(self) is type(other)
            and (self.dim, self.curvature) == (other.dim, other.curvature)
        )

    def __hash__(self) -> int:
        return hash((type(self), self.dim, self.curvature))

    @property
    def factors(self) -> tuple[ConstantCurvature, ...]:
        """A tuple with the space itself."""
        return (self,)

    def to_polar(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Polar pair (c, s) of an ambient point; see :mod:`skccvae.manifolds.functional`."""
        return x[..., 0] / self.radius_, x[..., 1:]

    def from_polar(self, c: Tensor, s: Tensor) -> Tensor:
        """Ambient point of a polar pair (c, s)."""
        return torch.cat([(c * self.radius_).unsqueeze(-1), s], -1)

    def origin(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        return self.exp0(torch.zeros(self.dim, dtype=dtype, device=device))

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        return distance(*self.to_polar(x), *self.to_polar(y), self.curvature)

    def exp0(self, u: Tensor) -> Tensor:
        return self.from_polar(*polar.exp_origin(u, self.curvature))

    def log0(self, x: Tensor) -> Tensor:
        return polar.log_origin(*self.to_polar(x), self.curvature)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Dot product of two tangent vectors at x, shape (...)."""
        _, u, v = torch.broadcast_tensors(x, u, v)
        return (u * v).sum(-1)

    def log_volume_ratio(self, r: Tensor) -> Tensor:
        """Log of the polar volume element divided by the flat one, (d - 1) log(sin_K(r)/r).

        Parameters
        ----------
        r : Tensor
            Distance from the pole of the polar coordinates, >= 0.
        """
        if self.dim == 1:
            return torch.zeros_like(r)
        return (self.dim - 1) * log_sinc_k(r, self.curvature)

    def chart_dim(self, chart: str) -> int:
        return self.ambient_dim if resolve_chart(chart, self.curvature) == "ambient" else self.dim

    def to_chart(self, x: Tensor, chart: str, *, check: bool = True) -> Tensor:
        name = resolve_chart(chart, self.curvature)
        if name == "ambient":
            return x
        formulas, polar_pair = INTRINSIC_CHARTS[name], self.to_polar(x)
        if check and formulas.check_to is not None:
            formulas.check_to(*polar_pair, self.curvature)
        return formulas.to(*polar_pair, self.curvature)

    def from_chart(self, coords: Tensor, chart: str, *, check: bool = True) -> Tensor:
        name = resolve_chart(chart, self.curvature)
        if name == "ambient":
            return self.project(coords) if check else self._on_ray(coords)
        formulas = INTRINSIC_CHARTS[name]
        if check:
            self._check_points(coords, self.dim, f"{chart} coordinates")
            if formulas.check_from is not None:
                formulas.check_from(coords, self.curvature)
        return self.from_polar(*formulas.from_(coords, self.curvature))

    def _on_ray(self, x: Tensor) -> Tensor:
        """`project` without checks: NaN where there is no such point, and no branch on values."""
        return x

    def geodesic(self, x: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        t = torch.as_tensor(t, dtype=x.dtype, device=x.device)
        r = self.dist(x, y)
        # sin_K((1 - t) r) x + sin_K(t r) y, over sin_K(r): for 0 <= t <= 1 a sum that does not
        # cancel, while exp(t log) would lose the far end of a long hyperbolic geodesic.
        whole = sinc_k(r, self.curvature)
        a = (1 - t) * sinc_k((1 - t) * r, self.curvature) / whole
        b = t * sinc_k(t * r, self.curvature) / whole
        return self._restore(a.unsqueeze(-1) * x + b.unsqueeze(-1) * y)

    def _restore(self, x: Tensor) -> Tensor:
        """Remove rounding from a point that lies on the space up to rounding."""
        return x
