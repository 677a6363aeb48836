"""skorch's own callbacks do what skorch's documentation says."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EpochScoring,
    GradientNormClipping,
    LoadInitState,
    LRScheduler,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    TrainEndCheckpoint,
)
from skorch.exceptions import SkorchException

import skccvae
from skccvae import GaussianVAETransformer


def gaussian(*callbacks, **params):
    defaults = {"max_epochs": 4, "hidden_layer_sizes": (16,), "random_state": 0, "device": "cpu"}
    return GaussianVAETransformer(
        callbacks=list(callbacks), batch_size=20, **{**defaults, **params}
    )


def validated(*callbacks, **params):
    """Its loss on the rows that are held out has its minimum before the last epoch."""
    settings = {"early_stopping": True, "validation_fraction": 0.3, "n_epochs_no_change": 99}
    settings |= {"init": "random", "kl_warmup_epochs": 0}
    return gaussian(*callbacks, learning_rate=0.1, **{"max_epochs": 30, **settings, **params})


def weights(net) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in net.module_.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert np.array_equal(value, np.asarray(b[name])), name


class Weights(Callback):
    """Keeps the weights after each epoch, and those of the start."""

    def on_train_begin(self, net, **kwargs):
        self.seen_ = []

    def on_epoch_begin(self, net, **kwargs):
        if not self.seen_:
            self.seen_.append(weights(net))

    def on_epoch_end(self, net, **kwargs):
        self.seen_.append(weights(net))


# --- the history ----------------------------------------------------------------------------------


def test_the_history_says_which_epochs_are_the_best_so_far(real):
    vae = validated().fit(real)
    for name in ("train_loss", "valid_loss"):
        losses = vae.history_[name]
        lowest = [loss < min(losses[:i], default=np.inf) for i, loss in enumerate(losses)]
        assert vae.history_[f"{name}_best"] == lowest
        assert 0 < sum(lowest) < len(losses) or name == "train_loss"


def test_the_best_of_all_calls_counts(real):
    vae = gaussian(learning_rate=0.02).fit(real)
    best = min(vae.loss_curve_)
    for twin in (vae, pickle.loads(pickle.dumps(vae))):
        twin.set_params(learning_rate=1e-9).partial_fit(real)
        assert twin.history_["train_loss_best"][-1] == (twin.loss_curve_[-1] < best)


def test_batches_are_recorded_where_callbacks_may_read_them(real):
    vae = validated(PrintLog(sink=lambda text: None), max_epochs=2).fit(real)
    for row in vae.net_.history:
        train, valid = row["batches"][:3], row["batches"][3:]
        assert [batch["train_batch_size"] for batch in train] == [20, 20, 2]
        assert [batch["valid_batch_size"] for batch in valid] == [18]
        assert valid[0]["valid_loss"] == pytest.approx(row["valid_loss"], rel=1e-6)
        assert (row["train_batch_count"], row["valid_batch_count"]) == (3, 1)
        mean = np.average([batch["train_loss"] for batch in train], weights=[20, 20, 2])
        assert mean == pytest.approx(row["train_loss"], rel=1e-6)
    assert validated(max_epochs=2).fit(real).net_.history[-1]["batches"] == []


@pytest.mark.parametrize("settings", [{"free_bits": 0.5}, {"objective": "iwae"}, {"beta": 0.3}])
def test_the_loss_of_one_batch_of_validation_is_that_of_the_epoch(real, settings):
    vae = validated(PrintLog(sink=lambda text: None), max_epochs=2, **settings).fit(real)
    for row in vae.net_.history:
        assert row["batches"][-1]["valid_loss"] == row["valid_loss"]


# --- checkpoints ----------------------------------------------------------------------------------


def test_a_checkpoint_of_each_epoch(real, tmp_path):
    spy = Weights()
    checkpoint = Checkpoint(
        monitor=None, dirname=str(tmp_path), f_params="params_{last_epoch[epoch]}.pt"
    )
    vae = gaussian(spy, checkpoint).fit(real)
    for epoch in range(1, 5):
        assert_same(spy.seen_[epoch], torch.load(tmp_path / f"params_{epoch}.pt"))
    assert vae.history_["event_cp"] == [True] * 4
    rows = json.loads((tmp_path / "history.json").read_text())
    assert [row["train_loss"] for row in rows] == vae.loss_curve_
    averages = torch.load(tmp_path / "optimizer.pt")["state"]
    found = vae.net_.optimizer_.state_dict()["state"]
    assert all(torch.equal(averages[n]["exp_avg"], entry["exp_avg"]) for n, entry in found.items())


@pytest.mark.parametrize(
    "monitor", ["valid_loss_best", "train_loss_best", lambda net: net.history[-1, "epoch"] == 3]
)
def test_a_checkpoint_of_the_best_epoch(real, tmp_path, monitor):
    spy = Weights()
    vae = validated(spy, Checkpoint(monitor=monitor, dirname=str(tmp_path))).fit(real)
    wanted = [epoch == 3 for epoch in vae.history_["epoch"]]
    saved = vae.history_["event_cp"]
    assert saved == (wanted if callable(monitor) else vae.history_[monitor])
    last = max(epoch for epoch, flag in enumerate(saved, 1) if flag)
    assert_same(spy.seen_[last], torch.load(tmp_path / "params.pt"))


@pytest.mark.parametrize("use_safetensors", [False, True])
def test_a_checkpoint_brings_the_best_epoch_back(real, tmp_path, use_safetensors):
    spy, folder = Weights(), str(tmp_path)
    options = {"use_safetensors": True, "f_optimizer": None} if use_safetensors else {}
    checkpoint = Checkpoint(dirname=folder, load_best=True, **options)
    vae = validated(spy, checkpoint, max_epochs=60).fit(real)
    whole = validated(max_epochs=60).fit(real)
    best = int(np.argmin(whole.history_["valid_loss"])) + 1
    assert best < 60
    assert_same(spy.seen_[best], weights(vae.net_))
    assert vae.loss_curve_ == whole.loss_curve_[:best]
    assert vae.n_iter_ == best
    vae.save(tmp_path / "model")
    assert skccvae.load(tmp_path / "model").loss_curve_ == vae.loss_curve_


def test_a_checkpoint_of_the_validation_needs_validation(real, tmp_path):
    with pytest.raises(SkorchException, match="Make sure you have validation data"):
        gaussian(Checkpoint(dirname=str(tmp_path))).fit(real)


def test_a_checkpoint_pickles_the_net(real, tmp_path):
    spy = Weights()
    checkpoint = Checkpoint(monitor=None, dirname=str(tmp_path), f_pickle="net.pkl")
    gaussian(spy, checkpoint).fit(real)
    net = pickle.loads((tmp_path / "net.pkl").read_bytes())
    assert_same(spy.seen_[-1], weights(net))
    assert len(net.history) == 4


@pytest.mark.parametrize("kind", [Checkpoint, TrainEndCheckpoint])
def test_a_training_goes_on_from_a_checkpoint(real, tmp_path, kind):
    options = {"monitor": None} if kind is Checkpoint else {}
    checkpoint = kind(dirname=str(tmp_path), **options)
    first = gaussian(checkpoint).fit(real)
    averages = first.net_.optimizer_.state_dict()["state"][0]["exp_avg"]
    spy = Weights()

    class Averages(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 5:
                found = net.optimizer_.state_dict()["state"][0]["exp_avg"]
                assert torch.equal(found, averages)

    second = gaussian(spy, LoadInitState(checkpoint), Averages(), max_epochs=3).fit(real)
    assert_same(spy.seen_[0], weights(first.net_))
    assert second.loss_curve_[:4] == first.loss_curve_
    assert len(second.loss_curve_) == 7
    assert second.n_iter_ == 3


# --- scores ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_train", [False, True])
@pytest.mark.parametrize("use_caching", [False, True])
def test_a_score_of_each_epoch_gets_rows_and_targets(real, on_train, use_caching):
    seen = []

    def score(net, X, y):
        seen.append((X, y))
        return -len(seen)

    callback = EpochScoring(score, on_train=on_train, use_caching=use_caching, name="mine")
    vae = validated(callback, max_epochs=3, supervised_weight=1.0)
    y = real[:, 0] > 3
    vae.fit(real, y)
    assert vae.history_["mine"] == [-1, -2, -3]
    assert vae.history_["mine_best"] == [True] * 3
    train, valid = vae._split(60)
    rows = train if on_train else valid
    units = vae._input.units
    for X, targets in seen:
        assert isinstance(X, np.ndarray)
        assert (X.dtype, X.shape) == (np.float32, (len(rows), 5))
        np.testing.assert_allclose(X, (real[rows] - units.center) / units.scale, rtol=1e-5)
        assert np.array_equal(targets[:, 0], y[rows])


def test_scores_use_the_net_without_changing_the_training(real):
    def error(net, X, y):
        reconstruction = net.predict(X)
        assert reconstruction.shape == (len(X),)
        return float(reconstruction.mean())

    callbacks = [
        EpochScoring(None, lower_is_better=False),
        EpochScoring(error, on_train=True),
        BatchScoring(error, on_train=True, name="of_batches"),
    ]
    dropout = {"encoder": lambda n: torch.nn.Sequential(torch.nn.Linear(n, 8), torch.nn.Dropout())}
    vae = validated(*callbacks, max_epochs=3, **dropout).fit(real)
    assert_same(weights(vae.net_), weights(validated(max_epochs=3, **dropout).fit(real).net_))
    np.testing.assert_allclose(vae.history_["score"], vae.history_["valid_elbo"], rtol=1e-5)
    assert {"error", "error_best", "of_batches", "score_best"} <= vae.history_.keys()


def test_a_score_of_validation_without_validation_is_left_out(real):
    vae = gaussian(EpochScoring(lambda net, X, y: 1.0, name="mine")).fit(real)
    assert "mine" not in vae.history_


def test_scores_of_batches_are_passed_on(real):
    class Count(Callback):
        def on_batch_end(self, net, batch, training, **kwargs):
            if training:
                net.history.record_batch("rows", len(batch[0]))

    callbacks = [Count(), PassthroughScoring("rows", on_train=True, lower_is_better=False)]
    vae = validated(*callbacks, PassthroughScoring("valid_loss"), max_epochs=2).fit(real)
    assert vae.history_["rows"] == pytest.approx([(20**2 + 20**2 + 2**2) / 42] * 2)
    assert vae.history_["rows_best"] == [True, False]
    plain = validated(max_epochs=2).fit(real)
    assert vae.history_["valid_loss"] == pytest.approx(plain.history_["valid_loss"], rel=1e-6)
    assert vae.history_["valid_loss_best"] == plain.history_["valid_loss_best"]


# --- learning rates -------------------------------------------------------------------------------

SCHEDULES = {
    "StepLR": {"step_size": 2, "gamma": 0.5},
    "MultiStepLR": {"milestones": [1, 4, 5], "gamma": 0.1},
    "ExponentialLR": {"gamma": 0.7},
    "CosineAnnealingLR": {"T_max": 4},
    "LambdaLR": {"lr_lambda": lambda epoch: 1 / (1 + epoch)},
    "ReduceLROnPlateau": {"patience": 0, "threshold": 0.02, "factor": 0.5},
    "WarmRestartLR": {"min_lr": 1e-4, "max_lr": 1e-2, "base_period": 3},
    "StepLR of batches": {"step_size": 4, "gamma": 0.5, "step_every": "batch"},
    "CyclicLR of batches": {
        "base_lr": 1e-4, "max_lr": 1e-2, "step_size_up": 4, "step_every": "batch",
    },
}  # fmt: skip


def schedule(name):
    return LRScheduler(name.removesuffix(" of batches"), **SCHEDULES[name])


def rates(vae):
    """Rates of all epochs or batches."""
    rows = vae.net_.history
    found = [[b["event_lr"] for b in row.get("batches", ()) if "event_lr" in b] for row in rows]
    return [row.get("event_lr", of_batches) for row, of_batches in zip(rows, found, strict=True)]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("how", ["partial_fit", "warm_start", "pickle", "file"])
def test_schedules_go_on_with_the_next_call(real, tmp_path, name, how):
    settings = {"learning_rate": 0.01, "warm_start": True}
    whole = gaussian(schedule(name), **{**settings, "max_epochs": 6}).fit(real)
    vae = gaussian(schedule(name), **{**settings, "max_epochs": 3}).fit(real)
    if name == "ReduceLROnPlateau":
        # Its rates follow from the losses, which depend on the calls. Those of both are the same.
        losses = iter([9, 8, 7.9, 8, 7.5, 7.4] * 2)
        of_losses = [lambda net: None, Callback()]
        of_losses[1].on_epoch_end = lambda net, **kwargs: net.history.record("mine", next(losses))
        options = {**SCHEDULES[name], "monitor": "mine"}
        whole = gaussian(of_losses[1], LRScheduler(name, **options), **settings, max_epochs=6)
        vae = gaussian(of_losses[1], LRScheduler(name, **options), **settings, max_epochs=3)
        whole.fit(real), vae.fit(real)
    first = rates(vae)
    callbacks = vae.callbacks
    if how == "pickle":
        vae = pickle.loads(pickle.dumps(vae.set_params(callbacks=None)))
    if how == "file":
        vae.save(tmp_path / "model")
        vae = skccvae.load(tmp_path / "model")
    vae.set_params(callbacks=callbacks)
    if how == "partial_fit":
        vae.partial_fit(real).partial_fit(real).partial_fit(real)
    else:
        vae.fit(real)
    found = first[:3] + rates(vae)[3:]
    assert np.ravel(found) == pytest.approx(np.ravel(rates(whole)), rel=1e-9)
    assert len(set(np.ravel(found))) > 2


def test_a_schedule_follows_a_learning_rate_that_is_changed(real):
    vae = gaussian(LRScheduler("StepLR", step_size=1), learning_rate=0.1, max_epochs=2).fit(real)
    vae.set_params(learning_rate=0.5).partial_fit(real)
    assert vae.history_["event_lr"] == pytest.approx([0.1, 0.01, 0.005])
    vae.set_params(callbacks=None).partial_fit(real)
    assert vae.net_.optimizer_.param_groups[0]["lr"] == 0.5


def test_a_schedule_begins_after_epochs_without_one(real):
    vae = gaussian(learning_rate=0.1, max_epochs=2).fit(real)
    vae.set_params(callbacks=[LRScheduler("StepLR", step_size=3)]).partial_fit(real)
    vae.partial_fit(real)
    assert vae.history_["event_lr"][2:] == pytest.approx([0.1, 0.01])


def test_schedules_do_not_warn_when_they_go_on(real, recwarn):
    vae = gaussian(LRScheduler("ExponentialLR", gamma=0.5)).fit(real)
    vae.partial_fit(real)
    assert [str(warning.message) for warning in recwarn] == []


# --- what else there is ---------------------------------------------------------------------------


def test_gradients_are_clipped(real):
    norms = []

    class Norms(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            grads = [p.grad.norm() for _, p in named_parameters]
            norms.append(float(torch.stack(grads).norm()))

    gaussian(Norms()).fit(real)
    free = len(norms)
    assert min(norms) > 0.1
    gaussian(GradientNormClipping(0.1), Norms()).fit(real)
    assert max(norms[free:]) <= 0.1 * (1 + 1e-5)


@pytest.mark.parametrize("batches_per_epoch", ["auto", "count"])
@pytest.mark.parametrize("train_only", [False, True])
def test_a_bar_of_skorch_counts_the_batches(real, capsys, batches_per_epoch, train_only):
    bar = ProgressBar(batches_per_epoch)
    totals = []

    class Spy(Callback):
        def on_epoch_end(self, net, **kwargs):
            totals.append((bar.pbar_.n, bar.pbar_.total))
            assert bar.pbar_.postfix.startswith("train_loss=" if train_only else "valid_loss=")

    validated(bar, Spy(), max_epochs=2, early_stopping=not train_only).fit(real)
    assert totals[1] == ((3, 3) if train_only else (4, 4))
    assert "| 0/" in capsys.readouterr().err


def test_lines_of_skorch(real):
    lines: list[str] = []
    vae = validated(PrintLog(sink=lines.append), max_epochs=2).fit(real)
    assert f"{vae.loss_curve_[-1]:.4f}" in "\n".join(lines)
