"""The latent space of any constant curvature with a wrapped normal posterior and prior."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from skccvae.distributions import WrappedNormal
from skccvae.kernels import accelerator
from skccvae.nn.latent._base import LatentStep
from skccvae.nn.latent._flat import DiagonalNormal
from skccvae.nn.latent._normal import NormalLatent
from skccvae.nn.limits import LOG_SCALE_BOUND


class WrappedLatent(NormalLatent):
    """Wrapped normal posterior and prior on the space of constant curvature K.

    Parameters
    ----------
    dim, curvature, prior_scale
        As for `NormalLatent`.
    flat_part : bool, default=False
        Whether to reduce the variance of the estimated KL with a control variate. The estimate is
        then the exact KL of the flat model plus the difference that curvature makes at the draw.
        It has the same mean, and equals the KL of the Gaussian model in the limit K -> 0.
    **options
        ``decoder_input``, ``n_planes``, ``learn_curvature`` and ``posterior_scale``, as for
        `NormalLatent`.

    References
    ----------
    Nagano et al., "A wrapped normal distribution on hyperbolic space for gradient-based
    learning", ICML 2019; Skopek et al., "Mixed-curvature variational autoencoders", ICLR 2020.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import WrappedLatent
    >>> latent = WrappedLatent(2, curvature=-1.0)
    >>> latent.n_params, latent.noise_dim  # location and log-scales; one number per direction
    (4, 2)
    >>> step = latent.step(torch.randn(5, 4), torch.randn(5, 2))
    >>> step.features.shape, step.kl.shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    law = WrappedNormal

    def __init__(
        self,
        dim: int,
        curvature: float,
        prior_scale: float | str = 1.0,
        *,
        flat_part: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(dim, curvature, prior_scale, **options)
        self.flat_part = flat_part

    @property
    def row_key(self) -> tuple | None:
        key = super().row_key
        return key and (*key, self.flat_part)

    def posterior(self, params: Tensor) -> Distribution:
        if self.curvature() == 0:
            tangent, log_scale = self._split(params, self._curvature())
            return DiagonalNormal(tangent, log_scale.exp())
        return super().posterior(params)

    def prior(self) -> Distribution:
        if self.curvature() == 0:
            zeros = self._like.new_zeros(self.dim)
            return DiagonalNormal(zeros, torch.full_like(zeros, self.prior_scale))
        return super().prior()

    def _limited_step(self, params: Tensor, noise: Tensor) -> LatentStep | None:
        """The step from outputs of a network to features as one operation, if there is one."""
        log_map = self.decoder_input == "tangent"
        one_draw = noise.shape[:-1] == params.shape[:-1]
        given = self.limits  # None for a learned curvature
        if given is None or self.K >= 0 or not self.posterior_scale.free or self.flat_part:
            return None
        if not one_draw or not (log_map or self.axes is None):
            return None
        step = accelerator(WrappedNormal, params, noise, self.K, outputs=True)
        if step is None:
            return None
        raw, raw_scale = params.split(self.dim, dim=-1)
        limits = (given.location, given.scale, LOG_SCALE_BOUND)
        zc, zs, log_ratio, tangent = step(
            raw, raw_scale, noise, self.K, limits, self.axes, self.prior_scale, log_map
        )
        features = zs if log_map else self._features_at(zc, zs, self.K)
        return LatentStep(features, log_ratio, tangent=tangent)

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        if (found := self._limited_step(params, noise)) is not None:
            return found
        if not self.flat_part:
            return super().step(params, noise)
        features, log_ratio, tangent, log_scale = self._draw(params, noise)
        # Control variate: the log-ratio of the flat model at its draw, whose mean is the flat KL.
        # With location m, scale s, noise e and prior variance V, half of
        # (|m|^2 + |s|^2 - |m + s e|^2) / V - sum(1 - e^2), written without cancellation, is added.
        if self.axes is not None:
            tangent, log_scale = tangent / self.axes, log_scale - self.axes.log()
        location = tangent
        scale, rest = log_scale.exp(), 1 - noise.square()
        kl = (scale * torch.addcmul(scale * rest, tangent, noise, value=-2.0)).sum(-1)
        kl = torch.sub(kl * (0.5 / self.prior_scale**2), rest.sum(-1), alpha=0.5)
        return LatentStep(features, log_ratio + kl, tangent=location)
