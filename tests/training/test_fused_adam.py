"""Adam by way of the kernel gives the bits of torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from skccvae.training.fused_adam import FusedAdam

KINDS = [torch.optim.Adam, FusedAdam]


def weights():
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape)) for shape in ((5, 3), (3,), (), (2, 2))]


def step(optimizer, parameters, number, without=()):
    generator = torch.Generator().manual_seed(number)
    for i, parameter in enumerate(parameters):
        parameter.grad = torch.randn(parameter.shape, generator=generator)
        if i in without:
            parameter.grad = None
    optimizer.step()


def assert_same(ours, torchs):
    for a, b in zip(ours.param_groups, torchs.param_groups, strict=True):
        for p, q in zip(a["params"], b["params"], strict=True):
            assert torch.equal(p, q)
            assert ours.state[p].keys() == torchs.state[q].keys()
            assert all(torch.equal(ours.state[p][k], torchs.state[q][k]) for k in ours.state[p])


def test_bits_are_those_of_torch(monkeypatch):
    """With two rates, a schedule, weights without a gradient, and decay that a callback sets."""
    calls = []
    kernel = torch._fused_adam_
    monkeypatch.setattr(torch, "_fused_adam_", lambda *a, **k: calls.append(1) or kernel(*a, **k))
    made = []
    for kind in KINDS:
        parameters = weights()
        groups = [{"params": parameters[:2]}, {"params": parameters[2:], "lr": 0.3}]
        optimizer = kind(groups, lr=0.05, fused=True)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        for number in range(8):
            # The last weight gets its first gradient late, another loses its own for a while.
            step(optimizer, parameters, number, without=(3,) if number < 3 else (1,))
            schedule.step()
            if number == 5:
                optimizer.param_groups[0]["weight_decay"] = 0.1
        made.append(optimizer)
    assert_same(made[1], made[0])
    assert len(calls) >= 2 * 8


def test_it_goes_on_from_the_state_that_it_is_given():
    made = []
    for kind in KINDS:
        parameters = weights()
        optimizer = kind(parameters, lr=0.05, fused=True)
        step(optimizer, parameters, 0)
        state = copy.deepcopy(optimizer.state_dict())
        step(optimizer, parameters, 1)
        optimizer.load_state_dict(state)
        step(optimizer, parameters, 2)
        parameters, optimizer = copy.deepcopy((parameters, optimizer))
        step(optimizer, parameters, 3)
        made.append(optimizer)
    assert_same(made[1], made[0])


@pytest.mark.parametrize("everywhere", [False, True])
def test_hooks_and_closures_run(everywhere):
    parameters, seen = weights(), []
    optimizer = FusedAdam(parameters)
    register = optimizer.register_step_post_hook
    if everywhere:
        register = register_optimizer_step_post_hook
    for number in range(2):
        step(optimizer, parameters, number)
    handle = register(lambda *_: seen.append("hook"))
    try:
        step(optimizer, parameters, 2)
        assert optimizer.step(lambda: seen.append("closure") or 1.5) == 1.5
    finally:
        handle.remove()
    assert seen == ["hook", "closure", "hook"]


@pytest.mark.parametrize("setting", ["amsgrad", "double", "unfused"])
def test_what_the_kernel_is_not_asked_for_is_torchs(setting):
    made = []
    for kind in KINDS:
        parameters = weights()
        if setting == "double":
            parameters[0] = nn.Parameter(parameters[0].detach().double())
        optimizer = kind(parameters, lr=0.05, fused=setting != "unfused")
        for group in optimizer.param_groups:
            group["amsgrad"] = setting == "amsgrad"
        for number in range(4):
            generator = torch.Generator().manual_seed(number)
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter)
            optimizer.step()
        made.append(optimizer)
    assert_same(made[1], made[0])
