"""The notebook for chemists as the site shows it: run on QM9, with the outputs of its cells.

`examples/qm9_for_chemists.ipynb` is kept without outputs. It runs here, once, and the copy with its
outputs is kept in docs/notebooks. A test compares the cells of the two.
"""

from __future__ import annotations

import base64
import datetime
import io
import os
from pathlib import Path

from PIL import Image

__all__ = ["SOURCE", "STEM", "TARGET", "note", "run", "smaller"]

STEM = "qm9_for_chemists"
SOURCE = Path(__file__).resolve().parents[2] / "examples" / f"{STEM}.ipynb"
TARGET = Path(__file__).resolve().parents[1] / "notebooks" / f"{STEM}.ipynb"


def note() -> str:
    """Markdown cell that says when and how the copy was made, and where the notebook is."""
    today = f"{datetime.date.today():%d %B %Y}".lstrip("0")
    return (
        f"This page was made from {{download}}`{SOURCE.name} <../../examples/{SOURCE.name}>` and "
        f'QM9 on {today} by `make figures ARGS="--data FOLDER --only {STEM}"`.'
    )


def smaller(png: str) -> str:
    """Image of a cell, in base64, with at most 256 colours, like all images of the site."""
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    packed = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(packed, format="png", optimize=True)
    return base64.b64encode(packed.getvalue()).decode("ascii")


def run(data_folder: str | None = None) -> int:
    """Run the notebook in a kernel, write the copy, and return its size in bytes.

    Raises
    ------
    ValueError
        If a cell raises a warning, or if QM9 is not available and the notebook uses its substitute.
    """
    # Only the notebook needs these packages. The tests of the figures run without them.
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(SOURCE, as_version=4)
    if data_folder is not None:
        os.environ["SKCCVAE_DATA"] = str(Path(data_folder).resolve())
    NotebookClient(notebook, timeout=None, record_timing=False).execute()
    for output in (o for cell in notebook.cells for o in cell.get("outputs", ())):
        if output.output_type != "stream":
            if "image/png" in output.data:
                output.data["image/png"] = smaller(output.data["image/png"])
        elif output.name == "stderr":
            raise ValueError(
                f"a cell of {SOURCE.name} warns, and its page would show this: {output.text}"
            )
        elif "QM9 is not at hand" in output.text:
            raise ValueError(
                f"{SOURCE.name} did not find QM9, but its page needs it. Pass the folder of "
                "qm9.csv: --data FOLDER."
            )
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(note(), id="made"))
    TARGET.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, TARGET)
    return TARGET.stat().st_size
