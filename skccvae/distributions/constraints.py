"""Constraints that torch does not have."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import ExpTransform, Transform, biject_to, constraints, transform_to
from torch.distributions.transforms import identity_transform

from skccvae.manifolds.base import ConstantCurvature
from skccvae.manifolds.polar import PolarSpace

__all__ = [
    "OnManifold",
    "SideBySide",
    "finite_nonnegative",
    "finite_positive",
    "finite_vector",
    "unit_vector",
]

#: Relative tolerance of a point. It accepts points that were computed in float32 and converted to
#: float64.
ON_MANIFOLD = 1e-5


class _UnitVector(constraints.Constraint):
    """Vectors whose Euclidean norm is 1 to within the root of the rounding error, or 1e-6."""

    event_dim = 1

    def __repr__(self) -> str:
        return "unit vector along the last dimension (divide by the Euclidean norm)"

    def check(self, value: Tensor) -> Tensor:
        # accept points that were computed in float32 and converted to float64
        tolerance = max(torch.finfo(value.dtype).eps ** 0.5, 1e-6)
        return (torch.linalg.vector_norm(value, dim=-1) - 1).abs() < tolerance


class _Finite(constraints.Constraint):
    """Finite numbers above 0; torch's `positive` allows infinity. With `zero`, 0 is allowed too."""

    def __init__(self, zero: bool) -> None:
        self.zero = zero
        super().__init__()

    def __repr__(self) -> str:
        return f"finite and {'at least' if self.zero else 'greater than'} 0"

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0 if self.zero else value > 0) & (value < torch.inf)


@biject_to.register(_Finite)
@transform_to.register(_Finite)
def _exponential(constraint: _Finite) -> ExpTransform:
    return ExpTransform()


class _FiniteReal(constraints.Constraint):
    """Finite numbers; torch's `real` allows infinity."""

    def __repr__(self) -> str:
        return "finite"

    def check(self, value: Tensor) -> Tensor:
        return torch.isfinite(value)


@biject_to.register(_FiniteReal)
@transform_to.register(_FiniteReal)
def _identity(constraint: _FiniteReal) -> Transform:
    return identity_transform


class OnManifold(constraints.Constraint):
    """Points of a space of constant curvature, in ambient coordinates."""

    event_dim = 1

    def __init__(self, manifold: ConstantCurvature | PolarSpace) -> None:
        self.manifold = manifold
        super().__init__()

    def __repr__(self) -> str:
        return f"on {self.manifold!r}"

    def check(self, value: Tensor) -> Tensor:
        if value.shape[-1:] != (self.manifold.ambient_dim,):
            raise ValueError(
                f"Points of {self.manifold!r} have {self.manifold.ambient_dim} (ambient) "
                f"coordinates; got shape {tuple(value.shape)}."
            )
        return self.manifold.belongs(value, ON_MANIFOLD)


class SideBySide(constraints.Constraint):
    """Rows whose consecutive parts, of the given sizes, each satisfy their own constraint."""

    event_dim = 1

    def __init__(self, parts: Sequence[constraints.Constraint], sizes: Sequence[int]) -> None:
        self.parts, self.sizes = list(parts), list(sizes)
        super().__init__()

    def __repr__(self) -> str:
        return " beside ".join(map(repr, self.parts))

    def check(self, value: Tensor) -> Tensor:
        parts = value.split(self.sizes, -1)
        checks = [constraint.check(x) for constraint, x in zip(self.parts, parts, strict=True)]
        return torch.stack(checks, -1).all(-1)


unit_vector = _UnitVector()
finite_positive = _Finite(zero=False)
finite_nonnegative = _Finite(zero=True)
finite_vector = constraints.independent(_FiniteReal(), 1)
