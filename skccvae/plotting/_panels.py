"""One panel of a latent space: the map, its grid, and the positions of points on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skccvae.manifolds import ConstantCurvature
from skccvae.plotting import _maps as maps


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
    ax: Any, space: ConstantCurvature, points: NDArray[np.float64], kind: str
) -> NDArray[np.float64]:
    """Draw the grid, and return the positions of the points on the map."""
    if kind == "plane":
        maps.draw_plane_grid(ax, 1.04 * float(np.linalg.norm(points, axis=1).max()) or 1.0)
        return points
    if kind == "disk":
        places = maps.disk_places(space, points)
        reach = float(np.linalg.norm(places, axis=1).max())
        maps.draw_disk_grid(ax, 1.0 if reach > 0.5 or reach == 0 else 1.1 * reach, space)
        return places
    if kind in ("hammer", "3d"):
        directions = points / space.radius_
        if kind == "3d":
            maps.draw_globe(ax, _facing(directions))
            return directions
        maps.draw_hammer_grid(ax)
        return maps.hammer(directions @ maps.centring_rotation(directions).T)
    return _draw_one_dimensional(ax, space, points, kind)


def _facing(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Viewing direction, away from the poles, from which most of the points are visible."""
    lon = np.radians(np.arange(0, 360, 10))[:, None]
    lat = np.radians([-40.0, -20.0, 0.0, 20.0, 40.0])
    views = np.stack(
        [np.cos(lon) * np.cos(lat), np.sin(lon) * np.cos(lat), np.sin(lat) + 0 * lon], -1
    ).reshape(-1, 3)
    return np.asarray(views[int(np.argmax((directions @ views.T > 0).sum(axis=0)))])


def _draw_one_dimensional(
    ax: Any, space: ConstantCurvature, points: NDArray[np.float64], kind: str
) -> NDArray[np.float64]:
    """Draw a line or a circle, and spread the points evenly across its width."""
    along = space.log0(torch.from_numpy(points)).numpy()[:, 0]
    # Multiples of the golden ratio modulo 1 are evenly spread and reproducible.
    across = (np.arange(len(points)) * 0.6180339887498949) % 1 - 0.5
    if kind == "line":
        ax.axhline(0, color="0.8", zorder=0)
        ax.set(ylim=(-1.5, 1.5), yticks=[], xlabel="signed distance from the origin")
        ax.spines[["left", "right", "top"]].set_visible(False)
        return np.column_stack([along, across])
    from matplotlib.patches import Circle

    ax.add_patch(Circle((0, 0), 1, fill=False, edgecolor="0.8"))
    ax.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal")
    ax.axis("off")
    angle, radius = along / space.radius_, 1 + 0.25 * across
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def title_of(space: ConstantCurvature, kind: str, with_curvature: bool) -> str:
    """Title of a panel."""
    name = {
        "plane": "Plane",
        "hammer": "Sphere (Hammer projection)",
        "3d": "Sphere",
        "disk": "Poincaré disk",
        "line": "Line",
        "circle": "Circle",
    }[kind]
    K = f"{space.curvature:.3g}".replace("-", "\N{MINUS SIGN}")
    return f"{name}, K = {K}" if with_curvature and space.curvature else name
