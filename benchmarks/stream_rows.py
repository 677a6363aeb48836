"""Rows per second and memory for a stream of sparse rows, compared with the same rows in memory.

Rows have 2048 bits with about 40 ones each, and come from a generator behind a DataLoader. The
ratio is that of rows per second in one epoch, for the stream over the fit on one matrix, which take
turns. The batches of the stream are made beforehand, so making them takes no time. Then the stream
of all rows is fitted in one pass, with batches made on demand, and the script prints the increase
of the peak resident memory of the process.

    python benchmarks/stream_rows.py [--rows 10000000] [--compare 100000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import scipy.sparse as sp
import torch
from _memory import reset_peak, status_mib
from torch.utils.data import DataLoader, IterableDataset

from skccvae import SphericalVAETransformer

WIDTH, ONES, BATCH = 2048, 40, 128
SETTINGS = {"n_components": 32, "likelihood": "bernoulli", "max_epochs": 1, "random_state": 0}


def block(rng: np.random.Generator, n_rows: int) -> sp.csr_array:
    """Random rows of bits."""
    counts = rng.poisson(ONES, n_rows)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    indices = rng.integers(0, WIDTH, indptr[-1], dtype=np.int32)
    X = sp.csr_array((np.ones(len(indices), dtype=np.float32), indices, indptr), (n_rows, WIDTH))
    X.sum_duplicates()
    X.data[:] = 1.0
    return X


class Generated(IterableDataset):
    """Batches that are made when they are asked for."""

    def __init__(self, n_rows: int) -> None:
        self.n_rows = n_rows

    def __iter__(self):
        rng = np.random.default_rng(0)
        for _ in range(self.n_rows // (64 * BATCH)):
            large = block(rng, 64 * BATCH)  # one call of the generator for many batches
            yield from (large[start : start + BATCH] for start in range(0, 64 * BATCH, BATCH))


class Made(IterableDataset):
    """Batches that were made beforehand."""

    def __init__(self, X: sp.csr_array) -> None:
        self.batches = [X[start : start + BATCH] for start in range(0, X.shape[0], BATCH)]

    def __iter__(self):
        return iter(self.batches)


def seconds(X) -> float:
    start = time.perf_counter()
    SphericalVAETransformer(**SETTINGS).fit(X)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--compare", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    reset_peak()
    SphericalVAETransformer(**SETTINGS).fit(block(np.random.default_rng(1), 256))  # imports
    empty = status_mib("VmRSS")
    if options.rows:
        start = time.perf_counter()
        stream = DataLoader(Generated(options.rows), batch_size=None)
        SphericalVAETransformer(**SETTINGS).fit(stream)
        elapsed = time.perf_counter() - start
        n_rows = options.rows // (64 * BATCH) * 64 * BATCH
        print(
            f"{n_rows} rows in one pass: {elapsed:.0f} s, {n_rows / elapsed:.0f} rows a second "
            f"including making them; peak added {status_mib('VmHWM') - empty:.0f} MiB (limit 1024)",
            flush=True,
        )
    X = block(np.random.default_rng(0), options.compare)
    stream = DataLoader(Made(X), batch_size=None)
    pairs = [(seconds(X), seconds(stream)) for _ in range(options.rounds)]
    ratios = [in_memory / streamed for in_memory, streamed in pairs]
    print(
        f"{options.compare} rows: rows per second of the stream over those in memory "
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f}), limit 0.8"
    )


if __name__ == "__main__":
    main()
