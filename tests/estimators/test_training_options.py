"""partial_fit, warm_start, early stopping, warm-up, objectives, callbacks, progress, interrupts."""

from __future__ import annotations

import contextlib
import gc
import math
import re
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import cross_val_score
from skorch.callbacks import Callback, EarlyStopping, EpochScoring, LRScheduler

from skccvae import (
    ConstantCurvatureVAETransformer,
    DivergenceError,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
)


def gaussian(**params):
    defaults = {"max_epochs": 3, "hidden_layer_sizes": (16,), "random_state": 0, "device": "cpu"}
    return GaussianVAETransformer(**{**defaults, **params})


def weights(vae) -> dict[str, np.ndarray]:
    return {n: v.numpy().copy() for n, v in vae.net_.module_.state_dict().items()}


def assert_same_weights(a, b):
    for name, value in weights(a).items():
        assert np.array_equal(value, weights(b)[name]), name


# --- more than one call ---------------------------------------------------------------------------


def test_partial_fit_runs_one_epoch(make, small):
    vae = make()
    assert vae.partial_fit(small) is vae
    assert vae.n_iter_ == 1
    assert len(vae.loss_curve_) == 1
    first = weights(vae)
    vae.partial_fit(small)
    assert vae.n_iter_ == 1
    assert vae.history_["epoch"] == [1, 2]
    assert len(vae.loss_curve_) == len(vae.history_["elbo"]) == 2
    assert any(not np.array_equal(value, first[n]) for n, value in weights(vae).items())


def test_partial_fit_learns_as_fit_does(digits):
    """Their noise differs, so the losses do, by no more than chance over seeds."""
    differences = []
    for seed in range(5):
        vae = gaussian(max_epochs=8, learning_rate=5e-3, random_state=seed).fit(digits)
        parts = gaussian(learning_rate=5e-3, random_state=seed)
        for _ in range(8):
            parts.partial_fit(digits)
        assert parts.loss_curve_[0] == vae.loss_curve_[0]  # the same weights and batches at first
        assert parts.loss_curve_[-1] < parts.loss_curve_[0] - 1
        differences.append(parts.loss_curve_[-1] - vae.loss_curve_[-1])
    error = np.std(differences, ddof=1) / np.sqrt(len(differences))
    assert abs(np.mean(differences)) < 3 * error


def test_partial_fit_keeps_likelihood_and_scaling_of_the_first_call(real):
    vae = gaussian().partial_fit(real)
    center, scale = vae._input.units.center.copy(), vae._input.units.scale.copy()
    vae.partial_fit(real[:10] + 5)
    assert np.array_equal(vae._input.units.center, center)
    assert np.array_equal(vae._input.units.scale, scale)


def test_fit_starts_anew_and_warm_start_goes_on(make, small):
    vae = make()
    first = vae.fit(small).transform(small)
    assert np.array_equal(vae.fit(small).transform(small), first)
    assert len(vae.loss_curve_) == 2
    vae.set_params(warm_start=True).fit(small)
    assert len(vae.loss_curve_) == 4
    assert vae.n_iter_ == 2
    assert not np.array_equal(vae.transform(small), first)
    assert vae.loss_curve_[2] != vae.loss_curve_[0]
    with pytest.raises(ValueError, match="X has 2 features"):
        vae.fit(small[:, :2])


def test_weight_decay_makes_smaller_weights(make, small):
    def size(vae):
        matrices = [p for p in vae.net_.module_.parameters() if p.dim() > 1]
        return float(sum(p.detach().square().sum() for p in matrices))

    settings = {"learning_rate": 0.01, "max_epochs": 20, "init": "pca"}
    plain, decayed = (make(weight_decay=w, **settings).fit(small) for w in (0.0, 5.0))
    assert size(decayed) < 0.8 * size(plain)
    assert np.isfinite(decayed.transform(small)).all()
    decayed.set_params(weight_decay=0.0, warm_start=True).fit(small)
    assert decayed.net_.weight_decay == 0.0


def test_settings_changed_between_calls_take_effect(small):
    vae = gaussian(warm_start=True, max_epochs=1).fit(small)
    before = weights(vae)
    vae.set_params(learning_rate=1e-30).fit(small)
    np.testing.assert_allclose(
        np.concatenate([v.ravel() for v in weights(vae).values()]),
        np.concatenate([v.ravel() for v in before.values()]),
        atol=1e-12,
    )
    vae.set_params(learning_rate=1e-3, beta=0.25).partial_fit(small)
    assert vae.history_["beta"] == [1.0, 1.0, 0.25]
    loss, elbo, kl = (vae.history_[name][-1] for name in ("train_loss", "elbo", "kl"))
    assert loss == pytest.approx(-elbo - 0.75 * kl, rel=1e-5)


