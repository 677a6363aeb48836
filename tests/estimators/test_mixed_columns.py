"""Columns of several kinds in one table."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import skccvae
from skccvae import (
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    LatentOutlierDetector,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)
from skccvae.nn import GaussianLikelihood

FAST = {"max_epochs": 3, "hidden_layer_sizes": (8,), "random_state": 0, "device": "cpu"}
RNG = np.random.default_rng(0)
T = RNG.normal(size=160)
FRAME = pd.DataFrame(
    {
        "size": T + 0.1 * RNG.normal(size=160),
        "kind": pd.Categorical(np.where(T > 0, "hi", "lo"), categories=["lo", "hi", "never"]),
        "flag": T > 0.5,
        "count": RNG.poisson(np.exp(T)),
        "place": np.where(T > 0.7, "x", np.where(T > -0.7, "y", "z")),
    }
)
BLOCKS = [
    ("gaussian", ["size"]),
    ("categorical", ["kind", "place"]),
    ("poisson", ["count"]),
    ("bernoulli", ["flag"]),
]


def with_holes(frame=FRAME):
    holes = frame.astype({"flag": "boolean", "count": "Int64"})
    for row, name in enumerate(frame.columns):
        holes.loc[row :: 2 * len(frame.columns), name] = None if name == "place" else pd.NA
    return holes


@pytest.mark.parametrize(
    "kind",
    [
        GaussianVAETransformer,
        SphericalVAETransformer,
        HyperbolicVAETransformer,
        ConstantCurvatureVAETransformer,
        MixedCurvatureVAETransformer,
    ],
)
@pytest.mark.parametrize("likelihood", ["auto", BLOCKS])
def test_a_frame_goes_in_and_comes_out(kind, likelihood):
    vae = kind(likelihood=likelihood, **FAST).fit(FRAME)
    assert vae.likelihood_ == "mixed"
    Z = vae.transform(FRAME)
    assert np.isfinite(Z).all()
    assert np.isfinite(vae.score_samples(FRAME)).all()
    vae.set_output(transform="pandas")
    for back in (vae.inverse_transform(Z), vae.sample(20, random_state=0)):
        pd.testing.assert_series_equal(back.dtypes, FRAME.dtypes)
        assert set(back["place"]) <= {"x", "y", "z"}


def test_a_frame_keeps_its_index():
    frame = FRAME.set_axis([f"row {k}" for k in range(160)])
    vae = GaussianVAETransformer(2, **FAST).set_output(transform="pandas").fit(frame)
    assert vae.inverse_transform(vae.transform(frame)).index.equals(frame.index)


def test_training_learns_levels_beside_numbers():
    vae = GaussianVAETransformer(2, likelihood=BLOCKS, **{**FAST, "max_epochs": 60}).fit(FRAME)
    back = vae.set_output(transform="pandas").inverse_transform(vae.transform(FRAME))
    assert (back["place"] == FRAME["place"]).mean() > 0.9
    assert (back["kind"] == FRAME["kind"]).mean() > 0.9
    assert np.corrcoef(back["size"], FRAME["size"])[0, 1] > 0.9


def test_the_log_likelihood_is_that_of_the_columns():
    """Its reconstruction is the sum over the blocks, each under a law of torch."""
    vae = GaussianVAETransformer(2, likelihood=BLOCKS, **FAST).fit(FRAME)
    module = vae.net_.module_
    rows = torch.tensor([[0.3, 1.0, 1.0, 4.0, 2.0]])
    outputs = torch.randn(
        1, module.likelihood.n_outputs, generator=torch.Generator().manual_seed(0)
    )
    gaussian, kind, place, rate, logit = outputs.split([1, 3, 3, 1, 1], dim=-1)
    parts = {p.name: p for p in module.likelihood.parts}
    expected = (
        parts["gaussian"].log_prob(gaussian, rows[:, [0]])
        + torch.log_softmax(kind, -1)[:, 1]
        + torch.log_softmax(place, -1)[:, 2]
        + parts["poisson"].log_prob(rate, rows[:, [3]])
        + torch.nn.functional.logsigmoid(logit).sum(-1)
    )
    assert torch.allclose(module.likelihood.log_prob(outputs, rows), expected)


@pytest.mark.parametrize(
    "columns",
    [
        (["size"], ["kind", "place"], ["count", "flag"]),
        (slice(0, 1), [1, 4], [2, 3]),
        (
            [True, False, False, False, False],
            make_column_selector(dtype_include=["category", "object", "string"]),
            ["count", "flag"],
        ),
    ],
)
def test_columns_are_named_as_in_a_column_transformer(columns):
    kinds = ("gaussian", "categorical", "auto")
    vae = GaussianVAETransformer(likelihood=list(zip(kinds, columns, strict=True)), **FAST)
    wanted = GaussianVAETransformer(
        likelihood=[("gaussian", [0]), ("categorical", [1, 4]), ("auto", [2, 3])], **FAST
    )
    assert np.array_equal(vae.fit_transform(FRAME), wanted.fit_transform(FRAME))


def test_arrays_of_codes_are_as_good_as_frames():
    array = np.column_stack([FRAME["size"], FRAME["kind"].cat.codes, FRAME["count"]])
    blocks = [("gaussian", [0]), ("categorical", [1]), ("poisson", [2])]
    vae = GaussianVAETransformer(likelihood=blocks, **FAST).fit(array)
    back = vae.inverse_transform(vae.transform(array))
    assert set(np.unique(back[:, 1])) <= {0.0, 1.0}
    encode, decode = vae.to_torch()
    Z = encode(torch.tensor(array))
    assert Z.numpy() == pytest.approx(vae.transform(array), abs=1e-5)
    assert decode(Z).numpy() == pytest.approx(vae.inverse_transform(Z.numpy()), abs=1e-5)


def test_numbers_alone_are_what_they_were():
    numbers = FRAME[["size", "count"]]
    one = GaussianVAETransformer(**FAST).fit_transform(numbers)
    assert np.array_equal(one, GaussianVAETransformer(**FAST).fit_transform(numbers.to_numpy()))


def test_impute_keeps_what_was_observed_bit_for_bit():
    holes = with_holes()
    vae = GaussianVAETransformer(2, missing="mask", **FAST).fit(holes)
    filled = vae.impute(holes)
    pd.testing.assert_series_equal(filled.dtypes, holes.dtypes)
    assert not filled.isna().any().any()
    for name in holes:
        seen = holes[name].notna()
        pd.testing.assert_series_equal(filled[name][seen], holes[name][seen])
    assert np.isfinite(vae.score_samples(holes)).all()
    draws = vae.sample_missing(holes, 3, random_state=0)
    assert draws.shape == (3, *holes.shape)
    assert (draws[:, 1, 1] != None).all()  # noqa: E711


def test_files_pickles_and_clones(tmp_path):
    vae = GaussianVAETransformer(2, likelihood=BLOCKS, **FAST).fit(FRAME)
    wanted = vae.transform(FRAME)
    vae.save(tmp_path / "model", training_state=True)
    for back in (skccvae.load(tmp_path / "model"), pickle.loads(pickle.dumps(vae))):
        assert np.array_equal(back.transform(FRAME), wanted)
        codes = back.partial_fit(FRAME).transform(FRAME)
        assert np.isfinite(codes).all()
    assert np.array_equal(clone(vae).fit_transform(FRAME), wanted)


class OwnGaussian(GaussianLikelihood):
    """A class of the user's, which files name."""


