"""Models that train together end as they do alone, up to rounding."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import KFold
from skorch.callbacks import Callback

from skccvae import (
    AutoencoderTransformer,
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)
from skccvae.kernels import disabled
from skccvae.training import DivergenceError, pack_loop
from skccvae.training.meeting import _Abandoned, _current, run_together, train

DIGITS = load_digits().data[:200] / 16
# Folds of unequal numbers of rows: 133, 133, 134. The last batches have 5 and 6 rows.
FOLDS = [train for train, _ in KFold(3).split(DIGITS)]
SMALL = {"hidden_layer_sizes": (16, 8), "max_epochs": 2, "random_state": 0, "batch_size": 32}

SETTINGS = {
    "plane and code": [
        (GaussianVAETransformer, {}),
        (GaussianVAETransformer, {"n_components": 20}),
        (AutoencoderTransformer, {"n_components": 3}),
    ],
    "hyperbolic": [
        (HyperbolicVAETransformer, {}),
        (HyperbolicVAETransformer, {"n_components": 4, "curvature": -0.3}),
        (HyperbolicVAETransformer, {"posterior": "riemannian_normal"}),
        (HyperbolicVAETransformer, {"posterior_scale": "shared"}),
    ],
    "spheres": [
        (SphericalVAETransformer, {"posterior": name})
        for name in (
            "von_mises_fisher",
            "power_spherical",
            "spherical_cauchy",
            "projected_normal",
            "wrapped_normal",
        )
    ],
    "hyperplanes": [
        (ConstantCurvatureVAETransformer, {"curvature": K, "n_components": d})
        for K in (-1.0, 0.0, 1.0)
        for d in (2, 3)
    ],
    "learned curvature": [
        (ConstantCurvatureVAETransformer, {"learn_curvature": True, "curvature": -1.0})
    ],
    "products": [
        (MixedCurvatureVAETransformer, {"signature": "e2,s2,h2"}),
        (MixedCurvatureVAETransformer, {"signature": "h2,h2", "free_bits": 0.5}),
    ],
    "own rates and lengths": [
        (GaussianVAETransformer, {"learning_rate": 3e-3, "max_epochs": 3}),
        (GaussianVAETransformer, {"beta": 0.5, "kl_warmup_epochs": 2, "weight_decay": 0.5}),
    ],
    "draws": [
        (GaussianVAETransformer, {"n_latent_samples": 3}),
        (SphericalVAETransformer, {"n_latent_samples": 3}),
        (HyperbolicVAETransformer, {"n_latent_samples": 3}),
    ],
    "iwae": [
        (GaussianVAETransformer, {"n_latent_samples": 3, "objective": "iwae"}),
        (HyperbolicVAETransformer, {"n_latent_samples": 3, "objective": "iwae"}),
    ],
    "labels": [
        (GaussianVAETransformer, {"supervised_weight": 1.0}),
        (HyperbolicVAETransformer, {"supervised_weight": 2.0, "n_components": 3}),
    ],
    "distances": [
        (GaussianVAETransformer, {"distance_weight": 1.0}),
        (HyperbolicVAETransformer, {"distance_weight": 0.5}),
    ],
    "random starts": [(GaussianVAETransformer, {"init": "random"})],
    "no hidden layer": [(GaussianVAETransformer, {"hidden_layer_sizes": ()})],
    "binarized": [(GaussianVAETransformer, {"binarize": "dynamic"})],
    "several starts": [(SphericalVAETransformer, {"n_components": 1})],
}


def fits(estimators, y=None, weights=None):
    """Calls that fit a clone of each estimator to each fold."""

    def fit(kind, options, fold):
        rows = (None if part is None else part[fold] for part in (y, weights))
        return kind(**{**SMALL, **options}).fit(DIGITS[fold], *rows)

    return [
        lambda kind=kind, options=options, fold=fold: fit(kind, options, fold)
        for kind, options in estimators
        for fold in FOLDS
    ]


def assert_equal_models(packed, alone):
    """Codes within 1e-4, histories and the optimizer's memory likewise."""
    assert packed.n_iter_ == alone.n_iter_
    # Codes of some digits; in units of their spread, because those of a narrow start are small.
    ours, theirs = (model.transform(DIGITS[:50]) for model in (packed, alone))
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * max(1.0, np.abs(theirs).max()))
    for row, wanted in zip(packed.net_.history, alone.net_.history, strict=True):
        assert row.keys() == wanted.keys()
        for name in row.keys() - {"dur", "batches"}:
            assert row[name] == pytest.approx(wanted[name], rel=1e-4, abs=1e-4), name
    memory, wanted = packed.net_.optimizer_.state, alone.net_.optimizer_.state
    pairs = zip(packed.net_.module_.parameters(), alone.net_.module_.parameters(), strict=True)
    for ours, theirs in pairs:
        assert ours.is_contiguous()
        assert ours.untyped_storage().nbytes() == theirs.untyped_storage().nbytes()
        assert bool(memory.get(ours)) == bool(wanted.get(theirs))
        if memory.get(ours):
            assert memory[ours]["step"] == wanted[theirs]["step"]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_packed_model_is_that_of_its_own_fit(name):
    y = load_digits().target[:200] if name == "labels" else None
    calls = fits(SETTINGS[name], y)
    for outcome, call in zip(run_together(calls), calls, strict=True):
        assert outcome.packed
        assert_equal_models(outcome.value, call())


