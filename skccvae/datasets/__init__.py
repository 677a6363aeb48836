"""Data sets: fetchers with scikit-learn's signature, and generators of known geometry."""

from ._branching import make_branching_diffusion
from ._celeba import fetch_celeba
from ._mnist import fetch_mnist
from ._qm9 import fetch_qm9
from ._sphere_mixture import make_sphere_mixture

__all__ = [
    "fetch_celeba",
    "fetch_mnist",
    "fetch_qm9",
    "make_branching_diffusion",
    "make_sphere_mixture",
]
