"""Latent spaces of a model: posterior heads, priors, and what the decoder reads."""

from ._base import DeterministicLatent, EuclideanLatent, Latent, LatentStep
from ._product import ProductLatent
from ._riemannian import RiemannianLatent
from ._sphere import SphericalLatent
from ._wrapped import WrappedLatent

NORMAL_LATENTS: dict[str, type[WrappedLatent]] = {
    "wrapped_normal": WrappedLatent,
    "riemannian_normal": RiemannianLatent,
}
"""Latent spaces with a normal posterior and prior, by the name of the family."""

__all__ = [
    "NORMAL_LATENTS",
    "DeterministicLatent",
    "EuclideanLatent",
    "Latent",
    "LatentStep",
    "ProductLatent",
    "RiemannianLatent",
    "SphericalLatent",
    "WrappedLatent",
]
