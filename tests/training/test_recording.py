"""Recorded functions of tensors, and training steps that are repeated from a recording."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
import weakref

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch import callbacks
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
)
from torch import nn

from skccvae import GaussianVAETransformer, kernels
from skccvae.training import net, recording, repeated
from skccvae.training.batches import Batch
from skccvae.training.gradient_step import GradientStep
from skccvae.training.recording import record
from skccvae.training.repeatable import repeatable
from skccvae.training.repeated import Repeated

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
        return [loss.detach(), *torch.autograd.grad(loss, weights)]

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


@pytest.mark.parametrize("keeps_matrix", [False, True])
def test_a_sum_of_rows_becomes_a_vector_without_a_view(keeps_matrix):
    def function(x):
        total = x.sum(0, keepdim=True)
        return [total.view(2), total * 2 if keeps_matrix else x + 1]

    _, recorded = record(function, rows())
    for found, wanted in zip(recorded(rows() + 1), function(rows() + 1), strict=True):
        assert torch.equal(found, wanted)
        assert found.shape == wanted.shape
    assert ("view" in recorded._run.__code__.co_names) == keeps_matrix


def test_sums_that_are_not_of_rows_keep_their_shape():
    def function(x):
        cube = x.view(1, 3, 2)
        return [
            cube.sum(0, keepdim=True).view(-1),
            x.sum(1, keepdim=True).view(3),
            x.sum(0, keepdim=True).view(2, 1),
            x.sum(0, keepdim=True).view(torch.int32),
        ]

    _, recorded = record(function, rows())
    for found, wanted in zip(recorded(rows() + 1), function(rows() + 1), strict=True):
        assert torch.equal(found, wanted)


def test_training_goes_on_without_a_recording_that_cannot_be_written(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("another version of torch.fx")

    monkeypatch.setattr(recording.Writer, "write", broken)
    results, recorded = record(lambda x: [x + 1], rows())
    assert recorded is None
    assert torch.equal(results[0], rows() + 1)


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
        lambda x: [outside.view(1, 2).add_(x.sum(0)).clone()],
        lambda x: [x.clamp_(max=0.1)],
    ],
    ids=["number", "mask", "nonzero", "global", "dropout", "outside", "a view", "input"],
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


def test_a_draw_that_nothing_reads_moves_the_generator_on():
    generator = torch.Generator().manual_seed(0)

    def function(x):
        torch.randn(3, generator=generator)
        return [x + torch.randn(x.shape, generator=generator)]

    _, recorded = record(function, rows())
    state = generator.get_state()
    first = [recorded(rows())[0] for _ in range(2)]
    generator.set_state(state)
    for found in first:
        assert torch.equal(found, function(rows())[0])


def test_a_check_of_the_numbers_is_made_again():
    def function(x):
        return [torch.linalg.cholesky(x) * 2]

    _, recorded = record(function, torch.eye(2))
    with pytest.raises(torch.linalg.LinAlgError):
        recorded(-torch.eye(2))


def test_inputs_that_share_memory_are_not_recorded():
    x = rows()
    for one, other in ((x, x), (x[:2], x[1:])):
        (found,), made = record(lambda x, y: [x - y], one, other)
        assert torch.equal(found, one - other)
        assert made is None


def test_sparse_tensors_are_not_recorded():
    matrix = torch.eye(3).to_sparse()
    for function in (lambda x: [torch.sparse.mm(matrix, x)], lambda x: [x.to_sparse().to_dense()]):
        (found,), made = record(function, rows())
        assert torch.equal(found, rows())
        assert made is None


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


@pytest.mark.parametrize("fault", ["other bits", "an error", "another draw"])
def test_a_recording_with_a_fault_is_not_used(fault, monkeypatch):
    monkeypatch.setattr(repeated, "_CALLS_BEFORE", 0)
    generator = torch.Generator().manual_seed(0)
    call = recording.Recorded.__call__

    def faulty(self, *inputs):
        (found,) = call(self, *inputs)
        if fault == "an error":
            raise TypeError("sub() takes other arguments in this version")
        if fault == "other bits":
            return (found.nextafter(torch.tensor(9.0)),)
        torch.rand(1, generator=generator)
        return (found,)

    def function(x):
        return [x + torch.rand(x.shape, generator=generator)]

    monkeypatch.setattr(recording.Recorded, "__call__", faulty)
    repeat = Repeated(function)
    found = [repeat(rows())[0] for _ in range(5)]
    generator.manual_seed(0)
    for each in found:
        assert torch.equal(each, function(rows())[0])
    assert repeat.n_recorded == 0


@pytest.mark.parametrize("change", ["strides", "dtype"])
def test_a_recording_serves_only_tensors_of_a_kind(change, monkeypatch):
    monkeypatch.setattr(repeated, "_CALLS_BEFORE", 0)
    flat = Repeated(lambda x: [x.reshape(-1) / 3])
    x = rows(2)
    for _ in range(3):
        flat(x)
    other = x.t() if change == "strides" else x.double()
    assert flat.n_recorded == 1
    for _ in range(3):
        assert torch.equal(flat(other)[0], other.reshape(-1) / 3)


def test_gradients_are_those_of_backward():
    weight = torch.ones(3, 2, requires_grad=True)
    unused = torch.ones(1, requires_grad=True)
    factors = torch.arange(6.0).reshape(2, 3)
    for loss in (lambda: (weight.t() * factors).sum(), lambda: weight.sum(), lambda: weight[0]):
        step = GradientStep(lambda loss=loss: [loss()], [weight, unused], key=None)
        weight.grad = None
        loss().sum().backward()
        expected, weight.grad = weight.grad, None
        (found,) = step()
        assert not found.requires_grad
        assert torch.equal(found, loss())
        assert torch.equal(weight.grad, expected)
        assert weight.grad.stride() == (2, 1)
        assert unused.grad is None


# --- in training ------------------------------------------------------------------------------


@pytest.fixture
def X() -> np.ndarray:
    return np.random.default_rng(7).random((60, 5))


def counts(made) -> list[int]:
    return [each.n_recorded for each in made]


def test_one_recording_serves_all_epochs_and_ends_with_the_training(noted, X):
    vae = GaussianVAETransformer(**SETTINGS).fit(X)
    assert counts(noted) == [2]  # batches of 16 rows and one of 12
    assert vae.net_._step is None


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
    seen = []

    class Grads(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            seen.append(all(p.grad is not None for _, p in named_parameters))

    GaussianVAETransformer(**SETTINGS, callbacks=[Grads()]).fit(X)
    assert noted == []
    assert seen == [True] * 16


def zero(net, X, y) -> float:
    return 0.0


def test_learning_rate_schedules_and_scores_leave_recordings(noted, X, monkeypatch):
    rates = []

    class EndOfEpoch(Callback):
        def on_epoch_end(self, net, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])

    schedule = LRScheduler("ExponentialLR", gamma=0.99, step_every="batch")
    scoring = EpochScoring(zero, on_train=True, use_caching=False)
    used = [schedule, scoring, EndOfEpoch()]
    found = GaussianVAETransformer(**SETTINGS, callbacks=used).fit(X)
    assert counts(noted) == [2]
    assert rates[:4] == pytest.approx([1e-3 * 0.99 ** (4 * k) for k in range(1, 5)])
    assert found.history_["zero"] == [0.0] * 4
    monkeypatch.setattr(net, "repeatable", lambda *parts: None)
    expected = clone(found).fit(X)
    np.testing.assert_array_equal(found.transform(X), expected.transform(X))
    assert len(found.net_.history[:, "batches"][0]) == 4


def test_loggers_leave_recordings(noted, X):
    bar = callbacks.ProgressBar(detect_notebook=False)
    GaussianVAETransformer(**SETTINGS, callbacks=[bar, callbacks.PrintLog(sink=str)]).fit(X)
    assert counts(noted) == [2]


@pytest.mark.parametrize("hook", ["on_batch_begin", "on_grad_computed", "on_batch_end"])
def test_a_callback_that_may_change_steps_stops_recordings(noted, X, hook):
    of_class = type("Changes", (Callback,), {hook: lambda self, net, *args, **kwargs: None})()
    of_object = EpochScoring(zero, on_train=True, use_caching=False)
    setattr(of_object, hook, lambda net, *args, **kwargs: None)

    calls = []

    @functools.wraps(getattr(Callback, hook))
    def copied_name(self, net, *args, **kwargs):
        calls.append(hook)

    wrapping = type("Wrapping", (EarlyStopping,), {hook: copied_name})("train_loss")
    for callback in (of_class, of_object, wrapping, GradientNormClipping(1.0)):
        GaussianVAETransformer(**SETTINGS, callbacks=[callback]).fit(X)
        assert noted == []
    assert calls == [hook] * 16


def test_short_trainings_are_not_recorded(noted, X, monkeypatch):
    monkeypatch.setattr(repeated, "_CALLS_BEFORE", 2)  # of a training of more than 12 steps
    GaussianVAETransformer(**{**SETTINGS, "max_epochs": 3}).fit(X)
    assert counts(noted) == []
    GaussianVAETransformer(**{**SETTINGS, "max_epochs": 4}).fit(X)
    assert len(counts(noted)) == 1


MODES = {
    "anomaly": torch.autograd.detect_anomaly,
    "function mode": lambda: torch.device("cpu"),
    "dispatch mode": recording._Recorder,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_special_modes_of_torch_are_not_recorded(X, mode):
    vae = GaussianVAETransformer(**SETTINGS).fit(X)
    model, criterion = vae.net_.module_, vae.net_.criterion_
    assert repeatable(model, criterion) is not None
    with MODES[mode]():
        assert repeatable(model, criterion) is None


def test_a_mode_of_torch_is_left_after_a_recording_that_failed():
    def fails(x):
        raise ValueError("no such rows")

    with pytest.raises(ValueError, match="no such rows"):
        record(fails, rows())
    results, made = record(lambda x: [x + 1], rows())
    assert torch.equal(results[0], rows() + 1)
    assert made is not None


def square(model) -> nn.Linear:
    """A dense layer of the decoder whose matrix is square."""
    return next(m for m in model.decoder.modules() if getattr(m, "in_features", 0) == 8)


def relu(model) -> nn.Module:
    return next(m for m in model.modules() if isinstance(m, nn.ReLU))


def change_loss(model, criterion):
    criterion.free_bits = 0.5


def change_setting(model, criterion):
    model.supervised_weight = 2.0


def change_mode(model, criterion):
    model.train(not model.training)


def freeze(model, criterion):
    next(model.parameters()).requires_grad_(False)


def change_generator(model, criterion):
    model.generator = torch.Generator()


def round_weights(model, criterion):
    model.round_weights("bfloat16")


def move(model, criterion):
    square(model).weight.data = square(model).weight.data.clone()


def transpose(model, criterion):
    square(model).weight.data = square(model).weight.data.t()


def replace_activation(model, criterion):
    relu(model).__class__ = nn.Tanh


def use_twice(model, criterion):
    layers = model.decoder.hidden._modules
    layers["again"] = layers["0"]


def replace_manifold(model, criterion):
    model.latent.manifold = copy.copy(model.latent.manifold)


CHANGES = [
    change_loss,
    change_setting,
    change_mode,
    freeze,
    change_generator,
    round_weights,
    move,
    transpose,
    replace_activation,
    use_twice,
    replace_manifold,
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_key_names_what_a_step_depends_on(X, change):
    vae = GaussianVAETransformer(**{**SETTINGS, "hidden_layer_sizes": (8, 8)}).fit(X)
    model, criterion = vae.net_.module_, vae.net_.criterion_
    before = repeatable(model, criterion)
    assert before is not None
    assert repeatable(model, criterion) == before
    change(model, criterion)
    assert repeatable(model, criterion) not in (before, None)


def test_the_use_of_accelerators_is_part_of_the_key(X):
    net = GaussianVAETransformer(**SETTINGS).fit(X).net_
    key = repeatable(net.module_, net.criterion_)
    assert repeatable(net.module_, net.criterion_) == key
    with kernels.disabled():
        assert repeatable(net.module_, net.criterion_) != key


def test_a_distance_is_part_of_the_key(X):
    vae = GaussianVAETransformer(**SETTINGS, distance_weight=1.0).fit(X)
    model, criterion = vae.net_.module_, vae.net_.criterion_
    before = repeatable(model, criterion)
    assert before is not None
    other = GaussianVAETransformer(**SETTINGS, distance_weight=1.0, distance_metric="cityblock")
    model.distance_metric = other.fit(X).net_.module_.distance_metric
    assert repeatable(model, criterion) not in (before, None)
    for own in (lambda inputs, x: torch.cdist(x, x), Metric()):
        model.distance_metric = own
        assert repeatable(model, criterion) is None


class Metric:
    __module__ = None

    def __call__(self, inputs, x):
        return torch.cdist(x, x)


def replace_method(model):
    model.likelihood.total_log_prob = lambda outputs, x: outputs.sum()


def compile_layer(model):
    square(model).compile()


def hook_gradient(model):
    square(model).weight.register_hook(lambda grad: grad)


def hook_after_gradient(model):
    square(model).weight.register_post_accumulate_grad_hook(lambda weight: None)


@pytest.mark.parametrize(
    "change", [replace_method, compile_layer, hook_gradient, hook_after_gradient]
)
def test_changes_after_which_there_is_no_recording(X, change):
    vae = GaussianVAETransformer(**{**SETTINGS, "hidden_layer_sizes": (8, 8)}).fit(X)
    change(vae.net_.module_)
    assert repeatable(vae.net_.module_, vae.net_.criterion_) is None


def test_a_tensor_among_the_settings_is_compared_by_identity(X):
    vae = GaussianVAETransformer(**SETTINGS).fit(X)
    model, criterion = vae.net_.module_, vae.net_.criterion_
    keys = []
    for _ in range(2):
        model.note = (torch.ones(2),)
        keys.append(repeatable(model, criterion))
    assert keys[0] != keys[1]


def test_twins_and_pickles_have_no_recording(noted, X, monkeypatch):
    """Made while a training runs, they are of another net, with other weights."""
    made = []

    class Spy(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 3:
                assert net._step is not None
                made.extend([net.twin(), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)])

    monkeypatch.setattr(net, "_EPOCHS_ONLY", (Spy,))
    vae = GaussianVAETransformer(**SETTINGS, callbacks=[Spy()]).fit(X)
    assert counts(noted) == [2]
    weights = [p.detach().clone() for p in vae.net_.module_.parameters()]
    assert len(made) == 3
    for other in made:
        assert other._step is None
        before = [p.detach().clone() for p in other.module_.parameters()]
        other.train_step(Batch(torch.rand(16, 5)))
        assert not all(map(torch.equal, other.module_.parameters(), before))
    assert all(map(torch.equal, vae.net_.module_.parameters(), weights))


def test_a_step_is_copied_as_none():
    step = GradientStep(lambda x: [x.sum()], [], key=None)
    assert copy.deepcopy(step) is None
    assert pickle.loads(pickle.dumps(step)) is None


def test_a_net_is_freed_with_its_recordings(noted, X):
    vae = GaussianVAETransformer(**SETTINGS).fit(X)
    assert counts(noted) == [2]
    noted.clear()
    kept = weakref.ref(vae.net_.module_)
    gc.disable()
    try:
        del vae
        assert kept() is None
    finally:
        gc.enable()
