"""Flat latent spaces: the Gaussian model's, and the code of a plain autoencoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from skccvae.manifolds import Euclidean
from skccvae.nn.latent._base import Latent, LatentStep
from skccvae.nn.limits import LOG_SCALE_BOUND
from skccvae.special.smooth_limit import soft_bound


class DiagonalNormal(Independent):
    """Normal distribution on R^d with a diagonal covariance, which can draw from given noise.

    Parameters
    ----------
    loc, scale : Tensor of shape (..., d)
        Mean and standard deviation of each coordinate.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn.latent._flat import DiagonalNormal
    >>> q = DiagonalNormal(torch.zeros(3, 2), torch.ones(3, 2))
    >>> q.rsample_from_noise(torch.ones(3, 2)).shape
    torch.Size([3, 2])
    """

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        super().__init__(Normal(loc, scale, validate_args=False), 1, validate_args=False)

    @property
    def noise_dim(self) -> int:
        """Number of standard normal numbers per draw: d."""
        return int(self.event_shape[0])

    @property
    def scale(self) -> Tensor:
        """Standard deviation of each coordinate."""
        return self.base_dist.scale

    def expand(self, batch_shape: Any, _instance: Any = None) -> DiagonalNormal:
        """Return the distribution with a larger batch shape."""
        shape = torch.Size(batch_shape) + self.event_shape
        return DiagonalNormal(self.base_dist.loc.expand(shape), self.base_dist.scale.expand(shape))

    def rsample_from_noise(self, noise: Tensor) -> Tensor:
        """Make draws ``loc + scale * noise``."""
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

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import EuclideanLatent
    >>> latent = EuclideanLatent(2)
    >>> step = latent.step(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.zeros(1, 2))
    >>> step.features, step.kl  # the mean, and |mean|^2 / 2
    (tensor([[1., 0.]]), tensor([0.5000]))
    """

    def __init__(self, dim: int) -> None:
        super().__init__(Euclidean(dim))
        self.n_params = 2 * dim
        self.n_features = dim
        self.noise_dim = dim

    @property
    def batch_key(self) -> tuple | None:
        return (type(self), self.dim)

    @property
    def n_start(self) -> int:
        return self.dim

    def start_at(self, noise_ratio: Tensor) -> tuple[Tensor, Tensor]:
        loc = torch.diag((1 - noise_ratio).sqrt())
        bias = torch.cat([torch.zeros_like(noise_ratio), 0.5 * noise_ratio.log()])
        return torch.cat([loc, torch.zeros_like(loc)]), bias

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
        # The normalising constants of prior and posterior are equal and cancel.
        loc, log_scale = self._split(params)
        z = torch.addcmul(loc, log_scale.exp(), noise)
        return z, (0.5 * (noise.square() - z.square()) + log_scale).sum(-1)

    def location(self, params: Tensor) -> Tensor:
        return self._split(params)[0]


class DeterministicLatent(Latent):
    """R^d without noise or prior: the latent space of a plain autoencoder.

    Parameters
    ----------
    dim : int
        Dimension d.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import DeterministicLatent
    >>> DeterministicLatent(2).step(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 0)).features
    tensor([[3., 4.]])
    """

    def __init__(self, dim: int) -> None:
        super().__init__(Euclidean(dim))
        self.n_params = dim
        self.n_features = dim
        self.noise_dim = 0

    @property
    def kl_dims(self) -> list[int]:
        return [0]

    @property
    def n_start(self) -> int:
        return self.dim

    def start_at(self, noise_ratio: Tensor) -> tuple[Tensor, Tensor]:
        return torch.eye(self.dim), torch.zeros(self.dim)

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        return LatentStep(params, params.new_zeros(params.shape[:-1]))

    def weighted(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        points = params.expand(*noise.shape[:-1], self.dim)
        return points, params.new_zeros(points.shape[:-1])

    def location(self, params: Tensor) -> Tensor:
        return params
