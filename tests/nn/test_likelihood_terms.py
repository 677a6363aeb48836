"""Terms of single entries of X, and what a subclass of a likelihood may override."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Laplace, MultivariateNormal

from skccvae.nn import (
    LIKELIHOODS,
    BernoulliLikelihood,
    GaussianLikelihood,
    Likelihood,
    PoissonLikelihood,
    likelihood_class,
)


def example(name, n=5, p=4, leading=(3,)):
    """A likelihood in float64 with scaled columns where it scales, outputs and rows."""
    kind = LIKELIHOODS[name]
    generator = torch.Generator().manual_seed(1)
    scale = {None: None, "columns": torch.logspace(-2, 1, p), "shared": torch.full((p,), 3.0)}
    scale["rates"] = None
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
    with pytest.raises(
        ValueError, match=r"scaling must be one of None, 'columns', 'shared', 'rates'; got"
    ):
        type("Wrong", (Likelihood,), {"scaling": "standardise"})
    with pytest.raises(ValueError, match="fingerprint must be one of"):
        type("Wrong", (Likelihood,), {"fingerprint": "count"})
    with pytest.raises(ValueError, match="allow_nan = True and scaling = 'columns'"):
        type("Wrong", (Likelihood,), {"scaling": "columns", "allow_nan": True})
    with pytest.raises(ValueError, match=r"scale must have shape \(3,\).*got \(2,\)"):
        GaussianLikelihood(3, torch.ones(2))
    with pytest.raises(TypeError, match="does not define its distribution"):
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
