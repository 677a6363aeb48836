"""Base class of the latent spaces of a model, and the flat latent spaces.

A latent space maps the outputs of the encoder to a posterior and draws from it. It also has the
prior, and computes the inputs of the decoder. The caller passes in the noise, as standard normal
numbers, and so decides whether draws are fresh or repeatable.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

from skccvae.manifolds import ConstantCurvature, Manifold


class LatentStep(NamedTuple):
    """One draw from the posterior of each row, and its KL.

    Attributes
    ----------
    features : Tensor of shape (..., n_features)
        Inputs of the decoder.
    kl : Tensor
        KL(q || p) of each row in nats. It is exact if a closed form exists. Otherwise it is the
        estimate log q(z) - log p(z) from one draw, whose mean is the KL.
    factor_kl : Tensor of shape (..., n_factors) or None
        For a product, the part of ``kl`` from each factor.
    tangent : Tensor of shape (n, d) or None
        Locations as tangent vectors at the origin, in units of the prior's axes if it has any. None
        if the step does not know them.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import EuclideanLatent
    >>> step = EuclideanLatent(2).step(torch.zeros(3, 4), torch.randn(3, 2))
    >>> step.features.shape, step.kl
    (torch.Size([3, 2]), tensor([0., 0., 0.]))
    """

    features: Tensor
    kl: Tensor
    factor_kl: Tensor | None = None
    tangent: Tensor | None = None


def wind_round(components: Tensor) -> bool:
    """Whether rows lie near an ellipsoid and leave its inside empty, like a ring or a sphere.

    The mean fourth power of the length of m standardised components, divided by m^2, is 1 on an
    ellipsoid and 1 + 2/m for a normal distribution (Mardia 1970, Biometrika 57). It is
    1.03 for rings with noise (m = 2), 1.27 for digits (m = 3), and 1.2 for the first two
    coordinates of a sphere.

    Parameters
    ----------
    components : Tensor of shape (n, m)
        Components of rows, as for `Latent.start_at`: d + 1 components if a model may wind round a
        sphere, and d to find rows that would be folded in a tangent plane.
    """
    variance = components.square().mean(0)
    if not bool((variance > 0).all()):
        return False
    m = len(variance)
    kurtosis = (components.square() / variance).sum(-1).square().mean() / m**2
    return bool(kurtosis < 1 + 1 / (2 * m))


class Latent(nn.Module):
    """Base class of the latent spaces.

    To use your own posterior, write a subclass of this class, and pass it to an estimator as
    ``posterior=``. The estimator calls it as ``posterior(manifold, prior_scale)``.

    * In the constructor, call ``super().__init__(manifold)`` and set ``n_params`` and
      ``noise_dim``.
    * Define `posterior`, `prior` and `location`. Training, scoring and sampling use these.
    * The posterior may be any torch distribution over points of the manifold that has ``log_prob``
      and a method ``rsample_from_noise(noise)``, which maps standard normal noise to draws with a
      gradient. The prior needs ``log_prob`` and ``sample``.
    * If the decoder should read something other than ambient coordinates, define `features` and
      set ``n_features``. If the distributions use other units than the manifold, define
      `to_ambient`.

    Parameters
    ----------
    manifold : Manifold
        Space of the latent points; ``manifold.dim`` is its intrinsic dimension.

    Attributes
    ----------
    n_params : int
        Number of outputs of the encoder per row, from which the posterior is made.
    n_features : int
        Number of inputs of the decoder per point; by default the ambient dimension.
    noise_dim : int
        Number of standard normal numbers per draw.
    factor_names : list of str
        Names of the factors of a product; empty for a single space.

    Examples
    --------
    A von Mises-Fisher posterior with a fixed concentration, and the uniform prior:

    >>> import numpy as np
    >>> import torch
    >>> from skccvae import SphericalVAETransformer
    >>> from skccvae.distributions import HypersphericalUniform, VonMisesFisher
    >>> from skccvae.nn import Latent
    >>> class FixedWidth(Latent):
    ...     def __init__(self, manifold, prior_scale=1.0):
    ...         super().__init__(manifold)
    ...         self.n_params, self.noise_dim = self.dim + 1, self.dim + 2
    ...
    ...     def posterior(self, params):
    ...         return VonMisesFisher(self.direction(params), 20.0)
    ...
    ...     def prior(self):
    ...         return HypersphericalUniform(self.dim + 1)
    ...
    ...     def direction(self, params):
    ...         return torch.nn.functional.normalize(params, dim=-1)
    ...
    ...     def location(self, params):
    ...         return self.to_ambient(self.direction(params))
    ...
    ...     def to_ambient(self, z):  # from the unit sphere to the sphere of the manifold
    ...         return z * self.manifold.radius_
    >>> X = np.random.default_rng(0).random((100, 5))
    >>> vae = SphericalVAETransformer(
    ...     curvature=0.25, posterior=FixedWidth, max_epochs=2, random_state=0
    ... ).fit(X)
    >>> Z = vae.transform(X)
    >>> Z.shape, bool(np.allclose((Z**2).sum(axis=1), 4.0))
    ((100, 3), True)
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
        # Set if the decoder reads distances to learned hyperplanes.
        self.gyroplanes: nn.Module | None = None
        # Holds the device and dtype of a latent space that has no parameters.
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    @property
    def dim(self) -> int:
        """Intrinsic dimension."""
        return self.manifold.dim

    @property
    def kl_dims(self) -> list[int]:
        """Dimension of each factor, one entry for each part of the KL."""
        return [self.dim]

    def posterior(self, params: Tensor) -> Distribution:
        """Posterior q(z | x) of each row, a distribution over ambient points.

        Parameters
        ----------
        params : Tensor of shape (..., n_params)
            Outputs of the encoder.
        """
        raise TypeError(f"{type(self).__name__} has no posterior.")

    def prior(self) -> Distribution:
        """Prior p(z), a distribution over the same points as `posterior`."""
        raise TypeError(f"{type(self).__name__} has no prior.")

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        """Draw from the posterior of each row with the given noise, and compute the KL.

        If torch has a KL registered for posterior and prior, that is used. Otherwise the KL is
        estimated from the draw as log q(z) - log p(z).

        Parameters
        ----------
        params : Tensor of shape (n, n_params)
            Outputs of the encoder.
        noise : Tensor of shape (..., n, noise_dim)
            Standard normal numbers.

        Returns
        -------
        LatentStep
        """
        posterior: Any = self.posterior(params)  # Any, because torch has no rsample_from_noise
        try:
            kl = kl_divergence(posterior, self.prior())
        except NotImplementedError:
            # How torch and our divergences say that a pair has no closed form.
            features, log_ratio = self.weighted(params, noise)
            return LatentStep(features, -log_ratio)
        return LatentStep(self.features(self.to_ambient(posterior.rsample_from_noise(noise))), kl)

    def weighted(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Decoder inputs of draws, and log p(z) - log q(z), for importance weights.

        Parameters
        ----------
        params, noise
            As for `step`.
        """
        posterior: Any = self.posterior(params)
        if hasattr(posterior, "rsample_with_log_prob"):
            z, log_q = posterior.rsample_with_log_prob(noise)
        else:
            z = posterior.rsample_from_noise(noise)
            log_q = posterior.log_prob(z)
        return self.features(self.to_ambient(z)), self.prior().log_prob(z) - log_q

    def location(self, params: Tensor) -> Tensor:
        """Location of the posterior of each row, as ambient points of ``manifold``."""
        raise TypeError(f"{type(self).__name__} has no location.")

    def placed(
        self, params: Tensor, tangent: Tensor | None = None
    ) -> list[tuple[Tensor | None, Tensor, float | Tensor]]:
        """`location` in the form that `skccvae.nn.geodesic_pairs` takes, for each factor.

        A learned curvature gets a gradient. ``tangent`` is the attribute of a `LatentStep`.
        """
        points = self.fitted_manifold().split(self.location(params))
        factors = self.fitted_manifold().factors
        return [
            (*factor.to_polar(part), factor.curvature)
            for factor, part in zip(factors, points, strict=True)
        ]

    def to_ambient(self, z: Tensor) -> Tensor:
        """Convert draws of `posterior` to ambient points of ``manifold``, if their units differ."""
        return z

    def features(self, points: Tensor) -> Tensor:
        """Inputs of the decoder at ambient points of ``manifold``; by default the points."""
        return points

    def fitted_manifold(self) -> Manifold:
        """The manifold with the current curvature."""
        return self.manifold

    def curvature(self) -> float | list[float]:
        """Current curvature; for a product, a list with one entry per factor."""
        assert isinstance(self.manifold, ConstantCurvature)
        return float(self.manifold.curvature)

    #: The start that `start_at` takes if there are several: 0 is the one that seems best.
    start_number = 0

    @property
    def n_starts(self) -> int:
        """Number of different starts at components, which may lead to different solutions."""
        return 1

    @property
    def n_start(self) -> int:
        """Number of principal components that `start_at` reads; 0 by default."""
        return 0

    def start_at(self, noise_ratio: Tensor, components: Tensor) -> tuple[Tensor, Tensor] | None:
        """Map from standardised principal components to parameters of the posterior.

        Parameters
        ----------
        noise_ratio : Tensor of shape (n_start,)
            Variance of the noise around the components, divided by the variance of each component.
            This is the variance of the posterior of probabilistic PCA, whose mean is the component
            times ``sqrt(1 - noise_ratio)``. It is 1 if the data have no further component.
        components : Tensor of shape (n, n_start)
            The components of some rows, in the units that the encoder reads, with mean 0. A
            component that the data do not have is 0.

        Returns
        -------
        weight : Tensor of shape (n_params, n_start)
        bias : Tensor of shape (n_params,)
            The result is None instead of the pair if no affine map suits these rows. The model then
            starts at random.
        """
        raise TypeError(f"{type(self).__name__} does not define a start at components.")

    @property
    def batch_key(self) -> tuple | None:
        """Key by which a product batches its factors.

        Factors with equal keys compute the same function. A space with parameters has the key None.
        """
        return None

    #: Names of the tensors that may also have one row for each row of the batch in `step`.
    row_tensors: tuple[str, ...] = ()

    @property
    def row_key(self) -> tuple | None:
        """Key by which the rows of several models share one `step`.

        Spaces with equal keys compute the same function, except for the tensors in `row_tensors`
        and for their hyperplanes. The key is None for a space with further parameters; then the
        rows of each model have their own `step`.
        """
        return self.batch_key

    def for_rows(self, spaces: Sequence[Latent], n: int, planes: nn.Module | None = None) -> Latent:
        """A space that steps the rows of several spaces, with n rows of each one after the other.

        Parameters
        ----------
        spaces : sequence of Latent
            Spaces with the same `row_key` as this one.
        n : int
            Number of rows of each space.
        planes : torch.nn.Module, optional
            Their hyperplanes for such rows, if they have any.
        """
        space = copy.copy(self)
        space._buffers, space._modules = dict(self._buffers), dict(self._modules)
        if planes is not None:
            space.gyroplanes = planes
        for name in self.row_tensors:
            if getattr(self, name) is not None:
                rows = torch.stack([getattr(other, name) for other in spaces])
                space._buffers[name] = rows.repeat_interleave(n, dim=0)
        return space

    def fix_curvature(self) -> None:
        """Replace a learned curvature, if there is one, by its current value."""

    def train_curvature(self, active: bool) -> None:
        """Switch the training of a learned curvature on or off, if there is one."""

    def history(self) -> dict[str, float]:
        """Values to record after each epoch, such as a learned curvature."""
        return {}
