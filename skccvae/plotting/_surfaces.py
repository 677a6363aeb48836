"""Surfaces and grids of interactive figures, as traces of plotly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skccvae.plotting import _maps as maps

Array = NDArray[np.float64]

_LINE = {"color": "rgb(190, 190, 190)", "width": 1.5}
_RIM = {"color": "rgb(60, 60, 60)", "width": 2}
_T = np.linspace(0, 2 * math.pi, 181)
_CIRCLE = np.column_stack([np.cos(_T), np.sin(_T)])


def _lines(go: Any, curves: list[Array], style: dict[str, Any] | None = None) -> Any:
    """One trace for several curves (n, 2) or (n, 3), with gaps between them."""
    gap = np.full((1, curves[0].shape[1]), np.nan)
    joined = np.concatenate([part for curve in curves for part in (curve, gap)])
    scatter = go.Scatter3d if joined.shape[1] == 3 else go.Scatter
    coordinates = dict(zip("xyz", joined.T, strict=False))
    return scatter(
        **coordinates, mode="lines", line=style or _LINE, hoverinfo="skip", showlegend=False
    )


def _surface(go: Any, x: Array, y: Array, z: Array, opacity: float = 1.0) -> Any:
    """A surface of one colour without hover, slightly behind the points on it."""
    return go.Surface(
        x=x,
        y=y,
        z=z,
        opacity=opacity,
        surfacecolor=np.zeros_like(z),
        colorscale=[[0, "rgb(247, 247, 250)"], [1, "rgb(247, 247, 250)"]],
        showscale=False,
        hoverinfo="skip",
        lighting={"ambient": 0.95, "diffuse": 0.1, "specular": 0.0},
        contours={axis: {"highlight": False} for axis in "xyz"},
    )


def globe(go: Any) -> list[Any]:
    """An opaque unit sphere with meridians and parallels every 30 degrees."""
    lon, lat = np.meshgrid(np.linspace(0, 2 * math.pi, 73), np.linspace(-1, 1, 37) * math.pi / 2)
    # Points and lines at radius 1 stay in front of it.
    ball = 0.985 * np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    circles = [
        np.column_stack([math.cos(a) * _CIRCLE, np.full(len(_T), math.sin(a))])
        for a in np.radians(range(-60, 90, 30))
    ]
    for a in np.radians(range(0, 180, 30)):
        x, z = _CIRCLE.T
        circles.append(np.column_stack([x * math.cos(a), x * math.sin(a), z]))
    return [_surface(go, *ball), _lines(go, circles)]


def hyperboloid(go: Any, top: float) -> list[Any]:
    """The upper sheet of the hyperboloid of K = -1 up to a height, with circles and geodesics."""
    reach = math.acosh(top)
    r = np.linspace(0, reach, 40)[:, None]
    x, y, z = np.sinh(r) * np.cos(_T), np.sinh(r) * np.sin(_T), np.cosh(r) + 0 * _T
    step = maps.nice_step(reach, 5)
    distances = np.arange(1, 1 + int(reach / step + 1e-9)) * step
    circles = [
        np.column_stack([math.sinh(d) * _CIRCLE, np.full(len(_T), math.cosh(d))]) for d in distances
    ]
    along = np.linspace(-reach, reach, 81)
    for a in np.radians(range(0, 180, 30)):
        out = np.sinh(along)
        circles.append(np.column_stack([out * math.cos(a), out * math.sin(a), np.cosh(along)]))
    return [_surface(go, x, y, z, opacity=0.6), _lines(go, circles)]


def disk(go: Any) -> list[Any]:
    """The Poincaré disk of K = -1, with geodesics across the axes and circles around the origin."""
    curves = [
        maps.geodesic_across(distance, angle)
        for distance in (0.0, 1.0, 2.0, 3.0)
        for angle in np.arange(4) * (math.pi / 2)
    ]
    curves += [math.tanh(distance / 2) * _CIRCLE for distance in (1.0, 2.0, 3.0)]
    return [_lines(go, curves), _lines(go, [_CIRCLE], _RIM)]


def ball(go: Any) -> list[Any]:
    """Great circles on the edge of the Poincaré ball, and its three axes."""
    x, y = _CIRCLE.T
    zero, t = np.zeros_like(x), np.linspace(-1, 1, 2)
    circles = [np.column_stack(c) for c in ((x, y, zero), (x, zero, y), (zero, x, y))]
    axes = [np.column_stack([t if i == axis else 0 * t for i in range(3)]) for axis in range(3)]
    return [_lines(go, circles), _lines(go, axes)]


def rings(go: Any, edge: float) -> list[Any]:
    """Rings at round distances from the origin of a plane."""
    step = maps.nice_step(edge, 4)
    return [_lines(go, [k * step * _CIRCLE for k in range(1, 2 + int(edge / step))])]
