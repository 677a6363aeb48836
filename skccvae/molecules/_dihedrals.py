"""The torsions of a molecule and their angles, independent of the order of its atoms."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

# Sine of the smallest bond angle that defines a plane, and so a torsion.
_LINEAR = 1e-3
# Decimals of the angles that sort atoms which the graph cannot tell apart.
_DIGITS = 6


def dihedral_angles(points: np.ndarray) -> np.ndarray:
    """Angles between the planes of the first three and the last three of four points.

    Parameters
    ----------
    points : ndarray of shape (n, 4, 3)
        Cartesian coordinates.

    Returns
    -------
    ndarray of shape (n,)
        Radians in (-pi, pi]. An angle is positive if the last bond is turned clockwise from the
        first, seen along the middle one (IUPAC). It is NaN if three successive points lie on a
        line.
    """
    first, middle, last = np.moveaxis(np.diff(points, axis=1), 1, 0)
    near, far = np.cross(first, middle), np.cross(middle, last)
    sine = np.linalg.norm(middle, axis=1) * (first * far).sum(axis=1)
    angle = np.arctan2(sine, (near * far).sum(axis=1))
    angle[angle <= -np.pi] = np.pi
    lengths = np.linalg.norm(np.diff(points, axis=1), axis=2)
    flat = np.linalg.norm(near, axis=1) <= _LINEAR * lengths[:, 0] * lengths[:, 1]
    flat |= np.linalg.norm(far, axis=1) <= _LINEAR * lengths[:, 1] * lengths[:, 2]
    return np.where(flat, np.nan, angle)


def heavy_atom_torsions(molecule: Any, points: np.ndarray) -> np.ndarray:
    """One torsion angle for each bond that has heavy neighbours at both ends.

    Parameters
    ----------
    molecule : rdkit.Chem.Mol
        The molecule without hydrogen atoms. Hydrogen atoms that it still has do not count.
    points : ndarray of shape (n_atoms, 3)
        Coordinates of its atoms.

    Returns
    -------
    ndarray of shape (n_torsions,)
        Radians in (-pi, pi], and NaN where three atoms lie on a line.

    Notes
    -----
    A bond's torsion is that of its two outer neighbours of lowest canonical rank. Bonds come in the
    order of the ranks of their ends. The ranks depend only on the constitution, so a mirror image
    has the same torsions with opposite signs. If the constitution cannot tell atoms apart, the
    smallest angle counts, and the positive one of two opposite angles. A bond at an sp atom lies on
    a line with the next bond, and has no torsion.
    """
    from rdkit import Chem

    ranks = Chem.CanonicalRankAtoms(
        molecule,
        breakTies=False,
        includeChirality=False,
        includeIsotopes=False,
        includeAtomMaps=False,
    )
    found = []
    for bond in molecule.GetBonds():
        ends = [bond.GetBeginAtom(), bond.GetEndAtom()]
        if any(end.GetHybridization() == Chem.HybridizationType.SP for end in ends):
            continue
        if any(end.GetAtomicNum() <= 1 for end in ends):
            continue
        left, right = (end.GetIdx() for end in ends)
        chains = [
            (a, left, right, d)
            for a, d in itertools.product(*_outer(ends))
            if a != d  # the third atom of a ring of three
        ]
        if not chains:
            continue
        # The chain reads the same from both ends; the lower rank comes first.
        keys = [min(_ranks(chain, ranks), _ranks(chain[::-1], ranks)) for chain in chains]
        lowest = min(keys)
        equal = [chain for chain, key in zip(chains, keys, strict=True) if key == lowest]
        angles = dihedral_angles(points[np.array(equal)])
        angle = min(angles.tolist(), key=_by_size)
        found.append((lowest, angle))
    found.sort(key=lambda pair: (pair[0], *_by_size(pair[1])))
    return np.array([angle for _, angle in found], dtype=np.float64)


def _outer(ends: list[Any]) -> list[list[int]]:
    """Heavy neighbours of each end of a bond, without the other end."""
    other = {ends[0].GetIdx(): ends[1].GetIdx(), ends[1].GetIdx(): ends[0].GetIdx()}
    return [
        [
            atom.GetIdx()
            for atom in end.GetNeighbors()
            if atom.GetAtomicNum() > 1 and atom.GetIdx() != other[end.GetIdx()]
        ]
        for end in ends
    ]


def _ranks(chain: tuple[int, ...], ranks: Any) -> tuple[int, ...]:
    """Ranks of a chain of four atoms; the bond in the middle comes first."""
    a, b, c, d = (ranks[atom] for atom in chain)
    return b, c, a, d


def _by_size(angle: float) -> tuple[bool, float, bool]:
    return angle != angle, round(abs(angle), _DIGITS), angle < 0
