"""Latent spaces with a wrapped normal posterior: hyperbolic spaces, and spheres.

The network gives the location as a tangent vector at the origin, which every number is fair for,
and training draws in polar form from it, so that no chart of the space can overflow or saturate.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...distributions import WrappedNormal, wrapped_normal_step
from ...distributions._preimages import n_preimages_for
from ...manifolds import Hyperbolic, Manifold, Sphere
from ...manifolds.functional import log_origin
from ._base import Latent, LatentStep

# Distance from the origin, in curvature radii, up to which float32 holds the squares of hyperboloid
# coordinates.  Location and draw share it.
REACH = 42.0
LOG_SCALE_LOW = -10.0


def location_and_scale_bounds(manifold: Manifold, prior_scale: float) -> tuple[float, float]:
    """Largest location radius and scale at which draws stay where float32 can hold them.

    Parameters
    ----------
    manifold : Hyperbolic or Sphere
        The space.
    prior_scale : float
        Scale of the prior, which a posterior must be able to reach.

    Returns
    -------
    radius, scale : float
        Bounds for the parameterisation.

    Raises
    ------
    ValueError
        If draws from the prior itself would leave the range of float32.
    """
    unit = manifold.radius_
    if manifold.curvature > 0:
        # Any location is within pi R; a normal wider than 2 R covers the sphere evenly.
        return 2 * math.pi * unit, max(2 * unit, prior_scale)
    spread = math.sqrt(manifold.dim) + 5
    scale = max(0.55 * REACH * unit / spread, 1.2 * prior_scale)
    radius = REACH * unit - scale * spread
    if radius < prior_scale:
        raise ValueError(
            f"With n_components={manifold.dim} and curvature={manifold.curvature:g}, draws from "
            f"the prior of scale {prior_scale:g} lie too far out for float32. Use a curvature "
            "nearer to 0 or fewer components."
        )
    return radius, scale


class WrappedLatent(Latent):
    """Wrapped normal posterior and prior on a curved space, diagonal at the origin.

    Parameters
    ----------
    manifold : Hyperbolic or Sphere
        The space.
    prior_scale : float, default=1.0
        Scale of the prior, a wrapped normal at the origin.

    References
    ----------
    Nagano et al., "A wrapped normal distribution on hyperbolic space for gradient-based
    learning", ICML 2019; Mathieu et al., "Continuous hierarchical representations with Poincare
    variational auto-encoders", NeurIPS 2019.
    """

    def __init__(self, manifold: Manifold, prior_scale: float = 1.0) -> None:
        super().__init__(manifold)
        self.prior_scale = prior_scale
        self.K = float(manifold.curvature)
        self.n_params = 2 * manifold.dim
        self.noise_dim = manifold.dim
        radius, largest = location_and_scale_bounds(manifold, prior_scale)
        # Smooth bounds on each coordinate of the location and each log-scale, by one tanh.
        low, high = LOG_SCALE_LOW, math.log(largest)
        half = torch.full((2 * manifold.dim,), (high - low) / 2)
        half[: manifold.dim] = radius / math.sqrt(manifold.dim)
        middle = torch.full((2 * manifold.dim,), (high + low) / 2)
        middle[: manifold.dim] = 0.0
        self.register_buffer("_half", half, persistent=False)
        self.register_buffer("_inverse_half", 1 / half, persistent=False)
        self.register_buffer("_middle", middle, persistent=False)
        # A raw number of 0 means a scale near 1, or half the largest where that is smaller.
        start = math.atanh((min(0.0, high - math.log(2)) - (high + low) / 2) / ((high - low) / 2))
        shift = torch.full((2 * manifold.dim,), start)
        shift[: manifold.dim] = 0.0
        self.register_buffer("_shift", shift, persistent=False)
        self.n_preimages = None if self.K < 0 else n_preimages_for(largest, manifold.dim, self.K)

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Tangent location and log-scale of each row."""
        bounded = torch.addcmul(self._shift, params, self._inverse_half).tanh()
        bounded = torch.addcmul(self._middle, bounded, self._half)
        tangent, log_scale = bounded.chunk(2, dim=-1)
        return tangent, log_scale

    def posterior(self, params: Tensor) -> WrappedNormal:
        tangent, log_scale = self._split(params)
        loc = self.manifold.exp0(tangent)
        return WrappedNormal(loc, log_scale.exp(), self.manifold, validate_args=False)

    def prior(self) -> WrappedNormal:
        like = self._like
        loc = self.manifold.origin(dtype=like.dtype, device=like.device)
        scale = like.new_full((self.dim,), self.prior_scale)
        return WrappedNormal(loc, scale, self.manifold, validate_args=False)

    def _draw(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Decoder features of a draw, and log q - log p there."""
        tangent, log_scale = self._split(params)
        zc, zs, log_ratio = wrapped_normal_step(
            tangent,
            None,
            noise,
            self.K,
            self.prior_scale,
            self.n_preimages,
            log_scale=log_scale,
        )
        return self._polar_features(zc, zs), log_ratio

    def _polar_features(self, zc: Tensor, zs: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} does not say what the decoder reads.")

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        return LatentStep(*self._draw(params, noise))

    def weighted(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        features, log_ratio = self._draw(params, noise)
        return features, -log_ratio

    def location(self, params: Tensor) -> Tensor:
        return self.manifold.exp0(self._split(params)[0])

    def features(self, points: Tensor) -> Tensor:
        return self._polar_features(*self.manifold.to_polar(points))


class HyperbolicLatent(WrappedLatent):
    """Hyperbolic space of curvature K < 0; the decoder reads the log map at the origin.

    Parameters
    ----------
    dim : int
        Intrinsic dimension d.
    curvature : float, default=-1.0
        K < 0.
    prior_scale : float, default=1.0
        Scale of the prior.
    """

    def __init__(self, dim: int, curvature: float = -1.0, prior_scale: float = 1.0) -> None:
        super().__init__(Hyperbolic(dim, curvature), prior_scale)
        self.n_features = dim

    def _draw(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        # The log map of the draw comes out of the same kernel.
        tangent, log_scale = self._split(params)
        _, zs, log_ratio = wrapped_normal_step(
            tangent, None, noise, self.K, self.prior_scale, log_scale=log_scale, tangent=True
        )
        return zs, log_ratio

    def _polar_features(self, zc: Tensor, zs: Tensor) -> Tensor:
        return log_origin(zc, zs, self.K)


class WrappedSphereLatent(WrappedLatent):
    """Sphere of curvature K > 0 with wrapped normals; the decoder reads ambient coordinates.

    Parameters
    ----------
    dim : int
        Intrinsic dimension d.
    curvature : float, default=1.0
        K > 0.
    prior_scale : float, default=1.0
        Scale of the prior.
    """

    def __init__(self, dim: int, curvature: float = 1.0, prior_scale: float = 1.0) -> None:
        super().__init__(Sphere(dim, curvature), prior_scale)
        self.n_features = dim + 1

    def _polar_features(self, zc: Tensor, zs: Tensor) -> Tensor:
        # In units of the radius for the cosine, so that neither coordinate dwarfs the others.
        return torch.cat([(zc * self.manifold.radius_).unsqueeze(-1), zs], dim=-1)
