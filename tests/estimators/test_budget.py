"""What "auto" means for batches, epochs and the warm-up of the KL."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

import skccvae
from skccvae import GaussianVAETransformer
from skccvae.estimators._budget import budget
from skccvae.nn import GaussianLikelihood


class NoStart(GaussianLikelihood):
    def start_outputs(self, x):
        return None


AUTO = {"batch_size": "auto", "max_epochs": "auto", "kl_warmup_epochs": "auto"}


def test_the_rule():
    assert budget(100, "auto", "auto", "auto", False) == (128, 60, 0)
    assert budget(5_000, "auto", "auto", "auto", True) == (128, 60, 30)
    assert budget(20_000, "auto", "auto", 7, False) == (128, 32, 7)
    assert budget(10**7, "auto", "auto", "auto", False) == (128, 10, 0)
    assert budget(20_000, 64, "auto", 0, True).epochs == 16
    assert budget(20_000, 64, 3, "auto", True) == (64, 3, 1)


@pytest.mark.parametrize("init", ["pca", "random"])
def test_a_fit_follows_it(init):
    X = np.random.default_rng(0).normal(size=(150, 4))
    vae = GaussianVAETransformer(2, init=init, hidden_layer_sizes=(8,), random_state=0, **AUTO)
    vae.fit(X)
    assert vae.n_iter_ == 60
    assert vae.history_["beta"][0] == pytest.approx(1 / 30 if init == "random" else 1.0)
    same = clone(vae).set_params(
        batch_size=128, max_epochs=60, kl_warmup_epochs=30 if init == "random" else 0
    )
    np.testing.assert_array_equal(same.fit_transform(X), vae.transform(X))
    assert vae.get_params()["max_epochs"] == "auto"


def test_only_what_knows_nothing_warms_up():
    X = np.random.default_rng(0).random((64, 16))
    settings = {"hidden_layer_sizes": (8,), "random_state": 0, "max_epochs": 4}

    def first_weight(**more):
        vae = GaussianVAETransformer(2, **{**AUTO, **settings, **more}).fit(X)
        return vae.history_["beta"][0]

    assert first_weight(init="pca", likelihood="gaussian") == 1.0
    conv = {"encoder": "conv", "decoder": "conv", "image_shape": (4, 4)}
    assert first_weight(init="pca", **conv) == 0.5
    assert first_weight(init="pca", likelihood="poisson") == 1.0
    # a likelihood that does not say where its decoder starts
    assert first_weight(init="pca", likelihood=NoStart) == 0.5


def test_a_longer_warm_fit_keeps_the_weight_of_the_kl():
    X = np.random.default_rng(0).normal(size=(64, 4))
    vae = GaussianVAETransformer(2, init="random", warm_start=True, random_state=0, **AUTO)
    vae.set_params(max_epochs=4).fit(X)
    vae.set_params(max_epochs=20).fit(X)
    assert vae.history_["beta"] == [0.5] + 23 * [1.0]


def test_partial_fit_has_no_warm_up_of_its_own():
    X = np.random.default_rng(0).normal(size=(150, 4))
    vae = GaussianVAETransformer(2, init="random", random_state=0, **AUTO)
    for _ in range(3):
        vae.partial_fit(X)
    assert vae.history_["beta"] == [1.0, 1.0, 1.0]
    assert vae.n_iter_ == 1


def test_saved_models_train_on(tmp_path):
    X = np.random.default_rng(0).normal(size=(150, 4))
    vae = GaussianVAETransformer(2, random_state=0, **AUTO).fit(X)
    vae.save(tmp_path / "model.safetensors")
    loaded = skccvae.load(tmp_path / "model.safetensors")
    assert loaded.max_epochs == "auto"
    loaded.partial_fit(X)
    assert np.isfinite(loaded.score(X))


@pytest.mark.parametrize("name", list(AUTO))
def test_other_words_are_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        GaussianVAETransformer(2, **{name: "many"}).fit(np.eye(5))
