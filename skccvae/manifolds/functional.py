r"""Geometry of the three constant-curvature spaces in polar form, one formula for every curvature.

A point of the space of curvature ``K`` is a pair ``(c, s)``: ``c = cos_K(rho)`` of shape ``(...)``
and ``s = sin_K(rho) n`` of shape ``(..., d)``, with rho the distance to the origin and n its unit
direction; ``c^2 + K |s|^2 = 1``. At K = 0 the pair is ``(1, x)``. For K != 0 it is the usual
embedding with its first coordinate divided by the radius R = 1/sqrt(|K|): ``x = (R c, s)``.

When K is a tensor (of shape () or one that broadcasts against c), everything is smooth in K through
0. A tangent vector is given by its d coordinates in the frame at the origin. Parallel transport
along the geodesic from the origin carries this frame to the point. Nothing divides by zero at the
origin, and nothing is clamped.

**float32.** A stored pair resolves directions to a distance of about 6e-8 ``sin_K(rho)``. At K = -1
radii are accurate to 1e-6 up to rho = 40. Distances between points are accurate to 1e-3 up to rho =
9, and logarithms to 1e-3 of their length (or of 1, if they are shorter) up to rho = 8. The pair
overflows at rho = 88. Its squares, and logarithms longer than 44, overflow at half of that. For
another curvature divide these radii by sqrt(-K).
"""

from __future__ import annotations

import torch
from torch import Tensor

from skccvae.special.trigonometry import (
    _sign_of,
    arcsin_root,
    arctan_k,
    cos_root,
    sinc_root,
)

__all__ = [
    "exp_origin",
    "exp_transported",
    "log_origin",
    "log_transported",
    "radius",
]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1)


def _norm(a: Tensor) -> Tensor:
    """Euclidean norm with gradient 0 at the zero vector."""
    return torch.linalg.vector_norm(a, dim=-1)


def _safe_sqrt(x: Tensor) -> Tensor:
    """Square root of numbers that are >= 0 up to rounding. Value and gradient are 0 up to 0."""
    positive = x > 0
    root = torch.where(positive, x, 1.0).sqrt()
    return torch.where(positive, root, torch.where(x.isnan(), x, 0.0))


def _cosine(c: Tensor, s: Tensor, K: float | Tensor, sign: int | None) -> Tensor:
    """Replace c by sqrt(1 + |K| |s|^2) where K < 0, so the point stays on the hyperboloid."""
    if sign == 0 or sign == 1:
        return c
    if sign == -1:
        return torch.sqrt(1 - K * _dot(s, s))
    assert isinstance(K, Tensor)
    negative = K < 0
    return torch.where(negative, torch.where(negative, 1 - K * _dot(s, s), 1.0).sqrt(), c)


def exp_origin(u: Tensor, K: float | Tensor) -> tuple[Tensor, Tensor]:
    """Exponential map at the origin.

    Parameters
    ----------
    u : Tensor of shape (..., d)
        Tangent vector at the origin, of any length (for K > 0 it may wind round the sphere).
    K : float or Tensor
        Curvature.

    Returns
    -------
    c : Tensor of shape (...)
    s : Tensor of shape (..., d)

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds.functional import exp_origin
    >>> c, s = exp_origin(torch.tensor([3.0, 4.0]), 0.0)
    >>> c.item(), s.tolist()
    (1.0, [3.0, 4.0])
    """
    sign = _sign_of(K)
    q = _dot(u, u)
    if sign == 0:
        return torch.ones_like(q), u
    x = K * q
    s = sinc_root(x, sign).unsqueeze(-1) * u
    return (torch.sqrt(1 - K * _dot(s, s)) if sign == -1 else cos_root(x, sign)), s


def _radius_ratio(n: Tensor, c: Tensor, K: float | Tensor, sign: int | None) -> Tensor:
    """Ratio rho / sin_K(rho) from n = sin_K(rho) and c = cos_K(rho); smooth at rho = 0."""
    if sign == 0:
        return torch.ones_like(n)
    y = K * n * n
    if sign == -1:
        return arcsin_root(y, -1)
    far = (y > 0.1) | (c < 0)
    if sign is None:
        far = far & (K > 0)
    ratio = arctan_k(torch.where(far, n, 1.0), c, K) / torch.where(far, n, 1.0)
    return torch.where(far, ratio, arcsin_root(torch.where(far, 0.0, y), -1))


