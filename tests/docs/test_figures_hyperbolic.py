"""What the figures on hyperbolic space claim, in numbers."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch

from skccvae.distributions import WrappedNormal
from skccvae.manifolds import Euclidean, Hyperbolic, Sphere


def test_geodesics_of_the_disk_are_circles_orthogonal_to_the_rim() -> None:
    from figures.hyperbolic import SPACE, at, off_the_circle, on_disk, side

    for a, b in ((0.3, 1.2), (1.8, 3.6), (3.9, 5.4)):
        assert off_the_circle(on_disk(side(SPACE, at(4.0, a), at(4.0, b)))) < 1e-12


def test_three_ways_have_the_lengths_that_the_page_names() -> None:
    from figures.hyperbolic import ways

    (geodesic, shortest), (_, detour), (_, straight) = ways()
    exact = math.acosh(math.cosh(3) ** 2 - math.sinh(3) ** 2 * math.cos(1.8))
    assert shortest == pytest.approx(exact, rel=1e-9)
    assert [round(length, 2) for length in (shortest, detour, straight)] == [5.51, 6.0, 6.21]
    assert len(geodesic) == 101


@pytest.mark.parametrize("K", [1.0, 0.0, -1.0])
def test_the_area_is_the_integral_of_the_circumference(K: float) -> None:
    from figures.hyperbolic import room

    nodes, weights = np.polynomial.legendre.leggauss(40)
    integral = 1.5 * weights @ room(1.5 * (nodes + 1), K).circumference
    assert room(np.array([3.0]), K).area[0] == pytest.approx(integral, rel=1e-12)


@pytest.mark.parametrize("K", [1.0, 0.0, -1.0])
@pytest.mark.parametrize("length", [0.3, 1.6])
def test_the_excess_of_a_triangle_is_its_curvature_times_its_area(K: float, length: float) -> None:
    from figures.hyperbolic import triangle
    from figures.wrapped import round_trip

    found = triangle(K, length)
    corners, space = found.corners, round_trip(K, length).space
    assert float(space.dist(corners[0], corners[1])) == pytest.approx(length, rel=1e-12)
    # The trapezoidal rule with 4000 steps leaves about 1e-7 of the area.
    assert found.angles.sum() - math.pi == pytest.approx(K * found.area, abs=1e-6)
    assert round_trip(K, length).angle == pytest.approx(K * found.area, abs=1e-6)


def test_the_three_steps_are_the_draw_of_the_package() -> None:
    from figures.hyperbolic import at
    from figures.wrapped import steps, total_mass

    noise = torch.as_tensor(np.random.default_rng(0).standard_normal((50, 2)))
    found = steps(noise, at(1.2, 0.9))
    torch.testing.assert_close(found.points, found.law.rsample_from_noise(noise))
    torch.testing.assert_close(
        found.law.manifold.norm(found.law.loc, found.carried), found.tangent.norm(dim=-1)
    )
    # Midpoints resolve the narrow scale of 0.25 with 64 angles to about 1e-4.
    assert total_mass(found.law) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_sum_over_preimages_has_mass_one_and_its_first_term_less(scale: float) -> None:
    from figures.wrapped import mass_of_shortest, preimage_densities, total_mass

    space = Sphere(2)
    law = WrappedNormal(space.origin(dtype=torch.float64), scale, space)
    # The package leaves out terms of 1e-6. The midpoint rule leaves 2e-5 at the pole.
    assert total_mass(law, reach=math.pi) == pytest.approx(1, abs=1e-4)
    theta = np.linspace(0.3, 3.0, 7)
    there = space.exp0(torch.as_tensor(np.stack([theta, 0 * theta], -1)))
    terms = preimage_densities(theta, scale, turns=6)
    np.testing.assert_allclose(terms.sum(0), law.log_prob(there).exp(), rtol=1e-6)
    middle = (np.arange(2000) + 0.5) * math.pi / 2000
    first = preimage_densities(middle, scale)[3] * 2 * math.pi * np.sin(middle) * math.pi / 2000
    assert first.sum() == pytest.approx(mass_of_shortest(scale), abs=1e-6)
    assert mass_of_shortest(2.0) == pytest.approx(0.709, abs=1e-3)


def test_distances_of_the_tree() -> None:
    from figures.tree import tree_distances

    between = tree_distances(3)
    assert between[0].tolist() == [0] + [1] * 2 + [2] * 4 + [3] * 8
    assert between[7, 8] == 2
    assert between[7, 14] == between.max() == 6
    np.testing.assert_array_equal(between, between.T)


def test_a_tree_is_distorted_less_in_the_disk_than_in_the_plane() -> None:
    from figures.tree import embed, least_distortion_in_the_plane

    curved, flat = (embed(space, 4) for space in (Hyperbolic(2), Euclidean(2)))
    assert (round(curved.mean, 3), round(flat.mean, 3)) == (0.024, 0.151)
    assert curved.worst < 1.3 < 3.0 < flat.worst
    assert flat.worst >= least_distortion_in_the_plane(4)


@pytest.mark.parametrize("name", ["hyperbolic", "wrapped", "tree"])
def test_figures_are_drawn_small(name: str) -> None:
    small = {"d_tree": {"depth": 2, "depths": (1, 2), "n_steps": 5}, "d_wrapped": {"n_draws": 20}}
    for stem, draw in importlib.import_module(f"figures.{name}").FIGURES.items():
        figure = draw(**small.get(stem, {}))
        assert all(ax.get_title() for ax in figure.axes)
