"""Matrices of distances, filled block by block, so that they need little extra memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["euclidean_distances", "fill_blocks"]

#: Pairs in a block. A space holds about ten arrays of this many numbers while it works on one:
#: 5 MB in float64, which also stays in the cache.
_PAIRS = 1 << 16


def euclidean_distances(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances between the rows of x and of y, shape (n, m).

    They are computed from differences. torch's default uses a matrix product, in which the
    distances of near points cancel.
    """
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


@torch.no_grad()
def fill_blocks(
    distances: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor | None
) -> Tensor:
    """Matrix of distances between the rows of x and of y.

    Parameters
    ----------
    distances : callable
        Takes some rows of x and some of y, and returns their distances in a new tensor.
    x : Tensor of shape (n, k)
    y : Tensor of shape (m, k) or None
        None stands for x. Only the upper triangle is then computed, and mirrored.

    Returns
    -------
    Tensor of shape (n, m)
        If y is None, the matrix is exactly symmetric with zeros on the diagonal.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds.pairwise import euclidean_distances, fill_blocks
    >>> fill_blocks(euclidean_distances, torch.tensor([[0.0], [3.0], [1.0]]), None)
    tensor([[0., 3., 1.],
            [3., 0., 2.],
            [1., 2., 0.]])
    """
    columns = x if y is None else y
    result = x.new_empty(len(x), len(columns))
    start = 0
    while start < len(x):
        # Left of the diagonal of a symmetric matrix the rows above have written everything.
        left = start if y is None else 0
        stop = start + max(1, _PAIRS // max(1, len(columns) - left))
        block = distances(x[start:stop], columns[left:])
        if y is None:
            upper = block[:, : len(block)].triu(1)
            block[:, : len(block)] = upper + upper.T
            result[left:, start:stop] = block.T
        result[start:stop, left:] = block
        start = stop
    return result
