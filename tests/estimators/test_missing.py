"""Rows with missing values: fitting, codes and scores of what was observed, and filling in."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from torch.utils.data import TensorDataset

import skccvae
from skccvae import GaussianVAETransformer
from skccvae.estimators._low_rank import fill_low_rank
from skccvae.nn import LIKELIHOODS, GaussianLikelihood

FAST = {"hidden_layer_sizes": (16,), "max_epochs": 2, "random_state": 0, "device": "cpu"}
MASK = {**FAST, "missing": "mask"}
RNG = np.random.default_rng(0)
# Five columns that follow two hidden numbers, in units of their own.
FULL = RNG.normal(size=(150, 2)) @ RNG.normal(size=(2, 5)) + 0.1 * RNG.normal(size=(150, 5))
FULL = 3.0 + FULL * [1.0, 10.0, 0.1, 1.0, 5.0]
HOLES = RNG.random(FULL.shape) < 0.2
HOLES[:2] = [[False] * 5, [True] * 5]  # a whole row, and one of which nothing was observed
X = np.where(HOLES, np.nan, FULL)
BITS = (FULL > np.median(FULL, axis=0)).astype(float)


@pytest.fixture(scope="module")
def fitted():
    return GaussianVAETransformer(2, **MASK).fit(X)


def rows_for(name):
    """Rows that a likelihood takes, with the holes."""
    rows = {"poisson": FULL.clip(0).round(), "negative_binomial": FULL.clip(0).round()}
    return np.where(HOLES, np.nan, rows.get(name, BITS))


def test_every_estimator(make):
    vae = make(missing="mask").fit(X)
    Z = vae.transform(X)
    assert np.isfinite(Z).all()
    assert np.array_equal(Z, vae.transform(X))
    assert np.isfinite(vae.score_samples(X, 4)).all()
    filled = vae.impute(X)
    assert np.array_equal(filled[~HOLES], X[~HOLES])
    assert np.isfinite(filled).all()
    assert np.array_equal(filled, vae.impute(X))
    fillings = vae.sample_missing(X, 3, random_state=0)
    assert fillings.shape == (3, *X.shape)
    assert np.array_equal(fillings[:, ~HOLES], np.repeat(X[None], 3, axis=0)[:, ~HOLES])
    assert np.isfinite(fillings).all()
    assert np.array_equal(fillings, vae.sample_missing(X, 3, random_state=0))
    assert not np.array_equal(fillings[0], fillings[1])


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood(likelihood):
    rows = rows_for(likelihood)
    vae = GaussianVAETransformer(2, likelihood=likelihood, **MASK).fit(rows)
    state = torch.get_rng_state()
    for filled in (vae.impute(rows), *vae.sample_missing(rows, 2)):
        assert np.array_equal(filled[~HOLES], rows[~HOLES])
        assert np.isfinite(filled).all()
        kind = LIKELIHOODS[likelihood]
        assert filled.min() >= kind.support[0]
        assert filled.max() <= kind.support[1]
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("settings", [{}, {"init": "random"}, {"likelihood": "bernoulli"}])
def test_without_holes_it_is_the_same_model(settings):
    rows = BITS if settings.get("likelihood") else FULL
    plain = GaussianVAETransformer(2, **FAST, **settings).fit(rows)
    masked = GaussianVAETransformer(2, **MASK, **settings).fit(rows)
    # Rounding of float32, which two epochs of Adam magnify.
    assert np.allclose(plain.transform(rows), masked.transform(rows), rtol=1e-4, atol=1e-4)
    assert np.allclose(plain.loss_curve_, masked.loss_curve_, rtol=1e-5)
    assert np.array_equal(masked.impute(rows), rows)


def test_images_and_networks():
    images = RNG.random((40, 8, 8))
    images[RNG.random(images.shape) < 0.2] = np.nan
    vae = GaussianVAETransformer(2, encoder="conv", decoder="conv", **MASK).fit(images)
    filled = vae.impute(images)
    seen = ~np.isnan(images)
    assert np.array_equal(filled[seen], images[seen])
    assert np.isfinite(filled).all()
    assert vae.sample_missing(images, 2).shape == (2, 40, 8, 8)

    class ReadsZeros(torch.nn.Module):
        def forward(self, x):
            assert not x.isnan().any()
            assert x.shape[1:] == (8, 8)
            return x.flatten(1)

    own = GaussianVAETransformer(2, encoder=ReadsZeros(), **MASK).fit(images)
    assert np.isfinite(own.transform(images)).all()


@pytest.mark.parametrize("settings", [{"binarize": "dynamic"}, {"binarize": 0.5}])
def test_binarised_rows(settings):
    grey = np.where(HOLES, np.nan, RNG.random(FULL.shape))
    vae = GaussianVAETransformer(2, early_stopping=True, **settings, **MASK).fit(grey)
    assert np.isfinite(vae.score_samples(grey, 4)).all()
    draws = vae.sample_missing(grey, 2)[:, HOLES]
    assert set(np.unique(draws)) <= {0.0, 1.0}
    # A hole adds nothing to the bound, whatever the threshold makes of numbers.
    assert vae.evaluate(np.full((1, 5), np.nan), 4)["reconstruction"] == 0.0


@pytest.mark.parametrize(
    "settings",
    [
        {"early_stopping": True},
        {"objective": "iwae", "n_latent_samples": 3},
        {"distance_weight": 1.0},
        {"n_latent_samples": 2},
    ],
)
def test_objectives(settings):
    vae = GaussianVAETransformer(2, **settings, **MASK).fit(X)
    assert np.isfinite(vae.loss_curve_).all()


def test_labels_go_on_and_saved_models_are_the_same(tmp_path):
    y = (FULL[:, 0] > 3).astype(float)
    vae = GaussianVAETransformer(2, supervised_weight=1.0, warm_start=True, **MASK)
    vae.fit(X, y).fit(X, y).partial_fit(X[5:30], y[5:30])
    vae.save(tmp_path / "model")
    for same in (pickle.loads(pickle.dumps(vae)), skccvae.load(tmp_path / "model", device="cpu")):
        assert same.missing == "mask"
        assert np.array_equal(same.impute(X), vae.impute(X))
        assert np.array_equal(same.score_samples(X, 4), vae.score_samples(X, 4))
    with pytest.raises(ValueError, match="missing was 'mask' when the model was built"):
        vae.set_params(missing="error").partial_fit(FULL, y)


def test_the_bound_is_that_of_what_was_observed(fitted):
    module, x = fitted.net_.module_, np.full((1, 5), np.nan)
    x[0, 1] = 3.0
    units = torch.from_numpy(fitted._input.units.apply(x))
    outputs = torch.randn(4, 1, 5)
    found = module.log_prob(outputs, units)
    terms = module.likelihood.log_prob_terms(outputs, units.nan_to_num())
    assert torch.equal(found, terms[..., 1])
    # The likelihood of nothing is 1, so its bound is minus a KL at most.
    nothing = fitted.evaluate(np.full((1, 5), np.nan), 4)
    assert nothing["reconstruction"] == 0.0
    assert nothing["elbo"] == -nothing["kl"]
    # The noise of a row depends on where its holes are.
    rows = np.array([[3.0, np.nan, 3.0, 3.0, 3.0], [3.0, 3.0, np.nan, 3.0, 3.0]])
    keys = module.row_keys(torch.from_numpy(fitted._input.units.apply(rows)), 0)
    assert keys[0] != keys[1]
    alone = fitted.score_samples(X[[7]], 8)
    # Networks work in float32, and matrix products round by the number of rows.
    assert alone == pytest.approx(fitted.score_samples(X, 8)[7], rel=1e-6)


def test_scales_ignore_holes():
    for likelihood in ("gaussian", "isotropic_gaussian"):
        vae = GaussianVAETransformer(2, likelihood=likelihood, **MASK)
        units = [vae.fit(rows)._input.units for rows in (X, sp.csr_array(X))]
        for found in units:
            assert np.allclose(found.center, np.nanmean(X, axis=0), rtol=1e-12)
            spread = np.nanstd(X, axis=0)
            if likelihood == "isotropic_gaussian":
                spread = np.full(5, math.sqrt(np.mean(np.square(spread))))
            assert np.allclose(found.scale, spread, rtol=1e-9)


@pytest.mark.parametrize("rows", [FULL, BITS, FULL.clip(0).round(), FULL / [1, 10, 0.1, 1, 5]])
def test_the_choice_of_a_likelihood_ignores_holes(rows):
    holes = np.where(HOLES, np.nan, rows)
    chosen = [GaussianVAETransformer(2, **MASK).fit(r).likelihood_ for r in (rows, holes)]
    assert chosen[0] == chosen[1]


def test_columns_that_are_constant_or_never_observed():
    rows = np.column_stack([X, np.where(HOLES[:, 0], np.nan, 7.0), np.full(150, np.nan)])
    for likelihood in ("auto", "gaussian", "isotropic_gaussian"):
        vae = GaussianVAETransformer(2, likelihood=likelihood, **MASK).fit(rows)
        filled = vae.impute(rows)
        assert (filled[:, 5] == 7.0).all()
        assert (filled[:, 6] == 0.0).all()
    with pytest.raises(ValueError, match="X holds no value at all"):
        vae.fit(np.full((4, 3), np.nan))


def test_data_frames():
    frame = pd.DataFrame(
        {
            "float32": pd.Series(X[:, 0], dtype="float32"),
            "object": pd.Series(X[:, 1], dtype=object).where(~HOLES[:, 1], None),
            "NA": pd.array(np.where(HOLES[:, 2], 0, BITS[:, 2]), dtype="Int64"),
            "Float64": pd.array(X[:, 3], dtype="Float64"),
            "whole": np.arange(150),
            "bool": pd.array(BITS[:, 4] > 0, dtype="boolean"),
        }
    ).set_axis([f"row {i}" for i in range(150)])
    frame.loc[HOLES[:, 2], "NA"] = pd.NA
    frame.loc[HOLES[:, 4], "bool"] = pd.NA
    frame.loc["row 5", "object"] = pd.NA
    before = frame.copy()
    # "auto" would give the column of bools a likelihood of its own.
    vae = GaussianVAETransformer(2, likelihood="gaussian", **MASK).fit(frame)
    filled = vae.impute(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert filled.index.equals(frame.index)
    wanted = ["float32", "object", "Float64", "Float64", "int64", "Float64"]
    assert [str(dtype) for dtype in filled.dtypes] == wanted
    assert not filled.isna().any().any()
    seen = frame.notna()
    for name in frame:
        assert (filled[name][seen[name]] == frame[name][seen[name]]).all()
    # The same numbers in an array.
    array = frame.astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    other = GaussianVAETransformer(2, likelihood="gaussian", **MASK).fit(array)
    assert np.allclose(other.impute(array), filled.to_numpy(dtype=float), atol=1e-5)
    whole = before.dropna()
    pd.testing.assert_frame_equal(vae.impute(whole), whole)


def test_other_containers(tmp_path, fitted):
    wanted = fitted.impute(X)
    np.save(tmp_path / "rows.npy", X)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    lists = [[None if math.isnan(v) else v for v in row] for row in X.tolist()]
    masked = np.ma.masked_invalid(X)
    dataset = TensorDataset(torch.from_numpy(X))
    for same in (mapped, lists, masked, dataset):
        other = clone(fitted).fit(same)
        assert np.array_equal(other.impute(same), wanted)
        assert np.array_equal(fitted.sample_missing(same), fitted.sample_missing(X))
    tensor = fitted.impute(torch.from_numpy(X).float())
    assert tensor.dtype == torch.float32
    assert torch.equal(tensor[~HOLES], torch.from_numpy(X).float()[~HOLES])
    assert not tensor.isnan().any()
    assert fitted.impute(X.astype(np.float32)).dtype == np.float32
    assert wanted.dtype == np.float64
    for make in (sp.csr_array, sp.csc_matrix):
        sparse = make(np.where(HOLES, np.nan, FULL * BITS))
        filled = clone(fitted).fit(sparse).impute(sparse)
        assert type(filled) is make
        assert np.array_equal(filled.toarray()[~HOLES], sparse.toarray()[~HOLES])
        assert np.isfinite(filled.data).all()


def test_it_learns_what_is_missing():
    vae = GaussianVAETransformer(
        2, missing="mask", likelihood="gaussian", max_epochs=60, random_state=0
    ).fit(X)
    deviation = FULL.std(axis=0)
    holes = HOLES & ~HOLES.all(axis=1, keepdims=True)

    def error(filled):
        return np.sqrt(np.mean(np.square((filled - FULL) / deviation)[holes]))

    assert error(vae.impute(X)) < 0.5 * error(np.where(HOLES, np.nanmean(X, axis=0), X))
    # Draws are spread as the truth is around their mean, within a factor of 1.5.
    fillings = vae.sample_missing(X, 200)
    found = np.sqrt(np.mean(np.square(fillings.std(axis=0) / deviation)[holes]))
    assert 1 / 1.5 < found / error(fillings.mean(axis=0)) < 1.5
    nothing = np.full((1, 5), np.nan)
    # Nothing is known of this row but the law of all rows.
    assert np.allclose(vae.impute(nothing), np.nanmean(X, axis=0), atol=0.5 * deviation.max())


def test_components_of_rows_with_holes():
    rows = FULL - FULL.mean(axis=0)
    rows = rows / rows.std(axis=0)
    holes = np.where(HOLES, np.nan, rows)[2:]
    filled = fill_low_rank(holes, 2, 0)
    assert np.array_equal(filled[~HOLES[2:]], rows[2:][~HOLES[2:]])
    means = fill_low_rank(holes, 0, 0)
    exact = PCA(2).fit(rows[2:]).explained_variance_
    found, biased = (PCA(2).fit(r).explained_variance_ for r in (filled, means))
    # Means of columns shrink variances by about the share of the holes.
    assert abs(found - exact).max() < 0.5 * abs(biased - exact).max()


def test_errors_name_the_parameter(tmp_path):
    vae = GaussianVAETransformer(2, **FAST)
    np.save(tmp_path / "rows.npy", X)
    for rows in (X, np.load(tmp_path / "rows.npy", mmap_mode="r"), pd.DataFrame(X)):
        with pytest.raises(ValueError, match="contains NaN.*missing='mask'"):
            vae.fit(rows)
    with pytest.raises(ValueError, match="contains NaN or infinity.*missing='mask'"):
        vae.fit(TensorDataset(torch.from_numpy(X)))
    vae.fit(FULL)
    with pytest.raises(ValueError, match="contains NaN.*missing='mask'"):
        vae.impute(X)
    with pytest.raises(ValueError, match="infinity"):
        GaussianVAETransformer(2, **MASK).fit(np.where(HOLES, np.inf, FULL))
    with pytest.raises(ValueError, match="n_samples must be an integer of at least 1"):
        vae.sample_missing(FULL, 0)


class Halved(GaussianLikelihood):
    """Says what a whole row is worth, and nothing of a column."""

    def log_prob(self, outputs, x):
        return 0.5 * super().log_prob(outputs, x)


def test_a_likelihood_of_whole_rows_is_refused():
    with pytest.raises(ValueError, match="Halved overrides only that of a whole row"):
        GaussianVAETransformer(likelihood=Halved, **MASK).fit(X)
    GaussianVAETransformer(likelihood=Halved, **FAST).fit(FULL)


def test_molecules_have_no_missing_values():
    pytest.importorskip("rdkit")
    pytest.importorskip("torch_geometric")
    vae = GaussianVAETransformer(encoder="molecular_graph", **MASK)
    with pytest.raises(ValueError, match="missing='mask' has no meaning"):
        vae.fit(["CCO", "CCN", "CCC"])


def test_tags_follow_the_parameter():
    for missing, takes in (("error", False), ("mask", True)):
        tags = GaussianVAETransformer(missing=missing).__sklearn_tags__()
        assert tags.input_tags.allow_nan is takes
