"""Flat space."""

from __future__ import annotations

import torch
from torch import Tensor

from skccvae.manifolds.base import ConstantCurvature

__all__ = ["Euclidean"]


class Euclidean(ConstantCurvature):
    """Euclidean space R^d, the curvature 0 case.

    Parameters
    ----------
    dim : int
        Dimension d; ambient and intrinsic dimension are equal.

    Raises
    ------
    TypeError, ValueError
        If dim is not a positive integer.

    Examples
    --------
    >>> import torch
    >>> space = Euclidean(2)
    >>> space.dist(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])).item()
    5.0
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim, 0.0)

    def __repr__(self) -> str:
        return f"Euclidean(dim={self.dim})"

    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        """Point x + u."""
        return x + u

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Vector y - x."""
        return y - x

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """Vector u itself, broadcast."""
        return u.expand(torch.broadcast_shapes(x.shape, y.shape, u.shape))

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Dot product, shape (...)."""
        return (u * v).sum(-1)

    def project(self, x: Tensor) -> Tensor:
        """Return x after a check: ValueError for a wrong number of columns, NaN or infinity."""
        self._check_points(x, self.dim)
        return x

    def project_tangent(self, x: Tensor, u: Tensor) -> Tensor:
        """Vector u itself."""
        return u

    def belongs(self, x: Tensor, atol: float | None = None) -> Tensor:
        """Whether x is finite, a Boolean of shape (...)."""
        return torch.isfinite(x).all(-1)

    def to_frame(self, x: Tensor, u: Tensor) -> Tensor:
        """Coordinates of a tangent vector at x in the frame of the origin: u itself."""
        return u

    def from_frame(self, x: Tensor, v: Tensor) -> Tensor:
        """Tangent vector at x with the given frame coordinates: v itself."""
        return v
