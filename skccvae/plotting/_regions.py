"""Regions of a map that hold a stated share of a posterior."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.distributions import Distribution

from skccvae.manifolds import ConstantCurvature, Manifold

Array = NDArray[np.float64]

#: Draws from each posterior. The axes of an ellipse have a relative error of 1/sqrt(2 * 4000), 1 %.
N_DRAWS = 4000
#: Share of a posterior that a region holds unless the user says otherwise.
SHARE = 0.9
#: Most regions that are drawn unless the user gives a number.
MOST = 100
# The points of two drawn regions are at least this share of the larger radius apart.
_APART = 0.7
# Numbers of one block of draws in memory.
_BLOCK = 8_000_000
# Candidates for each row that is chosen.
_CANDIDATES = 20


def as_share(uncertainty: Any) -> float | None:
    """The share that a region holds, or None if there are no regions.

    Raises
    ------
    ValueError
        If it is neither a bool nor a number between 0 and 1.
    """
    if uncertainty is None or isinstance(uncertainty, bool | np.bool_):
        return SHARE if uncertainty else None
    if not isinstance(uncertainty, float | np.floating) or not 0 < uncertainty < 1:
        raise ValueError(
            "uncertainty must be True, False or the share of the posterior that a region holds, "
            f"between 0 and 1, such as 0.9; got {uncertainty!r}."
        )
    return float(uncertainty)


def check_posterior(posterior: Any, rows: Any, points: Array) -> NDArray[np.int64]:
    """Row numbers of the points that the entries of the posterior belong to.

    Raises
    ------
    TypeError
        If the posterior is not a torch distribution.
    ValueError
        If its shapes do not fit the points, or rows are not distinct row numbers of the points.
    """
    if not isinstance(posterior, Distribution):
        raise TypeError(
            "posterior must be a torch Distribution, as posterior_distribution of an estimator "
            f"returns it; got {type(posterior).__name__}."
        )
    n, width = points.shape
    chosen = np.arange(n) if rows is None else np.asarray(rows)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not np.isin(chosen, range(n)).all():
        raise ValueError(f"posterior_rows must be row numbers from 0 to {n - 1}; got {rows!r}.")
    expected = torch.Size([len(chosen)]), torch.Size([width])
    if (posterior.batch_shape, posterior.event_shape) != expected:
        raise ValueError(
            f"The posterior must have batch shape ({len(chosen)},), one entry for each row, and "
            f"event shape ({width},), the ambient coordinates; got {tuple(posterior.batch_shape)} "
            f"and {tuple(posterior.event_shape)}."
        )
    return chosen.astype(np.int64)


def spread_rows(manifold: Manifold, points: Array, n: int | str) -> NDArray[np.int64]:
    """Choose at most n different rows that cover the cloud of points.

    Each row is the farthest from those chosen before, among a random part of the points
    (Gonzalez (1985), "Clustering to minimize the maximum intercluster distance").
    """
    if n == "auto":
        n = MOST
    if not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n_regions must be 'auto' or an integer of at least 1; got {n!r}.")
    if len(points) <= n:
        return np.arange(len(points))
    random = np.random.default_rng(0)
    pool = random.permutation(len(points))[: _CANDIDATES * n]
    candidates = torch.from_numpy(points[pool])
    chosen = [0]
    nearest = manifold.dist(candidates, candidates[:1])
    while len(chosen) < n:
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, manifold.dist(candidates, candidates[chosen[-1:]]))
    return np.asarray(pool[list(dict.fromkeys(chosen))])


def thinned(space: ConstantCurvature, points: Array, outlines: Array) -> NDArray[np.int64]:
    """Choose the regions to keep, so that they do not lie on top of each other.

    A region is kept if its point is far from those of the regions kept before, compared with the
    distance of its outline from its point.
    """
    if space.dim == 1:  # each point has its own place across the line
        return np.arange(len(points))
    p, edges = torch.from_numpy(points), torch.from_numpy(outlines)
    radii = space.dist(edges, p[:, None].expand_as(edges)).mean(dim=1)
    apart = space.pairwise(p)
    kept: list[int] = []
    for number in range(len(p)):
        limits = _APART * torch.maximum(radii[number], radii[kept])
        if (apart[number, kept] > limits).all():
            kept.append(number)
    return np.array(kept, dtype=np.int64)


def draw_posterior(posterior: Distribution, manifold: Manifold, entries: Any) -> Array:
    """Draws from some entries of a posterior, as points of the space (n_draws, n_entries, ambient).

    Distributions on the unit sphere are scaled to the sphere of the space. The global state of
    torch's generators stays as it was.
    """
    size = int(np.prod(posterior.batch_shape + posterior.event_shape))
    block = max(1, min(N_DRAWS, _BLOCK // size))
    blocks = []
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.no_grad(), torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        for start in range(0, N_DRAWS, block):
            draws = posterior.sample(torch.Size([min(block, N_DRAWS - start)]))
            blocks.append(draws[:, torch.as_tensor(entries)].cpu().double())
    return np.asarray(manifold.project(torch.cat(blocks)).numpy())


def region_outlines(space: ConstantCurvature, points: Array, draws: Array, share: float) -> Array:
    """Outlines of regions around points of a space of one or two dimensions.

    The logarithmic map takes the draws to the tangent space at their point. There the region is the
    ellipse with their mean and covariance that holds the stated share of them. The exponential map
    takes it back to the space. For a family with rotational symmetry it is a geodesic circle.

    Parameters
    ----------
    space : ConstantCurvature
        Space of one or two dimensions.
    points : ndarray of shape (n, ambient_dim)
        The points that the regions surround.
    draws : ndarray of shape (n_draws, n, ambient_dim)
        Draws from the posterior of each point.
    share : float
        Share of the draws in each region.

    Returns
    -------
    ndarray of shape (n, n_steps, ambient_dim)
        The outline in two dimensions, and the interval between the quantiles in one dimension.
    """
    p, z = torch.from_numpy(points), torch.from_numpy(draws)
    v = space.to_frame(p.expand_as(z), space.log(p.expand_as(z), z))
    if space.dim == 1:
        low, high = torch.quantile(v, torch.tensor([0.5 - share / 2, 0.5 + share / 2]).double(), 0)
        steps = torch.linspace(0, 1, 61, dtype=torch.float64)[:, None, None]
        outline = low + steps * (high - low)
    else:
        mean = v.mean(dim=0)
        away = v - mean
        covariance = torch.einsum("mni,mnj->nij", away, away) / len(v)
        # A little of the trace keeps a posterior without width from failing.
        covariance += (1e-12 * covariance.diagonal(dim1=1, dim2=2).sum(-1))[:, None, None] * (
            torch.eye(2, dtype=torch.float64)
        ) + 1e-24 * torch.eye(2, dtype=torch.float64)
        root = torch.linalg.cholesky(covariance)
        white = torch.linalg.solve_triangular(root, away.permute(1, 2, 0), upper=False)
        radius = white.norm(dim=1).quantile(share, dim=1)  # one for each point
        t = torch.linspace(0, 2 * torch.pi, 121, dtype=torch.float64)
        circle = torch.stack([t.cos(), t.sin()])  # (2, n_steps)
        outline = mean + (radius[:, None, None] * (root @ circle)).permute(2, 0, 1)
    at = p.expand(len(outline), *p.shape)
    return np.asarray(space.exp(at, space.from_frame(at, outline)).permute(1, 0, 2).numpy())
