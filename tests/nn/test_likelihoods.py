"""Likelihoods: normalised, equal to their distributions, finite at the extremes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from skccvae.nn import (
    LIKELIHOODS,
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    PoissonLikelihood,
)

LOGITS = (-30.0, -4.0, -0.3, -1e-4, 0.0, 1e-6, 0.02, 1.0, 12.0, 80.0)


def density(likelihood, output, x):
    outputs = torch.tensor([[output]], dtype=torch.float64)
    row = torch.as_tensor(x, dtype=torch.float64).reshape(-1, 1)
    with torch.no_grad():
        return likelihood.double().log_prob(outputs.expand_as(row), row).exp().numpy()


@pytest.mark.parametrize("logit", LOGITS)
def test_continuous_bernoulli_integrates_to_one(logit):
    likelihood = ContinuousBernoulliLikelihood(1)
    total, _ = integrate.quad(
        lambda x: density(likelihood, logit, x)[0], 0, 1, points=[0.01, 0.99], epsabs=1e-11
    )
    assert total == pytest.approx(1.0, abs=1e-9)
    mean, _ = integrate.quad(
        lambda x: x * density(likelihood, logit, x)[0], 0, 1, points=[0.01, 0.99], epsabs=1e-11
    )
    found = float(likelihood.mean(torch.tensor([[logit]], dtype=torch.float64)))
    assert found == pytest.approx(mean, abs=1e-9)


@pytest.mark.parametrize("raw", [-20.0, -3.0, 0.0, 2.0, 5.0])
def test_poisson_sums_to_one_with_its_mean(raw):
    likelihood = PoissonLikelihood(1)
    rate = 15 * math.tanh(raw / 15)
    counts = np.arange(0, 2000)
    p = density(likelihood, raw, counts)
    assert p.sum() == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(p, stats.poisson(math.exp(rate)).pmf(counts), atol=1e-12)
    mean = float(likelihood.mean(torch.tensor([[raw]], dtype=torch.float64)))
    assert mean == pytest.approx((counts * p).sum(), rel=1e-6)


@pytest.mark.parametrize("output", [-2.0, 0.0, 0.7])
@pytest.mark.parametrize("unit", [1e-6, 1.0, 30.0])
def test_a_gaussian_is_a_density_of_the_users_rows(output, unit):
    """Rows arrive divided by ``unit``; the density is one of the rows before that."""
    likelihood = GaussianLikelihood(1, torch.tensor([unit], dtype=torch.float64))
    with torch.no_grad():
        likelihood.raw_scale += 0.04
    total, _ = integrate.quad(
        lambda x: density(likelihood, output, x / unit)[0],
        unit * (output - 15),
        unit * (output + 15),
        epsabs=1e-12,
        points=[unit * output],
    )
    assert total == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("logit", LOGITS)
def test_bernoulli_sums_to_one(logit):
    p = density(BernoulliLikelihood(1), logit, [0.0, 1.0])
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    mean = float(BernoulliLikelihood(1).mean(torch.tensor([[logit]], dtype=torch.float64)))
    assert mean == pytest.approx(p[1], rel=1e-9)


def test_grey_values_give_the_soft_cross_entropy():
    logit, x = 0.8, 0.3
    p = 1 / (1 + math.exp(-logit))
    expected = x * math.log(p) + (1 - x) * math.log(1 - p)
    assert math.log(density(BernoulliLikelihood(1), logit, x)[0]) == pytest.approx(expected)


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_the_fast_formula_is_the_distributions(name):
    torch.manual_seed(0)
    likelihood = LIKELIHOODS[name](4).double()
    outputs = torch.randn(3, 5, likelihood.n_outputs, dtype=torch.float64)
    rows = torch.rand(5, 4, dtype=torch.float64).round()
    if name.endswith("gaussian"):
        rows = torch.randn(5, 4, dtype=torch.float64)
    found = likelihood.log_prob(outputs, rows)
    assert found.shape == (3, 5)
    distribution = likelihood.distribution(outputs)
    assert distribution.event_shape == (4,)
    torch.testing.assert_close(found, distribution.log_prob(rows), rtol=1e-6, atol=1e-6)
    # torch's mean of a continuous Bernoulli is good to 1e-5 near 1/2 only.
    tolerance = 1e-4 if name == "continuous_bernoulli" else 1e-9
    torch.testing.assert_close(
        likelihood.mean(outputs), distribution.mean, rtol=tolerance, atol=tolerance
    )
    torch.testing.assert_close(
        likelihood.total_log_prob(outputs[0], rows), found[0].sum(), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_values_and_gradients_are_finite_in_float32_at_the_extremes(name):
    likelihood = LIKELIHOODS[name](3)
    for size in (0.0, 1e-30, 1e-3, 1.0, 50.0, 1e4):
        outputs = torch.tensor([[size, -size, 0.0]]).repeat(1, likelihood.n_outputs // 3)
        outputs.requires_grad_()
        for row in ([0.0, 1.0, 1.0], [1.0, 0.0, 0.0]):
            value = likelihood.log_prob(outputs, torch.tensor([row]))
            assert torch.isfinite(value).all()
            (gradient,) = torch.autograd.grad(value.sum(), outputs)
            assert torch.isfinite(gradient).all()
            assert torch.isfinite(likelihood.mean(outputs)).all()


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_gradients_against_differences(name):
    likelihood = LIKELIHOODS[name](3).double()
    outputs = torch.tensor([[0.0, -1.3, 2.0]], dtype=torch.float64)
    outputs = outputs.repeat(1, likelihood.n_outputs // 3).requires_grad_()
    rows = torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda o: likelihood.log_prob(o, rows), (outputs,))


def test_the_scale_of_a_gaussian_cannot_vanish():
    likelihood = GaussianLikelihood(2)
    np.testing.assert_allclose(likelihood.scale().detach(), 1.0, rtol=1e-6)
    with torch.no_grad():
        likelihood.raw_scale -= 1e4
    assert (likelihood.scale() >= 0.01).all()
    assert torch.isfinite(likelihood.log_prob(torch.zeros(1, 2), torch.zeros(1, 2)))
