"""``precision="bfloat16"``: training steps with rounded products, and float32 everywhere else."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

import skccvae
from skccvae import (
    AutoencoderTransformer,
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)
from skccvae.estimators import ESTIMATORS, _precision
from skccvae.nn import LIKELIHOODS, NORMAL_LATENTS, UNIFORM_LATENTS

FAST = {"max_epochs": 4, "hidden_layer_sizes": (32, 16), "random_state": 0}
ROUNDED = {"precision": "bfloat16", **FAST}
# Losses of the last epoch agree to four units of the rounding of bfloat16, 2^-8. One rounding moves
# an output by half a unit at most. Noise and order of the rows are the same.
RELATIVE = 4 * 2.0**-8


@pytest.fixture(scope="module")
def real():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 12))
    return (plane + 0.3 * rng.normal(size=plane.shape)).astype(np.float32)


def losses(vae, X, **arguments):
    return [
        copied.fit(X, **arguments).history_["train_loss"][-1]
        for copied in (clone(vae).set_params(precision=p) for p in ("float32", "bfloat16"))
    ]


def assert_close(vae, X, **arguments):
    plain, rounded = losses(vae, X, **arguments)
    assert np.isfinite(rounded)
    assert plain != rounded
    assert rounded == pytest.approx(plain, rel=RELATIVE)


POSTERIORS = [
    *((SphericalVAETransformer, name) for name in (*UNIFORM_LATENTS, *NORMAL_LATENTS)),
    *((HyperbolicVAETransformer, name) for name in NORMAL_LATENTS),
    *((ConstantCurvatureVAETransformer, name) for name in NORMAL_LATENTS),
]


@pytest.mark.parametrize("cls", ESTIMATORS.values())
def test_every_estimator(cls, real):
    assert_close(cls(**FAST), real)


@pytest.mark.parametrize(("cls", "posterior"), POSTERIORS)
def test_every_posterior(cls, posterior, real):
    assert_close(cls(posterior=posterior, **FAST), real)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood(likelihood, real):
    X = {
        "poisson": np.floor(np.exp(real / 4)),
        "negative_binomial": np.floor(np.exp(real / 4)),
        "von_mises": np.arctan(real),
    }.get(likelihood, real)
    if LIKELIHOODS[likelihood].support == (0.0, 1.0):
        X = 1 / (1 + np.exp(-real))
    assert_close(GaussianVAETransformer(2, likelihood=likelihood, **FAST), X)


@pytest.mark.parametrize(
    "settings",
    [
        {"init": "random"},
        {"hidden_layer_sizes": ()},
        {"activation": "tanh"},
        {"early_stopping": True},
        {"distance_weight": 1.0},
        {"n_latent_samples": 3},
        {"objective": "iwae", "n_latent_samples": 3},
        {"free_bits": 0.1},
        {"weight_decay": 0.1},
        {"decoder_input": "gyroplane"},
    ],
    ids=str,
)
def test_settings_of_training(settings, real):
    assert_close(HyperbolicVAETransformer(2, **{**FAST, **settings}), real)


def test_products_weights_labels_and_missing_values(real):
    assert_close(MixedCurvatureVAETransformer("h2,s2,e2", **FAST), real)
    weights = np.random.default_rng(1).random(len(real))
    assert_close(SphericalVAETransformer(2, **FAST), real, sample_weight=weights)
    assert_close(GaussianVAETransformer(2, supervised_weight=1.0, **FAST), real, y=real[:, 0])
    holes = np.where(np.random.default_rng(2).random(real.shape) < 0.1, np.nan, real)
    for settings in ({}, {"init": "random"}):
        vae = GaussianVAETransformer(2, missing="mask", **FAST, **settings)
        assert_close(vae, holes)


def test_images():
    X = np.random.default_rng(0).random((60, 9, 9))
    settings = {"encoder": "conv", "decoder": "conv", "likelihood": "bernoulli", **FAST}
    assert_close(GaussianVAETransformer(2, **settings), X)
    X[0, 0, 0] = np.nan
    assert_close(GaussianVAETransformer(2, missing="mask", **settings), X)


def test_dynamic_binarisation():
    X = np.random.default_rng(0).random((200, 9))
    plain, rounded = losses(GaussianVAETransformer(2, binarize="dynamic", **FAST), X)
    # The pixels are other draws: 1800 of them, of standard deviation at most half a logit's spread.
    assert rounded == pytest.approx(plain, rel=0.05)


def test_modules_of_the_users(real):
    encoder = torch.nn.Sequential(
        torch.nn.Linear(12, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.LayerNorm(16)
    )
    vae = GaussianVAETransformer(2, encoder=encoder, **FAST)
    assert_close(vae, real)
    vae.set_params(precision="bfloat16").fit(real)
    trained = vae.net_.module_.encoder.module
    assert trained[1].running_mean.abs().sum() > 0
    assert all(p.dtype == torch.float32 for p in trained.parameters())


@pytest.mark.parametrize(
    "normalised",
    [
        torch.nn.utils.spectral_norm,
        torch.nn.utils.parametrizations.spectral_norm,
        torch.nn.utils.parametrizations.weight_norm,
    ],
)
def test_normalised_layers_of_the_users(normalised, real):
    encoder = torch.nn.Sequential(normalised(torch.nn.Linear(12, 16)), torch.nn.Tanh())
    assert_close(GaussianVAETransformer(2, encoder=encoder, **FAST), real)


def test_what_follows_training_is_float32(real):
    vae = GaussianVAETransformer(2, **ROUNDED).fit(real)
    module = vae.net_.module_
    assert module.rounded is None
    assert all(t.dtype == torch.float32 for t in module.state_dict().values())
    # The same weights in a model of float32 give the same codes and scores.
    plain = copy.deepcopy(vae).set_params(precision="float32")
    np.testing.assert_array_equal(vae.transform(real), plain.transform(real))
    np.testing.assert_array_equal(vae.score_samples(real, 4), plain.score_samples(real, 4))


def test_repeatable_saved_pickled_and_cloned(real, tmp_path):
    vae = HyperbolicVAETransformer(2, **ROUNDED).fit(real)
    Z = vae.transform(real)
    vae.save(tmp_path / "model")
    for same in (
        clone(vae).fit(real),
        pickle.loads(pickle.dumps(vae)),
        skccvae.load(tmp_path / "model"),
    ):
        assert same.precision == "bfloat16"
        np.testing.assert_array_equal(same.transform(real), Z)
    # Training goes on in a pickle as in the original.
    back = pickle.loads(pickle.dumps(vae)).partial_fit(real)
    vae.partial_fit(real)
    assert len(vae.history_["train_loss"]) == FAST["max_epochs"] + 1
    np.testing.assert_array_equal(back.transform(real), vae.transform(real))
    loaded = skccvae.load(tmp_path / "model").partial_fit(real)
    assert np.isfinite(loaded.transform(real)).all()


def test_precision_may_change_between_trainings(real):
    vae = SphericalVAETransformer(2, warm_start=True, **FAST).fit(real)
    before = vae.history_["train_loss"][-1]
    vae.set_params(precision="bfloat16").fit(real)
    assert vae.net_.precision == "bfloat16"
    assert len(vae.history_["train_loss"]) == 2 * FAST["max_epochs"]
    assert vae.history_["train_loss"][-1] < before * (1 + RELATIVE)
    vae.set_params(precision="float32").partial_fit(real)
    assert vae.net_.precision == "float32"


def test_copies_during_training_hold_no_rounded_weights(real):
    from skorch.callbacks import Callback

    copies = []

    class Keep(Callback):
        def on_batch_end(self, net, **kwargs):
            if not copies:
                copies.append(pickle.loads(pickle.dumps(net)))
                copies.append(copy.deepcopy(net.module_))
                assert net.module_.rounded is not None

    GaussianVAETransformer(2, callbacks=[Keep()], **ROUNDED).fit(real)
    assert copies[0].module_.rounded is None
    assert copies[1].rounded is None


def test_auto(real, monkeypatch, capsys):
    wide = np.random.default_rng(0).random((128, 1100), dtype=np.float32)
    vae = AutoencoderTransformer(2, precision="auto", max_epochs=1, random_state=0)
    taken = []
    for known in (True, False):
        monkeypatch.setattr(_precision, "knows_bfloat16", lambda device, known=known: known)
        for X in (wide, real):
            taken.append(clone(vae).fit(X).net_.precision)
    assert taken == ["bfloat16", "float32", "float32", "float32"]
    assert capsys.readouterr().out == ""
    plain = clone(vae).set_params(precision="float32").fit_transform(real)
    np.testing.assert_array_equal(clone(vae).set_params(verbose=1).fit_transform(real), plain)
    assert "precision='auto' takes 'float32'" in capsys.readouterr().out
