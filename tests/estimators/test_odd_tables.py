"""Tables as programs leave them: offsets, decimals, empty columns, text that is numbers."""

from __future__ import annotations

import decimal

import numpy as np
import pytest
import torch

import skccvae
from skccvae import GaussianVAETransformer

pd = pytest.importorskip("pandas")

FAST = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0}
X = np.random.default_rng(0).normal(size=(60, 3))


@pytest.mark.parametrize(("offset", "scale"), [(1.7e9, 10.0), (0.0, 1e-50), (0.0, 1e100)])
def test_rows_come_back_where_float32_is_too_coarse(offset, scale):
    plain = GaussianVAETransformer(**FAST).fit(X)
    vae = GaussianVAETransformer(**FAST).fit(offset + scale * X)
    Z = plain.transform(X)
    np.testing.assert_allclose(vae.transform(offset + scale * X), Z, atol=1e-4)
    assert plain.inverse_transform(Z).dtype == plain.sample(2).dtype == np.float32
    back = vae.inverse_transform(Z)
    assert back.dtype == vae.sample(2).dtype == np.float64
    np.testing.assert_allclose((back - offset) / scale, plain.inverse_transform(Z), atol=1e-4)
    exported = vae.to_torch()[1](torch.from_numpy(Z)).numpy()
    np.testing.assert_allclose((exported - offset) / scale, (back - offset) / scale, atol=1e-4)


def test_frames_come_back_where_float32_is_too_coarse():
    frame = pd.DataFrame(
        {"t": 1.7e9 + 10 * X[:, 0], "id": np.arange(60) + 10**9, "k": ["a", "b"] * 30}
    )
    vae = GaussianVAETransformer(**FAST).set_output(transform="pandas").fit(frame)
    back = vae.inverse_transform(vae.transform(frame))
    assert back["t"].nunique() == 60
    assert (back["t"] - 1.7e9).abs().max() < 100
    assert back["id"].nunique() > 30
    assert back["id"].dtype == np.int64


@pytest.mark.parametrize(
    "empty", [np.nan, pd.NaT, pd.array([pd.NA] * 2, dtype="Int64")], ids=["nan", "nat", "Int64"]
)
def test_a_categorical_column_without_an_entry_is_filled(empty):
    frame = pd.DataFrame({"x": X[:, 0], "k": ["a", "b"] * 30})
    holes = frame.copy()
    holes.loc[5, "x"] = np.nan
    vae = GaussianVAETransformer(missing="mask", **FAST).fit(holes)
    filled = vae.impute(frame[:2].assign(k=empty))
    assert filled["k"].isin(["a", "b"]).all()
    assert (filled["x"] == frame["x"][:2]).all()


@pytest.mark.parametrize("name", ["n", "flag", "x"])
def test_a_column_of_numbers_without_an_entry_is_filled_as_in_fit(name):
    frame = pd.DataFrame(
        {"x": X[:, 0], "k": ["a", "b"] * 30, "flag": [True, False] * 30, "n": np.arange(60) % 5}
    )
    holes = frame.copy()
    holes.loc[0, "k"] = None
    vae = GaussianVAETransformer(missing="mask", **FAST).fit(holes)
    filled = vae.impute(frame[2:4].assign(**{name: np.nan}))
    assert filled[name].dtype == frame[name].dtype
    assert list(filled.index) == [2, 3]
    assert filled[name].notna().all()


def test_a_null_column_of_arrow_is_filled():
    pa = pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"x": X[:, 0], "k": ["a", "b"] * 30})
    frame.loc[0, "x"] = np.nan
    vae = GaussianVAETransformer(missing="mask", **FAST).fit(frame)
    filled = vae.impute(pa.table({"x": X[:3, 0], "k": pa.nulls(3)}))
    assert set(filled["k"].to_pylist()) <= {"a", "b"}
    assert filled["x"].to_pylist() == X[:3, 0].tolist()


def test_decimals_of_arrow_in_a_frame():
    pa = pytest.importorskip("pyarrow")
    dtype = pd.ArrowDtype(pa.decimal128(10, 2))
    prices = [decimal.Decimal("1.10") + i for i in range(60)]
    frame = pd.DataFrame({"x": X[:, 0], "price": pd.array(prices, dtype=dtype)})
    same = frame.astype(np.float64)
    expected = GaussianVAETransformer(**FAST).fit_transform(same)
    np.testing.assert_array_equal(GaussianVAETransformer(**FAST).fit_transform(frame), expected)
    frame.loc[3, "price"] = pd.NA
    with pytest.raises(ValueError, match="missing='mask'"):
        GaussianVAETransformer(**FAST).fit(frame)
    for table in (frame, frame.assign(k=["a", "b"] * 30)):
        filled = GaussianVAETransformer(missing="mask", **FAST).fit(table).impute(table)
        assert not filled.isna().any(axis=None)
        assert filled["price"][4] == 5.1


