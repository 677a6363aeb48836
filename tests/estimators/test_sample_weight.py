"""Weights of rows: a row of weight 2 is there twice, and one of weight 0 is not there."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
import torch
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import TensorDataset

from skccvae import (
    AutoencoderTransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)
from skccvae.estimators._start import start_rows
from skccvae.estimators._supervision import TargetEncoder
from skccvae.estimators._units import column_statistics, make_scaling
from skccvae.estimators._weights import training_weights
from skccvae.nn import NegativeBinomialLikelihood
from skccvae.training import Batches, RowSource, RowWeights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)) @ RNG.normal(size=(5, 5)) + 3.0
Y = np.column_stack([X[:, 0], np.arange(60) % 3])
Y[RNG.random(Y.shape) < 0.4] = np.nan
TIMES = RNG.integers(1, 4, 60)
REPEATED = np.repeat(np.arange(60), TIMES)
FAST = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0, "device": "cpu"}


def weights_of(net) -> dict[str, torch.Tensor]:
    return net.module_.state_dict()


def assert_same_bits(one, other) -> None:
    for name, tensor in weights_of(one.net_).items():
        assert torch.equal(tensor, weights_of(other.net_)[name]), name
    assert one.loss_curve_ == other.loss_curve_


def sources(vae, with_targets: bool) -> tuple[RowSource, RowSource]:
    """The rows with their weights, and the rows repeated."""
    units, y = vae._input.units, None
    if with_targets:
        y = vae._targets.transform(Y, 60)
    weights = training_weights(TIMES / TIMES.mean(), y, np.arange(60))
    twice = None if y is None else y[REPEATED]
    return RowSource(X, units, targets=y, weights=weights), RowSource(
        X[REPEATED], units, targets=twice
    )


# --- the objective ------------------------------------------------------------------------------

OBJECTIVES = [
    GaussianVAETransformer(**FAST),
    GaussianVAETransformer(n_latent_samples=3, **FAST),
    GaussianVAETransformer(objective="iwae", n_latent_samples=3, **FAST),
    GaussianVAETransformer(supervised_weight=2.0, **FAST),
    GaussianVAETransformer(supervised_weight=2.0, objective="iwae", n_latent_samples=2, **FAST),
    SphericalVAETransformer(distance_weight=1.0, **FAST),
    HyperbolicVAETransformer(free_bits=0.1, **FAST),
    MixedCurvatureVAETransformer("s2,h2", free_bits=0.1, n_latent_samples=2, **FAST),
    AutoencoderTransformer(**FAST),
]


@pytest.mark.parametrize("vae", OBJECTIVES, ids=repr)
def test_the_gradient_is_that_of_repeated_rows(vae, monkeypatch):
    monkeypatch.setattr("skccvae.vae.STRESS_ROWS", 1000)
    supervised = vae.supervised_weight > 0
    vae.fit(X, Y if supervised else None)
    module = vae.net_.module_.double()
    if vae.distance_weight:
        module.distance_scale.fill_(2.0)
    shape = (vae.n_latent_samples, 60, module.latent.noise_dim)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = []
    for source, rows in zip(sources(vae, supervised), (np.arange(60), REPEATED), strict=True):
        draws = noise[:, rows]
        monkeypatch.setattr(module, "_normal", lambda *s, like, d=draws: d.reshape(s))
        batch = source.batch(slice(None))
        batch = type(batch)(*(part if part is None else part.double() for part in batch))
        module.zero_grad()
        loss, *parts = vae.net_.criterion_(module, batch, 0.7)
        loss.backward()
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        found.append([loss.detach(), *parts, *gradients])
    assert len(found[0]) > 5
    for weighted, repeated in zip(*found, strict=True):
        # Weights are float32: about 1e-7, times what cancels in a sum.
        torch.testing.assert_close(weighted, repeated, rtol=1e-5, atol=1e-5)


def test_batches_keep_the_weights_of_rare_labels():
    # With one label in a batch, a mean over the weights of the batch would forget its weight.
    targets = np.full((4, 1), np.nan)
    targets[[0, 2]] = 1.0
    weights = training_weights(np.array([1.0, 5.0, 3.0, 1.0]), targets, np.arange(4))
    np.testing.assert_allclose(weights.targets[[0, 2], 0], [0.5, 1.5])
    np.testing.assert_allclose(weights.rows, [0.4, 2.0, 1.2, 0.4])


@pytest.mark.parametrize(
    "vae", [OBJECTIVES[0], OBJECTIVES[3], *OBJECTIVES[5:8]], ids=lambda v: type(v).__name__
)
def test_the_validation_loss_is_that_of_repeated_rows(vae):
    supervised = vae.supervised_weight > 0
    vae.fit(X, Y if supervised else None)
    # In one batch, because the stress is one of pairs in a batch.
    weighted, repeated = (
        vae.net_._validate(Batches(source, np.arange(len(source)), 1000, shuffle=False))
        for source in sources(vae, supervised)
    )
    assert weighted == pytest.approx(repeated, rel=1e-5)


def test_the_history_holds_weighted_means():
    vae = GaussianVAETransformer(init="random", learning_rate=1e-9, batch_size=7, **FAST)
    vae.fit(X, sample_weight=TIMES)
    evidence = vae.net_.module_.evidence(
        torch.from_numpy(vae._input.units.apply(X)), 1, seed=0
    )  # the KL has no noise
    expected = np.average(evidence.kl.detach(), weights=TIMES)
    assert vae.history_["kl"][-1] == pytest.approx(expected, rel=1e-4)


# --- what is decided once -----------------------------------------------------------------------


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("shared", [False, True])
def test_centre_and_scale_are_those_of_repeated_rows(make, shared):
    rows = X * (X > 2.0)
    rows[:, 4] = 0.1
    found = column_statistics(make(rows), shared, TIMES / TIMES.mean())
    wanted = column_statistics(make(rows[REPEATED]), shared)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_rates_of_large_counts_are_those_of_repeated_rows():
    counts = np.rint(np.exp(X - X.min()) * 1e6)
    kind, weights = NegativeBinomialLikelihood, TIMES / TIMES.mean()
    found = make_scaling(counts, kind, 1.0, None, weights).scale
    wanted = make_scaling(counts[REPEATED], kind, 1.0, None).scale
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert (found > 1).any()


def test_units_of_targets_are_those_of_repeated_rows():
    found = TargetEncoder.fit(Y, 60, TIMES / TIMES.mean())
    wanted = TargetEncoder.fit(Y[REPEATED], len(REPEATED))
    np.testing.assert_allclose(found.center, wanted.center, rtol=1e-12)
    np.testing.assert_allclose(found.scale, wanted.scale, rtol=1e-12)
    assert found.scale[0] != 1.0


def test_a_start_looks_at_rows_as_often_as_their_weights_say():
    weights = np.random.default_rng(1).exponential(size=500)
    weights[:100] *= 9
    index = np.arange(0, 500, 2)
    share = weights[index] / weights[index].sum()
    counts = np.zeros(500)
    for seed in range(200):
        rows = start_rows(index, 10, seed, weights)
        assert len(rows) == 250
        found = np.bincount(rows, minlength=500)
        assert (np.abs(found[index] - 250 * share) < 1).all()
        counts += found
    assert not counts[1::2].any()
    # The rounding of a count has at most the variance 1/4, and its mean of 200 a fifteenth of 1/2.
    assert np.abs(counts[index] / 200 - 250 * share).max() < 5 * 0.5 / np.sqrt(200)
    assert len(start_rows(np.arange(30_000), 10, 0, np.ones(30_000))) == 10_000
    np.testing.assert_array_equal(start_rows(index, 10, 0, np.ones(500)), index)


def test_a_start_at_pca_follows_the_weights():
    # Heavy rows vary along one axis, and light ones twice as much along another.
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(size=(100, 4)) * [1, 9, 1, 1] for _ in range(2)])
    rows[100:, [1, 3]] = 2 * rows[100:, [3, 1]]
    settings = {**FAST, "learning_rate": 1e-12, "likelihood": "isotropic_gaussian"}
    vae = GaussianVAETransformer(1, **settings).fit(rows, sample_weight=[50.0] * 100 + [1.0] * 100)
    codes = vae.transform(rows[:100]).ravel()
    assert abs(np.corrcoef(codes, rows[:100, 1])[0, 1]) > 0.99
    plain = GaussianVAETransformer(1, **settings).fit(rows)
    assert abs(np.corrcoef(plain.transform(rows[100:]).ravel(), rows[100:, 3])[0, 1]) > 0.99


# --- weights of 0, and weights that say nothing -------------------------------------------------

KEPT = np.arange(60) % 4 != 1
NAMES = np.array(["a", "b", "c"])[np.arange(60) % 3]
CONTAINERS = {
    "dense": lambda path, rows: rows,
    "sparse": lambda path, rows: sp.csr_array(rows),
    "dataset": lambda path, rows: TensorDataset(torch.from_numpy(rows)),
    "labelled": lambda path, rows: TensorDataset(
        torch.from_numpy(rows), torch.from_numpy(Y[KEPT] if len(rows) < 60 else Y)
    ),
    "file": lambda path, rows: in_file(path, rows),
}


def in_file(path, rows):
    file = np.lib.format.open_memmap(path / f"{len(rows)}.npy", "w+", rows.dtype, rows.shape)
    file[:] = rows
    return file


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"supervised_weight": 1.0}])
def test_rows_of_weight_0_are_not_there(container, settings, tmp_path):
    # They are so different that a trace of them would show.
    rows = np.where(KEPT[:, None], X, 1e4 * X).astype(np.float64)
    make = CONTAINERS[container]
    y = Y if "supervised_weight" in settings and container != "labelled" else None
    vae = GaussianVAETransformer(**FAST, **settings)
    vae.fit(make(tmp_path, rows), y, sample_weight=2.0 * KEPT)
    other = GaussianVAETransformer(**FAST, **settings)
    other.fit(make(tmp_path, rows[KEPT]), None if y is None else y[KEPT])
    assert_same_bits(vae, other)
    vae.partial_fit(make(tmp_path, rows), y, sample_weight=KEPT)
    other.partial_fit(make(tmp_path, rows[KEPT]), None if y is None else y[KEPT])
    assert_same_bits(vae, other)


def test_labels_of_rows_of_weight_0_are_not_there():
    settings = {**FAST, "supervised_weight": 1.0}
    names = np.where(KEPT, NAMES, "unknown")
    vae = GaussianVAETransformer(**settings).fit(X, names.tolist(), KEPT)
    assert vae.classes_.tolist() == ["a", "b", "c"]
    assert_same_bits(vae, GaussianVAETransformer(**settings).fit(X[KEPT], NAMES[KEPT]))


@pytest.mark.parametrize("weights", [np.full(60, 0.3), [7] * 60, 2, torch.ones(60)])
def test_equal_weights_are_none(weights):
    plain = SphericalVAETransformer(**FAST).fit(X)
    assert_same_bits(SphericalVAETransformer(**FAST).fit(X, sample_weight=weights), plain)


@pytest.mark.parametrize("factor", [2.0**40, 2.0**-40, 2.0**1000])
def test_only_ratios_matter(factor):
    one, other = (
        HyperbolicVAETransformer(early_stopping=True, **FAST).fit(X, sample_weight=w)
        for w in (TIMES, factor * TIMES)
    )
    assert_same_bits(one, other)
    assert one.score(X, sample_weight=TIMES) == one.score(X, sample_weight=factor * TIMES)


def test_callbacks_learn_which_rows_they_are():
    from skorch.callbacks import Callback

    seen = {}

    class Look(Callback):
        def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            seen.update(train=dataset_train, valid=dataset_valid)

    settings = {"callbacks": [Look()], "early_stopping": True, "supervised_weight": 1.0, **FAST}
    vae = GaussianVAETransformer(**settings)
    vae.fit(X, Y, sample_weight=KEPT * TIMES)
    both = np.concatenate([seen["train"].index, seen["valid"].index])
    np.testing.assert_array_equal(np.sort(both), np.flatnonzero(KEPT))
    for rows in seen.values():
        np.testing.assert_array_equal(rows.X, vae._input.units.apply(X[rows.index]))
        np.testing.assert_array_equal(rows.y, vae._targets.transform(Y, 60)[rows.index])


def test_samples_of_a_dataset_keep_their_numbers():
    rows = torch.from_numpy(X.copy())
    rows[59, 2] = torch.nan
    with pytest.raises(ValueError, match="Sample 59 of the Dataset contains NaN"):
        GaussianVAETransformer(**FAST).fit(TensorDataset(rows), sample_weight=np.arange(60))
    weights = np.arange(60.0)[::-1]  # the last one is 0
    vae = GaussianVAETransformer(**FAST).fit(TensorDataset(rows), sample_weight=weights)
    assert np.isfinite(vae.transform(X)).all()


# --- scoring and training -----------------------------------------------------------------------


def test_score_is_a_weighted_mean():
    vae = GaussianVAETransformer(**FAST).fit(X)
    expected = np.average(vae.score_samples(X), weights=TIMES)
    assert vae.score(X, sample_weight=TIMES) == pytest.approx(expected, rel=1e-12)
    assert vae.score(X, sample_weight=np.ones(60)) == pytest.approx(vae.score(X), rel=1e-12)


def test_a_model_serves_the_rows_that_count():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(size=(100, 6)) @ rng.normal(size=(6, 6)) for _ in range(2)])
    settings = {**FAST, "max_epochs": 30, "likelihood": "gaussian"}
    scores = [
        GaussianVAETransformer(**settings).fit(rows, sample_weight=w).score(rows[:100])
        for w in ([10.0] * 100 + [0.1] * 100, None, [0.1] * 100 + [10.0] * 100)
    ]
    assert scores[0] > scores[1] > scores[2]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-TIMES, "Negative values"),
        (np.where(KEPT, 1.0, np.nan), "NaN"),
        (np.where(KEPT, 1.0, np.inf), "infinity"),
        (np.inf, "finite"),
        (np.zeros(60), "zero"),
        (0.0, "zero"),
        (TIMES[:-1], r"\(59,\), expected \(60,\)"),
        (np.ones((60, 1)), "1D array"),
        (np.ma.masked_less(TIMES.astype(float), 2), "masked array"),
    ],
)
def test_weights_that_are_none(weights, message):
    vae = GaussianVAETransformer(**FAST)
    for method in (vae.fit, vae.partial_fit):
        with pytest.raises(ValueError, match=message):
            method(X, sample_weight=weights)
    assert not hasattr(vae, "net_")
    vae.fit(X)
    with pytest.raises(ValueError, match=message):
        vae.score(X, sample_weight=weights)


def test_weights_reach_the_model_through_a_pipeline_and_a_search():
    vae = GaussianVAETransformer(**FAST)
    with sklearn.config_context(enable_metadata_routing=True):
        vae.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        pipe = Pipeline([("scale", scaler), ("vae", vae)])
        search = GridSearchCV(pipe, {"vae__beta": [0.5, 1.0]}, cv=KFold(2))
        search.fit(X, sample_weight=TIMES.astype(float))
        train, test = next(iter(KFold(2).split(X)))
        scaler = StandardScaler().fit(X[train], sample_weight=TIMES[train])
        rows = scaler.transform(X)
    one = GaussianVAETransformer(beta=0.5, **FAST).fit(rows[train], sample_weight=TIMES[train])
    expected = one.score(rows[test], sample_weight=TIMES[test])
    assert search.cv_results_["split0_test_score"][0] == pytest.approx(expected, rel=1e-12)
    assert search.best_estimator_.score(X) == search.score(X)
    assert abs(expected - one.score(rows[test])) > 1e-4


def test_units_of_weights_are_those_of_the_training_rows():
    weights = training_weights(np.array([1.0, 3.0, 2.0]), None, np.array([0, 1]))
    assert isinstance(weights, RowWeights)
    np.testing.assert_allclose(weights.rows, [0.5, 1.5, 1.0])
    alone = training_weights(np.ones(2), np.array([[np.nan], [1.0]]), np.array([0]))
    np.testing.assert_allclose(alone.targets, [[1.0], [1.0]])


def one_of(weight, row=3):
    weights = np.ones(len(X))
    weights[row] = weight
    return weights


@pytest.mark.parametrize("weight", [1e300, 1e31, 1e-31, 5e-324])
def test_weights_that_training_cannot_tell_from_0(weight):
    vae = GaussianVAETransformer(**FAST)
    for method in (vae.fit, vae.partial_fit):
        with pytest.raises(ValueError, match=r"goes from .* down to 1e-30 of the largest"):
            method(X, sample_weight=one_of(weight))
    vae.fit(X)
    assert np.isfinite(vae.score(X, sample_weight=one_of(weight)))


@pytest.mark.parametrize("scale", [5e-324, 1e300, np.finfo(float).max])
def test_all_weights_may_be_of_any_size(scale):
    same = GaussianVAETransformer(**FAST).fit(X)
    found = GaussianVAETransformer(**FAST).fit(X, sample_weight=np.full(len(X), scale))
    assert np.array_equal(found.transform(X), same.transform(X))


@pytest.mark.parametrize("weight", [9e29, 1.2e-30])
@pytest.mark.parametrize(
    "settings",
    [{}, {"early_stopping": True}, {"distance_weight": 1.0}, {"objective": "iwae"}],
)
@pytest.mark.parametrize("supervised", [False, True])
def test_ratios_at_the_border_train(weight, settings, supervised):
    y = np.arange(len(X)) % 2 if supervised else None
    vae = GaussianVAETransformer(supervised_weight=float(supervised), **FAST | settings)
    for row in (0, 3, 7, 20):  # in training, or held out
        vae.fit(X, y, sample_weight=one_of(weight, row))
        assert np.isfinite(vae.transform(X)).all()
        assert np.isfinite(vae.loss_curve_).all()
