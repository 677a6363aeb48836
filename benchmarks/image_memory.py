"""Memory that colour images add to the process: fit, transform, inverse_transform.

Each figure comes from a separate process. It is the increase of the peak resident memory over the
memory in use once the images (or the latent points) are loaded. Convolutional networks run on
random 8-bit images. Fitting runs one epoch, and scoring uses 200 images. With ``--dataset``, the
images come from a torch ``Dataset`` that makes each image on request, so no data are kept in
memory.

    python benchmarks/image_memory.py [--rows 2000] [--side 64] [--likelihood NAME] [--dataset]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import numpy as np
import torch
from _memory import reset_peak, status_mib
from torch.utils.data import Dataset

from skccvae import GaussianVAETransformer

TASKS = ("fit", "transform", "inverse_transform", "score_samples")
LIKELIHOODS = ("bernoulli", "discretized_logistic")


class MadeImages(Dataset):
    """Random images, made as they are read."""

    def __init__(self, n_rows: int, side: int) -> None:
        self.n_rows, self.side = n_rows, side

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, index: int) -> np.ndarray:
        shape = (self.side, self.side, 3)
        return np.random.default_rng(index).integers(0, 256, size=shape, dtype=np.uint8)


def measure(task: str, options: argparse.Namespace) -> None:
    """Print one line: the peak that the task adds."""
    torch.set_num_threads(1)
    # Scoring takes 64 draws per row, so fewer rows suffice.
    rows = min(options.rows, 200) if task == "score_samples" else options.rows
    made = MadeImages(rows, options.side)
    X = made if options.dataset else np.stack([made[i] for i in range(rows)])
    vae = GaussianVAETransformer(
        10,
        encoder="conv",
        decoder="conv",
        likelihood=options.likelihood,
        max_epochs=1,
        device="cpu",
        random_state=0,
    )
    first = np.stack([made[i] for i in range(8)])
    vae.fit(first)
    Z = np.random.default_rng(0).normal(size=(rows, 10))
    reset_peak()
    before = status_mib("VmRSS")
    start = time.perf_counter()
    # Kept, because what the method returns is part of its cost.
    result = getattr(vae, task)(Z if task == "inverse_transform" else X)
    seconds = time.perf_counter() - start
    added = status_mib("VmHWM") - before
    size = result.nbytes / 2**20 if isinstance(result, np.ndarray) else 0.0
    print(f"{task:<18} {added:7.0f} MiB added, {size:5.0f} of them the result; {seconds:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--likelihood", choices=LIKELIHOODS, default="discretized_logistic")
    parser.add_argument("--dataset", action="store_true")
    parser.add_argument("--task", choices=TASKS, help="one task, in this process")
    options = parser.parse_args()
    if options.task is not None:
        measure(options.task, options)
        return
    data = options.rows * options.side**2 * 3 / 2**20
    where = "a Dataset" if options.dataset else "an array"
    print(
        f"{options.rows} images of {options.side} x {options.side} x 3 bytes in {where} "
        f"({data:.0f} MiB), {options.likelihood}",
        flush=True,
    )
    for task in TASKS:
        subprocess.run([sys.executable, *sys.argv, "--task", task], check=True)


if __name__ == "__main__":
    main()
