"""A learned curvature K: its value, and its gradient near 0, where the closed form cancels."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

__all__ = ["gradient_near_flat", "value_and_learned"]

#: For |K| below this step the gradient is interpolated between both signs of K. The error is of
#: the order of the step squared.
_STEP = 1e-5


def gradient_near_flat(K: float, gradient_at: Callable[[float], Tensor]) -> Tensor:
    """Gradient in K for ``|K| < special.trigonometry.SMALL_CURVATURE``.

    Parameters
    ----------
    K : float
        Curvature of any sign, or 0.
    gradient_at : callable
        Closed form in float64, for a curvature other than 0.

    Returns
    -------
    Tensor
        The closed form at K. For ``|K| < 1e-5``, the line through its values at -1e-5 and 1e-5.
    """
    if abs(K) >= _STEP:
        return gradient_at(K)
    above = 0.5 + 0.5 * K / _STEP
    return (1 - above) * gradient_at(-_STEP) + above * gradient_at(_STEP)


def value_and_learned(curvature: float | Tensor) -> tuple[float, Tensor | None]:
    """Curvature as a number, and the tensor that wants its gradient, if there is one."""
    if not isinstance(curvature, Tensor):
        return float(curvature), None
    return float(curvature.detach()), curvature if curvature.requires_grad else None
