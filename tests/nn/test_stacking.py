"""Stacked modules compute what the modules compute, and share their weights."""

import pytest
import torch
from torch import nn

from skccvae.nn import Gyroplanes, SkipDecoder, SkipEncoder, mlp
from skccvae.nn.missing import MaskedMLP
from skccvae.nn.networks import ZeroColumns
from skccvae.nn.stacking import shapes, stacked, stacked_tensors

M, N = 3, 5


def decoder(n_inputs):
    return SkipDecoder(mlp(n_inputs, (8,), "tanh"), n_inputs, 8, 6)


MODULES = {
    "perceptron": lambda: mlp(4, (8, 8), "tanh", 4),
    "skip encoder": lambda: SkipEncoder(4, (8, 8), "tanh", 2),
    "skip encoder without layers": lambda: SkipEncoder(4, (), "tanh", 2),
    "skip decoder": lambda: decoder(4),
    "masked": lambda: MaskedMLP(4, (8,), "tanh", 0),
    "constant columns": lambda: nn.Sequential(nn.Linear(4, 2), ZeroColumns(torch.rand(2) < 0.5)),
    "no weights": lambda: nn.Sequential(nn.Tanh()),
    "no bias": lambda: nn.Linear(4, 2, bias=False),
}


@pytest.mark.parametrize("name", MODULES)
def test_values_and_gradients(name):
    torch.manual_seed(0)
    modules = [MODULES[name]() for _ in range(M)]
    assert len({shapes(module) for module in modules}) == 1
    x = torch.randn(M, N, 4, requires_grad=True)
    wanted = [module(rows) for module, rows in zip(modules, x, strict=True)]
    torch.stack(wanted).square().sum().backward()
    slopes = {id(p): p.grad for module in modules for p in module.parameters()}
    stack = stacked(modules)
    found = stack(x)
    torch.testing.assert_close(found, torch.stack(wanted))
    if not slopes:
        return
    found.square().sum().backward()
    held = 0
    for each in stacked_tensors(stack):
        for number, owner in enumerate(each.owners):
            held += 1
            slope = each.part(each.stack.grad, number, owner)
            torch.testing.assert_close(slope, slopes[id(owner)])
    assert held == len(slopes)
    with torch.no_grad():
        for each in stacked_tensors(stack):
            each.stack.add_(1.0)
    again = torch.stack([module(rows) for module, rows in zip(modules, x, strict=True)])
    torch.testing.assert_close(stack(x), again)


def test_inputs_of_several_widths():
    torch.manual_seed(0)
    widths = (2, 4, 18)
    decoders = [decoder(width) for width in widths]
    assert len({shapes(d, any_input=True) for d in decoders}) == 1
    assert len({shapes(d) for d in decoders}) == len(widths)
    z = [torch.randn(N, width) for width in widths]
    wanted = torch.stack([d(part) for d, part in zip(decoders, z, strict=True)])
    filled = torch.stack([nn.functional.pad(part, (0, 18 - part.shape[1])) for part in z])
    found = stacked(decoders)(filled)
    torch.testing.assert_close(found, wanted)


def test_any_input_is_for_perceptrons():
    # A layer behind an activation would also read what is filled up, where that is not 0.
    behind = [nn.Sequential(nn.Softplus(), nn.Linear(n, 3)) for n in (2, 4)]
    assert len({shapes(module, any_input=True) for module in behind}) == 2


@pytest.mark.parametrize("K", [-1.0, 0.0, 0.5])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_hyperplanes(K, lead):
    torch.manual_seed(0)
    layers = [Gyroplanes(2, 4) for _ in range(M)]
    s = 0.3 * torch.randn(*lead, M * N, 2)
    c = (1 - K * s.square().sum(-1)).sqrt()
    parts = zip(layers, c.split(N, -1), s.split(N, -2), strict=True)
    wanted = torch.cat([layer(*point, K) for layer, *point in parts], dim=-2)
    torch.testing.assert_close(stacked(layers)(c, s, K), wanted)
