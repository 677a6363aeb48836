"""What every latent space offers a model, and the flat ones.

A latent space turns the numbers of the encoder's head into a posterior, draws from it, knows the
prior, and says what the decoder reads at a point. Noise comes in from outside, as standard
normal numbers, so that the caller decides whether draws are fresh or repeatable.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from skccvae.manifolds import ConstantCurvature, Euclidean, Manifold
from skccvae.nn.limits import LOG_SCALE_BOUND
from skccvae.special.smooth_limit import soft_bound


class LatentStep(NamedTuple):
    """One draw from the posterior.

    Attributes
    ----------
    features : Tensor of shape (..., n_features)
        What the decoder reads.
    kl : Tensor
        KL(q || p) of each row in nats: exact where a closed form exists, else the one-draw
        estimate log q(z) - log p(z), whose mean is the KL.
    factor_kl : Tensor of shape (..., n_factors) or None
        The parts of ``kl`` of the factors of a product.
    """

    features: Tensor
    kl: Tensor
    factor_kl: Tensor | None = None


class Latent(nn.Module):
    """Base of the latent spaces.

    A new posterior is a law and a subclass of this class. The subclass sets ``n_params`` and
    ``noise_dim``, and gives `posterior`, `prior` and `location`. The law is any torch distribution
    over points of the manifold with a ``log_prob`` and a method ``rsample_from_noise(noise)`` that
    turns standard normal noise into draws with a gradient. Training, scoring and sampling follow.

    Parameters
    ----------
    manifold : Manifold
        Where points live; ``manifold.dim`` is the intrinsic dimension.

    Attributes
    ----------
    n_params : int
        Numbers that the encoder's head gives for each row.
    n_features : int
        Numbers that the decoder reads for each point; the ambient dimension by default.
    noise_dim : int
        Standard normal numbers that one draw needs.
    factor_names : list of str
        Names of the factors of a product; empty for a single space.

    Examples
    --------
    A von Mises-Fisher posterior of one fixed concentration for all rows, and the uniform prior:

    >>> import torch
    >>> from skccvae.distributions import HypersphericalUniform, VonMisesFisher
    >>> from skccvae.manifolds import Sphere
    >>> from skccvae.nn import Latent
    >>> class FixedWidth(Latent):
    ...     def __init__(self, dim):
    ...         super().__init__(Sphere(dim))
    ...         self.n_params, self.noise_dim = dim + 1, dim + 2
    ...     def posterior(self, params):
    ...         return VonMisesFisher(self.location(params), 20.0)
    ...     def prior(self):
    ...         return HypersphericalUniform(self.dim + 1)
    ...     def location(self, params):
    ...         return torch.nn.functional.normalize(params, dim=-1)
    >>> latent = FixedWidth(2)
    >>> step = latent.step(torch.eye(3), torch.randn(3, latent.noise_dim))
    >>> step.features.shape, step.kl
    (torch.Size([3, 3]), tensor([2.6889, 2.6889, 2.6889]))
    """

    n_params: int
    n_features: int
    noise_dim: int
    _like: Tensor
    factor_names: list[str] = []

    def __init__(self, manifold: Manifold) -> None:
        super().__init__()
        self.manifold = manifold
        self.n_features = manifold.ambient_dim
        # Set where the decoder reads distances to learned hyperplanes.
        self.gyroplanes: nn.Module | None = None
        # Tells the device and dtype of a latent space that has no parameters.
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    @property
    def dim(self) -> int:
        """Intrinsic dimension."""
        return self.manifold.dim

    @property
    def kl_dims(self) -> list[int]:
        """Dimensions that each part of the KL counts: those of the factors of a product."""
        return [self.dim]

    def posterior(self, params: Tensor) -> Distribution:
        """Posterior q(z | x) of each row as a distribution over ambient points."""
        raise TypeError(f"{type(self).__name__} has no posterior.")

    def prior(self) -> Distribution:
        """Prior p(z) as a distribution over the same points as `posterior`."""
        raise TypeError(f"{type(self).__name__} has no prior.")

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        """Draw with the noise given, shape (..., rows, noise_dim), and give the KL.

        The KL is the one that is registered with torch for the two laws, else minus the log-ratio
        of the draw, whose mean is the KL.
        """
        posterior: Any = self.posterior(params)  # with the noise protocol, which torch lacks
        try:
            kl = kl_divergence(posterior, self.prior())
        except NotImplementedError:
            features, log_ratio = self.weighted(params, noise)
            return LatentStep(features, -log_ratio)
        return LatentStep(self.features(self.to_ambient(posterior.rsample_from_noise(noise))), kl)

    def weighted(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Features of draws and their log p(z) - log q(z), for importance weights."""
        posterior: Any = self.posterior(params)
        if hasattr(posterior, "rsample_with_log_prob"):
            z, log_q = posterior.rsample_with_log_prob(noise)
        else:
            z = posterior.rsample_from_noise(noise)
            log_q = posterior.log_prob(z)
        return self.features(self.to_ambient(z)), self.prior().log_prob(z) - log_q

    def location(self, params: Tensor) -> Tensor:
        """Location of each row's posterior as ambient points of ``manifold``."""
        raise TypeError(f"{type(self).__name__} has no location.")

    def to_ambient(self, z: Tensor) -> Tensor:
        """Samples of `posterior` as ambient points of ``manifold`` (a change of units at most)."""
        return z

    def features(self, points: Tensor) -> Tensor:
        """What the decoder reads at ambient points of ``manifold``."""
        return points

    def fitted_manifold(self) -> Manifold:
        """The manifold with the current curvature."""
        return self.manifold

    def curvature(self) -> float | list[float]:
        """Current curvature; for a product one number a factor."""
        assert isinstance(self.manifold, ConstantCurvature)
        return float(self.manifold.curvature)

    @property
    def kind(self) -> tuple | None:
        """Equal for two spaces that do the same to the same numbers; None with parameters."""
        return None

    def train_curvature(self, active: bool) -> None:
        """Whether a curvature that is learned moves; nothing where none is."""

    def history(self) -> dict[str, float]:
        """Numbers worth keeping after each epoch, such as a learned curvature."""
        return {}


