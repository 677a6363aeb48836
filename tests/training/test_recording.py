"""Recorded functions of tensors, and training steps that are repeated from a recording."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from skccvae import GaussianVAETransformer
from skccvae.training import net, recording, repeated
from skccvae.training.recording import record
from skccvae.training.repeated import Repeated, gradients

SETTINGS = {
    "hidden_layer_sizes": (8,),
    "batch_size": 16,
    "max_epochs": 4,
    "random_state": 0,
    "device": "cpu",
}


def rows(n: int = 3) -> torch.Tensor:
    return torch.arange(2.0 * n).reshape(n, 2) / 7


# --- recordings -------------------------------------------------------------------------------


def test_a_recording_reads_the_weights_as_they_are_now():
    layer = nn.Linear(2, 4)
    weights = list(layer.parameters())

    def function(x):
        loss = layer(x).square().mean()
        return [loss.detach(), *gradients(loss, weights)]

    _, recorded = record(function, rows())
    with torch.no_grad():
        layer.weight.mul_(2).add_(0.1)
    other = rows() + 1
    for found, wanted in zip(recorded(other), function(other), strict=True):
        assert torch.equal(found, wanted)
        assert not found.requires_grad


def test_a_recording_continues_the_generator():
    generator = torch.Generator().manual_seed(3)

    def function(x):
        return [x + torch.randn(x.shape, generator=generator)]

    _, recorded = record(function, rows())
    assert len(recorded.generators) == 1
    state = generator.get_state()
    first = [recorded(rows())[0] for _ in range(2)]
    generator.set_state(state)
    again = [function(rows())[0] for _ in range(2)]
    assert torch.equal(torch.stack(first), torch.stack(again))
    assert not torch.equal(*first)


def test_tensors_that_are_filled_in_place_are_made_again():
    def function(x):
        total = torch.zeros(2)
        total += x.sum(0)
        total.mul_(2)
        view = x.new_zeros(2, 2)
        view[0].copy_(total)
        return [view]

    _, recorded = record(function, rows())
    for _ in range(2):
        assert torch.equal(recorded(rows() + 1)[0], function(rows() + 1)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_numbers_beside_tensors_keep_every_bit(dtype):
    def function(x):
        y = x * 0.1 + 1 / 3
        return [(y - 0.7) / 3, 2 - y, y / 1e-3, (y * 3).sum() * 0.3]

    x = rows(50).to(dtype)
    _, recorded = record(function, x)
    for found, wanted in zip(recorded(x + 1), function(x + 1), strict=True):
        assert found.dtype == wanted.dtype
        assert torch.equal(found, wanted)


def test_constants_are_computed_once_and_unused_results_not_at_all():
    layer = nn.Linear(2, 2)

    def function(x):
        _ = x.exp()
        ones = torch.ones(2) * 3 + 1
        return [x @ layer.weight.t() + ones]

    _, recorded = record(function, rows())
    names = set(recorded._run.__code__.co_names)
    assert names == {"torch", "mm", "add"}


def test_results_that_are_inputs_or_none():
    def function(x, y):
        return [x, None, x.detach()]

    _, recorded = record(function, rows(), None)
    found = recorded(rows() + 1, None)
    assert torch.equal(found[0], rows() + 1)
    assert found[1] is None
    assert torch.equal(found[2], rows() + 1)


def test_a_result_from_elsewhere_is_not_recorded():
    weight = torch.ones(2)
    (found,), made = record(lambda x: [weight], rows())
    assert found is weight
    assert made is None


outside = torch.zeros(2)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: [x * float(x.sum())],
        lambda x: [x[x > 0.5]],
        lambda x: [torch.nonzero(x)],
        lambda x: [x + torch.randn(3, 2)],
        lambda x: [nn.functional.dropout(x)],
        lambda x: [outside.add_(x.sum(0))],
        lambda x: [x.clamp_(max=0.1)],
    ],
    ids=["number", "mask", "nonzero", "global", "dropout", "outside", "input"],
)
def test_what_cannot_be_recorded_runs_once_as_it_is(function):
    def run(call):
        outside.zero_()
        torch.manual_seed(5)
        x = rows()
        return [*call(x), outside.clone(), torch.rand(1)]

    expected = run(function)
    kept = []

    def recorded(x):
        results, made = record(function, x)
        kept.append(made)
        return results

    found = run(recorded)
    assert kept == [None]
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_draws_before_a_number_is_read_are_made_again():
    def function(x):
        noise = torch.randn(3, 2, generator=generator)
        noise = noise + torch.rand(3, 2, generator=generator)
        return [noise * float(noise.sum())]

    generator = torch.Generator().manual_seed(0)
    (expected,) = function(rows())
    state = generator.get_state()
    generator.manual_seed(0)
    (found,), made = record(function, rows())
    assert made is None
    assert torch.equal(found, expected)
    assert torch.equal(generator.get_state(), state)


def test_large_tensors_are_not_kept(monkeypatch):
    monkeypatch.setattr(recording, "_MOST_NUMBERS", 10)
    (found,), made = record(lambda x: [(x + 1) * 2 - x], rows())
    assert made is None
    assert torch.equal(found, (rows() + 1) * 2 - rows())


# --- when a recording is used -----------------------------------------------------------------


def test_a_recording_is_made_for_shapes_that_come_again(monkeypatch):
    monkeypatch.setattr(repeated, "_CALLS_BEFORE", 2)
    calls = []

    def function(x, factor):
        calls.append(len(x))
        return [x * factor]

    double = Repeated(function)
    for number in range(10):
        for n in (3, 4):
            (found,) = double(rows(n), 0.1 * number)
            assert torch.equal(found, rows(n) * (0.1 * number))
    double(rows(5), 1.0)
    assert double.n_recorded == 2
    # Twice before, once to record, once to compare.
    assert sorted(calls) == [3] * 4 + [4] * 4 + [5]


def test_no_more_recordings_than_a_few(monkeypatch):
    monkeypatch.setattr(repeated, "_CALLS_BEFORE", 0)
    double = Repeated(lambda x: [2 * x])
    for _ in range(3):
        for n in range(1, 13):
            assert torch.equal(double(rows(n))[0], 2 * rows(n))
    assert double.n_recorded == repeated._MOST_SHAPES


def test_a_function_with_a_state_of_its_own_is_not_repeated(monkeypatch):
    monkeypatch.setattr(repeated, "_CALLS_BEFORE", 1)
    steps = iter(range(100))
    function = Repeated(lambda x: [x * next(steps)])
    found = [function(torch.ones(1))[0].item() for _ in range(6)]
    assert found == [0, 1, 2, 3, 4, 5]
    assert function.n_recorded == 0


def test_gradients_have_the_strides_of_their_weights():
    weight = torch.ones(3, 2, requires_grad=True)
    unused = torch.ones(1, requires_grad=True)
    for loss in ((weight.t() * torch.arange(6.0).reshape(2, 3)).sum(), weight.sum()):
        grad, none = gradients(loss, [weight, unused])
        assert none is None
        assert grad.stride() == (2, 1)
        weight.grad = None
    weight.sum().backward()
    assert torch.equal(gradients(weight.sum(), [weight])[0], weight.grad)


# --- in training ------------------------------------------------------------------------------


@pytest.fixture
def noted(monkeypatch):
    """The objects that training makes for its steps. A second step is recorded at once."""
    made = []

    class Noted(Repeated):
        def __init__(self, function):
            super().__init__(function)
            made.append(self)

    monkeypatch.setattr(repeated, "_CALLS_BEFORE", 1)
    monkeypatch.setattr(net, "Repeated", Noted)
    return made


@pytest.fixture
def X() -> np.ndarray:
    return np.random.default_rng(7).random((60, 5))


def counts(made) -> list[int]:
    return [each.n_recorded for each in made]


def test_one_recording_serves_all_epochs_and_ends_with_the_training(noted, X):
    vae = GaussianVAETransformer(**SETTINGS).fit(X)
    assert counts(noted) == [2]  # batches of 16 rows and one of 12
    assert vae.net_.repeated_ is None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_and_history_are_those_of_a_fit_without_recordings(
    noted, X, precision, monkeypatch
):
    settings = {**SETTINGS, "precision": precision, "weight_decay": 0.1, "learning_rate": 0.01}
    found = GaussianVAETransformer(**settings).fit(X)
    assert counts(noted) == [2]
    monkeypatch.setattr(net, "repeatable", lambda *parts: None)
    expected = GaussianVAETransformer(**settings).fit(X)
    state = expected.net_.module_.state_dict()
    for name, tensor in found.net_.module_.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    histories = [vae.net_.history.to_list() for vae in (found, expected)]
    for one, other in zip(*histories, strict=True):
        assert {**one, "dur": 0} == {**other, "dur": 0}


class Double(nn.Module):
    def forward(self, x):
        return 2 * x


def hooked() -> nn.Module:
    layer = nn.Linear(5, 8)
    layer.register_forward_hook(lambda *args: None)
    return layer


@pytest.mark.parametrize(
    "encoder",
    [
        nn.Sequential(nn.Linear(5, 8), Double()),
        nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8)),
        hooked(),
        nn.utils.parametrizations.spectral_norm(nn.Linear(5, 8)),
    ],
    ids=["own class", "batch norm", "hook", "parametrised"],
)
def test_networks_whose_code_may_do_anything_are_not_recorded(noted, X, encoder):
    GaussianVAETransformer(**SETTINGS, encoder=encoder).fit(X)
    assert noted == []


def test_a_users_network_of_plain_layers_draws_from_lent_generators(noted, X):
    encoder = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
    GaussianVAETransformer(**SETTINGS, encoder=encoder).fit(X)
    assert counts(noted) == [0]


def test_a_batch_callback_sees_every_gradient(noted, X):
    import skorch.callbacks

    seen = []

    class Grads(skorch.callbacks.Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            seen.append(all(p.grad is not None for _, p in named_parameters))

    GaussianVAETransformer(**SETTINGS, callbacks=[Grads()]).fit(X)
    assert noted == []
    assert seen == [True] * 16


@pytest.mark.parametrize(
    "mode",
    [torch.autograd.detect_anomaly, lambda: torch.device("cpu")],
    ids=["anomaly", "function mode"],
)
@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_special_modes_of_torch_are_not_recorded(noted, X, mode):
    vae = GaussianVAETransformer(**SETTINGS).fit(X)
    noted.clear()
    model = vae.net_.module_
    assert repeated.repeatable(model, vae.net_.criterion_) is not None
    with mode():
        assert repeated.repeatable(model, vae.net_.criterion_) is None


def test_the_key_names_what_a_step_depends_on(X):
    vae = GaussianVAETransformer(**SETTINGS).fit(X)
    model, criterion = vae.net_.module_, vae.net_.criterion_
    keys = [repeated.repeatable(model, criterion)]
    assert repeated.repeatable(model, criterion) == keys[0]

    def changed():
        key = repeated.repeatable(model, criterion)
        assert key not in keys
        keys.append(key)

    criterion.free_bits = 0.5
    changed()
    model.supervised_weight = 2.0
    changed()
    model.train()
    changed()
    next(model.parameters()).requires_grad_(False)
    changed()
    model.generator = torch.Generator()
    changed()
    model.round_weights("bfloat16")
    changed()
    layer = next(m for m in model.modules() if isinstance(m, nn.Linear))
    layer.weight.data = layer.weight.data.clone()
    changed()


def test_copies_and_pickles_have_no_recording():
    double = Repeated(lambda x: [2 * x])
    assert copy.deepcopy(double) is None
    assert pickle.loads(pickle.dumps(double)) is None
