"""What the figures on draws from the von Mises-Fisher law claim, in numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats


@pytest.mark.parametrize("m", [2, 3, 41])
def test_draws_have_the_mean_cosine_of_the_bessel_functions(m: int) -> None:
    from figures.draws import mean_cosines

    for found in mean_cosines(m, n_draws=2000):
        assert abs(found.mean - found.exact) < 4 * found.error


@pytest.mark.parametrize(("kappa", "m"), [(2.0, 3), (10.0, 11), (200.0, 41)])
def test_density_of_the_cosine_is_normalised_by_the_bessel_function(kappa: float, m: int) -> None:
    from figures.draws import cosine_density

    w = np.array([0.1, 0.5, 0.9])
    v = m / 2 - 1
    log_constant = v * math.log(kappa / 2) - math.log(special.ive(v, kappa)) - kappa
    log_constant -= math.lgamma(m / 2 - 0.5) + 0.5 * math.log(math.pi)
    exact = np.exp(log_constant + kappa * w) * (1 - w**2) ** (0.5 * (m - 3))
    np.testing.assert_allclose(cosine_density(w, kappa, m), exact, rtol=1e-6)


def test_the_mirror_takes_the_first_axis_to_mu_and_turns_twice_round_it() -> None:
    from figures.draws import mirror, turns

    mu = np.array([0.6, 0.0, 0.8])
    np.testing.assert_allclose(mirror(np.eye(3)[:1], mu)[0], mu, atol=1e-15)
    images = mirror(np.eye(3), mu)
    np.testing.assert_allclose(images @ images.T, np.eye(3), atol=1e-15)
    for angle in (0.1, 1e-3):
        assert abs(abs(turns(angle)) - 2) < 1e-9


@pytest.mark.parametrize("kappa", [2.0, 10.0, 40.0])
def test_quantiles_and_their_slopes_agree_with_quadrature(kappa: float) -> None:
    from figures.draws import cosine_quantiles

    scores = np.linspace(-3, 3, 13)
    found = cosine_quantiles(scores, kappa, 11)
    # the accuracy of the tables, see RadialQuantile
    np.testing.assert_allclose(found.probability, stats.norm.cdf(scores), atol=1e-6)
    np.testing.assert_allclose(found.slope, found.implicit, rtol=2e-6)


@pytest.mark.parametrize(("m", "kappa"), [(2, 2.0), (5, 5.0), (41, 30.0)])
def test_wood_accepts_as_often_as_quadrature_says_and_keeps_the_law(m: int, kappa: float) -> None:
    from figures.draws import cosine_density
    from figures.rejection import accepted_share, propose

    found = propose(kappa, m, n_proposals=20000, seed=1)
    share = accepted_share(kappa, m)
    error = math.sqrt(share * (1 - share) / 20000)
    assert abs(found.accepted.mean() - share) < 4 * error
    kept = found.cosine[found.accepted]
    grid = np.cos((np.arange(20000) + 0.5) * math.pi / 20000)
    weight = cosine_density(grid, kappa, m) * np.sqrt(1 - grid**2) * math.pi / 20000
    assert abs(kept.mean() - weight @ grid) < 4 * kept.std() / math.sqrt(len(kept))


def test_wood_accepts_more_than_65_of_100_proposals() -> None:
    from figures.rejection import accepted_share

    grid = np.geomspace(0.01, 1e4, 25)
    assert min(accepted_share(kappa, m) for m in (2, 3, 5, 11, 41, 101) for kappa in grid) > 0.65
    assert round(accepted_share(5.0, 5), 3) == 0.823


@pytest.mark.parametrize("m", [2, 11, 41])
def test_the_naive_gradient_is_biased_and_the_corrected_one_is_not(m: int) -> None:
    from figures.rejection import estimates, exact_slopes

    kappa = {2: 2.0, 11: 8.0, 41: 30.0}[m]
    found = estimates(kappa, m, n_draws=40000, seed=0)
    limit = exact_slopes(kappa, m)
    # The midpoint rule in the angle is exact to rounding for these periodic functions.
    assert limit.corrected == pytest.approx(limit.exact, rel=1e-9)
    for name in ("corrected", "quantile"):
        assert abs(found[name].mean - limit.exact) < 4 * found[name].error
    assert abs(found["naive"].mean - limit.naive) < 4 * found["naive"].error
    assert abs(found["naive"].mean - limit.exact) > 6 * found["naive"].error


def test_biases_that_the_page_names() -> None:
    from figures.rejection import exact_slopes

    def bias(kappa: float, m: int, name: str = "naive") -> float:
        found = exact_slopes(kappa, m)
        return round(100 * (getattr(found, name) / found.exact - 1), 1)

    assert (bias(1.75, 2), bias(8.2, 11), bias(27.5, 41)) == (-49.3, -7.5, -1.9)
    assert bias(10.01, 41, "switched") < -1000
    assert 110 < bias(11.1, 41, "switched") < 120
    assert bias(9.99, 41, "switched") == bias(9.99, 41)


def test_one_scale_pays_for_directions_that_are_not_used() -> None:
    from figures.concentration import prices

    few, all_of_them = prices(5, n_draws=1000), prices(40, n_draws=1000)
    assert few.von_mises_fisher == all_of_them.von_mises_fisher == pytest.approx(48.96, abs=0.01)
    assert few.projected == pytest.approx(5.83, abs=0.02)
    assert all_of_them.projected == pytest.approx(47.67, abs=0.02)
    for found in (few, all_of_them):  # the Gaussian model's is a bound
        assert found.projected + 4 * found.projected_error < found.gaussian
    # standard deviations of 1000 draws are known to 2.3 %
    np.testing.assert_allclose(few.spread_von_mises_fisher[5:], 0.3, rtol=0.1)
    np.testing.assert_allclose(few.spread_projected[5:], 1.0, rtol=0.1)
    np.testing.assert_allclose(few.spread_projected[:5], 0.316, rtol=0.1)


@pytest.mark.parametrize("m", [3, 11, 41])
def test_limits_of_the_divergence_and_of_its_bessel_functions(m: int) -> None:
    from figures.concentration import divergence, log_bessel, ratio

    small, large = np.array([1e-3]), np.array([1e5])
    # The next terms are smaller by kappa^2 and by m^2 / kappa.
    for function, argument in ((divergence, m), (log_bessel, m / 2 - 1), (ratio, m)):
        np.testing.assert_allclose(
            function(small, argument).small, function(small, argument).exact, rtol=1e-6
        )
        np.testing.assert_allclose(
            function(large, argument).large, function(large, argument).exact, atol=m**2 / 1e5
        )


@pytest.mark.parametrize("name", ["draws", "rejection", "concentration"])
def test_figures_are_drawn_small(name: str) -> None:
    import importlib
    import inspect

    small = {"n_draws": 50, "n_proposals": 50, "n_curve": 5}
    for draw in importlib.import_module(f"figures.{name}").FIGURES.values():
        known = inspect.signature(draw).parameters
        figure = draw(**{key: value for key, value in small.items() if key in known})
        assert all(ax.get_title() for ax in figure.axes)
