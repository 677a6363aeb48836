"""One, two and three hidden layers on grey MNIST, at 2 to 50 latent dimensions, three geometries.

Grey pixels as targets of the cross-entropy (no binarisation), hidden layers of 128, batch 128,
Adam 1e-3, KL warm-up over five of twenty epochs. The test ELBO, its parts and the log-likelihood
of each model go into a CSV file, one line per run. Runs that are already there are skipped.

    python benchmarks/mnist_depth.py --folder FOLDER_WITH_IDX_FILES --csv depth.csv
    python benchmarks/mnist_depth.py --csv depth.csv --table            # print what is there
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from _mnist import KINDS, images
from _runs import Runs, from_random_start

KEYS = ["layers", "d", "model", "seed", "epochs"]
VALUES = ["elbo", "reconstruction", "kl", "log_likelihood", "seconds"]


def print_table(runs: Runs) -> None:
    """Test ELBO of the three geometries, a line for each dimension and depth."""
    means = runs.means()
    print("test ELBO, nats an image, grey pixels: gaussian / spherical / hyperbolic")
    for d in sorted({int(key[1]) for key in means}):
        cells = []
        for layers in sorted({key[0] for key in means}):
            found = [
                f"{value['elbo']:.1f}"
                for kind in KINDS
                for key, value in means.items()
                if key[:3] == (layers, str(d), kind)
            ]
            cells.append(" / ".join(found))
        print(f"d={d:<3} " + "   |   ".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=None, help="folder with the IDX files")
    parser.add_argument("--csv", type=Path, default=Path("mnist_depth.csv"))
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 3, 5, 10, 50])
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--importance-samples", type=int, default=16)
    parser.add_argument("--table", action="store_true", help="print the file and stop")
    options = parser.parse_args()
    runs = Runs(options.csv, KEYS, VALUES)
    if options.table:
        print_table(runs)
        return
    torch.set_num_threads(1)
    train, test = (part.data for part in images(options.folder))
    for seed in options.seeds:
        for dim in options.dims:
            for layers in options.layers:
                for name, kind in KINDS.items():
                    run = {"layers": layers, "d": dim, "model": name}
                    run |= {"seed": seed, "epochs": options.epochs}
                    if runs.has(**run):
                        continue
                    start = time.perf_counter()
                    vae = kind(
                        dim,
                        hidden_layer_sizes=(128,) * layers,
                        kl_warmup_epochs=options.warmup,
                        max_epochs=options.epochs,
                        random_state=seed,
                    )
                    from_random_start(vae, "bernoulli").fit(train)
                    seconds = time.perf_counter() - start
                    found = vae.evaluate(test, options.importance_samples)
                    runs.add(**run, **{v: found[v] for v in VALUES[:4]}, seconds=seconds)


if __name__ == "__main__":
    main()