class Untouched(dict):
    """An epoch of the history that refuses to be read."""

    def refuse(self, *args):
        raise AssertionError("an epoch of an earlier call was read")

    __getitem__ = __iter__ = __contains__ = get = keys = values = items = refuse


def lines_run(call) -> int:
    """How many lines of Python a call runs, in whatever file."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    old = sys.gettrace()
    # Garbage of other tests may run finalizers, whose lines are not those of the call.
    gc.collect()
    gc.disable()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(old)
        gc.enable()
    return count


def test_a_call_of_partial_fit_costs_the_same_after_many_others(make, small):
    vae = make()
    for _ in range(3):
        vae.partial_fit(small)
    few = lines_run(lambda: vae.partial_fit(small))
    rows = vae.net_.history.to_list()
    vae.net_.history = 500 * rows
    assert lines_run(lambda: vae.partial_fit(small)) == few
    assert len(vae.loss_curve_) == 2001


def test_a_call_of_partial_fit_reads_no_epoch_of_the_calls_before(make, small):
    vae = make().partial_fit(small)
    vae.net_.history[:] = [Untouched(row) for row in vae.net_.history.to_list()]
    vae.partial_fit(small).partial_fit(small)
    assert len(vae.net_.history) == 3
    with pytest.raises(AssertionError, match="an earlier call"):
        len(vae.history_)


# --- early stopping -------------------------------------------------------------------------------


def test_early_stopping_restores_the_weights_of_the_best_epoch(digits):
    settings = {"early_stopping": True, "learning_rate": 0.01, "validation_fraction": 0.3}
    vae = gaussian(max_epochs=200, n_epochs_no_change=4, hidden_layer_sizes=(128,), **settings)
    vae.fit(digits[:120])
    valid = vae.history_["valid_loss"]
    best = int(np.argmin(valid)) + 1
    assert vae.n_iter_ < 200
    assert 1 < best < vae.n_iter_
    twin = gaussian(
        max_epochs=best, n_epochs_no_change=200, hidden_layer_sizes=(128,), **settings
    ).fit(digits[:120])
    assert twin.history_["valid_loss"] == valid[:best]
    assert_same_weights(vae, twin)


def test_early_stopping_holds_out_what_it_says(make, small):
    vae = make(early_stopping=True, validation_fraction=0.25)
    seen = []

    class Spy(Callback):
        def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            seen.append((dataset_train.index, dataset_valid.index))

    vae.set_params(callbacks=[Spy()]).fit(small)
    train, valid = seen[0]
    assert len(valid) == 15
    assert sorted([*train, *valid]) == list(range(60))
    assert all(np.array_equal(valid, other) for _, other in seen)
    assert {"valid_loss", "valid_elbo", "valid_kl", "valid_reconstruction"} <= set(vae.history_)


def test_epochs_of_the_warm_up_do_not_count(small):
    vae = gaussian(
        early_stopping=True, n_epochs_no_change=1, kl_warmup_epochs=6, max_epochs=40
    ).fit(small)
    assert vae.n_iter_ >= 8  # the first that counts, and one without improvement, at least


def test_the_history_stays_a_table_when_validation_comes_and_goes(small):
    vae = gaussian(early_stopping=True).fit(small).partial_fit(small)
    table = pd.DataFrame(vae.history_)
    assert len(table) == 4
    assert table["valid_loss"].isna().tolist() == [False, False, False, True]
    assert table["dur"].min() > 0


# --- objective ------------------------------------------------------------------------------------


def test_kl_warm_up(small):
    vae = gaussian(max_epochs=5, kl_warmup_epochs=4, beta=2.0).fit(small)
    assert vae.history_["beta"] == [0.5, 1.0, 1.5, 2.0, 2.0]


def test_the_parts_of_the_loss_add_up(make, small):
    vae = make(beta=0.5, max_epochs=2).fit(small)
    for loss, elbo, reconstruction, kl in zip(
        *(vae.history_[n] for n in ("train_loss", "elbo", "reconstruction", "kl")), strict=True
    ):
        assert elbo == pytest.approx(reconstruction - kl, rel=1e-5)
        assert loss == pytest.approx(-reconstruction + 0.5 * kl, rel=1e-5)
    assert vae.loss_curve_ == vae.history_["train_loss"]


def test_a_larger_beta_gives_a_smaller_kl(make_vae, digits):
    kls = [
        make_vae(beta=beta, max_epochs=15, learning_rate=3e-3).fit(digits).evaluate(digits, 2)["kl"]
        for beta in (0.1, 20.0)
    ]
    assert kls[1] < 0.5 * kls[0]


def test_the_importance_weighted_objective(make_vae, digits):
    X = digits[:300]
    model = {"init": "random", "likelihood": "bernoulli"}
    settings = {"max_epochs": 6, "learning_rate": 5e-3, **model}
    elbo = make_vae(**settings).fit(X)
    iwae = make_vae(objective="iwae", n_latent_samples=8, **settings).fit(X)
    assert iwae.score(X) > make_vae(max_epochs=1, learning_rate=1e-9, **model).fit(X).score(X) + 4
    assert iwae.score(X) == pytest.approx(elbo.score(X), rel=0.1)
    # The bound with eight draws is above the ELBO of the same draws.
    assert -iwae.loss_curve_[-1] > iwae.history_["elbo"][-1]


def test_one_draw_makes_the_two_objectives_the_same_bound(small):
    vae = gaussian(max_epochs=1, objective="iwae", n_latent_samples=1).fit(small)
    assert -vae.loss_curve_[0] == pytest.approx(vae.history_["elbo"][0], rel=1e-5)


# --- callbacks ------------------------------------------------------------------------------------


def test_callbacks_of_skorch(small):
    seen = []

    class Watch(Callback):
        def on_train_begin(self, net, X=None, y=None, **kwargs):
            seen.append("begin")

        def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            seen.append(len(net.history))
            net.history.record("twice", 2 * len(net.history))

        def on_batch_end(self, net, batch=None, training=None, loss=None, **kwargs):
            assert training
            assert batch[0].shape[1] == 5
            seen.append(float(loss))

        def on_grad_computed(self, net, named_parameters, **kwargs):
            assert all(p.grad is not None for _, p in named_parameters)

        def on_train_end(self, net, X=None, y=None, **kwargs):
            seen.append("end")

    vae = gaussian(callbacks=[Watch()], batch_size=30, max_epochs=2).fit(small)
    assert seen[0] == "begin"
    assert seen[-1] == "end"
    assert [s for s in seen if isinstance(s, int)] == [1, 2]
    assert len([s for s in seen if isinstance(s, float)]) == 4
    assert vae.history_["twice"] == [2, 4]
    # Watching does not change the training.
    assert_same_weights(vae, gaussian(batch_size=30, max_epochs=2).fit(small))


def test_skorch_early_stopping_and_scoring(digits):
    # skorch's own EarlyStopping watches a column of the history; EpochScoring writes one.
    def held_out_elbo(net, X, y):
        return net.history[-1]["valid_elbo"]

    vae = gaussian(
        max_epochs=300,
        learning_rate=0.03,
        early_stopping=True,
        n_epochs_no_change=300,
        callbacks=[
            ("score", EpochScoring(held_out_elbo, name="held_out", lower_is_better=False)),
            EarlyStopping(monitor="valid_loss", patience=3),
        ],
    ).fit(digits[:80])
    assert vae.n_iter_ < 300
    assert vae.history_["held_out"] == vae.history_["valid_elbo"]


def test_a_scheduler_of_skorch(small):
    scheduler = LRScheduler("StepLR", step_size=1, gamma=0.1)
    vae = gaussian(callbacks=[scheduler], learning_rate=0.1, max_epochs=3).fit(small)
    assert vae.history_["event_lr"] == pytest.approx([0.1, 0.01, 0.001])


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_batch_end"])
def test_a_callback_may_stop_training_anywhere(small, hook):
    class Stop(Callback):
        pass

    def stop(self, net, **kwargs):
        if hook == "on_train_begin" or len(net.history) == 3:
            raise KeyboardInterrupt

    setattr(Stop, hook, stop)
    vae = gaussian(max_epochs=9, callbacks=[Stop()]).fit(small)
    expected = {"on_train_begin": 0, "on_epoch_begin": 2, "on_batch_end": 2}[hook]
    assert len(vae.loss_curve_) == len(vae.history_["epoch"]) == expected
    assert np.isfinite(vae.transform(small)).all()
    if expected:
        assert_same_weights(vae, gaussian(max_epochs=expected).fit(small))


class InterruptingModule(torch.nn.Module):
    """Behaves as if the user pressed Ctrl-C in the middle of the second epoch."""

    def __init__(self, n_features):
        super().__init__()
        self.layer = torch.nn.Linear(n_features, 8)
        self.calls = 0

    def forward(self, x):
        if self.training:
            self.calls += 1
            if self.calls == 5:
                raise KeyboardInterrupt
        return self.layer(x)


def test_the_users_own_interrupt_is_not_swallowed(small):
    vae = gaussian(encoder=InterruptingModule, batch_size=20, max_epochs=9)
    with pytest.raises(KeyboardInterrupt):
        vae.fit(small)
    # The last whole epoch is there to be used, and training can go on.
    assert len(vae.loss_curve_) == 1
    assert np.isfinite(vae.transform(small)).all()
    assert not vae.net_.module_.training
    vae.partial_fit(small)
    assert len(vae.loss_curve_) == 2


# --- what is shown --------------------------------------------------------------------------------


def test_silence_by_default(small, capsys):
    gaussian().fit(small)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_progress_bar_on_standard_error(small, capsys):
    HyperbolicVAETransformer(max_epochs=3, hidden_layer_sizes=(8,), verbose=1).fit(small)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "HyperbolicVAETransformer: 100%" in captured.err
    assert "3/3" in captured.err
    assert re.search(r"elbo=-?\d+\.\d\d, kl=-?\d+\.\d\d", captured.err)
    assert captured.err.endswith("\n")


def test_a_progress_bar_is_closed_when_training_fails(small, capsys):
    vae = gaussian(encoder=InterruptingModule, batch_size=20, verbose=1, max_epochs=9)
    with pytest.raises(KeyboardInterrupt):
        vae.fit(small)
    assert capsys.readouterr().err.endswith("\n")


def test_a_line_for_each_epoch(small, capsys):
    gaussian(verbose=2, early_stopping=True).fit(small)
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert len(lines) == 3
    for number, line in enumerate(lines, start=1):
        assert re.match(
            rf"\[GaussianVAETransformer\] epoch {number}  elbo -\S+  reconstruction -\S+  kl \S+  "
            r"valid_elbo -\S+  \S+ s",
            line,
        )


# --- divergence -----------------------------------------------------------------------------------


class Poisoned(torch.nn.Module):
    """Returns NaN from the given training step on."""

    def __init__(self, n_features, step):
        super().__init__()
        self.layer = torch.nn.Linear(n_features, 8)
        self.norm = torch.nn.BatchNorm1d(8)
        self.calls, self.step = 0, step

    def forward(self, x):
        out = self.norm(self.layer(x))
        if self.training:
            self.calls += 1
            if self.calls >= self.step:
                return out * math.nan
        return out


def poison(step):
    return lambda n_features: Poisoned(n_features, step)


def all_finite(vae) -> bool:
    return all(np.isfinite(value).all() for value in weights(vae).values())


def test_divergence_names_the_epoch_and_keeps_the_last_finite_weights(make, small):
    # Three steps an epoch: the eighth is in epoch 3.
    settings = {"batch_size": 20, "kl_warmup_epochs": 0}
    vae = make(encoder=poison(8), max_epochs=9, **settings)
    with pytest.raises(
        DivergenceError,
        match=r"diverged in epoch 3: the loss is not finite. The weights of the last finite epoch "
        r"\(2; .* are kept in net_.module_.* Try a learning_rate below 0.001",
    ) as caught:
        vae.fit(small)
    assert caught.value.epoch == 3
    assert len(vae.loss_curve_) == 2
    assert all_finite(vae)
    assert np.isfinite(vae.transform(small)).all()
    assert np.isfinite(vae.score_samples(small, 4)).all()
    whole = make(encoder=poison(99), max_epochs=2, **settings).fit(small)
    assert_same_weights(vae, whole)


def test_divergence_in_the_first_epoch_keeps_the_initial_weights(make, small):
    vae = make(encoder=poison(1), batch_size=20)
    with pytest.raises(DivergenceError, match=r"epoch 1: .* \(0; 0 means the initial ones\)"):
        vae.fit(small)
    assert vae.loss_curve_ == []
    assert vae.history_ == {"epoch": []}
    assert all_finite(vae)
    assert np.isfinite(vae.transform(small)).all()


def test_divergence_in_the_weights_alone(small):
    class Nudge(Callback):
        def on_batch_end(self, net, **kwargs):
            if len(net.history) == 2:
                with torch.no_grad():
                    net.module_.head.weight[0, 0] = math.nan

    vae = gaussian(callbacks=[Nudge()], max_epochs=5)
    with pytest.raises(DivergenceError, match="epoch 2: a weight is not finite"):
        vae.fit(small)
    assert all_finite(vae)


def test_divergence_on_the_validation_rows(small):
    class OnlyInTraining(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) * (1.0 if self.training else math.inf)

    vae = gaussian(encoder=lambda n: OnlyInTraining(n, 8), early_stopping=True)
    with pytest.raises(DivergenceError, match="epoch 1: the validation loss is not finite"):
        vae.fit(small)
    assert all_finite(vae)


@pytest.mark.parametrize("posterior", ["riemannian_normal", "wrapped_normal"])
@pytest.mark.parametrize("learning_rate", [1e1, 1e4, 1e8, 1e20])
@pytest.mark.parametrize("curvature", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_learned_curvature_diverges_as_any_weight_does(
    real, curvature, learning_rate, posterior, early_stopping
):
    settings = {
        "learn_curvature": True,
        "learning_rate": learning_rate,
        "hidden_layer_sizes": (8,),
        "max_epochs": 10,
        "batch_size": 20,
        "random_state": 0,
        "early_stopping": early_stopping,
        "device": "cpu",
    }
    for vae in (
        ConstantCurvatureVAETransformer(curvature=curvature, posterior=posterior, **settings),
        MixedCurvatureVAETransformer(signature="h2,s2,e2", **settings),
    ):
        with contextlib.suppress(DivergenceError):
            vae.fit(real)
        assert np.isfinite(vae.curvature_).all()
        assert all_finite(vae)
        assert len(vae.history_["epoch"]) == len(vae.loss_curve_)


def test_a_curvature_of_nan_is_a_divergence(small):
    class Nudge(Callback):
        def on_batch_end(self, net, **kwargs):
            if len(net.history) == 2:
                with torch.no_grad():
                    net.module_.latent.learned.fill_(math.nan)

    vae = ConstantCurvatureVAETransformer(
        learn_curvature=True, callbacks=[Nudge()], batch_size=20, max_epochs=5, random_state=0
    )
    with pytest.raises(DivergenceError, match="epoch 2: a weight is not finite"):
        vae.fit(small)
    assert all_finite(vae)


def test_an_error_that_is_no_divergence_stays_itself(small):
    class Failing(torch.nn.Linear):
        def forward(self, x):
            if self.training:
                raise ValueError("not today")
            return super().forward(x)

    with pytest.raises(ValueError, match="not today"):
        gaussian(encoder=lambda n: Failing(n, 8)).fit(small)


@pytest.mark.parametrize("n_rows", [41, 21, 33])
def test_batch_normalisation_with_one_row_left_over(small, n_rows):
    def encoder(n):
        return torch.nn.Sequential(torch.nn.Linear(n, 8), torch.nn.BatchNorm1d(8))

    vae = gaussian(encoder=encoder, batch_size=20).fit(small[:n_rows])
    assert np.isfinite(vae.loss_curve_).all()
    scores = cross_val_score(gaussian(encoder=encoder, batch_size=8), small[:n_rows], cv=5)
    assert np.isfinite(scores).all()


def test_training_goes_on_after_a_divergence(small):
    vae = gaussian(encoder=poison(5), batch_size=20, max_epochs=9)
    with pytest.raises(DivergenceError):
        vae.fit(small)
    vae.net_.module_.encoder.module.step = 10**9
    vae.partial_fit(small)
    assert all_finite(vae)
    assert len(vae.loss_curve_) == 2


def test_a_huge_learning_rate_never_leaves_a_model_of_nan(make, real):
    vae = make(learning_rate=1e6, max_epochs=60, batch_size=10, likelihood="gaussian")
    with contextlib.suppress(DivergenceError):  # which kinds do, depends on their bounds
        vae.fit(real)
    assert all_finite(vae)
    assert np.isfinite(vae.loss_curve_).all()
    assert len(vae.loss_curve_) == len(vae.history_["epoch"])


def test_a_huge_learning_rate_diverges(real):
    vae = gaussian(learning_rate=1e12, max_epochs=20, activation="relu", likelihood="gaussian")
    with pytest.raises(DivergenceError, match=r"in epoch \d+: .*learning_rate below 1e\+12"):
        vae.fit(real)
    assert all_finite(vae)
    assert np.isfinite(vae.loss_curve_).all()
