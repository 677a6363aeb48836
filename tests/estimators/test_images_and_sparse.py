"""Images of any number of dimensions, bytes, sparse rows, the user's own networks, binarisation."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

from skccvae import GaussianVAETransformer, SphericalVAETransformer

RNG = np.random.default_rng(0)
GREY = RNG.random((30, 6, 4))
COLOUR = RNG.integers(0, 256, size=(30, 4, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "X", [GREY, COLOUR, COLOUR.astype(np.float32) / 255], ids=["grey", "bytes", "float32"]
)
def test_images_keep_their_shape(make, X):
    vae = make().fit(X)
    flat = X.reshape(30, -1)
    Z = vae.transform(X)
    assert vae.n_features_in_ == flat.shape[1]
    assert np.array_equal(Z, vae.transform(flat))
    assert np.array_equal(Z, make().fit(flat).transform(flat))
    shape = X.shape[1:]
    assert vae.inverse_transform(Z).shape == (30, *shape)
    assert vae.interpolate(X[:2], X[2:4], 5).shape == (2, 5, *shape)
    assert vae.score_samples(X, 2).shape == (30,)
    if hasattr(vae, "sample"):
        assert vae.sample(3).shape == (3, *shape)
        assert vae.posterior_distribution(X).batch_shape == (30,)
    assert make().fit(flat).inverse_transform(Z).shape == flat.shape


def test_nested_lists_are_images_too():
    vae = GaussianVAETransformer(max_epochs=1, hidden_layer_sizes=(8,), random_state=0)
    expected = vae.fit_transform(GREY)
    assert np.array_equal(vae.fit_transform(GREY.tolist()), expected)


def test_bytes_are_intensities_and_come_back_in_their_units(make):
    X = COLOUR
    settings = {"max_epochs": 30, "learning_rate": 1e-2, "likelihood": "bernoulli"}
    vae = make(**settings).fit(X)
    back = vae.inverse_transform(vae.transform(X))
    assert back.min() >= 0
    assert 1 < back.max() <= 255
    assert abs(back.mean() - X.mean()) < 10
    same = make(**settings).fit(X.astype(np.float32) / np.float32(255))
    np.testing.assert_allclose(same.transform(X / 255), vae.transform(X), rtol=1e-4, atol=1e-5)


def test_a_users_encoder_sees_images_and_a_decoder_may_return_them():
    seen = []

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv2d(1, 2, 3)

        def forward(self, x):
            seen.append(tuple(x.shape))
            return self.convolution(x[:, None])

    encoder = Encoder()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    decoder = nn.Sequential(nn.Linear(3, 24), nn.Unflatten(1, (1, 6, 4)))
    settings = {"max_epochs": 2, "random_state": 0, "batch_size": 16}
    vae = SphericalVAETransformer(encoder=encoder, decoder=decoder, **settings).fit(GREY)
    assert set(seen[1:]) <= {(2, 6, 4), (16, 6, 4), (14, 6, 4)}
    assert vae.inverse_transform(vae.transform(GREY)).shape == GREY.shape
    # Fitting trains a copy.
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert vae.encoder is encoder
    # Flat rows with image_shape reach the same network.
    flat = SphericalVAETransformer(
        encoder=encoder, decoder=decoder, image_shape=(6, 4), **settings
    ).fit(GREY.reshape(30, 24))
    assert np.array_equal(flat.transform(GREY.reshape(30, 24)), vae.transform(GREY))
    assert flat.inverse_transform(flat.transform(GREY.reshape(30, 24))).shape == (30, 24)


def test_callables_build_networks_from_sizes(make, small):
    sizes = {}

    def encoder(n_features):
        sizes["encoder"] = n_features
        return nn.Sequential(nn.Linear(n_features, 7), nn.Tanh())

    def decoder(n_inputs, n_outputs):
        sizes["decoder"] = n_inputs, n_outputs
        return nn.Linear(n_inputs, n_outputs)

    vae = make(encoder=encoder, decoder=decoder).fit(small)
    assert sizes["encoder"] == 5
    assert sizes["decoder"] == (vae.net_.module_.latent.n_features, 5)
    assert np.isfinite(vae.transform(small)).all()
    assert vae.net_.module_.head.in_features == 7


def test_weights_of_a_callables_network_follow_the_random_state(small):
    def fit():
        return GaussianVAETransformer(
            encoder=lambda n: nn.Linear(n, 4), max_epochs=1, random_state=3
        ).fit(small)

    torch.manual_seed(1)
    first = fit().transform(small)
    torch.manual_seed(2)
    assert np.array_equal(fit().transform(small), first)


def test_dropout_and_batch_norm_are_off_outside_of_training(small):
    def encoder(n):
        return nn.Sequential(nn.Linear(n, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5))

    vae = GaussianVAETransformer(encoder=encoder, max_epochs=3, random_state=0).fit(small)
    Z = vae.transform(small)
    assert np.array_equal(vae.transform(small), Z)
    np.testing.assert_allclose(vae.transform(small[:3]), Z[:3], rtol=1e-5, atol=1e-6)
    vae.partial_fit(small)
    assert not vae.net_.module_.training


# --- sparse ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ones", "real"])
def test_a_sparse_matrix_is_never_made_dense(kind):
    X = sp.random(6000, 3000, density=2e-3, format="csr", random_state=0, dtype=np.float64)
    if kind == "ones":
        X.data[:] = 1.0
    else:
        X.data = RNG.normal(size=X.nnz)
    dense = 6000 * 3000 * 4
    settings = {"max_epochs": 1, "hidden_layer_sizes": (4,), "batch_size": 64}
    # A start at components has dense rows, of a bounded size.
    vae = GaussianVAETransformer(init="random", **settings)
    vae.fit(X[:256])  # what is imported and compiled at the first call is not counted
    tracemalloc.start()
    try:
        vae.fit(X)
        fitted = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert fitted < 0.15 * dense
    assert fitted > 64 * 3000 * 4  # the tracer does see a batch
    assert vae.likelihood_ == ("bernoulli" if kind == "ones" else "isotropic_gaussian")
    assert vae.transform(X).shape[0] == 6000


def test_sparse_scores_equal_dense_ones(make):
    X = (RNG.random((40, 30)) < 0.1).astype(np.float64)
    vae = make().fit(sp.csr_array(X))
    np.testing.assert_allclose(
        vae.score_samples(sp.csr_array(X), 4), vae.score_samples(X, 4), rtol=1e-6
    )


# --- binarisation ---------------------------------------------------------------------------------


def test_a_threshold_makes_pixels_zero_or_one(make, small):
    vae = make(binarize=0.3).fit(small)
    cut = (small > 0.3).astype(float)
    assert np.array_equal(vae.transform(small), vae.transform(cut))
    assert np.array_equal(vae.transform(small), make().fit(cut).transform(cut))
    assert np.array_equal(
        make(binarize=np.float32(0.5)).fit(small).transform(small),
        make(binarize=0.5).fit(small).transform(small),
    )


def test_a_threshold_on_bytes_is_in_units_of_full_intensity(make):
    X = COLOUR.reshape(30, -1)
    vae = make(binarize=0.5).fit(X)
    cut = (X > 127).astype(np.uint8) * 255
    assert np.array_equal(vae.transform(X), vae.transform(cut))
    _, batch = next(iter(vae._batches(X, 30)))
    assert set(np.unique(batch.x)) == {0.0, 1.0}


def test_dynamic_binarisation_draws_pixels_afresh_in_each_epoch(small):
    from skorch.callbacks import Callback

    batches = []

    class Spy(Callback):
        def on_batch_begin(self, net, batch=None, **kwargs):
            batches.append(batch[0].clone())

    n = 40
    X = np.tile(np.linspace(0, 1, 11), (500, 1))
    GaussianVAETransformer(
        binarize="dynamic",
        callbacks=[Spy()],
        max_epochs=n,
        batch_size=500,
        random_state=0,
        hidden_layer_sizes=(4,),
    ).fit(X)
    drawn = torch.stack(batches)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(drawn[0], drawn[1])
    frequency = drawn.mean(dim=(0, 1)).numpy()
    error = 5 * np.sqrt(X[0] * (1 - X[0]) / (500 * n))
    assert (np.abs(frequency - X[0]) <= error).all()


def test_dynamic_binarisation_scores_each_row_with_one_draw(small):
    vae = GaussianVAETransformer(
        binarize="dynamic", max_epochs=2, hidden_layer_sizes=(8,), random_state=0
    ).fit(small)
    scores = vae.score_samples(small)
    assert np.array_equal(scores, vae.score_samples(small))
    # Rows of zeros and ones are not changed by the draw.
    ones = np.rint(small)
    plain = GaussianVAETransformer(max_epochs=2, hidden_layer_sizes=(8,), random_state=0)
    plain.fit(ones)
    plain.net_.module_.load_state_dict(vae.net_.module_.state_dict())
    plain._entropy = vae._entropy
    np.testing.assert_allclose(vae.score_samples(ones), plain.score_samples(ones), rtol=1e-6)
