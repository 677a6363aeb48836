"""A term that keeps distances: stress between latent geodesic distances and those of the rows.

Multidimensional scaling minimises it over points; here the points are the locations of posteriors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from skccvae.manifolds.polar_distance import versine_from_origin
from skccvae.special.trigonometry import arctan_k

__all__ = ["ROW_DISTANCES", "STRESS_WEIGHT", "geodesic_pairs", "stress"]

#: Nats of the stress, per nat that a row loses if it is decoded from the code of another row. Under
#: a normal likelihood of p columns whose decoder leaves the share r of the variance, that loss is
#: p (1 - r) / r nats, and the reconstruction costs p / (2 r) nats for each unit of r. So at 25, a
#: unit of stress costs about 50 times as much as a unit of r.
STRESS_WEIGHT = 25.0
# Versines below are those of coincident points.
_TINY = 1e-30


def _euclidean(rows: Tensor) -> Tensor:
    # A matrix product is fifty times as fast as differences. Near rows cancel in it, less so where
    # the mean is 0; as targets beside large distances they may be a little off.
    rows = rows - rows.mean(0)
    size = rows.square().sum(-1)
    return torch.addmm(size[:, None] + size, rows, rows.T, alpha=-2).clamp(min=0).sqrt()


def _cityblock(rows: Tensor) -> Tensor:
    return torch.cdist(rows, rows, p=1.0)


def _cosine(rows: Tensor) -> Tensor:
    units = torch.nn.functional.normalize(rows, dim=-1)
    return (1 - units @ units.T).clamp(min=0)


def _jaccard(rows: Tensor) -> Tensor:
    # Tanimoto's form, which holds for counts as well; two rows of zeros are equal.
    both = rows @ rows.T
    size = both.diagonal()
    either = size[:, None] + size - both
    return torch.where(either > 0, 1 - both / torch.where(either > 0, either, 1.0), 0.0).clamp(
        min=0
    )


#: Distances of rows (n, p) to each other, (n, n), by name; scikit-learn's names.
ROW_DISTANCES: dict[str, Callable[[Tensor], Tensor]] = {
    "euclidean": _euclidean,
    "l2": _euclidean,
    "cityblock": _cityblock,
    "manhattan": _cityblock,
    "l1": _cityblock,
    "cosine": _cosine,
    "jaccard": _jaccard,
}


def geodesic_pairs(parts: Sequence[tuple[Tensor, Tensor, float | Tensor]]) -> Tensor:
    """Geodesic distances of points to each other, with gradients.

    Parameters
    ----------
    parts : sequence of (c, s, K)
        For each factor of the space, the points in polar form, shapes (n,) and (n, d), and the
        curvature, which may be a tensor and then gets a gradient as well.

    Returns
    -------
    Tensor of shape (n, n)
        With gradient 0 between coincident and between antipodal points.

    Notes
    -----
    With ``h_i = (1 - cos_K r_i)/K``, the versine of a point against the origin, that of two points
    is ``h_i + h_j - K h_i h_j - <s_i, s_j>``, for every K. One matrix product gives all of them. In
    float64 it costs little, and near points 10 curvature radii out still keep four digits. What
    `manifolds.polar_distance` does, from differences in float32, takes about ten times as long.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds.functional import exp_origin
    >>> points = exp_origin(torch.tensor([[0.0], [1.0], [-2.0]]), -1.0)
    >>> geodesic_pairs([(*points, -1.0)]).round(decimals=4)
    tensor([[0.0000, 1.0000, 2.0000],
            [1.0000, 0.0000, 3.0000],
            [2.0000, 3.0000, 0.0000]])
    """
    found = [_pairs(c, s, K) for c, s, K in parts]
    if len(found) == 1:
        return found[0]
    return torch.stack([part.square() for part in found]).sum(0).clamp(min=_TINY).sqrt()


def _pairs(c: Tensor, s: Tensor, K: float | Tensor) -> Tensor:
    dtype = s.dtype
    c, s = c.double(), s.double()
    curvature = K.double() if isinstance(K, Tensor) else K
    h = versine_from_origin(c, s, curvature)[:, None]
    one = torch.ones_like(h)
    left, right = torch.cat([h, one, -curvature * h, -s], 1), torch.cat([one, h, h, s], 1)
    versine = left @ right.T
    # The square root has no slope at 0.
    half_sine = torch.where(versine > _TINY, versine / 2, _TINY).sqrt().to(dtype)
    if isinstance(K, Tensor):
        half_cosine = (1 - K * half_sine.square()).clamp(min=torch.finfo(dtype).eps).sqrt()
        return 2 * arctan_k(half_sine, half_cosine, K)
    return 2 * _arcsine(half_sine, K)


def _arcsine(sine: Tensor, K: float) -> Tensor:
    """Inverse of the generalised sine, up to a quarter of a turn, where its slope becomes 0."""
    if K == 0:
        return sine
    root = math.sqrt(abs(K))
    if K < 0:
        return torch.asinh(sine * root) / root
    return torch.asin((sine * root).clamp(max=1 - torch.finfo(sine.dtype).eps)) / root


def stress(latent: Tensor, wanted: Tensor) -> Tensor:
    r"""Normalised stress of distances, up to a common factor.

    Parameters
    ----------
    latent, wanted : Tensor of shape (n, n)
        Distances in the latent space, and those that they should be proportional to. Only the
        entries above the diagonal count.

    Returns
    -------
    Tensor of shape ()
        ``min_u sum (u latent - wanted)^2 / sum wanted^2``, between 0 and 1; 0 where all wanted
        distances are 0.

    References
    ----------
    Kruskal, "Multidimensional scaling by optimizing goodness of fit to a nonmetric hypothesis",
    Psychometrika 29, 1964.

    Examples
    --------
    >>> import torch
    >>> D = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [2.0, 2.0, 0.0]])
    >>> stress(3 * D, D).item(), round(stress(torch.ones(3, 3), D).item(), 4)
    (0.0, 0.0741)
    """
    tiny = torch.finfo(latent.dtype).tiny
    # So that squares do not overflow.
    wanted = (wanted / wanted.max().clamp(min=tiny)).triu(1)
    latent = (latent / latent.detach().max().clamp(min=tiny)).triu(1)
    with torch.no_grad():
        # At its best, the factor has no gradient of its own.
        unit = (latent * wanted).sum() / latent.square().sum().clamp(min=tiny)
    return (unit * latent - wanted).square().sum() / wanted.square().sum().clamp(min=tiny)
