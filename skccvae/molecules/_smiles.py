"""SMILES to molecules, with an error that names every row that is not a molecule."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils import _safe_indexing, check_consistent_length

from skccvae.molecules._optional import require

_SHOWN = 5


class Invalid(NamedTuple):
    """A row that is not a molecule.

    Attributes
    ----------
    row : int
        Number of the row.
    text : str
        The entry, shortened.
    reason : str
        Why the entry is not a molecule.
    """

    row: int
    text: str
    reason: str


def read_smiles(smiles: Any, *arrays: Any, on_invalid: str = "raise") -> Any:
    """Turn SMILES strings into RDKit molecules.

    Parameters
    ----------
    smiles : array-like of shape (n,) or (n, 1)
        SMILES strings or RDKit molecules: a list, an array, a Series or a one-column DataFrame. If
        an object has the attribute ``smiles``, such as a graph of PyTorch Geometric's molecule data
        sets, only that attribute is read. A molecule that was never sanitised is copied, and the
        copy is sanitised.
    *arrays : array-like with n rows
        Arrays that belong to the molecules, such as targets. The same rows of them are kept.
    on_invalid : {"raise", "skip"}, default="raise"
        What to do with rows that are not molecules: a string that RDKit cannot parse, an empty
        string, None or NaN, a molecule without atoms.

    Returns
    -------
    molecules : list of rdkit.Chem.Mol
        The molecules. Without `arrays` this list is the result.
    *arrays : array-like
        The other arrays, of the same kinds as before, without the rows that were skipped.

    Raises
    ------
    ValueError
        If a row is not a molecule and ``on_invalid="raise"``, or the lengths differ.
    TypeError
        If a row is neither a string nor a molecule, or ``smiles`` is a single string.
    ImportError
        If RDKit is not installed.

    Warns
    -----
    UserWarning
        Names the rows that ``on_invalid="skip"`` leaves out.

    Examples
    --------
    >>> from skccvae.molecules import read_smiles
    >>> [molecule.GetNumAtoms() for molecule in read_smiles(["CCO", "c1ccccc1"])]
    [3, 6]
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     molecules, y = read_smiles(["CCO", "C1CC", "C"], [1.0, 2.0, 3.0], on_invalid="skip")
    >>> len(molecules), y
    (2, [1.0, 3.0])
    >>> print(caught[0].message)
    1 of 3 rows are not molecules and are left out: row 1 'C1CC' (RDKit cannot parse it).
    """
    check_on_invalid(on_invalid)
    values = molecule_column(smiles)
    for array in arrays:
        check_consistent_length(values, array)
    molecules, invalid = parse(values)
    report(invalid, len(values), on_invalid)
    if not arrays:
        return molecules
    lost = {bad.row for bad in invalid}
    kept = np.array([row for row in range(len(values)) if row not in lost], dtype=np.intp)
    return [molecules, *(_safe_indexing(array, kept) for array in arrays)]


def check_on_invalid(on_invalid: Any) -> None:
    """Raise ValueError unless ``on_invalid`` is "raise" or "skip"."""
    if on_invalid not in ("raise", "skip"):
        raise ValueError(f"on_invalid must be 'raise' or 'skip'; got {on_invalid!r}.")


def molecule_column(X: Any) -> list[Any]:
    """One column of strings or molecules, from any container, as a list.

    Parameters
    ----------
    X : array-like of shape (n,) or (n, 1)
        A list, an array, a Series or a one-column DataFrame. An object with the attribute
        ``smiles`` is replaced by that attribute.

    Raises
    ------
    TypeError
        If X is a single string or molecule, or not a sequence.
    ValueError
        If X has more than one column.
    """
    wanted = "Expected SMILES strings or RDKit molecules, of shape (n,) or (n, 1)"
    # The attribute `smiles` of a data frame or a data set is a column.
    is_one = isinstance(getattr(X, "smiles", None), str)
    if is_one or isinstance(X, str | bytes) or hasattr(X, "GetAtoms"):
        raise TypeError(f"{wanted}; got a single {type(X).__name__}. Put it in a list.")
    if sp.issparse(X):
        raise TypeError(f"{wanted}; got a sparse matrix of shape {X.shape}.")
    if isinstance(X, dict | set | frozenset):
        raise TypeError(f"{wanted}; got a {type(X).__name__}, which has no rows.")
    return [getattr(value, "smiles", value) for value in _column(X, wanted)]


def _column(X: Any, wanted: str) -> list[Any]:
    """The entries of a column as they are. Errors begin with a description of the input wanted."""
    if hasattr(X, "to_pylist") and not hasattr(X, "shape"):  # an array of Arrow
        return list(X.to_pylist())
    if not hasattr(X, "shape"):
        if not hasattr(X, "__iter__"):
            raise TypeError(f"{wanted}; got {type(X).__name__}.")
        values = list(X)
        if not any(isinstance(value, list | tuple | np.ndarray) for value in values):
            return values
        widths = {len(v) if isinstance(v, list | tuple | np.ndarray) else 0 for v in values}
        if widths != {1}:
            raise ValueError(f"{wanted}; got rows of {sorted(widths)} entries.")
        return [value[0] for value in values]
    table = np.asanyarray(X)  # a masked array stays one: its list has None for masked entries
    if table.ndim == 0 or table.ndim > 2 or (table.ndim == 2 and table.shape[1] != 1):
        raise ValueError(
            f"{wanted}; got shape {table.shape}. Take the column of molecules out of a table, for "
            "example with sklearn.compose.ColumnTransformer."
        )
    return table.reshape(-1).tolist()


def parse(values: Sequence[Any], first_row: int = 0) -> tuple[list[Any], list[Invalid]]:
    """Molecules of a column, and the rows that are not molecules.

    Parameters
    ----------
    values : sequence
        Strings and molecules.
    first_row : int, default=0
        Number of the first row, for messages.

    Returns
    -------
    molecules : list of rdkit.Chem.Mol
        The molecules, sanitised.
    invalid : list of Invalid
        The other rows.
    """
    require("rdkit", "Reading SMILES")
    from rdkit import rdBase

    molecules, invalid = [], []
    with rdBase.BlockLogs():
        for row, value in enumerate(values, first_row):
            molecule, reason = _molecule(value, row)
            if molecule is None:
                invalid.append(Invalid(row, _short(value), reason))
            else:
                molecules.append(molecule)
    return molecules, invalid


def report(invalid: Sequence[Invalid], n_rows: int, on_invalid: str) -> None:
    """Raise ValueError about rows that are not molecules, or warn that they are left out."""
    if not invalid:
        return
    rows = "; ".join(f"row {bad.row} {bad.text} ({bad.reason})" for bad in invalid[:_SHOWN])
    if len(invalid) > _SHOWN:
        rows += f"; and {len(invalid) - _SHOWN} more"
    count = f"{len(invalid)} of {n_rows} rows are not molecules"
    if on_invalid == "skip":
        warnings.warn(f"{count} and are left out: {rows}.", UserWarning, stacklevel=3)
        return
    raise ValueError(
        f"{count}: {rows}. Correct them, or leave them out together with their targets: "
        "skccvae.molecules.read_smiles(smiles, y, on_invalid='skip')."
    )


def is_missing(value: Any) -> bool:
    """Whether an entry is None, NaN or pandas' NA."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return type(value).__name__ in {"NAType", "NaTType"}


