"""Likelihoods: normalised, equal to their distributions, finite at the extremes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Independent, Laplace, MultivariateNormal

from skccvae.nn import (
    LIKELIHOODS,
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    Likelihood,
    PoissonLikelihood,
    auto_likelihood,
    likelihood_class,
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
        likelihood.raw_scale += 0.4
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


# --- terms of single entries ----------------------------------------------------------------------


def example(name, n=5, p=4, leading=(3,)):
    """A likelihood in float64 with scaled columns where it scales, outputs and rows."""
    kind = LIKELIHOODS[name]
    generator = torch.Generator().manual_seed(1)
    scale = {None: None, "columns": torch.logspace(-2, 2, p), "shared": torch.full((p,), 3.0)}
    likelihood = kind(p, scale[kind.scaling]).double()
    with torch.no_grad():
        for parameter in likelihood.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    size = (*leading, n, likelihood.n_outputs)
    outputs = torch.randn(size, generator=generator, dtype=torch.float64)
    rows = torch.rand(n, p, generator=generator, dtype=torch.float64)
    rows = rows if kind.support[1] == 1 else 3 * rows if kind.support[0] else (9 * rows).round()
    return likelihood, outputs, rows


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_rows_are_sums_of_terms(name, leading):
    likelihood, outputs, rows = example(name, leading=leading)
    terms = likelihood.log_prob_terms(outputs, rows)
    assert terms.shape == (*leading, 5, 4)
    found = likelihood.log_prob(outputs, rows)
    torch.testing.assert_close(found, terms.sum(-1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(likelihood.total_log_prob(outputs, rows), found.sum())


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_a_term_depends_on_its_own_column_only(name):
    likelihood, outputs, rows = example(name)
    other = rows.clone()
    other[:, 1:] = rows[:, 1:].flip(0)
    first, second = (likelihood.log_prob_terms(outputs, x)[..., 0] for x in (rows, other))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_each_term_sums_or_integrates_to_one_in_the_users_units(name):
    likelihood, outputs, _ = example(name, n=1, leading=())
    kind = type(likelihood)
    scale = likelihood.log_scale.double().exp().numpy()
    low, high = kind.support
    if name == "bernoulli":
        grid, weights = np.array([0.0, 1.0]), np.ones(2)
    elif name == "discretized_logistic":
        grid, weights = np.arange(256) / 255, np.ones(256)
    elif low == 0 and high == math.inf:  # counts
        grid, weights = np.arange(3000.0), np.ones(3000)
    elif kind.period:
        # The trapezium rule on a circle converges faster than any power of the spacing.
        grid, weights = np.linspace(-math.pi, math.pi, 4000, endpoint=False), 2 * math.pi / 4000
    else:
        ends = (low, high) if np.isfinite(low) else (-15.0, 15.0)
        nodes, weights = np.polynomial.legendre.leggauss(400)
        grid = (nodes + 1) / 2 * (ends[1] - ends[0]) + ends[0]
        weights = weights * (ends[1] - ends[0]) / 2
    rows = torch.from_numpy(grid)[:, None].expand(-1, 4)
    with torch.no_grad():
        density = likelihood.log_prob_terms(outputs, rows).exp().numpy()
    total = (density * np.broadcast_to(weights, grid.shape)[:, None]).sum(axis=0)
    np.testing.assert_allclose(total * scale, 1.0, rtol=2e-6)


# --- subclasses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_what_a_subclass_overrides_counts_everywhere(name):
    kind = LIKELIHOODS[name]
    _, outputs, rows = example(name, leading=())

    class Terms(kind):
        def log_prob_terms(self, outputs, x):
            return 2 * super().log_prob_terms(outputs, x)

    class Rows(kind):
        def log_prob(self, outputs, x):
            return 2 * super().log_prob(outputs, x)

    class Law(kind):
        def distribution(self, outputs):
            return Independent(Laplace(outputs[..., :4], 1.0, validate_args=False), 1)

    class Further(Terms):
        """Inherits what its parent overrides."""

    plain = kind(4).double()
    expected = 2 * plain.log_prob(outputs, rows)
    for own in (Terms(4), Rows(4), Further(4)):
        own.double()
        torch.testing.assert_close(own.log_prob(outputs, rows), expected)
        torch.testing.assert_close(own.total_log_prob(outputs, rows), expected.sum())
    law = Law(4).double()
    expected = law.distribution(outputs).log_prob(rows)
    torch.testing.assert_close(law.log_prob(outputs, rows), expected)
    torch.testing.assert_close(law.total_log_prob(outputs, rows), expected.sum())


def test_an_override_may_come_from_a_mixin():
    class Doubled:
        def log_prob_terms(self, outputs, x):
            return 2 * super().log_prob_terms(outputs, x)

    class Own(Doubled, GaussianLikelihood):
        pass

    likelihood, plain, x = Own(2), GaussianLikelihood(2), torch.tensor([[0.3, -1.0]])
    outputs = torch.zeros(1, 2)
    expected = 2 * plain.log_prob(outputs, x)
    torch.testing.assert_close(likelihood.log_prob(outputs, x), expected)
    torch.testing.assert_close(likelihood.total_log_prob(outputs, x), expected.sum())


def test_an_overridden_log_prob_may_weigh_the_terms():
    class Weighted(BernoulliLikelihood):
        def log_prob(self, outputs, x):
            return self.log_prob_terms(outputs, x)[..., 0]

    outputs, x = torch.randn(3, 2), torch.ones(3, 2)
    first = BernoulliLikelihood(1).log_prob(outputs[:, :1], x[:, :1])
    torch.testing.assert_close(Weighted(2).total_log_prob(outputs, x), first.sum())


def test_what_a_class_of_dependent_columns_can_do():
    class Joint(Likelihood):
        def distribution(self, outputs):
            return MultivariateNormal(outputs, torch.eye(2))

    with pytest.raises(TypeError, match="no term for each column"):
        Joint(2).log_prob(torch.zeros(1, 2), torch.zeros(1, 2))

    class Rows(Joint):
        def log_prob(self, outputs, x):
            return self.distribution(outputs).log_prob(x)

    found = float(Rows(2).total_log_prob(torch.zeros(1, 2), torch.zeros(1, 2)))
    assert found == pytest.approx(-math.log(2 * math.pi))


def test_facts_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match=r"scaling must be one of None, 'columns', 'shared'; got"):
        type("Wrong", (Likelihood,), {"scaling": "standardise"})
    with pytest.raises(ValueError, match="fingerprint must be one of"):
        type("Wrong", (Likelihood,), {"fingerprint": "count"})
    with pytest.raises(ValueError, match="allow_nan = True and scaling = 'columns'"):
        type("Wrong", (Likelihood,), {"scaling": "columns", "allow_nan": True})
    with pytest.raises(ValueError, match=r"scale must have shape \(3,\).*got \(2,\)"):
        GaussianLikelihood(3, torch.ones(2))
    with pytest.raises(TypeError, match="does not name its distribution"):
        type("Empty", (Likelihood,), {})(2).log_prob(torch.zeros(1, 2), torch.zeros(1, 2))


def test_names_and_classes():
    assert list(LIKELIHOODS) == [kind.name for kind in LIKELIHOODS.values()]
    for name, kind in LIKELIHOODS.items():
        assert likelihood_class(name) is likelihood_class(kind) is kind
    own = type("Own", (PoissonLikelihood,), {"__module__": "a.b", "name": "poisson"})
    assert own.name == "a.b.Own"
    assert likelihood_class(own) is own
    with pytest.raises(ValueError, match="must be one of 'auto', 'bernoulli'.*got 'normal'"):
        likelihood_class("normal")
    for wrong in (Likelihood, PoissonLikelihood(2), int, 3, None):
        with pytest.raises(TypeError, match="the class, not an instance"):
            likelihood_class(wrong)


@pytest.mark.parametrize(
    ("low", "high", "divisor", "name"),
    [
        (0.0, 1.0, 1.0, "bernoulli"),
        (0.2, 0.3, 1.0, "bernoulli"),
        (0.0, 255.0, 255.0, "bernoulli"),
        (0.0, 255.0, 1.0, "gaussian"),
        (-1e-9, 1.0, 1.0, "gaussian"),
    ],
)
def test_auto(low, high, divisor, name):
    assert auto_likelihood(low, high, divisor).name == name
