"""Training curves, searches, and the package without matplotlib."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skccvae import (
    AutoencoderTransformer,
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    MixedCurvatureVAETransformer,
)
from skccvae.plotting import (
    CurvatureSearchDisplay,
    TrainingDisplay,
)
from skccvae.plotting._search_drawing import decimals_that_differ

plt = pytest.importorskip("matplotlib.pyplot", reason="of the extra 'plot'")

FAST = {"max_epochs": 1, "hidden_layer_sizes": (8,), "random_state": 0, "device": "cpu"}


def test_training_curves_with_validation_factors_and_curvature(digits) -> None:
    vae = MixedCurvatureVAETransformer(
        signature="h2,e2", learn_curvature=True, early_stopping=True, **FAST | {"max_epochs": 3}
    ).fit(digits[0])
    display = TrainingDisplay.from_estimator(vae)
    by_label = {ax.get_ylabel().split(" ")[0]: ax for ax in display.ax_}
    assert {"ELBO", "reconstruction", "KL", "curvature"} == set(by_label)
    training, validation = by_label["ELBO"].lines
    np.testing.assert_array_equal(training.get_ydata(), vae.history_["elbo"])
    np.testing.assert_array_equal(validation.get_ydata(), vae.history_["valid_elbo"])
    assert (training.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    assert len(by_label["KL"].lines) == 4
    assert by_label["KL"].get_legend() is not None
    assert all(ax.get_legend() is None for ax in display.plot(legend=False).ax_)


def test_chosen_curves_and_bad_histories(digits) -> None:
    vae = GaussianVAETransformer(2, **FAST).fit(digits[0])
    ax = plt.subplots()[1]
    assert TrainingDisplay.from_estimator(vae, curves="train_loss", ax=ax).ax_[0] is ax
    with pytest.raises(ValueError, match="no 'accuracy'"):
        TrainingDisplay.from_estimator(vae, curves=["kl", "accuracy"])
    with pytest.raises(ValueError, match="same length"):
        TrainingDisplay({"epoch": [1, 2], "elbo": [1.0]})
    assert len(TrainingDisplay.from_estimator(AutoencoderTransformer(2, **FAST).fit(digits[0])).ax_)


@pytest.fixture(scope="module")
def search(digits):
    vae = ConstantCurvatureVAETransformer(**FAST)
    grid = {
        "vae__curvature": [-1.0, 0.0, 0.5],
        "vae__n_components": [2, 3],
        "vae__beta": [0.5, 1.0],
    }
    return GridSearchCV(Pipeline([("vae", vae)]), grid, cv=2).fit(digits[0])


@pytest.mark.parametrize("kind", ["curves", "heatmap"])
def test_a_search_is_read_right(search, kind) -> None:
    display = CurvatureSearchDisplay.from_search(search, kind=kind)
    assert display.curvatures.tolist() == [-1.0, 0.0, 0.5]
    assert display.n_components.tolist() == [2, 3]
    results = search.cv_results_
    for (i, j), score in np.ndenumerate(display.scores):
        wanted = [
            mean
            for params, mean in zip(results["params"], results["mean_test_score"], strict=True)
            if params["vae__curvature"] == display.curvatures[i]
            and params["vae__n_components"] == display.n_components[j]
        ]
        assert len(wanted) == 2
        assert score == max(wanted)
    best = search.best_params_
    assert display.best_ == (best["vae__curvature"], best["vae__n_components"])
    display.figure_.canvas.draw()


def test_a_search_over_the_curvature_alone_has_the_dimension_of_its_estimator(digits) -> None:
    pipe = Pipeline([("vae", ConstantCurvatureVAETransformer(3, **FAST))])
    search = GridSearchCV(pipe, {"vae__curvature": [-1.0, 0.0]}, cv=2).fit(digits[0])
    display = CurvatureSearchDisplay.from_search(search)
    assert display.n_components.tolist() == [3]
    assert display.best_[1] == 3


def test_candidates_without_a_curvature_are_left_out(digits) -> None:
    vae = ConstantCurvatureVAETransformer(4, **FAST)
    grid = [
        {"curvature": [-1.0, 0.0], "n_components": [2, 3]},
        {"n_components": [5]},
        {"curvature": [1.0]},
    ]
    display = CurvatureSearchDisplay.from_search(GridSearchCV(vae, grid, cv=2).fit(digits[0]))
    assert display.curvatures.tolist() == [-1.0, 0.0, 1.0]
    assert display.n_components.tolist() == [2, 3, 4]
    assert np.isnan(display.scores[2, :2]).all()
    assert np.isfinite(display.scores[2, 2])


def test_bad_searches(search, digits) -> None:
    with pytest.raises(ValueError, match="no metric 'accuracy'"):
        CurvatureSearchDisplay.from_search(search, metric="accuracy")
    with pytest.raises(ValueError, match="did not vary 'curvature'"):
        CurvatureSearchDisplay.from_search(search, curvature="curvature")
    with pytest.raises(ValueError, match="kind"):
        CurvatureSearchDisplay.from_search(search, kind="pie")
    other = GridSearchCV(GaussianVAETransformer(**FAST), {"n_components": [2]}, cv=2)
    with pytest.raises(ValueError, match="did not vary a curvature"):
        CurvatureSearchDisplay.from_search(other.fit(digits[0]))
    with pytest.raises(ValueError, match="shape"):
        CurvatureSearchDisplay([-1.0], [2, 3], [[0.5]])
    with pytest.raises(ValueError, match="All scores are NaN"):
        CurvatureSearchDisplay([-1.0], [2], [[np.nan]])


def test_the_package_does_without_matplotlib_until_something_is_drawn() -> None:
    code = """
