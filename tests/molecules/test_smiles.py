"""SMILES to molecules: what counts as one, what is said of the rest, what stays beside it."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from rdkit import Chem

from skccvae import GaussianVAETransformer
from skccvae.molecules import FingerprintTransformer, read_smiles

BAD = {
    "C1CC": "RDKit cannot parse it",
    "hello": "RDKit cannot parse it",
    "CC(C)(C)(C)C": "valence",
    "c1cccc1": "kekulize",
    "": "empty",
    "  ": "empty",
    None: "missing",
    float("nan"): "missing",
    pd.NA: "missing",
    Chem.Mol(): "no atoms",
}


@pytest.mark.parametrize(
    ("bad", "reason"), BAD.items(), ids=[type(bad).__name__ + str(n) for n, bad in enumerate(BAD)]
)
def test_a_row_that_is_no_molecule_is_named(bad, reason, capfd):
    with pytest.raises(ValueError, match=f"1 of 3 rows are not molecules: row 1 .*{reason}") as e:
        read_smiles(["CCO", bad, "C"])
    assert repr(bad)[:50] in str(e.value)
    y = np.array([1.0, 2.0, 3.0])
    with pytest.warns(UserWarning, match=f"left out: row 1 .*{reason}"):
        molecules, kept = read_smiles(["CCO", bad, "C"], y, on_invalid="skip")
    assert [Chem.MolToSmiles(molecule) for molecule in molecules] == ["CCO", "C"]
    assert kept.tolist() == [1.0, 3.0]
    assert capfd.readouterr() == ("", "")  # RDKit's own log is silent


def test_five_rows_are_named_and_the_others_counted():
    with pytest.raises(ValueError, match=r"8 of 9 rows.*row 5 .*; and 3 more\.") as e:
        read_smiles(["C", *["x"] * 8])
    assert "row 6" not in str(e.value)


def test_odd_molecules_are_molecules(odd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (molecule,) = read_smiles([odd], on_invalid="skip")
    assert Chem.MolToSmiles(molecule) == Chem.CanonSmiles(odd)


def test_duplicates_stay():
    molecules, rows = read_smiles(["CO", "CO", "CO"], [0, 1, 2])
    assert len(molecules) == 3
    assert rows == [0, 1, 2]


COLUMN = ["CCO", "CN", "x", "C"]


@pytest.mark.parametrize(
    "column",
    [
        COLUMN,
        tuple(COLUMN),
        np.array(COLUMN),
        np.array(COLUMN, dtype=object)[:, None],
        [[s] for s in COLUMN],
        pd.Series(COLUMN, index=[7, 5, 3, 1]),
        pd.DataFrame({"smiles": COLUMN}),
        iter(COLUMN),
    ],
    ids=["list", "tuple", "array", "column", "rows", "series", "frame", "iterator"],
)
def test_all_kinds_of_columns_and_of_arrays_beside_them(column):
    with pytest.warns(UserWarning, match="row 2 'x'"):
        molecules, a_list, array, frame, sparse = read_smiles(
            column,
            list("abcd"),
            np.arange(8).reshape(4, 2),
            pd.DataFrame({"y": range(4)}, index=[4, 3, 2, 1]),
            sp.csr_array(np.eye(4)),
            on_invalid="skip",
        )
    assert [molecule.GetNumAtoms() for molecule in molecules] == [3, 2, 1]
    assert a_list == ["a", "b", "d"]
    assert array.tolist() == [[0, 1], [2, 3], [6, 7]]
    assert frame.index.tolist() == [4, 3, 1]
    np.testing.assert_array_equal(sparse.toarray(), np.eye(4)[[0, 1, 3]])


def test_molecules_pass_through_and_bare_ones_are_sanitised_in_a_copy():
    whole = Chem.MolFromSmiles("c1ccccc1")
    bare = Chem.MolFromSmiles("C1=CC=CC=C1", sanitize=False)
    first, second = read_smiles([whole, bare])
    assert first is whole
    assert second.GetAtomWithIdx(0).GetIsAromatic()
    assert not bare.GetAtomWithIdx(0).GetIsAromatic()
    broken = Chem.MolFromSmiles("CC(C)(C)(C)C", sanitize=False)
    with pytest.raises(ValueError, match="valence"):
        read_smiles([broken])


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        ("CCO", TypeError, "single str"),
        (Chem.MolFromSmiles("C"), TypeError, "single Mol"),
        (sp.eye(3), TypeError, "sparse matrix"),
        (3, TypeError, "got int"),
        ({"C", "CC"}, TypeError, "got a set, which has no rows"),
        (np.zeros((4, 2)), ValueError, r"got shape \(4, 2\)"),
        (np.array("C"), ValueError, r"got shape \(\)"),
        ([["C", "O"], ["C", "N"]], ValueError, r"rows of \[2\] entries"),
        ([["C"], "C"], ValueError, r"rows of \[0, 1\] entries"),
        (np.zeros(3), TypeError, "Row 0 holds 0.0, of type float"),
        (["C", 5], TypeError, "Row 1 holds 5, of type int"),
        ([b"C"], TypeError, "of type bytes"),
    ],
)
def test_what_is_no_column_of_molecules(X, error, match):
    for on_invalid in ("raise", "skip"):
        with pytest.raises(error, match=match):
            read_smiles(X, on_invalid=on_invalid)


def test_lengths_and_options_are_checked():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        read_smiles(["C", "CC"], [1.0])
    with pytest.raises(ValueError, match="must be 'raise' or 'skip'; got 'drop'"):
        read_smiles(["C"], on_invalid="drop")
    assert read_smiles([]) == []


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_a_masked_row_is_missing(shape):
    smiles = np.ma.masked_array(["CC", "CO", "C"], mask=[0, 1, 0]).reshape(shape)
    with pytest.raises(ValueError, match="1 of 3 rows are not molecules: row 1 None"):
        read_smiles(smiles)


# --- objects that carry their SMILES --------------------------------------------------------------


class Graph:
    """What a molecule of PyTorch Geometric's data sets is here: an object with SMILES."""

    def __init__(self, smiles):
        self.smiles = smiles

    def __iter__(self):  # a `Data` iterates over its own entries
        yield "smiles", self.smiles


