"""Data sets: fetchers, loaders for data in the package, and generators of known geometry."""

from skccvae.datasets._branching import make_branching_diffusion
from skccvae.datasets._celeba import fetch_celeba
from skccvae.datasets._daily_temperatures import load_daily_temperatures
from skccvae.datasets._mammals import load_mammals
from skccvae.datasets._mnist import fetch_mnist
from skccvae.datasets._qm9 import fetch_qm9
from skccvae.datasets._sphere_mixture import make_sphere_mixture

__all__ = [
    "fetch_celeba",
    "fetch_mnist",
    "fetch_qm9",
    "load_daily_temperatures",
    "load_mammals",
    "make_branching_diffusion",
    "make_sphere_mixture",
]