import sys
import skccvae, skccvae.plotting
assert not any(name.split(".")[0] == "matplotlib" for name in sys.modules)
sys.modules["matplotlib"] = None
from skccvae.manifolds import Euclidean
for draw in (
    skccvae.plotting.LatentDisplay([[0.0, 1.0]], Euclidean(2)).plot,
    skccvae.plotting.ManifoldGridDisplay([[[0.0]]], [[0, 0]], [1], Euclidean(2)).plot,
    skccvae.plotting.ReconstructionDisplay([[0.0]], [[0.0]]).plot,
    skccvae.plotting.TrainingDisplay({"elbo": [1.0]}).plot,
    skccvae.plotting.CurvatureSearchDisplay([0.0], [2], [[1.0]]).plot,
):
    try:
        draw()
    except ImportError as error:
        assert "skccvae[plot]" in str(error), error
    else:
        raise AssertionError(draw)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([-90.512, -89.2], 1),
        ([-90.512, -90.486, -89.2], 2),
        ([0.91, 0.93], 3),
        ([0.912, 0.9141, 0.91412], 5),
        ([1e5, 3e5], 0),
        ([1e5, 1e5 + 0.25, 3e5], 0),
        ([1.0, 1.0001, 2.0], 2),  # three digits of the range are enough
        ([0.5, np.nan], 2),
        ([0.5, 0.5], 2),
    ],
)
def test_a_table_shows_the_digits_that_differ(scores, expected) -> None:
    assert decimals_that_differ(scores) == expected


def test_a_table_shows_means_and_deviations_that_can_be_read() -> None:
    scores, deviations = [[-90.51, -89.43], [-90.47, np.nan]], [[0.02, 0.3], [np.nan, np.nan]]
    display = CurvatureSearchDisplay([-1, 0.123456], [2, 3], scores, deviations)
    display.plot(kind="heatmap")
    assert [text.get_text() for text in display.ax_.texts] == [
        "−90.51\n± 0.02",
        "−89.43\n± 0.30",
        "−90.47",
    ]
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["−1", "0.123"]
    assert [text.get_color() for text in display.ax_.texts] == ["white", "black", "white"]
    assert len(display.figure_.axes) == 2
    assert len(display.plot(kind="heatmap", colorbar=False).figure_.axes) == 1
    assert display.plot().ax_.get_ylabel() == "score\n(bars: one std over the splits)"
    assert display.plot(legend=False).ax_.get_legend() is None
    plain = CurvatureSearchDisplay([-1, 0], [2], [[1.0], [2.0]]).plot()
    assert plain.ax_.get_ylabel() == "score"