def test_files_keep_the_list_that_was_given(tmp_path):
    nothing = make_column_selector(dtype_include="datetime")
    blocks = [
        ("poisson", nothing),
        (OwnGaussian, ["size"]),
        ("auto", ["count"]),
        ("categorical", ["kind", "place"]),
        ("bernoulli", ["flag"]),
    ]
    vae = GaussianVAETransformer(2, likelihood=blocks, **FAST).fit(FRAME)
    vae.save(tmp_path / "model", model_card=True)
    same = skccvae.load(tmp_path / "model", device="cpu", trusted=(OwnGaussian,))
    assert np.array_equal(same.transform(FRAME), vae.transform(FRAME))
    assert same.likelihood[:3] == (("poisson", ()), (OwnGaussian, ("size",)), ("auto", ("count",)))
    assert "trusted=(OwnGaussian,)" in (tmp_path / "model.md").read_text()
    again = clone(same).fit(FRAME)
    assert np.array_equal(again.transform(FRAME), vae.transform(FRAME))


def test_a_tensor_with_holes_comes_back_as_a_tensor():
    rows = torch.from_numpy(np.column_stack([T, np.arange(160) % 3])).float()
    rows[3, 1] = rows[4, 0] = torch.nan
    blocks = [("gaussian", [0]), ("categorical", [1])]
    filled = GaussianVAETransformer(2, likelihood=blocks, missing="mask", **FAST).fit(rows)
    filled = filled.impute(rows)
    assert filled.dtype == torch.float32
    assert torch.equal(filled[5:], rows[5:])
    assert filled[3, 1] in (0, 1, 2)


