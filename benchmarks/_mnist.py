"""Code shared by the benchmarks on MNIST: the three geometries, and the images."""

from __future__ import annotations

from typing import Any

from skccvae import (
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    SphericalVAETransformer,
)
from skccvae.datasets import fetch_mnist

KINDS = {
    "gaussian": GaussianVAETransformer,
    "spherical": SphericalVAETransformer,
    "hyperbolic": HyperbolicVAETransformer,
}


def images(folder: str | None) -> tuple[Any, Any]:
    """Training and test images with their labels, from a folder or where `fetch_mnist` looks."""
    return tuple(fetch_mnist(data_home=folder, subset=part) for part in ("train", "test"))
