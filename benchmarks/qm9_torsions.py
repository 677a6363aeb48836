"""Three latent geometries on the torsion angles of QM9 molecules, under von Mises likelihoods.

One ETKDG conformer per molecule, one torsion for every bond with heavy neighbours on both ends,
padded with NaN; MLP 256-128, batch 128, Adam 1e-3, KL warm-up over five epochs. Bounds are for
the angles of held-out molecules, in nats per molecule. The baselines model each column separately:
uniform angles, one von Mises law, and a histogram of 72 bins, all fitted to the same training
molecules. The script writes one line per run to a CSV file and skips runs that are already there,
so it can be interrupted and resumed.

    python benchmarks/qm9_torsions.py --folder FOLDER_WITH_QM9 --csv results.csv
    python benchmarks/qm9_torsions.py --csv results.csv --table       # print what is there
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from _runs import Runs, from_random_start
from scipy import stats

from skccvae import GaussianVAETransformer, HyperbolicVAETransformer, SphericalVAETransformer
from skccvae.datasets import fetch_qm9
from skccvae.molecules import torsion_angles

MODELS = {
    "E": GaussianVAETransformer,
    "S": SphericalVAETransformer,
    "H": HyperbolicVAETransformer,
}
KEYS = ["d", "model", "seed", "epochs", "train", "test"]
BOUNDS = ["elbo", "reconstruction", "kl", "log_likelihood"]
N_BINS = 72


def angles(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Torsions of training and test molecules, those with at least one."""
    sizes = (options.train, options.test)
    if options.angles is not None and options.angles.exists():
        with np.load(options.angles) as file:
            if tuple(file["sizes"]) == sizes:
                return file["train"], file["test"]
    subsets = [
        fetch_qm9(data_home=options.folder, subset=name).data[:size]
        for name, size in zip(("train", "test"), sizes, strict=True)
    ]
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # molecules that cannot be embedded
        X = torsion_angles(np.concatenate(subsets), random_state=0)
    print(f"torsions of {len(X)} molecules in {time.perf_counter() - start:.0f} s, {X.shape[1]} at")
    known = ~np.isnan(X).all(axis=1)
    print(f"most, {(~np.isnan(X)).sum() / known.sum():.2f} on average; {(~known).sum()} have none")
    train, test = (part[~np.isnan(part).all(axis=1)] for part in np.split(X, [len(subsets[0])]))
    if options.angles is not None:
        np.savez(options.angles, train=train, test=test, sizes=sizes)
    return train, test


def independent(train: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """Mean log-likelihood of a test molecule under models of single columns."""
    totals = dict.fromkeys(("uniform", "von Mises", "histogram"), 0.0)
    edges = np.linspace(-np.pi, np.pi, N_BINS + 1)
    for known, new in zip(train.T, test.T, strict=True):
        known, new = known[~np.isnan(known)], new[~np.isnan(new)]
        totals["uniform"] -= new.size * np.log(2 * np.pi)
        if known.size > 1:
            kappa, loc, _ = stats.vonmises.fit(known, fscale=1)
            totals["von Mises"] += stats.vonmises(kappa, loc).logpdf(new).sum()
        else:
            totals["von Mises"] -= new.size * np.log(2 * np.pi)
        counts = np.histogram(known, edges)[0] + 0.5
        density = counts / counts.sum() * N_BINS / (2 * np.pi)
        place = np.clip(np.digitize(new, edges) - 1, 0, N_BINS - 1)
        totals["histogram"] += np.log(density[place]).sum()
    return {name: total / len(test) for name, total in totals.items()}


def print_table(runs: Runs) -> None:
    """Means over seeds, one line per model and dimension; baselines have no dimension."""
    columns = f"{'log-lik':>9} {'elbo':>9} {'recon.':>9} {'kl':>7}  seeds epochs  train"
    print(f"{'d':>3} {'model':<11} {columns}")
    means = runs.means().items()
    for (dim, model, epochs, train, _), mean in sorted(means, key=lambda item: int(item[0][0])):
        found = [
            f"{mean[name]:9.2f}" if name in mean else f"{'':9}"
            for name in ("log_likelihood", "elbo", "reconstruction", "kl")
        ]
        found[-1] = found[-1][2:]
        print(f"{dim:>3} {model:<11} {' '.join(found)}  {mean['runs']:>5} {epochs:>6} {train:>6}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=None, help="folder with QM9")
    parser.add_argument("--csv", type=Path, default=Path("qm9_torsions.csv"))
    parser.add_argument("--angles", type=Path, default=None, help="file that keeps the torsions")
    parser.add_argument("--train", type=int, default=6000, help="training molecules")
    parser.add_argument("--test", type=int, default=1000, help="test molecules")
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 3, 5, 10])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--importance-samples", type=int, default=128)
    parser.add_argument("--table", action="store_true", help="print the file and stop")
    options = parser.parse_args()
    runs = Runs(options.csv, KEYS, [*BOUNDS, "s"])
    if options.table:
        print_table(runs)
        return
    torch.set_num_threads(1)
    train, test = angles(options)
    sizes = {"train": options.train, "test": options.test}
    for name, value in independent(train, test).items():
        run = {"d": 0, "model": name, "seed": 0, "epochs": 0, **sizes}
        if not runs.has(**run):
            runs.add(**run, log_likelihood=value)
    for seed in options.seeds:
        for dim in options.dims:
            for name, kind in MODELS.items():
                run = {"d": dim, "model": name, "seed": seed, "epochs": options.epochs, **sizes}
                if runs.has(**run):
                    continue
                vae = kind(dim, likelihood="von_mises", kl_warmup_epochs=5, random_state=seed)
                start = time.perf_counter()
                from_random_start(vae, "von_mises").set_params(max_epochs=options.epochs).fit(train)
                seconds = time.perf_counter() - start
                found = vae.evaluate(test, options.importance_samples)
                runs.add(**run, **{k: found[k] for k in BOUNDS}, s=round(seconds))
    print_table(runs)


if __name__ == "__main__":
    main()
