"""Counts of things: the total of a row, which varies little, stays in the codes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_digits
from sklearn.linear_model import LinearRegression

import skccvae
from skccvae import (
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    SphericalVAETransformer,
)

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


@pytest.mark.parametrize("setting", [{"init": "random"}, {"missing": "mask"}])
def test_where_nothing_tells_the_gain_the_noise_is_isotropic(setting, counts):
    settings = {"max_epochs": 1, "hidden_layer_sizes": (8,), "random_state": 0, **setting}
    codes = [
        GaussianVAETransformer(2, likelihood=name, **settings).fit_transform(counts)
        for name in ("count_gaussian", "isotropic_gaussian")
    ]
    np.testing.assert_allclose(*codes, rtol=1e-3, atol=1e-4)
