"""Perceptrons, the user's own modules, and the prediction head."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skccvae.nn import (
    ACTIVATIONS,
    PredictionHead,
    Reshaped,
    build_module,
    mlp,
    output_width,
)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_mlp(activation):
    network = mlp(5, (7, 3), activation, 2)
    assert network(torch.randn(4, 5)).shape == (4, 2)
    assert [layer.out_features for layer in network if isinstance(layer, nn.Linear)] == [7, 3, 2]
    x = torch.randn(4, 5)
    assert torch.equal(mlp(5, (), activation)(x), x)
    assert mlp(5, (8,), activation)(x).shape == (4, 8)


def test_built_modules_are_copies():
    module = nn.Linear(3, 2)
    copy = build_module(module, 3, role="encoder")
    assert copy is not module
    assert torch.equal(copy.weight, module.weight)
    assert copy.weight.data_ptr() != module.weight.data_ptr()
    built = build_module(lambda a, b: nn.Linear(a, b), 4, 6, role="decoder")
    assert (built.in_features, built.out_features) == (4, 6)


def test_what_cannot_be_built():
    with pytest.raises(TypeError, match="encoder must be a name, a torch.nn.Module or a callable"):
        build_module(3, 4, role="encoder")
    with pytest.raises(TypeError, match="decoder callable must return a torch.nn.Module .* int"):
        build_module(lambda n: n, 4, role="decoder")


def test_output_width_tries_and_leaves_no_trace():
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    assert output_width(module, 4, "encoder") == 6
    assert module.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    with pytest.raises(ValueError, match=r"encoder module does not accept .* \(2, 5\)"):
        output_width(module, 5, "encoder")
    with pytest.raises(ValueError, match="decoder module must return one row per sample"):
        output_width(nn.Flatten(0), 5, "decoder")


def test_reshaped():
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(tuple(x.shape))
            return x

    assert Reshaped(Spy(), (2, 3))(torch.zeros(4, 6)).shape == (4, 6)
    assert Reshaped(Spy())(torch.zeros(4, 6)).shape == (4, 6)
    assert seen == [(4, 2, 3), (4, 6)]


# --- prediction head ------------------------------------------------------------------------------


def test_log_likelihood_of_targets_by_hand():
    torch.manual_seed(0)
    head = PredictionHead(3, [0, 4])
    z = torch.randn(5, 3)
    targets = torch.tensor(
        [[0.5, 1.0], [math.nan, 3.0], [-1.0, math.nan], [math.nan, math.nan], [2.0, 0.0]]
    )
    mean, logits = head(z)
    assert (mean.shape, logits.shape) == ((5, 1), (5, 4))
    scale = 0.1 + F.softplus(head.raw_scale[0])
    expected = 0.0
    for row, (value, number) in enumerate(targets.tolist()):
        if not math.isnan(value):
            expected += -0.5 * ((value - mean[row, 0]) / scale) ** 2 - scale.log()
        if not math.isnan(number):
            expected += F.log_softmax(logits[row], dim=-1)[int(number)]
    torch.testing.assert_close(head.log_prob(z, targets), expected / 3)  # labels of each


def test_draws_are_averaged():
    head = PredictionHead(3, [0, 2])
    z = torch.randn(4, 5, 3)
    targets = torch.stack([torch.randn(5), torch.tensor([0.0, 1, math.nan, 1, 0])], dim=1)
    each = torch.stack([head.log_prob(draw, targets) for draw in z])
    torch.testing.assert_close(head.log_prob(z, targets), each.mean())


def test_gradients_are_finite_with_missing_targets():
    head = PredictionHead(3, [0, 3])
    z = torch.randn(4, 3, requires_grad=True)
    targets = torch.tensor([[math.nan, 1.0], [0.3, math.nan], [math.nan] * 2, [1.0, 2.0]])
    head.log_prob(z, targets).backward()
    assert torch.isfinite(z.grad).all()
    assert (z.grad[2] == 0).all()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())
    nothing = head.log_prob(z, torch.full((4, 2), math.nan))
    assert nothing == 0
