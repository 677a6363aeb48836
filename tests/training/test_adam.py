"""The lean step of Adam is torch's, bit for bit."""

import copy
import pickle

import pytest
import torch
from torch import nn

from skccvae.training.adam import Adam


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def train(model, optimizer, steps, between=lambda number: None):
    generator = torch.Generator().manual_seed(0)
    for number in range(steps):
        x = torch.randn(5, 3, generator=generator)
        optimizer.zero_grad()
        model(x).square().sum().backward()
        between(number)
        optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def pairs(options, steps=4, between=lambda model: lambda number: None):
    found = []
    for kind in (Adam, torch.optim.Adam):
        model = network()
        found.append(train(model, kind(model.parameters(), **options), steps, between(model)))
    return found


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.01, "fused": True},
        {"lr": 0.01, "fused": True, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1},
        {"lr": 0.01, "fused": True, "amsgrad": True},
        {"lr": 0.01},
    ],
)
def test_the_bits_are_those_of_torch(options):
    for ours, theirs in zip(*pairs(options), strict=True):
        assert torch.equal(ours, theirs)


def test_parameters_without_a_gradient_stay():
    def between(model):
        def drop(number):
            if number < 2:
                model[0].weight.grad = None

        return drop

    for ours, theirs in zip(*pairs({"fused": True}, between=between), strict=True):
        assert torch.equal(ours, theirs)


def test_hooks_closures_schedules_and_copies():
    model = network()
    optimizer = Adam(model.parameters(), lr=0.1, fused=True)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    seen = []
    train(model, optimizer, 2)
    schedule.step()
    handle = optimizer.register_step_pre_hook(lambda *args: seen.append("hook"))
    train(model, optimizer, 1)
    handle.remove()
    train(model, optimizer, 1)
    assert seen == ["hook"]
    assert optimizer.param_groups[0]["lr"] == 0.05
    assert optimizer.step(lambda: 3.0) == 3.0
    twin, other = copy.deepcopy((model, optimizer))
    state = pickle.loads(pickle.dumps(optimizer)).state_dict()["state"]
    assert state[0]["step"] == 5
    for ours, theirs in zip(train(model, optimizer, 2), train(twin, other, 2), strict=True):
        assert torch.equal(ours, theirs)


def test_parameters_of_two_types():
    layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2).double()])
    optimizer = Adam(layers.parameters(), fused=True)
    for _ in range(2):
        for parameter in layers.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    assert not optimizer._plain
    assert optimizer.state[layers[1].weight]["exp_avg"].dtype == torch.float64


def with_dead_units(steps):
    """The weights and averages of a network, of which half loses its gradient after ten steps."""

    def between(model):
        def drop(number):
            if number >= 10:
                model[0].weight.grad[:2] = 0
                model[0].bias.grad[:2] = 0

        return drop

    found = []
    for kind in (Adam, torch.optim.Adam):
        model = network()
        optimizer = kind(model.parameters(), lr=1e-3, fused=True)
        weights = train(model, optimizer, steps, between(model))
        found.append((weights, optimizer.state[model[0].weight]))
    return found


def test_negligible_averages_become_0_and_no_weight_notices():
    (ours, state), (theirs, plain) = with_dead_units(1100)
    smallest = torch.finfo(torch.float32).tiny
    average = plain["exp_avg"][:2]
    assert ((average != 0) & (average.abs() < smallest)).all()  # torch keeps denormal numbers
    assert (state["exp_avg"][:2] == 0).all()
    assert torch.equal(state["exp_avg"][2:], plain["exp_avg"][2:])
    assert torch.equal(state["exp_avg_sq"], plain["exp_avg_sq"])
    for weight, other in zip(ours, theirs, strict=True):
        assert torch.equal(weight, other)


def test_averages_that_are_not_finite_stay():
    model = network()
    optimizer = Adam(model.parameters(), fused=True)
    train(model, optimizer, 255)
    state = optimizer.state[model[0].weight]
    state["exp_avg"][0, 0] = torch.nan
    state["exp_avg_sq"][0, 1] = torch.inf
    train(model, optimizer, 1)
    assert state["step"] == 256
    assert state["exp_avg"][0, 0].isnan()
    assert state["exp_avg_sq"][0, 1].isinf()