# What reads numbers in each step (a curvature, or whether sums are lost in rounding), and stress.
NOT_RECORDED = {"spheres", "learned curvature", "distances"}


@pytest.mark.parametrize("name", SETTINGS)
def test_steps_repeated_from_a_recording_give_the_same_bits(name, noted, monkeypatch):
    y = load_digits().target[:200] if name == "labels" else None
    # As many epochs for all, or the pack would be taken apart for those that go on.
    longer = [(kind, {**options, "max_epochs": 5}) for kind, options in SETTINGS[name]]
    found = run_together(fits(longer, y))
    assert any(each.n_recorded for each in noted) == (name not in NOT_RECORDED)
    monkeypatch.setattr(pack_loop, "repeatable", lambda *parts: None)
    for outcome, wanted in zip(found, run_together(fits(longer, y)), strict=True):
        assert outcome.packed
        assert wanted.packed
        state = wanted.value.net_.module_.state_dict()
        for key, tensor in outcome.value.net_.module_.state_dict().items():
            assert torch.equal(tensor, state[key]), key


def test_weights_of_rows_and_labels():
    rng = np.random.default_rng(0)
    y, weights = load_digits().target[:200].astype(float), rng.uniform(0.2, 2, 200)
    y[::7] = np.nan
    calls = fits(SETTINGS["labels"] + SETTINGS["distances"][:1], y, weights)
    for outcome, call in zip(run_together(calls), calls, strict=True):
        assert outcome.packed
        assert_equal_models(outcome.value, call())


def test_without_accelerators():
    with disabled():
        calls = fits(SETTINGS["hyperplanes"][:3] + SETTINGS["hyperbolic"][:1])
        for outcome, call in zip(run_together(calls), calls, strict=True):
            assert_equal_models(outcome.value, call())


@pytest.mark.parametrize("missing", ["error", "mask"])
@pytest.mark.parametrize(
    "likelihood",
    [
        "bernoulli",
        "continuous_bernoulli",
        "gaussian",
        "isotropic_gaussian",
        "poisson",
        "negative_binomial",
        "discretized_logistic",
        "von_mises",
    ],
)
def test_likelihoods(likelihood, missing):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (90, 6)).astype(float)
    if missing == "mask":
        X[rng.random(X.shape) < 0.1] = np.nan

    def fit(d, rows):
        model = GaussianVAETransformer(d, likelihood=likelihood, missing=missing, **SMALL)
        return model.fit(X[rows])

    calls = [lambda d=d, n=n: fit(d, slice(n)) for d in (1, 2) for n in (70, 90)]
    for outcome, call in zip(run_together(calls), calls, strict=True):
        assert outcome.packed
        ours, theirs = outcome.value.transform(X), call().transform(X)
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_model_that_diverges_ends_alone():
    good, bad = {}, {"learning_rate": 1e20}
    calls = fits([(GaussianVAETransformer, o) for o in (good, bad)])
    ended = []

    def caught(call):
        try:
            return call()
        except DivergenceError as error:
            ended.append(error)

    outcomes = run_together([lambda call=call: caught(call) for call in calls])
    assert len(ended) == len(FOLDS)
    for outcome, call in zip(outcomes[: len(FOLDS)], calls, strict=False):
        assert outcome.packed
        assert_equal_models(outcome.value, call())


def test_a_learned_curvature_diverges_as_it_does_alone():
    options = {"learn_curvature": True, "learning_rate": 1e20}
    kind = ConstantCurvatureVAETransformer
    models = [kind(**{**SMALL, **options}) for _ in range(3)]

    def diverged(model):
        with pytest.raises(DivergenceError):
            model.fit(DIGITS)
        return model

    *packed, alone = models
    packed = [o.value for o in run_together([lambda m=m: diverged(m) for m in packed])]
    diverged(alone)
    for model in packed:
        assert model.curvature_ == alone.curvature_
        groups = [len(m.net_.optimizer_.param_groups[0]["params"]) for m in (model, alone)]
        assert groups[0] == groups[1]
        np.testing.assert_allclose(model.transform(DIGITS), alone.transform(DIGITS), atol=1e-4)


