"""Maps from two-dimensional spaces to the plane of the plot, and grids for these maps."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from skccvae.manifolds import ConstantCurvature, constant_curvature
from skccvae.plotting._theme import grid_style, shade, text_outline

Array = NDArray[np.float64]

#: Semi-axes of the Hammer map of the unit sphere.
HAMMER_AXES = (2 * math.sqrt(2), math.sqrt(2))


def hammer(directions: Array) -> Array:
    """Hammer's equal-area map from unit vectors (..., 3) to the plot (..., 2).

    The first axis maps to the centre of the map, and the third to its north pole.
    """
    x, y, z = np.moveaxis(np.asarray(directions, dtype=float), -1, 0)
    lon, lat = np.arctan2(y, x), np.arcsin(np.clip(z, -1, 1))
    return hammer_angles(lon, lat)


def hammer_angles(lon: Any, lat: Any) -> Array:
    """Hammer's map from longitude and latitude in radians."""
    root = np.sqrt(1 + np.cos(lat) * np.cos(lon / 2))
    wide, high = HAMMER_AXES
    return np.stack([wide * np.cos(lat) * np.sin(lon / 2) / root, high * np.sin(lat) / root], -1)


def hammer_inverse(places: Array) -> Array:
    """Unit vectors (..., 3) for positions (..., 2) inside the ellipse of Hammer's map."""
    x, y = np.moveaxis(np.asarray(places, dtype=float), -1, 0)
    half = np.sqrt(1 - (x / 4) ** 2 - (y / 2) ** 2)
    lon = 2 * np.arctan2(half * x, 2 * (2 * half**2 - 1))
    lat = np.arcsin(np.clip(half * y, -1, 1))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)


def facing(directions: Array) -> Array:
    """Unit vector towards the viewer of a globe, or to the middle of a map.

    If the points are on one side of the globe, it is their mean direction. Otherwise it is the
    direction from a grid that most of the points face, each weighted by the cosine of its angle.
    """
    lon = np.radians(np.arange(0, 360, 10))[:, None]
    lat = np.radians(np.arange(-60.0, 61.0, 10.0))
    grid = np.stack(
        [np.cos(lon) * np.cos(lat), np.sin(lon) * np.cos(lat), np.sin(lat) + 0 * lon], -1
    ).reshape(-1, 3)
    mean = directions.mean(axis=0)
    length = float(np.linalg.norm(mean))
    views = np.concatenate([mean[None] / length, grid]) if length > 1e-9 else grid
    return np.asarray(views[int(np.argmax(np.maximum(directions @ views.T, 0).sum(axis=0)))])


def centring_rotation(directions: Array, n_trials: int = 200) -> Array:
    """Rotation matrix (3, 3) that brings points to the middle of the map, and few to its edge.

    A sphere has no natural north pole, and the edge of the map separates neighbours. The first
    candidate turns the side that `facing` chooses to the middle, with north up. It is kept unless
    one at random brings a twentieth of the points away from the edge: a few stray points do not
    move a cap aside.
    """
    x, y, z = facing(directions)
    lat, lon = math.asin(np.clip(z, -1, 1)), math.atan2(y, x)
    centred = Rotation.from_euler("zy", [-lon, lat]).as_matrix()
    trials = np.concatenate(
        [centred[None], Rotation.random(n_trials, np.random.default_rng(0)).as_matrix()]
    )
    x, y, z = np.einsum("tij,nj->itn", trials, directions)
    near = (np.abs(np.arctan2(y, x)) > 2.7) | (np.abs(z) > math.sin(1.25))
    share = near.mean(axis=1)
    return trials[int(np.argmin(share)) if share.min() < share[0] - 0.05 else 0]


