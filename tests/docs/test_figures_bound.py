"""What the figures on posterior, bound and gradient claim, in numbers."""

from __future__ import annotations

import numpy as np
import pytest
from figures import bound as figures
from scipy.special import ndtr


def test_the_posterior_is_prior_times_likelihood_with_integral_one() -> None:
    z, prior, likelihood, posterior, log_evidence = figures.toy()
    np.testing.assert_allclose(np.trapezoid(posterior, z), 1, rtol=1e-12)
    ratio = posterior / (prior * likelihood)
    np.testing.assert_allclose(ratio, np.exp(-log_evidence), rtol=1e-12)
    # A prior of scale 1 has all but this of its mass on the grid.
    assert 1 - np.trapezoid(prior, z) < 4 * ndtr(-8.0) + 1e-12


@pytest.mark.parametrize(("mean", "scale"), [(0.2, 0.3), (0.85, 0.32), (1.5, 0.9)])
def test_elbo_and_gap_add_up_to_log_evidence(mean: float, scale: float) -> None:
    found = figures.bound(mean, scale)
    # Two sums over the same grid, which differ by rounding alone.
    np.testing.assert_allclose(found["elbo"] + found["gap"], found["log_evidence"], atol=1e-9)
    assert found["gap"] > 0


def test_the_best_normal_comes_close_but_stays_below() -> None:
    best = figures.bound(*figures.best_normal())
    for mean, scale in [(0.9, 0.32), (0.8, 0.32), (0.85, 0.35), (0.85, 0.29)]:
        assert figures.bound(mean, scale)["elbo"] < best["elbo"] < best["log_evidence"]
    assert best["gap"] < 0.1


@pytest.mark.parametrize("dim", [1, 20])
def test_both_estimates_have_the_mean_of_the_gradient(dim: int) -> None:
    found = figures.gradients(dim, n_draws=50000, seed=1)
    for name in ("score", "pathwise"):
        error = found[name].std() / np.sqrt(50000)
        assert abs(found[name].mean() - found["exact"]) < 4 * error


def test_noise_grows_with_the_dimension_without_a_path_only() -> None:
    one, many = (figures.gradients(dim, n_draws=20000) for dim in (1, 50))
    assert many["score"].std() > 5 * one["score"].std()
    assert abs(many["pathwise"].std() / one["pathwise"].std() - 1) < 0.05
    assert many["score"].std() > 15 * many["pathwise"].std()


@pytest.mark.parametrize("stem", ["a_posterior", "a_bound"])
def test_figures_draw(stem: str) -> None:
    assert figures.FIGURES[stem]().axes


def test_the_figure_of_the_gradient_draws() -> None:
    assert len(figures.draw_gradient(n_draws=200).axes) == 2
