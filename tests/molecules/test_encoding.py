"""Molecules as rows: what the codes say, that they keep within their sizes, and what is kept."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import torch
from rdkit import Chem
from scikit_mol.fingerprints import MorganFingerprintTransformer

from skccvae.molecules import MolecularGraph, _graph
from skccvae.molecules._encoding import ATOM_SIZES, BOND_SIZES, graphs
from skccvae.nn import read_graphs


def codes(molecule):
    """Codes of the atoms by name, and pairs of ends with codes of the bonds."""
    if isinstance(molecule, str):
        molecule = Chem.MolFromSmiles(molecule)
    rows = torch.from_numpy(graphs([molecule]).toarray())
    batch = read_graphs(rows, len(ATOM_SIZES), len(BOND_SIZES))
    atoms = dict(zip(ATOM_SIZES, batch.node_codes.T.tolist(), strict=True))
    bonds = dict(zip(BOND_SIZES, batch.edge_codes.T.tolist(), strict=True))
    return atoms, bonds, batch.edge_index.T.tolist()


def test_codes_of_a_molecule_that_has_most_of_them():
    atoms, bonds, ends = codes("[13CH3][N+](C)(C)C/C=C\\c1ccc[nH]1")
    assert atoms["atomic_number"] == [6, 7, 6, 6, 6, 6, 6, 6, 6, 6, 6, 7]
    assert atoms["degree"] == [1, 4, 1, 1, 2, 2, 2, 3, 2, 2, 2, 2]
    assert atoms["hydrogens"] == [3, 0, 3, 3, 2, 1, 1, 0, 1, 1, 1, 1]
    assert atoms["charge"] == [0, 1, *[0] * 10]
    assert atoms["aromatic"] == [*[0] * 7, *[1] * 5]
    assert atoms["smallest_ring"] == [*[0] * 7, *[3] * 5]  # 1 is a ring of three
    assert atoms["isotope"] == [5, *[0] * 11]  # one more than usual
    assert atoms["radical_electrons"] == [0] * 12
    half = len(ends) // 2
    assert ends[:half] == [[j, i] for i, j in ends[half:]]
    types = {tuple(sorted(e)): t for e, t in zip(ends, bonds["type"], strict=True)}
    assert types[0, 1] == 0
    assert types[5, 6] == 1
    assert types[7, 8] == 3
    cip = {tuple(sorted(e)): c for e, c in zip(ends, bonds["cip"], strict=True)}
    assert {pair for pair, c in cip.items() if c} == {(5, 6)}
    assert cip[5, 6] == 2  # Z
    in_ring = {tuple(sorted(e)): c for e, c in zip(ends, bonds["in_ring"], strict=True)}
    assert sum(in_ring.values()) == 5


@pytest.mark.parametrize(
    ("smiles", "name", "code"),
    [
        ("[O-]C", "charge", 2),
        ("[Fe+8]", "charge", 9),  # beyond 5 counts as 5
        ("[CH3]", "radical_electrons", 1),
        ("[2H]C", "isotope", 5),
        ("[238U]", "isotope", 4),
        ("[14CH4]", "isotope", 6),
        ("[999U]", "isotope", 7),
        ("S(F)(F)(F)(F)(F)F", "degree", 6),
        ("*", "atomic_number", 0),
        ("C1CCCCCCCCCCC1", "smallest_ring", 7),
    ],
)
def test_a_code_of_the_first_atom(smiles, name, code):
    assert codes(smiles)[0][name][0] == code


def test_mirror_images_and_double_bonds_differ_and_only_there():
    for left, right in (("C[C@H](N)O", "C[C@@H](N)O"), ("C/C=C/C", "C/C=C\\C")):
        one, other = graphs([Chem.MolFromSmiles(left), Chem.MolFromSmiles(right)]).toarray()
        assert np.count_nonzero(one != other) == 1


@pytest.mark.parametrize(
    "smiles",
    [
        "C[C@H](N)C(=O)O",
        "C/C=C\\[C@H](N)O",
        "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
        "CC(=O)Oc1ccccc1C(=O)O",
        "[Na+].CC(=O)[O-]",
    ],
)
def test_codes_follow_their_atoms_through_any_order(smiles):
    molecule = Chem.MolFromSmiles(smiles)
    rng = np.random.default_rng(0)
    atoms, bonds, ends = codes(molecule)
    table = np.array(list(atoms.values())).T
    for _ in range(5):
        order = rng.permutation(molecule.GetNumAtoms()).tolist()
        other_atoms, other_bonds, other_ends = codes(Chem.RenumberAtoms(molecule, order))
        assert (np.array(list(other_atoms.values())).T == table[order]).all()
        was = {tuple(e): c for e, *c in zip(ends, *bonds.values(), strict=True)}
        now = {
            (order[i], order[j]): c
            for (i, j), *c in zip(other_ends, *other_bonds.values(), strict=True)
        }
        assert now == was


def test_codes_stay_within_their_sizes(all_odd, smiles):
    elements = [f"[{Chem.GetPeriodicTable().GetElementSymbol(z)}]" for z in range(1, 119)]
    for s in [*all_odd, *smiles, *elements, "[U+9]", "[At-7]", "C[Pt](N)(N)Cl", "N->[Cu]"]:
        atoms, bonds, _ = codes(s)
        for found, sizes in ((atoms, ATOM_SIZES), (bonds, BOND_SIZES)):
            for name, size in sizes.items():
                assert all(0 <= code < size for code in found[name]), (s, name)


@pytest.mark.parametrize("counts", [False, True])
def test_fingerprints_are_scikit_mols_and_graphs_stand_beside_them(counts, smiles, all_odd):
    graph = MolecularGraph(radius=3, n_bits=512)
    fingerprints, rows = graph.rows(smiles + all_odd, counts=counts)
    reference = MorganFingerprintTransformer(fpSize=512, radius=3, useCounts=counts)
    molecules = [Chem.MolFromSmiles(s) for s in smiles + all_odd]
    assert fingerprints.dtype == rows.dtype == np.float32
    np.testing.assert_array_equal(fingerprints.toarray(), reference.transform(molecules))
    n_atoms = [molecule.GetNumAtoms() for molecule in molecules]
    np.testing.assert_array_equal(rows[:, [0]].toarray()[:, 0], n_atoms)
    np.testing.assert_array_equal(rows.toarray(), graphs(molecules).toarray())


def same(parts, others):
    """Whether two pairs of sparse matrices are equal."""
    return all((a != b).nnz == 0 for a, b in zip(parts, others, strict=True))


def test_molecules_and_processes_give_the_rows_of_strings(smiles, monkeypatch):
    expected = MolecularGraph().rows(smiles)
    molecules = [Chem.MolFromSmiles(s) for s in smiles]
    assert same(MolecularGraph().rows(molecules), expected)
    monkeypatch.setattr(_graph, "_FEWEST_FOR_PROCESSES", 1)
    monkeypatch.setattr(_graph, "_CHUNK", 30)
    assert same(MolecularGraph(n_jobs=2).rows(smiles), expected)
    backwards = [part[::-1] for part in expected]
    assert same(MolecularGraph(n_jobs=2).rows(molecules[::-1]), backwards)


@pytest.fixture
def calls(monkeypatch):
    """One entry each time that molecules are made into rows."""
    made = []
    featurise = _graph.featurise
    monkeypatch.setattr(_graph, "featurise", lambda *a: made.append(0) or featurise(*a))
    return made


def test_the_same_strings_are_made_into_rows_once(smiles, calls):
    graph = MolecularGraph()
    first = graph.rows(smiles)
    assert graph.rows(np.array(smiles)[:, None]) is first
    assert len(calls) == 1
    for X, counts in ((smiles[::-1], False), (smiles, True), (smiles[1:], False)):
        before = len(calls)
        graph.rows(X, counts)
        assert len(calls) == before + 1
    for part in first:
        with pytest.raises(ValueError, match="read-only"):
            part.data[0] = 3.0


def test_only_the_last_two_columns_of_strings_are_kept(calls):
    graph = MolecularGraph(n_bits=64)
    for X, made in ((["C"], 1), (["N"], 2), (["C"], 2), (["O"], 3), (["C"], 3), (["N"], 4)):
        graph.rows(X)
        assert len(calls) == made, X


def test_molecules_which_may_change_are_read_each_time(calls):
    graph = MolecularGraph(n_bits=64)
    molecule = Chem.MolFromSmiles("CC")
    before = graph.rows([molecule])
    molecule.GetAtomWithIdx(0).SetAtomicNum(7)
    assert not same(graph.rows([molecule]), before)
    assert len(calls) == 2


def test_what_is_kept_belongs_to_one_object_and_goes_with_it(smiles, calls):
    graph = MolecularGraph()
    first = graph.rows(smiles)
    for other in (
        MolecularGraph(),
        copy.copy(graph),
        copy.deepcopy(graph),
        pickle.loads(pickle.dumps(graph)),
    ):
        assert other == graph
        before = len(calls)
        assert other.rows(smiles) is not first
        assert len(calls) == before + 1
    assert len(pickle.dumps(graph)) < 1000
    watched = weakref.ref(first[0])
    del first, graph, other
    gc.collect()
    assert watched() is None


def test_no_molecules_are_refused():
    with pytest.raises(ValueError, match=r"X holds 0 sample\(s\)"):
        MolecularGraph().rows([])


@pytest.mark.parametrize(
    "bad", [{"radius": -1}, {"n_bits": 0}, {"n_layers": 1.5}, {"n_bits": True}, {"n_jobs": 0}]
)
def test_settings_are_checked(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        MolecularGraph(**bad)


def test_settings_are_a_value():
    graph = MolecularGraph(radius=np.int64(3), n_jobs=2)
    assert graph == MolecularGraph(radius=3)
    assert graph != MolecularGraph()
    assert hash(graph) == hash(MolecularGraph(radius=3))
    assert pickle.loads(pickle.dumps(graph)) == graph
