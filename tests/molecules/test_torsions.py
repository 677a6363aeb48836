"""Torsion angles: known ones, RDKit's, and what a row must not depend on."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

Chem = pytest.importorskip("rdkit.Chem", reason="rdkit is not installed")
from rdkit.Chem import rdDepictor, rdDistGeom, rdMolTransforms  # noqa: E402

from skccvae.molecules import torsion_angles  # noqa: E402
from skccvae.molecules._dihedrals import dihedral_angles  # noqa: E402

# Without symmetry: a chiral centre, a ring, a branch, hetero atoms.
CHIRAL = "C[C@H](O)C1CCN(C(=O)CF)C1"
# With much of it: equal methyl groups, equal rings, a cage.
SYMMETRIC = ["CC(C)(C)CO", "CC(C)C(C)C", "c1ccccc1-c1ccccc1", "C1CC2CCC1CC2", "FC(F)(F)C(F)(F)F"]


def conformer(smiles, seed=7, hydrogens=True):
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(molecule, randomSeed=seed) == 0
    return molecule if hydrogens else Chem.RemoveHs(molecule)


def butane(angle):
    """Four atoms, bonds of 1.5 and bond angles of 112 degrees, turned about the middle bond."""
    bend = np.radians(112)
    side, along = 1.5 * np.sin(bend), 1.5 * np.cos(bend)
    return np.array(
        [
            [side, 0, along],
            [0, 0, 0],
            [0, 0, 1.5],
            [side * np.cos(angle), side * np.sin(angle), 1.5 - along],
        ]
    )


@pytest.mark.parametrize("degrees", [180, 60, -60, 0, 179.9, -120])
def test_butane(degrees):
    """Anti, both gauche forms, and others; a clockwise turn of the far bond is positive."""
    points = butane(np.radians(degrees))
    found = torsion_angles(["CCCC"], coordinates=[points])
    assert found.shape == (1, 1)
    assert np.degrees(found[0, 0]) == pytest.approx(degrees, abs=1e-9)


def test_range_and_lines():
    points = np.stack([butane(np.pi), butane(-np.pi), butane(0.3)])
    points[2, 3] = [0, 0, 3.0]  # on a line with the bond in the middle
    angles = dihedral_angles(points)
    np.testing.assert_allclose(angles[:2], np.pi, atol=1e-12)
    assert np.isnan(angles[2])


@pytest.mark.parametrize("smiles", [CHIRAL, "CC(C)C(=O)NCCO", "OCC1CC1C", *SYMMETRIC])
def test_angles_are_rdkits(smiles):
    """Each angle is that of a chain over one bond; every bond that has a torsion has one."""
    molecule = conformer(smiles, hydrogens=False)
    positions = molecule.GetConformer()
    possible = []
    for bond in molecule.GetBonds():
        b, c = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        ends = [
            [n.GetIdx() for n in molecule.GetAtomWithIdx(i).GetNeighbors() if n.GetIdx() != j]
            for i, j in ((b, c), (c, b))
        ]
        chains = [(a, b, c, d) for a in ends[0] for d in ends[1] if a != d]
        if chains:
            possible.append([rdMolTransforms.GetDihedralRad(positions, *x) for x in chains])
    found = torsion_angles([molecule])[0]
    assert len(found) == len(possible) > 0
    off = np.array([[np.abs(np.array(x) - angle).min() for x in possible] for angle in found])
    assert off[linear_sum_assignment(off)].max() < 1e-6


@pytest.mark.parametrize("smiles", [CHIRAL, *SYMMETRIC])
def test_the_order_of_the_atoms_does_not_matter(smiles):
    molecule = conformer(smiles)
    expected = torsion_angles([molecule])
    rng = np.random.default_rng(0)
    for _ in range(5):
        order = rng.permutation(molecule.GetNumAtoms()).tolist()
        np.testing.assert_allclose(
            torsion_angles([Chem.RenumberAtoms(molecule, order)]), expected, atol=1e-9
        )
    np.testing.assert_allclose(torsion_angles([Chem.RemoveHs(molecule)]), expected, atol=1e-9)


def test_a_mirror_image_has_the_other_signs():
    molecule = conformer(CHIRAL)
    points = molecule.GetConformer().GetPositions()
    one, other = torsion_angles([molecule, molecule], coordinates=[None, points * [1, 1, -1]])
    np.testing.assert_allclose(other, -one, atol=1e-9)
    assert np.abs(one).max() > 1


def test_the_way_a_molecule_is_written_does_not_matter():
    written = [CHIRAL, "FCC(=O)N1CCC(C1)[C@H](C)O", "[CH3:5][C@H](O)C1CCN(C(=O)CF)C1"]
    molecules = [Chem.MolFromSmiles(smiles) for smiles in written]
    canonical = {Chem.MolToSmiles(molecule) for molecule in molecules[:2]}
    assert len(canonical) == 1
    X = torsion_angles(written, random_state=0)
    assert np.array_equal(X[0], X[1])
    assert np.array_equal(X[0], X[2])
    assert np.array_equal(torsion_angles(molecules, random_state=0), X)
    assert not np.array_equal(torsion_angles(written, random_state=1), X)


def test_a_row_does_not_depend_on_its_neighbours_or_on_processes():
    smiles = ["CCCC", CHIRAL, "OCCN", "CC(C)CO"]
    X = torsion_angles(smiles, random_state=0)
    alone = torsion_angles([CHIRAL], random_state=0)
    assert np.array_equal(X[1, : alone.shape[1]], alone[0])
    assert np.array_equal(torsion_angles(smiles, random_state=0, n_jobs=2), X, equal_nan=True)


def test_padding_and_truncation():
    smiles = ["CCC", "CCCC", "CCCCCC"]
    X = torsion_angles(smiles, random_state=0)
    assert X.dtype == np.float64
    assert (~np.isnan(X)).sum(axis=1).tolist() == [0, 1, 3]
    assert (np.abs(X[~np.isnan(X)]) <= np.pi).all()
    wide = torsion_angles(smiles, random_state=0, max_torsions=5)
    assert np.array_equal(wide[:, :3], X, equal_nan=True)
    assert np.isnan(wide[:, 3:]).all()
    with pytest.warns(UserWarning, match="1 of 3 molecules have more than max_torsions=2 .* to 3"):
        narrow = torsion_angles(smiles, random_state=0, max_torsions=2)
    assert np.array_equal(narrow, X[:, :2], equal_nan=True)
    assert torsion_angles(["C"]).shape == (1, 1)


def test_bonds_on_a_line_have_no_torsion():
    assert np.isnan(torsion_angles(["CCC#N", "CC#CC"], random_state=0)).all()
    assert (~np.isnan(torsion_angles(["CCCC#N"], random_state=0))).sum() == 1


def test_relaxed_conformers():
    raw, relaxed = (torsion_angles(["CCCC"], random_state=0, optimize=o)[0, 0] for o in (0, 1))
    degrees = abs(np.degrees(relaxed))
    assert min(abs(degrees - 180), abs(degrees - 65)) < 2  # the two minima of MMFF94
    assert raw != relaxed


def test_molecules_that_cannot_be_embedded(monkeypatch):
    smiles = ["CCCC", "OCCC"]
    embed = rdDistGeom.EmbedMolecule
    calls = []

    def fails(molecule, parameters):
        has_oxygen = any(atom.GetAtomicNum() == 8 for atom in molecule.GetAtoms())
        calls.append(has_oxygen)
        return -1 if has_oxygen else embed(molecule, parameters)

    monkeypatch.setattr(rdDistGeom, "EmbedMolecule", fails)
    with pytest.warns(UserWarning, match=r"1 of 2 .* row 1 'OCCC'. Their rows are NaN"):
        X = torsion_angles(smiles, random_state=0)
    assert calls == [False, True, True]  # once more from random coordinates
    assert np.isnan(X).tolist() == [[False], [True]]
    with pytest.raises(ValueError, match="cannot be embedded .* Leave them out"):
        torsion_angles([Chem.MolFromSmiles(s) for s in smiles], on_failure="raise")


def test_a_flat_drawing_is_no_conformer():
    drawn = Chem.MolFromSmiles("OCC(N)C(F)CO")
    rdDepictor.Compute2DCoords(drawn)
    found = torsion_angles([drawn], random_state=0)
    np.testing.assert_array_equal(found, torsion_angles(["OCC(N)C(F)CO"], random_state=0))
    assert drawn.GetNumConformers() == 1  # the user's molecule stays as it was


def test_any_column_of_molecules_will_do():
    import pandas as pd

    expected = torsion_angles(["CCCC", "CCO"], random_state=0)
    for column in (pd.DataFrame({"smiles": ["CCCC", "CCO"]}), [["CCCC"], ["CCO"]]):
        np.testing.assert_array_equal(torsion_angles(column, random_state=0), expected)


def test_hydrogens_may_follow_in_coordinates():
    whole = conformer("CC(O)CF")
    points = whole.GetConformer().GetPositions()
    n = Chem.RemoveHs(whole).GetNumAtoms()
    expected = torsion_angles([whole])
    for part in (points, points[:n]):
        np.testing.assert_allclose(torsion_angles(["CC(O)CF"], coordinates=[part]), expected)


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, "1 of 2 rows are not molecules: row 1 'C1CC'", {"molecules": ["C", "C1CC"]}),
        (ValueError, "row 0 '' .empty", {"molecules": [""]}),
        (ValueError, "row 0 None .missing", {"molecules": [None]}),
        (ValueError, "shape .2, 2.", {"molecules": np.array([["C", "C"], ["C", "C"]])}),
        (ValueError, "at least one molecule", {"molecules": []}),
        (TypeError, "Put it in a list", {"molecules": "CCCC"}),
        (TypeError, "float", {"molecules": [1.5]}),
        (ValueError, "max_torsions must be None or", {"molecules": ["C"], "max_torsions": 0}),
        (ValueError, "on_failure must be", {"molecules": ["C"], "on_failure": "skip"}),
        (ValueError, "each of the 1 molecules; got 2", {"coordinates": [None, None]}),
        (ValueError, r"\(4, 3\) or \(14, 3\); got \(5, 3\)", {"coordinates": [np.zeros((5, 3))]}),
        (ValueError, "NaN or infinity", {"coordinates": [np.full((4, 3), np.nan)]}),
    ],
)
def test_bad_input(error, message, arguments):
    with pytest.raises(error, match=message):
        torsion_angles(**{"molecules": ["CCCC"], **arguments})


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(ImportError, match=r'pip install "skccvae\[molecules\]"'):
        torsion_angles(["CCCC"])
