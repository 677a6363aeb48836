"""Tables of Arrow and polars in place of frames: the same numbers out, and the same kind back."""

from __future__ import annotations

import decimal

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch.utils.data import IterableDataset

from skccvae import GaussianVAETransformer, LatentOutlierDetector
from skccvae.model_selection import PackedGridSearchCV
from skccvae.molecules import read_smiles
from skccvae.plotting import LatentDisplay

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")

FAST = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0}
T = np.random.default_rng(0).normal(size=80)
FRAME = pd.DataFrame(
    {
        "size": T,
        "weight": (2 * T + 0.1).astype(np.float32),
        "count": np.arange(80) % 7,
        "kind": pd.Categorical(np.where(T > 0, "hi", "lo")),
        "place": np.array(["x", "y", "z"])[np.arange(80) % 3],
        "flag": T > 0.5,
    }
)
NUMBERS = ["size", "weight", "count"]
HOLES = {"size": 3, "count": 4, "kind": 5, "place": 6, "flag": 7}


def table(frame):
    return pa.Table.from_pandas(frame, preserve_index=False)


def batch(frame):
    return table(frame).to_batches()[0]


def in_polars(frame):
    return pytest.importorskip("polars").DataFrame(table(frame))


def with_holes():
    frame = FRAME.astype({"count": "Int64", "flag": "boolean"})
    for name, row in HOLES.items():
        frame.loc[row, name] = None
    return frame


def types_of(given):
    return given.dtypes if hasattr(given, "dtypes") else given.schema.types


MAKERS = pytest.mark.parametrize("make", [table, batch, in_polars])


@MAKERS
@pytest.mark.parametrize("columns", [NUMBERS, list(FRAME.columns)])
def test_the_codes_of_the_frame(make, columns):
    frame = FRAME[columns]
    wanted = GaussianVAETransformer(**FAST).fit(frame)
    found = GaussianVAETransformer(**FAST).fit(make(frame))
    assert found.feature_names_in_.tolist() == columns
    assert found.likelihood_ == wanted.likelihood_
    assert np.array_equal(found.transform(make(frame)), wanted.transform(frame))
    assert np.array_equal(found.score_samples(make(frame)), wanted.score_samples(frame))
    assert np.array_equal(found.partial_fit(make(frame)).transform(frame), found.transform(frame))
    with pytest.raises(ValueError, match="feature names should match"):
        found.transform(make(frame.rename(columns={"size": "other"})))


@MAKERS
@pytest.mark.parametrize("columns", [NUMBERS, list(FRAME.columns)])
def test_null_is_a_missing_value(make, columns):
    frame = with_holes()[columns]
    given = make(frame)
    with pytest.raises(ValueError, match="missing='mask'"):
        GaussianVAETransformer(**FAST).fit(given)
    vae = GaussianVAETransformer(2, missing="mask", **FAST).fit(given)
    assert np.array_equal(vae.transform(given), vae.transform(frame))
    assert vae.sample_missing(given, 2, random_state=0).shape == (2, *FRAME[columns].shape)
    filled = vae.impute(given)
    assert type(filled) is type(given)
    same = vae.impute(frame)
    for place, name in enumerate(columns):
        column = np.asarray(filled[name])
        rest = np.arange(80) != HOLES.get(name, -1)
        assert np.array_equal(column[rest], np.asarray(FRAME[name])[rest])
        assert column[~rest].tolist() == np.asarray(same[name])[~rest].tolist()
        if len(columns) > 3:  # in a table of numbers alone, counts become real numbers
            assert types_of(filled)[place] == types_of(given)[place]


@MAKERS
def test_whole_numbers_that_are_filled_in_become_real(make):
    given = make(with_holes()[NUMBERS])
    vae = GaussianVAETransformer(2, missing="mask", **FAST).fit(given)
    filled = vae.impute(given)
    kinds = [str(kind).lower() for kind in types_of(filled)]
    assert kinds[1] in ("float", "float32")
    assert kinds[2] in ("double", "float64")


def test_decimals_and_dates():
    numbers = pa.array([decimal.Decimal(k) / 4 for k in range(39)] + [None])
    given = pa.table({"price": numbers, "size": T[:40]})
    vae = GaussianVAETransformer(1, missing="mask", **FAST).fit(given)
    filled = vae.impute(given)["price"]
    assert filled.type == pa.float64()
    assert filled.to_pylist()[:39] == [k / 4 for k in range(39)]
    dates = pa.array(T[:40].astype("datetime64[s]"))
    with pytest.raises(ValueError, match="Column 'day' of X .* Turn dates into numbers"):
        GaussianVAETransformer(**FAST).fit(pa.table({"size": T[:40], "day": dates}))


