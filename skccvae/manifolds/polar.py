r"""A space of constant curvature in polar form, whose curvature may be a tensor with a gradient.

The embedding ``(R c, s)`` of a point has no limit where K -> 0, since its radius R grows without
bound. The polar pair ``(c, s)`` has the limit ``(1, x)``. Code that differentiates in K or crosses
K = 0 therefore represents points as polar rows ``(c, s_1, ..., s_d)``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from skccvae.manifolds.functional import _cosine, exp_origin, log_origin
from skccvae.special.trigonometry import _sign_of, cos_root, sinc_root

__all__ = ["PolarSpace", "exp_from_tangent"]


class PolarSpace:
    """Space of constant curvature K, of either sign or 0, whose points are polar rows.

    Parameters
    ----------
    dim : int
        Intrinsic dimension d. A point is a row of d + 1 numbers, see
        :mod:`skccvae.manifolds.functional`.
    curvature : float or Tensor of shape ()
        The curvature K. A tensor may require a gradient and pass through 0.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds.polar import PolarSpace
    >>> space = PolarSpace(2, torch.tensor(0.0))
    >>> space.exp0(torch.tensor([3.0, 4.0]))
    tensor([1., 3., 4.])
    """

    def __init__(self, dim: int, curvature: float | Tensor) -> None:
        self.dim = dim
        self.ambient_dim = dim + 1
        self.curvature = curvature

    def __repr__(self) -> str:
        return f"PolarSpace(dim={self.dim}, curvature={float(self.curvature):g})"

    def to_polar(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Polar pair (c, s) of a row."""
        return x[..., 0], x[..., 1:]

    def from_polar(self, c: Tensor, s: Tensor) -> Tensor:
        """Row of a polar pair (c, s)."""
        return torch.cat([c.unsqueeze(-1), s], -1)

    def exp0(self, u: Tensor) -> Tensor:
        """Exponential map at the origin of tangent vectors (..., d)."""
        return self.from_polar(*exp_origin(u, self.curvature))

    def log0(self, x: Tensor) -> Tensor:
        """Logarithm map at the origin, the inverse of `exp0` below the cut locus."""
        return log_origin(*self.to_polar(x), self.curvature)

    def belongs(self, x: Tensor, atol: float | None = None) -> Tensor:
        """Whether a row is finite. This does not check that it lies on the space, or use atol."""
        return torch.isfinite(x).all(-1)


def exp_from_tangent(u: Tensor, v: Tensor, K: float | Tensor) -> tuple[Tensor, Tensor]:
    r"""Exponential map at ``exp_0(u)`` of a vector v transported there from the origin.

    Parameters
    ----------
    u, v : Tensor of shape (..., d)
        Tangent vectors at the origin.
    K : float or Tensor
        Curvature.

    Returns
    -------
    c : Tensor of shape (...)
    s : Tensor of shape (..., d)
        Polar pair of the point.

    Notes
    -----
    With :math:`A = \sin_K|u|/|u|`, :math:`B = (\cos_K|u| - 1)/|u|^2`, and C and g the generalised
    cosine and sinc of :math:`|v|`,

    .. math:: s = (C A + g B \langle u, v\rangle)\, u + g\, v .

    There is no division by ``1 + cos_K|u|``, so nothing is singular, not even at the antipode of
    the origin.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds.polar import exp_from_tangent, log_origin
    >>> u, v = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.0])
    >>> c, s = exp_from_tangent(u, v, -1.0)
    >>> round(float(log_origin(c, s, -1.0)[0]), 5)
    1.5
    """
    sign = _sign_of(K)
    if sign == 0:
        z = u + v
        return torch.ones_like(z[..., 0]), z
    quarter = K * (u * u).sum(-1) / 4
    h = sinc_root(quarter, sign)
    A, B = h * cos_root(quarter, sign), -0.5 * K * h * h
    cosine = 1 - 2 * quarter * h * h
    x = K * (v * v).sum(-1)
    C, g, w = cos_root(x, sign), sinc_root(x, sign), (u * v).sum(-1)
    s = (C * A + g * B * w).unsqueeze(-1) * u + g.unsqueeze(-1) * v
    return _cosine(C * cosine - K * g * A * w, s, K, sign), s