def _direction_at_antipode(s: Tensor, n: Tensor, c: Tensor) -> Tensor:
    """Replace the zero vector at the antipode of the origin by a tiny one along the first axis.

    Shortest geodesics lead there in all directions. The first axis is as good as any other, and
    with it exp(log(z)) = z.
    """
    tiny = torch.zeros_like(s)
    tiny[..., 0] = torch.finfo(s.dtype).tiny ** 0.5
    return torch.where(((n == 0) & (c < 0)).unsqueeze(-1), tiny, s)


def log_origin(c: Tensor, s: Tensor, K: float | Tensor) -> Tensor:
    """Logarithm map at the origin, the inverse of :func:`exp_origin` for lengths below pi/sqrt(K).

    Parameters
    ----------
    c : Tensor of shape (...)
    s : Tensor of shape (..., d)
    K : float or Tensor
        Curvature.

    Returns
    -------
    Tensor of shape (..., d)
        The tangent vector. At the antipode of the origin on a sphere, where the direction is
        undefined, it is a vector of length pi/sqrt(K) along the first axis.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds.functional import exp_origin, log_origin
    >>> u = torch.tensor([0.3, -0.4])
    >>> bool(torch.allclose(log_origin(*exp_origin(u, -2.0), -2.0), u))
    True
    """
    sign = _sign_of(K)
    if sign == 0:
        return s
    if sign != -1:
        s = _direction_at_antipode(s, _norm(s), c)
    return _radius_ratio(_norm(s), c, K, sign).unsqueeze(-1) * s


def radius(c: Tensor, s: Tensor, K: float | Tensor) -> Tensor:
    """Distance from the origin.

    Parameters
    ----------
    c : Tensor of shape (...)
    s : Tensor of shape (..., d)
    K : float or Tensor
        Curvature.

    Returns
    -------
    Tensor of shape (...)
        The distance. Its gradient is 0 at the origin, where the distance is not differentiable.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds.functional import exp_origin, radius
    >>> round(radius(*exp_origin(torch.tensor([0.0, 2.0]), 1.0), 1.0).item(), 4)
    2.0
    """
    return arctan_k(_norm(s), c, K)


