"""Every estimator with molecules as X: all of its methods, and what it refuses."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import nn

import skccvae
from skccvae import GaussianVAETransformer, HyperbolicVAETransformer, SphericalVAETransformer
from skccvae.estimators import ESTIMATORS, AutoencoderTransformer
from skccvae.molecules import FingerprintTransformer, MolecularGraph, _graph

FAST = {"hidden_layer_sizes": (8, 6), "max_epochs": 2, "random_state": 0}
SMALL = MolecularGraph(n_bits=64, n_layers=2)


@pytest.fixture(params=ESTIMATORS.values(), ids=list(ESTIMATORS))
def vae(request):
    """An estimator of each kind, not fitted."""
    return request.param(encoder=SMALL, **FAST)


def test_every_method_works_and_survives_copies(vae, smiles, tmp_path):
    Z = vae.fit_transform(smiles)
    assert vae.n_features_in_ == 1
    assert vae.likelihood_ == "bernoulli"
    assert Z.shape == (100, len(vae.get_feature_names_out()))
    assert np.isfinite(Z).all()
    probabilities = vae.inverse_transform(Z)
    assert probabilities.shape == (100, 64)
    assert 0 < probabilities.min() < probabilities.max() < 1
    assert vae.interpolate(smiles[:4], smiles[4:8], n_steps=3).shape == (4, 3, 64)
    parts = vae.evaluate(smiles, n_importance_samples=8)
    assert parts["elbo"] == pytest.approx(parts["reconstruction"] - parts["kl"])
    scores = vae.score_samples(smiles, n_importance_samples=8)
    assert scores.mean() == pytest.approx(parts["log_likelihood"], rel=1e-5)
    assert vae.geodesic_distances(Z[:3]).shape == (3, 3)
    if not isinstance(vae, AutoencoderTransformer):
        assert vae.sample(5, random_state=0).shape == (5, 64)
        assert vae.posterior_distribution(smiles[:5]).batch_shape == (5,)
    vae.save(tmp_path / "model")
    for copy in (
        pickle.loads(pickle.dumps(vae)),
        skccvae.load(tmp_path / "model"),
        clone(vae).fit(smiles),
    ):
        assert copy.encoder == SMALL
        np.testing.assert_array_equal(copy.transform(smiles), Z)
        np.testing.assert_array_equal(copy.score_samples(smiles, 8), scores)
    before = vae.net_.module_.head.weight.detach().clone()
    vae.partial_fit(smiles[:30])
    assert not torch.equal(vae.net_.module_.head.weight, before)
    assert vae.partial_fit([*smiles[:5], "C" * 60]).n_iter_ == 1


def test_a_row_counts_for_itself_whatever_stands_beside_it(vae, smiles):
    """Larger molecules make all rows wider, and no score may notice."""
    vae.fit(smiles)
    Z, scores = vae.transform(smiles), vae.score_samples(smiles, 8)
    others = [*smiles[::-1], "C" * 300]
    np.testing.assert_allclose(vae.transform(others)[:-1][::-1], Z, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(vae.score_samples(others, 8)[:-1][::-1], scores, rtol=1e-5)
    for k in (0, 57):
        np.testing.assert_allclose(vae.transform([smiles[k]])[0], Z[k], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(vae.score_samples([smiles[k]], 8)[0], scores[k], rtol=1e-5)


def test_another_order_of_the_atoms_is_the_same_molecule(smiles):
    vae = GaussianVAETransformer(encoder=SMALL, **FAST).fit(smiles)
    rng = np.random.default_rng(0)
    molecules = [Chem.MolFromSmiles(s) for s in smiles]
    shuffled = [Chem.RenumberAtoms(m, rng.permutation(m.GetNumAtoms()).tolist()) for m in molecules]
    expected = vae.transform(smiles)
    np.testing.assert_allclose(vae.transform(shuffled), expected, rtol=1e-3, atol=1e-5)
    scores = vae.score_samples(smiles)
    np.testing.assert_allclose(vae.score_samples(shuffled), scores, rtol=1e-4)


def test_the_name_stands_for_the_default_settings(smiles, tmp_path):
    named = GaussianVAETransformer(encoder="molecular_graph", **FAST).fit(smiles)
    spelt = GaussianVAETransformer(encoder=MolecularGraph(), **FAST).fit(smiles)
    np.testing.assert_array_equal(named.transform(smiles), spelt.transform(smiles))
    assert named.inverse_transform(named.transform(smiles[:1])).shape == (1, 2048)
    named.save(tmp_path / "model")
    assert skccvae.load(tmp_path / "model").encoder == "molecular_graph"


def test_the_likelihood_is_that_of_the_fingerprint(smiles):
    """The evidence of a graph model and of a fingerprint model is about the same numbers."""
    X = FingerprintTransformer().transform(smiles).toarray()
    code = AutoencoderTransformer(encoder="molecular_graph", **FAST).fit(smiles)
    p = torch.from_numpy(code.inverse_transform(code.transform(smiles))).double()
    by_hand = torch.distributions.Bernoulli(p).log_prob(torch.from_numpy(X).double()).sum(1)
    np.testing.assert_allclose(code.score_samples(smiles), by_hand.numpy(), rtol=1e-5)


def test_counts_under_a_poisson_likelihood(smiles):
    vae = AutoencoderTransformer(encoder=SMALL, likelihood="poisson", **FAST).fit(smiles)
    rates = torch.from_numpy(vae.inverse_transform(vae.transform(smiles))).double()
    counts = torch.from_numpy(SMALL.rows(smiles, counts=True)[0].toarray()).double()
    assert counts.max() > 1
    by_hand = torch.distributions.Poisson(rates).log_prob(counts).sum(1)
    np.testing.assert_allclose(vae.score_samples(smiles), by_hand.numpy(), rtol=1e-4)


@pytest.mark.parametrize("likelihood", ["gaussian", "isotropic_gaussian"])
def test_counts_as_real_numbers(likelihood, smiles, tmp_path):
    """Counts are standardised and their density is one of counts; the graph comes as it is."""
    vae = AutoencoderTransformer(encoder=SMALL, likelihood=likelihood, **FAST).fit(smiles)
    counts = SMALL.rows(smiles, counts=True)[0].toarray().astype(np.float64)
    mean = vae.inverse_transform(vae.transform(smiles))
    scores = vae.score_samples(smiles)
    noise = vae.net_.module_.likelihood.distribution(torch.zeros(1, 64)).base_dist.scale
    scale = noise.detach().double().numpy() * vae._input.units.scale
    by_hand = -0.5 * ((counts - mean) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(scores, by_hand.sum(axis=1), rtol=1e-4)
    longer = [*smiles, "C" * 300]
    np.testing.assert_allclose(vae.transform(longer)[:-1], vae.transform(smiles), rtol=1e-4)
    vae.save(tmp_path / "model")
    np.testing.assert_array_equal(skccvae.load(tmp_path / "model").score_samples(smiles), scores)


def test_containers_of_molecules(smiles):
    vae = GaussianVAETransformer(encoder=SMALL, **FAST).fit(smiles)
    expected = vae.transform(smiles)
    for X in (
        np.array(smiles),
        np.array(smiles, dtype=object)[:, None],
        pd.Series(smiles, index=range(100)[::-1]),
        [Chem.MolFromSmiles(s) for s in smiles],
        [[s] for s in smiles],
    ):
        np.testing.assert_array_equal(clone(vae).fit(X).transform(X), expected)
    assert not hasattr(vae, "feature_names_in_")
    frame = pd.DataFrame({"smiles": smiles}, index=[f"m{k}" for k in range(100)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # PyTorch Geometric 2.8 on Python 3.13
        warnings.filterwarnings("ignore", "Failing to pass a value to the 'type_params'")
        named = clone(vae).set_output(transform="pandas").fit(frame)
        Z = named.transform(frame)
    assert named.feature_names_in_.tolist() == ["smiles"]
    assert Z.index[0] == "m0"
    np.testing.assert_array_equal(Z.to_numpy(), expected)
    with pytest.raises(ValueError, match="feature names should match"):
        named.transform(frame.rename(columns={"smiles": "other"}))


def test_early_stopping_objectives_labels_and_repeated_molecules(smiles, sizes):
    vae = SphericalVAETransformer(
        4,
        encoder=SMALL,
        hidden_layer_sizes=(16,),
        objective="iwae",
        n_latent_samples=3,
        supervised_weight=0.5,
        early_stopping=True,
        n_epochs_no_change=2,
        max_epochs=15,
        random_state=0,
    ).fit(smiles + smiles, np.concatenate([sizes, np.full(100, np.nan)]))
    assert np.isfinite(vae.history_["valid_loss"]).all()
    assert vae.history_["valid_loss"][-1] < vae.history_["valid_loss"][0]
    np.testing.assert_array_equal(*np.split(vae.transform(smiles + smiles), 2))
    vae.set_params(warm_start=True).fit(smiles, sizes)


def test_training_learns_something(smiles):
    vae = GaussianVAETransformer(
        8,
        encoder=SMALL,
        hidden_layer_sizes=(32,),
        learning_rate=5e-3,
        max_epochs=60,
        batch_size=25,
        random_state=0,
    ).fit(smiles)
    X = SMALL.rows(smiles)[0].toarray()
    p = X.mean(axis=0).clip(1e-6, 1 - 1e-6)
    independent = (X * np.log(p) + (1 - X) * np.log1p(-p)).sum(axis=1).mean()
    assert vae.evaluate(smiles)["elbo"] > independent + 1


def test_grid_search_in_two_processes(smiles, sizes):
    pipe = make_pipeline(HyperbolicVAETransformer(encoder=SMALL, **FAST), Ridge())
    grid = {
        "hyperbolicvaetransformer__curvature": [-1.0, -0.25],
        "hyperbolicvaetransformer__encoder": [SMALL, MolecularGraph(radius=1, n_bits=32)],
    }
    searches = [
        GridSearchCV(pipe, grid, cv=2, n_jobs=n, error_score="raise").fit(smiles, sizes)
        for n in (1, 2)
    ]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("encoder", ["molecular_graph", MolecularGraph(n_bits=64, n_layers=2)])
def test_molecules_become_rows_once_for_fit_transform_and_score(
    encoder, smiles, monkeypatch, tmp_path
):
    calls = []
    featurise = _graph.featurise
    monkeypatch.setattr(_graph, "featurise", lambda *a: calls.append(0) or featurise(*a))
    vae = GaussianVAETransformer(encoder=encoder, **FAST)
    empty = len(pickle.dumps(clone(vae).fit(smiles)))
    calls.clear()
    vae.fit(smiles)
    Z = vae.transform(smiles)
    vae.score(pd.Series(smiles))
    assert len(calls) == 1
    assert vae.get_params()["encoder"] is encoder
    # Neither a pickle nor a clone nor a file holds the rows.
    vae.save(tmp_path / "model")
    for other in (
        pickle.loads(pickle.dumps(vae)),
        clone(vae).fit(smiles[:30]),
        skccvae.load(tmp_path / "model"),
    ):
        before = len(calls)
        other.transform(smiles)
        assert len(calls) == before + 1
    assert len(pickle.dumps(vae)) <= empty
    np.testing.assert_array_equal(vae.transform(smiles), Z)


def test_odd_molecules_are_embedded(odd, smiles):
    vae = GaussianVAETransformer(encoder=SMALL, **FAST)
    Z = vae.fit_transform([*smiles[:20], odd, odd])
    assert np.isfinite(Z).all()
    assert np.isfinite(vae.score_samples([odd])).all()
    np.testing.assert_array_equal(Z[-1], Z[-2])


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (["CC", "C1CC", "C"], ValueError, "1 of 3 rows are not molecules: row 1 'C1CC'"),
        (["CC", "", None], ValueError, "2 of 3 rows are not molecules: row 1 ''"),
        ([], ValueError, r"0 sample\(s\)"),
        ("CCO", TypeError, "single str"),
        (np.zeros((5, 64)), ValueError, r"shape \(5, 64\)"),
        (np.zeros((5, 1)), TypeError, "Row 0 holds 0.0, of type float"),
        (["CC", 3], TypeError, "Row 1 holds 3"),
    ],
)
def test_x_that_is_no_column_of_molecules(X, error, match, smiles):
    fitted = GaussianVAETransformer(encoder=SMALL, **FAST).fit(smiles)
    for method in (clone(fitted).fit, clone(fitted).partial_fit, fitted.transform, fitted.score):
        with pytest.raises(error, match=match):
            method(X)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"likelihood": "von_mises"}, "does not describe a fingerprint"),
        ({"likelihood": "continuous_bernoulli"}, "does not describe a fingerprint"),
        ({"binarize": "dynamic"}, "binarize='dynamic' has no meaning"),
        ({"binarize": 0.5}, "binarize=0.5 has no meaning"),
        ({"image_shape": (8, 8)}, "image_shape=.* has no meaning"),
        ({"decoder": "conv"}, "Use decoder='mlp'"),
        ({"decoder": "molecular_graph"}, "'decoder' parameter"),
        ({"encoder": "molecule"}, "'encoder' parameter"),
    ],
)
def test_parameters_that_do_not_go_with_molecules(parameters, match, smiles):
    vae = GaussianVAETransformer(**{**FAST, "encoder": SMALL, **parameters})
    with pytest.raises(ValueError, match=match):
        vae.fit(smiles)


def test_an_encoder_that_changed_after_the_fit(smiles, tmp_path):
    vae = GaussianVAETransformer(encoder=SMALL, warm_start=True, **FAST).fit(smiles)
    Z = vae.transform(smiles)
    vae.set_params(encoder="mlp", likelihood="gaussian")
    np.testing.assert_array_equal(vae.transform(smiles), Z)
    with pytest.raises(ValueError, match="when the model was built"):
        vae.fit(smiles)
    vae.save(tmp_path / "model")
    np.testing.assert_array_equal(skccvae.load(tmp_path / "model").transform(smiles), Z)


def test_training_goes_on_under_equal_settings_alone(smiles):
    vae = GaussianVAETransformer(encoder=SMALL, **FAST).fit(smiles)
    vae.set_params(encoder=MolecularGraph(n_bits=64, n_layers=2, n_jobs=1)).partial_fit(smiles)
    vae.set_params(encoder=MolecularGraph(n_bits=64, n_layers=1))
    with pytest.raises(ValueError, match="when the model was built"):
        vae.partial_fit(smiles)


def test_a_decoder_of_ones_own(smiles):
    vae = GaussianVAETransformer(encoder=SMALL, decoder=nn.Linear, **FAST).fit(smiles)
    assert vae.inverse_transform(vae.transform(smiles)).shape == (100, 64)


def test_real_molecules_labelled_with_their_gaps(qm9):
    """A graph tells more about the gap than a linear model of its bits."""
    X, y = qm9
    train, test = slice(800), slice(800, None)
    pipe = make_pipeline(
        SphericalVAETransformer(
            16,
            encoder="molecular_graph",
            hidden_layer_sizes=(64,),
            supervised_weight=30.0,
            batch_size=32,
            max_epochs=12,
            random_state=0,
        ),
        Ridge(1e-3),
    ).fit(X[train], y[train])
    linear = make_pipeline(FingerprintTransformer(), Ridge(10.0)).fit(X[train], y[train])
    assert pipe.score(X[test], y[test]) > linear.score(X[test], y[test]) > 0.6


@pytest.mark.parametrize("kind", [list, np.array, lambda column: pd.Series(column, index=[7, 8])])
def test_a_column_of_molecules_needs_an_encoder_for_them(kind):
    with pytest.raises(ValueError, match="X holds text, such as 'CCO'.*encoder='molecular_graph'"):
        GaussianVAETransformer(**FAST).fit(kind(["CCO", "CN"]))


def test_training_in_bfloat16(smiles):
    losses = [
        GaussianVAETransformer(encoder=SMALL, precision=precision, **FAST)
        .fit(smiles)
        .history_["train_loss"][-1]
        for precision in ("float32", "bfloat16")
    ]
    assert losses[0] != losses[1]
    # Four units of the rounding of bfloat16.
    assert losses[1] == pytest.approx(losses[0], rel=4 * 2.0**-8)
