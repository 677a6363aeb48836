"""Several starts of one fit, of which the best is kept."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from scipy.stats import pearsonr
from skorch.callbacks import Callback

from skccvae import GaussianVAETransformer, HyperbolicVAETransformer, SphericalVAETransformer
from skccvae.datasets import load_daily_temperatures
from skccvae.training import DivergenceError

FAST = {"hidden_layer_sizes": (16,), "max_epochs": 3, "random_state": 0}
X = np.random.default_rng(0).normal(size=(80, 6))


def turns(vae, rows):
    """How often the codes of rows in their order go round the circle."""
    Z = vae.transform(rows)
    angle = np.unwrap(np.arctan2(Z[:, 1], Z[:, 0]))
    return abs(angle[-1] - angle[0]) / (2 * np.pi)


def test_a_circle_closes_round_the_year():
    """The first two components of the days pass near their mean, so nothing tells it is a ring."""
    year = load_daily_temperatures()
    closed = SphericalVAETransformer(1, random_state=0).fit(year.data)
    torn = SphericalVAETransformer(1, n_init=1, random_state=0).fit(year.data)
    assert turns(closed, year.data) == pytest.approx(1, abs=0.05)
    assert turns(torn, year.data) < 0.6
    gap = np.abs(year.target[:, None] - year.target)
    true = np.minimum(gap, 365 - gap)[np.triu_indices(365, 1)]
    found = np.asarray(closed.geodesic_distances(closed.transform(year.data)))
    assert pearsonr(found[np.triu_indices(365, 1)], true)[0] > 0.8
    assert closed.score(year.data) > torn.score(year.data) + 20


class Count(Callback):
    def __init__(self):
        self.trainings = 0

    def on_train_begin(self, net, **kwargs):
        self.trainings += 1


@pytest.mark.parametrize(
    ("model", "trainings"),
    [
        (SphericalVAETransformer(1), 2),
        (SphericalVAETransformer(1, init="random"), 1),
        (SphericalVAETransformer(2), 1),
        (SphericalVAETransformer(2, n_init=3), 3),
        (GaussianVAETransformer(1), 1),
        (HyperbolicVAETransformer(2, n_init=2), 2),
    ],
)
def test_number_of_trainings(model, trainings):
    count = Count()
    model.set_params(callbacks=[count], **FAST).fit(X)
    assert count.trainings == trainings
    model.partial_fit(X)
    model.set_params(warm_start=True).fit(X)
    assert count.trainings == trainings + 2


@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_best_is_kept(early_stopping):
    settings = {**FAST, "max_epochs": 8, "early_stopping": early_stopping}
    one = GaussianVAETransformer(2, n_init=1, **settings).fit(X)
    many = GaussianVAETransformer(2, n_init=4, **settings).fit(X)
    assert many._final_loss() <= one._final_loss()
    again = GaussianVAETransformer(2, n_init=4, **settings).fit(X)
    assert np.array_equal(many.transform(X), again.transform(X))


def test_random_starts_differ():
    settings = {**FAST, "init": "random"}
    losses = [
        SphericalVAETransformer(2, n_init=n, **settings).fit(X)._final_loss() for n in (1, 2, 6)
    ]
    assert losses[2] <= losses[1] <= losses[0]
    assert losses[2] < losses[0]


def test_later_starts_that_diverge_are_left_out():
    class Diverge(Count):
        def on_epoch_begin(self, net, **kwargs):
            if self.trainings > 1:
                next(net.module_.parameters()).data.fill_(float("nan"))

    vae = GaussianVAETransformer(2, n_init=3, callbacks=[Diverge()], **FAST).fit(X)
    assert np.isfinite(vae.transform(X)).all()


class DivergeIn(Count):
    def __init__(self, numbers):
        super().__init__()
        self.numbers = numbers

    def on_epoch_begin(self, net, **kwargs):
        if self.trainings in self.numbers:
            next(net.module_.parameters()).data.fill_(float("nan"))


def test_a_first_start_that_diverges_is_left_out():
    vae = GaussianVAETransformer(2, n_init=3, callbacks=[DivergeIn({1})], **FAST).fit(X)
    assert np.isfinite(vae.transform(X)).all()
    assert np.isfinite(vae.history_["train_loss"]).all()


def test_all_starts_diverge():
    diverge = DivergeIn({1, 2})
    with pytest.raises(DivergenceError):
        GaussianVAETransformer(2, n_init=2, callbacks=[diverge], **FAST).fit(X)
    assert diverge.trainings == 2


def test_an_interrupt_keeps_the_start_before():
    class Interrupt(Count):
        def on_epoch_end(self, net, **kwargs):
            if self.trainings == 2:
                signal.raise_signal(signal.SIGINT)

    vae = GaussianVAETransformer(2, n_init=3, callbacks=[Interrupt()], **FAST)
    with pytest.raises(KeyboardInterrupt):
        vae.fit(X)
    assert vae.n_iter_ == 3
    assert vae.transform(X).shape == (80, 2)


@pytest.mark.parametrize("value", [0, -1, 1.5, "many"])
def test_values_out_of_range(value):
    with pytest.raises(ValueError, match="n_init"):
        GaussianVAETransformer(n_init=value).fit(X)
