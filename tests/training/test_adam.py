"""The lean step of Adam is torch's, but for averages that are too small to matter."""

import copy
import pickle

import pytest
import torch
from torch import nn

from skccvae.training.adam import (
    _NEGLIGIBLE,
    _REMOVE_EVERY,
    _SMALLEST_EPS,
    Adam,
    _remove_negligible,
)


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


def with_dead_units(kind, steps, look=lambda state: None):
    """The weights of a network, of which half loses its gradient after ten steps."""
    model = network()
    optimizer = kind(model.parameters(), lr=1e-3, fused=True)

    def drop(number):
        if number:
            look(optimizer.state[model[0].weight])
        if number >= 10:
            model[0].weight.grad[:2] = 0
            model[0].bias.grad[:2] = 0

    return train(model, optimizer, steps, drop), optimizer.state[model[0].weight]


def is_denormal(tensor):
    return (tensor != 0) & (tensor.abs() < torch.finfo(torch.float32).tiny)


def test_no_average_becomes_denormal_and_no_weight_changes():
    def look(state):
        assert not is_denormal(state["exp_avg"]).any()

    ours, state = with_dead_units(Adam, 1100, look)
    theirs, plain = with_dead_units(torch.optim.Adam, 1100)
    assert is_denormal(plain["exp_avg"][:2]).all()  # torch keeps them
    assert (state["exp_avg"][:2] == 0).all()
    assert torch.equal(state["exp_avg"][2:], plain["exp_avg"][2:])
    assert torch.equal(state["exp_avg_sq"], plain["exp_avg_sq"])
    for weight, other in zip(ours, theirs, strict=True):
        assert torch.equal(weight, other)


def test_what_is_negligible():
    values = [torch.nan, torch.inf, -torch.inf, 0.0, -1e-40, 1.0]
    first = torch.tensor([*values, 1.1e-25, -1.1e-25, 0.9e-25, -0.9e-25]).repeat(100)
    second = torch.tensor([*values, 1.1e-33, 2.0, 0.9e-33, 0.9e-33]).repeat(100)
    state = {"step": torch.tensor(256.0), "exp_avg": first.clone(), "exp_avg_sq": second.clone()}
    _remove_negligible([state])
    zero = torch.tensor([False] * 3 + [True] * 2 + [False] * 3 + [True] * 2).repeat(100)
    for before, after in ((first, state["exp_avg"]), (second, state["exp_avg_sq"])):
        assert (after[zero] == 0).all()
        assert torch.equal(after[~zero].nan_to_num(), before[~zero].nan_to_num())
        assert torch.equal(after.isnan(), before.isnan())


def test_the_interval_and_the_sizes_fit_each_other():
    tiny = torch.finfo(torch.float32).tiny
    assert _NEGLIGIBLE["exp_avg"] * 0.9**_REMOVE_EVERY > tiny
    assert _NEGLIGIBLE["exp_avg_sq"] * 0.999**_REMOVE_EVERY > tiny
    # Adam divides both averages by 1 - beta^step.
    added = (_NEGLIGIBLE["exp_avg_sq"] / (1 - 0.999**_REMOVE_EVERY)) ** 0.5
    eps = torch.tensor(_SMALLEST_EPS)
    assert eps + added == eps
    assert _NEGLIGIBLE["exp_avg"] / (1 - 0.9**_REMOVE_EVERY) / _SMALLEST_EPS < 1e-16


@pytest.mark.parametrize(
    ("options", "dtype"), [({"eps": 1e-20}, torch.float32), ({}, torch.float64)]
)
def test_nothing_is_removed_where_it_would_matter(options, dtype):
    found = []
    for kind in (Adam, torch.optim.Adam):
        weight = nn.Parameter(torch.ones(3, dtype=dtype))
        optimizer = kind([weight], fused=True, **options)
        for _ in range(300):
            weight.grad = torch.full_like(weight, 1e-18)
            optimizer.step()
        found.append((weight.detach(), optimizer.state[weight]["exp_avg_sq"]))
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)