def test_objects_with_smiles_are_molecules():
    smiles = ["CCO", "C", "c1ccccc1"]
    graphs = [Graph(text) for text in smiles]
    for column in (graphs, tuple(graphs), np.array(graphs, dtype=object), [[g] for g in graphs]):
        assert [m.GetNumAtoms() for m in read_smiles(column)] == [3, 1, 6]
    with pytest.raises(ValueError, match=r"row 1 None \(missing\)"):
        read_smiles([graphs[0], Graph(None)])
    with pytest.raises(TypeError, match="single Graph"):
        read_smiles(graphs[0])
    with pytest.raises(TypeError, match="attribute smiles"):
        read_smiles([object()])


def test_a_data_frame_whose_column_is_called_smiles():
    frame = pd.DataFrame({"smiles": ["CCO", "C"]})
    assert [m.GetNumAtoms() for m in read_smiles(frame)] == [3, 1]


def test_graphs_of_pytorch_geometric():
    data = pytest.importorskip("torch_geometric.data")
    smiles = ["C" * n + "O" for n in range(1, 20)]
    graphs = [data.Data(x=torch.zeros(1, 1), smiles=text) for text in smiles]
    bits = FingerprintTransformer()
    assert (bits.fit_transform(graphs) != bits.fit_transform(smiles)).nnz == 0
    vae = GaussianVAETransformer(
        encoder="molecular_graph", hidden_layer_sizes=(8,), max_epochs=1, random_state=0
    ).fit(graphs)
    assert np.array_equal(vae.transform(graphs), vae.transform(smiles))
