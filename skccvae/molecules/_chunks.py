"""A column of molecules into one sparse matrix, chunk by chunk, in several processes if asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from joblib import Parallel, delayed, effective_n_jobs

from skccvae.molecules._smiles import Invalid, parse

# From a list of molecules to their rows, any two-dimensional array or sparse matrix.
Featuriser = Callable[[list[Any]], Any]


def featurise(
    values: Sequence[Any], featuriser: Featuriser, chunk_size: int, n_jobs: int | None
) -> tuple[sp.csr_array, list[Invalid]]:
    """Rows of the molecules of a column, and the entries that are no molecule.

    Parameters
    ----------
    values : sequence
        SMILES strings or molecules.
    featuriser : callable
        Makes rows of molecules; pickled where there are several processes.
    chunk_size : int
        Molecules at a time: what is dense is never more than that.
    n_jobs : int or None
        Processes, as joblib counts them. Fewer start where there are fewer chunks.

    Returns
    -------
    rows : csr_array of shape (n_molecules, p), float32
        Chunks of different widths are as wide as the widest, with zeros behind.
    invalid : list of Invalid
        They have no row.
    """
    starts = range(0, len(values), chunk_size)
    tasks = ((values[start : start + chunk_size], featuriser, start) for start in starts)
    n_workers = min(effective_n_jobs(n_jobs), len(starts))
    if n_workers > 1:
        results = Parallel(n_jobs=n_workers)(delayed(_chunk)(*task) for task in tasks)
    else:
        results = [_chunk(*task) for task in tasks]
    invalid = [bad for _, found in results for bad in found]
    blocks = [block for block, _ in results if block is not None]
    if not blocks:
        return sp.csr_array((0, 0), dtype=np.float32), invalid
    width = max(block.shape[1] for block in blocks)
    for block in blocks:
        block.resize(block.shape[0], width)
    rows = sp.csr_array(sp.vstack(blocks, format="csr"))
    rows.sort_indices()
    return rows, invalid


def _chunk(
    values: Sequence[Any], featuriser: Featuriser, start: int
) -> tuple[sp.csr_array | None, list[Invalid]]:
    molecules, invalid = parse(values, start)
    if not molecules:
        return None, invalid
    rows = featuriser(molecules)
    if rows.shape[0] != len(molecules):
        raise ValueError(
            f"{len(molecules)} molecules gave {rows.shape[0]} rows; expected one row a molecule."
        )
    return sp.csr_array(rows, dtype=np.float32), invalid
