"""Colours that follow matplotlib's settings, so that displays suit dark backgrounds too."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Tol's muted scheme with orange and grey, which suits all common colour vision deficiencies.
COLOURS = tuple(
    "#332288 #ee7733 #44aa99 #cc6677 #999933 #88ccee #882255 #117733 #aa4499 #666666".split()
)
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
#: Uniform in lightness, and readable with red-green colour blindness.
COLOUR_MAP = "cividis"
#: Least ratio of luminances of a colour and a dark background, as WCAG 2.1 defines it.
_LEAST_CONTRAST = 3.5


def background() -> np.ndarray:
    """Colour behind the plot, red, green and blue in [0, 1]."""
    import matplotlib as mpl
    from matplotlib.colors import to_rgba

    behind = np.array([1.0, 1.0, 1.0])
    for name in ("figure.facecolor", "axes.facecolor"):
        *colour, opacity = to_rgba(mpl.rcParams[name])
        behind = opacity * np.array(colour) + (1 - opacity) * behind
    return behind


def shade(level: float) -> tuple[float, float, float]:
    """Grey between the colour of text (0) and the background (1).

    With black text on white it is matplotlib's grey ``str(level)``.
    """
    import matplotlib as mpl
    from matplotlib.colors import to_rgb

    text = np.array(to_rgb(mpl.rcParams["text.color"]))
    red, green, blue = (text + level * (background() - text)).tolist()
    return red, green, blue


def is_dark() -> bool:
    """Whether the background is dark."""
    return _luminance(background()) < 0.2


def readable(colour: Any) -> str:
    """The colour, made lighter where it would be hard to see on a dark background."""
    from matplotlib.colors import to_hex, to_rgb

    found: Any = np.array(to_rgb(colour))
    behind = _luminance(background())
    while is_dark() and (_luminance(found) + 0.05) / (behind + 0.05) < _LEAST_CONTRAST:
        found = found + 0.1 * (1 - found)
    return str(to_hex(found))


def class_style(index: int) -> dict[str, Any]:
    """Colour and marker of a class; the marker changes after every ten classes."""
    n = len(COLOURS)
    return {
        "color": readable(COLOURS[index % n]),
        "marker": MARKERS[(index // n) % len(MARKERS)],
    }


def unlabelled_style() -> dict[str, Any]:
    """Colour and marker of points without a label."""
    return {"color": shade(0.75), "marker": "o"}


def grid_style() -> dict[str, Any]:
    """Style of the lines of a grid."""
    return {"color": shade(0.8), "linewidth": 0.8, "zorder": 0}


def colour_map() -> Any:
    """Colour map for numbers, without the darkest colours on a dark background."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    colours = mpl.colormaps[COLOUR_MAP]
    return ListedColormap(colours(np.linspace(0.3, 1, 256))) if is_dark() else colours


def text_outline(width: float = 3.5) -> list[Any]:
    """Outline in the colour of the background that keeps a label readable on top of points."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground=shade(1))]


def text_on(colour: Any) -> str:
    """Black or white, whichever is easier to read on a colour."""
    # The ratios of luminances to black and to white are equal at 0.18.
    return "black" if _luminance(np.array(colour[:3])) > 0.18 else "white"


def _luminance(colour: np.ndarray) -> float:
    """Relative luminance of sRGB, WCAG 2.1."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
