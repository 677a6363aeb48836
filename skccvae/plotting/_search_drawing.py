"""Curves and coloured tables of the scores of a search."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skccvae.plotting._style import merge_style
from skccvae.plotting._theme import class_style, colour_map, shade, text_on


def draw_curves(search: Any, kwargs: dict[str, Any], legend: bool) -> None:
    """Draw a curve for each dimension of a `CurvatureSearchDisplay`, with bars over the splits."""
    from matplotlib.lines import Line2D

    ax = search.ax_
    if search.curvatures.min() <= 0 <= search.curvatures.max():
        ax.axvline(0, color=shade(0.8), zorder=0)
    # The curves are shifted slightly, so that their error bars do not overlap.
    span = float(np.ptp(search.curvatures)) or 1.0
    n = search.n_components.size
    for j, d in enumerate(search.n_components):
        own = ~np.isnan(search.scores[:, j])
        shift = span * 0.006 * (j - (n - 1) / 2)
        bars = None if search.deviations is None else search.deviations[own, j]
        style = {"capsize": 3, "linewidth": 2, "elinewidth": 1, "label": f"d = {d}"}
        style = merge_style(class_style(j) | style, kwargs, Line2D)
        ax.errorbar(search.curvatures[own] + shift, search.scores[own, j], bars, **style)
    K, d = search.best_
    j = int(np.flatnonzero(search.n_components == d)[0])
    ax.plot(
        K + span * 0.006 * (j - (n - 1) / 2),
        np.nanmax(search.scores),
        marker="*",
        markersize=20,
        linestyle="",
        markerfacecolor=shade(1),
        markeredgecolor=class_style(j)["color"],
        markeredgewidth=2,
        zorder=5,
        label="best",
    )
    ax.set_xlabel("curvature K", fontsize=12)
    with_bars = search.deviations is not None and not np.isnan(search.deviations).all()
    bars_are = "\n(bars: one std over the splits)" if with_bars else ""
    ax.set_ylabel(search.score_name + bars_are, fontsize=12)
    ax.grid(color=shade(0.92), linewidth=0.8)
    ax.spines[["right", "top"]].set_visible(False)
    if legend:
        style = {"frameon": False, "fontsize": 11, "ncols": 1 + n // 14}
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), **style)


def draw_heatmap(search: Any, kwargs: dict[str, Any], colorbar: bool) -> None:
    """Draw the scores of a `CurvatureSearchDisplay` as a coloured table."""
    ax = search.ax_
    image = ax.imshow(search.scores.T, **{"cmap": colour_map(), "aspect": "auto"} | kwargs)
    decimals = decimals_that_differ(search.scores)
    for (i, j), score in np.ndenumerate(search.scores):
        if np.isnan(score):
            continue
        text = f"{score:.{decimals}f}"
        if search.deviations is not None and not np.isnan(search.deviations[i, j]):
            text += f"\n± {search.deviations[i, j]:.{decimals}f}"
        best = score == np.nanmax(search.scores)
        ax.text(
            i,
            j,
            text.replace("-", "\N{MINUS SIGN}"),
            ha="center",
            va="center",
            fontsize=11 if len(text) < 16 else 9,
            fontweight="bold" if best else "normal",
            color=text_on(image.cmap(image.norm(score))),
        )
    minus = "\N{MINUS SIGN}"
    names = [f"{K:.3g}".replace("-", minus) for K in search.curvatures]
    ax.set_xticks(range(len(names)), names, fontsize=11)
    ax.set_yticks(range(search.n_components.size), map(str, search.n_components), fontsize=11)
    ax.set_xlabel("curvature K", fontsize=12)
    ax.set_ylabel("dimension d", fontsize=12)
    if colorbar:
        search.figure_.colorbar(image, ax=ax, label=search.score_name)
    else:
        ax.set_title(search.score_name, fontsize=12)


def decimals_that_differ(scores: ArrayLike) -> int:
    """Number of decimals that show the range of scores to two digits, or three if scores differ.

    Examples
    --------
    >>> from skccvae.plotting._search_drawing import decimals_that_differ
    >>> decimals_that_differ([-90.512, -89.2])
    1
    >>> decimals_that_differ([-90.512, -90.486, -89.2])
    2
    """
    found = np.asarray(scores, dtype=float)
    found = np.unique(found[np.isfinite(found)])
    if len(found) < 2:
        return 2
    first = -math.floor(math.log10(float(np.ptp(found))))  # decimal of the first digit of the range
    two = max(0, first + 1)
    differ = len({f"{score:.{two}f}" for score in found}) == len(found)
    return two if differ else max(0, first + 2)
