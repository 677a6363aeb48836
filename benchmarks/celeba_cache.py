"""Speed of building CelebA's cache, compared with only decoding, cropping and resizing in Pillow.

    python benchmarks/celeba_cache.py --images 20000 --processes 2 --rounds 3

The script makes JPEGs of the official shape (178 x 218, quality 90, smooth shapes and noise, files
of about the size of the real ones) in a temporary folder. Each round then times two things. The
first is Pillow alone in this number of processes, which are started before the timing and keep
nothing. The second is ``fetch_celeba`` with an empty cache and the same number of threads,
including writing and checksums. The script prints one line of JSON per round. A ratio of 1 is the
speed of Pillow. On a shared machine, look at the ratio of processor times as well, because it does
not include waiting for a core.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from skccvae.datasets import fetch_celeba

CROP, SIZE = 148, 64


def make_folder(root: Path, n_images: int, seed: int = 0) -> None:
    """Write `n_images` JPEGs and the two lists. A hundred pictures are drawn, then repeated."""
    rng = np.random.default_rng(seed)
    folder = root / "img_align_celeba"
    folder.mkdir()
    row, column = np.mgrid[:218, :178] / 200.0
    encoded = []
    for i in range(100):
        waves = rng.normal(size=(3, 3, 4))
        picture = sum(
            a[:, None, None] * np.sin(6 * (b[0] * row + b[1] * column) + b[2])
            for a, b in zip(waves.transpose(1, 0, 2)[..., 0], waves[:, :, 1:].mean(0), strict=True)
        )
        picture = 128 + 45 * np.moveaxis(picture, 0, -1) + 9 * rng.normal(size=(218, 178, 3))
        path = root / f"{i}.jpg"
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        encoded.append(path.read_bytes())
        path.unlink()
    names = [f"{i:06d}.jpg" for i in range(1, n_images + 1)]
    for i, name in enumerate(names):
        (folder / name).write_bytes(encoded[i % len(encoded)])
    attributes = " ".join(f"Attribute_{j}" for j in range(40))
    rows = [f"{name} {' '.join(['-1', '1'] * 20)}" for name in names]
    (root / "list_attr_celeba.txt").write_text("\n".join([str(n_images), attributes, *rows]))
    (root / "list_eval_partition.txt").write_text("\n".join(f"{name} 0" for name in names))
    mean = statistics.mean(map(len, encoded))
    print(f"{n_images} JPEGs of {mean / 1024:.1f} KiB on average", flush=True)


def bare(path: str) -> float:
    """Decode, crop and resize one image with Pillow alone; return the processor time."""
    start = time.process_time()
    left, top = (178 - CROP) // 2, (218 - CROP) // 2
    with Image.open(path) as image:
        face = image.crop((left, top, left + CROP, top + CROP))
    face.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return time.process_time() - start


def processor_time() -> float:
    """Seconds used by this process and by those that it started and that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=20000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ratios: list[float] = []
    cpu_ratios: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        make_folder(root, arguments.images)
        paths = sorted(map(str, (root / "img_align_celeba").iterdir()))
        with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
            pool.map(bare, paths[: 4 * arguments.processes])
            for round_ in range(arguments.rounds):
                start = time.perf_counter()
                pillow_cpu = sum(pool.map(bare, paths, chunksize=128))
                pillow = time.perf_counter() - start

                cache = root / f"cache{round_}"
                start, start_cpu = time.perf_counter(), processor_time()
                fetch_celeba(
                    data_home=root,
                    crop=CROP,
                    size=SIZE,
                    cache_dir=cache,
                    n_jobs=arguments.processes,
                    verbose=False,
                )
                ours = time.perf_counter() - start
                ours_cpu = processor_time() - start_cpu
                for path in cache.iterdir():
                    path.unlink()
                ratios.append(pillow / ours)
                cpu_ratios.append(pillow_cpu / ours_cpu)
                figures = {
                    "pillow_s": pillow,
                    "fetch_celeba_s": ours,
                    "ratio": ratios[-1],
                    "processor_time_ratio": cpu_ratios[-1],
                }
                print(json.dumps({k: round(v, 3) for k, v in figures.items()}), flush=True)
    medians = [statistics.median(values) for values in (ratios, cpu_ratios)]
    print("median ratio {:.3f}, of processor time {:.3f}".format(*medians))


if __name__ == "__main__":
    main()
