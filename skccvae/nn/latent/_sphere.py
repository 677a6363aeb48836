"""Latent spheres: von Mises-Fisher and its relatives against the uniform or a normal prior."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from skccvae.distributions import (
    HypersphericalUniform,
    PowerSpherical,
    SphericalCauchy,
    VonMisesFisher,
)
from skccvae.distributions.rotationally_symmetric import RotationallySymmetric
from skccvae.kernels import accelerator
from skccvae.manifolds import Sphere
from skccvae.nn.latent._base import Latent, LatentStep
from skccvae.nn.limits import LOG_SCALE_BOUND
from skccvae.special.smooth_limit import soft_bound


def unit_vectors(raw: Tensor) -> Tensor:
    """Divide rows by their norm.

    Parameters
    ----------
    raw : Tensor of shape (..., m)
        Any vectors.

    Returns
    -------
    Tensor of shape (..., m)
        Unit vectors; a zero row, which has no direction, becomes NaN and is caught by the
        estimators' check of what they return.
    """
    return raw / torch.linalg.vector_norm(raw, dim=-1, keepdim=True)


class SphericalLatent(Latent):
    """Sphere of curvature K > 0 with the von Mises-Fisher posterior and the uniform prior.

    Parameters
    ----------
    dim : int
        Intrinsic dimension d; points have d + 1 coordinates.
    curvature : float, default=1.0
        K > 0. Posterior and prior are distributions on the unit sphere; K only sets the radius
        ``1 / sqrt(K)`` of the coordinates that the decoder and the user read.

    Attributes
    ----------
    law : type
        `VonMisesFisher`; subclasses name another distribution with the parameters
        (loc, concentration) and a registered KL to `HypersphericalUniform`.

    Notes
    -----
    The network gives a vector v in R^(d+1) and a number a; the location is v / |v| and the
    concentration ``kappa = d |v| exp(a)``, its logarithm softly bounded. At a fixed angular width
    kappa grows in proportion to d, so the same outputs mean the same widths in every dimension.
    With |v| in it, kappa times the location (the natural parameter) is linear in v: near the
    uniform posterior the gradients of v are those of a Gaussian model's mean. With a concentration
    that the location does not know, both gradients vanish there, and training sticks at KL = 0.

    References
    ----------
    Davidson et al., "Hyperspherical variational auto-encoders", UAI 2018.
    """

    law: type[RotationallySymmetric] = VonMisesFisher

    def __init__(self, dim: int, curvature: float = 1.0) -> None:
        super().__init__(Sphere(dim, curvature))
        self.radius = 1.0 / math.sqrt(curvature)
        self.n_params = dim + 2
        self.n_features = dim + 1
        self.noise_dim = dim + 2  # a score for the angle, and a direction
        # Coordinates of a uniform point have variance 1 / (d + 1): read by the decoder in units
        # in which it is 1, its first layer starts as alive as a Gaussian model's.
        self.feature_scale = math.sqrt(dim + 1.0)

    @property
    def kind(self) -> tuple | None:
        return (type(self), self.dim, self.radius)

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Direction of any length and log(kappa / d) of each row."""
        direction = params[..., :-1]
        log_norm = torch.linalg.vector_norm(direction, dim=-1).log()
        return direction, soft_bound(params[..., -1] + log_norm, LOG_SCALE_BOUND)

    def posterior(self, params: Tensor) -> Distribution:
        direction, log_relative = self._split(params)
        concentration = self._concentration(log_relative)
        return self.law(unit_vectors(direction), concentration, validate_args=False)

    def _concentration(self, log_relative: Tensor) -> Tensor:
        """Concentration of the law from the logarithm of s, kappa = d s."""
        return self.dim * log_relative.exp()

    def prior(self) -> HypersphericalUniform:
        return HypersphericalUniform(
            self.dim + 1, device=self._like.device, dtype=self._like.dtype, validate_args=False
        )

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        direction, log_relative = self._split(params)
        fused = accelerator(self.law, direction, noise)
        if fused is None:
            return super().step(params, noise)
        return LatentStep(*fused(direction, log_relative, noise, self.radius * self.feature_scale))

    def location(self, params: Tensor) -> Tensor:
        return unit_vectors(params[..., :-1]) * self.radius

    def to_ambient(self, z: Tensor) -> Tensor:
        return z if self.radius == 1.0 else z * self.radius

    def features(self, points: Tensor) -> Tensor:
        return points * self.feature_scale


class PowerSphericalLatent(SphericalLatent):
    """Sphere of curvature K > 0 with the power spherical posterior and the uniform prior.

    Parameters are those of `SphericalLatent`.

    References
    ----------
    De Cao and Aziz, "The power spherical distribution", 2020.
    """

    law = PowerSpherical


class SphericalCauchyLatent(SphericalLatent):
    r"""Sphere of curvature K > 0 with the spherical Cauchy posterior and the uniform prior.

    Parameters
    ----------
    dim : int
        Intrinsic dimension d; points have d + 1 coordinates.
    curvature : float, default=1.0
        K > 0, which sets the radius of the coordinates, as in `SphericalLatent`.

    Notes
    -----
    The network gives the same numbers as for a von Mises-Fisher posterior, ``s = |v| exp(a)``. In
    high dimension a spherical Cauchy law of concentration ``tanh(L / 2)`` has the angular width of
    a von Mises-Fisher law with ``kappa = d sinh(2 L) / 2``, so ``s = sinh(2 L) / 2``: the same
    outputs mean about the same widths in both families. Near the uniform law the concentration is
    ``s / 2``, so the draw is linear in v there and its gradients are alive.

    References
    ----------
    Sablica and Hornik, "Hyperspherical variational autoencoders using efficient spherical Cauchy
    distribution", 2025.
    """

    law = SphericalCauchy

    def __init__(self, dim: int, curvature: float = 1.0) -> None:
        super().__init__(dim, curvature)
        self.noise_dim = dim + 1

    def _concentration(self, log_relative: Tensor) -> Tensor:
        s = log_relative.exp()
        sinh = s * (2 / (1 + (1 + 4 * s.square()).sqrt())).sqrt()
        return sinh / (1 + (1 + sinh.square()).sqrt())
