"""Labels shape the latent space when ``supervised_weight`` is positive."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from skorch.callbacks import Callback
from torch.utils.data import Dataset

import skccvae
from skccvae import GaussianVAETransformer
from skccvae.estimators._supervision import TargetEncoder
from skccvae.nn import PredictionHead
from skccvae.training import Batches, RowSource

RNG = np.random.default_rng(0)
# Thirty noisy columns of high variance, and one small column that decides y.
NOISE = RNG.normal(size=(400, 30)) * np.linspace(3, 1, 30)
SIGNAL = RNG.normal(size=400)
X = np.column_stack([NOISE, 0.3 * SIGNAL + 0.02 * RNG.normal(size=400)])


def vae(weight, **params):
    settings = {"max_epochs": 40, "hidden_layer_sizes": (32,), "random_state": 0}
    settings["likelihood"] = "gaussian"  # the small column has a scale of its own
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
    plain, shaped = embed(0.0, SIGNAL), embed(15.0, SIGNAL)
    assert r2(plain, SIGNAL) < 0.3
    assert r2(shaped, SIGNAL) > 0.7


@pytest.mark.parametrize("names", [[0, 1], ["low", "high"], [True, False]], ids=str)
def test_classification(names):
    y = np.asarray(names)[(SIGNAL > 0).astype(int)]
    plain, shaped = embed(0.0, y), embed(15.0, y)
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
    shaped = vae(7.5, objective=objective, n_latent_samples=2).fit(X, y).transform(X)
    assert r2(shaped, SIGNAL) > 0.5


def test_every_kind_takes_labels(make):
    y = np.where(RNG.random(400) < 0.5, SIGNAL, np.nan)
    model = make(supervised_weight=2.5).fit(X, y)
    assert np.isfinite(model.loss_curve_).all()
    model.partial_fit(X[:50], y[:50])
    elbo, loss = model.history_["elbo"], model.loss_curve_
    assert all(abs(-b - a) > 1e-6 for a, b in zip(elbo, loss, strict=True))


def test_without_the_weight_y_is_ignored(make, small):
    Z = make().fit(small).transform(small)
    assert np.array_equal(make().fit(small, np.arange(60)).transform(small), Z)
    assert np.array_equal(make().fit_transform(small, ["a"] * 60), Z)


# --- mean over the labelled rows ------------------------------------------------------------------


def head_and_batch(*leading):
    torch.manual_seed(0)
    head = PredictionHead(2, [0, 3])
    features = torch.randn(*leading, 12, 2, requires_grad=True)
    targets = torch.stack([torch.randn(12), torch.arange(12.0) % 3], dim=1)
    targets[2:, 0] = torch.nan
    targets[:7, 1] = torch.nan
    return head, features, targets


def test_each_target_has_the_mean_over_its_own_labelled_rows():
    head, features, targets = head_and_batch()
    output, logits = head(features)
    scale = 0.1 + torch.nn.functional.softplus(head.raw_scale[0])
    # PredictionHead leaves out the constant -log(2 pi) / 2 of the normal law.
    normal = -0.5 * ((targets[:2, 0] - output[:2, 0]) / scale).square() - scale.log()
    picked = logits[7:].log_softmax(-1).gather(-1, targets[7:, 1:].long())
    expected = normal.mean() + picked.mean()
    torch.testing.assert_close(head.log_prob(features, targets), expected)


def test_rows_without_labels_do_not_dilute_the_labelled_ones():
    head, features, targets = head_and_batch()
    targets[:, 0] = torch.where(torch.arange(12) < 5, 0.5, torch.nan)
    targets[:, 1] = torch.where(torch.arange(12) < 5, 1.0, torch.nan)
    alone = head.log_prob(features[:5], targets[:5])
    torch.testing.assert_close(head.log_prob(features, targets), alone)


def test_draws_count_as_their_mean():
    head, features, targets = head_and_batch(4)
    draws = [head.log_prob(one, targets) for one in features]
    torch.testing.assert_close(head.log_prob(features, targets), torch.stack(draws).mean())
    terms = [head.log_prob_terms(one, targets) for one in features]
    torch.testing.assert_close(head.log_prob_terms(features, targets), torch.stack(terms).mean(0))


def test_a_batch_without_labels_adds_nothing():
    head, features, targets = head_and_batch()
    value = head.log_prob(features, torch.full_like(targets, torch.nan))
    value.backward()
    assert value == 0
    for tensor in (features, *head.parameters()):
        assert torch.equal(tensor.grad, torch.zeros_like(tensor))


def test_a_target_without_labels_leaves_the_others_alone():
    head, features, targets = head_and_batch()
    targets[:, 1] = torch.nan
    value = head.log_prob(features, targets)
    value.backward()
    assert value != 0
    assert torch.isfinite(features.grad).all()
    assert features.grad[:2].abs().min() > 0
    assert torch.equal(features.grad[2:], torch.zeros(10, 2))


# --- labels and early stopping --------------------------------------------------------------------


def evidence_of_held_out(model, y):
    """Evidence of the rows held out, with labels, and the targets of these rows."""
    _, held_out = model._split(len(X))
    units = model._input.units
    x = torch.from_numpy(((X[held_out] - units.center) / units.scale).astype(np.float32))
    targets = torch.from_numpy(model._targets.transform(y, len(X))[held_out])
    module = model.net_.module_
    with torch.no_grad():
        found = module.evidence(x, model.n_latent_samples, seed=0, targets=targets)
    return found, targets


@pytest.mark.parametrize("objective", ["elbo", "iwae"])
@pytest.mark.parametrize("draws", [1, 3])
def test_the_validation_loss_counts_labels_as_training_does(objective, draws):
    y = np.column_stack([SIGNAL, NOISE[:, 29] > 0])
    y[RNG.random(400) < 0.7, 0] = np.nan
    y[RNG.random(400) < 0.4, 1] = np.nan
    model = vae(
        4.0, max_epochs=1, early_stopping=True, objective=objective, n_latent_samples=draws
    ).fit(X, y)
    found, targets = evidence_of_held_out(model, y)
    known = ~targets.isnan()
    assert 0 < known[:, 0].sum() < known[:, 1].sum() < len(targets)
    means = [found.supervised[known[:, k], k].mean() for k in (0, 1)]
    bound = found.log_likelihood if objective == "iwae" else found.reconstruction - found.kl
    expected = -bound.mean() - 4.0 * sum(means)
    # float32 rows are scaled in float64 here and there
    assert model.history_["valid_loss"] == [pytest.approx(float(expected), rel=1e-5)]
    assert abs(sum(means)) > 0.1


def test_validation_in_batches_has_one_mean_over_all_labelled_rows():
    """A mean of the means of batches would weigh the labels of a batch with few of them more."""
    y = np.where(RNG.random(400) < 0.3, SIGNAL, np.nan)
    model = vae(4.0, max_epochs=1, early_stopping=True, validation_fraction=0.5).fit(X, y)
    _, held_out = model._split(len(X))
    targets = model._targets.transform(y, len(X))
    source = RowSource(X, model._input.units, "cpu", targets)
    whole, parts = (
        model.net_._validate(Batches(source, held_out, rows, shuffle=False)) for rows in (200, 7)
    )
    assert whole["valid_loss"] == model.history_["valid_loss"][0]
    assert parts["valid_loss"] == pytest.approx(whole["valid_loss"], rel=1e-6)


def test_early_stopping_keeps_the_epoch_whose_loss_is_best_with_labels():
    y = np.where(np.arange(400) < 120, SIGNAL, np.nan)
    settings = {"max_epochs": 30, "n_epochs_no_change": 30, "early_stopping": True}
    model = vae(1000.0, **settings).fit(X, y)
    loss, elbo = model.history_["valid_loss"], model.history_["valid_elbo"]
    best = int(np.argmin(loss))
    assert best != int(np.argmax(elbo))  # else the test would say nothing
    found, targets = evidence_of_held_out(model, y)
    known = ~targets[:, 0].isnan()
    kept = -(found.reconstruction - found.kl).mean() - 1000.0 * found.supervised[known, 0].mean()
    assert float(kept) == pytest.approx(loss[best], rel=1e-5)


def test_callbacks_see_the_loss_of_a_batch_with_its_labels():
    losses = []

    class Spy(Callback):
        def on_batch_end(self, net, batch, training, loss, **kwargs):
            losses.append(None if training else float(loss))

    y = np.where(RNG.random(400) < 0.5, SIGNAL, np.nan)
    model = vae(4.0, max_epochs=1, early_stopping=True, callbacks=[Spy()]).fit(X, y)
    assert [loss for loss in losses if loss is not None] == model.history_["valid_loss"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("train", r"holds out 40 row\(s\), and for target 0 of y none of 3 label\(s\) is among"),
        ("held out", r"for target 0 of y all 3 label\(s\) are among them, so it is not learned"),
    ],
)
def test_three_labels_on_one_side_of_the_split(rows, message):
    train, held_out = vae(1.0, early_stopping=True, max_epochs=1).fit(X, SIGNAL)._split(400)
    y = np.full(400, np.nan)
    y[(train if rows == "train" else held_out)[:3]] = [0.5, 1.5, -2.25]
    with pytest.warns(UserWarning, match=message):
        model = vae(5.0, early_stopping=True, max_epochs=3).fit(X, y)
    assert np.isfinite(model.history_["train_loss"]).all()
    assert np.isfinite(model.history_["valid_loss"]).all()
    gap = np.array(model.history_["valid_loss"]) + model.history_["valid_elbo"]
    assert np.allclose(gap, 0, atol=1e-9) == (rows == "train")


@pytest.mark.filterwarnings("error")
def test_labels_on_both_sides_of_the_split_raise_no_warning():
    vae(5.0, early_stopping=True, max_epochs=1).fit(X, SIGNAL)


def test_rows_without_any_label_train_on():
    model = vae(5.0, max_epochs=1).fit(X, SIGNAL)
    nothing = np.full(400, np.nan)
    model.partial_fit(X, nothing)
    assert model.loss_curve_[-1] == pytest.approx(-model.history_["elbo"][-1], rel=1e-6)
    model.set_params(warm_start=True, early_stopping=True)
    with pytest.warns(UserWarning, match="for target 0 of y there is no label at all"):
        model.fit(X, nothing)
    assert np.isfinite(model.history_["valid_loss"][-1])


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


NA = [None, np.nan, np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), Decimal("NaN")]


@pytest.mark.parametrize("missing", NA, ids=lambda m: f"{type(m).__name__}-{m}")
@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a", "b"], ["a", "b"]),
        ([np.str_("b"), "a", "b"], ["a", "b"]),
        ([True, False, np.True_], [False, True]),
        ([1, np.int8(0), 1], [0, 1]),
        ([1.5, Decimal("0.5"), np.float32(1.5)], None),
    ],
    ids=str,
)
def test_every_mark_of_a_missing_label_in_every_container(missing, labels, classes):
    y = [labels[0], missing, *labels[1:]]
    expected = [1, np.nan, 0, 1]
    if classes is None:
        expected = np.array([1, np.nan, -2, 1]) / np.sqrt(2)
    table = pd.DataFrame({"a": y, "b": [0, 1, 2, 3]}, dtype=object)
    for kept in (y, tuple(y), np.array(y, dtype=object), pd.Series(y), pd.Series(y, dtype=object)):
        encoder = TargetEncoder.fit(kept, 4)
        found = encoder.classes[0]
        assert (None if found is None else found.tolist()) == classes
        np.testing.assert_allclose(encoder.transform(kept, 4)[:, 0], expected, rtol=1e-6)
    for two in (table, table.to_numpy(), list(zip(y, range(4), strict=True))):
        encoder = TargetEncoder.fit(two, 4)
        np.testing.assert_allclose(encoder.transform(two, 4)[:, 0], expected, rtol=1e-6)
        assert encoder.classes[1].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "string", "str", "category"])
def test_missing_labels_in_the_dtypes_of_pandas(dtype):
    labels = ["b", None, "a", "b"] if dtype in ("string", "str", "category") else [1, None, 0, 1]
    y = pd.Series(labels, dtype=dtype)
    assert y.isna().sum() == 1
    for kept in (y, y.to_frame(), y.array):
        encoder = TargetEncoder.fit(kept, 4)
        assert len(encoder.classes[0]) == 2
        np.testing.assert_array_equal(encoder.transform(kept, 4)[:, 0], [1, np.nan, 0, 1])


@pytest.mark.parametrize("labels", [[1, 9, 0, 1], [1.0, 9.0, 0.0, 1.0], ["b", "x", "a", "b"]])
def test_a_masked_label_is_missing(labels):
    y = np.ma.masked_array(labels, mask=[0, 1, 0, 0])
    encoder = TargetEncoder.fit(y, 4)
    np.testing.assert_array_equal(encoder.transform(y, 4)[:, 0], [1, np.nan, 0, 1])


def test_labels_of_a_dataset_may_be_missing():
    class Pairs(Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, number):
            label = np.nan if number % 4 == 0 else "ab"[number % 2]
            return torch.from_numpy(X[number]).float(), label

    assert vae(1.0, max_epochs=1).fit(Pairs()).classes_.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("y", "found"),
    [
        (np.array(["2020", "2021"], dtype="datetime64[Y]"), "datetime64"),
        (pd.Series(pd.date_range("2020", periods=2)), "datetime64"),
        (pd.Series(pd.date_range("2020", periods=2, tz="UTC")), "Timestamp"),
        (pd.Series(pd.to_timedelta([1, 2], unit="D")), "timedelta64"),
        (pd.Series(pd.period_range("2020", periods=2)), "Period"),
        ([datetime.date(2020, 1, 1), None], "date"),
        ([b"a", b"b"], "bytes"),
        ([1j, 2j], "complex"),
        ([("a", 1), None], "tuple"),
        (["a", 1], "int and str"),
        ([True, 2.5, None], "bool and float"),
        (np.array([True, "a"], dtype=object), "bool and str"),
    ],
    ids=str,
)
def test_labels_that_are_neither_numbers_nor_names(y, found):
    if isinstance(y, list) and y == [("a", 1), None]:
        y = pd.Series(y)  # as an array it would have another shape
    with pytest.raises(ValueError, match=f"Target 0 of y holds {found}.*expected numbers, bools"):
        TargetEncoder.fit(y, len(y))


@pytest.mark.parametrize(
    "y",
    [
        5.0,
        "a",
        np.zeros((4, 1, 1)),
        np.zeros((4, 0)),
        pd.DataFrame(index=range(4)),
        pd.Series([1, 2]),
        sp.csr_array(np.ones((4, 1))),
        [[1], [2]],
    ],
    ids=lambda y: type(y).__name__,
)
def test_labels_of_another_shape(y):
    with pytest.raises(ValueError, match=r"y must have shape \(4,\) or \(4, n_targets\); got \("):
        TargetEncoder.fit(y, 4)


def test_numbers_as_text_raise_a_warning():
    text = SIGNAL.astype(str)
    with pytest.warns(UserWarning, match="its 400 labels are read as 400 classes.*astype.float"):
        TargetEncoder.fit(text, 400)
    with pytest.warns(UserWarning, match="its 400 labels are read as 100 classes"):
        TargetEncoder.fit((np.arange(400) % 100).astype(str).tolist(), 400)
    with pytest.warns(UserWarning, match="its 30 labels are read as 30 classes"):
        TargetEncoder.fit([f"row {n}" for n in range(30)], 30)
    encoder = TargetEncoder.fit(SIGNAL, 400)
    with pytest.raises(ValueError, match="contains text, such as .*, but it held numbers at first"):
        encoder.transform(text, 400)


@pytest.mark.filterwarnings("error")
def test_few_names_raise_no_warning():
    TargetEncoder.fit((np.arange(400) % 10).astype(str), 400)  # digits
    TargetEncoder.fit(np.arange(400), 400)  # measured
    TargetEncoder.fit(np.arange(400) % 2 == 0, 400)
    TargetEncoder.fit([f"row {n}" for n in range(20)], 20)


def test_classes_of_another_kind_are_unseen():
    with pytest.raises(
        ValueError, match="a class that the model does not know: 1. The known classes are .'0'"
    ):
        TargetEncoder.fit(["0", "1"], 2).transform([0, 1][::-1], 2)
    with pytest.raises(ValueError, match="a class that the model does not know: 'b'. The known"):
        TargetEncoder.fit([True, False], 2).transform(["b", "a"], 2)


def test_minus_one_is_a_label_like_any_other():
    assert TargetEncoder.fit([-1, 0, 1, -1], 4).classes[0].tolist() == [-1, 0, 1]


def test_the_fitted_classes(tmp_path):
    fast = {"max_epochs": 1}
    names = np.where(SIGNAL > 0, "high", "low").astype(object)
    names[:300] = None
    model = vae(1.0, **fast).fit(X, names)
    assert model.classes_.tolist() == ["high", "low"]
    model.save(tmp_path / "model")
    assert skccvae.load(tmp_path / "model").classes_.tolist() == ["high", "low"]
    model.fit(X, pd.DataFrame({"a": names, "b": SIGNAL}))
    assert model.classes_[0].tolist() == ["high", "low"]
    assert model.classes_[1] is None
    unsupervised, regression = vae(0.0, **fast).fit(X, names), vae(1.0, **fast).fit(X, SIGNAL)
    for plain in (vae(1.0, **fast), unsupervised, regression):
        with pytest.raises(AttributeError, match="has no classes_"):
            plain.classes_  # noqa: B018
        assert not hasattr(plain, "classes_")
