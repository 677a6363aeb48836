"""Frechet mean on a space of constant curvature, with its failures found rather than passed on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from skccvae.special.trigonometry import sinc_root

if TYPE_CHECKING:
    from skccvae.manifolds.base import ConstantCurvature

__all__ = ["frechet_mean"]

_MAX_ITERATIONS = 2000
_N_STARTS = 8


def frechet_mean(manifold: ConstantCurvature, x: Tensor, weights: Tensor | None = None) -> Tensor:
    """Point of least weighted sum of squared distances to the rows of x.

    Parameters
    ----------
    manifold : Euclidean, Sphere or Hyperbolic
    x : Tensor of shape (n, ambient_dim)
    weights : Tensor of shape (n,), optional

    Returns
    -------
    Tensor of shape (ambient_dim,), of x's dtype

    Raises
    ------
    ValueError
        For bad input, and where the mean is not unique or cannot be found.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds import Sphere
    >>> frechet_mean(Sphere(1), torch.eye(2))
    tensor([0.7071, 0.7071])
    """
    manifold._check_points(x, manifold.ambient_dim)
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(
            f"frechet_mean takes the points as rows, shape (n, {manifold.ambient_dim}) with n at "
            f"least 1; got shape {tuple(x.shape)}."
        )
    dtype, points = x.dtype, manifold.project(x.double())
    if weights is None:
        w = torch.full((len(x),), 1 / len(x), dtype=torch.float64, device=x.device)
    else:
        w = torch.as_tensor(weights, dtype=torch.float64, device=x.device)
        good = w.shape == (len(x),) and bool((torch.isfinite(w) & (w >= 0)).all())
        if not good or not bool(w.sum() > 0):
            raise ValueError(
                f"weights must be {len(x)} non-negative finite numbers, one a point, not all "
                f"zero; got shape {tuple(w.shape)} with minimum "
                f"{float(w.min()) if w.numel() else math.nan:g}."
            )
        w = w / w.sum()
        points, w = points[w > 0], w[w > 0]
    chord = (w.unsqueeze(-1) * points).sum(0)
    if manifold.curvature == 0:
        return chord.to(dtype)

    half_turn = math.pi * manifold.radius_
    starts = []
    if manifold.curvature < 0 or bool(torch.linalg.vector_norm(chord) > 1e-8 * manifold.radius_):
        starts.append(manifold.project(chord))
        found = _descend(manifold, points, w, starts[0])
        # Afsari: at most one mean in an open hemisphere that holds all the points.
        if found is not None and (
            manifold.curvature < 0
            or bool((manifold.dist(found, points) < half_turn / 2 * (1 - 1e-9)).all())
        ):
            return found.to(dtype)
    starts.extend(points[:: max(1, len(points) // _N_STARTS)])
    candidates = [m for m in (_descend(manifold, points, w, s) for s in starts) if m is not None]
    if not candidates:
        raise ValueError(
            "The Frechet mean could not be found: at every start some point is antipodal to the "
            "iterate, so the mean is not unique. Drop or move antipodal points."
        )
    values = [float((w * manifold.dist(m, points).square()).sum()) for m in candidates]
    best = min(range(len(values)), key=values.__getitem__)
    for m, value in zip(candidates, values, strict=True):
        apart = float(manifold.dist(m, candidates[best])) > 1e-4 * half_turn
        if apart and value <= values[best] * (1 + 1e-9):
            raise ValueError(
                "The Frechet mean of these points is not unique: they are spread over more than a "
                "hemisphere and at least two points of the sphere are equally good (as for "
                "antipodes or a whole great circle). Average a more concentrated set."
            )
    return candidates[best].to(dtype)


def _descend(
    manifold: ConstantCurvature, points: Tensor, w: Tensor, start: Tensor
) -> Tensor | None:
    """Gradient descent from a start; None if a point is met that is antipodal to the iterate."""
    K, m = manifold.curvature, start
    for _ in range(_MAX_ITERATIONS):
        r = manifold.dist(m, points)
        if K > 0 and bool((r * math.sqrt(K) > math.pi - 1e-7).any()):
            return None
        step = (w.unsqueeze(-1) * manifold.log(m, points)).sum(0)
        if K < 0:
            # The Hessian of half a squared distance is at most r coth r: a step that never
            # overshoots, where a full one can diverge for spread points.
            t = math.sqrt(-K) * r
            step = step / (w * torch.cosh(t) / sinc_root(-t * t, -1)).sum()
        m = manifold.exp(m, step)
        if bool(manifold.norm(m, step) <= 1e-12 * manifold.radius_):
            break
    return m
