"""The points of one space on its map, with their regions and the names of their classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skccvae.manifolds import ConstantCurvature
from skccvae.plotting import _maps as maps
from skccvae.plotting import _regions as posterior
from skccvae.plotting._classes import name_classes, note_outside
from skccvae.plotting._panels import at_the_edge, draw_map
from skccvae.plotting._scatter import draw_regions, scatter

Array = NDArray[np.float64]


class Regions(NamedTuple):
    """Regions around some points of a space.

    Attributes
    ----------
    rows : ndarray of shape (n_regions,)
        Row numbers of the points.
    outlines : ndarray of shape (n_regions, n_steps, ambient_dim)
        Ambient points of the outlines.
    """

    rows: NDArray[np.int64]
    outlines: Array


def regions_of(
    factor: ConstantCurvature,
    rows: NDArray[np.int64],
    points: Array,
    draws: Array,
    dims: tuple[int, int] | None,
    share: float,
    n: int | str,
) -> Regions:
    """Regions of one factor, in the directions shown.

    Parameters
    ----------
    factor : ConstantCurvature
        The factor.
    rows : ndarray of shape (n_regions,)
        Row numbers of the points.
    points : ndarray of shape (n_regions, ambient_dim)
        The points.
    draws : ndarray of shape (n_draws, n_regions, ambient_dim)
        Draws from their posteriors.
    dims, share, n
        See `LatentDisplay.plot`.
    """
    space, at = maps.two_dimensional(factor, points, dims)
    z = maps.two_dimensional(factor, draws.reshape(-1, draws.shape[-1]), dims)[1]
    lines = posterior.region_outlines(space, at, z.reshape(len(draws), *at.shape), share)
    kept = posterior.thinned(space, at, lines) if n == "auto" else np.arange(len(lines))
    return Regions(rows[kept], lines[kept])


def draw_panel(
    ax: Any,
    space: ConstantCurvature,
    points: Array,
    kind: str,
    labels: tuple[Any, Any],
    *,
    regions: Regions | None,
    name_on_map: bool,
    view: tuple[float, float] | None,
    clip: bool,
    style: dict[str, Any],
) -> tuple[Array, Array | None, Any]:
    """Draw one panel of a `LatentDisplay`.

    Parameters
    ----------
    ax : Axes
        The axes to draw on.
    space : ConstantCurvature
        Space of one or two dimensions.
    points : ndarray of shape (n, ambient_dim)
        Points of the space.
    kind : str
        Name of the map.
    labels : tuple
        What `colour_values` returns, or (None, None).
    regions : Regions or None
        Regions to draw.
    name_on_map : bool
        Whether to write the names of classes on the map.
    view, clip
        See `draw_map`.
    style : dict
        The user's arguments for ``scatter``.

    Returns
    -------
    places : ndarray of shape (n, 2) or (n, 3)
        Positions of all points on the axes, including those drawn at the edge.
    lines : ndarray of shape (n_regions, n_steps, 2) or (n_regions, n_steps, 3), or None
        Outlines of the regions on the axes.
    drawn : collection of matplotlib
        The points, with their colours.
    """
    around = lines = None
    if regions is not None:
        around = regions.outlines.reshape(-1, regions.outlines.shape[-1])
    shown = draw_map(ax, space, points, kind, view=view, clip=clip, around=around)
    places = shown.project(points, np.arange(len(points)))
    if regions is not None and around is not None:
        n_regions, n_steps = regions.outlines.shape[:2]
        rows = np.repeat(regions.rows, n_steps)
        lines = shown.project(around, rows).reshape(n_regions, n_steps, -1)
        draw_regions(ax, lines, *labels, regions.rows)
    outside, on_the_map = at_the_edge(places, shown, kind)
    drawn = scatter(ax, on_the_map, *labels, style, outside)
    if outside.any():
        note_outside(ax, int(outside.sum()))
    if name_on_map and labels[0] is not None and kind != "3d":
        name_classes(ax, space, points, on_the_map, *labels)
    if kind in ("plane", "hammer", "disk", "circle"):
        ax.set_anchor("N")  # aligns the titles of panels side by side
    return places, lines, drawn
