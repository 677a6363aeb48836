from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from skccvae.datasets import make_branching_diffusion
from skccvae.manifolds import Hyperbolic, Sphere
from skccvae.metrics import delta_hyperbolicity, pairwise_geodesic_distances


def cycle(n: int) -> np.ndarray:
    steps = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return np.minimum(steps, n - steps)


def by_definition(D: np.ndarray) -> float:
    """Gromov's four-point condition, four by four."""
    delta = 0.0
    for x, y, u, v in itertools.combinations(range(len(D)), 4):
        sums = sorted([D[x, y] + D[u, v], D[x, u] + D[y, v], D[x, v] + D[y, u]])
        delta = max(delta, (sums[2] - sums[1]) / 2)
    return delta


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_it_is_the_four_point_condition(dim: int) -> None:
    D = pairwise_distances(np.random.default_rng(dim).normal(size=(14, dim)))
    np.testing.assert_allclose(delta_hyperbolicity(D), by_definition(D), rtol=1e-12, atol=1e-14)


def test_a_tree_has_none() -> None:
    D = make_branching_diffusion(depth=5, random_state=0).tree_distances
    assert delta_hyperbolicity(D) == 0.0
    # A star with rays of any length, whose sums are rounded.
    rays = np.random.default_rng(0).random(30)
    D = rays[:, None] + rays
    np.fill_diagonal(D, 0)
    assert delta_hyperbolicity(D) == 0.0
    assert delta_hyperbolicity(D, relative=True) == 0.0


@pytest.mark.parametrize("n", range(4, 18))
def test_cycles(n: int) -> None:
    # n = 4p + e edges: p - 1/2 if e = 1, else p.
    expected = n // 4 - (0.5 if n % 4 == 1 else 0)
    assert delta_hyperbolicity(cycle(n)) == expected


def test_sphere_and_hyperbolic_plane() -> None:
    # Four points a quarter turn apart on a great circle are the worst of a sphere.
    circle = Sphere(2, 4.0)
    square = [[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]]
    rows = np.vstack([square, np.random.default_rng(0).normal(size=(50, 3))])
    D = pairwise_geodesic_distances(rows, manifold=circle)
    np.testing.assert_allclose(delta_hyperbolicity(D), math.pi / 4, rtol=1e-12)
    np.testing.assert_allclose(delta_hyperbolicity(D, relative=True), 1.0, rtol=1e-12)

    # In the hyperbolic plane the supremum is that of an ideal square, log 2 / sqrt(-K). Corners at
    # radius 8 / sqrt(-K) are exp(-16) from it.
    plane = Hyperbolic(2, -4.0)
    Z = np.random.default_rng(0).normal(size=(60, 2))
    Z = np.vstack([4 * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]]), Z])
    D = pairwise_geodesic_distances(Z, manifold=plane, coordinates="tangent")
    np.testing.assert_allclose(delta_hyperbolicity(D), math.log(2) / 2, rtol=1e-6)


def test_base_points_bound_it() -> None:
    D = pairwise_distances(np.random.default_rng(0).normal(size=(60, 3)))
    exact = delta_hyperbolicity(D)
    assert delta_hyperbolicity(D, n_samples=60) == delta_hyperbolicity(D, n_samples=99) == exact
    few = [delta_hyperbolicity(D, n_samples=1, random_state=seed) for seed in range(20)]
    assert exact / 2 <= min(few) < max(few) <= exact
    assert delta_hyperbolicity(D, n_samples=3, random_state=1) == delta_hyperbolicity(
        D, n_samples=3, random_state=1
    )


def test_the_unit_of_the_distances() -> None:
    D = pairwise_distances(np.random.default_rng(0).normal(size=(20, 3)))
    delta = delta_hyperbolicity(D)
    np.testing.assert_allclose(delta_hyperbolicity(1e-9 * D), 1e-9 * delta, rtol=1e-12)
    relative = delta_hyperbolicity(D, relative=True)
    np.testing.assert_allclose(relative, 2 * delta / D.max(), rtol=1e-12)
    np.testing.assert_allclose(delta_hyperbolicity(1e9 * D, relative=True), relative, rtol=1e-12)


def test_many_rows_take_ten_base_points() -> None:
    D = cycle(240)
    np.testing.assert_allclose(delta_hyperbolicity(D, random_state=0), 60.0)


@pytest.mark.parametrize("D", [[[0.0]], np.zeros((5, 5)), cycle(3)])
def test_few_points_and_no_distances(D) -> None:
    assert delta_hyperbolicity(D) == delta_hyperbolicity(D, relative=True) == 0.0


def test_noise_in_many_dimensions_misleads() -> None:
    rng = np.random.default_rng(0)
    relative = [
        delta_hyperbolicity(pairwise_distances(rng.normal(size=(80, dim))), relative=True)
        for dim in (2, 10, 100, 1000)
    ]
    assert relative == sorted(relative, reverse=True)
    assert relative[-1] < 0.15
