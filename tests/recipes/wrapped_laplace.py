"""A posterior of your own: a heavy-tailed law on hyperbolic space, and its latent space.

>>> import numpy as np
>>> from skccvae import HyperbolicVAETransformer
>>> X = np.random.default_rng(0).random((200, 5))
>>> vae = HyperbolicVAETransformer(
...     posterior=WrappedLaplaceLatent, curvature=-0.5, max_epochs=2, random_state=0
... ).fit(X)
>>> vae.transform(X).shape, type(vae.posterior_distribution(X)).__name__
((200, 2), 'WrappedLaplace')
"""

import math

import torch
from torch.distributions import Distribution, Laplace, constraints

from skccvae.nn import Latent


class WrappedLaplace(Distribution):
    """Laplace distribution of a tangent space, wrapped onto the space by the exponential map."""

    arg_constraints = {"scale": constraints.independent(constraints.positive, 1)}
    has_rsample = True

    def __init__(self, loc, scale, manifold):
        self.loc, self.scale, self.manifold = loc, scale, manifold
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def rsample_from_noise(self, noise):
        # Quantiles of the Laplace law at those of the normal noise, from the nearer tail.
        size = -torch.special.log_ndtr(-noise.abs()) - math.log(2)
        v = self.scale * size * noise.sign()
        return self.manifold.exp(self.loc, self.manifold.from_frame(self.loc, v))

    def rsample(self, sample_shape=()):
        shape = torch.Size(sample_shape) + self.batch_shape + (self.manifold.dim,)
        return self.rsample_from_noise(torch.randn(shape, dtype=self.loc.dtype))

    def log_prob(self, value):
        v = self.manifold.to_frame(self.loc, self.manifold.log(self.loc, value))
        tangent = Laplace(0.0, self.scale, validate_args=False).log_prob(v).sum(-1)
        return tangent - self.manifold.log_volume_ratio(torch.linalg.vector_norm(v, dim=-1))


class WrappedLaplaceLatent(Latent):
    """Wrapped Laplace posterior and prior; the encoder gives a location and d log-scales."""

    def __init__(self, manifold, prior_scale=1.0):
        super().__init__(manifold)
        self.prior_scale = prior_scale
        self.n_params, self.noise_dim = 2 * manifold.dim, manifold.dim

    def posterior(self, params):
        # A smooth limit keeps scales, and so draws, inside of the range of float32.
        scale = torch.exp(2 * torch.tanh(params[..., self.dim :] / 2))
        return WrappedLaplace(self.location(params), scale, self.manifold)

    def prior(self):
        origin = self.manifold.origin(dtype=self._like.dtype, device=self._like.device)
        return WrappedLaplace(origin, torch.full_like(origin[1:], self.prior_scale), self.manifold)

    def location(self, params):
        return self.manifold.exp0(5 * torch.tanh(params[..., : self.dim] / 5))