def _molecule(value: Any, row: int) -> tuple[Any, str]:
    """A sanitised molecule with atoms, or None and the reason."""
    from rdkit import Chem

    if is_missing(value):
        return None, "missing"
    if isinstance(value, str):
        if not value.strip():
            return None, "empty"
        molecule = Chem.MolFromSmiles(value)
        if molecule is None:
            return None, _parse_problem(value)
    elif isinstance(value, Chem.Mol):
        molecule = value
        if molecule.NeedsUpdatePropertyCache() or not _knows_rings(molecule):
            molecule = Chem.Mol(value)  # the user's object stays as it is
            try:
                Chem.SanitizeMol(molecule)
                Chem.AssignStereochemistry(molecule, cleanIt=True, force=True)
            except ValueError as error:
                return None, str(error)
    else:
        raise TypeError(
            f"Row {row} holds {_short(value)}, of type {type(value).__name__}; expected a SMILES "
            "string, an RDKit molecule, or an object with SMILES as its attribute smiles."
        )
    if molecule.GetNumAtoms() == 0:
        return None, "no atoms"
    return molecule, ""


def _knows_rings(molecule: Any) -> bool:
    try:
        molecule.GetRingInfo().NumRings()
    except RuntimeError:
        return False
    return True


def _parse_problem(smiles: str) -> str:
    """A few words on why RDKit refuses a string."""
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles, sanitize=False)
    if molecule is not None:
        problems = Chem.DetectChemistryProblems(molecule)
        return problems[0].Message().strip() if problems else "cannot be sanitised"
    return "RDKit cannot parse it"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"
