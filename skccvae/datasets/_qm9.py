"""QM9: SMILES and quantum-chemical properties of 130831 small molecules."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import Bunch

from skccvae._sklearn import Interval, StrOptions, validate_params
from skccvae.datasets._base import candidate_folders, data_homes, download, pack
from skccvae.datasets._qm9_files import (
    PROPERTIES,
    PUBLISHED_UNITS,
    Table,
    read_sdf_smiles,
    read_table,
    read_uncharacterized,
    uncharacterized_ids,
)

QM9_URL = "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/qm9.csv"
QM9_SHA256 = "3e668f8c34e4bc392a90d417a50a5eed3b64b842a817a633024bdc054c68ccb4"

_SUBFOLDERS = ("qm9", "QM9")
# CODATA 2018. The published atomisation energies were made with 627.5095 kcal/mol to the hartree.
_EV_PER_HARTREE = 27.211386245988
_KCAL_PER_HARTREE = 627.5094740631
_DESCR = """\
QM9
---

133885 molecules of up to nine heavy atoms (C, N, O, F) from the GDB-17 enumeration, with properties
computed at the B3LYP/6-31G(2df,p) level. 3054 of them are uncharacterised: their relaxed geometry
is that of another molecule. They are usually left out.

Properties and published units: rotational constants A, B, C (GHz); dipole moment mu (D); isotropic
polarisability alpha (a0^3); energies of the highest occupied and lowest unoccupied orbital homo,
lumo and their gap (hartree); electronic spatial extent r2 (a0^2); zero-point vibrational energy
zpve (hartree); internal energy u0 at 0 K, u298 at 298.15 K, enthalpy h298, free energy g298
(hartree); heat capacity cv at 298.15 K (cal/mol/K); the atomisation energies u0_atom, u298_atom,
h298_atom, g298_atom (kcal/mol): u0 to g298 minus those of the free atoms.

