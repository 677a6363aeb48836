"""The sphere of any radius."""

from __future__ import annotations

import torch
from torch import Tensor

from skccvae.manifolds import functional as polar
from skccvae.manifolds.base import ConstantCurvature, check_curvature
from skccvae.special.trigonometry import cos_root, sinc_root

__all__ = ["Sphere"]


class Sphere(ConstantCurvature):
    """Sphere S^d of curvature K > 0: vectors of length R = 1/sqrt(K) in R^(d+1).

    Parameters
    ----------
    dim : int
        Intrinsic dimension d; a point has d + 1 coordinates, the first along the origin's axis.
    curvature : float, default=1.0
        Positive curvature.

    Raises
    ------
    TypeError, ValueError
        If dim is not a positive integer or curvature not a positive finite number.

    Examples
    --------
    >>> import torch
    >>> sphere = Sphere(2)
    >>> x, y = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])
    >>> round(sphere.dist(x, y).item(), 5)
    1.5708
    """

    def __init__(self, dim: int, curvature: float = 1.0) -> None:
        super().__init__(dim, check_curvature(curvature, 1, "sphere"))

    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        """Point reached from x along the tangent vector u."""
        q = self.curvature * (u * u).sum(-1, keepdim=True)
        return self._restore(cos_root(q, 1) * x + sinc_root(q, 1) * u)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Shortest tangent vector at x that leads to y.

        At the antipode, where all directions are equally short, one of them, of length pi R.
        """
        K = self.curvature
        # Twice: next to the antipode the first leaves rounding, which points anywhere.
        u = self.project_tangent(x, self.project_tangent(x, y - x))
        cosine = K * (x * y).sum(-1)
        n = polar._norm(u)
        # Some tangent direction for the antipode: the axis that x uses least, made tangent.
        axis = torch.zeros_like(x).scatter(-1, x.abs().argmin(-1, keepdim=True), 1.0)
        spare = self.project_tangent(x, axis) * torch.finfo(x.dtype).tiny ** 0.5
        u = torch.where(((n == 0) & (cosine < 0)).unsqueeze(-1), spare, u)
        return polar._radius_ratio(polar._norm(u), cosine, K, 1).unsqueeze(-1) * u

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """Tangent vector u at x carried to y in parallel along the shortest geodesic.

        Raises
        ------
        ValueError
            If x and y are antipodes, where the result depends on the way taken.
        """
        z = x + y
        total = (z * z).sum(-1, keepdim=True)
        if bool((total * self.curvature < 1e-12).any()):
            raise ValueError(
                "Parallel transport between antipodes depends on the great circle taken; go "
                "through a point in between."
            )
        return u - 2 * (y * u).sum(-1, keepdim=True) / total * z

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Dot product of two tangent vectors, shape (...)."""
        return (u * v).sum(-1)

    def project(self, x: Tensor) -> Tensor:
        """Point of the sphere on the ray through x.

        Raises
        ------
        ValueError
            For the zero vector, which has no nearest point, NaN, infinity or a wrong width.
        """
        self._check_points(x, self.ambient_dim)
        # Divide by the largest entry first: no length under- or overflows.
        largest = x.abs().amax(-1, keepdim=True)
        if bool((largest == 0).any()):
            raise ValueError(
                "The zero vector has no nearest point on the sphere; pass points with a direction "
                "(a mean of latent points vanishes when they balance each other)."
            )
        return self._restore(x / largest)

    def project_tangent(self, x: Tensor, u: Tensor) -> Tensor:
        """Orthogonal projection of an ambient vector on the tangent space at x."""
        return u - self.curvature * (x * u).sum(-1, keepdim=True) * x

    def belongs(self, x: Tensor, atol: float | None = None) -> Tensor:
        """Whether ``| |x| / R - 1 | <= atol``, a Boolean of shape (...).

        Parameters
        ----------
        x : Tensor of shape (..., ambient_dim)
        atol : float, optional
            Default 1e-5 in float32, 1e-10 in float64.
        """
        if atol is None:
            atol = 1e-10 if x.dtype == torch.float64 else 1e-5
        return (torch.linalg.vector_norm(x, dim=-1) / self.radius_ - 1).abs() <= atol

    def to_frame(self, x: Tensor, u: Tensor) -> Tensor:
        """Coordinates (..., dim) of a tangent vector at x in the frame carried from the origin.

        The frame is carried along the geodesic from the origin; it has no limit at the antipode,
        where the unmoved frame is used.
        """
        c, s = self.to_polar(x)
        factor = polar._frame_factor(c, s, self.curvature, 1) / self.curvature
        return u[..., 1:] - (u[..., 0] / self.radius_ * factor).unsqueeze(-1) * s

    def from_frame(self, x: Tensor, v: Tensor) -> Tensor:
        """Tangent vector at x with the given coordinates in the frame carried from the origin."""
        c, s = self.to_polar(x)
        sv = self.curvature * (s * v).sum(-1, keepdim=True)
        factor = polar._frame_factor(c, s, self.curvature, 1).unsqueeze(-1) / self.curvature
        return torch.cat([-sv * self.radius_, v - sv * factor * s], -1)

    def _restore(self, x: Tensor) -> Tensor:
        return x * (self.radius_ / torch.linalg.vector_norm(x, dim=-1, keepdim=True))
