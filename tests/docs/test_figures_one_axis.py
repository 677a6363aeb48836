"""What the figures on the axis of curvature claim, in numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from figures import one_axis as figures


@pytest.mark.parametrize("K", [-2.0, -0.5, 0.0, 0.5, 2.0])
def test_angles_follow_the_law_of_cosines(K: float) -> None:
    root = math.sqrt(abs(K))
    c = math.cos(root) if K > 0 else math.cosh(root)
    cosine = c / (1 + c)  # of the angle of a triangle with three sides 1; 1/2 in the plane
    np.testing.assert_allclose(figures.angle_sum(K), 3 * math.degrees(math.acos(cosine)), rtol=1e-9)


def test_circles_are_longer_in_hyperbolic_space_and_shorter_on_spheres() -> None:
    r = np.array([0.5, 1.0, 2.0])
    flat = figures.circumference(r, 0.0)
    np.testing.assert_allclose(flat, 2 * math.pi * r)
    np.testing.assert_allclose(figures.circumference(r, -1.0), 2 * math.pi * np.sinh(r))
    np.testing.assert_allclose(figures.circumference(r, 1.0), 2 * math.pi * np.sin(r), atol=1e-12)


@pytest.mark.parametrize("product", [-2.0, -0.3, 0.7, 2.0])
def test_curvature_times_the_scale_squared_is_all_that_counts(product: float) -> None:
    values = [figures.divergence(product / s**2, s, 500) for s in (0.5, 1.0, 2.0)]
    # The same draws in other units: equal up to the tables of the radius, which hold 1e-6.
    np.testing.assert_allclose(values, values[1], rtol=1e-6)


def test_the_flat_limit_is_the_gaussian_kl() -> None:
    at = {K: figures.divergence(K, 1.0, 20000) for K in (-1e-5, 0.0, 1e-5)}
    np.testing.assert_allclose([at[-1e-5], at[1e-5]], at[0.0], atol=1e-4)  # slope about 0.3 a unit
    exact = 0.5 * (1 + 2 * 0.3**2 - 2 - 2 * math.log(0.3**2))
    # log q - log p of one draw has a standard deviation of 0.96 here.
    assert abs(at[0.0] - exact) < 4 * 0.96 / math.sqrt(20000)


@pytest.mark.parametrize(("stem", "small"), [("e_spaces", {}), ("e_units", {"n_draws": 50})])
def test_figures_draw(stem: str, small: dict[str, Any]) -> None:
    assert len(figures.FIGURES[stem](**small).axes) == 2


def test_the_strip_draws(mnist: dict[str, np.ndarray]) -> None:
    assert len(figures.draw_strip(**mnist, curvatures=(0.0, 1.0), n_rows=300, epochs=1).axes) == 2
