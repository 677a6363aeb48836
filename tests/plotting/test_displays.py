"""What all displays have in common: pipelines, the attributes, and the aliases of matplotlib."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

from skccvae import HyperbolicVAETransformer, SphericalVAETransformer
from skccvae.manifolds import Product, Sphere
from skccvae.plotting import (
    CurvatureSearchDisplay,
    GeometryComparisonDisplay,
    LatentDisplay,
    ManifoldGridDisplay,
    ReconstructionDisplay,
    TrainingDisplay,
)

plt = pytest.importorskip("matplotlib.pyplot", reason="of the extra 'plot'")

FAST = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0, "device": "cpu"}
FROM_ESTIMATOR = [LatentDisplay, ManifoldGridDisplay, ReconstructionDisplay, TrainingDisplay]


def page(display) -> np.ndarray:
    display.figure_.canvas.draw()
    return np.asarray(display.figure_.canvas.buffer_rgba())


def examples() -> list:
    rng = np.random.default_rng(0)
    space = Product([Sphere(2), Sphere(2)])
    points = np.tile(rng.normal(size=(9, 3)), 2)
    names = [*"abc", None, *"abcab"]
    images = rng.random((4, 3, 5, 3))
    history = {"epoch": [1, 2], "elbo": [-3.0, -2.0], "kl": [1.0, 2.0], "kl_0": [0.5, 1.0]}
    scores, deviations = [[1.0, 2.0], [3.0, np.nan]], [[0.1, 0.2], [0.3, np.nan]]
    search = CurvatureSearchDisplay([-1, 1], [2, 3], scores, deviations, score_name="accuracy")
    return [
        LatentDisplay(points, space),
        LatentDisplay(points, space, y=names),
        LatentDisplay(points, space, y=[0, 1, None] * 3),
        LatentDisplay(points, space, y=[*np.linspace(0, 1, 8), np.nan]),
        ManifoldGridDisplay(images, rng.random((4, 2)), np.full(4, 0.2), Sphere(2)),
        ReconstructionDisplay(images, images**2),
        ReconstructionDisplay(images, images**2, image_shape=(3, 5, 3)),
        ReconstructionDisplay(images.reshape(4, 45), images.reshape(4, 45), image_shape=(3, 15)),
        ReconstructionDisplay(np.moveaxis(images, 3, 1), np.moveaxis(images, 3, 1) ** 2),
        ReconstructionDisplay(rng.random((2, 4, 5, 1)), rng.random((2, 20)).reshape(2, 4, 5, 1)),
        TrainingDisplay(history),
        search,
        GeometryComparisonDisplay("ab", {"elbo": rng.random((3, 2)), "x": [[np.nan, 1.0]]}),
    ]


@pytest.mark.parametrize("number", range(13))
def test_the_attributes_of_a_display_make_it_again(number) -> None:
    display = examples()[number]
    names = list(inspect.signature(type(display)).parameters)
    again = type(display)(**{name: getattr(display, name) for name in names})
    np.testing.assert_array_equal(page(display.plot()), page(again.plot()))


@pytest.mark.parametrize("kind", FROM_ESTIMATOR)
def test_the_first_argument_is_the_estimator(kind) -> None:
    assert next(iter(inspect.signature(kind.from_estimator).parameters)) == "estimator"


@pytest.fixture(scope="module")
def digits_255(digits):
    return digits[0] * 255, digits[1]


@pytest.fixture(scope="module")
def pipeline(digits_255):
    steps = (
        MinMaxScaler((0, 1), clip=True),
        SphericalVAETransformer(2, coordinates="tangent", **FAST),
        PCA(2),
        LogisticRegression(),
    )
    return make_pipeline(*steps).fit(*digits_255)


@pytest.fixture(scope="module")
def search(digits_255):
    model = HyperbolicVAETransformer(2, likelihood="gaussian", **FAST)
    steps = make_pipeline(MinMaxScaler(), model)
    grid = {"hyperbolicvaetransformer__beta": [1.0]}
    return GridSearchCV(steps, grid, cv=2).fit(digits_255[0])


def call(kind, estimator, X, **arguments):
    if kind is TrainingDisplay:
        return kind.from_estimator(estimator, **arguments)
    arguments |= {"n_tiles": 4} if kind is ManifoldGridDisplay else {}
    return kind.from_estimator(estimator, X, **arguments)


@pytest.mark.parametrize("kind", FROM_ESTIMATOR)
@pytest.mark.parametrize("which", ["pipeline", "search"])
def test_a_pipeline_and_a_search_show_their_model(kind, which, digits_255, request) -> None:
    estimator = request.getfixturevalue(which)
    X = digits_255[0]
    best = getattr(estimator, "best_estimator_", estimator)
    display, alone = call(kind, estimator, X), call(kind, best[1], best[0].transform(X))
    for name in inspect.signature(kind).parameters:
        found, expected = getattr(display, name), getattr(alone, name)
        if name in ("tiles", "originals", "reconstructions"):  # in units of the pipeline
            flat = expected.reshape(len(expected), -1)
            expected = best[0].inverse_transform(flat).reshape(expected.shape)
            if name == "originals":
                np.testing.assert_allclose(found.reshape(len(found), -1), X[: len(found)])
                continue
        if isinstance(expected, np.ndarray):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        else:
            assert found == expected
    page(display)


@pytest.mark.parametrize("kind", FROM_ESTIMATOR)
def test_what_cannot_be_drawn_of_a_pipeline(kind, digits) -> None:
    X = digits[0]
    with pytest.raises(NotFittedError):
        call(kind, make_pipeline(MinMaxScaler(), HyperbolicVAETransformer(2, **FAST)), X)
    one_way = make_pipeline(FunctionTransformer(np.sqrt), VarianceThreshold(), PCA(2)).fit(X)
    if kind is not ReconstructionDisplay:
        with pytest.raises(TypeError, match="Expected a fitted transformer of skccvae.*Pipeline"):
            call(kind, one_way, X)

    class OneWay(FunctionTransformer):
        inverse_transform = property()

    one_way = make_pipeline(OneWay(np.sqrt), HyperbolicVAETransformer(2, **FAST)).fit(X)
    if kind in (ManifoldGridDisplay, ReconstructionDisplay):
        with pytest.raises(TypeError, match="has no inverse_transform, or one of its steps has no"):
            call(kind, one_way, X)
    else:
        call(kind, one_way, X)


def test_pairs_of_any_transformer(digits) -> None:
    pca = make_pipeline(MinMaxScaler(), PCA(3)).fit(digits[0])
    display = ReconstructionDisplay.from_estimator(pca, pd.DataFrame(digits[0]), n_images=3)
    expected = pca.inverse_transform(pca.transform(digits[0][:3])).reshape(3, 8, 8)
    np.testing.assert_allclose(display.reconstructions, expected)


@pytest.mark.parametrize(
    ("full", "alias", "value"),
    [("linewidth", "lw", 3), ("linestyle", "ls", ":"), ("color", "c", "r")],
)
@pytest.mark.parametrize("kind", [TrainingDisplay, CurvatureSearchDisplay])
def test_curves_understand_the_aliases_of_matplotlib(kind, full, alias, value) -> None:
    for name in (full, alias):
        display = next(d for d in examples() if isinstance(d, kind)).plot(**{name: value})
        axes = np.ravel(display.ax_)[0]
        line = axes.lines[0] if kind is TrainingDisplay else axes.containers[0].lines[0]
        assert getattr(line, f"get_{full}")() == value
    with pytest.raises(TypeError, match="aliases of one another"):
        display.plot(**{full: value, alias: value})


@pytest.mark.parametrize("kind", [ManifoldGridDisplay, ReconstructionDisplay])
def test_images_take_a_norm(kind) -> None:
    display = next(d for d in examples() if isinstance(d, kind))
    norm = plt.Normalize(0, 2)
    assert display.plot(norm=norm).ax_.images[0].norm is norm
