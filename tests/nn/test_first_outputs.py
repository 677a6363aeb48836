"""What a first decoder should return: the outputs that a likelihood names for rows."""

from __future__ import annotations

import math

import pytest
import torch

from skccvae.nn import (
    LIKELIHOODS,
    ContinuousBernoulliLikelihood,
    DiscretizedLogisticLikelihood,
    NegativeBinomialLikelihood,
    PoissonLikelihood,
)

# Values of a constant column, in model units, and how far the mean may be from them.
CONSTANT = {
    "bernoulli": ([0.01, 0.3, 0.9], 1e-6),
    "gaussian": ([-2.0, 0.0, 1.5], 0.0),
    "isotropic_gaussian": ([-2.0, 0.0, 1.5], 0.0),
    "count_gaussian": ([-2.0, 0.0, 1.5], 0.0),
    # Cohen's inverse of Langevin's function is exact to 5 %, of a logit with slope at most 1/12 and
    # up to l (l / 12) in all: at l = 5 that is 0.02.
    "continuous_bernoulli": ([0.03, 0.2, 0.5, 0.7, 0.96], 0.02),
    "poisson": ([0.01, 1.0, 7.0, 9e4], 1e-3),  # relative: logarithms of float32
    "negative_binomial": ([0.01, 1.0, 7.0, 9e4], 1e-3),
    # 0.5 is the mean of levels around 0.5; near the ends the first scale is wider than the range.
    "discretized_logistic": ([0.4, 0.5, 0.6], 0.02),
}


@pytest.mark.parametrize("name", list(CONSTANT))
def test_they_reproduce_constant_columns(name):
    values, tolerance = CONSTANT[name]
    x = torch.tensor(values).expand(4, -1)
    likelihood = LIKELIHOODS[name](len(values))
    outputs = likelihood.start_outputs(x)
    assert outputs.shape == (4, likelihood.n_outputs)
    assert outputs.dtype == torch.float32
    relative = x.abs() if "oiss" in name or "neg" in name else torch.ones_like(x)
    assert ((likelihood.mean(outputs) - x).abs() <= tolerance * relative).all()


@pytest.mark.parametrize("name", list(CONSTANT))
def test_they_grow_with_the_rows(name):
    x = torch.linspace(0, 1, 11)[:, None] * (1 if LIKELIHOODS[name].support[1] == 1 else 8)
    outputs = LIKELIHOODS[name](1).start_outputs(x)
    assert (outputs.diff(dim=0) > 0).all()


@pytest.mark.parametrize("kind", [PoissonLikelihood, NegativeBinomialLikelihood])
def test_counts_of_any_size(kind):
    x = torch.tensor([[0.0, 0.0, 3e8], [0.0, 5.0, 1e8]])
    units = torch.tensor([1.0, 1.0, 2e8])
    likelihood = kind(3, units)
    outputs = likelihood.start_outputs(x)
    assert outputs.isfinite().all()
    mean = likelihood.mean(outputs)
    assert mean[:, 0].max() < 0.01
    torch.testing.assert_close(mean[:, 2], (x[:, 2] + 5e7) / 1.25, rtol=1e-5, atol=0)
    # a quarter of the column mean is added: (5 + 2.5 / 4) / (5 / 4)
    assert mean[:, 1].tolist() == pytest.approx([0.5, 4.5], rel=1e-5)


def test_dark_columns_have_bounded_logits():
    x = torch.zeros(100, 2)
    x[0] = 1
    outputs = ContinuousBernoulliLikelihood(2).start_outputs(x)
    assert outputs.abs().max() < 100
    assert outputs.isfinite().all()


def test_learned_scales_start_at_what_outputs_leave():
    generator = torch.Generator().manual_seed(0)
    grey = (0.5 + torch.randn(3000, 2, generator=generator) * torch.tensor([0.02, 0.2])).clamp(0, 1)
    likelihood = DiscretizedLogisticLikelihood(2)
    likelihood.start_noise(torch.zeros(3000, 2), grey, 0.1)
    # A normal variable of deviation s is likeliest under a logistic of scale about s / 1.7; the
    # values that are tried are a factor 1.5 apart.
    found = likelihood.scale().detach() * 1.7 / torch.tensor([0.02, 0.2])
    assert (found.log().abs() < math.log(1.5)).all()

    mean = torch.full((3000, 2), 20.0)
    rates = torch.distributions.Gamma(2.0, 2.0 / mean[:, 0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        counts = torch.poisson(torch.stack([rates.sample(), mean[:, 1]], dim=1))
    likelihood = NegativeBinomialLikelihood(2)
    likelihood.start_noise(mean.log(), counts, 0.1)
    size = likelihood.size().tolist()
    assert 1 < size[0] < 4  # they are a factor 1.8 apart
    assert size[1] > 200  # the Poisson's, within the noise of a thousand rows
    before = [p.clone() for p in likelihood.parameters()]
    likelihood.start_noise(mean.log(), counts[:1].expand(3000, -1), 1.0)
    for old, new in zip(before, likelihood.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=0)
