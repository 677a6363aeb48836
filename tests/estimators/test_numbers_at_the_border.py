"""Numbers that are legal and unusual: duplicates, offsets, constants, huge and tiny ones, masks."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from skccvae import GaussianVAETransformer
from skccvae.estimators._units import column_statistics

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(300, 6))
FAST = {"hidden_layer_sizes": (16,), "max_epochs": 3, "random_state": 0, "device": "cpu"}


def same_model(a, b) -> bool:
    pairs = zip(a.net_.module_.parameters(), b.net_.module_.parameters(), strict=True)
    return all(bool((v == w).all()) for v, w in pairs)


# --- duplicate entries of sparse rows -------------------------------------------------------------


def with_duplicates(X: np.ndarray, kind) -> sp.spmatrix:
    """The matrix of X in which each entry is stored as two halves."""
    line = sp.csr_array(X) if kind.__name__.startswith("csr") else sp.csc_array(X)
    parts = np.repeat(line.data / 2, 2), np.repeat(line.indices, 2), 2 * line.indptr
    return kind(parts, shape=X.shape)


KINDS = [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.csc_matrix]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("likelihood", ["auto", "gaussian", "poisson"])
def test_duplicate_entries_are_summed(kind, likelihood):
    dense = np.where(NORMAL > 0, np.rint(4 * NORMAL), 0)[:60]
    X = with_duplicates(dense, kind)
    before = [part.copy() for part in (X.data, X.indices, X.indptr)]
    vae = GaussianVAETransformer(likelihood=likelihood, **FAST).fit(X)
    clean = GaussianVAETransformer(likelihood=likelihood, **FAST).fit(kind(dense))
    assert vae.likelihood_ == clean.likelihood_
    assert same_model(vae, clean)
    assert np.array_equal(vae.score_samples(X, 4), clean.score_samples(dense, 4))
    assert np.array_equal(vae.transform(X), clean.transform(dense))
    for part, old in zip((X.data, X.indices, X.indptr), before, strict=True):
        assert np.array_equal(part, old)


def test_duplicates_count_towards_the_range():
    parts = np.full(600, 0.8), np.zeros(600, int), np.arange(0, 601, 2)
    X = sp.csr_matrix(parts, shape=(300, 3))  # 1.6 in column 0
    assert GaussianVAETransformer(**FAST).fit(X).likelihood_ == "gaussian"
    with pytest.raises(ValueError, match=r"needs X in \[0, 1\]; X runs from 0 to 1.6"):
        GaussianVAETransformer(likelihood="bernoulli", **FAST).fit(X)
    huge = sp.csr_matrix((np.full(2, 1e308), [0, 0], [0, 2, 2]), shape=(2, 2))
    with pytest.raises(ValueError, match="contains infinity"):
        GaussianVAETransformer(**FAST).fit(huge)


# --- mean and scale of columns --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "spread", "dtype"),
    [(5.5e6, 5.0, np.float32), (300.0, 2.0, np.float16), (-1e9, 1e-6, np.float64)],
)
def test_a_spread_far_from_zero_is_not_taken_for_rounding(offset, spread, dtype):
    X = (offset + spread * NORMAL).astype(dtype)
    vae = GaussianVAETransformer(n_components=6, **{**FAST, "max_epochs": 1}).fit(X)
    # StandardScaler takes the last of these for constant. The subtraction here is exact.
    exact = X.astype(np.float64) - offset
    np.testing.assert_allclose(vae._input.units.center, offset + exact.mean(axis=0), rtol=3e-16)
    np.testing.assert_allclose(vae._input.units.scale, exact.std(axis=0), rtol=1e-12)


def test_a_model_of_float32_far_from_zero_is_as_good_as_one_of_float64():
    groups = np.repeat([-1.0, 1.0], 150)[:, None] + 0.1 * NORMAL
    X = 5.5e6 + 5 * groups
    settings = {**FAST, "max_epochs": 40, "learning_rate": 1e-2}
    errors, gaps = [], []
    for dtype in (np.float32, np.float64):
        vae = GaussianVAETransformer(1, **settings).fit(X.astype(dtype))
        Z = vae.transform(X.astype(dtype))
        errors.append(np.sqrt(np.mean((vae.inverse_transform(Z) - X) ** 2)))
        gaps.append(abs(Z[:150].mean() - Z[150:].mean()) / (Z[:150].std() + Z[150:].std()))
    assert max(errors) < 1.0  # the spread is 5
    assert min(gaps) > 3.0
    assert errors[0] == pytest.approx(errors[1], abs=0.1)


@pytest.mark.parametrize("likelihood", ["gaussian", "isotropic_gaussian"])
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array, np.float32])
def test_a_constant_column_comes_back(convert, likelihood):
    X = NORMAL.copy()
    X[:, 1], X[:, 2], X[:, 3] = 2020.0, 0.0, -7e-13
    vae = GaussianVAETransformer(likelihood=likelihood, **FAST).fit(convert(X))
    for rows in (
        vae.inverse_transform(vae.transform(convert(X))),
        vae.inverse_transform(10 * NORMAL[:, :2]),
        vae.sample(20),
        vae.interpolate(X[:2], X[2:4], 3).reshape(-1, 6),
    ):
        assert np.array_equal(rows[:, 1:4], np.tile(np.float32([2020, 0, -7e-13]), (len(rows), 1)))
        assert (rows[:, [0, 4, 5]].std(axis=0) > 0).all()
    assert np.isfinite(vae.score_samples(X + 1.0)).all()  # other rows need not be constant there


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_array])
@pytest.mark.parametrize(
    ("size", "dtype"),
    [(1e-30, np.float32), (1e25, np.float32), (1e-300, np.float64), (1e200, np.float64)],
)
def test_statistics_do_not_overflow(size, dtype, kind):
    X = (np.where(NORMAL > 0.3, NORMAL, 0) * size).astype(dtype)
    X[:, 5] = size
    rows = kind(X).tocsr() if sp.issparse(kind(X)) else X
    center, scale, constant = column_statistics(rows)
    wide = X.astype(np.longdouble)
    np.testing.assert_allclose(center, wide.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(scale[:5], wide.std(axis=0)[:5], rtol=1e-12)
    assert constant.tolist() == [False] * 5 + [True]


@pytest.mark.parametrize("size", [1e25, 1e-25])
def test_sparse_float32_of_any_size_is_the_model_of_its_dense_twin(size):
    X = (np.where(NORMAL > 0.3, NORMAL, 0) * size).astype(np.float32)
    dense = GaussianVAETransformer(**FAST).fit(X)
    sparse = GaussianVAETransformer(**FAST).fit(sp.csr_array(X))
    np.testing.assert_allclose(sparse.loss_curve_, dense.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(
        sparse.transform(sp.csr_array(X)), dense.transform(X), rtol=1e-3, atol=1e-4
    )


def test_a_spread_that_is_no_number_is_refused():
    X = NORMAL.copy()
    X[:2, 4] = -1.5e308, 1.5e308
    for rows in (X, sp.csr_array(X)):
        with pytest.raises(ValueError, match="Column 4 of X runs from .* overflows float64"):
            GaussianVAETransformer(**FAST).fit(rows)
    assert column_statistics(np.array([[0.0], [5e-324]]))[1] > 0  # a spread that rounds to 0
