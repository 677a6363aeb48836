"""Checks of the dimension and the curvature that a user passes."""

from __future__ import annotations

import math
import numbers

__all__ = ["check_curvature", "check_dim"]


def check_dim(dim: object) -> int:
    """Return the intrinsic dimension as an int, or raise an error that says what to pass."""
    if isinstance(dim, bool) or not isinstance(dim, numbers.Integral):
        raise TypeError(
            f"dim must be an integer, the intrinsic dimension of the space; got {dim!r} of type "
            f"{type(dim).__name__}."
        )
    if dim < 1:
        raise ValueError(f"dim must be at least 1; got {dim}.")
    return int(dim)


def check_curvature(curvature: object, sign: int, name: str) -> float:
    """Return the curvature as a finite float of the given sign, or raise an error."""
    if isinstance(curvature, bool) or not isinstance(curvature, numbers.Real):
        raise TypeError(
            f"curvature must be a real number; got {curvature!r} of type "
            f"{type(curvature).__name__}."
        )
    value = float(curvature)
    if not math.isfinite(value) or value * sign <= 0:
        wanted = "positive, as in curvature=1.0" if sign > 0 else "negative, as in curvature=-1.0"
        raise ValueError(f"The curvature of a {name} must be finite and {wanted}; got {value!r}.")
    return value
