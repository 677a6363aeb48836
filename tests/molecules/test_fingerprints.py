"""Sparse fingerprints: what scikit-mol computes, no row lost, and scikit-learn's contract."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from rdkit import Chem
from scikit_mol.fingerprints import (
    MACCSKeysFingerprintTransformer,
    MorganFingerprintTransformer,
    RDKitFingerprintTransformer,
)
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from skccvae import GaussianVAETransformer
from skccvae.molecules import FingerprintTransformer


def molecules(smiles):
    return [Chem.MolFromSmiles(s) for s in smiles]


@pytest.mark.parametrize(
    "fingerprint",
    [
        MorganFingerprintTransformer(),
        MorganFingerprintTransformer(fpSize=256, radius=3, useCounts=True),
        RDKitFingerprintTransformer(fpSize=512),
        MACCSKeysFingerprintTransformer(),
    ],
    ids=["morgan", "counts", "rdkit", "maccs"],
)
def test_the_numbers_are_those_of_scikit_mol(fingerprint, smiles, all_odd):
    smiles = smiles + all_odd + smiles[:3]
    expected = fingerprint.transform(molecules(smiles))
    transformer = FingerprintTransformer(fingerprint, chunk_size=7)
    X = transformer.fit_transform(smiles)
    assert isinstance(X, sp.csr_array)
    assert X.dtype == np.float32
    assert X.nnz == np.count_nonzero(expected)
    np.testing.assert_array_equal(X.toarray(), expected)
    assert list(transformer.get_feature_names_out()) == list(fingerprint.get_feature_names_out())
    for copy in (clone(transformer), pickle.loads(pickle.dumps(transformer))):
        np.testing.assert_array_equal(copy.transform(smiles).toarray(), expected)


def test_morgan_bits_are_the_default(smiles):
    expected = MorganFingerprintTransformer().transform(molecules(smiles))
    np.testing.assert_array_equal(FingerprintTransformer().transform(smiles).toarray(), expected)


def test_all_containers_of_molecules_and_processes_give_the_same(smiles):
    expected = FingerprintTransformer().transform(smiles).toarray()
    for X in (
        np.array(smiles),
        np.array(smiles, dtype=object)[:, None],
        pd.Series(smiles),
        pd.DataFrame({"s": smiles}),
        molecules(smiles),
        pd.Series(molecules(smiles)),
        iter(smiles),
    ):
        rows = FingerprintTransformer().fit_transform(X)
        np.testing.assert_array_equal(rows.toarray(), expected)
    parallel = FingerprintTransformer(chunk_size=30, n_jobs=2)
    np.testing.assert_array_equal(parallel.transform(smiles).toarray(), expected)
    with pytest.raises(ValueError, match="1 of 101 rows are not molecules: row 100 'x'"):
        parallel.transform([*smiles, "x"])


@pytest.mark.parametrize("container", ["csr_array", "csr_matrix", False])
@pytest.mark.parametrize("counts", [False, True])
def test_both_kinds_of_sparse_matrix_train_as_the_dense_array_does(container, counts, smiles):
    fingerprint = MorganFingerprintTransformer(fpSize=128, useCounts=counts)
    X = FingerprintTransformer(fingerprint, sparse_output=container).fit_transform(smiles)
    kinds = {"csr_array": sp.csr_array, "csr_matrix": sp.csr_matrix, False: np.ndarray}
    assert type(X) is kinds[container]
    vae = GaussianVAETransformer(
        likelihood="poisson" if counts else "auto",
        hidden_layer_sizes=(8,),
        max_epochs=2,
        random_state=0,
    )
    dense = clone(vae).fit(fingerprint.transform(molecules(smiles)).astype(np.float32))
    assert vae.fit(X).loss_curve_ == dense.loss_curve_
    assert vae.likelihood_ == ("poisson" if counts else "bernoulli")


def test_every_odd_molecule_has_its_row(odd):
    X = FingerprintTransformer().transform(["CC", odd, odd])
    assert X.shape == (3, 2048)
    assert (X.sum(axis=1) > 0).all()
    assert (X[[1]] != X[[2]]).nnz == 0


@pytest.mark.parametrize("bad", ["C1CC", "", None, float("nan")])
def test_bad_rows_are_named_or_left_out_with_a_warning(bad, smiles):
    X = [*smiles[:5], bad, *smiles[5:9]]
    with pytest.raises(ValueError, match="1 of 10 rows are not molecules: row 5"):
        FingerprintTransformer(chunk_size=4).transform(X)
    with pytest.warns(UserWarning, match="left out: row 5"):
        rows = FingerprintTransformer(on_invalid="skip", chunk_size=4).transform(X)
    np.testing.assert_array_equal(
        rows.toarray(), FingerprintTransformer().transform(smiles[:9]).toarray()
    )


def test_no_molecule_at_all_is_an_error():
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        FingerprintTransformer().transform([])
    with (
        pytest.warns(UserWarning, match="row 0 'x'"),
        pytest.raises(ValueError, match=r"0 sample\(s\)"),
    ):
        FingerprintTransformer(on_invalid="skip").transform(["x"])


class Counting(MorganFingerprintTransformer):
    """Keeps how many molecules it is given at a time."""

    at_a_time: list[int] = []

    def transform(self, X, y=None):
        self.at_a_time.append(len(X))
        return super().transform(X)


def test_no_more_than_a_chunk_is_dense_at_a_time(smiles):
    Counting.at_a_time.clear()
    FingerprintTransformer(Counting(), chunk_size=30).transform(smiles)
    assert Counting.at_a_time == [30, 30, 30, 10]


class Masking(MorganFingerprintTransformer):
    """A safe fingerprint that fails on molecules of one atom."""

    def _transform_mol(self, mol):
        if mol.GetNumAtoms() == 1:
            raise RuntimeError("too small")
        return super()._transform_mol(mol)


def test_a_fingerprint_that_failed_is_no_row_of_zeros():
    fingerprint = Masking(safe_inference_mode=True)
    assert FingerprintTransformer(fingerprint).transform(["CC"]).nnz > 0
    with pytest.raises(ValueError, match="Masking found no fingerprint for one of 2"):
        FingerprintTransformer(fingerprint).transform(["CC", "C"])


@pytest.mark.parametrize(
    "parameter",
    [
        {"chunk_size": 0},
        {"on_invalid": "drop"},
        {"sparse_output": "coo"},
        {"fingerprint": "morgan"},
        {"n_jobs": 1.5},
    ],
)
def test_parameters_are_checked(parameter):
    for method in ("fit", "transform"):
        with pytest.raises(ValueError, match=f"'{next(iter(parameter))}' parameter"):
            getattr(FingerprintTransformer(**parameter), method)(["C"])


def test_a_data_frame_has_the_names_of_the_bits(smiles):
    transformer = FingerprintTransformer(sparse_output=False).set_output(transform="pandas")
    frame = transformer.fit_transform(pd.Series(smiles, index=range(100, 200)))
    assert frame.columns[0] == "fp_morgan_1"
    assert frame.index[0] == 100
    check_is_fitted(FingerprintTransformer())  # stateless


@pytest.mark.parametrize("container", [pd.Series, pd.DataFrame, list, np.array])
def test_a_data_frame_keeps_the_index_of_the_rows_that_are_left(container, smiles):
    X = container([smiles[0], "x", *smiles[1:4], None])
    if hasattr(X, "iloc"):
        X.index = range(100, 106)
    transformer = FingerprintTransformer(sparse_output=False, on_invalid="skip")
    expected = FingerprintTransformer().transform(smiles[:4]).toarray()
    with pytest.warns(UserWarning, match="2 of 6 rows are not molecules"):
        array = transformer.fit_transform(X)
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, expected)
    transformer.set_output(transform="pandas")
    with pytest.warns(UserWarning, match="2 of 6 rows are not molecules"):
        frame = transformer.transform(X)
    index = [100, 102, 103, 104] if hasattr(X, "iloc") else [0, 1, 2, 3]
    assert frame.index.tolist() == index
    assert frame.columns[0] == "fp_morgan_1"
    np.testing.assert_array_equal(frame, expected)


def test_a_pipeline_predicts(smiles, sizes):
    pipe = make_pipeline(
        FingerprintTransformer(MorganFingerprintTransformer(fpSize=256)),
        GaussianVAETransformer(8, hidden_layer_sizes=(64,), max_epochs=30, random_state=0),
        Ridge(),
    )
    predicted = cross_val_predict(pipe, smiles, sizes, cv=3)
    assert np.corrcoef(predicted, sizes)[0, 1] > 0.5
    assert pipe[:1].get_feature_names_out()[-1] == "fp_morgan_256"
