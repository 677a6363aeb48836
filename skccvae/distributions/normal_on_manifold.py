"""Base class of the normal distributions on a space of constant curvature."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from skccvae.distributions.constraints import ON_MANIFOLD, OnManifold
from skccvae.distributions.rotationally_symmetric import check_width
from skccvae.manifolds.base import ConstantCurvature
from skccvae.manifolds.polar import PolarSpace

__all__ = ["LOCATION", "NormalOnManifold"]


#: Constraint of the location, which depends on the manifold; the constructor checks it.
LOCATION = constraints.dependent(is_discrete=False, event_dim=1)


class NormalOnManifold(Distribution, ABC):
    """Base class: a location on a space, a scale, and draws made from standard normal noise.

    The location is stored as a tangent vector at the origin, because any vector of R^d is a valid
    one. Draws and densities are computed from it. A subclass defines `noise_dim`,
    `rsample_from_noise`, `rsample_with_log_prob`, `log_prob` and `_scale_dims`: 0 if each scale is
    one number, 1 if it has an entry for each direction.
    """

    has_rsample = True
    _scale_dims: int

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor | float,
        manifold: ConstantCurvature,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(manifold, ConstantCurvature):
            raise TypeError(
                "manifold must be Euclidean, Sphere or Hyperbolic; got "
                f"{type(manifold).__name__}. For a product, make a distribution for each factor "
                "and combine them in a ProductDistribution."
            )
        if loc.shape[-1:] != (manifold.ambient_dim,):
            raise ValueError(
                f"loc must hold points of {manifold!r}, with {manifold.ambient_dim} (ambient) "
                f"coordinates; got shape {tuple(loc.shape)}."
            )
        check = Distribution._validate_args if validate_args is None else validate_args
        if check and not bool(manifold.belongs(loc, ON_MANIFOLD).all()):
            raise ValueError(
                f"loc must lie on {manifold!r}, but some of its points do not or are NaN. Use "
                "manifold.project(loc) or manifold.exp0(u)."
            )
        self._setup(manifold.log0(loc), loc, scale, manifold, validate_args)

    @classmethod
    def from_tangent(
        cls,
        tangent: Tensor,
        scale: Tensor | float,
        manifold: ConstantCurvature | PolarSpace,
        validate_args: bool | None = None,
    ) -> Self:
        """Make a distribution located at ``exp_0`` of a tangent vector.

        Parameters
        ----------
        tangent : Tensor of shape (..., d)
            Tangent vector at the origin, of any length.
        scale : Tensor or float
            As in the constructor.
        manifold : Euclidean, Sphere, Hyperbolic or PolarSpace
            The space. The curvature of a `PolarSpace` may be a tensor with a gradient. Draws and
            values are then in polar form, which has a limit at K = 0, unlike ambient coordinates.
        validate_args : bool, optional
            Whether to check that tangent and scale are finite, and to check values in ``log_prob``.

        Raises
        ------
        ValueError
            If shapes or values do not fit.
        """
        check = Distribution._validate_args if validate_args is None else validate_args
        if check and not bool(torch.isfinite(tangent).all()):
            raise ValueError("tangent must be finite; some of its numbers are NaN or infinite.")
        self = cls.__new__(cls)
        self._setup(tangent, None, scale, manifold, validate_args)
        return self

    def _setup(
        self,
        tangent: Tensor,
        loc: Tensor | None,
        scale: Tensor | float,
        manifold: ConstantCurvature | PolarSpace,
        validate_args: bool | None,
    ) -> None:
        d = manifold.dim
        scale = torch.as_tensor(scale, dtype=tangent.dtype, device=tangent.device)
        if self._scale_dims and scale.ndim == 0:
            scale = scale.unsqueeze(0)
        if self._scale_dims and scale.shape[-1] not in (1, d):
            raise ValueError(
                f"scale must have {d} (intrinsic) entries along its last dimension, or one entry "
                f"for all directions; got shape {tuple(scale.shape)}."
            )
        try:
            batch = torch.broadcast_shapes(
                tangent.shape[:-1], scale.shape[: scale.ndim - self._scale_dims]
            )
        except RuntimeError as error:
            raise ValueError(
                f"loc of batch shape {tuple(tangent.shape[:-1])} and scale of shape "
                f"{tuple(scale.shape)} do not broadcast; the scale must hold "
                f"{'an entry for each direction' if self._scale_dims else 'one number'} for each "
                "location."
            ) from error
        self.manifold = manifold
        self._tangent = tangent.expand(*batch, d)
        self._loc = None if loc is None else loc.expand(*batch, loc.shape[-1])
        self.scale = scale.expand(*batch, d) if self._scale_dims else scale.expand(batch)
        super().__init__(batch, torch.Size([manifold.ambient_dim]), validate_args=validate_args)

    def __repr__(self) -> str:
        shown = {"loc": self.loc, "scale": self.scale}
        parts = [f"{k}: {v if v.numel() == 1 else v.size()}" for k, v in shown.items()]
        return f"{type(self).__name__}({', '.join(parts)}, manifold: {self.manifold!r})"

    @property
    def _K(self) -> float | Tensor:
        return self.manifold.curvature

    @property
    def _dim(self) -> int:
        return self.manifold.dim

    @property
    def loc(self) -> Tensor:
        """Location, shape batch_shape + event_shape."""
        return self.manifold.exp0(self._tangent) if self._loc is None else self._loc

    @property
    def mode(self) -> Tensor:
        """Location."""
        return self.loc

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self) -> constraints.Constraint:
        """The manifold."""
        return OnManifold(self.manifold)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Self:
        """Return the distribution with a larger batch shape; it shares memory."""
        new = self._get_checked_instance(NormalOnManifold, _instance)
        batch = torch.Size(batch_shape)
        new.manifold = self.manifold
        new._tangent = self._tangent.expand(*batch, self._dim)
        new._loc = None if self._loc is None else self._loc.expand(batch + self.event_shape)
        new.scale = self.scale.expand(batch + self.scale.shape[len(self.batch_shape) :])
        Distribution.__init__(new, batch, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    @abstractmethod
    def noise_dim(self) -> int:
        """Number of standard normal numbers per draw."""

    @abstractmethod
    def rsample_with_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Make draws from given noise, and compute their log-density.

        The density is computed from the tangent vector that made the draw. It needs no logarithm
        map, so float32 keeps its digits where that map would lose them.

        Parameters
        ----------
        noise : Tensor of shape (..., noise_dim)
            Standard normal; broadcasts against the batch shape.

        Returns
        -------
        z : Tensor of shape (..., ambient_dim)
        log_prob : Tensor of shape (...)
            Both are differentiable in the location, the scale and a curvature that is a tensor.
        """

    @abstractmethod
    def rsample_from_noise(self, noise: Tensor) -> Tensor:
        """Make draws from given noise; see `rsample_with_log_prob`."""

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw with pathwise gradients, shape sample_shape + batch_shape + event_shape."""
        like = self._tangent
        shape = torch.Size(sample_shape) + self._batch_shape + (self.noise_dim,)
        return self.rsample_from_noise(torch.randn(shape, dtype=like.dtype, device=like.device))

    def _check_noise(self, noise: Tensor) -> None:
        if noise.shape[-1:] != (self.noise_dim,):
            raise ValueError(
                f"noise must have noise_dim = {self.noise_dim} columns; got shape "
                f"{tuple(noise.shape)}."
            )

    def _check_value(self, value: Tensor) -> None:
        check_width(value, self._event_shape)
        if self._validate_args:
            self._validate_sample(value)
