"""The sphere of any positive curvature."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skccvae.manifolds import functional as polar
from skccvae.manifolds.base import ConstantCurvature
from skccvae.manifolds.checks import check_curvature
from skccvae.manifolds.mean import descend
from skccvae.manifolds.pairwise import euclidean_distances
from skccvae.special.trigonometry import cos_root, sinc_root

__all__ = ["Sphere"]

#: Least number of starts in the search for a second Fréchet mean, if there are as many points.
_N_STARTS = 8


class Sphere(ConstantCurvature):
    """Sphere S^d of curvature K > 0: vectors of length R = 1/sqrt(K) in R^(d+1).

    Parameters
    ----------
    dim : int
        Intrinsic dimension d. A point has d + 1 coordinates, the first along the origin's axis.
    curvature : float, default=1.0
        Positive curvature.

    Raises
    ------
    TypeError, ValueError
        If dim is not a positive integer, or curvature is not a positive finite number.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds import Sphere
    >>> sphere = Sphere(2)
    >>> x, y = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])
    >>> round(sphere.dist(x, y).item(), 5)
    1.5708
    """

    def __init__(self, dim: int, curvature: float = 1.0) -> None:
        super().__init__(dim, check_curvature(curvature, 1, "sphere"))

    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        """The point reached from x along the tangent vector u."""
        q = self.curvature * (u * u).sum(-1, keepdim=True)
        return self._restore(cos_root(q, 1) * x + sinc_root(q, 1) * u)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """The shortest tangent vector at x that leads to y.

        To the antipode, vectors in all directions are equally short. The result is then one of
        them, of length pi R.
        """
        K = self.curvature
        # Twice: next to the antipode the first projection leaves rounding, which points anywhere.
        u = self.project_tangent(x, self.project_tangent(x, y - x))
        cosine = K * (x * y).sum(-1)
        n = polar._norm(u)
        # A tangent direction for the antipode: the axis along which x is shortest, made tangent.
        axis = torch.zeros_like(x).scatter(-1, x.abs().argmin(-1, keepdim=True), 1.0)
        spare = self.project_tangent(x, axis) * torch.finfo(x.dtype).tiny ** 0.5
        u = torch.where(((n == 0) & (cosine < 0)).unsqueeze(-1), spare, u)
        return polar._radius_ratio(polar._norm(u), cosine, K, 1).unsqueeze(-1) * u

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """Tangent vector u at x, transported in parallel to y along the shortest geodesic.

        Raises
        ------
        ValueError
            If x and y are antipodes, since the result then depends on the geodesic.
        """
        z = x + y
        total = (z * z).sum(-1, keepdim=True)
        if bool((total * self.curvature < 1e-12).any()):
            raise ValueError(
                "Parallel transport between antipodes depends on the great circle; go through a "
                "point in between."
            )
        return u - 2 * (y * u).sum(-1, keepdim=True) / total * z

    def geodesic(self, x: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        if bool((self.dist(x, y) * math.sqrt(self.curvature) > math.pi - 1e-6).any()):
            raise ValueError(
                "Two of the points are antipodes of each other, and many geodesics between them "
                "are equally short. Move one of the two a little."
            )
        return super().geodesic(x, y, t)

    def project(self, x: Tensor) -> Tensor:
        """The point of the sphere on the ray through x.

        Raises
        ------
        ValueError
            For the zero vector, which has no nearest point, for NaN or infinity, and for a wrong
            number of columns.
        """
        self._check_points(x, self.ambient_dim)
        points = self._on_ray(x)
        if bool(points.isnan().any()):
            raise ValueError(
                "The zero vector has no nearest point on the sphere; pass points with a direction "
                "(a mean of latent points vanishes when they balance each other)."
            )
        return points

    def _on_ray(self, x: Tensor) -> Tensor:
        # Divide by the largest entry first, so that no length under- or overflows. 0 / 0 is NaN.
        return self._restore(x / x.abs().amax(-1, keepdim=True))

    def project_tangent(self, x: Tensor, u: Tensor) -> Tensor:
        """Orthogonal projection of an ambient vector onto the tangent space at x."""
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

        The frame is carried along the geodesic from the origin. It has no limit at the antipode,
        where the unmoved frame takes its place.
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

    def _distance_block(self, x: Tensor, y: Tensor) -> Tensor:
        sine, cosine = euclidean_distances(x, y), euclidean_distances(x, -y)
        return 2 * self.radius_ * torch.atan2(sine, cosine)

    def _mean(self, points: Tensor, w: Tensor) -> Tensor:
        half_turn = math.pi * self.radius_
        chord = (w.unsqueeze(-1) * points).sum(0)
        starts = list(points[:: max(1, len(points) // _N_STARTS)])
        if bool(torch.linalg.vector_norm(chord) > 1e-8 * self.radius_):
            starts.insert(0, self.project(chord))
            found = self._descend(starts[0], points, w)
            # Afsari: at most one mean in an open hemisphere that holds all the points.
            if found is not None and bool(
                (self.dist(found, points) < half_turn / 2 * (1 - 1e-9)).all()
            ):
                return found
        candidates = [m for s in starts if (m := self._descend(s, points, w)) is not None]
        if not candidates:
            raise ValueError(
                "The Fréchet mean could not be found: from every start the descent met the "
                "antipode of a point, so the mean is not unique. Drop or move antipodal points."
            )
        values = torch.stack([(w * self.dist(m, points).square()).sum() for m in candidates])
        best = candidates[int(values.argmin())]
        as_good = values <= values.min() * (1 + 1e-9)
        elsewhere = self.dist(torch.stack(candidates), best) > 1e-4 * half_turn
        if bool((as_good & elsewhere).any()):
            raise ValueError(
                "The Fréchet mean of these points is not unique: they are spread over more than a "
                "hemisphere, and at least two points of the sphere are equally good (as for "
                "antipodes or a whole great circle). Average a more concentrated set."
            )
        return best

    def _descend(self, start: Tensor, points: Tensor, w: Tensor) -> Tensor | None:
        """Descent to a Fréchet mean; None if it meets the antipode of a point."""

        def step(m: Tensor) -> Tensor | None:
            if bool((self.dist(m, points) * math.sqrt(self.curvature) > math.pi - 1e-7).any()):
                return None
            return (w.unsqueeze(-1) * self.log(m, points)).sum(0)

        return descend(start, step, self.exp, self.norm, 1e-12 * self.radius_)

    def _restore(self, x: Tensor) -> Tensor:
        return x * (self.radius_ / torch.linalg.vector_norm(x, dim=-1, keepdim=True))
