"""free_bits: what the KL costs in training, which reported bounds ignore."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skccvae import (
    AutoencoderTransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)
from skccvae.training import NegativeELBO

FAST = {"hidden_layer_sizes": (16,), "max_epochs": 3, "random_state": 0}
X = np.random.default_rng(0).random((60, 5)).astype(np.float32)


def weights(vae):
    return [v.numpy().copy() for v in vae.net_.module_.state_dict().values()]


def test_the_penalty_is_a_floor_for_each_factor():
    loss = NegativeELBO(free_bits=0.5)
    kl, parts = torch.tensor(4.0), (torch.tensor(0.3), torch.tensor(3.7))
    assert float(loss.penalty(kl, parts, [2, 3])) == pytest.approx(1.0 + 3.7)
    assert float(loss.penalty(kl, (), [2])) == 4.0
    assert float(loss.penalty(kl, (), [20])) == 10.0
    assert NegativeELBO().penalty(kl, parts, [2, 3]) is kl


def test_below_the_floor_there_is_no_gradient():
    parts = torch.tensor([0.3, 3.7], requires_grad=True)
    loss = NegativeELBO(free_bits=0.5).penalty(parts.sum(), parts.unbind(), [2, 3])
    (gradient,) = torch.autograd.grad(loss, parts)
    assert gradient.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("kind", [GaussianVAETransformer, SphericalVAETransformer])
def test_a_floor_below_the_kl_changes_nothing(kind):
    """Of an exact KL, that is; one estimated from draws may be negative on a batch."""
    default, zero = kind(**FAST).fit(X), kind(free_bits=1e-30, **FAST).fit(X)
    for a, b in zip(weights(default), weights(zero), strict=True):
        assert np.array_equal(a, b)
    assert default.loss_curve_ == zero.loss_curve_


def test_a_floor_far_above_the_kl_is_training_without_it():
    settings = {"learning_rate": 1e-2, **FAST}
    free = GaussianVAETransformer(free_bits=100.0, **settings).fit(X)
    without = GaussianVAETransformer(beta=0.0, **settings).fit(X)
    for a, b in zip(weights(free), weights(without), strict=True):
        assert np.array_equal(a, b)
    # The objective has the floor, 100 nats for each of two dimensions; the bounds have not.
    for loss, elbo, kl in zip(
        free.loss_curve_, free.history_["elbo"], free.history_["kl"], strict=True
    ):
        assert loss == pytest.approx(200 - elbo - kl, rel=1e-5)
        assert kl < 50
    assert free.evaluate(X) == without.evaluate(X)


@pytest.mark.parametrize(
    "vae",
    [
        GaussianVAETransformer(3),
        SphericalVAETransformer(3),
        HyperbolicVAETransformer(3),
        MixedCurvatureVAETransformer("s2,e1"),
    ],
)
def test_no_posterior_collapses_below_the_floor(vae):
    """Rows without structure: alone, the KL goes to 0; with free bits, it stays near the floor."""
    settings = {"max_epochs": 60, "learning_rate": 1e-2, "hidden_layer_sizes": (16,)}
    vae.set_params(random_state=0, likelihood="gaussian", **settings)
    rows = np.random.default_rng(1).normal(size=(256, 6))
    alone = vae.fit(rows).evaluate(rows)
    held = vae.set_params(free_bits=0.4).fit(rows).evaluate(rows)
    assert alone["kl"] < 0.6
    assert 0.9 < held["kl"] < 2.5
    if "kl_s0" in held:
        assert held["kl_s0"] > 0.6
        assert held["kl_e0"] > 0.3


def test_early_stopping_follows_the_objective():
    vae = GaussianVAETransformer(free_bits=50.0, beta=2.0, early_stopping=True, **FAST).fit(X)
    names = ("loss", "reconstruction", "kl", "elbo")
    columns = [vae.history_[f"valid_{name}"] for name in names]
    for loss, reconstruction, kl, elbo in zip(*columns, strict=True):
        assert loss == pytest.approx(2 * 50.0 * 2 - reconstruction)
        assert elbo == pytest.approx(reconstruction - kl)


def test_it_may_change_between_calls():
    vae = GaussianVAETransformer(warm_start=True, **FAST).fit(X)
    vae.set_params(free_bits=100.0).fit(X)
    assert vae.loss_curve_[-1] > 190 > vae.loss_curve_[0]


def test_an_autoencoder_has_no_kl_to_free():
    plain, free = (AutoencoderTransformer(free_bits=b, **FAST).fit(X) for b in (0.0, 3.0))
    assert plain.loss_curve_ == free.loss_curve_


def test_the_importance_weighted_bound_refuses_it(make):
    with pytest.raises(ValueError, match="free_bits=0.5 has no meaning with objective='iwae'"):
        make(objective="iwae", free_bits=0.5).fit(X)
