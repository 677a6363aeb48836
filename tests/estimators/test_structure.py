"""What a model was built with, and what comes later: parameters, units, targets, far rows."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

import skccvae
from skccvae import (
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
)
from skccvae.distributions import ProjectedNormal, RiemannianNormal
from skccvae.nn.latent._flat import DiagonalNormal

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


def test_the_family_that_auto_stands_for_is_told(tmp_path):
    for curvature, dim, family in [(0.5, 2, "riemannian_normal"), (-1.0, 60, "wrapped_normal")]:
        vae = ConstantCurvatureVAETransformer(dim, curvature=curvature, **FAST).fit(X)
        vae.save(tmp_path / family)
        assert vae.posterior_ == skccvae.load(tmp_path / family).posterior_ == family
        assert vae.posterior == "auto"
    product = MixedCurvatureVAETransformer("e1,s2,h1", **FAST).fit(X)
    assert product.posterior_ == ["normal", "von_mises_fisher", "wrapped_normal"]
    product.set_params(prior_scale=0.5).fit(X)
    assert product.posterior_ == ["normal", "von_mises_fisher", "wrapped_normal"]
    product.set_params(learn_curvature=True).fit(X)
    assert product.posterior_ == ["wrapped_normal"] * 3


@pytest.mark.parametrize(
    "change",
    [
        {"curvature": -3.0},
        {"n_components": 5},
        {"binarize": "dynamic"},
        {"binarize": 0.5},
        {"image_shape": (1, 5)},
        {"device": torch.device("cpu")},
    ],
    ids=str,
)
def test_training_on_refuses_what_it_cannot_follow(change):
    vae = HyperbolicVAETransformer(warm_start=True, **FAST).fit(X)
    vae.set_params(**change)
    for method in (vae.fit, vae.partial_fit):
        with pytest.raises(ValueError, match="when the model was built"):
            method(X)


@pytest.mark.parametrize(
    ("name", "value", "change"),
    [
        ("posterior", {"s": "projected_normal"}, lambda v: v.update(s="spherical_cauchy")),
        ("curvature", [1.0, -1.0], lambda v: v.__setitem__(0, 2.0)),
        ("curvature", np.array([1.0, -1.0]), lambda v: v.__setitem__(0, 2.0)),
    ],
    ids=["dict", "list", "array"],
)
def test_a_parameter_changed_in_place_is_noticed(name, value, change, tmp_path):
    vae = MixedCurvatureVAETransformer("s2,h1", warm_start=True, **{name: value}, **FAST).fit(X)
    built, Z = copy.deepcopy(value), vae.transform(X)
    change(value)
    with pytest.raises(ValueError, match=f"{name} was .* when the model was built"):
        vae.fit(X)
    vae.save(tmp_path / "model")
    loaded = skccvae.load(tmp_path / "model")
    assert np.array_equal(getattr(loaded, name), built)
    assert np.array_equal(loaded.transform(X), Z)


def test_families_of_the_factors_of_a_product(tmp_path):
    chosen = {"s": "projected_normal", "h": "riemannian_normal"}
    vae = MixedCurvatureVAETransformer("2s2,h1,e1", posterior=chosen, **FAST).fit(X)
    assert vae.posterior_ == ["projected_normal"] * 2 + ["riemannian_normal", "normal"]
    assert chosen == {"s": "projected_normal", "h": "riemannian_normal"}
    laws = [type(law) for law in vae.posterior_distribution(X).factors]
    assert laws == [ProjectedNormal, ProjectedNormal, RiemannianNormal, DiagonalNormal]
    # the first factor is the sphere of SphericalVAETransformer
    first = vae.net_.module_.latent.factors[0]
    assert isinstance(first, skccvae.nn.ProjectedNormalLatent)
    for copied in (pickle.loads(pickle.dumps(vae)), clone(vae).fit(X)):
        assert copied.posterior == chosen
        assert np.array_equal(copied.transform(X), vae.transform(X))
    # letters without an entry keep their default, also those that the signature lacks
    vae = MixedCurvatureVAETransformer("h1,s1", posterior={"e": "normal"}, **FAST).fit(X)
    assert vae.posterior_ == ["wrapped_normal", "von_mises_fisher"]
    vae.set_params(posterior="wrapped_normal").fit(X)
    assert vae.posterior_ == ["wrapped_normal", "wrapped_normal"]
    vae.set_params(posterior={"s": "riemannian_normal"}, learn_curvature=True).fit(X)
    assert vae.posterior_ == ["wrapped_normal", "riemannian_normal"]


def test_a_dict_and_a_name_make_the_same_product():
    one, other, auto = (
        MixedCurvatureVAETransformer("s2,h1", posterior=posterior, **FAST).fit_transform(X)
        for posterior in ({"s": "wrapped_normal"}, "wrapped_normal", "auto")
    )
    assert np.array_equal(one, other)
    assert not np.array_equal(one, auto)


@pytest.mark.parametrize(
    ("posterior", "message"),
    [
        ({"x": "normal"}, "posterior names a family for 'x'; a factor has the letter 'e', 's'"),
        ({0: "normal"}, "posterior names a family for 0"),
        ({"h": "projected_normal"}, r"'h'; choose from \['wrapped_normal', 'riemannian_normal'\]"),
        ({"s": "normal"}, r"'s'; choose from \['von_mises_fisher'"),
        ({"e": "wrapped_normal"}, r"'e'; choose from \['normal'\]"),
        ({"s": None}, "not one of the families of the factors 's'"),
        ({"s": ["wrapped_normal"]}, "not one of the families of the factors 's'"),
        ("projected_normal", r"A dict names a family .* \{'s': 'projected_normal'\}"),
        (3, "or an instance of 'dict'"),
    ],
    ids=str,
)
def test_wrong_families_of_factors_are_refused(posterior, message):
    with pytest.raises(ValueError, match=message):
        MixedCurvatureVAETransformer("s2,h1,e1", posterior=posterior, **FAST).fit(X)


def test_a_uniform_prior_does_not_go_with_a_learned_curvature():
    vae = MixedCurvatureVAETransformer(
        "s2", posterior={"s": "projected_normal"}, learn_curvature=True, **FAST
    )
    with pytest.raises(ValueError, match="with a learned curvature; choose from"):
        vae.fit(X)


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


@pytest.mark.parametrize("posterior", ["wrapped_normal", "riemannian_normal"])
def test_far_rows_under_a_learned_curvature_are_where_the_posterior_is(posterior):
    """The bounds on a location are those of the curvature reached, not of the start."""
    vae = ConstantCurvatureVAETransformer(
        curvature=0.0, learn_curvature=True, posterior=posterior, likelihood="gaussian", **FAST
    ).fit(X)
    latent = vae.net_.module_.latent
    with torch.no_grad():
        latent.learned.fill_(-0.3)
    vae._update_fitted()
    assert vae.curvature_ < -0.5
    for size in (1, 100, 10_000):
        Z = vae.transform(size * X)
        loc = vae.posterior_distribution(size * X).loc.double()
        np.testing.assert_allclose(Z, vae.manifold_.log0(loc).numpy(), rtol=1e-3, atol=1e-3)
    assert np.linalg.norm(Z, axis=1).max() > 5  # far enough for the bound to matter


@pytest.mark.parametrize(
    "vae",
    [
        HyperbolicVAETransformer(coordinates="stereographic"),
        MixedCurvatureVAETransformer("h2,e1,h1", coordinates="stereographic"),
    ],
)
def test_ball_coordinates_of_far_rows_can_be_decoded(vae):
    vae.set_params(likelihood="gaussian", **FAST).fit(X)
    Z = vae.transform(1e6 * X)
    assert np.isfinite(vae.inverse_transform(Z)).all()
    outside = Z / np.linalg.norm(Z[:, :2], axis=1, keepdims=True)
    with pytest.raises(ValueError, match="inside the ball"):
        vae.inverse_transform(1.001 * outside)


def test_bytes_and_fractions_are_not_confused():
    levels = np.random.default_rng(0).integers(0, 256, (40, 6), dtype=np.uint8)
    settings = {**FAST, "likelihood": "bernoulli"}
    on_bytes = GaussianVAETransformer(**settings).fit(levels)
    with pytest.warns(UserWarning, match="Multiply pixels in .* by 255"):
        on_bytes.transform(levels / 255.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        on_bytes.transform(levels.astype(float))
        on_bytes.transform(np.zeros((2, 6)))
    on_fractions = GaussianVAETransformer(**settings).fit(levels / 255.0)
    for method in (on_fractions.transform, on_fractions.posterior_distribution):
        with pytest.raises(ValueError, match="Divide X by 255"):
            method(levels)


def test_early_stopping_within_the_warm_up_is_said_to_have_no_effect():
    vae = GaussianVAETransformer(early_stopping=True, kl_warmup_epochs=5, **FAST)
    with pytest.warns(UserWarning, match="has no effect"):
        vae.fit(X)


RNG = np.random.default_rng(1)
REAL, TEXT = RNG.normal(size=60), RNG.choice(["a", "b"], 60)


@pytest.mark.parametrize(
    ("y", "n_classes"),
    [
        ([None] * 5 + REAL[5:].tolist(), [0]),
        (pd.DataFrame({"real": REAL, "text": TEXT}), [0, 2]),
        (np.round(1000 * np.abs(REAL)), [0]),
        (RNG.integers(0, 10, 60), [10]),
        (np.where(REAL > 0, np.nan, 1.0 + (REAL < -1)), [2]),
        (np.array([None, *TEXT[1:]], dtype=object), [2]),
    ],
)
def test_kinds_of_targets(y, n_classes):
    vae = GaussianVAETransformer(supervised_weight=1.0, **FAST).fit(X, y)
    assert vae.net_.module_.predictor.n_classes == n_classes
    assert np.isfinite(vae.loss_curve_).all()


def test_target_of_mixed_kinds_is_refused():
    y = np.array(["a", 1.0] * 30, dtype=object)
    with pytest.raises(ValueError, match="holds float and str.*not a mixture"):
        GaussianVAETransformer(supervised_weight=1.0, **FAST).fit(X, y)


@pytest.mark.parametrize("curvature", [1e-6, -1e-6])
@pytest.mark.parametrize("posterior", ["wrapped_normal", "riemannian_normal"])
def test_flat_limit_of_a_whole_fit(curvature, posterior):
    """ELBO and embedding after training, within 1e-4 of those at K = 0."""
    settings = {**FAST, "posterior": posterior, "likelihood": "gaussian"}
    flat = ConstantCurvatureVAETransformer(curvature=0.0, **settings).fit(X)
    near = ConstantCurvatureVAETransformer(curvature=curvature, **settings).fit(X)
    for name, value in flat.evaluate(X).items():
        assert near.evaluate(X)[name] == pytest.approx(value, rel=1e-4, abs=1e-4)
    np.testing.assert_allclose(near.transform(X), flat.transform(X), atol=1e-4)
