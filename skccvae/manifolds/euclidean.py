"""Euclidean space."""

from __future__ import annotations

import torch
from torch import Tensor

from skccvae.manifolds.base import ConstantCurvature
from skccvae.manifolds.pairwise import euclidean_distances

__all__ = ["Euclidean"]


class Euclidean(ConstantCurvature):
    """Euclidean space R^d, of curvature 0.

    Parameters
    ----------
    dim : int
        Dimension d. Ambient and intrinsic dimension are equal.

    Raises
    ------
    TypeError, ValueError
        If dim is not a positive integer.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds import Euclidean
    >>> space = Euclidean(2)
    >>> space.dist(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])).item()
    5.0
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim, 0.0)

    def __repr__(self) -> str:
        return f"Euclidean(dim={self.dim})"

    def to_polar(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Polar pair (1, x) of a point."""
        return torch.ones_like(x[..., 0]), x

    def from_polar(self, c: Tensor, s: Tensor) -> Tensor:
        """Point s of a polar pair (1, s)."""
        return s

    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        """The point x + u."""
        return x + u

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """The vector y - x."""
        return y - x

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """The vector u itself."""
        return torch.broadcast_tensors(u, x, y)[0]

    def project(self, x: Tensor) -> Tensor:
        """Return x itself; ValueError for a wrong number of columns, NaN or infinity."""
        self._check_points(x, self.dim)
        return x

    def project_tangent(self, x: Tensor, u: Tensor) -> Tensor:
        """The vector u itself."""
        return torch.broadcast_tensors(u, x)[0]

    def belongs(self, x: Tensor, atol: float | None = None) -> Tensor:
        """Whether x is finite, a Boolean of shape (...)."""
        return torch.isfinite(x).all(-1)

    def to_frame(self, x: Tensor, u: Tensor) -> Tensor:
        """Coordinates of a tangent vector at x in the frame of the origin: u itself."""
        return torch.broadcast_tensors(u, x)[0]

    def from_frame(self, x: Tensor, v: Tensor) -> Tensor:
        """Tangent vector at x with the given frame coordinates: v itself."""
        return torch.broadcast_tensors(v, x)[0]

    def _distance_block(self, x: Tensor, y: Tensor) -> Tensor:
        return euclidean_distances(x, y)

    def _mean(self, points: Tensor, w: Tensor) -> Tensor:
        return (w.unsqueeze(-1) * points).sum(0)
