"""Value of a learned curvature K, and its gradient near 0, where the closed form cancels."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from skccvae.special.trigonometry import SMALL_CURVATURE

__all__ = ["VERY_SMALL", "gradient_near_flat", "in_double", "value_and_learned"]

#: For |K| below this step, the gradient is interpolated between its values at minus and plus this
#: step. The error is of the order of the step squared.
VERY_SMALL = 1e-5


def in_double(K: float, learned: Tensor | None) -> bool:
    """Whether the step needs float64, because the gradient in K would cancel in float32."""
    return learned is not None and abs(K) < SMALL_CURVATURE


def gradient_near_flat(K: float, gradient_at: Callable[[float], Tensor]) -> Tensor:
    """Gradient in K for ``|K| < VERY_SMALL``.

    Parameters
    ----------
    K : float
        Curvature of any sign, or 0.
    gradient_at : callable
        Closed form of the gradient in float64, for a curvature other than 0.

    Returns
    -------
    Tensor
        The line through the closed form's values at -1e-5 and 1e-5.
    """
    above = 0.5 + 0.5 * K / VERY_SMALL
    return (1 - above) * gradient_at(-VERY_SMALL) + above * gradient_at(VERY_SMALL)


def value_and_learned(curvature: float | Tensor) -> tuple[float, Tensor | None]:
    """Curvature as a number, and as a tensor if it requires a gradient (otherwise None)."""
    if not isinstance(curvature, Tensor):
        return float(curvature), None
    return float(curvature.detach()), curvature if curvature.requires_grad else None
