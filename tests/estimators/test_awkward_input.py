"""Awkward but legitimate input works and stays finite."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from skccvae import GaussianVAETransformer

RNG = np.random.default_rng(0)
UNIT = RNG.random((24, 4))
NORMAL = RNG.normal(size=(24, 4))
ZERO = np.zeros((1, 4), dtype=int)


def check_all_methods(vae, X):
    """Fit and use every method; everything must be finite."""
    Z = vae.fit(X).transform(X)
    assert Z.dtype == np.float32
    assert np.isfinite(Z).all()
    back = vae.inverse_transform(Z)
    assert back.shape == (Z.shape[0], vae.n_features_in_)
    assert np.isfinite(back).all()
    assert np.isfinite(vae.score_samples(X, 4)).all()
    assert all(np.isfinite(list(vae.evaluate(X, 4).values())))
    assert np.isfinite(vae.loss_curve_).all()
    assert np.isfinite(vae.interpolate(X[:2], X[2:4], 3)).all()
    if hasattr(vae, "sample"):
        assert np.isfinite(vae.sample(3)).all()
    return back


@pytest.mark.parametrize(
    "X",
    [
        pytest.param(NORMAL[:, :1], id="one column"),
        pytest.param(RNG.normal(size=(8, 3000)), id="3000 columns, 8 rows"),
        pytest.param(RNG.random((8, 3000)), id="3000 columns in the unit interval"),
        pytest.param(np.zeros((12, 3)), id="all zero"),
        pytest.param(np.ones((12, 3)), id="all one"),
        pytest.param(np.full((12, 3), 0.1 + 0.2), id="constant fraction"),
        pytest.param(np.full((12, 3), -7e5), id="constant large"),
        pytest.param(np.full((12, 3), 7e-13) * [1, -1, 1], id="constant small"),
        pytest.param(NORMAL * 1e6, id="times 1e6"),
        pytest.param(NORMAL * 1e-12, id="times 1e-12"),
        pytest.param(UNIT * 1e-12, id="unit times 1e-12"),
        pytest.param(NORMAL * 1e-40, id="below float32"),
        pytest.param(NORMAL + 100, id="N(100, 1)"),
        pytest.param(NORMAL + 1e9, id="N(1e9, 1)"),
        pytest.param(NORMAL * [1e6, 1e-12, 1, 0], id="columns of unlike scale"),
        pytest.param(np.repeat(NORMAL[:3], 8, axis=0), id="few distinct rows"),
        pytest.param(np.where(RNG.random((24, 4)) < 0.02, 1e6, NORMAL), id="outliers"),
    ],
)
def test_values(make, X):
    check_all_methods(make(), X)


@pytest.mark.parametrize("scale", [1e6, 1.0, 1e-12])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_reconstructions_are_in_the_units_of_X(make, scale, offset):
    X = (NORMAL + offset) * scale
    vae = make(max_epochs=20, learning_rate=1e-2, likelihood="gaussian")
    back = check_all_methods(vae, X)
    # A model that knows no more than the columns' means has an error of one standard deviation.
    assert np.sqrt(np.mean(((back - X) / X.std(axis=0)) ** 2)) < 1.1
    np.testing.assert_allclose(back.mean(0), X.mean(0), atol=0.7 * scale)


def test_scores_of_scaled_data_differ_by_the_jacobian(make):
    """Densities are of the user's X, so that they transform as densities do."""
    one = make().fit(NORMAL)
    other = make().fit(NORMAL * 1024.0)  # a power of two: the same bits in model units
    difference = one.score_samples(NORMAL) - other.score_samples(NORMAL * 1024.0)
    np.testing.assert_allclose(difference, 4 * np.log(1024.0), rtol=1e-4)
    assert np.array_equal(one.transform(NORMAL), other.transform(NORMAL * 1024.0))


@pytest.mark.parametrize(
    ("X", "likelihood"),
    [
        (np.rint(UNIT * 255).astype(np.uint8), "isotropic_gaussian"),
        (np.rint(UNIT).astype(np.uint8), "bernoulli"),
        (np.rint(UNIT * 9).astype(np.int64), "isotropic_gaussian"),
        (np.rint(UNIT).astype(np.int32), "bernoulli"),
        (UNIT > 0.5, "bernoulli"),
        (UNIT.astype(np.float64), "isotropic_gaussian"),
        (UNIT.astype(np.float32), "isotropic_gaussian"),
        (UNIT.astype(np.float16), "isotropic_gaussian"),
        (NORMAL.astype(np.float16), "isotropic_gaussian"),
        (NORMAL.astype(np.longdouble), "isotropic_gaussian"),
        (NORMAL * [1, 2, 4, 100], "gaussian"),
        (UNIT.astype(object), "isotropic_gaussian"),
        ((UNIT > 0.5).astype(object), "bernoulli"),
    ],
    ids=lambda value: str(getattr(value, "dtype", value)),
)
def test_dtypes(make, X, likelihood):
    vae = make()
    check_all_methods(vae, X)
    assert vae.likelihood_ == likelihood


