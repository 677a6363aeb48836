"""The gradient in a learned curvature near 0, where its closed form is a difference over K."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

__all__ = ["near_flat"]

#: Within this of 0 the gradient is interpolated from either side, with an error of its square.
_STEP = 1e-5


def near_flat(K: float, gradient_at: Callable[[float], Tensor]) -> Tensor:
    """Gradient in K where ``|K| < special.trigonometry.SMALL_CURVATURE``.

    Parameters
    ----------
    K : float
        Curvature, of any sign or 0.
    gradient_at : callable
        The closed form at a curvature that is not 0, in float64.

    Returns
    -------
    Tensor
        The closed form itself, or the line through its values at -1e-5 and 1e-5.
    """
    if abs(K) >= _STEP:
        return gradient_at(K)
    above = 0.5 + 0.5 * K / _STEP
    return (1 - above) * gradient_at(-_STEP) + above * gradient_at(_STEP)
