"""The wrapped normal: transport, the three steps of a draw, and the preimages on a sphere."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures._drawing import Camera, bare, disk, globe
from figures._style import BLUE, GREEN, GREY, ORANGE, PURPLE, legend, new
from figures.hyperbolic import SPACE, at, on_disk, side, triangle
from skccvae.distributions import WrappedNormal
from skccvae.manifolds import ConstantCurvature, Sphere, constant_curvature

__all__ = ["FIGURES", "mass_of_shortest", "preimage_densities", "round_trip", "steps", "total_mass"]

Array = NDArray[np.float64]
SCALE = (0.7, 0.25)  # of the wrapped normal in the figure, in units of 1 / sqrt(-K)


class RoundTrip(NamedTuple):
    space: ConstantCurvature
    path: torch.Tensor  # points along the three sides
    vectors: torch.Tensor  # the vector carried to each of them
    angle: float  # by which it has turned on its return
    area: float  # of the triangle


def round_trip(K: float, length: float, *, n: int = 10) -> RoundTrip:
    """Transport a vector in parallel round an equilateral triangle with the given side."""
    space, shape = constant_curvature(2, K), triangle(K, length)
    points = [side(space, shape.corners[i], shape.corners[(i + 1) % 3], n)[:-1] for i in range(3)]
    path = torch.cat([*points, shape.corners[:1]])
    vectors = [0.35 * space.log(path[0], path[1]) / space.dist(path[0], path[1])]
    for here, there in zip(path[:-1], path[1:], strict=True):
        vectors.append(space.transport(here, there, vectors[-1]))
    start, end = (space.to_frame(path[0], vectors[i]) for i in (0, -1))
    turned = math.atan2(start[0] * end[1] - start[1] * end[0], start @ end)
    return RoundTrip(space, path, torch.stack(vectors), turned, shape.area)


def draw_transport() -> Figure:
    """A vector transported round a triangle on the sphere, in the plane, and in the disk."""
    figure, axes = new(1, 3, height=3.5)
    camera = Camera(78, -90)
    for ax, K, colour in zip(axes[0], (1.0, 0.0, -1.0), (ORANGE, BLUE, GREEN), strict=True):
        trip = round_trip(K, 1.6)
        if K > 0:
            globe(ax, camera)
        elif K == 0:
            bare(ax, 1.25)
        else:
            disk(ax)
            ax.set(xlim=(-0.68, 0.68), ylim=(-0.6, 0.76))
        # A vector is drawn as the geodesic that it generates, which shows its length in the disk.
        for i, (foot, vector) in enumerate(zip(trip.path, trip.vectors, strict=True)):
            tip = trip.space.exp(foot, vector)
            first, last = i == 0, i == len(trip.path) - 1
            ends = torch.stack([foot, tip])
            page = camera(ends)[0] if K > 0 else (ends.numpy() if K == 0 else on_disk(ends))
            shade = "black" if first else PURPLE if last else GREY
            arrow = {"arrowstyle": "-|>", "color": shade, "lw": 2.2 if first or last else 1.0}
            ax.annotate("", page[1], page[0], arrowprops=arrow | {"shrinkA": 0, "shrinkB": 0})
        for i in range(3):
            edge = side(trip.space, trip.path[9 * i], trip.path[9 * (i + 1)])
            if K > 0:
                camera.line(ax, edge, color=colour, lw=2)
            else:
                ax.plot(*(edge.numpy() if K == 0 else on_disk(edge)).T, color=colour, lw=2)
        ax.set_title(f"turned by {math.degrees(trip.angle):.0f}°")
        ax.set_xlabel(rf"$K$ times area: {math.degrees(K * trip.area):.0f}°")
    return figure


class Steps(NamedTuple):
    tangent: torch.Tensor  # draws v in the tangent space at the origin, (n, 2)
    carried: torch.Tensor  # the same in the tangent space at the location, (n, 3)
    points: torch.Tensor  # draws on the hyperboloid, (n, 3)
    law: WrappedNormal


def steps(noise: torch.Tensor, location: torch.Tensor) -> Steps:
    """The three steps of a draw, one by one with the methods of the manifold."""
    law = WrappedNormal(location, torch.tensor(SCALE, dtype=torch.float64), SPACE)
    v = law.scale * noise
    origin = SPACE.origin(dtype=torch.float64)
    carried = SPACE.transport(origin, location, SPACE.from_frame(origin, v))
    return Steps(v, carried, SPACE.exp(location, carried), law)


def total_mass(law: WrappedNormal, *, reach: float = 5.0, n: int = 400) -> float:
    """Integral of exp(log_prob) over a circle around the location, in polar coordinates.

    It uses the midpoint rule in the radius, and is about 1 if almost all mass is in the circle.
    """
    space = law.manifold
    assert isinstance(space, ConstantCurvature)
    radius = (torch.arange(n, dtype=torch.float64) + 0.5) * reach / n
    turn = torch.arange(64, dtype=torch.float64) * 2 * math.pi / 64
    v = radius[:, None, None] * torch.stack([turn.cos(), turn.sin()], -1)
    here = law.loc.detach()
    points = space.exp(here, space.from_frame(here, v))
    element = torch.exp(space.log_volume_ratio(radius)) * radius * (reach / n) * (2 * math.pi / 64)
    return float((law.log_prob(points).exp() * element[:, None]).sum())


def draw_wrapped(*, n_draws: int = 300, seed: int = 0) -> Figure:
    """Draw at the origin, transport and exponential map, with the density of the package."""
    figure, axes = new(1, 3, height=3.6)
    noise = torch.as_tensor(np.random.default_rng(seed).standard_normal((n_draws, 2)))
    location = at(1.2, 0.9)
    found = steps(noise, location)
    few = slice(0, 14)
    ax = axes[0, 0]
    turn = torch.linspace(0, 2 * math.pi, 181, dtype=torch.float64)
    ellipse = torch.stack([turn.cos(), turn.sin()], -1) * found.law.scale
    for width in (1, 2):
        ax.plot(*(width * ellipse).T, color=GREY, lw=1)
    ax.scatter(*found.tangent.T, s=6, color=BLUE, linewidths=0)
    for v in found.tangent[few]:
        ax.annotate("", v, (0, 0), arrowprops={"arrowstyle": "-", "color": BLUE, "lw": 0.8})
    ax.set(xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal", title="1. Draw at the origin")
    ax.set(xlabel="$v_1$", ylabel="$v_2$")
    ax = axes[0, 1]
    disk(ax)
    origin = SPACE.origin(dtype=torch.float64)
    ax.plot(*on_disk(side(SPACE, origin, location)).T, color="black", lw=1)
    for s in (0.0, 0.5, 1.0):
        foot = SPACE.geodesic(origin, location, s)
        for axis, colour in ((0, ORANGE), (1, PURPLE)):
            v = torch.zeros(2, dtype=torch.float64)
            v[axis] = 0.7
            tip = SPACE.exp(foot, SPACE.from_frame(foot, v))
            arrow = {"arrowstyle": "-|>", "color": colour, "lw": 1.8, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", on_disk(tip), on_disk(foot), arrowprops=arrow)
    ax.set_title("2. Transport to the location")
    ax = axes[0, 2]
    disk(ax)
    grid = np.linspace(-0.999, 0.999, 301)
    mesh = np.stack(np.meshgrid(grid, grid), -1)
    inside = (mesh**2).sum(-1) < 0.995
    density = np.full(inside.shape, np.nan)
    there = SPACE.from_chart(torch.as_tensor(mesh[inside]), "stereographic")
    density[inside] = found.law.log_prob(there)
    top = float(found.law.log_prob(location))
    ax.contour(
        grid,
        grid,
        density,
        levels=top - np.array([4.5, 2.0, 0.5]),
        colors="black",
        linewidths=0.8,
        linestyles="solid",
        zorder=4,
    )
    ax.scatter(*on_disk(location), s=20, color="black", zorder=4)
    ax.scatter(*on_disk(found.points).T, s=5, color=GREEN, linewidths=0)
    for v in found.carried[few]:
        ray = SPACE.exp(location, torch.linspace(0, 1, 30, dtype=torch.float64)[:, None] * v)
        ax.plot(*on_disk(ray).T, color=BLUE, lw=0.8)
    ax.set_title("3. Follow the geodesics")
    return figure


def preimage_densities(angle: Array, scale: float, turns: int = 3) -> Array:
    """Terms of the wrapped normal's density on the unit sphere, at an angle from its location.

    Shape (2 * turns + 1, n): term k is the normal density of the tangent vector of signed length
    angle + 2 pi k, divided by the volume ratio there, |sin(angle) / length|.
    """
    k = np.arange(-turns, turns + 1)[:, None]
    length = np.abs(angle + 2 * np.pi * k)
    normal = np.exp(-0.5 * (length / scale) ** 2) / (2 * np.pi * scale**2)
    return normal * length / np.sin(angle)


def mass_of_shortest(scale: float) -> float:
    """Integral of the first term over the unit sphere: P(|v| < pi) for a normal v in R^2."""
    return 1 - math.exp(-0.5 * (math.pi / scale) ** 2)


def draw_preimages(*, seed: int = 0) -> Figure:
    """Tangent vectors that lead to one point, the terms of the density, and the missing mass."""
    figure, axes = new(1, 3, height=3.7)
    scale, angle = 2.0, 1.0
    ax = axes[0, 0]
    turn = np.linspace(0, 2 * np.pi, 181)
    for radius in (1, 2, 3):
        ax.plot(*(np.pi * radius * np.stack([np.cos(turn), np.sin(turn)])), ":", color=GREY, lw=1)
        ax.annotate(
            rf"${radius if radius > 1 else ''}\pi$", (0.3, np.pi * radius + 0.2), color=GREY
        )
    for width in (1, 2):
        ax.plot(*(scale * width * np.stack([np.cos(turn), np.sin(turn)])), color=BLUE, lw=1)
    direction = np.array([math.cos(0.5), math.sin(0.5)])
    for k, colour in ((0, GREEN), (-1, ORANGE), (1, PURPLE)):
        tip = (angle + 2 * np.pi * k) * direction
        ax.plot([0, tip[0]], [0, tip[1]], color=colour, lw=1.2, zorder=1)
        ax.scatter(*tip, s=36, color=colour, zorder=3)
    ax.scatter(0, 0, s=20, color="black", zorder=3)
    ax.set(
        xlim=(-10.5, 10.5), ylim=(-10.5, 10.5), aspect="equal", title="Tangent vectors to one point"
    )
    ax = axes[0, 1]
    theta = np.linspace(0.02, math.pi - 0.02, 300)
    terms = preimage_densities(theta, scale)
    space = Sphere(2)
    law = WrappedNormal(space.origin(dtype=torch.float64), scale, space)
    there = space.exp0(torch.as_tensor(np.stack([theta, 0 * theta], -1)))
    ax.plot(theta, law.log_prob(there).exp(), color="black", label="exp(log_prob)")
    for row, colour, label in (
        (3, GREEN, r"$\theta$"),
        (2, ORANGE, r"$2\pi - \theta$"),
        (4, PURPLE, r"$2\pi + \theta$"),
    ):
        ax.plot(theta, terms[row], "--", color=colour, label=label)
    ax.set(ylim=(0, 0.3), xlabel=r"angle $\theta$ to the location", title="density and its terms")
    legend(ax, loc="upper center")
    ax = axes[0, 2]
    scales = np.linspace(0.2, 4, 100)
    ax.plot(scales, [mass_of_shortest(s) for s in scales], color=GREEN, label="first term only")
    some = np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.0])
    masses = []
    for s in some:
        law = WrappedNormal(space.origin(dtype=torch.float64), float(s), space)
        masses.append(total_mass(law, reach=math.pi))
    ax.plot(some, masses, "o", color="black", ms=4, label="the sum")
    ax.set(ylim=(0, 1.1), xlabel="scale, in radii", title="mass on the whole sphere")
    legend(ax, loc="lower left")
    return figure


FIGURES = {
    "d_transport": draw_transport,
    "d_wrapped": draw_wrapped,
    "d_preimages": draw_preimages,
}
