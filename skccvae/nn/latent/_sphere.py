"""Latent spheres: rotationally symmetric posteriors and the uniform prior."""

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
from skccvae.nn.latent._base import Latent, LatentStep, wind_round
from skccvae.nn.latent._posterior_scale import PosteriorScale
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
        Unit vectors. A row of zeros has no direction and becomes NaN; the estimators check their
        results for NaN.
    """
    # The square of a long vector overflows. A power of two changes no digit of the quotient.
    long = raw.abs().amax(dim=-1, keepdim=True) > 2.0**60
    raw = torch.where(long, 2.0**-64 * raw, raw)
    return raw / torch.linalg.vector_norm(raw, dim=-1, keepdim=True)


class UniformSphere(Latent):
    """Base class of the spheres of curvature K > 0 with the uniform prior.

    A subclass sets ``n_params`` and ``noise_dim``, and defines `posterior` and `location`.

    Parameters
    ----------
    dim : int
        Intrinsic dimension d; points have d + 1 coordinates.
    curvature : float, default=1.0
        K > 0. Posterior and prior are distributions on the unit sphere. K only sets the radius
        ``1 / sqrt(K)`` of the points and of the coordinates that the user gets.
    posterior_scale : {"free", "shared"} or float, default="free"
        As for `PosteriorScale`, in units of the points. A von Mises-Fisher distribution of scale s
        has the concentration ``1 / (K s^2)``, so that s is its standard deviation in each tangent
        direction if it is narrow. The other distributions are about as wide.

    Raises
    ------
    ValueError
        If the concentration of a given scale is outside the limits of a free one, d exp(-10) and
        d exp(10).
    """

    def __init__(
        self, dim: int, curvature: float = 1.0, *, posterior_scale: float | str = "free"
    ) -> None:
        super().__init__(Sphere(dim, curvature))
        self.posterior_scale = PosteriorScale(posterior_scale)
        self.radius = 1.0 / math.sqrt(curvature)
        self.n_features = dim + 1
        # Coordinates of a uniform point have variance 1 / (d + 1). Scaled to variance 1, they suit
        # the initial weights of the decoder as well as those of a Gaussian model do.
        self.feature_scale = math.sqrt(dim + 1.0)
        value = self.posterior_scale.value
        if isinstance(value, float):
            ends = [self.radius * math.exp(x / 2) / math.sqrt(dim) for x in (-10, 10)]
            if not ends[0] <= value <= ends[1]:
                raise ValueError(
                    f"posterior_scale={value:g} is out of range for a sphere of radius "
                    f"{self.radius:g} and {dim} dimensions; it must lie between {ends[0]:.3g} and "
                    f"{ends[1]:.3g}."
                )

    @property
    def batch_key(self) -> tuple | None:
        if self.posterior_scale.key is None:
            return None
        return (type(self), self.dim, self.radius, self.posterior_scale.key)

    def _log_width(self) -> Tensor:
        """Logarithm of the scale of all rows, in radians."""
        return self.posterior_scale.log - math.log(self.radius)

    @property
    def n_starts(self) -> int:
        return 2

    def _start_vectors(self, noise_ratio: Tensor, components: Tensor) -> tuple[Tensor, Tensor]:
        winds = wind_round(components) != (self.start_number == 1)
        return start_on_sphere(noise_ratio, winds)

    def prior(self) -> HypersphericalUniform:
        return HypersphericalUniform(
            self.dim + 1, device=self._like.device, dtype=self._like.dtype, validate_args=False
        )

    def to_ambient(self, z: Tensor) -> Tensor:
        return z if self.radius == 1.0 else z * self.radius

    def features(self, points: Tensor) -> Tensor:
        return points * self.feature_scale


def start_on_sphere(noise_ratio: Tensor, winds: bool) -> tuple[Tensor, Tensor]:
    """Affine map from d + 1 standardised components to vectors whose directions a model starts at.

    The vectors are the components themselves if the rows wind round, as those of a ring do.
    Otherwise they are the first d components and the constant 1, which is the central projection of
    a plane to a hemisphere. With the constant sqrt(d) the size of a code would keep more of its
    meaning, but the codes would fill only a cap, and a small cap is costly in many dimensions. On
    MNIST at d = 40, the ELBO of 4000 other images after 10 epochs is -106.2 with the von
    Mises-Fisher distribution (-107.2 with sqrt(d)) and -101.8 with the projected normal (-102.6).

    Parameters
    ----------
    noise_ratio : Tensor of shape (d + 1,)
        As for `Latent.start_at`.
    winds : bool
        Whether the rows wind round.

    Returns
    -------
    linear : Tensor of shape (d + 1, d + 1)
    constant : Tensor of shape (d + 1,)
    """
    size, constant = (1 - noise_ratio).sqrt(), torch.zeros_like(noise_ratio)
    if winds:
        return torch.diag(size), constant
    constant[-1] = 1.0
    size = torch.cat([size[:-1], size.new_zeros(1)])
    return torch.diag(size), constant


class SphericalLatent(UniformSphere):
    """Sphere of curvature K > 0 with the von Mises-Fisher posterior and the uniform prior.

    Parameters
    ----------
    dim : int
        Intrinsic dimension d; points have d + 1 coordinates.
    curvature : float, default=1.0
        K > 0. Posterior and prior are distributions on the unit sphere. K only sets the radius
        ``1 / sqrt(K)`` of the points and of the coordinates that the user gets.
    posterior_scale : {"free", "shared"} or float, default="free"
        As for `UniformSphere`. Unless it is ``"free"``, the network outputs v alone, and its norm
        has no meaning [1]_.

    Attributes
    ----------
    law : type
        `VonMisesFisher`. A subclass may set another distribution with the parameters
        (loc, concentration) and a registered KL to `HypersphericalUniform`.

    Notes
    -----
    The network outputs a vector v in R^(d+1) and a number a. With ``|.|`` the Euclidean norm, the
    location is ``v / |v|`` and the concentration is ``kappa = d |v| exp(a)``, with a soft bound on
    ``log(|v| exp(a))``. For a fixed angular width kappa is proportional to d, so equal outputs mean
    equal widths in every dimension. The factor ``|v|`` makes the natural parameter, kappa times the
    location, linear in v. So near the uniform posterior v has gradients like those of the mean of a
    Gaussian model. If the concentration did not depend on v, the gradients of both would vanish
    there, and training would get stuck at KL = 0.

    References
    ----------
    Davidson et al., "Hyperspherical variational auto-encoders", UAI 2018.

    .. [1] J. Xu and G. Durrett, "Spherical latent spaces for stable variational autoencoders",
       EMNLP 2018, who fix the concentration.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import SphericalLatent
    >>> latent = SphericalLatent(2)
    >>> latent.n_params, latent.noise_dim  # v and a; angle and direction
    (4, 4)
    >>> params = torch.tensor([[0.6, 0.8, 0.0, 0.0]])
    >>> latent.location(params), latent.posterior(params).concentration  # d |v| exp(a)
    (tensor([[0.6000, 0.8000, 0.0000]]), tensor([2.]))
    """

    law: type[RotationallySymmetric] = VonMisesFisher

    def __init__(
        self, dim: int, curvature: float = 1.0, *, posterior_scale: float | str = "free"
    ) -> None:
        super().__init__(dim, curvature, posterior_scale=posterior_scale)
        self.n_params = dim + 2 if self.posterior_scale.free else dim + 1
        self.noise_dim = dim + 2  # a score for the angle, and a direction

    @property
    def n_start(self) -> int:
        return self.dim + 1

    def start_at(self, noise_ratio: Tensor, components: Tensor) -> tuple[Tensor, Tensor]:
        # With |v| near 1 a tangent direction has the variance noise_ratio / (d + 1) on the unit
        # sphere, and a von Mises-Fisher distribution has the variance 1 / kappa there.
        m = self.dim + 1
        weight, bias = noise_ratio.new_zeros(m + 1, m), noise_ratio.new_zeros(m + 1)
        linear, constant = self._start_vectors(noise_ratio, components)
        if not self.posterior_scale.free:
            self.posterior_scale.start_at(
                math.log(self.radius) + 0.5 * (noise_ratio.mean() / m).log()
            )
            return linear / math.sqrt(m), constant / math.sqrt(m)
        weight[:m], bias[:m] = linear / math.sqrt(m), constant / math.sqrt(m)
        bias[m] = (m / noise_ratio.mean() / self.dim).log()
        return weight, bias

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Vector v and log(kappa / d) of each row."""
        if not self.posterior_scale.free:
            log_relative = -2 * self._log_width() - math.log(self.dim)
            if self.posterior_scale.value == "shared":
                log_relative = soft_bound(log_relative, LOG_SCALE_BOUND)
            return params, log_relative.expand(params.shape[:-1])
        direction = params[..., :-1]
        log_norm = torch.linalg.vector_norm(direction, dim=-1).log()
        return direction, soft_bound(params[..., -1] + log_norm, LOG_SCALE_BOUND)

    def posterior(self, params: Tensor) -> Distribution:
        direction, log_relative = self._split(params)
        concentration = self._concentration(log_relative)
        return self.law(unit_vectors(direction), concentration, validate_args=False)

    def _concentration(self, log_relative: Tensor) -> Tensor:
        """Concentration of the distribution from log(s), with s = kappa / d."""
        return self.dim * log_relative.exp()

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        size = self.radius * self.feature_scale
        if self.posterior_scale.free:
            fused = accelerator(self.law, params, noise, outputs=True)
            if fused is not None:
                return LatentStep(*fused(params, noise, LOG_SCALE_BOUND, size))
        direction, log_relative = self._split(params)
        fused = accelerator(self.law, direction, noise)
        if fused is None:
            return super().step(params, noise)
        return LatentStep(*fused(direction, log_relative, noise, size))

    def location(self, params: Tensor) -> Tensor:
        return unit_vectors(params[..., : self.dim + 1]) * self.radius


