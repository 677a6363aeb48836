"""The encoder of molecular graphs, as a parameter of an estimator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from functools import cached_property, lru_cache, partial
from numbers import Integral
from typing import Any

import scipy.sparse as sp

from skccvae.molecules._chunks import featurise
from skccvae.molecules._encoding import ATOM_SIZES, BOND_SIZES, FingerprintsAndGraphs
from skccvae.molecules._optional import require
from skccvae.molecules._smiles import molecule_column, report

_CHUNK = 1024
# Below this, starting processes costs more time than they save.
_FEWEST_FOR_PROCESSES = 20_000
# Columns of strings whose rows an encoder keeps: the training set and a test set.
_KEPT = 2


@dataclass(frozen=True)
class MolecularGraph:
    """Encoder of an estimator that reads molecules as graphs.

    ``encoder="molecular_graph"`` stands for ``encoder=MolecularGraph()``. The estimator's X is then
    one column of SMILES strings or RDKit molecules. The encoder passes messages along the bonds.
    The decoder describes the molecule's Morgan fingerprint, so its likelihoods are comparable with
    those of a model that encodes the same fingerprint.

    Parameters
    ----------
    radius : int, default=2
        Radius of the Morgan fingerprint in bonds. 2 is ECFP4.
    n_bits : int, default=2048
        Length of the fingerprint.
    n_layers : int, default=3
        Number of rounds of messages. The first of ``hidden_layer_sizes`` is their width (128 if
        there is none). The others are the widths of dense layers that follow.
    n_jobs : int, default=None
        Number of processes that turn molecules into graphs, from 20000 molecules on. It has no
        effect on the model.

    Raises
    ------
    ValueError
        If a number is outside its range.

    See Also
    --------
    FingerprintTransformer : Fingerprints for the other encoders.

    Notes
    -----
    For an atom, the encoder reads element, degree, hydrogens, charge, hybridisation, aromaticity,
    smallest ring, radical electrons, R or S, and isotope. For a bond, it reads order, conjugation,
    ring membership, and E or Z. None of these depends on the order of the atoms. Charges beyond 5,
    degrees beyond 7 and the like count as the last value. Coordinates are not read.

    A fitted estimator keeps the fingerprints and graphs of the last two X that hold SMILES strings,
    so that `fit` followed by `transform` of the same X computes them once. They take some 700 bytes
    for a molecule of nine atoms. Copies and pickles do not contain them.

    Examples
    --------
    >>> from skccvae import GaussianVAETransformer
    >>> from skccvae.molecules import MolecularGraph
    >>> smiles = ["C" * n + "O" for n in range(1, 20)]
    >>> vae = GaussianVAETransformer(
    ...     encoder=MolecularGraph(n_bits=256), hidden_layer_sizes=(32,), max_epochs=2,
    ...     random_state=0,
    ... )
    >>> Z = vae.fit_transform(smiles)
    >>> Z.shape, vae.inverse_transform(Z).shape
    ((19, 2), (19, 256))
    """

    radius: int = 2
    n_bits: int = 2048
    n_layers: int = 3
    n_jobs: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name, least in (("radius", 0), ("n_bits", 1), ("n_layers", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}; got {value!r}.")
            object.__setattr__(self, name, int(value))
        if self.n_jobs is not None and (not isinstance(self.n_jobs, Integral) or self.n_jobs == 0):
            raise ValueError(
                f"n_jobs must be None or an integer other than 0; got {self.n_jobs!r}."
            )

    @property
    def sizes(self) -> tuple[list[int], list[int]]:
        """Number of values of each code of an atom, and of each code of a bond."""
        return list(ATOM_SIZES.values()), list(BOND_SIZES.values())

    def rows(self, X: Any, counts: bool = False) -> tuple[sp.csr_array, sp.csr_array]:
        """Fingerprints and graphs, one row per molecule.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
            SMILES strings or RDKit molecules.
        counts : bool, default=False
            Whether the fingerprint holds counts instead of bits.

        Returns
        -------
        fingerprints : csr_array of shape (n, n_bits), float32
            Bits or counts. Read-only, because this object may keep it.
        graphs : csr_array of shape (n, length of the longest graph), float32
            Graphs as small integers, padded with zeros. Read-only as well.

        Raises
        ------
        ValueError
            If X is empty or a row is not a molecule.
        ImportError
            If RDKit or torch_geometric is not installed.
        """
        self.check_packages()
        values = molecule_column(X)
        if not values:
            raise ValueError("X holds 0 sample(s); at least one molecule is needed.")
        # A molecule can be changed in place; a string cannot.
        if all(isinstance(value, str) for value in values):
            return self._kept(tuple(values), counts)
        return _make_rows(self.radius, self.n_bits, self.n_jobs, values, counts)

    @cached_property
    def _kept(self) -> Callable[[tuple[str, ...], bool], tuple[sp.csr_array, sp.csr_array]]:
        """`_make_rows`, with a cache of its last results."""
        return lru_cache(_KEPT)(partial(_make_rows, self.radius, self.n_bits, self.n_jobs))

    def __reduce__(self) -> tuple[Any, ...]:
        # The settings alone: copies and pickles do without the rows that are kept.
        return type(self), astuple(self)

    @staticmethod
    def check_packages() -> None:
        """Raise ImportError, and say what to install, if a package that graphs need is missing."""
        for package in ("rdkit", "torch_geometric"):
            require(package, "encoder='molecular_graph'")


def _make_rows(
    radius: int, n_bits: int, n_jobs: int | None, values: Sequence[Any], counts: bool
) -> tuple[sp.csr_array, sp.csr_array]:
    work = FingerprintsAndGraphs(radius, n_bits, counts)
    n_jobs = n_jobs if len(values) >= _FEWEST_FOR_PROCESSES else 1
    parts, invalid = featurise(values, work, _CHUNK, n_jobs)
    report(invalid, len(values), "raise")
    for rows in parts:
        for array in (rows.data, rows.indices, rows.indptr):
            array.flags.writeable = False
    fingerprints, graphs = parts
    return fingerprints, graphs
