"""One noise for all columns: with linear networks the model is probabilistic PCA."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA
from torch.utils.data import TensorDataset

import skccvae
from skccvae import GaussianVAETransformer
from skccvae.estimators._units import make_scaling
from skccvae.nn import IsotropicGaussianLikelihood

LINEAR = {"hidden_layer_sizes": (), "likelihood": "isotropic_gaussian", "random_state": 0}


@pytest.fixture(scope="module")
def plane() -> np.ndarray:
    """Two strong directions and noise of one scale in six columns, not centred."""
    rng = np.random.default_rng(3)
    codes = rng.normal(size=(2000, 2)) * [3.0, 2.0]
    directions = np.linalg.qr(rng.normal(size=(6, 2)))[0]
    return codes @ directions.T + 0.5 * rng.normal(size=(2000, 6)) + 40.0


def test_a_linear_model_finds_the_plane_and_the_likelihood_of_probabilistic_pca(plane):
    pca = PCA(2).fit(plane)
    vae = GaussianVAETransformer(2, learning_rate=0.01, max_epochs=40, **LINEAR).fit(plane)
    decoder = vae.net_.module_.decoder.last.weight.detach().numpy()
    assert np.degrees(subspace_angles(decoder, pca.components_.T)).max() < 2.0
    # The exact log-likelihood of probabilistic PCA, in the user's units.
    assert vae.score(plane) == pytest.approx(pca.score(plane), abs=0.05)
    assert vae.evaluate(plane)["elbo"] == pytest.approx(pca.score(plane), abs=0.1)
    scale = vae.net_.module_.likelihood.scale().detach().numpy() * vae._input.units.scale
    np.testing.assert_allclose(scale, 0.5, rtol=0.05)


def test_columns_count_by_their_variance(plane):
    """Ten more columns that hardly vary are left alone; equal weights would follow them."""
    faint = 0.01 * np.random.default_rng(4).normal(size=(len(plane), 1)) * np.ones(10)
    X = np.hstack([plane, faint])
    settings = {"learning_rate": 0.01, "max_epochs": 20}
    correlation = {}
    for likelihood in ("isotropic_gaussian", "gaussian"):
        vae = GaussianVAETransformer(2, **settings, **{**LINEAR, "likelihood": likelihood})
        Z = vae.fit_transform(X)
        correlation[likelihood] = np.abs(np.corrcoef(Z.T, faint[:, 0])[:2, 2]).max()
    assert correlation["isotropic_gaussian"] < 0.1
    assert correlation["gaussian"] > 0.5


@pytest.mark.parametrize("factor", [1e-150, 1.0, 1e150])
def test_one_scale_of_dense_and_sparse_rows(factor):
    X = np.random.default_rng(5).poisson(0.7, size=(300, 4)) * [1.0, 2.0, 0.0, 5.0] * factor
    expected = np.sqrt(X.var(axis=0).mean()) if factor == 1 else None
    dense = make_scaling(X, IsotropicGaussianLikelihood, 1.0, None)
    assert np.ptp(dense.scale) == 0
    assert np.isfinite(dense.scale).all()
    assert (dense.scale > 0).all()
    if expected is not None:
        np.testing.assert_allclose(dense.scale, expected, rtol=1e-12)
        sparse = make_scaling(sp.csr_array(X), IsotropicGaussianLikelihood, 1.0, None)
        np.testing.assert_allclose(sparse.scale, expected, rtol=1e-12)
        np.testing.assert_allclose(sparse.center, dense.center, rtol=1e-12)


def test_every_estimator_on_sparse_counts_a_dataset_and_from_a_file(make, tmp_path):
    counts = np.random.default_rng(6).poisson(1.0, size=(80, 5)).astype(np.float32)
    fitted = [
        make(likelihood="isotropic_gaussian").fit(data)
        for data in (counts, sp.csr_array(counts), TensorDataset(torch.from_numpy(counts)))
    ]
    Z = fitted[0].transform(counts)
    for other in fitted[1:]:
        np.testing.assert_allclose(other.transform(counts), Z, rtol=1e-4, atol=1e-5)
    fitted[0].save(tmp_path / "model.skccvae")
    loaded = skccvae.load(tmp_path / "model.skccvae")
    assert np.array_equal(loaded.transform(counts), Z)
    assert np.array_equal(loaded.inverse_transform(Z), fitted[0].inverse_transform(Z))


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_rows_stay_finite(value):
    X = np.full((20, 3), value)
    vae = GaussianVAETransformer(1, max_epochs=2, **LINEAR).fit(X)
    assert np.isfinite(vae.score(X))
    assert np.isfinite(vae.inverse_transform(vae.transform(X))).all()
