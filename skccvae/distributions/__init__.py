"""Probability distributions on spaces of constant curvature, as torch distributions."""

from __future__ import annotations

import skccvae.distributions.kl  # noqa: F401  (registers the divergences)
from skccvae.distributions.hyperspherical_uniform import HypersphericalUniform
from skccvae.distributions.power_spherical import PowerSpherical
from skccvae.distributions.product import ProductDistribution
from skccvae.distributions.riemannian_normal import RiemannianNormal
from skccvae.distributions.spherical_cauchy import SphericalCauchy
from skccvae.distributions.von_mises_fisher import VonMisesFisher
from skccvae.distributions.wrapped_normal import WrappedNormal

__all__ = [
    "HypersphericalUniform",
    "PowerSpherical",
    "RiemannianNormal",
    "ProductDistribution",
    "SphericalCauchy",
    "VonMisesFisher",
    "WrappedNormal",
]
