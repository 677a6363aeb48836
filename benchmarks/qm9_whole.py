"""All of QM9, from SMILES to embedding: seconds for each stage, and peak memory of the process.

The stages are Morgan fingerprints of 2048 bits (sparse) for 130831 molecules, ten epochs at 32
dimensions, the embedding of all rows, and the embedding of the first thousand with the fitted
model.

    python benchmarks/qm9_whole.py --data-home FOLDER [--threads 2]
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import torch

from skccvae import SphericalVAETransformer
from skccvae.datasets import fetch_qm9
from skccvae.molecules import FingerprintTransformer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-home", default=None, help="folder with qm9.csv or qm9.csv.gz")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    begin = last = time.perf_counter()

    def stage(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        print(f"{name:<28} {now - last:8.2f} s", flush=True)
        last = now

    smiles = fetch_qm9(data_home=options.data_home, targets=["mu"]).data
    stage("read")
    X = FingerprintTransformer(n_jobs=options.threads).fit_transform(smiles)
    stage("fingerprints")
    vae = SphericalVAETransformer(n_components=32, max_epochs=options.epochs, random_state=0).fit(X)
    stage("fit")
    codes = vae.transform(X)
    stage("transform")
    first = vae.transform(X[:1000])
    stage("transform, 1000 rows")
    assert (abs(first - codes[:1000]) < 1e-5).all()
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(f"{'whole':<28} {last - begin:8.2f} s, peak {peak:.0f} MiB, {X.shape[0]} x {X.shape[1]}")


if __name__ == "__main__":
    main()
