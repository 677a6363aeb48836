"""Latent spaces of any curvature with Riemannian normals: isotropic, and of greatest entropy."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.distributions import Distribution

from skccvae.distributions import RiemannianNormal, riemannian_normal_step
from skccvae.nn.latent._wrapped import WrappedLatent


class RiemannianLatent(WrappedLatent):
    """Riemannian normal posterior and prior on the space of constant curvature K.

    Parameters
    ----------
    dim : int
        Intrinsic dimension d.
    curvature : float
        K, of any sign; where it is learned, the start.
    prior_scale : float, default=1.0
        Scale of the prior, a Riemannian normal at the origin.
    **options
        ``decoder_input``, ``n_planes`` and ``learn_curvature`` as in `WrappedLatent`.

    References
    ----------
    Mathieu et al., "Continuous hierarchical representations with Poincare variational
    auto-encoders", NeurIPS 2019, section 3.1.
    """

    riemannian = True

    def __init__(
        self, dim: int, curvature: float, prior_scale: float = 1.0, **options: Any
    ) -> None:
        super().__init__(dim, curvature, prior_scale, **options)
        self.n_params = dim + 1
        self.noise_dim = dim + 1

    def posterior(self, params: Tensor) -> Distribution:
        tangent, log_scale = self._split(params, self._curvature())
        manifold = self.fitted_manifold()
        loc = manifold.exp0(tangent)
        return RiemannianNormal(loc, log_scale.squeeze(-1).exp(), manifold, validate_args=False)

    def prior(self) -> Distribution:
        like, manifold = self._like, self.fitted_manifold()
        loc = manifold.origin(dtype=like.dtype, device=like.device)
        scale = like.new_tensor(self.prior_scale)
        return RiemannianNormal(loc, scale, manifold, validate_args=False)

    def _kernel(
        self, tangent: Tensor, log_scale: Tensor, noise: Tensor, K: float | Tensor, log_map: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        return riemannian_normal_step(
            tangent, log_scale.squeeze(-1), noise, K, self.prior_scale, log_map
        )
