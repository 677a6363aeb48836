"""Draw the figures: ``python -m figures [--data FOLDER] [--only STEM ...]``.

Run it in docs/. The figures of the tutorials, the guide and the examples on larger data go to
docs/_static/figures. The notebook goes to docs/notebooks, together with its outputs.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

import figures
from figures import gallery, notebook
from figures._style import save

TARGET = Path(__file__).resolve().parents[1] / "_static" / "figures"


def all_figures() -> dict[str, Callable[..., Figure]]:
    """Drawing functions of every module of the package, by the stem of their file."""
    found: dict[str, Callable[..., Figure]] = {}
    for module in pkgutil.iter_modules(figures.__path__):
        if not module.name.startswith("_"):
            loaded = importlib.import_module(f"figures.{module.name}")
            found |= getattr(loaded, "FIGURES", {})
    return found


def mnist(folder: str | None) -> dict[str, Any]:
    """Arguments of the figures that need MNIST: images (60000, 28, 28) in [0, 1], and labels."""
    from skccvae.datasets import fetch_mnist

    data = fetch_mnist(data_home=folder, subset="train")
    return {"images": data.images.astype(np.float32) / 255, "labels": data.target}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m figures", description=__doc__)
    parser.add_argument(
        "--data", help="folder of MNIST and QM9 (default: where their fetchers find them)"
    )
    parser.add_argument("--only", nargs="+", metavar="STEM", help="these only")
    options = parser.parse_args()
    torch.set_num_threads(1)  # one thread, so that sums have the same order on every machine
    chosen = all_figures()
    asked = set(options.only or {*chosen, notebook.STEM})
    unknown = sorted(asked - {*chosen, notebook.STEM})
    if unknown:
        there_are = ", ".join(sorted({*chosen, notebook.STEM}))
        parser.error(f"no figure {', '.join(unknown)}; there are {there_are}")
    chosen = {stem: draw for stem, draw in chosen.items() if stem in asked}
    data: dict[str, Any] = {}
    for stem, draw in chosen.items():
        start = time.perf_counter()
        arguments = {}
        if "images" in inspect.signature(draw).parameters:
            data = data or mnist(options.data)
            arguments = data
        if "data_folder" in inspect.signature(draw).parameters:
            arguments = {"data_folder": options.data}
        n_bytes = save(draw(**arguments), TARGET / f"{stem}.png")
        print(f"{stem}.png  {n_bytes // 1000} kB  {time.perf_counter() - start:.0f} s", flush=True)
    for script, stems in gallery.STEMS.items():
        if set(stems) & set(chosen):
            for name, text in gallery.texts(script, options.data).items():
                (TARGET / name).write_text(text, encoding="utf-8")
    if notebook.STEM in asked:
        print(f"{notebook.TARGET.name}  {notebook.run(options.data) // 1000} kB")


if __name__ == "__main__":
    main()