class PowerSphericalLatent(SphericalLatent):
    """Sphere of curvature K > 0 with the power spherical posterior and the uniform prior.

    Parameters
    ----------
    dim, curvature, posterior_scale
        As for `SphericalLatent`.

    References
    ----------
    De Cao and Aziz, "The power spherical distribution", 2020.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import PowerSphericalLatent
    >>> PowerSphericalLatent(2).posterior(torch.tensor([[0.6, 0.8, 0.0, 0.0]])).mean
    tensor([[0.3000, 0.4000, 0.0000]])
    """

    law = PowerSpherical


class SphericalCauchyLatent(SphericalLatent):
    r"""Sphere of curvature K > 0 with the spherical Cauchy posterior and the uniform prior.

    Parameters
    ----------
    dim : int
        Intrinsic dimension d; points have d + 1 coordinates.
    curvature : float, default=1.0
        K > 0. It sets the radius of the points, as in `SphericalLatent`.
    posterior_scale : {"free", "shared"} or float, default="free"
        As for `SphericalLatent`.

    Notes
    -----
    The network outputs the same numbers as for a von Mises-Fisher posterior, with ``s = |v|
    exp(a)``. In high dimension a spherical Cauchy distribution of concentration ``tanh(L / 2)`` has
    the angular width of a von Mises-Fisher distribution with ``kappa = d sinh(2 L) / 2``. Therefore
    ``s = sinh(2 L) / 2``: equal outputs mean about equal widths in both families. Near the uniform
    distribution the concentration is ``s / 2``, so a draw is linear in v there and its gradient
    does not vanish.

    References
    ----------
    Sablica and Hornik, "Hyperspherical variational autoencoders using efficient spherical Cauchy
    distribution", 2025.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import SphericalCauchyLatent
    >>> params = torch.tensor([[0.6, 0.8, 0.0, 0.0]])  # s = 1
    >>> SphericalCauchyLatent(2).posterior(params).concentration
    tensor([0.3460])
    """

    law = SphericalCauchy

    def __init__(
        self, dim: int, curvature: float = 1.0, *, posterior_scale: float | str = "free"
    ) -> None:
        super().__init__(dim, curvature, posterior_scale=posterior_scale)
        self.noise_dim = dim + 1

    def _concentration(self, log_relative: Tensor) -> Tensor:
        s = log_relative.exp()
        sinh = s * (2 / (1 + (1 + 4 * s.square()).sqrt())).sqrt()
        return sinh / (1 + (1 + sinh.square()).sqrt())
