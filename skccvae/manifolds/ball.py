"""Ball coordinates that floating-point rounding has put on the rim."""

from __future__ import annotations

import torch
from torch import Tensor

from skccvae.manifolds.base import ConstantCurvature, Manifold
from skccvae.manifolds.product import Product

__all__ = ["inside_the_ball"]


def inside_the_ball(manifold: Manifold, coordinates: Tensor) -> Tensor:
    """Move stereographic coordinates off the rim of the ball, onto which rounding put them.

    A point further out than about 16 curvature radii in float32 has a norm that rounds to the
    radius of the ball or above, where no point of hyperbolic space is. The nearest radius that the
    dtype can tell from the rim is what is left of its distance.

    Parameters
    ----------
    manifold : Manifold
        The space; factors of a product are treated one by one.
    coordinates : Tensor of shape (..., dim)
        Stereographic coordinates of points of the space.

    Returns
    -------
    Tensor of shape (..., dim)
        The same, with norms of hyperbolic parts below the radius of the ball.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds import Hyperbolic, inside_the_ball
    >>> bool(inside_the_ball(Hyperbolic(2), torch.tensor([1.0, 0.0])).norm() < 1)
    True
    """
    if isinstance(manifold, Product):
        parts = manifold.split(coordinates, "stereographic")
        return torch.cat(
            [inside_the_ball(f, part) for f, part in zip(manifold.factors, parts, strict=True)], -1
        )
    if not isinstance(manifold, ConstantCurvature) or manifold.curvature >= 0:
        return coordinates
    norm = torch.linalg.vector_norm(coordinates.double(), dim=-1, keepdim=True)
    # Four units in the last place: dividing and rounding each coordinate may add one or two.
    largest = manifold.radius_ * (1 - 4 * torch.finfo(coordinates.dtype).eps)
    return (coordinates * (largest / norm.clamp(min=largest))).to(coordinates.dtype)
