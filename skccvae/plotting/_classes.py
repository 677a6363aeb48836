"""Names of classes: on the map, or in a legend beside it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skccvae.manifolds import ConstantCurvature
from skccvae.plotting._theme import class_style, shade, text_outline, unlabelled_style

Places = NDArray[np.float64]

# Names are on the map if they have at most this many characters, and there are at most this many.
_SHORT, _FEW = 3, 40
# Number of rows of a class from which the position of its name is computed.
_CENTRE_ROWS = 400
_FONT = 13
# A name may move by these multiples of its height. Each height costs as much as hiding this share
# of the points of its class.
_STEPS, _COST = (1.1, 1.8, 2.5), 0.04
# Most entries in a column of a legend and in all of it, and most characters of a name.
_PER_COLUMN, _MOST_ENTRIES, _LONGEST = 20, 80, 40
# Inches to the right of a legend. Its width depends a little on the resolution.
_MARGIN = 0.2


def where_to_name(class_labels: str, names: Any) -> str:
    """Turn "auto" into "map" if names are few and short, and into "legend" otherwise."""
    if class_labels != "auto":
        return class_labels
    if names is None or len(names) > _FEW:
        return "legend"
    return "map" if all(len(str(name)) <= _SHORT for name in names) else "legend"


def name_classes(
    ax: Any, space: ConstantCurvature, points: Any, places: Places, names: Any, values: Any
) -> None:
    """Write the name of each class where the class is densest in geodesic distance.

    A name is moved a little if it would hide points, another name or the label of a ring.
    """
    size = _FONT if len(names) <= 20 else 10
    pixels = ax.figure.dpi / 72
    ax.apply_aspect()  # final positions of the points in pixels
    shown = ax.transData.transform(places) / pixels  # in points of 1/72 inch
    labels = [text.get_position() for text in ax.texts if text.get_transform() == ax.transData]
    taken: list[Places] = [ax.transData.transform(place) / pixels for place in labels]
    for index, name in enumerate(names):
        own = np.flatnonzero(values == index)
        if len(own) > _CENTRE_ROWS:
            own = own[np.linspace(0, len(own) - 1, _CENTRE_ROWS).astype(int)]
        ranked = np.sort(space.pairwise(torch.from_numpy(points[own])).numpy(), axis=1)
        centre = own[ranked[:, len(own) // 3].argmin()]
        half = np.array([0.34 * size * len(str(name)) + 1, 0.45 * size + 1])
        offset = _free_offset(
            shown - shown[centre], half, len(own), [t - shown[centre] for t in taken]
        )
        taken.append(shown[centre] + offset)
        ax.annotate(
            str(name),
            places[centre],
            offset,
            textcoords="offset points",
            color=class_style(index)["color"],
            fontsize=size,
            fontweight="bold",
            ha="center",
            va="center",
            path_effects=text_outline(3.0),
            zorder=3,
        )


def _free_offset(shown: Places, half: Places, n_own: int, taken: Any) -> Places:
    """Offset of a name, in points, at which it hides few points and no other name."""
    angles = np.arange(12) * (math.pi / 6)
    ring = np.column_stack([np.cos(angles), np.sin(angles)])
    offsets = np.concatenate([np.zeros((1, 2)), *(2 * step * half[1] * ring for step in _STEPS)])
    offsets[1:, 0] *= half[0] / half[1] if half[0] > half[1] else 1.0
    near = shown[(np.abs(shown) < 4 * _STEPS[-1] * half.max()).all(axis=1)]
    hidden = (np.abs(near[None] - offsets[:, None]) < half).all(axis=2).sum(axis=1)
    cost = hidden / max(n_own, 1) + _COST * np.linalg.norm(offsets / (2 * half), axis=1)
    for other in taken:
        cost += 10.0 * (np.abs(offsets - other) < 2 * half).all(axis=1)
    return np.asarray(offsets[int(np.argmin(cost))])


def draw_legend(ax: Any, names: Any, values: Any, *, widen: bool) -> None:
    """Draw a legend of the classes to the right of the axes.

    Parameters
    ----------
    ax : Axes
        The axes.
    names, values : ndarray
        What `colour_values` returns. If there are very many classes, the legend has the largest.
    widen : bool
        Whether the figure becomes wider by the width of the legend, so that the map keeps its size.
    """
    from matplotlib.lines import Line2D

    known = values[~np.isnan(values)].astype(int)
    chosen = np.arange(len(names))
    if len(names) > _MOST_ENTRIES:
        sizes = np.bincount(known, minlength=len(names))
        chosen = np.sort(np.argsort(-sizes, kind="stable")[:_MOST_ENTRIES])
    looks = [(_shortened(str(names[i])), class_style(int(i))) for i in chosen]
    if len(known) < len(values):
        looks.append(("no label", unlabelled_style()))
    if len(chosen) < len(names):
        looks.append((f"and {len(names) - len(chosen)} more", {"marker": ""}))
    handles = [
        Line2D([], [], linestyle="", markersize=6, label=name, **look) for name, look in looks
    ]
    legend = ax.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        borderaxespad=0.2,
        frameon=False,
        fontsize=11 if len(looks) <= 12 else 8.5,
        ncols=math.ceil(len(looks) / _PER_COLUMN),
        handletextpad=0.2,
        columnspacing=1.0,
        labelspacing=0.35,
    )
    if widen:
        figure = ax.figure
        maps = figure.get_figwidth()
        whole = maps + legend.get_tightbbox().width / figure.dpi + _MARGIN
        figure.set_figwidth(whole)
        legend.set_in_layout(False)  # the layout leaves room for it
        figure.get_layout_engine().set(rect=(0, 0, maps / whole, 1))


def note_outside(ax: Any, n_outside: int) -> None:
    """State at the bottom of a map how many points lie outside it."""
    ax.annotate(
        f"{n_outside} outlying point{'s' if n_outside > 1 else ''} at the edge (hollow)",
        (0.5, 0),
        (0, 3),
        xycoords="axes fraction",
        textcoords="offset points",
        color=shade(0.3),
        fontsize=9,
        ha="center",
        va="bottom",
        path_effects=text_outline(3.0),
        zorder=4,
    )


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"
