"""Figures of the examples whose data do not come with a library: MNIST, faces, molecules.

Such an example is not run while the site is built. It runs here, once. Its figures, its printed
output and a sentence that says when and how it was run are kept, and its page shows them. The
figures of a script are those whose label begins with the name of the script.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import io
import os
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

__all__ = ["FIGURES", "STEMS", "run", "texts"]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
#: Figures, by the script that draws them.
STEMS = {
    "mnist": ("mnist_maps", "mnist_grids", "mnist_samples"),
    "qm9": ("qm9_maps", "qm9_neighbours"),
    "faces": ("faces_maps", "faces_reconstructions"),
}


@functools.cache
def run(script: str, data: str | None) -> tuple[dict[str, Figure], str]:
    """Figures of an example by label, and its printed text. `data` is the folder of its data."""
    if data is not None:
        os.environ["SKCCVAE_DATA"] = data
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(EXAMPLES / f"{script}.py"))
    drawn = {plt.figure(number).get_label(): plt.figure(number) for number in plt.get_fignums()}
    plt.close("all")
    return {str(stem): drawn[stem] for stem in STEMS[script]}, printed.getvalue()


def texts(script: str, data: str | None) -> dict[str, str]:
    """Files beside the figures of a script: its printed output, and how it was run."""
    today = f"{datetime.date.today():%d %B %Y}".lstrip("0")
    command = f'make figures ARGS="--data FOLDER --only {" ".join(STEMS[script])}"'
    made = (
        "Its figures and numbers are not made when this page is built, because the data may not be "
        f"available there. They were made on {today} by ``{command}``.\n"
    )
    return {f"{script}_printed.txt": run(script, data)[1], f"{script}_made.txt": made}


def _draw(script: str, stem: str, data_folder: str | None = None) -> Figure:
    return run(script, data_folder)[0][stem]


FIGURES = {
    stem: functools.partial(_draw, script, stem)
    for script, stems in STEMS.items()
    for stem in stems
}
