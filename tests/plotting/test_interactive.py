"""Figures of plotly: what they hold, what they refuse, and whether a browser shows them."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from skccvae import HyperbolicVAETransformer
from skccvae.manifolds import Euclidean, Hyperbolic, Product, Sphere
from skccvae.plotting import LatentDisplay

FAST = {"max_epochs": 1, "hidden_layer_sizes": (8,), "random_state": 0, "device": "cpu"}


@pytest.fixture
def plotly():
    return pytest.importorskip("plotly", reason="of the extra 'interactive'")


def display(space, n: int = 30, y=None) -> LatentDisplay:
    u = torch.from_numpy(np.random.default_rng(0).normal(size=(n, space.dim)))
    return LatentDisplay(space.exp0(u), space, y=y)


PICTURES = [
    (Euclidean(2), "auto", None, "Plane"),
    (Euclidean(3), "auto", None, "Space"),
    (Euclidean(5), "3d", (4, 0, 1), "Space<br>directions 4, 0, 1 of 5"),
    (Sphere(2, 4.0), "auto", None, "Sphere, K = 4"),
    (Sphere(5), "3d", (0, 3), "Sphere, K = 1<br>directions 0, 3 of 5"),
    (Hyperbolic(2, -0.5), "auto", None, "Poincaré disk, K = −0.5"),
    (Hyperbolic(2, -0.5), "hyperboloid", None, "Hyperboloid, K = −0.5"),
    (Hyperbolic(3), "ball", None, "Poincaré ball, K = −1"),
    (Hyperbolic(6), "auto", (1, 5, 2), "Poincaré ball, K = −1<br>directions 1, 5, 2 of 6"),
    (Hyperbolic(6), "auto", (1, 5), "Poincaré disk, K = −1<br>directions 1, 5 of 6"),
]


@pytest.mark.parametrize(("space", "kind", "dims", "title"), PICTURES, ids=str)
def test_each_space_has_its_picture(plotly, space, kind, dims, title) -> None:
    shown = display(space, y=["a", "b", None] * 10)
    figure = shown.interactive(kind=kind, dims=dims, hover=[f"name {i}" for i in range(30)])
    assert figure.layout.title.text == title
    classes = {
        trace.name: trace for trace in figure.data if getattr(trace, "mode", "") == "markers"
    }
    assert list(classes) == ["no label", "a", "b"]
    for offset, name in enumerate(("a", "b", "no label")):
        rows = range(offset, 30, 3)
        first = [text.split("<br>")[:1] + text.split("<br>")[2:3] for text in classes[name].text]
        assert first == [[f"name {row}", f"row {row}"] for row in rows]
    places = np.column_stack([classes["a"][axis] for axis in "xyz" if axis in classes["a"]])
    points = torch.from_numpy(shown.points[::3])
    if dims is None:
        distance = space.dist(points, space.origin(dtype=points.dtype).expand_as(points)).numpy()
        scaled = distance / getattr(space, "radius_", 1.0) if space.curvature else distance
        if title.startswith("Poinc"):
            np.testing.assert_allclose(np.linalg.norm(places, axis=1), np.tanh(scaled / 2))
        elif title.startswith("Hyper"):
            np.testing.assert_allclose(places[:, 2], np.cosh(scaled))
        elif title.startswith("Sphere"):
            np.testing.assert_allclose(places[:, 0], np.cos(scaled), atol=1e-12)
        else:
            np.testing.assert_allclose(np.linalg.norm(places, axis=1), scaled)


def test_numbers_have_a_scale_and_many_classes_symbols(plotly) -> None:
    figure = display(Sphere(2), y=np.linspace(0, 1, 30)).interactive()
    assert figure.data[-1].marker.showscale
    assert len(display(Euclidean(2)).interactive().data[-1].x) == 30
    figure = display(Hyperbolic(3), y=np.arange(30) % 15).interactive()
    symbols = {
        trace.marker.symbol for trace in figure.data if getattr(trace, "mode", "") == "markers"
    }
    assert len(symbols) == 2
    figure = display(Euclidean(2), y=np.arange(30) % 3).interactive(y_kind="numbers")
    assert figure.data[-1].name == "numbers"


def test_texts_of_a_series_are_read_in_its_order(plotly) -> None:
    pd = pytest.importorskip("pandas")
    texts = [f"name {row}" for row in range(30)]
    hover = pd.Series(texts, index=np.random.default_rng(0).permutation(30) + 100)
    figure = display(Euclidean(2)).interactive(hover=hover)
    shown = [text.partition("<br>")[0] for text in figure.data[-1].text]
    assert shown == texts


def test_a_product_shows_one_factor(plotly) -> None:
    space = Product([Hyperbolic(2), Sphere(2), Euclidean(1)])
    assert display(space).interactive(factor=1).layout.title.text == "Sphere, K = 1"
    with pytest.raises(ValueError, match="factor must be one of 0, ..., 2"):
        display(space).interactive()
    with pytest.raises(ValueError, match="has one dimension"):
        display(space).interactive(factor=2)


def test_what_does_not_fit(plotly) -> None:
    with pytest.raises(ValueError, match="kind must be one of"):
        display(Sphere(2)).interactive(kind="hammer")
    with pytest.raises(ValueError, match="does not fit"):
        display(Sphere(2)).interactive(kind="hyperboloid")
    with pytest.raises(ValueError, match="shown in two directions, as a globe"):
        display(Sphere(4)).interactive(dims=(0, 1, 2))
    with pytest.raises(ValueError, match="two or three different directions"):
        display(Euclidean(4)).interactive(dims=(0, 1, 1))
    with pytest.raises(ValueError, match=r"dims=\(i, j\)"):
        display(Sphere(3)).interactive()
    with pytest.raises(ValueError, match="one text for each of 30 points; got 2"):
        display(Sphere(2)).interactive(hover=["a", "b"])
    with pytest.raises(ValueError, match="factor must be"):
        display(Sphere(2)).interactive(factor=1)


def test_without_plotly_the_extra_is_named() -> None:
    code = """
import sys
import skccvae.plotting
assert "plotly" not in sys.modules
sys.modules["plotly"] = None
from skccvae.manifolds import Euclidean
try:
    skccvae.plotting.LatentDisplay([[0.0, 1.0]], Euclidean(2)).interactive()
except ImportError as error:
    assert "pip install 'skccvae[interactive]'" in str(error), error
else:
    raise AssertionError
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_browser_shows_the_points_of_a_model(plotly, digits, tmp_path) -> None:
    browser = next(
        (found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None
    )
    if browser is None:
        pytest.skip("neither chromium nor google-chrome is installed")
    X, y = digits
    vae = HyperbolicVAETransformer(2, **FAST).fit(X)
    figure = LatentDisplay.from_estimator(vae, X, y % 3).interactive()
    page = tmp_path / "map.html"
    figure.write_html(page)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(
        [browser, *options], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    svg = done.stdout[done.stdout.index('class="main-svg"') :]
    assert svg.count('class="point"') == len(X)
    assert "Poincaré disk, K = −1" in svg
    assert svg.count('class="legendtext"') == 3
