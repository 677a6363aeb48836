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
    "projected_normal": (SphericalVAETransformer, {"posterior": "projected_normal"}),
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


@pytest.fixture(scope="session")
def outputs() -> Callable[..., dict[str, np.ndarray]]:
    """Function from an estimator and rows to what the methods return."""
    return _outputs


@pytest.fixture(scope="session")
def assert_same_bits() -> Callable[..., None]:
    """Assertion that two results of `outputs` are the same bit by bit."""
    return _assert_same_bits


def _outputs(vae: BaseVAETransformer, X: np.ndarray) -> dict[str, np.ndarray]:
    """What the methods return, for comparison bit by bit."""
    Z = vae.transform(X)
    found = {
        "transform": Z,
        "inverse_transform": vae.inverse_transform(Z),
        "score_samples": vae.score_samples(X, 8),
        "evaluate": np.array(list(vae.evaluate(X, 8).values())),
        "interpolate": vae.interpolate(X[:3], X[3:6], 4),
        "distances": vae.geodesic_distances(Z),
    }
    if hasattr(vae, "sample"):
        found["sample"] = vae.sample(7)
    return found


def _assert_same_bits(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert value.dtype == b[name].dtype
        assert value.tobytes() == b[name].tobytes(), name
