"""Cost of a training epoch of every geometry and posterior against another checkout or setting.

Processes train the same models in turn, five epochs at a time, in one interleaved run, so that
drift of the machine's speed affects both versions alike. Two processes of the same version differ
by up to 4 per cent, so there are several pairs. The figure is the ratio of the mean over pairs of
the median over rounds. It is below 1 if this checkout is faster. Layers 256-128, one thread, and
unless options say otherwise, 784 inputs and batches of 128 rows.

    python benchmarks/epoch_against.py --checkout ../other      # another version of the package
    python benchmarks/epoch_against.py --without all            # this one, without accelerators
    python benchmarks/epoch_against.py --without hyperplanes    # ... or without one of them
    python benchmarks/epoch_against.py --without limited        # no step begins at network outputs
    python benchmarks/epoch_against.py --without recordings     # no step repeats a recording
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from pathlib import Path

import _workers
import numpy as np
import torch
from _epochs import EPOCHS, epoch_seconds


def models(dim: int, batch: int = 128) -> dict:
    """An estimator for each geometry and posterior that this version of the package has."""
    import skccvae

    sphere, hyperbolic = skccvae.SphericalVAETransformer, skccvae.HyperbolicVAETransformer
    constant = skccvae.ConstantCurvatureVAETransformer
    # At K = -1 a Riemannian normal of scale 1 in 40 dimensions leaves the range of float32.
    K = -1.0 if dim <= 10 else -0.25
    found = {
        "gaussian": skccvae.GaussianVAETransformer(dim),
        "vMF": sphere(dim),
        "power spherical": sphere(dim, posterior="power_spherical"),
        "wrapped, K>0": sphere(dim, posterior="wrapped_normal"),
        "Riemannian, K>0": sphere(dim, posterior="riemannian_normal"),
        "wrapped, K<0": hyperbolic(dim),
        "Riemannian, K<0": hyperbolic(dim, curvature=K, posterior="riemannian_normal"),
        "constant, K=0": constant(dim),
        "constant, K<0": constant(dim, curvature=K),
        "constant, learned": constant(dim, learn_curvature=True),
        "wrapped, learned": constant(dim, learn_curvature=True, posterior="wrapped_normal"),
    }
    if "projected_normal" in getattr(skccvae.nn, "UNIFORM_LATENTS", ()):
        found["projected normal"] = sphere(dim, posterior="projected_normal")
    if dim % 2 == 0:
        found[f"2s{dim // 2}"] = skccvae.MixedCurvatureVAETransformer(f"2s{dim // 2}")
    # Parameters whose defaults differ between versions, so that both do the same work.
    settings = {"likelihood": "bernoulli", "init": "random", "prior_scale": 1.0}
    settings |= {"max_epochs": EPOCHS, "warm_start": True, "random_state": 0, "batch_size": batch}
    for model in found.values():
        known = model.get_params()
        model.set_params(**{name: settings[name] for name in settings if name in known})
    return found


@contextlib.contextmanager
def without(name: str | None):
    """Accelerators off: all of them, those of one kernel, or those that begin at outputs.

    Or all recordings off.
    """
    if name is None:
        yield
        return
    if name == "recordings":
        from skccvae.training import net

        found, net.repeatable = net.repeatable, lambda *parts: None
        yield
        net.repeatable = found
        return
    from skccvae import kernels
    from skccvae.kernels import registry

    if name == "all":
        with kernels.disabled():
            yield
        return
    ask = registry.accelerator
    known = {getattr(key, "__name__", key) for key in (*registry._TABLES, *registry._STEPS)}
    if name not in {"limited", *known}:
        raise SystemExit(f"there is no accelerator named {name!r}")

    def others(of, *args, outputs=False, **kwargs):
        off = outputs if name == "limited" else getattr(of, "__name__", of) == name
        return None if off else ask(of, *args, outputs=outputs, **kwargs)

    users = [m for m in list(sys.modules.values()) if getattr(m, "accelerator", None) is ask]
    for module in users:
        module.accelerator = others
    yield
    for module in users:
        module.accelerator = ask


def work(dim: int, shape: tuple[int, int], batch: int, off: str | None) -> None:
    """Train the model named on each line of standard input, and answer the seconds of an epoch."""
    torch.set_num_threads(1)
    X = np.random.default_rng(0).random(shape, dtype=np.float32)
    found = models(dim, batch)
    print(" | ".join(found), flush=True)
    with without(off):
        for line in sys.stdin:
            print(epoch_seconds(found[line.strip()].fit(X).net_), flush=True)


def start(
    path: Path, dim: int, options: argparse.Namespace, off: str | None = None
) -> subprocess.Popen:
    without = () if off is None else ("--without", off)
    sizes = ("--rows", options.rows, "--features", options.features, "--batch", options.batch)
    return _workers.start(__file__, path, "--dims", dim, *sizes, *without)


def ask(process: subprocess.Popen, name: str) -> float:
    return float(_workers.ask(process, name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkout", type=Path, help="folder of another version of the package")
    parser.add_argument("--without", help="all, one accelerator's name, or recordings")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=6400)
    parser.add_argument("--features", type=int, default=784)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 10, 40])
    parser.add_argument("--models", nargs="+", help="names of the models to run")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        shape = options.rows, options.features
        work(options.dims[0], shape, options.batch, options.without)
        return
    here = Path(__file__).resolve().parents[1]
    other = here if options.checkout is None else options.checkout.resolve()
    print(f"{options.rows} rows, {options.rounds} rounds, {options.pairs} pairs of processes:")
    print("this / other (its smallest and largest value in a pair), and each to its own Gaussian")
    for dim in options.dims:
        pairs = [
            (start(here, dim, options), start(other, dim, options, options.without))
            for _ in range(options.pairs)
        ]
        every = [
            [set(process.stdout.readline().strip().split(" | ")) for process in p] for p in pairs
        ]
        chosen = [n for n in models(dim) if all(n in found for names in every for found in names)]
        if options.models:
            chosen = [n for n in chosen if n in options.models or n == "gaussian"]
        # Seconds by model, pair, round and side.
        seconds = {name: np.empty((options.pairs, options.rounds, 2)) for name in chosen}
        for number in range(options.rounds + 1):
            for name in chosen:
                for which, pair in enumerate(pairs):
                    for side in (0, 1) if (number + which) % 2 else (1, 0):
                        took = ask(pair[side], name)
                        if number:  # the first builds models and tables
                            seconds[name][which, number - 1, side] = took
        print(f"d = {dim}")
        typical = {name: np.median(values, axis=1) for name, values in seconds.items()}
        base = typical["gaussian"].mean(0)
        for name, values in typical.items():
            this, that = values.mean(0)
            each = values[:, 0] / values[:, 1]
            own = values.mean(0) / base
            line = f"  {name:<18} {this / that:.3f}  ({each.min():.3f} .. {each.max():.3f})"
            print(f"{line}   {own[0]:.3f}  {own[1]:.3f}", flush=True)
        for process in (process for pair in pairs for process in pair):
            process.stdin.close()
            process.wait()


if __name__ == "__main__":
    main()
