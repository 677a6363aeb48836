"""Memory that fitting a large sparse matrix adds to the process.

A random CSR matrix of 150000 x 2048 bits with about 45 ones per row (the shape of a set of
molecular fingerprints; 1.2 GB as dense float32) is fitted for one epoch and transformed. The figure
is the increase of the peak resident memory of the process over the memory in use once the matrix is
loaded.

    python benchmarks/sparse_memory.py [--rows 150000]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import scipy.sparse as sp
import torch
from _memory import reset_peak, status_mib

from skccvae import SphericalVAETransformer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=150_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    counts = rng.poisson(45, options.rows)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    indices = rng.integers(0, 2048, indptr[-1], dtype=np.int32)
    data = np.ones(len(indices), dtype=np.float32)
    X = sp.csr_array((data, indices, indptr), shape=(options.rows, 2048))
    X.sum_duplicates()
    X.data[:] = 1.0
    reset_peak()
    before = status_mib("VmRSS")
    print(f"{X.shape[0]} x {X.shape[1]}, {X.nnz} ones; resident with the matrix {before:.0f} MiB")
    start = time.perf_counter()
    vae = SphericalVAETransformer(n_components=32, max_epochs=1, random_state=0).fit(X)
    middle = time.perf_counter()
    Z = vae.transform(X)
    print(f"one epoch {middle - start:.1f} s, transform {time.perf_counter() - middle:.1f} s")
    print(f"embedding {Z.shape}; peak added {status_mib('VmHWM') - before:.0f} MiB (limit 600)")


if __name__ == "__main__":
    main()
