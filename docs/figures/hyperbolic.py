"""Hyperbolic space: hyperboloid and disk, geodesics, and the growth of circles."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures._drawing import Camera, bare, disk, globe
from figures._style import BLUE, GREEN, GREY, ORANGE, PURPLE, legend, new
from skccvae.manifolds import ConstantCurvature, Hyperbolic, constant_curvature
from skccvae.special import sin_k

__all__ = ["FIGURES", "Triangle", "off_the_circle", "room", "side", "triangle", "ways"]

Array = NDArray[np.float64]
#: Colour of each geometry, by the sign of its curvature.
COLOURS = {1: ORANGE, 0: BLUE, -1: GREEN}
SPACE = Hyperbolic(2)


def at(distance: float, angle: float, space: ConstantCurvature = SPACE) -> torch.Tensor:
    """Point at polar coordinates (distance, angle) around the origin."""
    tangent = [distance * math.cos(angle), distance * math.sin(angle)]
    return space.exp0(torch.tensor(tangent, dtype=torch.float64))


def side(space: ConstantCurvature, x: torch.Tensor, y: torch.Tensor, n: int = 101) -> torch.Tensor:
    """Points (n, ambient_dim) on the shortest geodesic from x to y."""
    return space.geodesic(x, y, torch.linspace(0, 1, n, dtype=torch.float64))


def on_disk(points: torch.Tensor, space: ConstantCurvature = SPACE) -> Array:
    """Coordinates (..., 2) in the Poincaré disk."""
    return space.to_chart(points, "stereographic").numpy()


def draw_projection() -> Figure:
    """Points of a hyperbola and of a hyperboloid, projected from (-1, 0, 0) onto the disk."""
    figure, axes = new(1, 2, height=4.3, width_ratios=(1.25, 1))
    ax = axes[0, 0]
    rho = np.linspace(-2.2, 2.2, 201)
    ax.plot(np.sinh(rho), np.cosh(rho), color=GREEN, label="hyperboloid")
    ax.plot([-4, 0, 4], [4, 0, 4], ":", color=GREY, lw=1.2, label="its asymptotes")
    ax.plot([-1, 1], [0, 0], color=ORANGE, lw=3, label="disk")
    line = Hyperbolic(1)
    for distance in (-2.0, -1.0, 0.5, 1.0, 1.5, 2.0):
        point = line.exp0(torch.tensor([distance], dtype=torch.float64))
        height, across = point.tolist()
        image = line.to_chart(point, "stereographic").item()
        ax.plot([0, across], [-1, height], color=BLUE, lw=0.8)
        ax.scatter([across, image], [height, 0], s=22, color=[GREEN, ORANGE], zorder=3)
        if distance > 0:
            label = rf"$\rho = {distance:g}$"
            ax.annotate(label, (across - 0.15, height + 0.1), ha="right", fontsize=8.5)
    ax.scatter(0, -1, s=26, color="black", zorder=3)
    ax.annotate("$(-1, 0)$", (0.15, -1.1), fontsize=9)
    ax.set(xlim=(-4.4, 4.8), ylim=(-1.3, 4.2), aspect="equal", xlabel="$x_1$", ylabel="$x_0$")
    legend(ax, loc="lower left")
    ax.set_title(r"$x_1 = \sinh\rho$ becomes $\tanh(\rho/2)$")
    ax = axes[0, 1]
    bare(ax, 3.2)
    ax.set_ylim(-2.2, 4.2)
    camera = Camera(16, 35)
    turn = torch.linspace(0, 2 * math.pi, 181, dtype=torch.float64)

    def flat(points: Array) -> Array:
        return np.concatenate([np.zeros((len(points), 1)), points], -1)

    for distance in (0.5, 1.0, 1.5, 1.8):
        ring = SPACE.exp0(distance * torch.stack([turn.cos(), turn.sin()], -1))
        camera.line(ax, ring, both=True, color=GREEN, lw=1.2)
        camera.line(ax, flat(on_disk(ring)), both=True, color=ORANGE, lw=0.9)
    for angle in np.linspace(0, math.pi, 6, endpoint=False):
        ray = torch.stack([at(float(distance), angle) for distance in np.linspace(-1.8, 1.8, 61)])
        camera.line(ax, ray, both=True, color=GREEN, lw=0.5, alpha=0.7)
    rim = torch.stack([0 * turn, turn.cos(), turn.sin()], -1)
    camera.line(ax, rim, both=True, color=GREY, lw=1.2)
    for angle in (0.6, 2.0, 4.2):
        point = at(1.8, angle)
        both = np.stack([[-1.0, 0, 0], point.numpy()])
        camera.line(ax, both, both=True, color=BLUE, lw=0.9)
        camera.dots(ax, point, both=True, s=20, color=GREEN)
        camera.dots(ax, flat(on_disk(point[None])), both=True, s=20, color=ORANGE)
    camera.dots(ax, [-1.0, 0, 0], both=True, s=26, color="black")
    ax.set_title("circles of radius 0.5, 1, 1.5 and 1.8")
    return figure


def off_the_circle(points: Array) -> float:
    """Largest distance of points of a disk geodesic from the circle orthogonal to the rim.

    A circle with centre c is orthogonal to the unit circle if its squared radius is |c|^2 - 1.
    Then |p|^2 - 2 <p, c> + 1 = 0 for all of its points p. The first and the last point determine c.
    """
    ends = points[[0, -1]]
    centre = np.linalg.solve(2 * ends, (ends**2).sum(1) + 1)
    radius = math.sqrt(centre @ centre - 1)
    return float(abs(np.linalg.norm(points - centre, axis=1) - radius).max())


def ways() -> list[tuple[torch.Tensor, float]]:
    """Three paths between two points at distance 3 from the origin, and their lengths.

    They are the geodesic, the detour through the origin, and the straight line in the disk.
    """
    x, y, origin = at(3.0, 0.4), at(3.0, 2.2), at(0.0, 0.0)
    ends = on_disk(torch.stack([x, y]))
    chord = np.linspace(0, 1, 2001)[:, None] * (ends[1] - ends[0]) + ends[0]
    straight = SPACE.from_chart(torch.as_tensor(chord), "stereographic")
    detour = torch.cat([side(SPACE, x, origin), side(SPACE, origin, y)])
    return [
        (way, float(SPACE.dist(way[1:], way[:-1]).sum()))
        for way in (side(SPACE, x, y), detour, straight)
    ]


def draw_geodesics() -> Figure:
    """Geodesics and circles in the disk, and paths between two distant points."""
    figure, axes = new(1, 3, height=3.5)
    ax = axes[0, 0]
    disk(ax)
    for a, b in ((0.3, 1.2), (1.8, 3.6), (3.9, 5.4), (5.6, 6.2), (2.2, 5.34)):
        ax.plot(*on_disk(side(SPACE, at(4.0, a), at(4.0, b))).T, color=GREEN)
    ax.set_title("Geodesics")
    ax = axes[0, 1]
    disk(ax)
    turn = torch.linspace(0, 2 * math.pi, 181, dtype=torch.float64)
    circle = 0.5 * torch.stack([turn.cos(), turn.sin()], -1)
    for distance, angle in ((0.0, 0.0), (1.0, 0.5), (2.0, 1.8), (3.0, 3.3), (2.0, 4.8)):
        centre = at(distance, angle)
        edge = SPACE.exp(centre, SPACE.from_frame(centre, circle))
        ax.plot(*on_disk(edge).T, color=BLUE)
        ax.scatter(*on_disk(centre), s=12, color="black", zorder=3)
    ax.set_title("Circles of radius 0.5")
    ax = axes[0, 2]
    disk(ax)
    styles = (
        ("geodesic", GREEN, "-"),
        ("through the origin", ORANGE, "--"),
        ("straight line", PURPLE, ":"),
    )
    for (name, colour, style), (way, length) in zip(styles, ways(), strict=True):
        ax.plot(*on_disk(way).T, style, color=colour, label=f"{name}, {length:.2f}")
    legend(ax, loc="lower center", bbox_to_anchor=(0.5, 0.1))
    ax.set_title("Three paths and their lengths")
    return figure


class Room(NamedTuple):
    circumference: Array
    area: Array


def room(radius: Array, K: float) -> Room:
    """Circumference and area of a circle with the given radius at curvature K.

    The area 4 pi sin_K(r / 2)^2 is the integral of the circumference 2 pi sin_K(r).
    """
    r = torch.as_tensor(radius)
    half = sin_k(r / 2, K)
    return Room((2 * math.pi * sin_k(r, K)).numpy(), (4 * math.pi * half * half).numpy())


class Triangle(NamedTuple):
    corners: torch.Tensor
    angles: Array  # in radians
    area: float  # by integration, without the angles


def circumradius(K: float, length: float) -> float:
    """Distance from the centre of an equilateral triangle to its corners, by the law of sines."""
    half = float(sin_k(torch.tensor(length / 2, dtype=torch.float64), K)) / math.sin(math.pi / 3)
    return {1: math.asin, 0: float, -1: math.asinh}[int(K)](half)


def triangle(K: float, length: float) -> Triangle:
    """Equilateral triangle with the given side around the origin, at curvature 1, 0 or -1."""
    space = constant_curvature(2, K)
    distance, third = circumradius(K, length), 2 * math.pi / 3
    corners = torch.stack([at(distance, i * third + math.pi / 2, space) for i in range(3)])
    angles = []
    for i in range(3):
        here, one, other = (corners[(i + j) % 3] for j in range(3))
        u, v = space.log(here, one), space.log(here, other)
        cosine = space.inner(here, u, v) / (space.norm(here, u) * space.norm(here, v))
        angles.append(math.acos(float(cosine)))
    # In polar coordinates around the origin, an area is the integral of (circle's area) / (2 pi)
    # over the angle, up to the distance of the side.
    edge = space.log0(side(space, corners[0], corners[1], 4001))
    r, turn = edge.norm(dim=-1), torch.atan2(edge[:, 1], edge[:, 0]).numpy()
    height = room(r.numpy(), K).area / (2 * math.pi)
    area = 3 * abs(float(np.trapezoid(height, np.unwrap(turn))))
    return Triangle(corners, np.array(angles), area)


def draw_room() -> Figure:
    """Circumference and area against the radius, and angle sums against the area."""
    figure, axes = new(1, 3, height=3.6)
    for K, name in ((1, "sphere"), (0, "plane"), (-1, "hyperbolic")):
        radius = np.linspace(0, math.pi if K > 0 else 5.0, 201)
        found = room(radius, float(K))
        for ax, values in zip(axes[0], found, strict=False):
            ax.plot(radius, values, color=COLOURS[K], label=name)
        sizes = np.linspace(0.05, 2.09 if K > 0 else 8.0, 40)
        shapes = [triangle(float(K), float(size)) for size in sizes]
        sums = np.degrees([shape.angles.sum() for shape in shapes])
        areas = np.array([shape.area for shape in shapes])
        inside = areas < 6.5
        axes[0, 2].plot(areas[inside], sums[inside], color=COLOURS[K], label=name)
    axes[0, 0].set(title="Circumference", xlabel="radius", ylim=(0, 60))
    axes[0, 1].set(title="Area", xlabel="radius", ylim=(0, 100))
    axes[0, 2].set(
        title="Angle sum of a triangle, degrees", xlabel="area", yticks=range(0, 541, 90)
    )
    legend(axes[0, 0], loc="upper left")
    return figure


def draw_triangles() -> Figure:
    """Equilateral triangles with side 1.6 in the three geometries."""
    figure, axes = new(1, 3, height=3.5)
    camera = Camera(78, -90)
    shapes = {K: triangle(float(K), 1.6) for K in (1, 0, -1)}
    for ax, (K, shape) in zip(axes[0], shapes.items(), strict=True):
        space = constant_curvature(2, float(K))
        if K > 0:
            globe(ax, camera)
        elif K == 0:
            bare(ax, 1.1)
        else:
            disk(ax)
        for i in range(3):
            edge = side(space, shape.corners[i], shape.corners[(i + 1) % 3])
            if K > 0:
                camera.line(ax, edge, color=COLOURS[K], lw=2.4)
            else:
                ax.plot(*(edge if K == 0 else on_disk(edge)).T, color=COLOURS[K], lw=2.4)
        total = math.degrees(shape.angles.sum())
        ax.set_title(f"each angle {total / 3:.0f}°, sum {total:.0f}°")
        ax.set_xlabel(f"area {shape.area:.2f}")
    return figure


FIGURES = {
    "d_projection": draw_projection,
    "d_geodesics": draw_geodesics,
    "d_room": draw_room,
    "d_triangles": draw_triangles,
}
