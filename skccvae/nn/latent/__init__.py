"""Latent spaces of a model: posteriors, priors, and the inputs of the decoder."""

from skccvae.nn.latent._base import Latent, LatentStep
from skccvae.nn.latent._flat import DeterministicLatent, EuclideanLatent
from skccvae.nn.latent._normal import NormalLatent
from skccvae.nn.latent._product import ProductLatent
from skccvae.nn.latent._projected_normal import ProjectedNormalLatent
from skccvae.nn.latent._riemannian import RiemannianLatent
from skccvae.nn.latent._sphere import (
    PowerSphericalLatent,
    SphericalCauchyLatent,
    SphericalLatent,
    UniformSphere,
)
from skccvae.nn.latent._wrapped import WrappedLatent

NORMAL_LATENTS: dict[str, type[NormalLatent]] = {
    "wrapped_normal": WrappedLatent,
    "riemannian_normal": RiemannianLatent,
}
"""Latent spaces with a normal posterior and prior, by the name of their distribution."""

UNIFORM_LATENTS: dict[str, type[UniformSphere]] = {
    "von_mises_fisher": SphericalLatent,
    "power_spherical": PowerSphericalLatent,
    "spherical_cauchy": SphericalCauchyLatent,
    "projected_normal": ProjectedNormalLatent,
}
"""Latent spheres with the uniform prior, by the name of their posterior."""

__all__ = [
    "NORMAL_LATENTS",
    "UNIFORM_LATENTS",
    "DeterministicLatent",
    "EuclideanLatent",
    "Latent",
    "LatentStep",
    "PowerSphericalLatent",
    "ProductLatent",
    "ProjectedNormalLatent",
    "RiemannianLatent",
    "SphericalCauchyLatent",
    "SphericalLatent",
    "WrappedLatent",
]
