"""One panel of a latent space: the map, its grid, and the positions of points on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skccvae.manifolds import ConstantCurvature
from skccvae.plotting import _maps as maps
from skccvae.plotting._theme import shade

Array = NDArray[np.float64]

# A map reaches this many times as far as 95 % of its points, unless all points are nearer.
_ROBUST_REACH = 2.0


class DrawnMap(NamedTuple):
    """A map on axes.

    Attributes
    ----------
    project : callable
        Maps ambient points (n, ambient_dim) and the rows that they belong to, (n,), to positions on
        the axes, (n, 2) or (n, 3). The rows matter only on a line or circle, where each row has its
        own place across the width.
    limit : float or None
        Distance from the centre beyond which positions are outside, or None if none can be.
    """

    project: Callable[[Array, NDArray[np.int64]], Array]
    limit: float | None


def natural_map(space: ConstantCurvature) -> str:
    """Name of the map that suits a space of one or two dimensions."""
    K = space.curvature
    if space.dim == 1:
        return "circle" if K > 0 else "line"
    return "plane" if K == 0 else "hammer" if K > 0 else "disk"


def map_of(space: ConstantCurvature, kind: str, in_product: bool) -> str:
    """Name of the map for a space; ValueError if the requested kind does not fit it."""
    natural = natural_map(space)
    if space.dim == 1 or kind in ("auto", natural):
        return natural
    sphere = natural == "hammer"
    if kind == "3d" and (sphere or in_product):
        return "3d" if sphere else natural
    fitting = "'hammer' or '3d'" if sphere else repr(natural)
    raise ValueError(f"kind={kind!r} does not fit {space!r}; use 'auto', {fitting}.")


def draw_map(
    ax: Any,
    space: ConstantCurvature,
    points: Array,
    kind: str,
    *,
    view: tuple[float, float] | None = None,
    clip: bool = False,
    around: Array | None = None,
) -> DrawnMap:
    """Draw the grid of a map that suits some points.

    Parameters
    ----------
    ax : Axes
        The axes to draw on.
    space : ConstantCurvature
        Space of one or two dimensions.
    points : ndarray of shape (n, ambient_dim)
        The points.
    kind : str
        Name of the map.
    view : tuple of two float, optional
        Elevation and azimuth in degrees from which a globe is seen.
    clip : bool
        Whether the map may leave outlying points outside.
    around : ndarray of shape (m, ambient_dim), optional
        Outlines around the points, for which the map should have room.
    """
    if kind in ("hammer", "3d"):
        directions = points / space.radius_
        if kind == "3d":
            maps.draw_globe(ax, maps.facing(directions) if view is None else maps.direction(*view))
            return DrawnMap(lambda p, rows: p / space.radius_, None)
        maps.draw_hammer_grid(ax)
        turn = maps.centring_rotation(directions).T / space.radius_
        return DrawnMap(lambda p, rows: maps.hammer(p @ turn), None)
    if kind == "circle":
        return _draw_circle(ax, space)

    def project(p: Array, rows: NDArray[np.int64]) -> Array:
        if kind == "line":
            along = space.log0(torch.from_numpy(p)).numpy()[:, 0]
            return np.column_stack([along, _across(rows)])
        return p if kind == "plane" else maps.disk_places(space, p)

    limit = _reach(project, kind, points, clip)
    if around is not None:
        limit = max(limit, min(1.3 * limit, _reach(project, kind, around, True)))
    if kind == "plane":
        limit = 1.04 * limit or 1.0
        maps.draw_plane_grid(ax, limit)
    elif kind == "disk":
        limit = 1.0 if limit > 0.5 or limit == 0 else 1.1 * limit
        maps.draw_disk_grid(ax, limit, space)
    else:
        limit = 1.04 * limit or 1.0
        ax.axhline(0, color=shade(0.8), linewidth=1.5, zorder=0)
        ax.set(ylim=(-0.75, 0.75), yticks=[], xlabel="signed distance from the origin")
        ax.spines[["left", "right", "top"]].set_visible(False)
        if clip:
            ax.set_xlim(-limit, limit)
    return DrawnMap(project, limit)


def _reach(project: Any, kind: str, points: Array, clip: bool) -> float:
    """Distance from the centre of the map to the farthest point that is not an outlier."""
    places = project(points, np.zeros(len(points), dtype=np.int64))
    away = np.abs(places[:, 0]) if kind == "line" else np.linalg.norm(places, axis=1)
    if clip:
        usual = float(np.quantile(away, 0.95))
        # 95 % of the points may be at the origin itself, and then nothing is clipped.
        return float(away[away <= _ROBUST_REACH * usual].max()) if usual > 0 else float(away.max())
    return float(away.max())


def at_the_edge(places: Array, drawn: DrawnMap, kind: str) -> tuple[NDArray[np.bool_], Array]:
    """Which positions are outside the map, and all positions moved onto it."""
    if drawn.limit is None:
        return np.zeros(len(places), dtype=bool), places
    if kind == "line":
        inside = np.clip(places[:, 0], -0.99 * drawn.limit, 0.99 * drawn.limit)
        return np.abs(places[:, 0]) > drawn.limit, np.column_stack([inside, places[:, 1]])
    away = np.linalg.norm(places, axis=1)
    outside = away > drawn.limit
    shrink = np.where(outside, 0.98 * drawn.limit / np.maximum(away, 1e-300), 1.0)
    return outside, places * shrink[:, None]


def check_view(view: Any, kinds: list[str]) -> tuple[float, float] | None:
    """Elevation and azimuth in degrees, or None.

    Raises
    ------
    ValueError
        If they are not two finite numbers, or no panel is a globe.
    """
    if view is None:
        return None
    try:
        elevation, azimuth = (float(angle) for angle in view)
    except (TypeError, ValueError):
        elevation = azimuth = math.nan
    if not (math.isfinite(azimuth) and -90 <= elevation <= 90):
        raise ValueError(
            "view must be (elevation, azimuth) in degrees, with an elevation from -90 to 90; got "
            f"{view!r}."
        )
    if "3d" not in kinds:
        raise ValueError("view turns a globe, but no panel is one; pass kind='3d' for a sphere.")
    return elevation, azimuth


def _across(rows: NDArray[np.int64]) -> Array:
    """Positions across the width of a line, in [-0.5, 0.5)."""
    # Multiples of the golden ratio modulo 1 are evenly spread and reproducible.
    return np.asarray((rows * 0.6180339887498949) % 1 - 0.5)


def _draw_circle(ax: Any, space: ConstantCurvature) -> DrawnMap:
    from matplotlib.patches import Circle

    ax.add_patch(Circle((0, 0), 1, fill=False, edgecolor=shade(0.8)))
    ax.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal")
    ax.axis("off")

    def project(p: Array, rows: NDArray[np.int64]) -> Array:
        angle = space.log0(torch.from_numpy(p)).numpy()[:, 0] / space.radius_
        radius = 1 + 0.25 * _across(rows)
        return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])

    return DrawnMap(project, None)


def title_of(space: ConstantCurvature, kind: str, dims: tuple[int, int] | None = None) -> str:
    """Title of a panel: the map, the curvature, and the directions shown if there are more."""
    name = {
        "plane": "Plane",
        "hammer": "Sphere (Hammer projection)",
        "3d": "Sphere",
        "disk": "Poincaré disk",
        "line": "Line",
        "circle": "Circle",
    }[kind]
    if space.curvature:
        name += f", K = {space.curvature:.3g}".replace("-", "\N{MINUS SIGN}")
    if space.dim > 2 and dims is not None:
        name += f"\ndirections {dims[0]} and {dims[1]} of {space.dim}"
    return name
