"""Latent sphere with the projected normal posterior and the uniform prior."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skccvae.distributions import ProjectedNormal
from skccvae.kernels import accelerator
from skccvae.nn.latent._base import LatentStep
from skccvae.nn.latent._sphere import UniformSphere, unit_vectors
from skccvae.nn.limits import LOG_SCALE_BOUND
from skccvae.special.smooth_limit import soft_bound

# Scale at which training starts. The outputs of a new network are about 0.05 to 0.12 in size. So
# location and scale are about equal in each coordinate at first, whatever the dimension, and a draw
# already depends on its row. The table gives the ELBO on MNIST (50 000 images, dynamic
# binarisation, layers 256-128, batch 128, one seed) of 2000 other images after 4 epochs for several
# values of this scale:
#
#     d    0.05     0.1      0.22     0.5      1        2        Gaussian   von Mises-Fisher
#     2    -149.3   -149.9   -150.8   -151.7   -154.1                       -154.1
#     10   -114.5   -114.6   -114.3   -116.0   -118.7   -119.4              -121.4
#     40   -116.7   -115.9   -116.1   -117.4   -120.4   -124.2   -120.3
#
# After 10 epochs with 0.1 it is -143.7, -106.9 and -105.8. The Gaussian model then has -146.7,
# -109.5 and -107.6, and von Mises-Fisher has -143.8 at d = 2 and -107.9 at d = 10. With 0.05 it is
# -142.8 at d = 2. From a start at PCA at d = 2, 0.05 gains 0.4 nats of log-likelihood after 10
# epochs (mean of two seeds) and loses 0.2 after 30 (four seeds), so small d has no other scale.
START = 0.1


class ProjectedNormalLatent(UniformSphere):
    """Sphere of curvature K > 0 with the projected normal posterior and the uniform prior.

    Parameters
    ----------
    dim : int
        Intrinsic dimension d; points have d + 1 coordinates.
    curvature : float, default=1.0
        K > 0. It sets the radius of the points, as in `SphericalLatent`.
    posterior_scale : {"free", "shared"} or float, default="free"
        As for `UniformSphere`. Unless it is ``"free"``, the network outputs v alone, and the normal
        vector has a mean of length 1.

    Notes
    -----
    The network outputs a vector v and a vector a, both in R^(d+1). The posterior has ``loc = v``
    and ``scale = 0.1 exp(a)``, with a soft bound on a. Any v is a valid location. At v = 0 the
    posterior is uniform if the scales are equal, and the gradient in v does not vanish there.

    A common factor of loc and scale changes neither the draw nor the estimate of the KL, so one of
    the outputs is redundant. It is left free, because the gradient along it is exactly 0. If it
    were fixed, for instance by a location of length 1, the uniform distribution would need infinite
    scales.

    Only the ratio of loc and scale matters, so the factor 0.1 has the same effect as a factor 10 on
    v. It makes loc and scale about equal in size before training, when the outputs of the network
    are small.

    `step` returns an estimate of the KL from the draw, `ProjectedNormal.rsample_with_kl`.

    References
    ----------
    Wang and Gelfand, "Directional data analysis under the general projected normal distribution",
    Statistical Methodology 10, 2013 (the distribution).

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import ProjectedNormalLatent
    >>> latent = ProjectedNormalLatent(2)
    >>> latent.n_params, latent.noise_dim  # v and a; the noise of the normal vector
    (6, 3)
    >>> params = torch.tensor([[0.06, 0.08, 0.0, 0.0, 0.0, 0.0]])
    >>> latent.location(params), latent.posterior(params).scale
    (tensor([[0.6000, 0.8000, 0.0000]]), tensor([[0.1000, 0.1000, 0.1000]]))
    """

    def __init__(
        self, dim: int, curvature: float = 1.0, *, posterior_scale: float | str = "free"
    ) -> None:
        super().__init__(dim, curvature, posterior_scale=posterior_scale)
        self.n_params = 2 * (dim + 1) if self.posterior_scale.free else dim + 1
        self.noise_dim = dim + 1

    @property
    def n_start(self) -> int:
        return self.dim + 1

    def start_at(self, noise_ratio: Tensor, components: Tensor) -> tuple[Tensor, Tensor]:
        # The direction of a Gaussian model, whose location and scale are multiplied by START.
        linear, constant = self._start_vectors(noise_ratio, components)
        if not self.posterior_scale.free:
            width = 0.5 * (noise_ratio / len(noise_ratio)).log()
            self.posterior_scale.start_at(width + math.log(self.radius))
            return linear, constant
        bias = torch.cat([START * constant, 0.5 * noise_ratio.log()])
        return torch.cat([START * linear, torch.zeros_like(linear)]), bias

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Location and log-scales of each row."""
        if not self.posterior_scale.free:
            return unit_vectors(params), self._log_width().expand_as(params)
        loc, raw = params.chunk(2, dim=-1)
        return loc, soft_bound(raw, LOG_SCALE_BOUND) + math.log(START)

    def posterior(self, params: Tensor) -> ProjectedNormal:
        loc, log_scale = self._split(params)
        return ProjectedNormal(loc, log_scale.exp(), validate_args=False)

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        loc, log_scale = self._split(params)
        fused = accelerator(ProjectedNormal, loc, noise)
        if fused is not None:
            size = self.radius * self.feature_scale
            return LatentStep(*fused(loc, log_scale, noise, size))
        z, kl = self.posterior(params).rsample_with_kl(noise)
        return LatentStep(self.features(self.to_ambient(z)), kl)

    def location(self, params: Tensor) -> Tensor:
        return self.to_ambient(unit_vectors(params[..., : self.dim + 1]))
