"""Distances between points in polar form; `skccvae.manifolds.functional` explains the form."""

from __future__ import annotations

import torch
from torch import Tensor

from skccvae.manifolds.functional import _dot, _norm, _safe_sqrt
from skccvae.special.trigonometry import _sign_of, arcsin_root, arctan_k, sinc_root

__all__ = ["distance", "versine_between"]


def versine_between(c1: Tensor, s1: Tensor, c2: Tensor, s2: Tensor, K: float | Tensor) -> Tensor:
    """Generalised versine ``(1 - cos_K(dist))/K`` between two points, free of cancellation.

    Parameters
    ----------
    c1, c2 : Tensor of shape (...)
    s1, s2 : Tensor of shape (..., d)
    K : float or Tensor
        Curvature.

    Returns
    -------
    Tensor of shape (...)
        Half the squared chord of the embedding, which is ``dist^2/2`` at K = 0. It is exactly 0
        between equal points.

    Notes
    -----
    For K >= 0 the squared chord is a sum of squares. For K < 0 it is a difference, in which float32
    loses all digits far out. For this case the hyperbolic haversine, again a sum of squares,
    replaces it.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds.functional import exp_origin
    >>> from skccvae.manifolds.polar_distance import versine_between
    >>> a, b = torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])
    >>> versine_between(*exp_origin(a, 0.0), *exp_origin(b, 0.0), 0.0).item()
    12.5
    """
    sign = _sign_of(K)
    ds = s1 - s2
    flat = _dot(ds, ds) / 2
    if sign == 0:
        return flat
    q1, q2 = _dot(s1, s1), _dot(s2, s2)
    h1, h2 = _versine(c1, q1, K, sign), _versine(c2, q2, K, sign)
    chord = flat + K * (h1 - h2).square() / 2
    if sign == 1:
        return chord
    a1, a2 = _norm(s1), _norm(s2)
    minus = torch.where(K < 0, K, 0.0) if isinstance(K, Tensor) else K
    low, high = torch.minimum(a1, a2).square() * -minus, torch.maximum(a1, a2).square() * -minus
    # One point near the origin, the other far out: (1 - cos cos + sin sin)/K, expanded.
    mixed = h1 + h2 - K * h1 * h2 - _dot(s1, s2)
    # Both far out: the radial and the angular part separately.
    gap = a1 * arcsin_root(minus * q1, -1) - a2 * arcsin_root(minus * q2, -1)
    tiny = torch.finfo(s1.dtype).tiny ** 0.5
    turn = s1 / a1.clamp_min(tiny).unsqueeze(-1) - s2 / a2.clamp_min(tiny).unsqueeze(-1)
    x = minus * gap * gap / 4
    apart = (gap * sinc_root(x, -1)).square() / 2 + a1 * a2 * _dot(turn, turn) / 2
    return torch.where(high < 1, chord, torch.where(low < 0.25, mixed, apart))


def _versine(c: Tensor, q: Tensor, K: float | Tensor, sign: int | None) -> Tensor:
    """Versine (1 - c)/K of a point against the origin, free of cancellation; q is |s|^2."""
    if sign == -1:
        return q / (1 + c)
    far = c < 0
    safe = torch.where(far, torch.as_tensor(K, dtype=c.dtype, device=c.device), 1.0)
    return torch.where(far, (1 - c) / safe, q / (1 + torch.where(far, 0.0, c)))


def distance(c1: Tensor, s1: Tensor, c2: Tensor, s2: Tensor, K: float | Tensor) -> Tensor:
    """Geodesic distance between two points.

    Parameters
    ----------
    c1, c2 : Tensor of shape (...)
    s1, s2 : Tensor of shape (..., d)
    K : float or Tensor
        Curvature.

    Returns
    -------
    Tensor of shape (...)
        The distance. Between equal points it is exactly 0, with gradient 0.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds.functional import exp_origin
    >>> from skccvae.manifolds.polar_distance import distance
    >>> a = exp_origin(torch.tensor([1.0, 0.0]), -1.0)
    >>> b = exp_origin(torch.tensor([-2.0, 0.0]), -1.0)
    >>> round(distance(*a, *b, -1.0).item(), 5)
    3.0
    """
    sign = _sign_of(K)
    half_sine = _safe_sqrt(versine_between(c1, s1, c2, s2, K) / 2)
    if sign == 0:
        return 2 * half_sine
    half_cosine = half_sine
    if sign != -1:
        s = s1 + s2
        half_cosine = _safe_sqrt((c1 + c2).square() + K * _dot(s, s)) / 2
    return 2 * arctan_k(half_sine, half_cosine, K)