def exp_transported(
    c: Tensor, s: Tensor, v: Tensor, K: float | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Exponential map at (c, s) of a tangent vector transported there from the origin.

    Parameters
    ----------
    c : Tensor of shape (...)
    s : Tensor of shape (..., d)
    v : Tensor of shape (..., d)
        Tangent vector in the frame at the origin.
    K : float or Tensor
        Curvature.

    Returns
    -------
    zc : Tensor of shape (...)
    zs : Tensor of shape (..., d)
    r : Tensor of shape (...)
        Length of v, which the volume ratio of a density needs.

    Notes
    -----
    With g = sinc_K(r), ``zs = cos_K(r) s + g (v - K <s, v>/(1 + c) s)`` and
    ``zc = cos_K(r) c - K g <s, v>``. On a sphere the frame has no limit at the antipode of the
    origin. Near it ``K/(1 + c)`` is computed as ``(1 - c)/|s|^2``, which does not cancel. At the
    antipode itself the result is that of the unmoved frame.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds.functional import exp_origin, exp_transported, radius
    >>> c, s = exp_origin(torch.tensor([1.0, 0.0]), -1.0)
    >>> zc, zs, r = exp_transported(c, s, torch.tensor([0.5, 0.0]), -1.0)
    >>> round(radius(zc, zs, -1.0).item(), 5)
    1.5
    """
    sign = _sign_of(K)
    if sign == 0:
        return c, s + v, _norm(v)
    q = _dot(v, v)
    x = K * q
    cos, sinc = cos_root(x, sign), sinc_root(x, sign)
    sv = _dot(s, v)
    zs = (cos - sinc * _frame_factor(c, s, K, sign) * sv).unsqueeze(-1) * s
    zs = zs + sinc.unsqueeze(-1) * v
    zc = cos * c - K * sinc * sv
    return _cosine(zc, zs, K, sign), zs, _norm(v)


def _frame_factor(c: Tensor, s: Tensor, K: float | Tensor, sign: int | None) -> Tensor:
    """K/(1 + c), in the form that does not cancel: (1 - c)/|s|^2 on the far half of a sphere."""
    if sign == -1:
        return K / (1 + c)
    far = c < 0
    q = _dot(s, s)
    q = torch.where(far & (q > 0), q, 1.0)
    return torch.where(far, (1 - c) / q, K / (1 + torch.where(far, 0.0, c)))


def log_transported(c: Tensor, s: Tensor, zc: Tensor, zs: Tensor, K: float | Tensor) -> Tensor:
    r"""Inverse of :func:`exp_transported`: logarithm at (c, s), moved to the frame at the origin.

    Parameters
    ----------
    c, zc : Tensor of shape (...)
    s, zs : Tensor of shape (..., d)
    K : float or Tensor
        Curvature.

    Returns
    -------
    Tensor of shape (..., d)
        The shortest such vector. Between antipodes many vectors are equally short; the result is
        then one along the first axis.

    Notes
    -----
    The isometry that takes (c, s) to the origin is applied to z. Let K < 0, and let m and n be the
    unit directions of both points and a and b their distances from the origin. The image is

    .. math:: \bigl(\sin_K(b - a) - (\cos_K a - 1) \sin_K(b)\, |n - m|^2/2\bigr)\, m
        + \sin_K(b)\, (n - m) .

    Far out, this radial and angular part keep the digits that the coordinates hold. The difference
    of coordinates would lose a factor of ``exp(2 sqrt(-K) a)``.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds.functional import exp_origin, exp_transported, log_transported
    >>> c, s = exp_origin(torch.tensor([1.0, 2.0]), -1.0)
    >>> v = torch.tensor([0.3, -0.2])
    >>> zc, zs, _ = exp_transported(c, s, v, -1.0)
    >>> bool(torch.allclose(log_transported(c, s, zc, zs, -1.0), v, atol=1e-5))
    True
    """
    sign = _sign_of(K)
    if sign == 0:
        return zs - s
    y = _moved_to_origin(c, s, zc, zs, K, sign)
    yc = c * zc + K * _dot(s, zs)
    if sign != -1:
        y = _direction_at_antipode(y, _norm(y), yc)
    return _radius_ratio(_norm(y), yc, K, sign).unsqueeze(-1) * y


def _moved_to_origin(
    c: Tensor, s: Tensor, zc: Tensor, zs: Tensor, K: float | Tensor, sign: int | None
) -> Tensor:
    """Image of z under the isometry that carries (c, s) to the origin along their geodesic."""
    ds, dc = zs - s, zc - c  # near points keep their digits in terms of differences
    if sign == 1:
        return _moved_from_near(s, ds, dc, _frame_factor(c, s, K, sign))
    q, zq, rise = _dot(s, s), _dot(zs, zs), _dot(ds, zs + s)
    if isinstance(K, Tensor):
        below = K < 0
        minus: float | Tensor = torch.where(below, K, 0.0)
        dc = torch.where(below, -minus * rise / torch.where(below, zc + c, 1.0), dc)
    else:
        minus, dc = K, -K * rise / (zc + c)
    # Far from the origin of a hyperbolic space both terms along s are huge and cancel.
    far = minus * q < -1
    near = torch.where(far.unsqueeze(-1), 0.0, s)
    close = _moved_from_near(near, ds, dc, _frame_factor(c, near, K, sign))
    a = torch.where(far, q, 1.0).sqrt()
    m = s / a.unsqueeze(-1)
    # Only s is far out: the boost along its unit direction m does not cancel, and is smooth at the
    # origin, where z has no direction.
    boosted = zs + ((c - 1) * _dot(zs, m) - zc * a).unsqueeze(-1) * m
    # Both are far out: sin_K(b - a) m, which is the radial part, and what the angle adds.
    out = far & (minus * zq < -0.25)
    b, rise = torch.where(out, zq, 1.0).sqrt(), torch.where(out, rise, 0.0)
    radial = rise / torch.where(out, b * c + a * zc, 1.0)
    across = torch.where(
        (2 * b < a).unsqueeze(-1),
        zs - b.unsqueeze(-1) * m,
        ds - (rise / (a + b)).unsqueeze(-1) * m,
    )
    along = radial - (c - 1) * _dot(across, across) / (2 * b)
    apart = along.unsqueeze(-1) * m + across
    return torch.where(far.unsqueeze(-1), torch.where(out.unsqueeze(-1), apart, boosted), close)


def _moved_from_near(s: Tensor, ds: Tensor, dc: Tensor, factor: Tensor) -> Tensor:
    """`_moved_to_origin` for s near the origin, with `factor` = K/(1 + c)."""
    return ds - (dc + factor * _dot(s, ds)).unsqueeze(-1) * s
