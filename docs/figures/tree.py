"""A complete binary tree in the plane and in the disk, with its distortion."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures._drawing import bare, disk
from figures._style import BLUE, GREEN, GREY, legend, new
from figures.hyperbolic import on_disk, side
from skccvae.manifolds import Euclidean, Hyperbolic

__all__ = ["FIGURES", "Embedding", "embed", "least_distortion_in_the_plane", "tree_distances"]

Array = NDArray[np.float64]


def tree_distances(depth: int) -> NDArray[np.int64]:
    """Edges between all nodes of a complete binary tree; the children of i are 2i + 1, 2i + 2."""
    n = 2 ** (depth + 1) - 1
    between = np.zeros((n, n), dtype=np.int64)
    for node in range(1, n):  # all earlier nodes are reached through the parent
        between[node, :node] = between[(node - 1) // 2, :node] + 1
        between[:node, node] = between[node, :node]
    return between


def radial_start(depth: int) -> torch.Tensor:
    """Tangent coordinates (n, 2): depth as distance from the root, equal sectors for subtrees."""
    rows = []
    for level in range(depth + 1):
        angle = (np.arange(2**level) + 0.5) * 2 * np.pi / 2**level
        rows.append(level * np.stack([np.cos(angle), np.sin(angle)], -1))
    return torch.as_tensor(np.concatenate(rows))


class Embedding(NamedTuple):
    points: torch.Tensor
    unit: float  # distance in the space that represents one edge
    mean: float  # mean over pairs of |d / (unit t) - 1|
    worst: float  # largest d / t over smallest d / t, at least 1


def embed(space: Euclidean | Hyperbolic, depth: int, *, n_steps: int = 1500) -> Embedding:
    """Place the nodes so that distances d are proportional to the tree's distances t.

    Gradient descent (Adam) on the mean of (d / (unit t) - 1)^2 over all pairs, in the tangent
    coordinates of the nodes and the logarithm of the unit, from the same start in both spaces.
    """
    t = torch.as_tensor(tree_distances(depth), dtype=torch.float64)
    i, j = torch.triu_indices(len(t), len(t), 1)
    wanted = t[i, j]
    coordinates = radial_start(depth).requires_grad_()
    log_unit = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([coordinates, log_unit], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
    for _ in range(n_steps):
        optimiser.zero_grad()
        points = space.exp0(coordinates)
        ratio = space.dist(points[i], points[j]) / (log_unit.exp() * wanted)
        (ratio - 1).square().mean().backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        points, unit = space.exp0(coordinates.detach()), float(log_unit.exp())
        ratio = space.dist(points[i], points[j]) / (unit * wanted)
    worst = float(ratio.max() / ratio.min())
    return Embedding(points, unit, float((ratio - 1).abs().mean()), worst)


def least_distortion_in_the_plane(depth: int) -> float:
    """Lower bound on the worst distortion of a complete binary tree in the plane.

    Let t <= d <= D t for all pairs. Two leaves are at least 2 apart in the tree, so the unit disks
    around the 2^depth leaves do not overlap. They lie in a disk of radius D depth + 1 around the
    root. Comparing the areas gives 2^depth <= (D depth + 1)^2.
    """
    return max(1.0, (2 ** (depth / 2) - 1) / depth)


def draw_tree(
    *, depth: int = 6, depths: tuple[int, ...] = (2, 3, 4, 5, 6, 7), n_steps: int = 1500
) -> Figure:
    """The tree in the disk and in the plane, and the distortion against the depth of the tree."""
    figure, axes = new(1, 3, height=3.8)
    spaces = (Hyperbolic(2), Euclidean(2))
    found = {
        (type(space), d): embed(space, d, n_steps=n_steps)
        for space in spaces
        for d in {*depths, depth}
    }
    for ax, space, colour in zip(axes[0], spaces, (GREEN, BLUE), strict=False):
        one = found[type(space), depth]
        if isinstance(space, Hyperbolic):
            disk(ax)
        else:
            bare(ax, 1.04 * float(one.points.abs().max()))
        place = on_disk if isinstance(space, Hyperbolic) else np.asarray
        for node in range(1, len(one.points)):
            edge = side(space, one.points[node], one.points[(node - 1) // 2], 20)
            ax.plot(*place(edge).T, color=colour, lw=0.8)
        ax.scatter(*place(one.points).T, s=7, color="black", zorder=3, linewidths=0)
        name = "disk" if isinstance(space, Hyperbolic) else "plane"
        ax.set_title(f"{name}: off by {100 * one.mean:.1f} % on average")
    ax = axes[0, 2]
    for space, colour, marker in zip(spaces, (GREEN, BLUE), "^o", strict=True):
        name = "disk" if isinstance(space, Hyperbolic) else "plane"
        worst = [found[type(space), d].worst for d in depths]
        ax.plot(depths, worst, marker + "-", color=colour, ms=5, label=name)
    deep = np.linspace(min(depths), max(depths), 50)
    bound = [least_distortion_in_the_plane(d) for d in deep]
    ax.plot(deep, bound, ":", color=GREY, label="lower bound, plane")
    ax.set(yscale="log", xlabel="depth of the tree", title="largest / smallest ratio")
    ax.set(yticks=[1, 2, 5, 10, 20, 50], yticklabels=["1", "2", "5", "10", "20", "50"])
    ax.minorticks_off()
    legend(ax, loc="upper left")
    return figure


FIGURES = {"d_tree": draw_tree}
