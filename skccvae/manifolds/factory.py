"""The space of a given curvature, chosen by its sign."""

from __future__ import annotations

from skccvae.manifolds.base import ConstantCurvature
from skccvae.manifolds.euclidean import Euclidean
from skccvae.manifolds.hyperbolic import Hyperbolic
from skccvae.manifolds.sphere import Sphere

__all__ = ["constant_curvature"]


def constant_curvature(dim: int, curvature: float) -> ConstantCurvature:
    """Make the simply connected space of the given dimension and curvature.

    Parameters
    ----------
    dim : int
        Intrinsic dimension, at least 1.
    curvature : float
        Any finite number. Its sign determines the space.

    Returns
    -------
    Hyperbolic, Euclidean or Sphere

    Raises
    ------
    TypeError, ValueError
        If dim is not a positive integer, or curvature is not a finite number.

    Examples
    --------
    >>> from skccvae.manifolds import constant_curvature
    >>> constant_curvature(3, -0.5)
    Hyperbolic(dim=3, curvature=-0.5)
    >>> constant_curvature(3, 0)
    Euclidean(dim=3)
    """
    if isinstance(curvature, (int, float)) and not isinstance(curvature, bool) and curvature == 0:
        return Euclidean(dim)
    # Anything else still goes to a constructor, whose checks say what is wrong with it.
    try:
        positive = curvature > 0
    except TypeError:
        positive = False
    return Sphere(dim, curvature) if positive else Hyperbolic(dim, curvature)
