"""Parameters that shaped a model, changed after it was built."""

from __future__ import annotations

import numpy as np
import pytest

import skccvae
from skccvae import ConstantCurvatureVAETransformer, HyperbolicVAETransformer

X = np.random.default_rng(0).random((60, 5)).astype(np.float32)
FAST = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}


def test_saved_model_is_the_one_that_was_fitted(tmp_path):
    vae = HyperbolicVAETransformer(**FAST).fit(X)
    expected = vae.inverse_transform(vae.transform(X))
    vae.set_params(curvature=-3.0, n_components=3, activation="tanh")
    vae.save(tmp_path / "model")
    loaded = skccvae.load(tmp_path / "model")
    assert loaded.curvature_ == -1.0
    assert np.array_equal(loaded.inverse_transform(loaded.transform(X)), expected)


@pytest.mark.parametrize("change", [{"curvature": -3.0}, {"n_components": 5}])
def test_training_on_refuses_what_it_cannot_follow(change):
    vae = HyperbolicVAETransformer(warm_start=True, **FAST).fit(X)
    vae.set_params(**change)
    for method in (vae.fit, vae.partial_fit):
        with pytest.raises(ValueError, match="when the model was built"):
            method(X)


def test_curvature_is_learned_after_an_epoch_that_diverged():
    vae = ConstantCurvatureVAETransformer(curvature=0.5, learn_curvature=True, **FAST)
    vae.set_params(learning_rate=1e39)
    with pytest.raises(skccvae.DivergenceError):
        vae.fit(X)
    vae.set_params(learning_rate=1e-3)
    for _ in range(3):
        vae.partial_fit(X)
    assert vae.curvature_ != 0.5


@pytest.mark.parametrize("scale", [np.float32(1), np.int64(2)])
@pytest.mark.parametrize("posterior", ["wrapped_normal", "riemannian_normal"])
def test_numpy_numbers_as_parameters(scale, posterior):
    for K in (np.float32(-0.5), np.int64(1), np.int64(0)):
        vae = ConstantCurvatureVAETransformer(
            np.int64(2), curvature=K, prior_scale=scale, posterior=posterior, **FAST
        ).fit(X)
        assert np.isfinite(vae.score(X))
