"""Turn a column of molecules into sparse matrices, chunk by chunk, in parallel if asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from joblib import Parallel, delayed, effective_n_jobs

from skccvae.molecules._smiles import Invalid, parse

# Turns a list of molecules into one or more arrays or sparse matrices with one row per molecule.
Featuriser = Callable[[list[Any]], tuple[Any, ...]]


def featurise(
    values: Sequence[Any], featuriser: Featuriser, chunk_size: int, n_jobs: int | None
) -> tuple[list[sp.csr_array], list[Invalid]]:
    """Rows of the molecules of a column, and the entries that are not molecules.

    Parameters
    ----------
    values : sequence
        SMILES strings or molecules.
    featuriser : callable
        Turns molecules into rows. It is pickled if there are several processes.
    chunk_size : int
        Number of molecules at a time. Dense arrays never have more rows.
    n_jobs : int or None
        Number of processes, as joblib counts them, but no more than there are chunks.

    Returns
    -------
    parts : list of csr_array of shape (n_molecules, p), float32
        One matrix for each that the featuriser returns, and none if no entry is a molecule. If the
        chunks have different widths, a matrix has the largest width, with zeros after narrower
        rows.
    invalid : list of Invalid
        Entries that are not molecules. They have no row.
    """
    starts = range(0, len(values), chunk_size)
    n_workers = max(1, min(effective_n_jobs(n_jobs), len(starts)))
    results = Parallel(n_jobs=n_workers)(
        delayed(_chunk)(values[start : start + chunk_size], featuriser, start) for start in starts
    )
    invalid = [bad for _, found in results for bad in found]
    chunks = [parts for parts, _ in results if parts]
    return [_stacked(blocks) for blocks in zip(*chunks, strict=True)], invalid


def _chunk(
    values: Sequence[Any], featuriser: Featuriser, start: int
) -> tuple[list[sp.csr_array], list[Invalid]]:
    molecules, invalid = parse(values, start)
    if not molecules:
        return [], invalid
    parts = featuriser(molecules)
    for rows in parts:
        if rows.shape[0] != len(molecules):
            raise ValueError(
                f"{len(molecules)} molecules gave {rows.shape[0]} rows; expected one row per "
                "molecule."
            )
    return [sp.csr_array(rows, dtype=np.float32) for rows in parts], invalid


def _stacked(blocks: Sequence[sp.csr_array]) -> sp.csr_array:
    width = max(block.shape[1] for block in blocks)
    for block in blocks:
        block.resize(block.shape[0], width)
    rows = sp.csr_array(sp.vstack(blocks, format="csr"))
    rows.sort_indices()
    return rows
