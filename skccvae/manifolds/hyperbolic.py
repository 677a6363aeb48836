"""Hyperbolic space of any negative curvature, on the hyperboloid."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skccvae.manifolds import functional as polar
from skccvae.manifolds.base import ConstantCurvature
from skccvae.manifolds.checks import check_curvature
from skccvae.manifolds.mean import descend
from skccvae.manifolds.pairwise import euclidean_distances
from skccvae.special.trigonometry import sinc_root

__all__ = ["Hyperbolic"]


class Hyperbolic(ConstantCurvature):
    r"""Hyperbolic space H^d of curvature K < 0, as the upper sheet of a hyperboloid.

    A point has d + 1 coordinates with ``x_0 = sqrt(R^2 + x_1^2 + ... + x_d^2)`` and R = 1/sqrt(-K).
    In float32, distances between points are accurate to 1e-3 up to a radius of 9 R, and distances
    from the origin to 1e-6 up to 40 R. `log` and `transport` are accurate to 1e-3 of the length of
    the vector (or of R, for a shorter logarithm) up to a radius of 8 R. Nothing is clamped.

    Parameters
    ----------
    dim : int
        Intrinsic dimension d.
    curvature : float, default=-1.0
        Negative curvature.

    Raises
    ------
    TypeError, ValueError
        If dim is not a positive integer, or curvature is not a negative finite number.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds import Hyperbolic
    >>> space = Hyperbolic(2, curvature=-1.0)
    >>> x, y = space.exp0(torch.tensor([[1.0, 0.0], [-2.0, 0.0]]))
    >>> round(space.dist(x, y).item(), 4)
    3.0
    """

    def __init__(self, dim: int, curvature: float = -1.0) -> None:
        super().__init__(dim, check_curvature(curvature, -1, "hyperbolic space"))

    def minkowski(self, u: Tensor, v: Tensor) -> Tensor:
        """Minkowski product ``-u_0 v_0 + u_1 v_1 + ...``, shape (..., 1)."""
        product = u * v
        return product[..., 1:].sum(-1, keepdim=True) - product[..., :1]

    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        """The point reached from x along the tangent vector u."""
        c, s = self.to_polar(x)
        zc, zs, _ = polar.exp_transported(c, s, self.to_frame(x, u), self.curvature)
        return self.from_polar(zc, zs)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """The tangent vector at x that leads to y."""
        v = polar.log_transported(*self.to_polar(x), *self.to_polar(y), self.curvature)
        return self.from_frame(x, v)

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """Tangent vector u at x, transported in parallel to y along the geodesic."""
        # In the frames it is a rotation in the plane of p and q, the stereographic coordinates of x
        # and y, by the area of the triangle with the origin: twice the argument of the complex
        # number 1 + K p conj(q). In terms of q - p nothing cancels far out.
        K, v = self.curvature, self.to_frame(x, u)
        (c, s), (yc, ys) = self.to_polar(x), self.to_polar(y)
        p = s / (1 + c).unsqueeze(-1)
        gap = ys / (1 + yc).unsqueeze(-1) - p
        pp, pg, gg = (p * p).sum(-1), (p * gap).sum(-1), (gap * gap).sum(-1)
        pv, gv = (p * v).sum(-1), (gap * v).sum(-1)
        real = 1 / (1 + c) + 1 / (1 + yc) - 0.5 * K * gg
        square = K * K * (pp * gg - pg * pg)
        scale = 2 * K / (real * real + square)
        on_p = scale * (-real * gv - K * (gg * pv - pg * gv))
        on_gap = scale * (real * pv - K * (pp * gv - pg * pv))
        return self.from_frame(y, v + on_p.unsqueeze(-1) * p + on_gap.unsqueeze(-1) * gap)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Riemannian inner product of two tangent vectors at x, shape (...).

        It is computed in the frame at the origin, where it is a plain dot product, so rounding
        cannot make the square of a length negative.
        """
        return (self.to_frame(x, u) * self.to_frame(x, v)).sum(-1)

    def project(self, x: Tensor) -> Tensor:
        """Point of the hyperboloid on the ray through x.

        A point that lies on the hyperboloid up to rounding keeps its spatial coordinates, because
        rounding hides the scale of the ray far out. A float64 point whose coordinates are all
        float32 numbers counts as rounded to float32.

        Raises
        ------
        ValueError
            For a vector whose ray misses the hyperboloid, because it is space-like, light-like or
            points down; for NaN or infinity; and for a wrong number of columns.
        """
        self._check_points(x, self.ambient_dim)
        points = self._on_ray(x)
        if bool(points.isnan().any()):
            raise ValueError(
                "Some ambient points are space-like (x_0 <= |(x_1, ..., x_d)|): the ray through "
                "them misses the hyperboloid. Pass points of the space or convex combinations of "
                "them, first coordinate first."
            )
        return points

    def _on_ray(self, x: Tensor) -> Tensor:
        near = self.belongs(x, 16 * torch.finfo(x.dtype).eps)
        if x.dtype == torch.float64:
            single = x.float()
            rounded = (single.double() == x).all(-1)
            near = near | rounded & self.belongs(single, 16 * torch.finfo(single.dtype).eps)
        near = near.unsqueeze(-1)
        n = torch.linalg.vector_norm(x[..., 1:], dim=-1, keepdim=True)
        x0 = x[..., :1]
        square = torch.where(x0 > n, (x0 - n) * (x0 + n), math.nan)
        length = torch.where(near, 1.0, square).sqrt()
        return self._restore(x * torch.where(near, 1.0, self.radius_ / length))

    def project_tangent(self, x: Tensor, u: Tensor) -> Tensor:
        """Orthogonal projection (in the Minkowski product) onto the tangent space at x."""
        return u - self.curvature * self.minkowski(x, u) * x

    def belongs(self, x: Tensor, atol: float | None = None) -> Tensor:
        """Whether x_0 agrees with ``sqrt(R^2 + |x_1:|^2)`` to the relative tolerance atol.

        Parameters
        ----------
        x : Tensor of shape (..., ambient_dim)
        atol : float, optional
            Default 1e-5 in float32, 1e-10 in float64.

        Returns
        -------
        Tensor of shape (...)
            Boolean.
        """
        if atol is None:
            atol = 1e-10 if x.dtype == torch.float64 else 1e-5
        # Not `torch.hypot`, which ONNX does not have.
        lengths = torch.cat([torch.full_like(x[..., :1], self.radius_), x[..., 1:]], -1)
        height = torch.linalg.vector_norm(lengths, dim=-1)
        return (x[..., 0] - height).abs() <= atol * height

    def to_frame(self, x: Tensor, u: Tensor) -> Tensor:
        """Coordinates (..., dim) of a tangent vector at x in the frame carried from the origin."""
        c, s = self.to_polar(x)
        return u[..., 1:] - u[..., :1] / (self.radius_ * (1 + c)).unsqueeze(-1) * s

    def from_frame(self, x: Tensor, v: Tensor) -> Tensor:
        """Tangent vector at x with the given coordinates in the frame carried from the origin."""
        c, s = self.to_polar(x)
        sv = -self.curvature * (s * v).sum(-1, keepdim=True)
        return torch.cat([sv * self.radius_, v + sv / (1 + c).unsqueeze(-1) * s], -1)

    def _distance_block(self, x: Tensor, y: Tensor) -> Tensor:
        # sinh^2(dist/2) = sinh^2((a - b)/2) + sinh(a) sinh(b) |m - n|^2/4 for distances a, b from
        # the origin in units of R and unit directions m, n: a sum of squares throughout. The zero
        # vector may stand for the direction of the origin, as sinh(0) = 0.
        s, t = x[:, 1:] / self.radius_, y[:, 1:] / self.radius_
        p = torch.linalg.vector_norm(s, dim=-1, keepdim=True)
        q = torch.linalg.vector_norm(t, dim=-1, keepdim=True)
        turn = euclidean_distances(s / torch.where(p > 0, p, 1.0), t / torch.where(q > 0, q, 1.0))
        radial = torch.sinh((torch.asinh(p) - torch.asinh(q).T) / 2)
        root = torch.hypot(radial, turn.mul_((p.sqrt() * q.sqrt().T) / 2))
        return 2 * self.radius_ * torch.asinh(root)

    def _mean(self, points: Tensor, w: Tensor) -> Tensor:
        def step(m: Tensor) -> Tensor:
            # The Hessian of half a squared distance is at most r coth r (r in units of R): a step
            # that never overshoots, where a full one can diverge for spread points.
            r = math.sqrt(-self.curvature) * self.dist(m, points)
            full = (w.unsqueeze(-1) * self.log(m, points)).sum(0)
            return full / (w * torch.cosh(r) / sinc_root(-r * r, -1)).sum()

        start = self.project((w.unsqueeze(-1) * points).sum(0))
        mean = descend(start, step, self.exp, self.norm, 1e-12 * self.radius_)
        assert mean is not None  # no step gives up
        return mean

    def _restore(self, x: Tensor) -> Tensor:
        s = x[..., 1:]
        return self.from_polar(torch.sqrt(1 - self.curvature * (s * s).sum(-1)), s)