class DiagonalNormal(Independent):
    """Normal with a diagonal covariance on R^d that can be drawn from given noise.

    Parameters
    ----------
    loc, scale : Tensor of shape (..., d)
        Mean and standard deviation of each coordinate.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn.latent._base import DiagonalNormal
    >>> q = DiagonalNormal(torch.zeros(3, 2), torch.ones(3, 2))
    >>> q.rsample_from_noise(torch.ones(3, 2)).shape
    torch.Size([3, 2])
    """

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        super().__init__(Normal(loc, scale, validate_args=False), 1, validate_args=False)

    @property
    def noise_dim(self) -> int:
        """Standard normal numbers that one draw needs: d."""
        return int(self.event_shape[0])

    @property
    def scale(self) -> Tensor:
        """Standard deviation of each coordinate."""
        return self.base_dist.scale

    def expand(self, batch_shape: Any, _instance: Any = None) -> DiagonalNormal:
        """Same distribution with a larger batch shape."""
        shape = torch.Size(batch_shape) + self.event_shape
        return DiagonalNormal(self.base_dist.loc.expand(shape), self.base_dist.scale.expand(shape))

    def rsample_from_noise(self, noise: Tensor) -> Tensor:
        """Draw ``loc + scale * noise``."""
        return self.base_dist.loc + self.base_dist.scale * noise


class EuclideanLatent(Latent):
    """R^d with a diagonal normal posterior and the standard normal prior.

    Parameters
    ----------
    dim : int
        Dimension d.

    References
    ----------
    Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014, appendix B for the KL.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(Euclidean(dim))
        self.n_params = 2 * dim
        self.n_features = dim
        self.noise_dim = dim

    @property
    def kind(self) -> tuple | None:
        return (type(self), self.dim)

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        loc, raw = params.chunk(2, dim=-1)
        return loc, soft_bound(raw, LOG_SCALE_BOUND)

    def posterior(self, params: Tensor) -> DiagonalNormal:
        loc, log_scale = self._split(params)
        return DiagonalNormal(loc, log_scale.exp())

    def prior(self) -> DiagonalNormal:
        zeros = self._like.new_zeros(self.dim)
        return DiagonalNormal(zeros, torch.ones_like(zeros))

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        loc, log_scale = self._split(params)
        scale = log_scale.exp()
        kl = (0.5 * (loc.square() + scale.square() - 1) - log_scale).sum(-1)
        return LatentStep(torch.addcmul(loc, scale, noise), kl)

    def weighted(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        # The normalising constants of prior and posterior are the same and drop out.
        loc, log_scale = self._split(params)
        z = torch.addcmul(loc, log_scale.exp(), noise)
        return z, (0.5 * (noise.square() - z.square()) + log_scale).sum(-1)

    def location(self, params: Tensor) -> Tensor:
        return self._split(params)[0]


class DeterministicLatent(Latent):
    """R^d without noise or prior: the code of a plain autoencoder.

    Parameters
    ----------
    dim : int
        Dimension d.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(Euclidean(dim))
        self.n_params = dim
        self.n_features = dim
        self.noise_dim = 0

    @property
    def kl_dims(self) -> list[int]:
        return [0]

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        return LatentStep(params, params.new_zeros(params.shape[:-1]))

    def weighted(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        points = params.expand(*noise.shape[:-1], self.dim)
        return points, params.new_zeros(points.shape[:-1])

    def location(self, params: Tensor) -> Tensor:
        return params
