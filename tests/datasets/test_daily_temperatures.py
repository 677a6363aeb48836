from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.decomposition import PCA

from skccvae.datasets import load_daily_temperatures

DAYS = load_daily_temperatures()
TOOLS = Path(__file__).resolve().parents[2] / "tools"


def test_shapes_and_types() -> None:
    assert DAYS.data.shape == (365, 48)
    assert DAYS.data.dtype == DAYS.target.dtype == np.float64
    assert np.isfinite(DAYS.data).all()
    assert (DAYS.data.min(), DAYS.data.max()) == (37.5, 75.9)
    np.testing.assert_array_equal(DAYS.target, np.arange(365))
    assert len(DAYS.feature_names) == 48
    assert DAYS.feature_names[::24] == ["seattle_00", "san_francisco_00"]
    assert "public domain" in DAYS.DESCR


def test_days_follow_each_other_without_a_jump() -> None:
    """Neither at the turn of the year nor where clocks change, days 72 and 310."""
    step = np.abs(DAYS.data - np.roll(DAYS.data, 1, axis=0))
    assert step.max() < 0.75
    np.testing.assert_allclose(DAYS.data[72, [3, 27]], [42.55, 50.3], atol=1e-12)  # mended


def test_the_nearest_day_is_the_next() -> None:
    X = (DAYS.data - DAYS.data.mean(0)) / DAYS.data.std(0)
    distances = np.linalg.norm(X[:, None] - X[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    apart = np.abs(distances.argmin(1) - np.arange(365))
    assert set(np.minimum(apart, 365 - apart)) == {1}


def test_two_principal_components_wind_round_once() -> None:
    pca = PCA(2, whiten=True).fit(DAYS.data)
    assert pca.explained_variance_ratio_.round(3).tolist() == [0.976, 0.019]
    z = pca.transform(DAYS.data) @ [1.0, 1.0j]
    turns = np.angle(np.roll(z, -1) / z)  # from each day to the next, the last to the first
    assert np.abs(turns).max() < 1.0  # far from half a turn, so the sum is a winding number
    assert abs(turns.sum()) == pytest.approx(2 * np.pi)


def test_summers_are_warm_and_afternoons_too() -> None:
    for city in (DAYS.data[:, :24], DAYS.data[:, 24:]):
        assert 180 < city.mean(1).argmax() < 260
        assert city.mean(1).argmin() > 340
        assert 12 <= city.mean(0).argmax() <= 16


def test_scikit_learns_outputs() -> None:
    X, y = load_daily_temperatures(return_X_y=True)
    np.testing.assert_array_equal(X, DAYS.data)
    np.testing.assert_array_equal(y, DAYS.target)
    pytest.importorskip("pandas")
    frame = load_daily_temperatures(as_frame=True).frame
    assert list(frame.columns) == [*DAYS.feature_names, "day"]
    with pytest.raises(ValueError, match="'return_X_y' parameter"):
        load_daily_temperatures(return_X_y="no")


def make_daily_temperatures() -> ModuleType:
    path = TOOLS / "make_daily_temperatures.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_that_made_the_file(tmp_path: Path) -> None:
    make = make_daily_temperatures()
    path = tmp_path / "temps.csv"
    path.write_text("temp,date\n40.5,2010/01/01 00:00:00\n41.5,2010/12/31 23:00:00\n")
    days = make.read_days(path)
    assert (days[0, 0], days[364, 23]) == (40.5, 41.5)
    assert np.isnan(days).sum() == 365 * 24 - 2
    with pytest.raises(ValueError, match="two days in a row"):
        make.mend(days)

    days = np.arange(365.0)[:, None] * np.ones(24)
    days[[10, 364], [3, 0]] = np.nan
    assert make.mend(days) == [(10, 3), (364, 0)]
    assert (days[10, 3], days[364, 0]) == (10.0, (363 + 0) / 2)

    path.write_text("date,temp\n2010/01/01 00:00,1\n2010/01/01 00:00,2\n")
    with pytest.raises(ValueError, match="each hour of 2010 once"):
        make.read_days(path)
