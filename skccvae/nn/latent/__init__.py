"""Latent spaces of a model: posterior heads, priors, and what the decoder reads."""

from ._base import DeterministicLatent, EuclideanLatent, Latent, LatentStep
from ._product import ProductLatent
from ._sphere import SphericalLatent
from ._wrapped import HyperbolicLatent, WrappedLatent, WrappedSphereLatent

__all__ = [
    "DeterministicLatent",
    "EuclideanLatent",
    "HyperbolicLatent",
    "Latent",
    "LatentStep",
    "ProductLatent",
    "SphericalLatent",
    "WrappedLatent",
    "WrappedSphereLatent",
]