def two_dimensional(
    space: ConstantCurvature, points: Array, dims: tuple[int, int] | None
) -> tuple[ConstantCurvature, Array]:
    """The space to draw, of at most two dimensions, and the points in it.

    In a space of more than two dimensions, each point is projected to the nearest point on the
    plane (great sphere, hyperbolic plane) through the origin along the directions dims.

    Raises
    ------
    ValueError
        If the space has more than two dimensions and dims is None, or dims are not two different
        directions of it.
    """
    if dims is None:
        if space.dim > 2:
            raise ValueError(
                f"{space!r} has {space.dim} dimensions, but a plot has two. Pass dims=(i, j) to "
                f"see two of its directions 0 to {space.dim - 1}, fit a model with n_components=2, "
                "or reduce the codes first (PCA, t-SNE on geodesic_distances)."
            )
        return space, points
    if space.dim < 2 or space.dim == 2 and set(dims) != {0, 1}:
        return space, points  # dims are those of another factor
    i, j = check_dims(dims, space.dim)
    plane = constant_curvature(2, space.curvature)
    extra = space.ambient_dim - space.dim  # 1 if the first ambient coordinate is no direction
    columns = [*range(extra), extra + i, extra + j]
    return plane, plane.project(torch.from_numpy(points[:, columns])).numpy()


def check_dims(dims: Any, dim: int) -> tuple[int, int]:
    """Return dims if they are two different directions of 0, ..., dim - 1; else ValueError."""
    pair = tuple(dims) if np.iterable(dims) else (dims,)
    whole = all(isinstance(d, Integral) for d in pair)
    if len(pair) != 2 or not whole or pair[0] == pair[1] or not all(d in range(dim) for d in pair):
        raise ValueError(
            f"dims must be two different directions from 0, ..., {dim - 1}; got {dims!r}."
        )
    return int(pair[0]), int(pair[1])


def disk_places(space: ConstantCurvature, points: Array) -> Array:
    """Map ambient points of a hyperbolic plane to the Poincaré disk of radius 1."""
    chart = space.to_chart(torch.from_numpy(points), "stereographic").numpy()
    return np.asarray(chart / space.radius_)


def nice_step(limit: float, max_rings: int = 6) -> float:
    """Smallest spacing 1, 2 or 5 times a power of ten with at most max_rings rings below limit."""
    raw = max(limit, 1e-12) / max_rings
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))


def geodesic_across(distance: float, angle: float, n: int = 101) -> Array:
    """Geodesic of the disk (K = -1) orthogonal to a ray, at a distance from the origin, (n, 2).

    It is an arc of a circle that meets the edge of the disk at right angles.
    """
    t = np.linspace(-6, 6, n)
    # On the hyperboloid: the geodesic through the origin along axis 2, translated along axis 1.
    c, s = math.cosh(distance), math.sinh(distance)
    x0, x1, x2 = c * np.cosh(t), s * np.cosh(t), np.sinh(t)
    u, v = x1 / (1 + x0), x2 / (1 + x0)
    return np.column_stack(
        [u * math.cos(angle) - v * math.sin(angle), u * math.sin(angle) + v * math.cos(angle)]
    )