def test_an_error_in_the_step_of_all_leaves_each_to_itself(monkeypatch):
    from skccvae.training.stacked_vae import StackedVAE

    def broken(self, *args):
        raise RuntimeError("broken")

    calls = fits(SETTINGS["plane and code"][:1])
    wanted = [call() for call in calls]
    monkeypatch.setattr(StackedVAE, "forward", broken)
    for outcome, alone in zip(run_together(calls), wanted, strict=True):
        assert not outcome.packed
        assert_equal_models(outcome.value, alone)


def test_trainings_in_threads_of_a_call_run_at_once():
    """As in a stacking of models whose fits joblib's threads share, with the call's context."""

    def nested(seed):
        context = copy_context()
        with ThreadPoolExecutor(2) as pool:
            models = [GaussianVAETransformer(**SMALL | {"random_state": seed + i}) for i in (0, 1)]
            return list(pool.map(lambda model: context.copy().run(model.fit, DIGITS), models))

    outcomes = run_together([partial(nested, 0), partial(nested, 10)])
    for outcome, seed in zip(outcomes, (0, 10), strict=True):
        assert not outcome.packed
        for model, i in zip(outcome.value, (0, 1), strict=True):
            alone = GaussianVAETransformer(**SMALL | {"random_state": seed + i}).fit(DIGITS)
            assert_equal_models(model, alone)


def test_any_number_of_trainings_in_a_call(monkeypatch):
    class Nothing:
        def run(self):
            pass

    done = []
    meeting = "skccvae.training.meeting."
    monkeypatch.setattr(meeting + "pack_key", lambda training: ("same",))
    monkeypatch.setattr(meeting + "pack_limit", lambda training: 2)
    monkeypatch.setattr(
        meeting + "train_pack",
        lambda trainings: done.append(len(trainings)) or ([None] * len(trainings), True),
    )

    def call(number):
        for _ in range(number):
            train(Nothing())

    outcomes = run_together([partial(call, 1500), partial(call, 1500), partial(call, 10)])
    assert [len(outcome.waits) for outcome in outcomes] == [1500, 1500, 10]
    assert max(done) == 2
    assert sum(done) >= 2000


def test_bounded_packs():
    calls = fits(SETTINGS["plane and code"][::2])
    for size in (1, 2, 4):
        outcomes = run_together(calls, size)
        assert all(outcome.packed == (size > 1) for outcome in outcomes)
        assert_equal_models(outcomes[-1].value, calls[-1]())


def test_what_trains_alone():
    alone = [
        {"early_stopping": True},
        {"verbose": 2},
        {"encoder": torch.nn.Linear(64, 8)},
        {"encoder": "conv", "image_shape": (8, 8)},
        # Of a structure of its own:
        {"hidden_layer_sizes": (4,)},
    ]
    calls = fits([(GaussianVAETransformer, options) for options in alone])[:: len(FOLDS)]
    outcomes = run_together(calls)
    assert not any(outcome.packed for outcome in outcomes)
    for outcome, call in zip(outcomes, calls, strict=True):
        assert_equal_models(outcome.value, call())


def test_what_ends_the_calls():
    def fails():
        raise KeyError("failed")

    seen = []

    def fit():
        try:
            return fits(SETTINGS["plane and code"])[0]()
        finally:
            seen.append("ended")

    with pytest.raises(KeyError, match="failed"):
        run_together([fit, fit, fails])
    assert seen == ["ended", "ended"]


def test_interrupted(monkeypatch):
    from skccvae.training import pack

    def interrupt(trainings):
        raise KeyboardInterrupt

    seen = []

    def fit():
        model = GaussianVAETransformer(**SMALL)
        try:
            return model.fit(DIGITS)
        finally:
            seen.append(hasattr(model, "net_"))

    monkeypatch.setattr("skccvae.training.meeting.train_pack", interrupt)
    assert pack.train_pack is not interrupt
    with pytest.raises(KeyboardInterrupt):
        run_together([fit, fit])
    assert seen == [False, False]


def test_a_call_that_is_given_up_trains_no_more_in_its_threads():
    begun = []

    class Count(Callback):
        def on_train_begin(self, net, **kwargs):
            begun.append(net)

    def inside():
        _current.get().abandon()  # as an interrupt does, in the thread that runs all
        GaussianVAETransformer(callbacks=[Count()], **SMALL).fit(DIGITS)

    def call():
        with ThreadPoolExecutor(1) as pool, pytest.raises(_Abandoned):
            pool.submit(copy_context().run, inside).result()

    run_together([call])
    assert not begun


def test_training_goes_on_after_a_pack():
    calls = fits(SETTINGS["plane and code"][:1])
    packed, alone = run_together(calls)[0].value, calls[0]()
    for model in (packed, alone):
        model.set_params(warm_start=True).fit(DIGITS[FOLDS[0]])
    assert_equal_models(packed, alone)
