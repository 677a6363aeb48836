"""Torsion angles of molecules as rows, padded with NaN."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.utils import check_random_state, gen_even_slices

from skccvae.molecules._dihedrals import heavy_atom_torsions
from skccvae.molecules._smiles import molecule_column, parse, report

__all__ = ["torsion_angles"]

_SHOWN = 5


def torsion_angles(
    molecules: Any,
    *,
    max_torsions: int | None = None,
    coordinates: Sequence[Any] | None = None,
    optimize: bool = False,
    on_failure: str = "warn",
    random_state: Any = None,
    n_jobs: int | None = None,
) -> np.ndarray:
    r"""Torsion angles of molecules, one row per molecule.

    A bond has a torsion, in rings too, if both its ends have another heavy neighbour and neither
    end is an sp atom, which lies on a line with its neighbours. A row depends neither on the order
    of the molecule's atoms nor on the other molecules. A mirror image has the same angles with
    opposite signs. ``likelihood="von_mises"`` reads such rows.

    Parameters
    ----------
    molecules : sequence of str or rdkit.Chem.Mol, of length n
        SMILES or molecules. If a molecule has a conformer in space, the first one gives the
        coordinates. Any other molecule, including one with a flat drawing, is embedded once by
        ETKDG, version 3.
    max_torsions : int, default=None
        Number of columns of the result. None means the largest number of torsions of a molecule.
    coordinates : sequence of length n, default=None
        For each molecule an array of shape (n_atoms, 3), or None. The atoms come in the order of
        the molecule or SMILES, with or without the hydrogen atoms after them.
    optimize : bool, default=False
        Whether to relax embedded conformers in the MMFF94 force field, if it knows all their
        atoms.
    on_failure : {"warn", "raise"}, default="warn"
        What to do about molecules that cannot be embedded: give a row of NaN and warn, or raise a
        ValueError. Both name the molecules.
    random_state : int, RandomState instance or None, default=None
        Seed of the embedding, the same for all molecules.
    n_jobs : int, default=None
        Number of processes. None means one, and -1 means one per processor.

    Returns
    -------
    ndarray of shape (n, n_torsions), float64
        Radians in (-pi, pi]. NaN follows the last torsion of a molecule, and marks torsions of
        which three atoms lie on a line in the given coordinates. A molecule without torsions, such
        as propane, has a row of NaN.

    Raises
    ------
    ValueError
        If a SMILES cannot be parsed, coordinates have the wrong shape, an embedding fails under
        ``on_failure="raise"``, or a parameter is out of range.
    TypeError
        If an entry is neither a string nor a molecule, or ``molecules`` is a single entry.
    ImportError
        If RDKit is not installed.

    Warns
    -----
    UserWarning
        If an embedding fails, or a molecule has more than ``max_torsions`` torsions. In that case
        the torsions of the last bonds in canonical order are left out.

    Notes
    -----
    A torsion takes the outer neighbours of lowest canonical rank. The ranks, which also determine
    the order of the torsions in a row, depend only on the constitution. If it cannot tell atoms
    apart, the smallest angle counts, and the positive one of two opposite angles.

    References
    ----------
    Riniker and Landrum, "Better informed distance geometry", J. Chem. Inf. Model. 55 (2015), and
    Wang, Witek, Landrum and Riniker, J. Chem. Inf. Model. 60 (2020), for ETKDG.

    Examples
    --------
    >>> import numpy as np
    >>> from skccvae.molecules import torsion_angles
    >>> X = torsion_angles(["C/C=C/C", "C/C=C\\C", "CC=O"], random_state=0)
    >>> np.abs(np.degrees(X)).round(-1)
    array([[180.],
           [  0.],
           [ nan]])
    """
    _check_parameters(max_torsions, on_failure)
    values = molecule_column(molecules)
    if not values:
        raise ValueError("Expected at least one molecule; got none.")
    given = [None] * len(values) if coordinates is None else list(coordinates)
    if len(given) != len(values):
        raise ValueError(
            f"coordinates must hold one array (or None) for each of the {len(values)} molecules; "
            f"got {len(given)}."
        )
    parsed, invalid = parse(values)
    report(invalid, len(values), "raise")
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    slices = gen_even_slices(len(values), max(1, min(effective_n_jobs(n_jobs), len(values))))
    jobs = (delayed(_chunk)(parsed[s], given[s], s.start, seed, optimize) for s in slices)
    rows = [row for chunk in Parallel(n_jobs=n_jobs)(jobs) for row in chunk]
    _report_failures(rows, values, on_failure)
    return _padded([np.empty(0) if row is None else row for row in rows], max_torsions)


def _check_parameters(max_torsions: Any, on_failure: Any) -> None:
    if max_torsions is not None and (not isinstance(max_torsions, Integral) or max_torsions < 1):
        raise ValueError(
            f"max_torsions must be None or an integer of at least 1; got {max_torsions!r}."
        )
    if on_failure not in ("warn", "raise"):
        raise ValueError(f"on_failure must be 'warn' or 'raise'; got {on_failure!r}.")


def _chunk(
    molecules: list[Any], given: list[Any], first_row: int, seed: int, optimize: bool
) -> list[np.ndarray | None]:
    """Torsions of each molecule, or None if the molecule cannot be embedded."""
    from rdkit import Chem, rdBase

    rows: list[np.ndarray | None] = []
    with rdBase.BlockLogs():
        for row, (molecule, points) in enumerate(zip(molecules, given, strict=True), first_row):
            if points is not None:
                molecule = _with_coordinates(molecule, points, row)
            elif molecule.GetNumConformers() == 0 or not molecule.GetConformer().Is3D():
                molecule = _embedded(molecule, seed, optimize)
            if molecule is None:
                rows.append(None)
                continue
            bare = Chem.RemoveHs(molecule, sanitize=False)
            Chem.SanitizeMol(bare)
            rows.append(heavy_atom_torsions(bare, bare.GetConformer().GetPositions()))
    return rows


def _with_coordinates(molecule: Any, points: Any, row: int) -> Any:
    from rdkit import Chem

    points = np.asarray(points, dtype=np.float64)
    n_atoms = molecule.GetNumAtoms()
    whole = Chem.AddHs(molecule)
    sizes = sorted({n_atoms, whole.GetNumAtoms()})
    if points.ndim != 2 or points.shape[1] != 3 or len(points) not in sizes:
        wanted = " or ".join(f"({n}, 3)" for n in sizes)
        raise ValueError(f"coordinates[{row}] must have shape {wanted}; got {points.shape}.")
    if not np.isfinite(points).all():
        raise ValueError(f"coordinates[{row}] contains NaN or infinity.")
    placed = Chem.Mol(molecule if len(points) == n_atoms else whole)
    conformer = Chem.Conformer(len(points))
    conformer.SetPositions(points)
    placed.RemoveAllConformers()
    placed.AddConformer(conformer)
    return placed


def _embedded(molecule: Any, seed: int, optimize: bool) -> Any:
    """The molecule with hydrogen atoms and one conformer, or None."""
    from rdkit import Chem
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    # One order of atoms for all ways to write a molecule, because the embedding depends on it.
    bare = Chem.RemoveHs(molecule)
    for atom in bare.GetAtoms():
        atom.SetAtomMapNum(0)
    canonical = Chem.MolFromSmiles(Chem.MolToSmiles(bare))
    if canonical is None:
        return None
    whole = Chem.AddHs(canonical)
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    if rdDistGeom.EmbedMolecule(whole, parameters) < 0:
        parameters.useRandomCoords = True
        if rdDistGeom.EmbedMolecule(whole, parameters) < 0:
            return None
    if optimize and rdForceFieldHelpers.MMFFHasAllMoleculeParams(whole):
        rdForceFieldHelpers.MMFFOptimizeMolecule(whole, maxIters=1000)
    return whole


def _report_failures(rows: list[np.ndarray | None], values: list[Any], on_failure: str) -> None:
    failed = [number for number, row in enumerate(rows) if row is None]
    if not failed:
        return
    named = "; ".join(f"row {number} {_name(values[number])}" for number in failed[:_SHOWN])
    if len(failed) > _SHOWN:
        named += f"; and {len(failed) - _SHOWN} more"
    text = f"{len(failed)} of {len(rows)} molecules cannot be embedded in space: {named}."
    if on_failure == "raise":
        raise ValueError(f"{text} Leave them out, or pass coordinates.")
    warnings.warn(f"{text} Their rows are NaN.", UserWarning, stacklevel=3)


def _name(value: Any) -> str:
    if isinstance(value, str):
        return repr(value)
    from rdkit import Chem

    return repr(Chem.MolToSmiles(value))


def _padded(rows: list[np.ndarray], max_torsions: int | None) -> np.ndarray:
    longest = max(len(row) for row in rows)
    width = max(longest, 1) if max_torsions is None else int(max_torsions)
    if longest > width:
        cut = sum(len(row) > width for row in rows)
        warnings.warn(
            f"{cut} of {len(rows)} molecules have more than max_torsions={width} torsions, up to "
            f"{longest}; the last ones are left out.",
            UserWarning,
            stacklevel=3,
        )
    out = np.full((len(rows), width), np.nan)
    for number, row in enumerate(rows):
        n = min(len(row), width)
        out[number, :n] = row[:n]
    return out
