"""The negative binomial likelihood: SciPy's, its Poisson limit, and float32."""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats

from skccvae.nn import NegativeBinomialLikelihood
from skccvae.nn.likelihoods._counts import (
    large_negative_binomial_log_prob,
    negative_binomial_log_prob,
    poisson_log_prob,
)

COUNTS = np.array([0, 1, 2, 3, 7, 20, 150, 1000])


def log_prob(x, mean, size, dtype=torch.float64):
    numbers = [torch.tensor(v).to(dtype) for v in (np.double(x), *np.log([mean, size]))]
    return negative_binomial_log_prob(*numbers).double().numpy()


def exact(x, mean, size):
    """At 50 digits, from logarithms in float32."""
    with mpmath.workdps(50):
        x = mpmath.mpf(int(x))
        mean, size = (mpmath.exp(mpmath.mpf(float(np.float32(np.log(v))))) for v in (mean, size))
        gammas = mpmath.loggamma(x + size) - mpmath.loggamma(size) - mpmath.loggamma(x + 1)
        p = mean / (mean + size)
        return float(gammas + size * mpmath.log(1 - p) + x * mpmath.log(p))


@pytest.mark.parametrize("size", [1e-3, 0.5, 10.0, 15.99, 16.01, 300.0])
@pytest.mark.parametrize("mean", [1e-4, 0.7, 12.0, 400.0])
def test_against_scipy(mean, size):
    expected = stats.nbinom(size, size / (size + mean)).logpmf(COUNTS)
    np.testing.assert_allclose(log_prob(COUNTS, mean, size), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [3e-7, 1.0, 16.0, 1e4, 1e6, 3e6])
@pytest.mark.parametrize("mean", [1e-3, 3.0, 500.0])
def test_float32_keeps_the_digits_of_the_terms(mean, size):
    """Errors of a few units in the last place of the largest terms, x log(mu) and log(x!)."""
    for x in COUNTS:
        largest = 1 + mean + x * max(1.0, abs(math.log(mean)), abs(math.log(size)))
        largest = largest if size < 16 else 1 + mean + x * max(1.0, abs(math.log(mean)), 7.0)
        found = log_prob(x, mean, size, torch.float32)
        assert float(found) == pytest.approx(exact(x, mean, size), abs=1e-6 * largest)


def test_large_sizes_are_poisson():
    counts = np.arange(40)
    for size, error in ((1e4, 2e-2), (1e6, 2e-4), (1e9, 2e-7)):
        found = log_prob(counts, 6.0, size)
        # To first order the two differ by (mu - (x - mu)^2 + x - mu) / (2 r).
        np.testing.assert_allclose(found, stats.poisson(6.0).logpmf(counts), atol=error * 4)
    found = log_prob(counts, 6.0, 1e6, torch.float32)
    np.testing.assert_allclose(found, stats.poisson(6.0).logpmf(counts), atol=6e-4)


@pytest.mark.parametrize("raw", [-20.0, 0.0, 4.0])
def test_it_sums_to_one_with_its_mean_and_variance(raw):
    likelihood = NegativeBinomialLikelihood(1).double()
    counts = torch.arange(6000, dtype=torch.float64)[:, None]
    outputs = torch.tensor([[raw]], dtype=torch.float64)
    with torch.no_grad():
        p = likelihood.log_prob(outputs, counts).exp()
        mean, size = float(likelihood.mean(outputs)), float(likelihood.size())
    assert size == pytest.approx(10.0, rel=1e-6)
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-9)
    found = float((counts[:, 0] * p).sum())
    assert found == pytest.approx(mean, rel=1e-9)
    spread = float(((counts[:, 0] - mean) ** 2 * p).sum())
    assert spread == pytest.approx(mean + mean**2 / size, rel=1e-6)


@pytest.mark.parametrize("raw_size", [-1e4, -15.0, 0.0, 2.0, 1e4])
@pytest.mark.parametrize("output", [-1e4, 0.0, 1e4])
def test_values_and_gradients_are_finite_in_float32(output, raw_size):
    likelihood = NegativeBinomialLikelihood(3)
    with torch.no_grad():
        likelihood.raw_size.fill_(raw_size)
    outputs = torch.full((1, 3), output, requires_grad=True)
    value = likelihood.log_prob(outputs, torch.tensor([[0.0, 1.0, 1e6]])).sum()
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(outputs.grad).all()
    assert torch.isfinite(likelihood.raw_size.grad).all()


@pytest.mark.parametrize("size", [0.4, 15.0, 17.0, 1e5])
def test_gradients_against_differences(size):
    numbers = torch.tensor([0.8, math.log(size)], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda v: negative_binomial_log_prob(x, v[0], v[1]), (numbers,), atol=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.3, 10.0, 15.9, 16.1, 1e3, 3e6, None])
def test_large_counts_keep_their_digits(size, dtype):
    """To the rounding of the logarithms, times their derivatives; None is the Poisson law.

    Below 16 there are terms of the order of log(15!), 28.
    """
    for x, ratio in itertools.product((0, 3, 15, 16, 40, 1000, 10**5, 5 * 10**7), (0.1, 0.999, 3)):
        mean = max(x, 1) * ratio
        if size is None:
            found = poisson_log_prob(*tensors(dtype, x, np.log(mean)))
            expected, share, cost = exact_poisson(x, mean), 1.0, 0.0
        else:
            numbers = tensors(dtype, x, np.log(mean), np.log(size))
            found = large_negative_binomial_log_prob(*numbers)
            expected, share = exact(x, mean, size), min(1.0, size / mean)
            cost = size if size < 16 else 0.0
        logarithm = 1 + math.log(x + 2)
        error = 40 + abs(expected) + (abs(x - mean) * share + cost) * logarithm
        assert float(found) == pytest.approx(expected, abs=8 * torch.finfo(dtype).eps * error)


def tensors(dtype, *numbers):
    """Numbers of float32 in a dtype, so that both dtypes see the same ones."""
    return [torch.tensor(float(np.float32(number)), dtype=dtype) for number in numbers]


def exact_poisson(x, mean):
    with mpmath.workdps(50):
        log_mean = mpmath.mpf(float(np.float32(np.log(mean))))
        return float(x * log_mean - mpmath.exp(log_mean) - mpmath.loggamma(mpmath.mpf(x) + 1))
