"""Sizes, colours and the saving function that all figures share."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # before pyplot, so that figures can be written on machines without a screen

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from skccvae.plotting._theme import COLOUR_MAP, COLOURS

__all__ = [
    "BLUE",
    "CLASSES",
    "COLOUR_MAP",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "legend",
    "new",
    "save",
]

#: Okabe and Ito's colours, which colour-blind readers can tell apart. In a figure of several
#: geometries, the plane is blue, the sphere orange and hyperbolic space green.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#666666"
#: One colour for each of ten classes, as in `skccvae.plotting`.
CLASSES = COLOURS

WIDTH = 9.0  # inches; at this DPI, as wide as the text of a page
DPI = 110
LARGEST = 250_000  # bytes per image

_RC = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.8,
    "figure.constrained_layout.use": True,
}


def new(n_rows: int = 1, n_columns: int = 1, *, height: float = 3.4, **kwargs: Any) -> Any:
    """Figure as wide as the page, and its array of axes, always of shape (n_rows, n_columns).

    `height` is in inches, and other arguments are passed to ``plt.subplots``. The figure is not
    registered in pyplot, so it need not be closed.
    """
    with plt.rc_context(_RC):
        figure, axes = plt.subplots(
            n_rows, n_columns, figsize=(WIDTH, height), squeeze=False, **kwargs
        )
    plt.close(figure)
    return figure, axes


def legend(ax: Any, *args: Any, **kwargs: Any) -> Any:
    """Legend of an axes, without a frame and in small print."""
    return ax.legend(*args, **{"frameon": False, "fontsize": 9} | kwargs)


def save(figure: Figure, path: Path) -> int:
    """Write a PNG of at most 256 colours and return its size in bytes.

    Raises
    ------
    ValueError
        If the file would be larger than `LARGEST`, which is too much for a page.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    image = Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    image.save(packed, format="png", optimize=True)
    n_bytes = len(packed.getvalue())
    if n_bytes > LARGEST:
        raise ValueError(
            f"{path.name} would have {n_bytes} bytes, but an image in the documentation may have "
            f"at most {LARGEST}. Draw fewer points, or a smaller figure."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed.getvalue())
    return n_bytes
