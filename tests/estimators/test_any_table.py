"""Any table in any container: a clear error, or the finite answer of its dense float64 twin."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pandas as pd
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from skccvae import (
    AutoencoderTransformer,
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    SphericalVAETransformer,
)


def _halves(A):
    """A csr array that holds every entry as the sum of two, which is legal."""
    n, p = A.shape
    half = A // 2 if A.dtype.kind in "iu" else A / 2
    parts = np.stack([half, A - half], axis=2).reshape(n, 2 * p).astype(A.dtype)
    columns = np.tile(np.repeat(np.arange(p), 2), n)
    return sp.csr_array((parts.ravel(), columns, np.arange(n + 1) * 2 * p), shape=(n, p))


CONTAINERS = {
    "array": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "strided": lambda A: np.repeat(A, 2, axis=1)[:, ::2],
    "reversed": lambda A: A[::-1].copy()[::-1],
    "list": lambda A: A.tolist(),
    "frame": pd.DataFrame,
    "named frame": lambda A: pd.DataFrame(A, columns=[f"c{i}" for i in range(A.shape[1])]),
    "objects": lambda A: A.astype(object),
    "csr": sp.csr_array,
    "csc": sp.csc_matrix,
    "coo": sp.coo_array,
    "duplicates": _halves,
    "masked": np.ma.masked_array,
}
DTYPES = {"float64", "float32", "float16", "int64", "int8", "bool"}
ESTIMATORS = (
    AutoencoderTransformer,
    GaussianVAETransformer,
    SphericalVAETransformer,
    HyperbolicVAETransformer,
    ConstantCurvatureVAETransformer,
)


@st.composite
def tables(draw) -> np.ndarray:
    """Small tables of fractions, counts or numbers of any scale, some with NaN or infinity."""
    n, p = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["fractions", "counts", "numbers", "constants"]))
    if kind == "fractions":
        A = rng.random((n, p))
    elif kind == "counts":
        A = rng.poisson(draw(st.sampled_from([0.3, 5.0, 1e4])), (n, p)).astype(float)
    elif kind == "numbers":
        scale = 10.0 ** draw(st.integers(-30, 30))
        A = scale * (rng.normal(size=(n, p)) + draw(st.sampled_from([0.0, 1.0, 1e4])))
    else:
        A = np.full((n, p), draw(st.sampled_from([0.0, 1.0, -7.5, 2020.0])))
    A[rng.random((n, p)) < draw(st.sampled_from([0.0, 0.0, 0.6]))] = 0.0
    odd = draw(st.sampled_from([None, None, None, None, np.nan, np.inf, -np.inf]))
    if odd is not None:
        A[0, -1] = odd
    return A


def answer(vae, X):
    """What a user reads off a fit, or the kind of error and its message."""
    try:
        Z = vae.fit(X).transform(X)
        found = {"Z": Z, "back": vae.inverse_transform(Z)}
        if not isinstance(vae, AutoencoderTransformer):
            found["scores"] = vae.score_samples(X, 4)
        return found
    except (ValueError, TypeError) as error:
        return error


def contents(X):
    """Everything that could be changed of a container."""
    if sp.issparse(X):
        C = X.tocoo()
        return [X.data.tobytes(), C.row.tobytes(), C.col.tobytes(), str(X.dtype)]
    if isinstance(X, pd.DataFrame):
        return [X.to_numpy().tobytes(), list(X.columns), list(X.dtypes)]
    return copy.deepcopy(X) if isinstance(X, list) else [np.asarray(X).tolist(), str(X.dtype)]


@settings(max_examples=150)
@given(
    A=tables(),
    dtype=st.sampled_from(sorted(DTYPES)),
    container=st.sampled_from(sorted(CONTAINERS)),
    kind=st.sampled_from(ESTIMATORS),
    likelihood=st.sampled_from(["auto", "gaussian", "bernoulli", "poisson"]),
    seed=st.integers(0, 5),
)
def test_any_table(A, dtype, container, kind, likelihood, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # casts that overflow, and warnings about odd data
        A = A.astype(dtype)
    # scipy.sparse has no float16.
    if container in {"csr", "csc", "coo", "duplicates"} and dtype == "float16":
        A = A.astype("float32")
    if container == "duplicates" and dtype == "bool":
        A = A.astype("int8")
    X, twin = CONTAINERS[container](A), A.astype(np.float64)
    before = contents(X)
    vae = kind(2, likelihood=likelihood, max_epochs=1, hidden_layer_sizes=(4,), random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, again, expected = answer(vae, X), answer(vae, X), answer(vae, twin)
    assert str(contents(X)) == str(before)
    if isinstance(expected, Exception) or isinstance(found, Exception):
        assert isinstance(found, type(expected)), (found, expected)
        assert str(again) == str(found)
        assert len(str(found)) > 20
        return
    for name, value in found.items():
        assert np.isfinite(value).all(), name
        assert np.array_equal(value, again[name]), name
        np.testing.assert_allclose(
            value, expected[name], rtol=1e-4, atol=1e-4 * np.abs(expected[name]).max(), err_msg=name
        )