def test_all_dtypes_and_containers_of_the_same_numbers_give_the_same_bits(make, tmp_path):
    X = np.rint(UNIT)
    expected = make().fit(X)
    Z, scores = expected.transform(X), expected.score_samples(X, 4)
    np.save(tmp_path / "X.npy", X)
    wider = np.zeros((24, 8))
    wider[:, ::2] = X
    containers = {
        "bool": X.astype(bool),
        "uint8": X.astype(np.uint8),
        "int64": X.astype(np.int64),
        "float32": X.astype(np.float32),
        "float16": X.astype(np.float16),
        "list": X.tolist(),
        "tuple": tuple(map(tuple, X)),
        "frame": pd.DataFrame(X),
        "fortran": np.asfortranarray(X),
        "strided": wider[:, ::2],
        "csr matrix": sp.csr_matrix(X),
        "csc matrix": sp.csc_matrix(X),
        "csr array": sp.csr_array(X),
        "csc array": sp.csc_array(X),
        "coo array": sp.coo_array(X),
        "lil matrix": sp.lil_matrix(X),
        "bool csr": sp.csr_array(X.astype(bool)),
        "memmap": np.load(tmp_path / "X.npy", mmap_mode="r"),
    }
    for name, container in containers.items():
        vae = make().fit(container)
        assert vae.likelihood_ == "bernoulli"
        assert np.array_equal(vae.transform(container), Z), name
        np.testing.assert_allclose(vae.score_samples(container, 4), scores, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_one_row_of_a_reversed_view(make, dtype):
    """NumPy counts it as contiguous, and torch refuses its negative stride."""
    X = UNIT.astype(dtype)
    vae = make().fit(X[::-1])
    np.testing.assert_array_equal(vae.transform(X[::-1][-1:]), vae.transform(X[:1].copy()))
    np.testing.assert_array_equal(
        make().fit(X[::-1][-1:]).transform(X), make().fit(X[:1].copy()).transform(X)
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_array])
def test_sparse_real_values_are_centred_as_dense_ones(make, dtype, kind):
    X = np.where(UNIT > 0.6, np.rint(NORMAL * 9), 0).astype(dtype)
    dense, sparse = make().fit(X), make().fit(kind(X))
    assert sparse.likelihood_ == "isotropic_gaussian"
    np.testing.assert_allclose(sparse.transform(kind(X)), dense.transform(X), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        sparse.inverse_transform(sparse.transform(X)),
        dense.inverse_transform(dense.transform(X)),
        rtol=1e-3,
        atol=1e-3,
    )


def test_a_read_only_memory_map_of_bytes_is_left_alone(make, tmp_path):
    X = np.rint(UNIT * 255).astype(np.uint8)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    vae = make().fit(mapped)
    assert np.array_equal(vae.transform(mapped), make().fit(X).transform(X))
    assert np.array_equal(mapped, X)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_row_or_two(make, n):
    vae = make().fit(NORMAL[:n])
    assert np.isfinite(vae.transform(NORMAL[:n])).all()
    assert np.isfinite(vae.score_samples(NORMAL[:n], 4)).all()


def test_more_components_than_columns(make_vae):
    vae = make_vae()
    if "n_components" in vae.get_params():
        check_all_methods(vae.set_params(n_components=12), NORMAL)


@pytest.mark.parametrize(
    ("X", "likelihood"),
    [
        (np.c_[RNG.normal(1.7, 0.1, 60), RNG.normal(5e4, 1e4, 60)], "gaussian"),
        (np.c_[RNG.normal(1.7, 0.1, 60), RNG.random((60, 2)) * 5e4, RNG.random(60)], "gaussian"),
        (RNG.normal(size=(60, 4)) * [1, 2, 4, 8], "isotropic_gaussian"),
        (
            RNG.poisson([0.1, 0.2, 1, 40], (60, 4)) * (np.arange(60) > 0)[:, None],
            "isotropic_gaussian",
        ),
        (RNG.integers(0, [5, 5, 30, 90000], (60, 4)) * (np.arange(60) > 0)[:, None], "gaussian"),
    ],
)
def test_columns_in_one_unit_share_their_noise(X, likelihood):
    vae = GaussianVAETransformer(max_epochs=1, hidden_layer_sizes=(8,), random_state=0).fit(X)
    assert vae.likelihood_ == likelihood
