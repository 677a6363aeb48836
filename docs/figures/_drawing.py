"""Spheres, hyperboloids and disks on flat axes, drawn in parallel projection."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from figures._style import GREY

__all__ = ["Camera", "bare", "disk", "globe"]

Array = NDArray[np.float64]


class Camera(NamedTuple):
    """Parallel projection of points (x_0, x_1, x_2), with x_0 upwards.

    Angles are in degrees. The origin of a curved space, the pole, is at the top of the picture.
    """

    elevation: float = 22.0
    azimuth: float = 25.0

    def __call__(self, points: Any) -> tuple[Array, Array]:
        """Positions (..., 2) on the page and depths (...), which increase towards the reader."""
        x = np.asarray(points, dtype=float)
        e, a = np.radians(self.elevation), np.radians(self.azimuth)
        ahead = np.cos(a) * x[..., 1] + np.sin(a) * x[..., 2]
        right = -np.sin(a) * x[..., 1] + np.cos(a) * x[..., 2]
        up = np.cos(e) * x[..., 0] - np.sin(e) * ahead
        return np.stack([right, up], -1), np.cos(e) * ahead + np.sin(e) * x[..., 0]

    def line(self, ax: Any, points: Any, *, both: bool = False, **kwargs: Any) -> None:
        """Curve on the unit sphere, faint on the far side unless `both` is true."""
        page, depth = self(points)
        hidden = (depth < 0) & (not both)
        front = np.where(hidden[:, None], np.nan, page)
        back = np.where(hidden[:, None], page, np.nan)
        ax.plot(*front.T, **kwargs)
        faint = kwargs | {"alpha": 0.3 * kwargs.get("alpha", 1.0), "label": None}
        ax.plot(*back.T, **faint)

    def dots(self, ax: Any, points: Any, *, both: bool = False, **kwargs: Any) -> None:
        """Points on the unit sphere, faint on the far side unless `both` is true."""
        page, depth = self(np.atleast_2d(points))
        front = (depth >= 0) | both
        kwargs = {"linewidths": 0, "zorder": 3} | kwargs
        ax.scatter(*page[front].T, **kwargs)
        faint = kwargs | {"alpha": 0.2 * kwargs.get("alpha", 1.0), "label": None, "zorder": 1}
        ax.scatter(*page[~front].T, **faint)

    def arrow(self, ax: Any, start: Any, stop: Any, **kwargs: Any) -> None:
        (page, _) = self(np.stack([np.asarray(start), np.asarray(stop)]))
        style = {"arrowstyle": "-|>", "lw": 1.8, "shrinkA": 0, "shrinkB": 0} | kwargs
        ax.annotate("", page[1], page[0], arrowprops=style, zorder=4)

    def text(self, ax: Any, at: Any, text: str, shift: tuple[float, float], **kwargs: Any) -> None:
        """Text beside a point, shifted by `shift` in typographic points."""
        (page, _) = self(np.asarray(at))
        kwargs = {"textcoords": "offset points", "fontsize": 11} | kwargs
        ax.annotate(text, page, shift, zorder=5, **kwargs)


def bare(ax: Any, reach: float = 1.08) -> None:
    """Equal scales, no frame and no ticks."""
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_visible(False)


def globe(ax: Any, camera: Camera, *, reach: float = 1.08) -> None:
    """Outline of the unit sphere with thin circles of latitude and longitude."""
    bare(ax, reach)
    turn = np.linspace(0, 2 * np.pi, 181)
    ax.plot(np.cos(turn), np.sin(turn), color=GREY, lw=1.0)
    for latitude in np.radians([-60, -30, 0, 30, 60]):
        ring = np.stack(
            [np.full_like(turn, np.sin(latitude)), *(np.cos(latitude) * _circle(turn))], -1
        )
        camera.line(ax, ring, color=GREY, lw=0.4, alpha=0.5)
    for longitude in np.radians([0, 30, 60, 90, 120, 150]):
        c, s = np.cos(turn), np.sin(turn)
        meridian = np.stack([c, s * np.cos(longitude), s * np.sin(longitude)], -1)
        camera.line(ax, meridian, color=GREY, lw=0.4, alpha=0.5)


def disk(ax: Any, *, rim: float = 1.0) -> None:
    """The rim of the Poincaré disk."""
    bare(ax, 1.04 * rim)
    turn = np.linspace(0, 2 * np.pi, 361)
    ax.fill(*(rim * _circle(turn)), color="#f4f4f4", zorder=0)
    ax.plot(*(rim * _circle(turn)), color=GREY, lw=1.0)


def _circle(angle: Array) -> Array:
    return np.stack([np.cos(angle), np.sin(angle)])