@pytest.mark.parametrize("hole", [None, pd.NA, np.nan], ids=["None", "NA", "nan"])
def test_lists_and_objects_with_holes(hole):
    rows = X.tolist()
    rows[0][0] = hole
    objects = np.array(rows, dtype=object)
    for table in (rows, objects):
        with pytest.raises(ValueError, match="contains NaN.*missing='mask'"):
            GaussianVAETransformer(**FAST).fit(table)
        filled = GaussianVAETransformer(missing="mask", **FAST).fit(table).impute(table)
        assert np.isfinite(filled.astype(float)).all()
    vae = GaussianVAETransformer(**FAST).fit(X)
    whole = [[1.0, decimal.Decimal(3), 2.0]]
    np.testing.assert_array_equal(vae.transform(whole), vae.transform([[1.0, 3.0, 2.0]]))


@pytest.mark.filterwarnings("ignore:pandas.DataFrame with sparse columns")
def test_a_sparse_column_with_holes_is_filled():
    column = np.where(X[:, 1] > 1, np.nan, X[:, 1])
    frame = pd.DataFrame({"x": X[:, 0], "s": pd.arrays.SparseArray(column)})
    filled = GaussianVAETransformer(missing="mask", **FAST).fit(frame).impute(frame)
    np.testing.assert_array_equal(filled["s"][~np.isnan(column)], column[~np.isnan(column)])
    assert not filled.isna().any(axis=None)


def test_numbers_as_text_are_named():
    ages = [str(20 + i % 23) for i in range(60)]
    ages[5] = "?"
    with pytest.warns(UserWarning, match="Column 'age' of X is text.*pandas.to_numeric"):
        vae = GaussianVAETransformer(**FAST).fit(pd.DataFrame({"x": X[:, 0], "age": ages}))
    assert vae.likelihood_ == "mixed"
    with pytest.raises(ValueError, match="convert them: pandas.to_numeric"):
        GaussianVAETransformer(**FAST).fit(pd.DataFrame({"x": X[:, 0], "n": X[:, 1].astype(str)}))


def test_a_bool_column_that_became_objects_is_filled_with_a_bool():
    frame = pd.DataFrame(
        {"x": X[:, 0], "k": ["a", "b"] * 30, "flag": [True, False] * 30, "n": np.arange(60) % 5}
    )
    frame.loc[0, "x"] = np.nan
    vae = GaussianVAETransformer(missing="mask", **FAST).fit(frame)
    new = frame[:3].astype({"flag": object, "n": object})
    new.loc[1, ["flag", "n"]] = None
    filled = vae.impute(new)
    assert isinstance(filled["flag"][1], bool | np.bool_)
    assert float(filled["n"][1]).is_integer()


def test_a_frame_with_one_category():
    frame = pd.DataFrame({"k": ["a", "b", "c"] * 20}).astype("category")
    assert GaussianVAETransformer(**FAST).fit(frame).likelihood_ == "mixed"


def test_an_exported_encoder_knows_the_shape_of_a_row():
    encoder, _ = GaussianVAETransformer(**FAST).fit(X).to_torch()
    with pytest.raises(ValueError, match=r"shape \(n, 3\), as in `fit`; got \(2, 1\)"):
        encoder(torch.ones(2, 1))
    images = np.random.default_rng(0).normal(size=(30, 4, 6, 3))
    encoder, _ = GaussianVAETransformer(**FAST).fit(images).to_torch()
    assert encoder(torch.from_numpy(images)).shape == (30, 2)
    with pytest.raises(ValueError, match=r"\(n, 4, 6, 3\)"):
        encoder(torch.from_numpy(images).permute(0, 3, 1, 2))


def test_a_file_that_load_would_refuse_is_not_written(tmp_path):
    path = tmp_path / "model.skccvae"
    vae = GaussianVAETransformer(**FAST).fit(X)
    vae.save(path)
    with pytest.raises(ValueError, match="learning_rate"):
        vae.set_params(learning_rate=0).save(path)
    np.testing.assert_array_equal(skccvae.load(path).transform(X), vae.transform(X))


def test_paths_that_no_file_can_have(tmp_path):
    vae = GaussianVAETransformer(**FAST).fit(X)
    with pytest.raises(FileNotFoundError, match="nowhere' does not exist. Create it"):
        vae.save(tmp_path / "nowhere" / "model.skccvae")
    with pytest.raises(IsADirectoryError, match="is a folder. Add the name"):
        vae.save(tmp_path)
    with pytest.raises(TypeError, match="bytes"):
        vae.save(b"model.skccvae")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        vae.save(tmp_path / "model.skccvae", model_card=tmp_path / "nowhere" / "card.md")
    assert not list(tmp_path.iterdir())
