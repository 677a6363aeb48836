"""What the figures on the crowded centre and the soap bubble claim, in numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from figures import sphere as figures
from scipy.stats import chi, kstest

SMALL: dict[str, Any] = {"n_rows": 800, "epochs": 2}


def test_a_place_costs_the_same_all_over_the_sphere_and_more_far_out_in_the_plane() -> None:
    r = np.linspace(0, math.pi, 9)
    plane, sphere = figures.price(r)
    np.testing.assert_allclose(plane - plane[0], r**2 / 2, atol=1e-12)
    np.testing.assert_allclose(sphere, sphere[0], rtol=1e-12)


def test_single_numbers_do_not_tell_the_two_clouds_apart() -> None:
    for cloud in figures.clouds(1500):
        assert kstest(cloud[:, 0], "norm").pvalue > 0.01


def test_lengths_lie_on_a_thin_shell() -> None:
    normal, sphere = figures.lengths()
    np.testing.assert_allclose(sphere, 1, rtol=1e-12)
    exact = chi(500)
    assert abs(normal.mean() - exact.mean() / math.sqrt(500)) < 4 * normal.std() / math.sqrt(5000)
    # The error of a standard deviation from n normal numbers is sd / sqrt(2 n).
    assert abs(normal.std() / exact.std() * math.sqrt(500) - 1) < 4 / math.sqrt(2 * 5000)
    assert abs(normal.std() - 1 / math.sqrt(2 * 500)) < 1e-3  # the rule of thumb of the page


@pytest.mark.parametrize("stem", ["b_question", "b_solution"])
def test_figures_draw(stem: str) -> None:
    assert figures.FIGURES[stem]().axes


def test_figures_of_mnist_draw(mnist: dict[str, np.ndarray]) -> None:
    assert figures.draw_maps(**mnist, **SMALL).axes
    assert figures.draw_price(**mnist, seeds=(0, 1), **SMALL).axes


def test_accuracies_are_shares(mnist: dict[str, np.ndarray]) -> None:
    found = figures.accuracies(**mnist, **SMALL)
    assert np.isclose(np.mean(found["quarters"]), found["plane"])
    assert 0.1 < found["plane"] < 1
    assert 0.1 < found["sphere"] < 1
