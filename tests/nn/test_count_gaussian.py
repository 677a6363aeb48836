"""Noise of counts that leaves the total of a row: a density, its moments, and how it is found."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from skccvae.nn import CountGaussianLikelihood, IsotropicGaussianLikelihood, observed_log_prob

COUNTS = torch.tensor(np.random.default_rng(0).poisson(0.4, (400, 6)), dtype=torch.float64)


def likelihood_of(x, scale=1.0):
    found = CountGaussianLikelihood(x.shape[1], torch.full((x.shape[1],), scale)).double()
    found.learn_units(x)
    return found


def test_the_density_is_that_of_a_normal_law_with_a_quieter_total():
    unit = 0.5
    likelihood = likelihood_of(COUNTS / unit, unit)
    outputs = torch.zeros(6, dtype=torch.float64) + 0.1
    gain, sigma, p = float(likelihood.gain), unit * likelihood.scale()[0].item(), 6
    assert gain > 1.2
    covariance = sigma**2 * (np.eye(p) - (1 - gain**-2) / p)
    expected = multivariate_normal(unit * outputs.numpy(), covariance).logpdf(COUNTS.numpy())
    with torch.no_grad():
        rows = likelihood.log_prob(outputs, COUNTS / unit)
        terms = likelihood.log_prob_terms(outputs, COUNTS / unit).sum(-1)
        law = likelihood.distribution(outputs).log_prob(COUNTS / unit) - p * math.log(unit)
    for found in (rows, terms, law):
        np.testing.assert_allclose(found, expected, rtol=1e-6)  # log of the scale is float32


def test_totals_get_the_mean_square_that_they_have_without_centring():
    totals = COUNTS.sum(1)
    centred = COUNTS - COUNTS.mean(0)
    likelihood = likelihood_of(centred)
    assert float(likelihood.gain) ** 2 == pytest.approx(
        float(totals.square().mean() / totals.var(correction=0)), rel=1e-5
    )
    inflated = likelihood.noise_units(centred).sum(1).square().mean()
    assert float(inflated) == pytest.approx(float(totals.square().mean()), rel=1e-5)
    across = torch.tensor([1.0, -1.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    assert torch.equal(likelihood.noise_units(across), across)


@pytest.mark.parametrize("rows", ["one total", "zeros", "untold"])
def test_without_totals_that_differ_it_is_isotropic(rows):
    x = torch.zeros(4, 3)
    if rows != "zeros":
        x = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 3.0]])
    one, other = CountGaussianLikelihood(3), IsotropicGaussianLikelihood(3)
    if rows != "untold":
        one.learn_units(x / 7)
    assert float(one.gain) == 1.0
    outputs = torch.zeros(4, 3)
    with torch.no_grad():
        torch.testing.assert_close(one.log_prob(outputs, x), other.log_prob(outputs, x))
        torch.testing.assert_close(
            one.distribution(outputs).log_prob(x), other.distribution(outputs).log_prob(x)
        )


def test_a_total_is_known_no_better_than_a_column():
    x = COUNTS.clone()
    x[:, 0] += 1000 - x.sum(1)  # all totals are 1000
    x[0, 0] += 1  # but for one
    assert float(likelihood_of(x).gain) == pytest.approx(math.sqrt(7))


def test_the_first_noise_is_that_of_both_the_total_and_the_rest():
    """Of rows drawn from the law itself, the scale that a start finds is the law's."""
    likelihood = likelihood_of(COUNTS)
    likelihood.raw_scale.data.fill_(-0.02)
    scale = float(likelihood.scale()[0])
    torch.manual_seed(1)
    rows = likelihood.distribution(torch.zeros(20000, 6, dtype=torch.float64)).sample()
    likelihood.start_noise(torch.zeros_like(rows), rows, 0.0)
    # 120 000 squares: a relative standard error of the scale of 0.2 %.
    assert float(likelihood.scale()[0]) == pytest.approx(scale, rel=0.01)


def test_what_was_observed_has_the_marginal_density():
    x = torch.from_numpy(np.random.default_rng(4).poisson(0.7, (300, 6))).float()
    likelihood = CountGaussianLikelihood(6, torch.full((6,), 2.0)).double()
    likelihood.learn_units(x / 2)
    gain, sigma = float(likelihood.gain), float(likelihood.scale()[0].detach())
    assert gain > 1.2
    covariance = (2 * sigma) ** 2 * (np.eye(6) - (1 - gain**-2) / 6)
    rows, outputs = (x[:5] / 2).double(), torch.randn(5, 6, dtype=torch.float64)
    for k in range(7):
        seen = np.arange(6) < k
        holes = rows.masked_fill(torch.from_numpy(~seen), torch.nan)
        found = observed_log_prob(likelihood, outputs, holes)
        if k == 0:
            assert (found == 0).all()
            continue
        expected = [
            multivariate_normal(2 * m[seen].numpy(), covariance[np.ix_(seen, seen)]).logpdf(
                2 * r[seen].numpy()
            )
            for m, r in zip(outputs, rows, strict=True)
        ]
        np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-6)
    whole = likelihood.log_prob(outputs, rows)
    torch.testing.assert_close(observed_log_prob(likelihood, outputs, rows), whole)


def test_a_large_gain_loses_no_digits_when_nothing_is_missing():
    p = 2048
    likelihood = CountGaussianLikelihood(p)
    likelihood.gain.fill_(math.sqrt(1 + p))
    rng = torch.Generator().manual_seed(0)
    # As in scores: numbers in float64, a gain in float32.
    outputs = torch.zeros(20, p, dtype=torch.float64)
    x = 0.3 * torch.randn(20, p, dtype=torch.float64, generator=rng)
    found = observed_log_prob(likelihood, outputs, x)
    torch.testing.assert_close(found, likelihood.log_prob(outputs, x), rtol=0, atol=1e-9)


def test_missing_counts_depend_on_the_observed_total():
    x = torch.from_numpy(np.random.default_rng(4).poisson(0.7, (300, 6))).float()
    likelihood = CountGaussianLikelihood(6).double()
    likelihood.learn_units(x)
    gain, sigma = float(likelihood.gain), float(likelihood.scale()[0].detach())
    covariance = sigma**2 * (np.eye(6) - (1 - gain**-2) / 6)
    means, row = torch.randn(6, dtype=torch.float64), x[:1].double()
    seen = np.array([True, True, False, True, False, True])
    holes = row.masked_fill(torch.from_numpy(~seen), torch.nan)
    slope = covariance[np.ix_(~seen, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    expected = means[~seen].numpy() + slope @ (row[0] - means)[seen].numpy()
    found = likelihood.given_observed(means[None], holes)[0][~seen]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    # Draws have the conditional covariance, 200 000 of them to about a per cent.
    torch.manual_seed(0)
    draws = likelihood.distribution(means.expand(200_000, 1, 6)).sample()
    spread = np.cov(likelihood.given_observed(draws, holes)[:, 0][:, ~seen].numpy().T)
    rest = covariance[np.ix_(~seen, ~seen)] - slope @ covariance[np.ix_(seen, ~seen)]
    np.testing.assert_allclose(spread, rest, atol=0.02 * sigma**2)