def test_the_index_that_pandas_has_written_is_no_column():
    frame = FRAME.set_index(pd.Index(np.arange(80) ** 2, name="row"))
    given = pa.Table.from_pandas(frame)
    assert given.num_columns == 7
    vae = GaussianVAETransformer(missing="mask", **FAST).fit(given)
    assert vae.n_features_in_ == 6
    holes = given.set_column(0, "size", pa.array([None, *T[1:]]))
    filled = vae.impute(holes)
    assert filled.schema == holes.schema
    assert filled["size"].null_count == 0
    assert filled["row"].equals(given["row"])


@pytest.mark.parametrize("kind", ["reader", "dataset", "lazy"])
def test_what_is_no_table_yet(kind):
    import pyarrow.dataset

    given = table(FRAME)
    if kind == "lazy":
        given, advice = in_polars(FRAME).lazy(), r"X\.collect\(\)"
    elif kind == "reader":
        given, advice = given.to_reader(), r"X\.read_all\(\)"
    else:
        given, advice = pyarrow.dataset.dataset(given), r"X\.to_table\(\)"
    with pytest.raises(TypeError, match=advice):
        GaussianVAETransformer(**FAST).fit(given)


@MAKERS
def test_in_a_stream(make):
    class Stream(IterableDataset):
        def __init__(self, make):
            self.make = make

        def __iter__(self):
            for start in range(0, 80, 20):
                yield self.make(FRAME[NUMBERS][start : start + 20])

    pandas = Stream(lambda part: part)
    vae = GaussianVAETransformer(**FAST).fit(Stream(make))
    assert vae.feature_names_in_.tolist() == NUMBERS
    same = GaussianVAETransformer(**FAST).fit(pandas)
    assert np.array_equal(vae.transform(Stream(make)), same.transform(pandas))


@pytest.mark.parametrize("make", [table, in_polars])  # scikit-learn does not split a RecordBatch
def test_in_a_search(make):
    frame = FRAME[[*NUMBERS, "flag"]]  # a part of a Categorical of polars may lack levels
    grid = {"n_components": [1, 2]}
    for search in (GridSearchCV, PackedGridSearchCV):
        scores = [
            search(GaussianVAETransformer(**FAST), grid, cv=2).fit(X).cv_results_["mean_test_score"]
            for X in (frame, make(frame))
        ]
        assert np.array_equal(*scores)


@MAKERS
def test_in_the_outlier_detector(make):
    detectors = [LatentOutlierDetector(GaussianVAETransformer(**FAST)) for _ in range(2)]
    offsets = [d.fit(X).offset_ for d, X in zip(detectors, (FRAME, make(FRAME)), strict=True)]
    assert offsets[0] == offsets[1]


@MAKERS
def test_labels(make):
    labels = FRAME[["kind", "flag"]]
    vae = GaussianVAETransformer(supervised_weight=1.0, **FAST)
    found = clone(vae).fit(FRAME, make(labels)).transform(FRAME)
    assert np.array_equal(found, clone(vae).fit(FRAME, labels).transform(FRAME))


@MAKERS
def test_in_a_display(make):
    pytest.importorskip("matplotlib").use("Agg")
    vae = GaussianVAETransformer(**FAST).fit(make(FRAME))
    display = LatentDisplay.from_estimator(vae, make(FRAME), FRAME["kind"], uncertainty=True)
    assert len(display.regions_) == 1


def test_molecules_of_an_array_of_arrow():
    pytest.importorskip("rdkit")
    for column in (pa.array(["CCO", "C"]), pa.chunked_array([["CCO"], ["C"]])):
        assert len(read_smiles(column)) == 2


def test_polars_out():
    pl = pytest.importorskip("polars")
    vae = GaussianVAETransformer(**FAST).set_output(transform="polars")
    codes = vae.fit_transform(in_polars(FRAME))
    assert isinstance(codes, pl.DataFrame)
    assert codes.columns == vae.get_feature_names_out().tolist()
    for back in (vae.inverse_transform(codes), vae.sample(80)):
        assert isinstance(back, pl.DataFrame)
        assert back.columns == list(FRAME.columns)
        assert back.dtypes == in_polars(FRAME).dtypes
    numbers = clone(vae).fit(in_polars(FRAME[NUMBERS]))
    assert isinstance(numbers.inverse_transform(numbers.transform(FRAME[NUMBERS])), np.ndarray)


@pytest.mark.parametrize("kind", ["frame", "table", "batch"])
def test_columns_of_one_name(kind):
    named = table(FRAME[NUMBERS]).rename_columns(["a", "b", "a"])
    rows = {
        "frame": FRAME[NUMBERS].set_axis(["a", "b", "a"], axis=1),
        "table": named,
        "batch": named.combine_chunks().to_batches()[0],
    }[kind]
    vae = GaussianVAETransformer(2, **FAST).fit(FRAME[NUMBERS].to_numpy())
    before = vae.transform(FRAME[NUMBERS].to_numpy())
    for call in (vae.transform, vae.fit, vae.partial_fit):
        with pytest.raises(ValueError, match="several are called 'a'. Rename them, or pass an arr"):
            call(rows)
    np.testing.assert_array_equal(vae.transform(FRAME[NUMBERS].to_numpy()), before)
