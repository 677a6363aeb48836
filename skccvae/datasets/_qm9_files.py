"""Read the files in which QM9 is published: the table, the structures, the list of bad ones."""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skccvae.datasets._base import optional_import, read_maybe_gzipped

# Unit of each property as published, in the order of the columns.
PUBLISHED_UNITS = {
    "A": "GHz",
    "B": "GHz",
    "C": "GHz",
    "mu": "D",
    "alpha": "a0^3",
    "homo": "hartree",
    "lumo": "hartree",
    "gap": "hartree",
    "r2": "a0^2",
    "zpve": "hartree",
    "u0": "hartree",
    "u298": "hartree",
    "h298": "hartree",
    "g298": "hartree",
    "cv": "cal/mol/K",
    "u0_atom": "kcal/mol",
    "u298_atom": "kcal/mol",
    "h298_atom": "kcal/mol",
    "g298_atom": "kcal/mol",
}
PROPERTIES = tuple(PUBLISHED_UNITS)


class Table(NamedTuple):
    """One row per molecule."""

    ids: np.ndarray  # (n,) int64, the n of gdb_n
    smiles: np.ndarray | None  # (n,) object
    values: np.ndarray  # (n, 19) float64, in PUBLISHED_UNITS


def read_table(path: Path, *, with_smiles: bool) -> Table:
    """Read ``qm9.csv`` or PyTorch Geometric's ``gdb9.sdf.csv``, plain or gzipped.

    Parameters
    ----------
    path : Path
    with_smiles : bool
        Whether the table must have a column ``smiles``.

    Returns
    -------
    table : Table

    Raises
    ------
    ValueError
        If a column or a value is missing, a property is not a finite number, or a molecule occurs
        twice. The message names the file and the line.
    """
    try:
        text = read_maybe_gzipped(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file ({error})") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    header = next(reader, [])
    needed = ["mol_id", *(["smiles"] if with_smiles else []), *PROPERTIES]
    missing = [name for name in needed if name not in header]
    if missing:
        raise ValueError(
            f"{path}: expected the columns of MoleculeNet's QM9, missing {', '.join(missing)}; "
            f"its header is {','.join(header)[:200]!r}"
        )
    where = [header.index(name) for name in PROPERTIES]
    id_column = header.index("mol_id")
    smiles_column = header.index("smiles") if with_smiles else None
    ids = array("q")
    smiles: list[str] = []
    values = array("d")
    for row in reader:
        line = reader.line_num
        if len(row) != len(header):
            raise ValueError(
                f"{path}, line {line}: expected {len(header)} fields, got {len(row)}: truncated "
                "or damaged, fetch the file again"
            )
        try:
            values.extend([float(row[i]) for i in where])
        except ValueError as error:
            raise ValueError(f"{path}, line {line}: {error}") from error
        ids.append(_number(row[id_column], f"{path}, line {line}"))
        if smiles_column is not None:
            if not row[smiles_column]:
                raise ValueError(f"{path}, line {line}: no SMILES for {row[id_column]}")
            smiles.append(row[smiles_column])
    if not ids:
        raise ValueError(f"{path} has a header but no molecules")
    table = Table(
        np.array(ids, dtype=np.int64),
        np.array(smiles, dtype=object) if with_smiles else None,
        np.array(values, dtype=np.float64).reshape(-1, len(PROPERTIES)),
    )
    bad = np.argwhere(~np.isfinite(table.values))
    if len(bad):
        row_, column = bad[0]
        raise ValueError(
            f"{path}: {PROPERTIES[column]} of gdb_{table.ids[row_]} is "
            f"{table.values[row_, column]}, expected a finite number"
        )
    unique, counts = np.unique(table.ids, return_counts=True)
    if len(unique) != len(table.ids):
        raise ValueError(f"{path}: gdb_{unique[counts > 1][0]} occurs more than once")
    return table


def _number(name: str, where: str) -> int:
    match = re.fullmatch(r"gdb_(\d+)", name)
    if match is None:
        raise ValueError(f"{where}: expected a mol_id like gdb_1, got {name!r}")
    return int(match[1])


def read_uncharacterized(path: Path) -> frozenset[int]:
    """Numbers in the authors' ``uncharacterized.txt``.

    A line that lists a molecule starts with a number and a SMILES; header lines do not. The last
    line gives the count.

    Raises
    ------
    ValueError
        If the file lists no molecule, or the number of molecules differs from its last line.
    """
    text = read_maybe_gzipped(path).decode("utf-8", errors="replace")
    ids = frozenset(
        int(match[1]) for match in re.finditer(r"^\s*(\d+)[ \t]+(?!compounds\b)\S", text, re.M)
    )
    stated = re.search(r"^\s*(\d+)\s+compounds\b", text, re.M)
    if not ids:
        raise ValueError(f"{path}: expected lines of a number and a SMILES, found none")
    if stated is not None and int(stated[1]) != len(ids):
        raise ValueError(
            f"{path}: truncated or damaged: it states {stated[1]} compounds and lists {len(ids)}"
        )
    return ids


def uncharacterized_ids() -> frozenset[int]:
    """Numbers (the n of ``gdb_n``) of the 3054 uncharacterised molecules.

    After relaxation their geometry no longer gave the SMILES that they started from
    (Ramakrishnan et al. 2014, ``uncharacterized.txt`` beside the data set).
    """
    with (files("skccvae.datasets") / "data" / "qm9_uncharacterized.txt").open() as stream:
        return frozenset(np.loadtxt(stream, dtype=int).tolist())


def read_sdf_smiles(path: Path, ids: np.ndarray) -> tuple[np.ndarray, int]:
    """SMILES of the structures in ``gdb9.sdf``, with RDKit.

    The file has all hydrogens and no charges. An atom gets a charge if its bonds demand one (a
    nitrogen with four bonds is N+), and hydrogens become implicit. A structure that RDKit still
    cannot sanitise keeps its unsanitised SMILES, and is counted.

    Parameters
    ----------
    path : Path
    ids : ndarray of shape (n,)
        Numbers of the molecules that the table beside the file holds, in its order.

    Returns
    -------
    smiles : ndarray of shape (n,), object
    n_unsanitized : int

    Raises
    ------
    ValueError
        If the structures are not those of the table, or RDKit cannot read one. The message names
        the file and the molecule.
    ImportError
        If RDKit is not installed.
    """
    optional_import("rdkit", f"reading SMILES from {path.name}", "pip install 'skccvae[molecules]'")
    from rdkit import Chem, rdBase

    smiles = np.empty(len(ids), dtype=object)
    n_read = n_unsanitized = 0
    with rdBase.BlockLogs():  # failures are counted, not reported on the terminal one by one
        for block in _mol_blocks(path):
            name = block.split("\n", 1)[0].strip()
            if n_read == len(ids) or _number(name, str(path)) != ids[n_read]:
                expected = f"gdb_{ids[n_read]}" if n_read < len(ids) else "the end of the file"
                raise ValueError(
                    f"{path}: structure {n_read + 1} is {name}, expected {expected} as in the "
                    "table beside it"
                )
            mol = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False)
            if mol is None:
                raise ValueError(f"{path}: RDKit cannot read the structure of {name}")
            for atom in mol.GetAtoms():
                atom.SetFormalCharge(_charge(atom.GetSymbol(), _bond_order(atom)))
            try:
                smiles[n_read] = Chem.MolToSmiles(Chem.RemoveHs(mol))
            except (Chem.MolSanitizeException, ValueError):
                smiles[n_read] = Chem.MolToSmiles(mol)
                n_unsanitized += 1
            n_read += 1
    if n_read != len(ids):
        raise ValueError(
            f"{path}: truncated: {n_read} structures, but {len(ids)} rows in the table beside it"
        )
    return smiles, n_unsanitized


def _mol_blocks(path: Path) -> Iterator[str]:
    """Text of each structure, one in memory at a time."""
    lines: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if line.startswith("$$$$"):
                yield "".join(lines)
                lines = []
            else:
                lines.append(line)
    if any(line.strip() for line in lines):
        raise ValueError(f"{path}: truncated: its last structure does not end")


def _bond_order(atom: Any) -> int:
    return int(sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds()))


def _charge(symbol: str, order: int) -> int:
    """Formal charge of an atom whose bonds, hydrogens included, add up to `order`."""
    usual = {"H": 1, "C": 4, "N": 3, "O": 2, "F": 1}.get(symbol)
    if usual is None or order == usual:
        return 0
    # Nitrogen and oxygen with a bond too many are positive; any atom with one too few is negative.
    if order == usual + 1 and symbol in "NO":
        return 1
    return -1 if order == usual - 1 else 0
