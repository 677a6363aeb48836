"""The display of a comparison of geometries."""

from __future__ import annotations

import numpy as np
import pytest

from skccvae.model_selection import GeometryComparison
from skccvae.plotting import GeometryComparisonDisplay

plt = pytest.importorskip("matplotlib.pyplot", reason="of the extra 'plot'")

VALUES = {
    "log_likelihood": np.array([[np.nan, -2.0, -1.0], [np.nan, -3.0, -1.5]]),
    "knn_accuracy": np.array([[0.5, 0.6, 0.7], [0.7, 0.6, 0.8]]),
}


@pytest.fixture
def comparison() -> GeometryComparison:
    names = ["pca", "plane", "sphere"]
    return GeometryComparison(
        names, VALUES, n_train=30, n_test=10, n_components=2, likelihood="bernoulli"
    )


def test_a_panel_shows_means_spreads_and_splits(comparison) -> None:
    display = GeometryComparisonDisplay.from_comparison(comparison)
    assert display.geometries == ["pca", "plane", "sphere"]
    likelihood, accuracy = display.ax_
    assert likelihood.get_ylabel() == "log-likelihood, nats per row"
    assert [label.get_text() for label in accuracy.get_xticklabels()] == display.geometries
    assert len(likelihood.containers) == 2  # PCA has none
    assert len(accuracy.containers) == 3
    means = [bars.lines[0].get_xydata()[0] for bars in accuracy.containers]
    np.testing.assert_allclose(means, [[0, 0.6], [1, 0.6], [2, 0.75]])
    (segment,) = accuracy.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(segment[:, 1], 0.6 + np.array([-1, 1]) * np.sqrt(0.02))
    dots = [line for line in accuracy.lines if line.get_marker() == "."]
    np.testing.assert_allclose([line.get_ydata() for line in dots], VALUES["knn_accuracy"].T)


def test_chosen_criteria_axes_and_styles(comparison) -> None:
    ax = plt.subplots()[1]
    display = GeometryComparisonDisplay.from_comparison(
        comparison, criteria=["knn_accuracy"], ax=ax, ms=3
    )
    assert display.ax_[0] is ax
    assert ax.containers[0].lines[0].get_markersize() == 3
    with pytest.raises(ValueError, match="has no 'speed'; it has"):
        GeometryComparisonDisplay.from_comparison(comparison, criteria=["speed"])
    with pytest.raises(ValueError, match="has 2 panels, but ax holds 1"):
        GeometryComparisonDisplay.from_comparison(comparison, ax=ax)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "at least one criterion"),
        ({"elbo": [[1.0]]}, r"each of 2 geometries; got shape \(1, 1\)"),
        ({"elbo": [1.0, 2.0]}, r"got shape \(2,\)"),
    ],
)
def test_bad_values(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GeometryComparisonDisplay(["a", "b"], values)
