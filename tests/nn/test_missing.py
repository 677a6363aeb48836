"""The log-likelihood of what was observed, and what encoders read of a row with holes."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Gamma, Independent

from skccvae.nn import (
    LIKELIHOODS,
    ConvEncoder,
    GaussianLikelihood,
    Likelihood,
    MaskedMLP,
    SkipEncoder,
    has_terms,
    mlp,
    observed_log_prob,
    row_keys,
)
from skccvae.nn.missing import encoder_rows, row_content

NAN = math.nan
# Rows that every likelihood takes.
X = torch.tensor([[0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 1.0]])
HOLES = torch.tensor([[False, True, False, True], [True, True, True, True]])


class Positive(Likelihood):
    """Gamma columns, whose density is infinite or 0, and its slope infinite, at the end 0."""

    support = (0.0, math.inf)

    def distribution(self, outputs):
        return Independent(Gamma(outputs.exp(), 1.0, validate_args=False), 1)


@pytest.mark.parametrize("kind", [*LIKELIHOODS.values(), Positive])
def test_the_sum_runs_over_what_was_observed(kind):
    likelihood = kind(4)
    torch.manual_seed(0)
    outputs = torch.randn(3, 2, likelihood.n_outputs, requires_grad=True)
    x = X + 1.0 if kind is Positive else X
    found = observed_log_prob(likelihood, outputs, x.masked_fill(HOLES, NAN))
    terms = likelihood.log_prob_terms(outputs, x)
    assert torch.equal(found, terms.masked_fill(HOLES, 0.0).sum(-1))
    assert torch.equal(found[:, 1], torch.zeros(3))
    # Neither a value nor a slope comes from a hole.
    found.sum().backward()
    assert torch.isfinite(outputs.grad).all()
    assert torch.equal(outputs.grad[:, 1], torch.zeros(3, likelihood.n_outputs))


@pytest.mark.parametrize("kind", LIKELIHOODS.values())
def test_without_holes_it_is_the_log_prob(kind):
    likelihood = kind(4).double()
    torch.manual_seed(0)
    outputs = torch.randn(2, likelihood.n_outputs, dtype=torch.float64)
    found = observed_log_prob(likelihood, outputs, X.double())
    torch.testing.assert_close(found, likelihood.log_prob(outputs, X.double()), rtol=1e-6, atol=0)


def test_only_an_override_of_a_whole_row_lacks_terms():
    class Halved(GaussianLikelihood):
        def log_prob(self, outputs, x):
            return 0.5 * super().log_prob(outputs, x)

    class Summed(GaussianLikelihood):
        def total_log_prob(self, outputs, x):
            return super().total_log_prob(outputs, x)

    assert all(map(has_terms, [*LIKELIHOODS.values(), Positive]))
    assert not any(map(has_terms, [Halved, Summed]))


@pytest.mark.parametrize("kind", LIKELIHOODS.values())
def test_an_encoder_reads_zeros_and_the_indicator(kind):
    likelihood = kind(4)
    x = X.masked_fill(HOLES, NAN)
    rows = encoder_rows(likelihood, x, n_mask=4)
    inputs, indicator = rows.split([likelihood.n_inputs, 4], dim=-1)
    assert torch.equal(indicator, HOLES.float())
    holes = HOLES.repeat(1, likelihood.n_inputs // 4)
    assert torch.equal(inputs, likelihood.encoder_inputs(X).masked_fill(holes, 0.0))
    assert torch.equal(encoder_rows(likelihood, x, n_mask=0), inputs)


def test_keys_know_where_holes_are():
    likelihood = GaussianLikelihood(2)
    # NaN of another sign is the same hole.
    x = torch.tensor([[0.0, NAN], [NAN, 0.0], [0.0, 0.0], [0.0, -NAN]])
    keys = row_keys(row_content(likelihood, x), 0)
    assert len(set(keys[:3].tolist())) == 3
    assert keys[3] == keys[0]


def encoders(missing):
    n_mask = 12 * missing
    yield lambda: MaskedMLP(12, (8, 5), "tanh", 12) if missing else mlp(12, (8, 5), "tanh")
    yield lambda: SkipEncoder(12, (8, 5), "tanh", 3, n_mask)
    yield lambda: SkipEncoder(12, (), "tanh", 3, n_mask)
    yield lambda: ConvEncoder((3, 4), 6, "tanh", missing)


@pytest.mark.parametrize("number", range(4))
def test_the_indicator_changes_nothing_without_holes(number):
    plain, masked = (list(encoders(missing))[number] for missing in (False, True))
    torch.manual_seed(0)
    a, after_a = plain(), torch.randn(3)
    torch.manual_seed(0)
    b, after_b = masked(), torch.randn(3)
    assert torch.equal(after_a, after_b)  # the indicator's weights take no random number
    x = torch.randn(7, 12)
    rows = torch.cat([x, torch.zeros(7, 12)], dim=1)
    torch.testing.assert_close(b(rows), a(x), rtol=1e-6, atol=1e-6)
    # Its weights learn.
    holes = torch.cat([x, torch.ones(7, 12)], dim=1)
    b(holes).sum().backward()
    (weight,) = (w for name, w in b.named_parameters() if name.endswith("mask_weight"))
    assert not weight.any()
    assert weight.grad.any()


def test_in_double_is_the_same_network():
    encoder = SkipEncoder(12, (8, 5), "tanh", 3, 12)
    torch.nn.init.normal_(encoder.first.mask_weight)
    x = torch.randn(1300, 24)
    torch.testing.assert_close(encoder.in_double(x).float(), encoder(x), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_missing_value_may_read_as_given_inputs():
    encoder = SkipEncoder(4, (8,), "tanh", 2, n_mask=2)  # two numbers for each of two columns
    given = torch.tensor([1.0, 2.0, 3.0, 4.0])
    encoder.read_missing_as(given, torch.tensor([0, 1, 0, 1]))
    hole = torch.tensor([[0.0, 5.0, 0.0, 6.0, 1.0, 0.0]])
    full = torch.tensor([[1.0, 5.0, 3.0, 6.0, 0.0, 0.0]])
    torch.testing.assert_close(encoder(hole), encoder(full))
