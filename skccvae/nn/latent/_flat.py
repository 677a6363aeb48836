"""Flat latent spaces: the Gaussian model's, and the code of a plain autoencoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from skccvae.manifolds import Euclidean
from skccvae.nn.latent._base import Latent, LatentStep
from skccvae.nn.latent._posterior_scale import PosteriorScale
from skccvae.nn.limits import LOG_SCALE_BOUND
from skccvae.special.smooth_limit import soft_bound

# The smallest scale of a prior's axis, as a fraction of the largest.
_SHORTEST = 0.01


def axis_scales(components: Tensor) -> Tensor:
    """Scales of a prior along principal components, shape (d,).

    With equal scales the codes of weak components would spread as far as those of strong ones, and
    distances would count noise as much as signal.

    Parameters
    ----------
    components : Tensor of shape (n, d)
        Components of rows, as for `Latent.start_at`.
    """
    deviation = components.square().mean(0).sqrt()
    known = deviation > 0
    if not bool(known.any()):
        return torch.ones_like(deviation)
    # Axes without a component get the scale of the last component.
    deviation = torch.where(known, deviation, deviation[known].min())
    return deviation.clamp(min=_SHORTEST * float(deviation.max()))


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
    """R^d with a diagonal normal posterior and a normal prior.

    Encoder and decoder work in units of the prior's scale, in which the prior is a standard normal.
    So the scale only affects the coordinates.

    Parameters
    ----------
    dim : int
        Dimension d.
    prior_scale : float or "auto", default=1.0
        Scale of the prior along each axis. ``"auto"`` is 1 until `start_at` sets it to the standard
        deviations of the components.
    posterior_scale : {"free", "shared"} or float, default="free"
        As for `PosteriorScale`.

    Attributes
    ----------
    axes : Tensor of shape (d,)
        The scales.

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

    axes: Tensor
    row_tensors = ("axes",)

    def __init__(
        self,
        dim: int,
        prior_scale: float | str = 1.0,
        *,
        posterior_scale: float | str = "free",
    ) -> None:
        super().__init__(Euclidean(dim))
        self.posterior_scale = PosteriorScale(posterior_scale)
        self.n_params = 2 * dim if self.posterior_scale.free else dim
        self.n_features = dim
        self.noise_dim = dim
        self.prior_scale = prior_scale
        scale = 1.0 if prior_scale == "auto" else float(prior_scale)
        self.register_buffer("axes", torch.full((dim,), scale))

    @property
    def batch_key(self) -> tuple | None:
        return None if self.prior_scale == "auto" else self.row_key

    @property
    def row_key(self) -> tuple | None:
        if self.posterior_scale.key is None:
            return None
        return (type(self), self.dim, self.prior_scale, self.posterior_scale.key)

    @property
    def n_start(self) -> int:
        return self.dim

    def start_at(self, noise_ratio: Tensor, components: Tensor) -> tuple[Tensor, Tensor]:
        if self.prior_scale == "auto":
            self.axes.copy_(axis_scales(components))
        loc = torch.diag((1 - noise_ratio).sqrt())
        bias = torch.zeros_like(noise_ratio)
        log_scale = 0.5 * noise_ratio.log()
        if not self.posterior_scale.free:
            self.posterior_scale.start_at(log_scale + self.axes.log())
            return loc, bias
        return torch.cat([loc, torch.zeros_like(loc)]), torch.cat([bias, log_scale])

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Location and log-scales in units of the prior's axes."""
        if not self.posterior_scale.free:
            return params, self.posterior_scale.log - self.axes.log()
        loc, raw = params.chunk(2, dim=-1)
        return loc, soft_bound(raw, LOG_SCALE_BOUND)

    def posterior(self, params: Tensor) -> DiagonalNormal:
        loc, log_scale = self._split(params)
        return DiagonalNormal(loc * self.axes, log_scale.exp() * self.axes)

    def prior(self) -> DiagonalNormal:
        return DiagonalNormal(torch.zeros_like(self.axes), self.axes)

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
        return self._split(params)[0] * self.axes

    def features(self, points: Tensor) -> Tensor:
        return points / self.axes


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
    def batch_key(self) -> tuple | None:
        return (type(self), self.dim)

    @property
    def kl_dims(self) -> list[int]:
        return [0]

    @property
    def n_start(self) -> int:
        return self.dim

    def start_at(self, noise_ratio: Tensor, components: Tensor) -> tuple[Tensor, Tensor]:
        return torch.diag(torch.ones_like(noise_ratio)), torch.zeros_like(noise_ratio)

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        return LatentStep(params, params.new_zeros(params.shape[:-1]))

    def weighted(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        points = params.expand(*noise.shape[:-1], self.dim)
        return points, params.new_zeros(points.shape[:-1])

    def location(self, params: Tensor) -> Tensor:
        return params