Ramakrishnan, R., Dral, P. O., Rupp, M. and von Lilienfeld, O. A. (2014). Quantum chemistry
structures and properties of 134 kilo molecules. Scientific Data 1, 140022.
Wu, Z. et al. (2018). MoleculeNet: a benchmark for molecular machine learning. Chemical Science 9.
"""


@validate_params(
    {
        "data_home": [str, os.PathLike, None],
        "subset": [StrOptions({"all", "train", "validation", "test"})],
        "targets": [str, list, tuple, None],
        "energy_unit": [StrOptions({"published", "hartree", "ev"})],
        "drop_uncharacterized": ["boolean"],
        "n_train": [Interval(Integral, 0, None, closed="left")],
        "n_validation": [Interval(Integral, 0, None, closed="left")],
        "random_state": [Interval(Integral, 0, 2**32 - 1, closed="both")],
        "download_if_missing": ["boolean"],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_qm9(
    *,
    data_home: str | os.PathLike[str] | None = None,
    subset: str = "all",
    targets: str | Sequence[str] | None = None,
    energy_unit: str = "published",
    drop_uncharacterized: bool = True,
    n_train: int = 110_000,
    n_validation: int = 10_000,
    random_state: int = 0,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Bunch | tuple[Any, Any]:
    """Load QM9: SMILES strings and 19 quantum-chemical properties.

    The function reads MoleculeNet's ``qm9.csv``, plain or gzipped, or the folder of PyTorch
    Geometric's ``QM9`` (``raw/gdb9.sdf.csv``; RDKit makes the SMILES from ``raw/gdb9.sdf``). If
    neither is there, it downloads ``qm9.csv`` (30 MB) and checks its checksum.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the files, or one that holds them in ``qm9/`` or ``QM9/``, or a CSV file itself.
        None means the folder named by the environment variable ``SKCCVAE_DATA``, then
        scikit-learn's data folder.
    subset : {"all", "train", "validation", "test"}, default="all"
        ``"all"`` means every molecule, in the order of the file. The other three are a random
        split: the first `n_train` molecules of a permutation seeded by `random_state`, the next
        `n_validation`, and the rest, each in the order of the permutation.
    targets : str, list of str or None, default=None
        The property or properties in `target`. None means all 19. One name gives a 1-D target.
    energy_unit : {"published", "hartree", "ev"}, default="published"
        Unit of homo, lumo, gap, zpve, the energies u0 to g298 and the four atomisation energies.
        ``"published"`` keeps the units of the file: kcal/mol for the atomisation energies, and
        hartree for the others. ``units`` in the Bunch states the unit of each target.
    drop_uncharacterized : bool, default=True
        Whether to drop the 3054 uncharacterised molecules, if the file still has them. The list is
        ``raw/uncharacterized.txt`` if there is one, and otherwise this package's own copy.
        ``n_dropped`` in the Bunch counts them.
    n_train, n_validation : int, default=110000 and 10000
        Sizes of the split.
    random_state : int, default=0
        Seed of the split. It is an int, so that the subsets of separate calls are disjoint.
    download_if_missing : bool, default=True
        If False, raise an OSError if the files are not there.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        If True, `data` and `target` are pandas objects.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the entries

        data : ndarray of shape (n_samples,), object
            SMILES strings. A DataFrame with one column ``smiles`` if `as_frame`.
        target : ndarray of shape (n_samples, n_targets) or (n_samples,), float64
            One column per property, in the order of `target_names`.
        target_names : list of str
            Names of the properties in `target`.
        units : dict
            Unit of each target.
        mol_ids : ndarray of shape (n_samples,), int64
            Number n of each molecule in GDB-9 (``gdb_n``).
        n_dropped : int
            Number of uncharacterised molecules that were dropped from the file.
        n_unsanitized : int
            Number of molecules in PyTorch Geometric's folder whose SMILES RDKit could not sanitise.
            It is 0 for ``qm9.csv``.
        feature_names : list of str
            ``["smiles"]``.
        frame : DataFrame of shape (n_samples, 1 + n_targets) or None
            Data and target together if `as_frame`.
        DESCR : str
            Description of the data set.

    (data, target) : tuple, if `return_X_y`

    Raises
    ------
    ValueError
        If a file is damaged or lacks a column (the message names it and the line), a target is
        unknown, or the split is larger than the data.
    OSError
        If the files are missing and may not be downloaded, or the download fails or has a wrong
        checksum.
    ImportError
        If RDKit is missing (only PyTorch Geometric's folder needs it), or pandas (`as_frame`).

    References
    ----------
    Ramakrishnan, R., Dral, P. O., Rupp, M. and von Lilienfeld, O. A. (2014). Quantum chemistry
    structures and properties of 134 kilo molecules. Scientific Data 1, 140022.

    Examples
    --------
    >>> from skccvae.datasets import fetch_qm9
    >>> qm9 = fetch_qm9(subset="train", targets=["gap", "u0_atom"])  # doctest: +SKIP
    >>> qm9.data.shape, qm9.target.shape, qm9.units  # doctest: +SKIP
    ((110000,), (110000, 2), {'gap': 'hartree', 'u0_atom': 'kcal/mol'})
    """
    names = _target_names(targets)
    source = _find(data_home)
    if source is None:
        home = data_homes(data_home)[0]
        if not download_if_missing:
            raise OSError(
                f"QM9 (qm9.csv, qm9.csv.gz or raw/gdb9.sdf.csv) is not in {home} or its qm9/, and "
                "download_if_missing is False"
            )
        if home.suffix in (".csv", ".gz"):
            raise FileNotFoundError(f"there is no file {home}; data_home may also be a folder")
        source = _Source(download(QM9_URL, home / "qm9" / "qm9.csv", QM9_SHA256), None)

    table = read_table(source.table, with_smiles=source.structures is None)
    n_unsanitized = 0
    if source.structures is not None:
        smiles, n_unsanitized = read_sdf_smiles(source.structures, table.ids)
        table = table._replace(smiles=smiles)
    n_before = len(table.ids)
    if drop_uncharacterized:
        table = _drop_uncharacterized(table, source.table.parent / "uncharacterized.txt")

    rows = _subset(subset, len(table.ids), n_train, n_validation, random_state)
    values, units = _convert(table.values[rows], energy_unit)
    target = values[:, [PROPERTIES.index(name) for name in names]]
    assert table.smiles is not None  # read from the table or made from the structures
    return pack(
        "fetch_qm9",
        data=table.smiles[rows],
        target=target[:, 0] if isinstance(targets, str) else target,
        feature_names=["smiles"],
        target_columns=names,
        return_X_y=return_X_y,
        as_frame=as_frame,
        target_names=names,
        units={name: units[name] for name in names},
        mol_ids=table.ids[rows],
        n_dropped=n_before - len(table.ids),
        n_unsanitized=n_unsanitized,
        DESCR=_DESCR,
    )


class _Source(NamedTuple):
    table: Path
    structures: Path | None  # SDF file that holds the structures if the table has no SMILES


def _find(data_home: str | os.PathLike[str] | None) -> _Source | None:
    if data_home is not None and Path(data_home).expanduser().is_file():
        return _Source(Path(data_home).expanduser(), None)
    for folder in candidate_folders(data_home, _SUBFOLDERS):
        for name in ("qm9.csv", "qm9.csv.gz"):
            if (folder / name).is_file():
                return _Source(folder / name, None)
        for raw in (folder / "raw", folder):
            if (raw / "gdb9.sdf.csv").is_file():
                structures = raw / "gdb9.sdf"
                if not structures.is_file():
                    raise FileNotFoundError(
                        f"{raw} has gdb9.sdf.csv, which holds no SMILES, but not gdb9.sdf; put it "
                        f"there, or MoleculeNet's qm9.csv in {folder}"
                    )
                return _Source(raw / "gdb9.sdf.csv", structures)
    return None


def _target_names(targets: str | Sequence[str] | None) -> list[str]:
    names = (
        [targets] if isinstance(targets, str) else list(PROPERTIES if targets is None else targets)
    )
    unknown = [name for name in names if name not in PROPERTIES]
    if unknown or not names or len(set(names)) != len(names):
        raise ValueError(
            f"expected targets from {', '.join(PROPERTIES)}, each once and at least one; got "
            f"{targets!r}"
        )
    return names


def _drop_uncharacterized(table: Table, listed: Path) -> Table:
    ids = read_uncharacterized(listed) if listed.is_file() else uncharacterized_ids()
    keep = ~np.isin(table.ids, np.fromiter(ids, np.int64, len(ids)))
    smiles = None if table.smiles is None else table.smiles[keep]
    return Table(table.ids[keep], smiles, table.values[keep])


def _subset(
    subset: str, n_rows: int, n_train: int, n_validation: int, random_state: int
) -> np.ndarray | slice:
    if subset == "all":
        return slice(None)
    if n_train + n_validation > n_rows:
        raise ValueError(
            f"n_train + n_validation = {n_train + n_validation} is more than the number of "
            f"molecules, {n_rows}; lower n_train or n_validation"
        )
    order = np.random.RandomState(random_state).permutation(n_rows)
    train, validation, test = np.split(order, [n_train, n_train + n_validation])
    return {"train": train, "validation": validation, "test": test}[subset]


def _convert(values: np.ndarray, energy_unit: str) -> tuple[np.ndarray, dict[str, str]]:
    """Properties in `energy_unit`, and the unit of each."""
    units = dict(PUBLISHED_UNITS)
    if energy_unit == "published":
        return values.copy(), units
    per_hartree = _EV_PER_HARTREE if energy_unit == "ev" else 1.0
    factors = {"hartree": per_hartree, "kcal/mol": per_hartree / _KCAL_PER_HARTREE}
    scale = np.array([factors.get(unit, 1.0) for unit in units.values()])
    label = "eV" if energy_unit == "ev" else "hartree"
    return values * scale, {n: label if unit in factors else unit for n, unit in units.items()}
