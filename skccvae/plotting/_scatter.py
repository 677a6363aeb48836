"""Draw points and posterior regions in the colours of their classes or numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skccvae.plotting import _maps as maps
from skccvae.plotting._style import merge_style
from skccvae.plotting._theme import (
    COLOURS,
    class_style,
    colour_map,
    readable,
    shade,
    unlabelled_style,
)

Places = NDArray[np.float64]

# Arguments of scatter that may have an entry for each point.
_PER_POINT = {"s", "c", "color", "alpha", "linewidth", "edgecolor", "facecolor"}


def scatter(
    ax: Any,
    places: Places,
    names: Any,
    values: Any,
    kwargs: dict[str, Any],
    outside: NDArray[np.bool_],
) -> Any:
    """Draw all points of a panel, with hollow markers for points outside the map.

    Parameters
    ----------
    ax : Axes
        The axes to draw on.
    places : ndarray of shape (n, 2) or (n, 3)
        Positions on the axes.
    names, values : ndarray or None
        What `colour_values` returns, or None for points without labels.
    kwargs : dict
        The user's arguments for ``scatter``.
    outside : ndarray of shape (n,), bool
        Points outside the map, with places at its edge.

    Returns
    -------
    matplotlib collection
        The collection that holds the colours of numbers.
    """
    from matplotlib.collections import PathCollection
    from matplotlib.colors import LogNorm, Normalize

    # Hundreds of points or tens of thousands should both remain distinguishable.
    size = float(np.clip(18000 / len(places), 4, 24))
    style: dict[str, Any] = {"s": size, "alpha": 0.75, "linewidth": 0, "zorder": 2}
    own = {"c", "color"} & set(merge_style({}, kwargs, PathCollection))
    if values is not None and names is None and not own:
        # One scale of colours for all panels, whichever points these show.
        style |= {"cmap": colour_map(), "vmin": np.nanmin(values), "vmax": np.nanmax(values)}
        norm = kwargs.get("norm")
        if isinstance(norm, LogNorm) or (isinstance(norm, str) and norm == "log"):
            # Zero and negative numbers have no logarithm. They are grey, like missing numbers.
            if not (values > 0).any():
                raise ValueError("norm is logarithmic, but no number is above 0.")
            values = np.where(values > 0, values, np.nan)
            style |= {"vmin": np.nanmin(values), "vmax": np.nanmax(values)}
        if isinstance(norm, Normalize):
            norm.autoscale_None(values[~np.isnan(values)])
    style = merge_style(style, kwargs, PathCollection)
    # In random order, so that the last class does not cover the others.
    order = np.random.default_rng(0).permutation(len(places))
    if places.shape[1] == 2:
        if outside.any():
            mark = {"s": 40.0, "linewidth": 1.2, "alpha": 1.0, "zorder": 3, "clip_on": False}
            rim = _scatter_rows(ax, places, order[outside[order]], names, values, style | mark)
            for collection in rim:
                _make_hollow(collection)
        return _scatter_rows(ax, places, order[~outside[order]], names, values, style)[-1]
    # Points on the far side of the globe are faint.
    near = places[order] @ maps.direction(ax.elev, ax.azim) > 0
    faint = np.multiply(0.15, 1.0 if style["alpha"] is None else style["alpha"])
    far = style | {"alpha": faint, "zorder": 1, "depthshade": False}
    _scatter_rows(ax, places, order[~near], names, values, far)
    near_style = {"depthshade": False} | style
    return _scatter_rows(ax, places, order[near], names, values, near_style)[-1]


def draw_regions(
    ax: Any, outlines: Places, names: Any, values: Any, rows: NDArray[np.int64]
) -> None:
    """Draw the outlines of regions (n, n_steps, 2 or 3) in the colours of their points.

    Parameters
    ----------
    ax : Axes
        The axes to draw on.
    outlines : ndarray of shape (n, n_steps, 2) or (n, n_steps, 3)
        Positions on the axes.
    names, values : ndarray or None
        Classes or numbers of all points.
    rows : ndarray of shape (n,)
        Row numbers of the points that the outlines belong to.
    """
    from matplotlib.colors import Normalize, to_hex

    colours = np.full(len(outlines), readable(COLOURS[0]), dtype=object)
    if values is not None:
        colours[:] = to_hex(shade(0.6))
        own = values[rows]
        known = np.flatnonzero(~np.isnan(own))
        if names is not None:
            colours[known] = [class_style(int(i))["color"] for i in own[known]]
        elif len(known):
            scale = Normalize(np.nanmin(values), np.nanmax(values))
            colours[known] = [to_hex(colour) for colour in colour_map()(scale(own[known]))]
    for colour in sorted(set(colours)):
        lines = _with_gaps(outlines[colours == colour])
        style: dict[str, Any] = {"color": colour, "linewidth": 0.9, "solid_capstyle": "round"}
        if lines.shape[1] == 2:
            ax.plot(*lines.T, alpha=0.7, zorder=1.8, **style)
            continue
        near = (lines @ maps.direction(ax.elev, ax.azim) > 0)[:, None]
        ax.plot(*np.where(near, lines, np.nan).T, alpha=0.7, zorder=1.8, **style)
        ax.plot(*np.where(near, np.nan, lines).T, alpha=0.12, zorder=0.8, **style)


def _with_gaps(outlines: Places) -> Places:
    """The outlines one after another, with a gap after each and wherever one leaves the map."""
    steps = np.linalg.norm(np.diff(outlines, axis=1), axis=2)
    # The edge of Hammer's map cuts outlines: one step leads across the whole map.
    cut = np.zeros(outlines.shape[:2], dtype=bool)
    cut[:, 1:] = steps > np.maximum(0.5, 20 * np.median(steps, axis=1, keepdims=True))
    lines = []
    for outline, cuts in zip(outlines, cut, strict=True):
        line = np.insert(outline, np.flatnonzero(cuts), np.nan, axis=0)
        lines += [line, np.full((1, outline.shape[1]), np.nan)]
    return np.concatenate(lines)


def _make_hollow(collection: Any) -> None:
    """Show a point by its edge only, in its own colour."""
    collection.update_scalarmappable()
    collection.set_edgecolor(collection.get_facecolor())
    collection.set_array(None)
    collection.set_facecolor("none")


def _scatter_rows(
    ax: Any, places: Places, rows: Any, names: Any, values: Any, style: dict[str, Any]
) -> list[Any]:
    """Draw some of the points: first those without a label, then the others in their colours."""
    if values is None:
        return [_draw(ax, places, rows, {"color": readable(COLOURS[0])}, style)]
    drawn = []
    missing = np.isnan(values[rows])
    if missing.any():
        grey = {name: style[name] for name in style if name not in ("cmap", "norm", "vmin", "vmax")}
        drawn.append(_draw(ax, places, rows[missing], unlabelled_style(), grey))
        rows = rows[~missing]
    if names is None:
        return [*drawn, _draw(ax, places, rows, {"c": values[rows]}, style)]
    looks = [class_style(i) for i in range(len(names))]
    marks = np.array([looks[int(i)]["marker"] for i in values[rows]])
    for marker in np.unique(marks).tolist():
        own = rows[marks == marker]
        colours = [looks[int(i)]["color"] for i in values[own]]
        drawn.append(_draw(ax, places, own, {"color": colours, "marker": marker}, style))
    return drawn or [None]


def _draw(ax: Any, places: Places, rows: Any, look: dict[str, Any], style: dict[str, Any]) -> Any:
    """Scatter some rows. Arguments with one entry for each place are indexed by the rows."""
    from matplotlib.colors import is_color_like

    if {"c", "color"} & set(style):
        look = {name: look[name] for name in look if name not in ("c", "color")}
    for name in _PER_POINT & set(style):
        value = style[name]
        if np.ndim(value) and len(value) == len(places):
            if not ("color" in name and is_color_like(value)):
                each = list(value)
                style = style | {name: [each[row] for row in rows]}
    return ax.scatter(*places[rows].T, **look | style)