def test_early_stopping_and_weights():
    weight = np.where(np.arange(160) % 3 == 0, 0.0, 1.0)
    vae = GaussianVAETransformer(likelihood=BLOCKS, **FAST)
    some = clone(vae).fit(FRAME[weight > 0].reset_index(drop=True)).transform(FRAME)
    assert np.array_equal(vae.fit(FRAME, sample_weight=weight).transform(FRAME), some)
    stopped = GaussianVAETransformer(early_stopping=True, **{**FAST, "max_epochs": 6}).fit(FRAME)
    assert "valid_loss" in stopped.history_


def test_a_search_over_a_pipeline():
    pipe = make_pipeline(GaussianVAETransformer(**FAST), LogisticRegression())
    grid = {"gaussianvaetransformer__n_components": [1, 2]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(FRAME, T > 0)
    assert search.best_score_ > 0.7


def test_the_outlier_detector_takes_frames():
    detector = LatentOutlierDetector(GaussianVAETransformer(**FAST)).fit(FRAME)
    assert detector.predict(FRAME).shape == (160,)


def refused(match, X=FRAME, likelihood=BLOCKS, error=ValueError):
    vae = GaussianVAETransformer(likelihood=BLOCKS, **FAST).fit(FRAME)
    before = vae.transform(FRAME)
    with pytest.raises(error, match=match):
        vae.set_params(likelihood=likelihood).fit(X)
    vae.set_params(likelihood=BLOCKS)
    assert np.array_equal(vae.transform(FRAME), before)


@pytest.mark.parametrize(
    ("likelihood", "error", "match"),
    [
        (BLOCKS[:-1], ValueError, "does not describe column 'flag'"),
        ([*BLOCKS, ("gaussian", ["count"])], ValueError, "describes column 'count' twice"),
        ([*BLOCKS, ("gaussian", ["nobody"])], ValueError, "'nobody'"),
        ([("normal", ["size"]), *BLOCKS[1:]], ValueError, "must name one of"),
        (["gaussian"], TypeError, "list of pairs"),
        ([], ValueError, "does not describe column"),
        ([("categorical", ["size"]), *BLOCKS[1:]], (TypeError, ValueError), "'size'"),
        ([("gaussian", ["place"]), *BLOCKS], (TypeError, ValueError), "'place'"),
    ],
)
def test_bad_lists(likelihood, error, match):
    refused(match, likelihood=likelihood, error=error)


def test_unknown_levels_and_holes_are_named():
    vae = GaussianVAETransformer(likelihood=BLOCKS, **FAST).fit(FRAME)
    new = FRAME.copy()
    new.loc[3, "place"] = "w"
    with pytest.raises(ValueError, match=r"Column 'place' of X holds 'w', a level.*'x', 'y', 'z'"):
        vae.transform(new)
    new.loc[3, "place"] = None
    with pytest.raises(ValueError, match=r"Column 'place' of X.*missing='mask'"):
        vae.transform(new)
    refused(r"Column 'place' of X.*missing='mask'", X=new)


def test_a_group_without_a_value_is_named():
    holes = FRAME.assign(flag=pd.array([pd.NA] * 160, dtype="boolean"))
    with pytest.raises(ValueError, match=r"No value was observed in X's columns \[2\].*bernoulli"):
        GaussianVAETransformer(missing="mask", **FAST).fit(holes)


def test_identifiers_are_refused_unless_they_are_declared():
    named = FRAME.assign(name=[f"row {number}" for number in range(160)])
    with pytest.raises(ValueError, match="'name' of X holds 160 different texts in 160 rows"):
        GaussianVAETransformer(**FAST).fit(named)
    GaussianVAETransformer(**FAST).fit(named.astype({"name": "category"}))


@pytest.mark.parametrize("columns", [["size", "flag"], ["size", "count"]])
def test_files_of_tables_without_levels(columns, tmp_path):
    blocks = [("gaussian", ["size"]), ("poisson", ["count"])] if "count" in columns else "auto"
    vae = GaussianVAETransformer(likelihood=blocks, **FAST).fit(FRAME[columns])
    vae.save(tmp_path / "model")
    again = skccvae.load(tmp_path / "model")
    assert np.array_equal(again.transform(FRAME[columns]), vae.transform(FRAME[columns]))


def test_columns_of_objects_come_back_as_they_were():
    """Bools with None in them, whole numbers and text, which pandas would make text of its own."""
    objects = FRAME.astype({"flag": object, "count": object, "place": object})
    holes = objects.copy()
    holes.loc[::3, ["flag", "count", "place"]] = None
    vae = GaussianVAETransformer(missing="mask", **FAST).fit(holes)
    vae.set_output(transform="pandas")
    for frame in (vae.impute(holes), vae.sample(20), vae.inverse_transform(vae.transform(holes))):
        assert all(frame[name].dtype == np.dtype(object) for name in ("flag", "count", "place"))
        assert set(map(type, frame["flag"])) == {bool}
        assert set(map(type, frame["count"])) == {int}
        assert set(map(type, frame["place"])) == {str}


def test_the_outlier_detector_says_that_a_part_lacks_a_level():
    rows = FRAME[["size", "place"]].to_numpy(dtype=object)
    rows[3, 1] = "once"
    blocks = [("gaussian", [0]), ("categorical", [1])]
    vae = GaussianVAETransformer(likelihood=blocks, **FAST)
    with pytest.raises(ValueError, match="a level occurs in one part only"):
        LatentOutlierDetector(vae).fit(rows)
    LatentOutlierDetector(vae, contamination=0.1).fit(rows)


@pytest.mark.parametrize("dictionary", [False, True])
def test_text_of_arrow(dictionary):
    pa = pytest.importorskip("pyarrow")
    kind = pa.dictionary(pa.int32(), pa.string()) if dictionary else pa.string()
    frame = FRAME.astype({"place": pd.ArrowDtype(kind)})
    vae = GaussianVAETransformer(**FAST).fit(frame).set_output(transform="pandas")
    assert np.array_equal(
        vae.transform(frame), GaussianVAETransformer(**FAST).fit(FRAME).transform(FRAME)
    )
    assert set(vae.sample(20, random_state=0)["place"]) <= {"x", "y", "z"}


@pytest.mark.filterwarnings("ignore:pandas.DataFrame with sparse columns")
def test_sparse_columns_come_out_dense():
    sparse = FRAME.assign(rare=pd.arrays.SparseArray(np.where(T > 1, T, 0.0)))
    vae = GaussianVAETransformer(missing="mask", **FAST).fit(sparse).set_output(transform="pandas")
    assert vae.sample(3)["rare"].dtype == np.float64
    holes = sparse.assign(rare=pd.arrays.SparseArray(np.where(T > 1, np.nan, 0.0)))
    filled = vae.impute(holes)["rare"]
    assert filled.dtype == np.float64
    assert filled.notna().all()
    assert (filled[T <= 1] == 0).all()


def test_a_filling_may_be_a_level_that_the_frame_lacks():
    vae = GaussianVAETransformer(1, missing="mask", **FAST | {"max_epochs": 40}).fit(FRAME)
    few = FRAME[FRAME["kind"] == "lo"].copy()
    few["kind"] = few["kind"].cat.remove_unused_categories()
    few.loc[few.index[0], ["size", "kind", "flag", "count", "place"]] = [3.0, None, True, 9, "x"]
    filled = vae.impute(few)["kind"]
    assert filled.iloc[0] == "hi"
    assert (filled.iloc[1:] == "lo").all()


def test_codes_must_be_whole():
    array = np.column_stack([FRAME["size"], FRAME["size"]])
    with pytest.raises((TypeError, ValueError), match="Column 1 of X"):
        GaussianVAETransformer(likelihood=[("gaussian", [0]), ("categorical", [1])]).fit(array)


def test_a_level_of_the_dtype_that_does_not_occur_is_known():
    vae = GaussianVAETransformer(likelihood=BLOCKS, **FAST).fit(FRAME)
    new = FRAME.copy()
    new.loc[0, "kind"] = "never"
    assert np.isfinite(vae.transform(new)).all()


def test_fifty_levels_do_not_drown_ten_real_columns():
    """The reconstruction of real columns hardly suffers from a column of levels beside them."""
    rng = np.random.default_rng(0)
    real = rng.normal(size=(600, 2)) @ rng.normal(size=(2, 10)) + 0.3 * rng.normal(size=(600, 10))
    frame = pd.DataFrame(real, columns=[f"r{k}" for k in range(10)])
    level = pd.Categorical([f"level {k}" for k in rng.integers(0, 50, 600)])
    settings = {**FAST, "hidden_layer_sizes": (32,), "max_epochs": 40}
    errors = []
    for table in (frame, frame.assign(level=level)):
        vae = GaussianVAETransformer(2, **settings).fit(table).set_output(transform="pandas")
        back = vae.inverse_transform(vae.transform(table).to_numpy())
        found = np.asarray(back)[:, :10].astype(float)
        errors.append(((found - real) ** 2).sum() / ((real - real.mean(0)) ** 2).sum())
    assert errors[1] < 1.3 * errors[0]


@pytest.mark.sklearn_contract
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_pass_with_a_list():
    vae = GaussianVAETransformer(likelihood=[("gaussian", slice(0, None))], **FAST)
    reason = "weights change the order of the noise; README says so"
    names = ("dense_data", "sparse_data")
    expected = {f"check_sample_weight_equivalence_on_{name}": reason for name in names}
    results = check_estimator(vae, expected_failed_checks=expected)
    assert sum(result["status"] == "passed" for result in results) > 40
