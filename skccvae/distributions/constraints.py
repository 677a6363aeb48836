"""Constraints that torch does not have."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import constraints

__all__ = ["unit_vector"]


class _UnitVector(constraints.Constraint):
    """Vectors of Euclidean norm 1, within the square root of the rounding error."""

    event_dim = 1

    def __repr__(self) -> str:
        return "unit vector along the last dimension (divide by the Euclidean norm)"

    def check(self, value: Tensor) -> Tensor:
        # accept points that were computed in float32 and converted to float64
        tolerance = max(torch.finfo(value.dtype).eps ** 0.5, 1e-6)
        return (torch.linalg.vector_norm(value, dim=-1) - 1).abs() < tolerance


unit_vector = _UnitVector()
