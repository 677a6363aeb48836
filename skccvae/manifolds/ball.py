"""Ball coordinates that floating-point rounding has put on the rim."""

from __future__ import annotations

import torch
from torch import Tensor

from skccvae.manifolds.base import ConstantCurvature
from skccvae.manifolds.manifold import Manifold

__all__ = ["inside_the_ball"]


def inside_the_ball(manifold: Manifold, coordinates: Tensor) -> Tensor:
    """Move stereographic coordinates off the rim of the ball, where rounding has put them.

    In float32 a point farther out than about 16 curvature radii has a norm that rounds to the
    radius of the ball or above, where hyperbolic space has no point. Such a point is moved to the
    largest radius that the dtype can tell from the rim.

    Parameters
    ----------
    manifold : Manifold
        The space. The factors of a product are treated one by one.
    coordinates : Tensor of shape (..., dim)
        Stereographic coordinates of points of the space.

    Returns
    -------
    Tensor of shape (..., dim)
        The same coordinates, with norms of hyperbolic parts below the radius of the ball.

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds import Hyperbolic, inside_the_ball
    >>> bool(inside_the_ball(Hyperbolic(2), torch.tensor([1.0, 0.0])).norm() < 1)
    True
    """
    parts = zip(manifold.factors, manifold.split(coordinates, "stereographic"), strict=True)
    return torch.cat([_inside(factor, part) for factor, part in parts], -1)


def _inside(factor: ConstantCurvature, coordinates: Tensor) -> Tensor:
    if factor.curvature >= 0:
        return coordinates
    norm = torch.linalg.vector_norm(coordinates.double(), dim=-1, keepdim=True)
    # Four units in the last place: dividing and rounding each coordinate may add one or two.
    largest = factor.radius_ * (1 - 4 * torch.finfo(coordinates.dtype).eps)
    return (coordinates * (largest / norm.clamp(min=largest))).to(coordinates.dtype)
