"""Small, fast estimators of every kind, and data for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skccvae.estimators import (
    AutoencoderTransformer,
    BaseVAETransformer,
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)

KINDS: dict[str, tuple[type[BaseVAETransformer], dict[str, Any]]] = {
    "autoencoder": (AutoencoderTransformer, {}),
    "gaussian": (GaussianVAETransformer, {}),
    "von_mises_fisher": (SphericalVAETransformer, {}),
    "power_spherical": (SphericalVAETransformer, {"posterior": "power_spherical"}),
    "wrapped_sphere": (SphericalVAETransformer, {"posterior": "wrapped_normal"}),
    "riemannian_sphere": (SphericalVAETransformer, {"posterior": "riemannian_normal"}),
    "hyperbolic": (HyperbolicVAETransformer, {}),
    "riemannian_hyperbolic": (HyperbolicVAETransformer, {"posterior": "riemannian_normal"}),
    "constant_curvature": (ConstantCurvatureVAETransformer, {"curvature": -0.5}),
    "mixed_curvature": (MixedCurvatureVAETransformer, {"signature": "h1,s1,e1"}),
}
FAST = {"max_epochs": 2, "hidden_layer_sizes": (16,), "random_state": 0, "device": "cpu"}


def maker(name: str) -> Callable[..., BaseVAETransformer]:
    cls, own = KINDS[name]
    return lambda **params: cls(**{**FAST, **own, **params})


@pytest.fixture(params=list(KINDS))
def make(request: pytest.FixtureRequest) -> Callable[..., BaseVAETransformer]:
    """Builder of a fast estimator of each kind."""
    return maker(request.param)


@pytest.fixture(params=[name for name in KINDS if name != "autoencoder"])
def make_vae(request: pytest.FixtureRequest) -> Callable[..., BaseVAETransformer]:
    """The same for the kinds that have a posterior and a prior."""
    return maker(request.param)


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """Handwritten digits in [0, 1], shape (600, 64)."""
    return load_digits().data[:600] / 16


@pytest.fixture(scope="session")
def digit_labels() -> np.ndarray:
    """Their classes."""
    return load_digits().target[:600]


@pytest.fixture(scope="session")
def small() -> np.ndarray:
    """Sixty rows of five columns in [0, 1]."""
    return np.random.default_rng(7).random((60, 5))


@pytest.fixture(scope="session")
def real() -> np.ndarray:
    """Sixty real-valued rows of five columns."""
    return np.random.default_rng(8).normal(3.0, 2.0, size=(60, 5))
