r"""Probability distributions on spaces of constant curvature, as torch distributions.

Every distribution has ``rsample`` with exact pathwise gradients, and ``log_prob`` with respect to
the Riemannian volume. The table shows what else each distribution offers:

======================  =======  ==============  =====================================
distribution            entropy  mean, variance  ``torch.func``
======================  =======  ==============  =====================================
HypersphericalUniform   yes      yes             works
VonMisesFisher          yes      yes             raises RuntimeError
PowerSpherical          yes      yes             raises RuntimeError
SphericalCauchy         yes      yes             works
ProjectedNormal         no       no              raises RuntimeError
WrappedNormal           no       no              works; ``vmap`` over scales if K <= 0
RiemannianNormal        yes      no              raises RuntimeError
ProductDistribution     if all   if all          if all factors do
======================  =======  ==============  =====================================

Means and variances are those of the coordinates in R^m. A mean lies inside the sphere, not on it.
Four distributions have hand-written derivatives of first order only. The transformations of
``torch.func`` refuse these four, so use ``torch.autograd`` instead. The others need
``validate_args=False`` inside ``vmap``.

``torch.distributions.kl_divergence(p, q)`` has a closed form for these pairs, and raises
NotImplementedError for all others:

==================  ====================================================================
q                   p
==================  ====================================================================
uniform             uniform, von Mises-Fisher, power spherical, spherical Cauchy; Riemannian
                    normal on the unit sphere
von Mises-Fisher    uniform, von Mises-Fisher, power spherical, spherical Cauchy
power spherical     uniform; power spherical of the same location
spherical Cauchy    uniform, spherical Cauchy
Riemannian normal   Riemannian normal of the same location; in R^d of any location
wrapped normal      wrapped normal of the same location, K < 0; in R^d of any location
product             product whose factors all have one
==================  ====================================================================

For any other pair, average ``p.log_prob(z) - q.log_prob(z)`` over draws ``z = p.sample((n,))``. For
a projected normal and the uniform distribution, `ProjectedNormal.rsample_with_kl` needs fewer
draws.
"""

from __future__ import annotations

import skccvae.distributions.kl  # noqa: F401  (registers the divergences)
from skccvae.distributions.hyperspherical_uniform import HypersphericalUniform
from skccvae.distributions.power_spherical import PowerSpherical
from skccvae.distributions.product import ProductDistribution
from skccvae.distributions.projected_normal import ProjectedNormal
from skccvae.distributions.riemannian_normal import RiemannianNormal
from skccvae.distributions.spherical_cauchy import SphericalCauchy
from skccvae.distributions.von_mises_fisher import VonMisesFisher
from skccvae.distributions.wrapped_normal import WrappedNormal

__all__ = [
    "HypersphericalUniform",
    "PowerSpherical",
    "ProjectedNormal",
    "RiemannianNormal",
    "ProductDistribution",
    "SphericalCauchy",
    "VonMisesFisher",
    "WrappedNormal",
]
