"""Places, sizes and latent points of the tiles of a grid."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm

from skccvae.manifolds import ConstantCurvature
from skccvae.plotting import _maps as maps
from skccvae.plotting._panels import natural_map

Array = NDArray[np.float64]

#: Largest default distance of a tile from the origin of the Poincaré disk, in units of R.
_DISK_REACH = 3.5
#: Size of a tile on a square grid, relative to the grid spacing.
_TILE_SIZE = 0.93


def check_n_tiles(plane: ConstantCurvature, n_tiles: int | None) -> int:
    if n_tiles is None:
        return {"plane": 15, "hammer": 24, "disk": 5}[natural_map(plane)]
    if n_tiles < 1:
        raise ValueError(f"n_tiles must be at least 1; got {n_tiles!r}.")
    return int(n_tiles)


def layout(
    plane: ConstantCurvature, n: int, radius: float | None, scales: tuple[float, float]
) -> tuple[torch.Tensor, Array, Array]:
    """Ambient points of the tiles, and their centres and sizes on the map."""
    if natural_map(plane) == "plane":
        steps = (np.arange(n) + 0.5) / n
        places = np.stack(np.meshgrid(steps, steps[::-1]), -1).reshape(-1, 2)
        points = torch.from_numpy(norm.ppf(places) * scales)
        return points, places, np.full(n * n, _TILE_SIZE / n)
    if natural_map(plane) == "hammer":
        wide, high = maps.HAMMER_AXES
        side = 2 * wide / n
        x = (np.arange(n) - (n - 1) / 2) * side
        m = max(1, round(2 * high / side))
        y = (np.arange(m) - (m - 1) / 2) * side
        places = np.stack(np.meshgrid(x, y[::-1]), -1).reshape(-1, 2)
        # Keep tiles with their centre on the map, and not too close to its edge.
        places = places[((places / [wide, high]) ** 2).sum(-1) < 0.98]
        points = torch.from_numpy(maps.hammer_inverse(places)) * plane.radius_
        return points, places, np.full(len(places), _TILE_SIZE * side)
    if radius is None:
        # The radius sqrt(-2 log 0.05) contains 95 % of a standard normal in two dimensions.
        radius = min(math.sqrt(-2 * math.log(0.05)) * max(scales), _DISK_REACH * plane.radius_)
    return _disk_layout(plane, n, radius)


def _disk_layout(
    plane: ConstantCurvature, n: int, radius: float
) -> tuple[torch.Tensor, Array, Array]:
    """Geodesic polar grid: circles at equal steps, and tiles at equal steps on each circle."""
    R = plane.radius_
    step = radius / R / n
    tangent = [np.zeros((1, 2))]
    for ring in range(1, n + 1):
        count = max(4, int(2 * math.pi * math.sinh(ring * step) / (1.02 * step)))
        angles = 2 * math.pi * (np.arange(count) + 0.5 * (ring % 2)) / count
        tangent.append(ring * step * R * np.column_stack([np.cos(angles), np.sin(angles)]))
    points = plane.exp0(torch.from_numpy(np.concatenate(tangent)))
    places = maps.disk_places(plane, points.numpy())
    # In the disk lengths shrink by this factor. All tiles get the same hyperbolic size, the largest
    # for which no two of the upright squares overlap.
    shrink = (1 - (places**2).sum(-1)) / 2
    apart = np.abs(places[:, None] - places[None]).max(axis=-1)
    np.fill_diagonal(apart, np.inf)
    size = float((2 * apart / (shrink[:, None] + shrink[None])).min())
    return points, places, size * shrink
