"""One space or a product: E, S, H and two products on MNIST at equal intrinsic dimension.

Dynamic binarisation of training and test images, MLP 256-128, batch 128, Adam 1e-3, KL warm-up over
five of thirty epochs.  Writes one line a run to a CSV file and skips runs that are already there,
so that it can be stopped and started again.

    python benchmarks/mnist_products.py --folder FOLDER_WITH_IDX_FILES --csv results.csv
    python benchmarks/mnist_products.py --csv results.csv --table       # print what is there
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import torch

from skccvae import (
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)
from skccvae.datasets import fetch_mnist

SPHERES = {2: ["2s1"], 5: ["s3,s2"], 10: ["2s5"], 20: ["2s10"], 40: ["2s20", "4s10"]}
MIXED = {2: "h1,s1", 5: "h2,s2,e1", 10: "h4,s3,e3", 20: "h7,s7,e6", 40: "h14,s13,e13"}
FIELDS = ["d", "model", "seed", "epochs", "elbo", "reconstruction", "kl", "log_likelihood", "s"]
SETTINGS = {"binarize": "dynamic", "kl_warmup_epochs": 5}


def models(dim: int) -> dict:
    return {
        "E": GaussianVAETransformer(dim, **SETTINGS),
        "S": SphericalVAETransformer(dim, **SETTINGS),
        "H": HyperbolicVAETransformer(dim, **SETTINGS),
        **{
            signature: MixedCurvatureVAETransformer(signature, **SETTINGS)
            for signature in (*SPHERES[dim], MIXED[dim])
        },
    }


def read(path: Path) -> list[dict]:
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def print_table(rows: list[dict]) -> None:
    """Means over seeds, one line a model and dimension."""
    groups: dict[tuple[int, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((int(row["d"]), row["model"]), []).append(row)
    columns = f"{'log-lik':>9} {'elbo':>9} {'recon.':>9} {'kl':>7}  seeds epochs"
    print(f"{'d':>3} {'model':<13} {columns}")
    for (dim, model), group in sorted(groups.items()):
        names = ("log_likelihood", "elbo", "reconstruction", "kl")
        mean = {name: sum(float(r[name]) for r in group) / len(group) for name in names}
        print(
            f"{dim:>3} {model:<13} {mean['log_likelihood']:>9.2f} {mean['elbo']:>9.2f} "
            f"{mean['reconstruction']:>9.2f} {mean['kl']:>7.2f}  {len(group):>5} "
            f"{group[0]['epochs']:>6}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=None, help="folder with the IDX files")
    parser.add_argument("--csv", type=Path, default=Path("mnist_products.csv"))
    parser.add_argument("--dims", type=int, nargs="+", default=[40, 20, 10, 5, 2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--importance-samples", type=int, default=64)
    parser.add_argument("--table", action="store_true", help="print the file and stop")
    options = parser.parse_args()
    if options.table:
        print_table(read(options.csv))
        return
    torch.set_num_threads(1)
    train = fetch_mnist(data_home=options.folder, subset="train").data
    test = fetch_mnist(data_home=options.folder, subset="test").data
    done = {(r["d"], r["model"], r["seed"], r["epochs"]) for r in read(options.csv)}
    for seed in options.seeds:
        for dim in options.dims:
            for name, vae in models(dim).items():
                if (str(dim), name, str(seed), str(options.epochs)) in done:
                    continue
                start = time.perf_counter()
                vae.set_params(max_epochs=options.epochs, random_state=seed).fit(train)
                seconds = time.perf_counter() - start
                result = vae.evaluate(test, options.importance_samples)
                row = {"d": dim, "model": name, "seed": seed, "epochs": options.epochs}
                row.update({k: f"{result[k]:.3f}" for k in FIELDS[4:8]}, s=f"{seconds:.0f}")
                fresh = not options.csv.exists()
                with options.csv.open("a", newline="") as file:
                    writer = csv.DictWriter(file, FIELDS)
                    if fresh:
                        writer.writeheader()
                    writer.writerow(row)
                print(row, flush=True)


if __name__ == "__main__":
    main()
