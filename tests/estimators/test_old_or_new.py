"""A fit that fails or is interrupted leaves the old model bit by bit, or a whole new one."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping

from skccvae import DivergenceError, GaussianVAETransformer, MixedCurvatureVAETransformer
from skccvae.estimators._model_file import read_model


def gaussian(**settings):
    defaults = {"max_epochs": 3, "hidden_layer_sizes": (8,), "random_state": 0, "device": "cpu"}
    return GaussianVAETransformer(**{**defaults, "batch_size": 20, **settings})


def state(vae) -> dict[str, object]:
    """Everything that is fitted, by value."""
    found: dict[str, object] = {}
    for name, value in vars(vae).items():
        if name == "net_":
            tensors = [*value.module_.state_dict().values()]
            moments = value.optimizer_.state_dict()["state"]
            tensors += [t for entry in moments.values() for t in entry.values()]
            found[name] = [t.detach().numpy().tobytes() for t in tensors]
            found["epochs"] = [dict(row) for row in value.history]
            found["rates"] = [group["lr"] for group in value.optimizer_.param_groups]
            found["settings"] = (value.lr, dict(vars(value.criterion_)), value.module_.training)
            found["learned"] = [p.requires_grad for p in value.module_.parameters()]
        elif name not in ("callbacks", "_metadata_request"):
            found[name] = repr(value)
    return found


HOOKS = ["on_train_begin", "on_epoch_begin", "on_batch_begin", "on_grad_computed", "on_batch_end"]
HOOKS += ["on_epoch_end", "on_train_end"]


def callback(hook, action, at=1):
    """A callback that does something at the given call of a hook."""
    calls = []

    def act(self, net, **kwargs):
        calls.append(hook)
        if len(calls) == at:
            action()

    return type("Acting", (Callback,), {hook: act})()


def fail():
    raise RuntimeError("by accident")


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)  # the signal arrives here


@pytest.fixture(params=["refit", "warm_start", "partial_fit"])
def refit(request, real):
    """A fitted estimator, and a function that trains it on other rows."""
    vae = gaussian(early_stopping=True).fit(real)
    other = np.abs(real[:40]) * 3 + 1
    if request.param == "partial_fit":
        return vae, lambda: vae.partial_fit(other)
    vae.set_params(warm_start=request.param == "warm_start", learning_rate=0.5, beta=2.0)
    return vae, lambda: vae.fit(other)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    ("action", "error"), [(fail, RuntimeError), (press_ctrl_c, KeyboardInterrupt)]
)
def test_what_a_callback_raises_reaches_the_caller_and_leaves_the_old_model(
    refit, real, outputs, assert_same_bits, hook, action, error
):
    vae, train = refit
    before, found = state(vae), outputs(vae, real)
    vae.set_params(callbacks=[callback(hook, action)])
    with pytest.raises(error):
        train()
    vae.set_params(callbacks=None)
    assert state(vae) == before
    assert_same_bits(outputs(vae, real), found)
    train()
    assert state(vae) != before


PLACES = [
    "skccvae.estimators._base.validate_rows",
    "skccvae.estimators._base.choose_likelihood",
    "skccvae.estimators._base.make_scaling",
    "skccvae.estimators._base.entropy_from",
    "skccvae.estimators._base.resolve_device",
    "skccvae.estimators._base.RowSource",
    "skccvae.training.callbacks.KeepBest",
    "skccvae.estimators._model.encoder_network",
    "skccvae.estimators._model.VAE",
    "skccvae.training.net.VAENet",
    "skccvae.training.net.VAENet.retune",
    "skccvae.training.net.VAENet.train_epochs",
    "skccvae.training.net.VAENet.train_step",
    "skccvae.training.net.VAENet._validate",
    "skccvae.training.net.VAENet.rest",
    "skccvae.training.callbacks.KeepBest.on_train_end",
    "skccvae.estimators._model.ModelMixin._update_fitted",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError])
def test_a_failure_anywhere_leaves_the_old_model(refit, monkeypatch, place, error):
    vae, train = refit
    before = state(vae)

    def broken(*args, **kwargs):
        raise error("broken")

    monkeypatch.setattr(place, broken)
    unused = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            train()
        unused = True
    except error:
        pass
    assert unused != (state(vae) == before)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"supervised_weight": 1.0}, "supervised_weight > 0 needs y"),
        ({"encoder": "conv"}, "image"),
        ({"encoder": torch.nn.Linear(3, 2)}, "does not accept a batch"),
        ({"device": "cuda:99"}, "cuda"),
        ({"image_shape": (7, 7)}, "numbers per sample"),
        ({"likelihood": "bernoulli"}, r"\[0, 1\]"),
    ],
    ids=str,
)
def test_bad_settings_of_a_refit_leave_the_old_model(real, settings, match):
    vae = gaussian().fit(real)
    vae.set_params(**settings)
    before = state(vae)
    with pytest.raises((ValueError, TypeError), match=match):
        vae.fit(real[:, :4])
    assert state(vae) == before
    vae.set_params(**gaussian().get_params())
    assert vae.transform(real).shape == (60, 2)


def test_a_divergence_leaves_the_last_whole_epoch_of_the_new_model(real):
    vae = gaussian().fit(real)
    vae.set_params(learning_rate=1e12, max_epochs=30)
    with pytest.raises(DivergenceError) as caught:
        vae.fit(real[:40, :3])
    assert vae.n_features_in_ == 3
    assert len(vae.loss_curve_) == caught.value.epoch - 1
    assert np.isfinite(vae.transform(real[:, :3])).all()


@pytest.mark.parametrize("hook", HOOKS)
def test_ctrl_c_in_the_first_epoch_of_a_first_fit_leaves_it_unfitted(real, hook):
    vae = gaussian(callbacks=[callback(hook, press_ctrl_c)])
    before = dict(vars(vae))
    with pytest.raises(KeyboardInterrupt):
        vae.fit(real)
    if hook == "on_epoch_end":  # the first epoch is over
        assert len(vae.loss_curve_) == 1
        assert np.array_equal(vae.transform(real), gaussian(max_epochs=1).fit(real).transform(real))
    else:
        assert vars(vae) == before


def test_ctrl_c_later_in_a_first_fit_leaves_the_last_whole_epoch(real):
    vae = gaussian(callbacks=[callback("on_batch_end", press_ctrl_c, at=8)], max_epochs=9)
    with pytest.raises(KeyboardInterrupt):
        vae.fit(real)
    whole = gaussian(max_epochs=2).fit(real)
    assert vae.loss_curve_ == whole.loss_curve_
    assert vae.n_iter_ == 2
    assert np.array_equal(vae.transform(real), whole.transform(real))


def test_ctrl_c_inside_a_callback_of_skorch(real, monkeypatch):
    stopper = EarlyStopping(monitor="train_loss", patience=50)
    monkeypatch.setattr(stopper, "_is_score_improved", lambda *args: press_ctrl_c())
    with pytest.raises(KeyboardInterrupt):
        gaussian(callbacks=[stopper]).fit(real)


def test_a_signal_handler_of_the_program_reaches_the_caller(real):
    def handler(number, frame):
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            gaussian(callbacks=[callback("on_epoch_end", press_ctrl_c)]).fit(real)
    finally:
        signal.signal(signal.SIGINT, old)


def test_a_callback_that_only_cleans_up_does_not_swallow_ctrl_c(real):
    def clean_up():
        try:
            press_ctrl_c()
        except KeyboardInterrupt as interrupt:
            raise interrupt

    with pytest.raises(KeyboardInterrupt):
        gaussian(callbacks=[callback("on_epoch_end", clean_up)]).fit(real)


def test_a_first_fit_interrupted_at_any_line_is_unfitted_or_whole(real, outputs):
    """A tracer interrupts at one line of the package after another, callbacks included."""
    epochs = {n: outputs(gaussian(max_epochs=n).fit(real), real) for n in (1, 2)}
    settings = {"max_epochs": 2, "callbacks": [EarlyStopping(monitor="train_loss", patience=9)]}

    def run(vae, at):
        count = 0

        def trace(frame, event, argument):
            nonlocal count
            if not frame.f_code.co_filename.rpartition("/")[0].endswith(
                ("skccvae/training", "skccvae/estimators", "skorch/callbacks", "skorch")
            ):
                return None
            if event == "line":
                count += 1
                if count == at:
                    raise KeyboardInterrupt
            return trace

        old = sys.gettrace()
        sys.settrace(trace)
        try:
            vae.fit(real)
        finally:
            sys.settrace(old)
        return count

    total = run(gaussian(**settings), -1)
    kept = set()
    for at in range(1, total, max(1, total // 150)):
        vae = gaussian(**settings)
        with pytest.raises(KeyboardInterrupt):
            run(vae, at)
        if not hasattr(vae, "net_"):
            assert vars(vae) == vars(gaussian(**settings)) | {"callbacks": vae.callbacks}
            continue
        kept.add(len(vae.loss_curve_))
        found, expected = outputs(vae, real), epochs[len(vae.loss_curve_)]
        assert {n: v.tobytes() for n, v in found.items()} == {
            n: v.tobytes() for n, v in expected.items()
        }, at
    assert kept == {1, 2}


def test_what_a_callback_sets_on_the_estimator_stays(real):
    vae = gaussian()
    vae.callbacks = [callback("on_epoch_end", lambda: vae.set_params(verbose=False))]
    vae.callbacks.append(callback("on_epoch_end", lambda: setattr(vae, "seen", 1)))
    vae.fit(real)
    assert (vae.verbose, vae.seen) == (False, 1)


def test_a_module_that_keeps_its_last_output_trains_on(real):
    class Keeping(torch.nn.Linear):
        def forward(self, x):
            self.last = super().forward(x)
            return self.last

    vae = gaussian(encoder=lambda n: Keeping(n, 8)).fit(real)
    first, module = vae.transform(real), vae.net_.module_
    module(torch.zeros(3, 5))[0].sum()
    vae.partial_fit(real)
    assert vae.net_.module_ is not module
    assert not np.array_equal(vae.transform(real), first)


# Real Ctrl-C at this many moments. More of them: SKCCVAE_INTERRUPTS=2000 pytest -k random_moments
INTERRUPTS = int(os.environ.get("SKCCVAE_INTERRUPTS", "200"))


def press_at_random_moments(action, n, check):
    """Press Ctrl-C at ``n`` moments of an action, or just after it, and check each time.

    ``check`` is told whether an interrupt was raised. At least a third of the presses must raise
    one inside of the action.
    """
    lengths = []
    for _ in range(3):  # a first call is slower: presses would come too late
        start = time.perf_counter()
        action()
        lengths.append(time.perf_counter() - start)
        check(False)
    length, raised = float(np.median(lengths)), 0
    for delay in np.random.default_rng(0).uniform(0, 1.1 * length, size=n):
        timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
        inside = True
        try:
            timer.start()
            action()
            inside = False
            timer.join()
            time.sleep(0.01)
        except KeyboardInterrupt:
            raised += inside
        timer.join()
        check(inside)
    assert raised > n / 3
    assert sys.exc_info() == (None, None, None)


def test_interrupts_of_a_refit_at_random_moments(real, outputs, assert_same_bits):
    """The old model, or the new one where the interrupt came too late."""
    A, B = real, np.abs(real[:40]) + 9
    settings = {"max_epochs": 2, "learn_curvature": True, "signature": "h2,s1", "batch_size": 20}
    vae = MixedCurvatureVAETransformer(hidden_layer_sizes=(8,), random_state=0, **settings).fit(A)
    old = outputs(vae, A)
    new = outputs(MixedCurvatureVAETransformer(**vae.get_params()).fit(B), A)

    def check(raised):
        found = outputs(vae, A)
        is_new = found["transform"].tobytes() == new["transform"].tobytes()
        assert_same_bits(found, new if is_new else old)
        assert raised or is_new
        if is_new:
            vae.fit(A)

    press_at_random_moments(lambda: vae.fit(B), INTERRUPTS // 2, check)


def test_interrupts_of_a_first_fit_at_random_moments(real, outputs, assert_same_bits):
    """Unfitted, or a model of whole epochs."""
    whole = {n: outputs(gaussian(max_epochs=n).fit(real), real) for n in range(1, 7)}
    vae = gaussian(max_epochs=6)
    unfitted = dict(vars(vae))

    def check(raised):
        if hasattr(vae, "net_"):
            assert_same_bits(outputs(vae, real), whole[len(vae.loss_curve_)])
            assert raised or len(vae.loss_curve_) == 6
        else:
            assert raised
            assert vars(vae) == unfitted
        vae.__dict__ = dict(unfitted)

    press_at_random_moments(lambda: vae.fit(real), INTERRUPTS // 4, check)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file left open
def test_interrupts_of_save_at_random_moments(real, tmp_path):
    """The old file, or the new one where the interrupt came too late; and no other file."""
    path, vae = tmp_path / "model", gaussian(hidden_layer_sizes=(256, 256)).fit(real)

    def hash_of_file():
        saved = read_model(path)
        saved.check_content()
        return saved.meta["params"], saved._hash

    def save():
        vae.save(path, training_state=True)

    save()
    new = hash_of_file()
    gaussian().fit(real).save(path)
    old, content = hash_of_file(), path.read_bytes()

    def check(raised):
        assert os.listdir(tmp_path) == ["model"]
        assert hash_of_file() in ((old, new) if raised else (new,))
        path.write_bytes(content)

    press_at_random_moments(save, INTERRUPTS // 4, check)
