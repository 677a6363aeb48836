"""The encoder of molecular graphs, as a parameter of an estimator."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from numbers import Integral
from typing import Any

import scipy.sparse as sp

from skccvae.molecules._cache import CACHE, content_key
from skccvae.molecules._chunks import featurise
from skccvae.molecules._encoding import ATOM_SIZES, BOND_SIZES, MoleculeRows
from skccvae.molecules._optional import require
from skccvae.molecules._smiles import molecule_column, report

_CHUNK = 1024
# Below this, starting processes costs more time than they save.
_FEWEST_FOR_PROCESSES = 20_000


@dataclass(frozen=True)
class MolecularGraph:
    """Encoder of an estimator that reads molecules as graphs.

    ``encoder=MolecularGraph()`` is what ``encoder="molecular_graph"`` stands for. The estimator's
    X is then one column of SMILES strings or RDKit molecules. The encoder passes messages along
    the bonds; the decoder describes the molecule's Morgan fingerprint, so that likelihoods can be
    compared with those of a model that encodes the same fingerprint.

    Parameters
    ----------
    radius : int, default=2
        Radius of the Morgan fingerprint in bonds; 2 is ECFP4.
    n_bits : int, default=2048
        Its length.
    n_layers : int, default=3
        Rounds of messages. Their width is the first of ``hidden_layer_sizes`` (128 where there
        is none); the others are those of dense layers behind.
    n_jobs : int, default=None
        Processes that turn molecules into graphs, from 20000 molecules on. Without effect on the
        model.

    Raises
    ------
    ValueError
        If a number is out of its range.

    See Also
    --------
    FingerprintTransformer : Fingerprints for the other encoders.

    Notes
    -----
    Atoms have their element, degree, hydrogens, charge, hybridisation, aromaticity, smallest ring,
    radical electrons, R or S, and isotope; bonds their order, conjugation, ring membership, and E
    or Z. None of these depends on the order of the atoms. Charges beyond 5, degrees beyond 7 and
    the like count as the last value. Coordinates are not read.

    The graphs of the last few X are kept in memory, up to 256 MB a process (some 700 bytes for a
    molecule of nine atoms), so that `fit` and then `transform` of the same molecules makes them
    once.

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
        """How many values each code of an atom, and of a bond, has."""
        return list(ATOM_SIZES.values()), list(BOND_SIZES.values())

    @property
    def n_columns(self) -> int:
        """Columns of the shortest row, that of a molecule without atoms."""
        return self.n_bits + 2

    def rows(self, X: Any, counts: bool = False) -> sp.csr_array:
        """One row a molecule: its fingerprint, then its graph.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
            SMILES strings or RDKit molecules.
        counts : bool, default=False
            Whether the fingerprint counts, else it holds bits.

        Returns
        -------
        csr_array of shape (n, n_bits + length of the longest graph), float32
            Read-only: the cache holds it too.

        Raises
        ------
        ValueError
            If a row is no molecule.
        ImportError
            If RDKit or torch_geometric is not installed.
        """
        self.check_packages()
        values = molecule_column(X)
        key = content_key(values, (self.radius, self.n_bits, counts))
        known = None if key is None else CACHE.get(key)
        if known is not None:
            return known
        work = MoleculeRows(self.radius, self.n_bits, counts)
        n_jobs = self.n_jobs if len(values) >= _FEWEST_FOR_PROCESSES else 1
        rows, invalid = featurise(values, work, _CHUNK, n_jobs)
        report(invalid, len(values), "raise")
        for array in (rows.data, rows.indices, rows.indptr):
            array.flags.writeable = False
        if key is not None:
            CACHE.put(key, rows)
        return rows

    @staticmethod
    def check_packages() -> None:
        """Raise ImportError, with what to install, unless all is there that graphs need."""
        for package in ("rdkit", "torch_geometric"):
            require(package, "encoder='molecular_graph'")

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and names for a saved model."""
        return {"encoder": "molecular_graph", **asdict(self)}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> MolecularGraph:
        """Inverse of `to_json`."""
        if saved.get("encoder") != "molecular_graph":
            raise ValueError(f"This version of skccvae does not know the encoder {saved!r}.")
        return cls(**{name: value for name, value in saved.items() if name != "encoder"})
