"""The latent space of any constant curvature with a Riemannian normal posterior and prior."""

from __future__ import annotations

from skccvae.distributions import RiemannianNormal
from skccvae.nn.latent._normal import NormalLatent


class RiemannianLatent(NormalLatent):
    """Riemannian normal posterior and prior on the space of constant curvature K.

    Parameters
    ----------
    dim, curvature, prior_scale, decoder_input, n_planes, learn_curvature, posterior_scale
        As for `NormalLatent`.

    References
    ----------
    Mathieu et al., "Continuous hierarchical representations with Poincaré variational
    auto-encoders", NeurIPS 2019, section 3.1.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import RiemannianLatent
    >>> latent = RiemannianLatent(2, curvature=-1.0)
    >>> latent.n_params, latent.noise_dim  # location and log-scale; radius and direction
    (3, 3)
    >>> latent.prior()
    RiemannianNormal(loc: torch.Size([3]), scale: 1.0, manifold: Hyperbolic(dim=2, curvature=-1))
    """

    law = RiemannianNormal