def draw_plane_grid(ax: Any, edge: float) -> None:
    """Draw rings at round distances from the origin of a plane."""
    from matplotlib.patches import Circle

    step = nice_step(edge, 4)
    for radius in np.arange(1, 1 + int(edge / step + 1e-9)) * step:
        ax.add_patch(Circle((0, 0), radius, fill=False, **grid_style()))
        _ring_label(ax, radius, radius)
    ax.set(xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal")
    ax.axis("off")


def draw_disk_grid(ax: Any, edge: float, space: ConstantCurvature, *, labels: bool = True) -> None:
    """Draw rings at round distances, geodesics orthogonal to the two axes, and the disk's edge."""
    from matplotlib.patches import Circle

    R = space.radius_
    shown = 2 * math.atanh(min(edge, 0.985))  # largest distance shown, in units of R
    step = nice_step(shown * R, 5) / R
    distances = np.arange(1, 1 + int(shown / step + 1e-9)) * step
    rim = Circle((0, 0), 1, fill=False, linewidth=1.3, edgecolor=shade(0.2), zorder=1)
    ax.add_patch(rim)
    for distance in [0.0, *distances]:
        for angle in np.arange(4) * (math.pi / 2):
            ax.plot(*geodesic_across(distance, angle).T, **grid_style() | {"color": shade(0.85)})
    for number, distance in enumerate(distances, start=1):
        radius = math.tanh(distance / 2)
        ax.add_patch(Circle((0, 0), radius, fill=False, linestyle=(0, (4, 3)), **grid_style()))
        if labels and number <= 3:
            _ring_label(ax, radius, distance * R)
    limit = 1.03 * edge if edge >= 1 else edge
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    ax.axis("off")


def _ring_label(ax: Any, radius: float, value: float) -> None:
    """Write the distance of a ring on it, in a form that no name of a class has."""
    place = radius * math.cos(math.pi / 4)
    style = {"color": shade(0.4), "fontsize": 8, "ha": "center", "va": "center", "zorder": 2.5}
    # A ring that leaves the plot has its label outside, so the label is clipped.
    outline = text_outline(2.0)
    ax.text(place, -place, f"$r={value:g}$", path_effects=outline, clip_on=True, **style)


def draw_hammer_grid(ax: Any) -> None:
    """Draw meridians and parallels every 30 degrees, and the outline of the map."""
    t, style = np.linspace(-1, 1, 181), grid_style()
    for degrees in range(-150, 180, 30):
        meridian = hammer_angles(np.full_like(t, math.radians(degrees)), t * math.pi / 2)
        ax.plot(*meridian.T, **style)
    for degrees in range(-60, 90, 30):
        parallel = hammer_angles(t * math.pi, np.full_like(t, math.radians(degrees)))
        ax.plot(*parallel.T, **style)
    draw_hammer_outline(ax)


def draw_hammer_outline(ax: Any) -> None:
    """Draw the ellipse around the map, and set the limits of the axes to it."""
    from matplotlib.patches import Ellipse

    wide, high = HAMMER_AXES
    style: dict[str, Any] = {"fill": False, "linewidth": 1.3, "edgecolor": shade(0.2), "zorder": 1}
    ax.add_patch(Ellipse((0, 0), 2 * wide, 2 * high, **style))
    limits = {"xlim": (-1.02 * wide, 1.02 * wide), "ylim": (-1.03 * high, 1.03 * high)}
    ax.set(**limits, aspect="equal")
    ax.axis("off")


def direction(elevation: float, azimuth: float) -> Array:
    """Unit vector towards the viewer of 3-D axes, for a view given in degrees."""
    lat, lon = math.radians(elevation), math.radians(azimuth)
    return np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])


def draw_globe(ax: Any, facing: Array) -> None:
    """Draw the grid of a unit sphere seen from a direction, with its far side paler."""
    t = np.linspace(0, 2 * math.pi, 181)
    circles = [
        np.stack([math.cos(lat) * np.cos(t), math.cos(lat) * np.sin(t), 0 * t + math.sin(lat)])
        for lat in np.radians(range(-60, 90, 30))
    ] + [
        np.stack([np.cos(t) * math.cos(lon), np.cos(t) * math.sin(lon), np.sin(t)])
        for lon in np.radians(range(0, 180, 30))
    ]
    for circle in circles:
        front = facing @ circle > 0
        for side, colour in ((~front, shade(0.92)), (front, shade(0.72))):
            ax.plot(*np.where(side, circle, np.nan), color=colour, linewidth=0.8, zorder=0)
    elevation = math.degrees(math.asin(np.clip(facing[2], -1, 1)))
    ax.view_init(elev=elevation, azim=math.degrees(math.atan2(facing[1], facing[0])))
    ax.set_proj_type("ortho")
    ax.computed_zorder = False
    ax.set_box_aspect((1, 1, 1), zoom=1.45)
    ax.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    ax.set_axis_off()
