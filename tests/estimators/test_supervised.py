"""Labels shape the latent space when ``supervised_weight`` is positive."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from skccvae import GaussianVAETransformer
from skccvae.estimators._supervision import TargetEncoder

RNG = np.random.default_rng(0)
# Thirty noisy columns of high variance, and one small column that decides y.
NOISE = RNG.normal(size=(400, 30)) * np.linspace(3, 1, 30)
SIGNAL = RNG.normal(size=400)
X = np.column_stack([NOISE, 0.3 * SIGNAL + 0.02 * RNG.normal(size=400)])


def vae(weight, **params):
    settings = {"max_epochs": 40, "hidden_layer_sizes": (32,), "random_state": 0}
    return GaussianVAETransformer(
        supervised_weight=weight, learning_rate=5e-3, **{**settings, **params}
    )


def r2(Z, y):
    return LinearRegression().fit(Z[:300], y[:300]).score(Z[300:], y[300:])


def accuracy(Z, y):
    return LogisticRegression().fit(Z[:300], y[:300]).score(Z[300:], y[300:])


def embed(weight, y, **params):
    """Embedding learned from the first 300 rows' labels."""
    y = y.astype(object if y.dtype.kind in "OU" else float).copy()
    y[300:] = None if y.dtype == object else np.nan
    return vae(weight, **params).fit(X, y).transform(X)


def test_regression():
    plain, shaped = embed(0.0, SIGNAL), embed(20.0, SIGNAL)
    assert r2(plain, SIGNAL) < 0.3
    assert r2(shaped, SIGNAL) > 0.7


@pytest.mark.parametrize("names", [[0, 1], ["low", "high"], [True, False]], ids=str)
def test_classification(names):
    y = np.asarray(names)[(SIGNAL > 0).astype(int)]
    plain, shaped = embed(0.0, y), embed(20.0, y)
    assert accuracy(plain, y) < 0.7
    assert accuracy(shaped, y) > 0.85


def test_several_targets_of_both_kinds():
    y = np.column_stack([SIGNAL, NOISE[:, 29] > 0])
    shaped = vae(20.0, n_components=3).fit(X, y).transform(X)
    plain = vae(0.0, n_components=3).fit(X).transform(X)
    assert r2(shaped, SIGNAL) > 0.6 > r2(plain, SIGNAL)
    assert accuracy(shaped, y[:, 1]) > 0.8 > accuracy(plain, y[:, 1])


@pytest.mark.parametrize("objective", ["elbo", "iwae"])
def test_a_few_labels_among_many_rows(objective):
    y = np.where(np.arange(400) < 100, SIGNAL, np.nan)
    shaped = vae(30.0, objective=objective, n_latent_samples=2).fit(X, y).transform(X)
    assert r2(shaped, SIGNAL) > 0.5


def test_every_kind_takes_labels(make):
    y = np.where(RNG.random(400) < 0.5, SIGNAL, np.nan)
    model = make(supervised_weight=5.0).fit(X, y)
    assert np.isfinite(model.loss_curve_).all()
    model.partial_fit(X[:50], y[:50])
    elbo, loss = model.history_["elbo"], model.loss_curve_
    assert all(abs(-b - a) > 1e-6 for a, b in zip(elbo, loss, strict=True))


def test_without_the_weight_y_is_ignored(make, small):
    Z = make().fit(small).transform(small)
    assert np.array_equal(make().fit(small, np.arange(60)).transform(small), Z)
    assert np.array_equal(make().fit_transform(small, ["a"] * 60), Z)


# --- target encoder -------------------------------------------------------------------------------


def test_kinds_of_targets():
    def classes(y):
        return TargetEncoder.fit(y, len(y)).classes

    assert classes([0.5, 1.5, np.nan, 2.25]) == [None]
    assert classes([0, 1, 1])[0].tolist() == [0, 1]
    assert classes([0.0, 1.0, np.nan])[0].tolist() == [0, 1]
    assert classes(["b", "a", "b"])[0].tolist() == ["a", "b"]
    assert classes(np.array(["b", None, "a"], dtype=object))[0].tolist() == ["a", "b"]
    mixed = classes([[0.5, 1.0], [0.75, 0.0], [np.nan, np.nan]])
    assert mixed[0] is None
    assert mixed[1].tolist() == [0, 1]


def test_encoded_targets():
    y = np.array([1.0, 3.0, 5.5, np.nan])
    encoded = TargetEncoder.fit(y, 4).transform(y, 4)
    assert encoded.dtype == np.float32
    assert np.isnan(encoded[3, 0])
    assert abs(encoded[:3].mean()) < 1e-6
    assert abs(encoded[:3].std() - 1) < 1e-6
    y = np.array(["b", None, "a"], dtype=object)
    encoder = TargetEncoder.fit(y, 3)
    np.testing.assert_array_equal(encoder.transform(y, 3), [[1], [np.nan], [0]])
    constant = TargetEncoder.fit([2.5, 2.5], 2)
    assert np.isfinite(constant.transform([2.5, 2.5], 2)).all()
