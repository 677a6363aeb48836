"""Code that the Fréchet means of all spaces share: weights, and descent to a stationary point."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["descend", "normalised_weights"]

_MAX_ITERATIONS = 2000


def normalised_weights(weights: Tensor | None, n: int, device: torch.device) -> Tensor:
    """Weights of n points in float64 with sum 1. They are equal if ``weights`` is None.

    Raises
    ------
    ValueError
        Unless weights are n finite numbers that are at least 0, and not all 0.
    """
    if weights is None:
        return torch.full((n,), 1 / n, dtype=torch.float64, device=device)
    w = torch.as_tensor(weights, dtype=torch.float64, device=device)
    good = w.shape == (n,) and bool((torch.isfinite(w) & (w >= 0)).all())
    if not good or not bool(w.sum() > 0):
        raise ValueError(
            f"weights must be {n} non-negative finite numbers, one for each point, not all zero; "
            f"got shape {tuple(w.shape)} with minimum "
            f"{float(w.min()) if w.numel() else math.nan:g}."
        )
    return w / w.sum()


def descend(
    start: Tensor,
    step: Callable[[Tensor], Tensor | None],
    exp: Callable[[Tensor, Tensor], Tensor],
    norm: Callable[[Tensor, Tensor], Tensor],
    tolerance: float,
) -> Tensor | None:
    """Follow steps from a start until one is shorter than the tolerance.

    Parameters
    ----------
    start : Tensor of shape (ambient_dim,)
    step : callable
        Takes a point and returns the tangent vector to follow from it, or None to give up.
    exp, norm : callable
        Exponential map and length of a tangent vector, methods of the space.
    tolerance : float
        The descent ends at a step shorter than this.

    Returns
    -------
    Tensor of shape (ambient_dim,) or None
        The last point, or None if `step` gave up.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds import Euclidean
    >>> from skccvae.manifolds.mean import descend
    >>> line, goal = Euclidean(1), torch.tensor([3.0])
    >>> descend(torch.zeros(1), lambda x: goal - x, line.exp, line.norm, 1e-6)
    tensor([3.])
    """
    point = start
    for _ in range(_MAX_ITERATIONS):
        u = step(point)
        if u is None:
            return None
        point = exp(point, u)
        if bool(norm(point, u) <= tolerance):
            break
    return point
