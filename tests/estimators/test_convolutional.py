"""Convolutional networks inside the estimators."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import skccvae
from skccvae import (
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
)

CONV = {
    "encoder": "conv",
    "decoder": "conv",
    "max_epochs": 1,
    "hidden_layer_sizes": (16,),
    "random_state": 0,
    "device": "cpu",
}
RNG = np.random.default_rng(0)
SHAPES = [(8, 8), (9, 7), (9, 7, 1), (8, 6, 3), (3, 8, 6), (4, 10, 11)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_come_back_in_their_shape(shape, dtype):
    X = RNG.integers(0, 256, size=(21, *shape), dtype=np.uint8)
    X = X if dtype == np.uint8 else (X / 255).astype(dtype)
    vae = GaussianVAETransformer(batch_size=20, **CONV).fit(X)
    Z = vae.transform(X)
    assert vae.inverse_transform(Z).shape == X.shape
    assert vae.sample(2).shape == (2, *shape)
    assert np.isfinite(vae.score_samples(X, 3)).all()
    # One row, and flat rows with image_shape, go the same way.
    np.testing.assert_allclose(vae.transform(X[:1]), Z[:1], rtol=1e-4, atol=1e-5)
    flat = GaussianVAETransformer(image_shape=shape, batch_size=20, **CONV).fit(X.reshape(21, -1))
    np.testing.assert_array_equal(flat.transform(X.reshape(21, -1)), Z)
    assert flat.inverse_transform(Z).shape == (21, int(np.prod(shape)))


def test_every_kind_of_space(make):
    X = RNG.random((12, 8, 8))
    vae = make(encoder="conv", decoder="conv", max_epochs=1).fit(X)
    assert vae.inverse_transform(vae.transform(X)).shape == X.shape
    # The networks serve alone too.
    make(encoder="conv", max_epochs=1).fit(X)
    make(decoder="conv", max_epochs=1).fit(X)


@pytest.mark.parametrize("sizes", [(), (24, 16)])
@pytest.mark.parametrize("cls", [HyperbolicVAETransformer, ConstantCurvatureVAETransformer])
def test_planes_and_the_dense_layer(cls, sizes):
    X = RNG.random((12, 9, 8))
    settings = {**CONV, "hidden_layer_sizes": sizes}
    vae = cls(**settings).fit(X)
    assert np.isfinite(vae.score_samples(X, 2)).all()
    module = vae.net_.module_
    assert module.head.in_features == (16 if sizes else 32 * 3 * 4)


def test_it_needs_the_shape_of_an_image():
    X = RNG.random((12, 64))
    for role in ("encoder", "decoder"):
        with pytest.raises(ValueError, match=r"Pass image_shape, such as image_shape=\(28, 28\)"):
            GaussianVAETransformer(**{role: "conv"}, max_epochs=1).fit(X)
    with pytest.raises(ValueError, match=r"got \(64,\)"):
        GaussianVAETransformer(**CONV, image_shape=(64,)).fit(X)
    with pytest.raises(ValueError, match="'encoder' parameter .* must be"):
        GaussianVAETransformer(encoder="cnn", max_epochs=1).fit(X)


@pytest.mark.parametrize("likelihood", ["auto", "discretized_logistic"])
def test_save_and_pickle(tmp_path, likelihood):
    X = RNG.integers(0, 256, size=(20, 3, 9, 8), dtype=np.uint8)
    vae = HyperbolicVAETransformer(likelihood=likelihood, **CONV).fit(X)
    Z = vae.transform(X)
    vae.save(tmp_path / "model.skccvae")
    for again in (
        skccvae.load(tmp_path / "model.skccvae", device="cpu"),
        pickle.loads(pickle.dumps(vae)),
    ):
        np.testing.assert_array_equal(again.transform(X), Z)
        np.testing.assert_array_equal(again.inverse_transform(Z), vae.inverse_transform(Z))


def blobs(n: int, side: int) -> np.ndarray:
    """Bright spots at random places, as 8-bit images."""
    rng = np.random.default_rng(1)
    grid = np.arange(side)
    centre = rng.uniform(side * 0.25, side * 0.75, size=(n, 2, 1))
    rows = np.exp(-0.5 * ((grid - centre[:, 0]) / 2) ** 2)
    columns = np.exp(-0.5 * ((grid - centre[:, 1]) / 2) ** 2)
    return np.rint(255 * rows[:, :, None] * columns[:, None, :]).astype(np.uint8)


def test_it_learns_where_things_are():
    """Moving spots: a dimension for each direction, so that two explain most of the picture."""
    X = blobs(600, 16)
    settings = {**CONV, "max_epochs": 25, "batch_size": 32, "learning_rate": 3e-3}
    settings["hidden_layer_sizes"] = (64,)
    vae = GaussianVAETransformer(n_components=2, **settings).fit(X[:500])
    error = vae.inverse_transform(vae.transform(X[500:])) - X[500:]
    baseline = X[500:] - X[:500].mean(axis=0)
    assert np.square(error).sum() < 0.3 * np.square(baseline).sum()


def test_discretized_logistic_scores_levels():
    X = blobs(300, 9)
    settings = {**CONV, "max_epochs": 12, "batch_size": 32, "learning_rate": 5e-3}
    vae = GaussianVAETransformer(n_components=2, likelihood="discretized_logistic", **settings)
    vae.fit(X[:250])
    assert vae.likelihood_ == "discretized_logistic"
    score = vae.score(X[250:])
    # Log-probabilities of levels, better than a fair die of 256 sides.
    assert -81 * np.log(256) < score < 0
    back = vae.inverse_transform(vae.transform(X[250:]))
    assert back.min() >= 0
    assert 100 < back.max() <= 255
    # The same as floats in [0, 1].
    scaled = GaussianVAETransformer(n_components=2, likelihood="discretized_logistic", **settings)
    scaled.fit((X[:250] / 255).astype(np.float32))
    assert scaled.score((X[250:] / 255).astype(np.float32)) == pytest.approx(score, rel=0.02)
    with pytest.raises(ValueError, match="needs X in"):
        GaussianVAETransformer(likelihood="discretized_logistic").fit(X.astype(float))
