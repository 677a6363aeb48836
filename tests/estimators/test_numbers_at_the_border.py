"""Numbers that are legal and unusual: duplicates, offsets, constants, huge and tiny ones, masks."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.preprocessing import MinMaxScaler
from torch.utils.data import TensorDataset

from skccvae import GaussianVAETransformer, SphericalVAETransformer, load
from skccvae.estimators._units import choose_likelihood, column_statistics
from skccvae.nn import BernoulliLikelihood, IsotropicGaussianLikelihood

NORMAL = np.random.default_rng(0).normal(size=(300, 6))
FAST = {"hidden_layer_sizes": (16,), "max_epochs": 3, "random_state": 0, "device": "cpu"}


def same_model(a, b) -> bool:
    pairs = zip(a.net_.module_.parameters(), b.net_.module_.parameters(), strict=True)
    return all(bool((v == w).all()) for v, w in pairs)


def torch_dataset(X: np.ndarray) -> TensorDataset:
    return TensorDataset(torch.from_numpy(X))


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
    attributes = set(vars(X))
    before = [part.copy() for part in (X.data, X.indices, X.indptr)]
    vae = GaussianVAETransformer(likelihood=likelihood, **FAST).fit(X)
    clean = GaussianVAETransformer(likelihood=likelihood, **FAST).fit(kind(dense))
    assert vae.likelihood_ == clean.likelihood_
    assert same_model(vae, clean)
    assert np.array_equal(vae.score_samples(X, 4), clean.score_samples(dense, 4))
    assert np.array_equal(vae.transform(X), clean.transform(dense))
    for part, old in zip((X.data, X.indices, X.indptr), before, strict=True):
        assert np.array_equal(part, old)
    assert set(vars(X)) == attributes


def test_duplicates_count_towards_the_range():
    parts = np.full(600, 0.8), np.zeros(600, int), np.arange(0, 601, 2)
    X = sp.csr_matrix(parts, shape=(300, 3))  # 1.6 in column 0
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
    settings = {**FAST, "max_epochs": 1, "likelihood": "gaussian"}
    vae = GaussianVAETransformer(n_components=6, **settings).fit(X)
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
    means = vae.net_.module_.decode(torch.randn(9, 2))
    assert (means[:, 1:4] == 0).all()  # the density is one around what comes back
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


# --- densities in float64 -------------------------------------------------------------------------


def test_a_row_far_out_has_a_finite_score(make):
    vae = make().fit(NORMAL)
    rows = NORMAL[:4].copy()
    rows[1, 2], rows[2, 0] = 1e20, -1e37
    scores = vae.score_samples(rows, 4)
    assert scores.dtype == np.float64
    # The learned scale of a column is near its standard deviation, and the decoder is no better.
    assert -1e42 < scores[1] < -1e38
    assert -1e76 < scores[2] < -1e72
    others = vae.score_samples(NORMAL[:4], 4)
    np.testing.assert_allclose(scores[[0, 3]], others[[0, 3]], rtol=1e-6)
    assert vae.score(rows) == pytest.approx(scores.mean(), rel=0.1)
    rows[1, 2] = 1e39  # no number of float32, in which the networks work
    with pytest.raises(ValueError, match=r"not finite for 1 row\(s\), the first at 1"):
        vae.score_samples(rows, 4)


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial", "isotropic_gaussian"])
def test_a_huge_count_has_a_finite_score(likelihood):
    X = np.random.default_rng(1).poisson(5.0, size=(60, 4))
    vae = GaussianVAETransformer(likelihood=likelihood, **FAST).fit(X)
    rows = X[:3].astype(np.float64)
    rows[1, 2] = 1e20
    scores = vae.score_samples(rows, 4)
    assert np.isfinite(scores).all()
    # The linear paths of a start at PCA lead to large rates, which end at exp(15): a negative
    # binomial of size r has -x log(1 + r / exp(15)) nats, with r >= 0.1.
    assert scores[1] < (-1e12 if likelihood == "negative_binomial" else -1e19)


def test_a_row_far_out_has_a_location_on_the_sphere():
    vae = SphericalVAETransformer(**FAST).fit(NORMAL)
    for size in (1e10, 1e20, 1e30, 1e37):
        Z = vae.transform(size * NORMAL[:5])
        np.testing.assert_allclose(np.linalg.norm(Z, axis=1), 1.0, rtol=1e-6)
        loc = vae.posterior_distribution(size * NORMAL[:5]).loc
        np.testing.assert_allclose(loc, Z, rtol=1e-6)


# --- large counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, torch_dataset])
@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial"])
@pytest.mark.parametrize("size", [1e6, 5e7])
def test_large_counts_are_decoded(size, likelihood, kind):
    rates = np.array([3.0, size, 0.2 * size, 40.0]) * np.exp(0.3 * NORMAL[:, :1])
    X = np.random.default_rng(1).poisson(rates).astype(np.float64)
    X[::7, 1] = 0
    settings = {**FAST, "max_epochs": 60, "learning_rate": 1e-2, "likelihood": likelihood}
    vae = GaussianVAETransformer(1, **settings).fit(kind(X))
    back = vae.inverse_transform(vae.transform(kind(X)))
    kept = X[:, 1] > 0
    assert 0.7 < np.median(back[kept, 1] / X[kept, 1]) < 1.4
    assert 0.7 < np.median(back[:, 2] / X[:, 2]) < 1.4
    assert 0.6 < back[:, 0].mean() / X[:, 0].mean() < 1.5
    assert 0.6 < back[:, 3].mean() / X[:, 3].mean() < 1.5
    assert np.isfinite(vae.score_samples(X, 4)).all()


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial"])
def test_the_training_loss_of_large_counts_is_a_probability(likelihood):
    """In float32 the terms cancel, and their rounding would be a probability of e^100."""
    X = (
        np.random.default_rng(1)
        .poisson(5e7 * np.exp(0.3 * NORMAL[:, :1]) * np.ones(4))
        .astype(np.float64)
    )
    settings = {**FAST, "max_epochs": 60, "likelihood": likelihood}
    vae = GaussianVAETransformer(1, learning_rate=1e-2, **settings).fit(X)
    assert min(vae.loss_curve_) > 0
    elbo = vae.evaluate(X, 64)["elbo"]
    assert vae.history_["elbo"][-1] == pytest.approx(elbo, rel=0.5)
    vae = GaussianVAETransformer(**FAST, likelihood=likelihood).fit(X // 1e6)
    assert vae._input.units.scale is None  # ordinary counts have the unit 1


def test_a_model_of_large_counts_is_saved_with_its_units(tmp_path):
    X = np.random.default_rng(1).poisson([5e7, 3.0], size=(60, 2))
    vae = GaussianVAETransformer(likelihood="poisson", **FAST).fit(X)
    vae.save(tmp_path / "counts.skccvae")
    loaded = load(tmp_path / "counts.skccvae")
    assert np.array_equal(loaded.score_samples(X, 4), vae.score_samples(X, 4))
    Z = vae.transform(X)
    assert np.array_equal(loaded.inverse_transform(Z), vae.inverse_transform(Z))


# --- the last bit of a scaled table ---------------------------------------------------------------


@pytest.mark.parametrize("convert", [np.float64, np.float32, sp.csr_array])
@pytest.mark.parametrize(
    "params", [{"likelihood": "bernoulli"}, {"binarize": "dynamic"}, {"binarize": 0.5}]
)
def test_the_last_bit_of_a_scaled_table_does_not_matter(params, convert):
    exact = np.rint(8 * np.abs(np.sin(NORMAL))) / 8
    eps = np.finfo(np.float32 if convert is np.float32 else np.float64).eps
    X = np.where(exact == 1, 1 + eps, np.where(exact == 0, -eps, exact))
    expected = GaussianVAETransformer(**params, **FAST).fit(exact)
    vae = GaussianVAETransformer(**params, **FAST).fit(convert(X))
    assert vae.likelihood_ == "bernoulli"
    assert same_model(vae, expected)
    for rows in (convert(X), exact):
        assert np.array_equal(vae.transform(rows), expected.transform(exact))
        assert np.array_equal(vae.score_samples(rows, 4), expected.score_samples(exact, 4))


def test_min_max_scaling_never_changes_the_likelihood():
    overshot = 0
    for seed in range(40):
        normal = np.random.default_rng(seed).normal(size=(50, 6))
        for rows in (normal, normal.astype(np.float32), 1e4 + normal):
            X = MinMaxScaler().fit_transform(rows)
            overshot += X.max() > 1
            assert choose_likelihood(X, "auto", None)[0] is IsotropicGaussianLikelihood
            for likelihood, binarize in (("bernoulli", None), ("auto", 0.5)):
                assert choose_likelihood(X, likelihood, binarize)[0] is BernoulliLikelihood
    assert overshot > 10


@pytest.mark.parametrize(
    ("dtype", "size"), [(np.float64, 4e-10), (np.float32, 3e-7), (np.float16, 1e-3)]
)
def test_small_numbers_of_both_signs_are_not_rounding(dtype, size):
    """Such as lengths in metres: a Bernoulli model would take the negative ones for 0."""
    X = (size * np.random.default_rng(0).uniform(-1, 1, (60, 3))).astype(dtype)
    vae = GaussianVAETransformer(max_epochs=1, hidden_layer_sizes=(4,), random_state=0)
    assert vae.fit(X).likelihood_ == "isotropic_gaussian"
    with pytest.raises(ValueError, match=r"needs X in \[0, 1\]"):
        clone(vae).set_params(likelihood="bernoulli").fit(X)


def test_messages_have_the_digits_that_tell_numbers_apart():
    X = np.abs(np.sin(NORMAL))
    X[0, 0] = 1.000001
    for params in ({"likelihood": "bernoulli"}, {"binarize": "dynamic"}):
        with pytest.raises(ValueError, match=r"\[0, 1\].* X runs from .* to 1.000001\. Scale"):
            GaussianVAETransformer(**params, **FAST).fit(X)
    with pytest.raises(ValueError, match="smallest entry is -1e-12"):
        GaussianVAETransformer(likelihood="poisson", **FAST).fit(X - X.min() - 1e-12)


# --- rows in other units, and masks ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array, torch_dataset])
def test_every_method_refuses_rows_in_other_units(convert, dtype):
    X = np.abs(np.sin(NORMAL))
    vae = GaussianVAETransformer(likelihood="bernoulli", **FAST).fit(X)
    wrong = convert(np.rint(255 * X).astype(dtype))
    for method in (vae.transform, vae.posterior_distribution, vae.score, vae.score_samples):
        with pytest.raises(ValueError, match=r"needs X in \[0, 1\]; X runs|bytes up to 255"):
            method(wrong)
    with pytest.raises(ValueError, match=r"needs X in \[0, 1\]; X runs|bytes up to 255"):
        vae.interpolate(wrong, wrong)


def test_some_numbers_may_leave_the_support_in_transform():
    """As those of a scaler do that was fitted on other rows."""
    X = np.abs(np.sin(NORMAL))
    vae = GaussianVAETransformer(likelihood="bernoulli", **FAST).fit(X)
    assert np.isfinite(vae.transform(1.5 * X)).all()
    X[:, 0] = 40.0
    assert np.isfinite(vae.transform(X)).all()
    with pytest.raises(ValueError, match="runs from .* to 40. Scale"):
        vae.score(X)


def test_negative_rows_are_no_counts():
    vae = GaussianVAETransformer(likelihood="poisson", **FAST).fit(
        np.random.default_rng(1).poisson(5.0, size=(60, 6))
    )
    with pytest.raises(ValueError, match="needs counts, X >= 0"):
        vae.transform(-np.abs(NORMAL))


def test_bytes_and_their_multiples_are_read_in_the_units_of_fit():
    B = np.rint(255 * np.abs(np.sin(NORMAL))).astype(np.uint8)
    vae = GaussianVAETransformer(likelihood="bernoulli", **FAST).fit(B)
    assert np.array_equal(vae.transform(B.astype(np.float64)), vae.transform(B))
    with pytest.raises(ValueError, match=r"needs X in \[0, 255\]; X runs from 0 to 65025"):
        vae.transform(255.0 * B)


def test_masked_entries_are_missing_numbers():
    X = np.ma.masked_array(NORMAL, mask=np.abs(NORMAL) > 2)
    message = r"X is a masked array with \d+ masked entries.*X.filled\(value\)"
    with pytest.raises(ValueError, match=message):
        GaussianVAETransformer(**FAST).fit(X)
    vae = GaussianVAETransformer(**FAST).fit(NORMAL)
    for method in (vae.transform, vae.score_samples, vae.partial_fit):
        with pytest.raises(ValueError, match=message):
            method(X)
    for name, method in (("X", vae.inverse_transform), ("Z", vae.geodesic_distances)):
        with pytest.raises(ValueError, match=f"{name} is a masked array with 1 masked entries"):
            method(np.ma.masked_array([[1.0, 2.0]], mask=[[True, False]]))
    unmasked = np.ma.masked_array(NORMAL)
    assert np.array_equal(vae.transform(unmasked), vae.transform(NORMAL))
    angles = GaussianVAETransformer(likelihood="von_mises", **FAST)
    holes = X.filled(np.nan)
    assert same_model(clone(angles).fit(X), angles.fit(holes))
    assert np.array_equal(angles.transform(X), angles.transform(holes))
