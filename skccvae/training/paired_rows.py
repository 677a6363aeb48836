"""Rows in two parts: one that the likelihood describes, and one that only the encoder reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import scipy.sparse as sp


@dataclass(frozen=True)
class PairedRows:
    """Two sparse matrices side by side, one row per sample.

    Parameters
    ----------
    observed : csr_array of shape (n, p)
        The part that the likelihood describes, such as the fingerprints of molecules.
    extra : csr_array of shape (n, q)
        The part that only the encoder reads, such as the graphs of the same molecules.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from skccvae.training import PairedRows
    >>> rows = PairedRows(sp.csr_array(np.eye(4)), sp.csr_array(np.ones((4, 3))))
    >>> rows.shape, rows[1:3].observed.shape
    ((4, 7), (2, 4))
    """

    observed: sp.csr_array
    extra: sp.csr_array

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and number of columns of both matrices together."""
        return self.observed.shape[0], self.observed.shape[1] + self.extra.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> PairedRows:
        """Rows at a slice or an index array."""
        return PairedRows(self.observed[index], self.extra[index])
