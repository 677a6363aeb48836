"""A term that preserves distances: the stress of latent geodesic distances against row distances.

Multidimensional scaling minimises the stress over free points. Here the points are the locations of
the posteriors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from skccvae.kernels import accelerator
from skccvae.manifolds.functional import exp_origin
from skccvae.manifolds.polar_distance import distance

__all__ = [
    "ROW_DISTANCES",
    "STRESS_ROWS",
    "STRESS_WEIGHT",
    "distance_stress",
    "euclidean",
    "geodesic_pairs",
    "stress",
]

#: Nats of the stress, per nat that a row loses if it is decoded from the code of another row. Under
#: a normal likelihood of p columns whose decoder leaves the share r of the variance unexplained,
#: that loss is p (1 - r) / r nats, and the reconstruction costs p / (2 r) nats for each unit of r.
#: So at 8, a unit of stress costs about 16 times as much as a unit of r.
STRESS_WEIGHT = 8.0
#: Number of rows of a training batch whose pairs are compared. With all 128 rows of a batch, an
#: epoch takes 1.17 to 1.24 times as long as without the term. The correlation with the true
#: distances with 64 and with 128 rows, as the mean of two seeds, is .861 and .862 on the mammals,
#: and on the branching diffusion .830 and .839 (hyperbolic) or .725 and .734 (plane).
STRESS_ROWS = 64


def euclidean(rows: Tensor) -> Tensor:
    """Euclidean distances between rows (n, p), as a matrix (n, n).

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import euclidean
    >>> euclidean(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[0., 5.],
            [5., 0.]])
    """
    # A matrix product is fifty times as fast as differences. For close rows it suffers from
    # cancellation, less so if the mean is 0, but small errors do not matter next to large
    # distances.
    rows = rows - rows.mean(0)
    size = rows.square().sum(-1)
    return torch.addmm(size[:, None] + size, rows, rows.T, alpha=-2).clamp(min=0).sqrt()


def _cityblock(rows: Tensor) -> Tensor:
    return torch.cdist(rows, rows, p=1.0)


def _cosine(rows: Tensor) -> Tensor:
    units = torch.nn.functional.normalize(rows, dim=-1)
    return (1 - units @ units.T).clamp(min=0)


def _jaccard(rows: Tensor) -> Tensor:
    # Tanimoto's form, which is valid for counts as well; two rows of zeros are equal.
    both = rows @ rows.T
    size = both.diagonal()
    either = size[:, None] + size - both
    return torch.where(either > 0, 1 - both / torch.where(either > 0, either, 1.0), 0.0).clamp(
        min=0
    )


#: Functions of rows (n, p) that return their distances (n, n), by scikit-learn's names.
ROW_DISTANCES: dict[str, Callable[[Tensor], Tensor]] = {
    "euclidean": euclidean,
    "l2": euclidean,
    "cityblock": _cityblock,
    "manhattan": _cityblock,
    "l1": _cityblock,
    "cosine": _cosine,
    "jaccard": _jaccard,
}


#: Points of one factor of a space, in the form that `geodesic_pairs` takes.
Placed: TypeAlias = tuple[Tensor | None, Tensor, float | Tensor]


def geodesic_pairs(parts: Sequence[Placed]) -> Tensor:
    """Geodesic distances between points, with gradients.

    Parameters
    ----------
    parts : sequence of (c, s, K) or (None, u, K)
        For each factor of the space, its points and its curvature. The points are in polar form
        (see `skccvae.manifolds.functional`), shapes (n,) and (n, d), or tangent vectors at the
        origin, shape (n, d). The curvature may be a tensor, and then gets a gradient as well.

    Returns
    -------
    Tensor of shape (n, n)
        The gradient is 0 between coincident and between antipodal points.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import geodesic_pairs
    >>> geodesic_pairs([(None, torch.tensor([[0.0], [1.0], [-2.0]]), -1.0)]).round(decimals=4)
    tensor([[0., 1., 2.],
            [1., 0., 3.],
            [2., 3., 0.]])
    """
    found = [_distances(c.double(), s.double(), K).to(s.dtype) for c, s, K in map(_polar, parts)]
    return found[0] if len(found) == 1 else torch.linalg.vector_norm(torch.stack(found), dim=0)


def _value(K: float | Tensor) -> float:
    return float(K.detach()) if isinstance(K, Tensor) else K


def _polar(part: Placed) -> tuple[Tensor, Tensor, float | Tensor]:
    c, s, K = part
    return (*exp_origin(s, K), K) if c is None else (c, s, K)


def _distances(c: Tensor, s: Tensor, K: float | Tensor) -> Tensor:
    # In float64, whose range includes the fourth powers of all float32 numbers.
    return distance(c[:, None], s[:, None], c, s, K.double() if isinstance(K, Tensor) else K)


def stress(latent: Tensor, wanted: Tensor) -> Tensor:
    r"""Normalised stress of distances, up to a common factor.

    Parameters
    ----------
    latent, wanted : Tensor of shape (n, n)
        Distances in the latent space, and the distances to which they should be proportional. Only
        the entries above the diagonal count.

    Returns
    -------
    Tensor of shape ()
        ``min_u sum (u latent - wanted)^2 / sum wanted^2``, between 0 and 1; 0 if all wanted
        distances are 0.

    References
    ----------
    Kruskal, "Multidimensional scaling by optimizing goodness of fit to a nonmetric hypothesis",
    Psychometrika 29, 1964.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import stress
    >>> D = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [2.0, 2.0, 0.0]])
    >>> stress(3 * D, D).item(), round(stress(torch.ones(3, 3), D).item(), 4)
    (0.0, 0.0741)
    """
    tiny = torch.finfo(latent.dtype).tiny
    # Divided by the largest one, so that squares do not overflow.
    wanted = wanted.triu(1) / wanted.max().clamp(min=tiny)
    latent = latent.triu(1) / latent.detach().max().clamp(min=tiny)
    with torch.no_grad():
        # At the minimum the gradient with respect to the factor is 0.
        unit = (latent * wanted).sum() / latent.square().sum().clamp(min=tiny)
    return (unit * latent - wanted).square().sum() / wanted.square().sum().clamp(min=tiny)


def distance_stress(
    parts: Sequence[Placed],
    wanted: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Stress between geodesic distances of points and wanted distances, by the fastest path.

    Parameters
    ----------
    parts : sequence of (c, s, K) or (None, u, K)
        As for `geodesic_pairs`.
    wanted : Tensor of shape (n, n)
        Symmetric, up to rounding.
    weights : Tensor of shape (n,), optional
        Weights of the points. The weight of a pair is the product of its two weights.

    Returns
    -------
    Tensor of shape ()
        `stress` of `geodesic_pairs`.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import distance_stress
    >>> vectors = torch.tensor([[0.0], [1.0], [3.0]])
    >>> D = torch.tensor([[0.0, 2.0, 6.0], [2.0, 0.0, 4.0], [6.0, 4.0, 0.0]])
    >>> round(distance_stress([(torch.ones(3), vectors, 0.0)], D).item(), 6)  # a straight line
    0.0
    """
    if weights is not None:
        root = weights.sqrt()[:, None] * weights.sqrt()
        return stress(root * geodesic_pairs(parts), root * wanted)
    learned = [K for _, _, K in parts if isinstance(K, Tensor)]
    fused = accelerator("stress", parts[0][1], curvature=learned[0] if learned else 0.0)
    if fused is None:
        return stress(geodesic_pairs(parts), wanted)
    wanted = wanted / wanted.max().clamp(min=torch.finfo(wanted.dtype).tiny)
    # On a sphere the fused path works with ambient points.
    parts = [_polar(part) if _value(part[2]) > 0 else part for part in parts]
    return fused(parts, wanted.fill_diagonal_(0.0))
