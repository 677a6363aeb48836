"""Rounded weights of a training step, and the cross-entropy of rounded logits."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skccvae.nn import BernoulliLikelihood, mlp
from skccvae.nn.likelihoods._cross_entropy import cross_entropy_in_double, total_cross_entropy
from skccvae.nn.precision import RoundedWeights, knows_bfloat16, matrix_layers

# Half a unit in the last place of bfloat16, relative.
HALF_UNIT = 2.0**-8


def test_gradients_are_those_of_rounded_weights_in_float32():
    torch.manual_seed(0)
    network = mlp(12, (16,), "tanh", 5)
    x = torch.randn(8, 12)
    rounded = RoundedWeights(network)
    out = rounded.call(network, x)
    assert out.dtype == torch.bfloat16
    out.float().square().sum().backward()
    rounded.collect_gradients()
    found = [p.grad for p in network.parameters()]
    assert all(g.dtype == torch.float32 for g in found)
    network.zero_grad()
    network(x).square().sum().backward()
    for gradient, exact in zip(found, (p.grad for p in network.parameters()), strict=True):
        # A handful of roundings on the way, of numbers no larger than the largest.
        assert (gradient - exact).abs().max() < 8 * HALF_UNIT * exact.abs().max()


def test_weights_are_back_after_a_call_and_after_an_error():
    layer = nn.Linear(4, 3)
    weight = layer.weight
    rounded = RoundedWeights(layer)
    rounded.call(layer, torch.ones(2, 4))
    assert layer.weight is weight
    with pytest.raises(RuntimeError):
        rounded.call(layer, torch.ones(2, 5))
    assert layer.weight is weight
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


def test_refresh_follows_the_weights_and_forgets_gradients():
    layer = nn.Linear(4, 3, bias=False)
    rounded = RoundedWeights(layer)
    x = torch.ones(2, 4)
    rounded.call(layer, x).sum().backward()
    with torch.no_grad():
        layer.weight.fill_(2.0)
    rounded.refresh()
    assert bool((rounded.call(layer, x) == 8).all())
    rounded.collect_gradients()
    assert layer.weight.grad is None  # no backward pass since


def test_a_shared_weight_gets_the_sum_and_a_frozen_one_nothing():
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    network = nn.Sequential(first, second)
    rounded = RoundedWeights(network)
    x = torch.eye(3)
    rounded.call(network, x).float().sum().backward()
    rounded.collect_gradients()
    found = first.weight.grad.clone()
    first.weight.grad = None
    network(x).sum().backward()
    assert (found - first.weight.grad).abs().max() < 8 * HALF_UNIT * found.abs().max()
    first.weight.grad = None
    first.weight.requires_grad_(False)
    out = RoundedWeights(network).call(network, x)
    assert not out.requires_grad


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_copies_are_none_and_compiled_layers_stay_as_they_are():
    rounded = RoundedWeights(nn.Linear(2, 2))
    assert copy.deepcopy(rounded) is None
    assert pickle.loads(pickle.dumps(rounded)) is None
    compiled = torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2))
    assert matrix_layers(compiled) == []


def test_devices():
    assert not knows_bfloat16("meta")
    assert isinstance(knows_bfloat16("cpu"), bool)
    assert torch.cuda.is_available() or not knows_bfloat16("cuda")


@pytest.mark.parametrize("shape", [(3, 7), (16, 784), (1, 1)])
def test_cross_entropy_is_that_of_torch(shape):
    torch.manual_seed(0)
    x = torch.rand(shape)
    x[0, 0] = 1.0
    for size in (0.0, 1.0, 30.0, 1e4):
        logits = (size * torch.randn(shape)).bfloat16().requires_grad_()
        total = total_cross_entropy(logits, x)
        (total / 3).backward()
        double = logits.detach().double().requires_grad_()
        exact = F.binary_cross_entropy_with_logits(double, x.double(), reduction="sum")
        (exact / 3).backward()
        # Rounding of float32, of sums whose terms are no larger than the logits.
        scale = double.detach().abs().sum() + x.numel()
        assert abs(float(total.detach()) - float(exact.detach())) < 1e-6 * float(scale)
        assert (logits.grad.double() - double.grad).abs().max() < HALF_UNIT / 3
        assert logits.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("width", [1, 784, 1500])
def test_cross_entropy_in_double_is_that_of_torch(width):
    torch.manual_seed(0)
    x = torch.rand(4, width)
    x[0], x[1] = 0.0, 1.0
    for size in (0.0, 1e-9, 1.0, 30.0, 1e4):
        logits = (size * torch.randn(3, 4, width).double()).requires_grad_()
        found = cross_entropy_in_double(logits, x)
        each = x.double().expand_as(logits)
        exact = F.binary_cross_entropy_with_logits(logits, each, reduction="none").sum(-1)
        # A unit in the last place for each logit and each factor of the product.
        scale = logits.detach().abs().sum(-1) + width
        assert ((found - exact).abs() <= 2.0**-52 * scale).all()
        (got,), (wanted,) = (torch.autograd.grad(f.sum(), logits) for f in (found, exact))
        assert (got - wanted).abs().max() < 1e-13


def test_no_nan_passes_silently():
    logits = torch.tensor([[float("nan"), 0.0]], dtype=torch.bfloat16)
    assert total_cross_entropy(logits, torch.zeros(1, 2)).isnan()
    assert cross_entropy_in_double(logits.double(), torch.zeros(1, 2)).isnan().all()


def test_a_likelihood_of_the_users_is_not_bypassed():
    class Halved(BernoulliLikelihood):
        def log_prob_terms(self, outputs, x):
            return 0.5 * super().log_prob_terms(outputs, x)

    logits, x = torch.zeros(1, 2, dtype=torch.bfloat16), torch.zeros(1, 2)
    whole = BernoulliLikelihood(2).total_log_prob_of_rounded(logits, x)
    assert float(Halved(2).total_log_prob_of_rounded(logits, x)) == pytest.approx(float(whole) / 2)
    assert float(Halved(2).log_prob(logits.double(), x)) == pytest.approx(float(whole) / 2)
