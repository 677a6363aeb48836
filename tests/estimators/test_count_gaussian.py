"""Counts of things: the total of a row, which varies little, stays in the codes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LinearRegression

import skccvae
from skccvae import (
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    SphericalVAETransformer,
)
from skccvae.estimators._units import _auto_likelihood

D = 8


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Some 40 parts of five mixtures in 60 columns; their number is 38 to 42."""
    rng = np.random.default_rng(0)
    mixtures = rng.dirichlet(np.full(60, 0.3), size=5)
    shares = rng.dirichlet(np.ones(5), size=600) @ mixtures
    sizes = rng.integers(38, 43, 600)
    return np.stack([rng.multinomial(n, p) for n, p in zip(sizes, shares, strict=True)])


def r2(Z, y):
    return LinearRegression().fit(Z, y).score(Z, y)


@pytest.mark.parametrize(
    "kind", [GaussianVAETransformer, SphericalVAETransformer, HyperbolicVAETransformer]
)
def test_codes_hold_the_total_of_a_row(kind, counts):
    settings = {"max_epochs": 10, "random_state": 0}
    total = counts.sum(1)
    found = {
        name: r2(kind(D, likelihood=name, **settings).fit_transform(counts), total)
        for name in ("count_gaussian", "isotropic_gaussian")
    }
    assert found["count_gaussian"] > 0.9
    assert found["isotropic_gaussian"] < 0.5


def test_auto_takes_it_for_counts_of_things_that_are_mostly_there_once():
    rng = np.random.default_rng(1)
    rare = rng.poisson(0.2, (80, 6)) * (np.arange(80) > 0)[:, None]
    vae = GaussianVAETransformer(2, hidden_layer_sizes=(8,), max_epochs=1, random_state=0)
    for X in (rare, rare.astype(np.float32), sp.csr_array(rare), sp.csc_matrix(rare)):
        assert vae.fit(X).likelihood_ == "count_gaussian"
    for X in (rare * 2, rare * 0.5, rare - 1, np.rint(load_digits().data)):
        assert vae.fit(X).likelihood_ == "isotropic_gaussian"
    assert vae.fit(rare > 0).likelihood_ == "bernoulli"


def test_dense_and_sparse_rows_and_a_file_give_the_same(counts, tmp_path):
    settings = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0}
    vae = GaussianVAETransformer(D, likelihood="count_gaussian", **settings)
    dense = vae.fit(counts).transform(counts)
    gain = float(vae.net_.module_.likelihood.gain)
    assert gain == pytest.approx(61**0.5)  # as precise as one of 60 columns
    vae.save(tmp_path / "model.skccvae")
    again = skccvae.load(tmp_path / "model.skccvae")
    assert float(again.net_.module_.likelihood.gain) == gain
    assert np.array_equal(again.transform(counts), dense)
    assert np.array_equal(again.score_samples(counts[:20]), vae.score_samples(counts[:20]))
    np.testing.assert_allclose(vae.fit(sp.csr_array(counts)).transform(counts), dense, rtol=1e-3,
                               atol=1e-3)  # fmt: skip


@pytest.mark.parametrize(
    "setting",
    [{"init": "random"}, {"missing": "mask"}, {"encoder": torch.nn.Linear(60, 8)}],
    ids=["random start", "mask", "own encoder"],
)
def test_the_gain_does_not_depend_on_the_start(setting, counts):
    vae = GaussianVAETransformer(
        2, likelihood="count_gaussian", max_epochs=1, hidden_layer_sizes=(8,), random_state=0
    )
    gain = float(vae.fit(counts).net_.module_.likelihood.gain)
    assert gain > 2
    assert float(vae.set_params(**setting).fit(counts).net_.module_.likelihood.gain) == gain


def test_without_holes_a_mask_changes_nothing(counts):
    vae = GaussianVAETransformer(2, max_epochs=3, hidden_layer_sizes=(8,), random_state=0)
    plain = clone(vae).fit(counts)
    masked = clone(vae).set_params(missing="mask").fit(counts)
    assert plain.likelihood_ == masked.likelihood_ == "count_gaussian"
    np.testing.assert_allclose(masked.transform(counts), plain.transform(counts), atol=1e-3)
    assert masked.score(counts) == pytest.approx(plain.score(counts), abs=1e-3)


def test_holes_train_and_score(counts):
    rng = np.random.default_rng(1)
    holes = np.where(rng.random(counts.shape) < 0.2, np.nan, counts)
    vae = GaussianVAETransformer(
        2, likelihood="count_gaussian", missing="mask", max_epochs=3, random_state=0
    ).fit(holes)
    assert np.isfinite(vae.score_samples(holes)).all()
    assert float(vae.net_.module_.likelihood.gain) > 1


def _fragments(rng, shape):
    return (rng.poisson(0.25, shape)).astype(float)


def test_auto_with_a_fragment_that_all_rows_share():
    X = _fragments(np.random.default_rng(0), (200, 40))
    X[:, 3] = 1 + np.arange(200) % 3
    assert GaussianVAETransformer(2, max_epochs=1).fit(X).likelihood_ == "count_gaussian"


def test_auto_does_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    X = np.r_[_fragments(rng, (30_000, 5)), rng.integers(0, 9, (60_000, 5)).astype(float)]
    assert _auto_likelihood(X, 1.0) is _auto_likelihood(X[::-1].copy(), 1.0)


@pytest.mark.parametrize("kind", ["ratings from 1", "one column", "answers"])
def test_auto_leaves_other_small_counts_alone(kind):
    rng = np.random.default_rng(0)
    X = {
        "ratings from 1": rng.choice([1.0, 2.0, 3.0], (300, 8), p=[0.6, 0.3, 0.1]),
        "one column": rng.poisson(0.5, (300, 1)).astype(float),
        "answers": rng.choice([0.0, 1.0, 2.0], (300, 8)),
    }[kind]
    assert _auto_likelihood(X, 1.0).name == "isotropic_gaussian"
