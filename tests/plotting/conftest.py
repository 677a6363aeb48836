"""Small fitted models of each geometry, and figures closed after each test."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skccvae import (
    AutoencoderTransformer,
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)

FAST = {"max_epochs": 1, "hidden_layer_sizes": (8,), "random_state": 0, "device": "cpu"}
MODELS = {
    "autoencoder": (AutoencoderTransformer, {}, "Plane"),
    "gaussian": (GaussianVAETransformer, {}, "Plane"),
    "sphere": (SphericalVAETransformer, {}, "Sphere (Hammer projection), K = 1"),
    "sphere_K4": (
        SphericalVAETransformer,
        {"curvature": 4.0, "coordinates": "tangent"},
        "Sphere (Hammer projection), K = 4",
    ),
    "hyperbolic": (HyperbolicVAETransformer, {}, "Poincaré disk, K = −1"),
    "hyperbolic_ball": (
        HyperbolicVAETransformer,
        {"curvature": -0.3, "coordinates": "stereographic"},
        "Poincaré disk, K = −0.3",
    ),
    "any_curvature": (
        ConstantCurvatureVAETransformer,
        {"curvature": -0.5},
        "Poincaré disk, K = −0.5",
    ),
}


@pytest.fixture(autouse=True)
def close_figures():
    """Figures in memory, closed after the test."""
    plt = pytest.importorskip("matplotlib.pyplot", reason="of the extra 'plot'")
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X[:120] / 16, y[:120]


@pytest.fixture(scope="module", params=list(MODELS))
def fitted(request, digits):
    cls, own, title = MODELS[request.param]
    return cls(2, **FAST, **own).fit(digits[0]), title


@pytest.fixture(scope="module")
def product(digits):
    return MixedCurvatureVAETransformer(signature="h2,s2,e2", **FAST).fit(digits[0])
