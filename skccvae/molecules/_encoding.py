"""Molecules as sparse rows: their fingerprints, and their graphs as small integers.

The row of a graph is ``[n_atoms, n_bonds, codes of each atom, ends and codes of each bond]``. Its
first two numbers say how long it is, and zeros fill it up to the length of the longest row. No code
depends on the order of the atoms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

# How many values each code of an atom has. 0 is the ordinary case, so that rows stay sparse.
ATOM_SIZES = {
    "atomic_number": 119,
    "degree": 8,
    "hydrogens": 6,
    "charge": 11,  # 0, 1, -1, 2, -2 ... 5, -5
    "hybridization": 9,
    "aromatic": 2,
    "smallest_ring": 8,  # none, 3 ... 8, larger
    "radical_electrons": 4,
    "cip": 4,  # none, R, S, other
    "isotope": 8,  # none, then the label minus the usual mass, from -3 to 3
}
BOND_SIZES = {
    "type": 6,  # single, double, triple, aromatic, dative, other
    "conjugated": 2,
    "in_ring": 2,
    "cip": 4,  # none, E, Z, other
}
_BOND_TYPES = {"SINGLE": 0, "DOUBLE": 1, "TRIPLE": 2, "AROMATIC": 3, "DATIVE": 4}
_ATOM_CIP = {"R": 1, "S": 2}
_BOND_CIP = {"E": 1, "Z": 2}


class FingerprintsAndGraphs:
    """Makes the rows of molecules, as a featuriser for `featurise`.

    Parameters
    ----------
    radius, n_bits : int
        Radius and length of the Morgan fingerprint.
    counts : bool
        Whether the fingerprint holds counts instead of bits.
    """

    def __init__(self, radius: int, n_bits: int, counts: bool) -> None:
        self.radius = radius
        self.n_bits = n_bits
        self.counts = counts

    def __call__(self, molecules: list[Any]) -> tuple[sp.csr_array, sp.csr_array]:
        """Fingerprints of shape (n, n_bits), and graphs as wide as the largest needs, float32."""
        return self._fingerprints(molecules), graphs(molecules)

    def _fingerprints(self, molecules: list[Any]) -> sp.csr_array:
        from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

        generator = GetMorganGenerator(radius=self.radius, fpSize=self.n_bits)
        columns: list[int] = []
        values: list[float] = []
        ends = [0]
        for molecule in molecules:
            if self.counts:
                found = generator.GetCountFingerprint(molecule).GetNonzeroElements()
                columns.extend(found.keys())
                values.extend(found.values())
            else:
                columns.extend(generator.GetFingerprint(molecule).GetOnBits())
            ends.append(len(columns))
        numbers = np.asarray(values if self.counts else np.ones(len(columns)), dtype=np.float32)
        indices = np.asarray(columns, dtype=np.int32)
        shape = (len(molecules), self.n_bits)
        return sp.csr_array((numbers, indices, np.asarray(ends, dtype=np.int32)), shape=shape)


def graphs(molecules: list[Any]) -> sp.csr_array:
    """Graphs of molecules, one row each.

    Parameters
    ----------
    molecules : list of rdkit.Chem.Mol
        Sanitised molecules.

    Returns
    -------
    csr_array of shape (n, width of the largest), float32
        Rows as the module's docstring describes them.
    """
    numbers: list[int] = []
    lengths: list[int] = []
    for molecule in molecules:
        before = len(numbers)
        _append_graph(molecule, numbers)
        lengths.append(len(numbers) - before)
    values = np.asarray(numbers, dtype=np.float32)
    rows = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    starts = np.cumsum(lengths) - lengths
    columns = np.arange(len(values), dtype=np.int64) - np.repeat(starts, lengths)
    kept = values != 0
    shape = (len(lengths), max(lengths, default=2))
    entries = (values[kept], (rows[kept], columns[kept].astype(np.int32)))
    return sp.csr_array(sp.coo_array(entries, shape=shape))


def _append_graph(molecule: Any, numbers: list[int]) -> None:
    from rdkit import Chem

    molecule = _with_cip_labels(molecule)
    rings = molecule.GetRingInfo()
    masses = Chem.GetPeriodicTable()
    bonds = molecule.GetBonds()
    numbers += (molecule.GetNumAtoms(), len(bonds))
    for atom in molecule.GetAtoms():
        charge = max(-5, min(atom.GetFormalCharge(), 5))
        ring = rings.MinAtomRingSize(atom.GetIdx())
        isotope = atom.GetIsotope()
        if isotope:
            usual = round(masses.GetAtomicWeight(atom.GetAtomicNum()))
            isotope = 4 + max(-3, min(isotope - usual, 3))
        numbers += (
            atom.GetAtomicNum(),
            min(atom.GetDegree(), 7),
            min(atom.GetTotalNumHs(), 5),
            2 * charge - 1 if charge > 0 else -2 * charge,
            min(int(atom.GetHybridization()), 8),
            int(atom.GetIsAromatic()),
            min(ring - 2, 7) if ring else 0,
            min(atom.GetNumRadicalElectrons(), 3),
            _ATOM_CIP.get(atom.GetProp("_CIPCode"), 3) if atom.HasProp("_CIPCode") else 0,
            isotope,
        )
    for bond in bonds:
        numbers += (
            bond.GetBeginAtomIdx(),
            bond.GetEndAtomIdx(),
            _BOND_TYPES.get(bond.GetBondType().name, 5),
            int(bond.GetIsConjugated()),
            int(bond.IsInRing()),
            _BOND_CIP.get(bond.GetProp("_CIPCode"), 3) if bond.HasProp("_CIPCode") else 0,
        )


def _with_cip_labels(molecule: Any) -> Any:
    """A copy whose labels R, S, E and Z are those of RDKit's new algorithm, and no others.

    RDKit's chiral tags refer to the order of the atoms; the labels do not.
    """
    from rdkit.Chem import rdCIPLabeler

    labelled = _without_labels(molecule)
    try:
        rdCIPLabeler.AssignCIPLabels(labelled, maxRecursiveIterations=1_250_000)
    except RuntimeError:
        # It gives up on some large molecules of high symmetry. They get no labels, because those it
        # has found by then may depend on the order of the atoms.
        return _without_labels(molecule)
    return labelled


def _without_labels(molecule: Any) -> Any:
    from rdkit import Chem

    bare = Chem.Mol(molecule)
    for atom in bare.GetAtoms():
        atom.ClearProp("_CIPCode")
    for bond in bare.GetBonds():
        bond.ClearProp("_CIPCode")
    return bare
