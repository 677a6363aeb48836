"""``likelihood=`` takes a class: the Laplace recipe in every place where a name may stand."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

import skccvae
from skccvae import GaussianVAETransformer
from skccvae.nn import (
    LIKELIHOODS,
    BernoulliLikelihood,
    GaussianLikelihood,
    Likelihood,
    PoissonLikelihood,
    VonMisesLikelihood,
)


def recipe(name: str):
    """The module of a recipe, importable for pickle."""
    path = Path(__file__).resolve().parents[1] / "recipes" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


LaplaceLikelihood = recipe("laplace").LaplaceLikelihood
FAST = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0}
X = np.random.default_rng(0).laplace(size=(90, 4)) * [1.0, 10.0, 100.0, 1000.0] + 5.0


class Halves(Likelihood):
    """Bits with NaN for those not observed, each with probability 1/2 or as the decoder says."""

    support = (0.0, 1.0)
    allow_nan = True
    accept_sparse = False
    fingerprint = "bits"

    def encoder_inputs(self, x):
        return x.nan_to_num(0.5)

    def row_content(self, x):
        return x.nan_to_num(-1.0)

    def log_prob_terms(self, outputs, x):
        bits = x.nan_to_num(0.5).expand_as(outputs)
        terms = -nn.functional.binary_cross_entropy_with_logits(outputs, bits, reduction="none")
        return torch.where(x.isnan(), 0.0, terms)

    def mean(self, outputs):
        return outputs.sigmoid()


# As in `test_sklearn_contract.py`: no stochastic fit gives equal codes for repeated rows.
WEIGHTS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "repeated rows change order and noise"
    for kind in ("dense", "sparse")
}


@pytest.mark.sklearn_contract
@parametrize_with_checks(
    [GaussianVAETransformer(likelihood=LaplaceLikelihood, max_epochs=2, hidden_layer_sizes=(8,))],
    expected_failed_checks=lambda estimator: WEIGHTS,
)
def test_check_estimator(estimator, check):
    check(estimator)


def test_every_method_of_every_estimator(make):
    vae = make(likelihood=LaplaceLikelihood).fit(X)
    assert vae.likelihood_ == "recipe_laplace.LaplaceLikelihood"
    Z = vae.transform(X)
    back = vae.inverse_transform(Z)
    assert back.shape == X.shape
    for found in (Z, back, vae.score_samples(X, 4), list(vae.evaluate(X, 4).values())):
        assert np.isfinite(found).all()
    assert np.isfinite(vae.interpolate(X[:2], X[2:4], 3)).all()
    assert vae.partial_fit(X).n_iter_ == 1


def test_sampling_in_the_users_units():
    vae = GaussianVAETransformer(likelihood=LaplaceLikelihood, **FAST).fit(X)
    rows = vae.sample(200)
    assert rows.shape == (200, 4)
    # A model that knows little draws rows near the mean, on the scale of the columns.
    assert (np.abs(rows.mean(axis=0) - X.mean(axis=0)) < 2 * X.std(axis=0)).all()


def test_the_reconstruction_is_the_laplace_density_of_X():
    vae = GaussianVAETransformer(likelihood=LaplaceLikelihood, **FAST).fit(X)
    likelihood, scale = vae.net_.module_.likelihood, vae._input.units.scale
    outputs = torch.zeros(len(X), 4, dtype=torch.float64)
    with torch.no_grad():
        rows = torch.from_numpy((X - vae._input.units.center) / scale)
        found = likelihood.log_prob_terms(outputs, rows).numpy()
        width = (0.01 + nn.functional.softplus(likelihood.raw_width)).numpy() * scale
    expected = stats.laplace(vae._input.units.center, width).logpdf(X)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


def test_it_fits_its_own_noise_better_than_a_gaussian():
    settings = {**FAST, "max_epochs": 60, "learning_rate": 1e-2}
    rows = np.random.default_rng(1).laplace(size=(1000, 3))
    scores = {
        kind: GaussianVAETransformer(1, likelihood=kind, **settings).fit(rows).score(rows)
        for kind in (LaplaceLikelihood, "gaussian")
    }
    exact = stats.laplace.logpdf(rows).sum(axis=1).mean()
    assert scores[LaplaceLikelihood] == pytest.approx(exact, abs=0.15)
    assert scores[LaplaceLikelihood] > scores["gaussian"] + 0.1


def test_clone_and_pickle():
    vae = GaussianVAETransformer(likelihood=LaplaceLikelihood, **FAST)
    assert clone(vae).get_params() == vae.get_params()
    vae.fit(X)
    again = pickle.loads(pickle.dumps(vae))
    assert again.likelihood is LaplaceLikelihood
    assert np.array_equal(again.score_samples(X, 4), vae.score_samples(X, 4))
    assert np.array_equal(again.partial_fit(X).transform(X), vae.partial_fit(X).transform(X))


def test_a_search_over_names_and_classes():
    kinds = ["auto", "gaussian", LaplaceLikelihood, GaussianLikelihood, "normal"]
    search = GridSearchCV(GaussianVAETransformer(**FAST), {"likelihood": kinds}, cv=2)
    with (
        pytest.warns(FitFailedWarning, match="2 fits failed"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        search.fit(X)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores[:4]).all()
    assert np.isnan(scores[4])
    assert scores[0] == scores[1] == scores[3]
    assert scores[2] != scores[1]


def test_a_class_is_saved_by_name_and_loaded_if_it_is_trusted(tmp_path):
    path = tmp_path / "model"
    vae = GaussianVAETransformer(likelihood=LaplaceLikelihood, **FAST).fit(X)
    vae.save(path)
    with pytest.raises(ValueError, match=r"names '.*\.LaplaceLikelihood', which is not in"):
        skccvae.load(path)
    again = skccvae.load(path, trusted=(LaplaceLikelihood,))
    assert again.likelihood is LaplaceLikelihood
    assert again.likelihood_ == vae.likelihood_
    assert np.array_equal(again.score_samples(X, 4), vae.score_samples(X, 4))
    vae = GaussianVAETransformer(likelihood=GaussianLikelihood, **FAST).fit(X)
    assert vae.likelihood_ == "gaussian"
    vae.save(path)
    again = skccvae.load(path)
    assert np.array_equal(again.score_samples(X, 4), vae.score_samples(X, 4))


def test_warm_start_keeps_the_class():
    vae = GaussianVAETransformer(likelihood=LaplaceLikelihood, warm_start=True, **FAST)
    assert len(vae.fit(X).fit(X).loss_curve_) == 4
    with pytest.raises(ValueError, match="likelihood was .*LaplaceLikelihood"):
        vae.set_params(likelihood="gaussian").fit(X)


# --- what a class says of itself ------------------------------------------------------------------


def test_missing_entries_and_sparse_rows():
    bits = (np.random.default_rng(2).random((60, 5)) < 0.4).astype(float)
    bits[::4, 1] = np.nan
    vae = GaussianVAETransformer(likelihood=Halves, **FAST).fit(bits)
    assert np.isfinite(vae.score_samples(bits, 4)).all()
    with pytest.raises(ValueError, match=r"likelihood='.*Halves' needs X in \[0, 1\]; X runs from"):
        vae.fit(2 * bits)
    with pytest.raises(TypeError, match=r"Halves' needs a dense X.* with NaN for entries"):
        vae.fit(sp.csr_array(np.nan_to_num(bits)))
    with pytest.raises(ValueError, match="all NaN, the first at 0"):
        vae.fit(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="binarize=0.5 makes X 0 or 1"):
        GaussianVAETransformer(likelihood=Halves, binarize=0.5, **FAST).fit(bits)


def test_a_subclass_inherits_facts_and_may_change_them():
    class Shifted(PoissonLikelihood):
        support = (1.0, np.inf)

    counts = np.arange(8.0).reshape(4, 2)
    with pytest.raises(ValueError, match="needs counts"):
        GaussianVAETransformer(likelihood=Shifted, **FAST).fit(counts)
    vae = GaussianVAETransformer(likelihood=Shifted, **FAST).fit(counts + 1)
    assert vae.likelihood_.endswith("<locals>.Shifted")


@pytest.mark.parametrize(
    ("likelihood", "sparse", "allow_nan", "positive_only"),
    [
        ("auto", True, False, False),
        ("gaussian", True, False, False),
        ("bernoulli", True, False, True),
        ("poisson", True, False, True),
        ("von_mises", False, True, False),
        (VonMisesLikelihood, False, True, False),
        (LaplaceLikelihood, True, False, False),
        (Halves, False, True, True),
        ("normal", False, False, False),
        (None, False, False, False),
    ],
)
def test_tags_are_those_of_the_class(likelihood, sparse, allow_nan, positive_only):
    tags = GaussianVAETransformer(likelihood=likelihood).__sklearn_tags__().input_tags
    assert (tags.sparse, tags.allow_nan, tags.positive_only) == (sparse, allow_nan, positive_only)


@pytest.mark.parametrize("wrong", [nn.Linear, Likelihood, LaplaceLikelihood(4), 3, None, "normal"])
def test_anything_else_is_refused(wrong):
    match = r"(?s)likelihood.*subclass of skccvae\.nn\.Likelihood \(the class, not an instance\)"
    with pytest.raises((TypeError, ValueError), match=match):
        GaussianVAETransformer(likelihood=wrong, **FAST).fit(X)


def test_the_documentation_lists_every_name():
    for name in LIKELIHOODS:
        assert f'- ``"{name}"``: ' in GaussianVAETransformer.__doc__


def test_training_follows_an_overridden_log_prob():
    """A tenfold log-probability has tenfold gradients; the fused sum of bits is no way around."""

    class Tenfold(BernoulliLikelihood):
        def log_prob(self, outputs, x):
            return 10 * super().log_prob(outputs, x)

    bits = (np.random.default_rng(3).random((50, 6)) < 0.4).astype(float)
    histories = [
        GaussianVAETransformer(likelihood=kind, **{**FAST, "max_epochs": 1}, batch_size=50)
        .fit(bits)
        .history_["reconstruction"]
        for kind in (Tenfold, BernoulliLikelihood)
    ]
    assert histories[0][0] == pytest.approx(10 * histories[1][0], rel=1e-5)
