"""Calls of torch's operations that take less time and return the same bits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from skccvae.training.cheap_calls import cheapest_call


class Calls(TorchDispatchMode):
    """Notes every operation, its arguments, and what it returned."""

    def __init__(self):
        super().__init__()
        self.noted = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        before = [a.clone() if isinstance(a, torch.Tensor) else a for a in args]
        out = func(*args, **(kwargs or {}))
        self.noted.append((func, tuple(before), kwargs or {}, out))
        return out


X = torch.linspace(-3, 4, 24).reshape(4, 6)


def last_call(function, x):
    """The last operation of a function, as `cheapest_call` takes it."""
    with Calls() as calls:
        function(x)
    return calls.noted[-1]


def made(target, args, kwargs):
    if isinstance(target, str):
        return getattr(args[0], target)(*args[1:], **kwargs)
    return target(*args, **kwargs)


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        pytest.param(lambda x: x[1:3], torch.narrow, id="slice"),
        pytest.param(lambda x: x[:, -2:], torch.narrow, id="slice-from-the-end"),
        pytest.param(lambda x: x[:, :-1], torch.narrow, id="slice-but-the-last"),
        pytest.param(lambda x: x[2:99], torch.narrow, id="slice-past-the-end"),
        pytest.param(lambda x: x[3:1], torch.narrow, id="empty-slice"),
        pytest.param(lambda x: x[9:], torch.narrow, id="slice-behind-the-end"),
        pytest.param(lambda x: x[-9:2], torch.narrow, id="slice-before-the-start"),
        pytest.param(lambda x: x.split(4, -1), torch.split_with_sizes, id="split"),
        pytest.param(lambda x: x**2, torch.mul, id="square"),
        pytest.param(lambda x: x.square(), torch.mul, id="square-method"),
        pytest.param(lambda x: x.double() ** 2.0, torch.mul, id="square-in-double"),
        pytest.param(lambda x: x.square_(), "mul_", id="square-in-place"),
        pytest.param(lambda x: (x > 0) ** 2, torch.pow, id="square-of-bools"),
        pytest.param(lambda x: x.long() ** 2.0, torch.pow, id="square-of-integers-by-a-float"),
        pytest.param(lambda x: x**3, torch.pow, id="cube"),
        pytest.param(lambda x: x.abs() ** x, torch.pow, id="power-of-a-tensor"),
        pytest.param(lambda x: 2.0**x, torch.pow, id="power-of-a-number"),
        pytest.param(lambda x: x.long(), "to", id="type"),
        pytest.param(lambda x: F.softplus(x), F.softplus, id="softplus"),
        pytest.param(
            lambda x: torch.linalg.vector_norm(x, dim=-1), torch.linalg.vector_norm, id="norm"
        ),
        pytest.param(lambda x: x * 0.3, torch.mul, id="times-a-number"),
        pytest.param(lambda x: x.clamp_min_(0.5), torch.clamp_min_, id="clamp"),
        pytest.param(lambda x: x.view(-1), "view", id="view"),
    ],
)
def test_another_call_returns_the_same_bits(function, wanted):
    func, args, kwargs, out = last_call(function, X.clone())
    target, args, kwargs = cheapest_call(func, args, kwargs, out)
    assert target == wanted
    found = made(target, args, kwargs)
    pairs = zip(found, out, strict=True) if isinstance(out, (list, tuple)) else [(found, out)]
    for one, other in pairs:
        assert torch.equal(one, other)
        assert one.dtype == other.dtype
        assert one.stride() == other.stride()


def test_a_number_becomes_a_tensor():
    func, args, kwargs, out = last_call(lambda x: x * 0.3, X)
    _, (x, number), _ = cheapest_call(func, args, kwargs, out)
    assert torch.equal(number, torch.tensor(0.3))


def test_a_number_of_another_type_is_no_method():
    out = torch.tensor(0.5)
    func = torch.ops.aten._to_copy.default
    assert cheapest_call(func, (0.5,), {"dtype": torch.float32}, out)[0] is func


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[::2],
        lambda x: torch.ops.aten.norm.Scalar(x, 2),
        lambda x: F.logsigmoid(x),
        lambda x: x.to(x.dtype, copy=True),
    ],
    ids=["steps", "another-function-of-this-name", "no-function-of-this-name", "copy"],
)
def test_other_calls_stay(function):
    func, args, kwargs, out = last_call(function, X)
    target, same, _ = cheapest_call(func, args, kwargs, out)
    assert target is func
    assert all(one is other for one, other in zip(same, args, strict=True))
