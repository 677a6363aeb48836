"""Where points lie on the maps, and what the latent display refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import LogNorm, to_hex
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline, make_pipeline

from skccvae import (
    GaussianVAETransformer,
)
from skccvae.manifolds import Euclidean, Hyperbolic, Product, Sphere
from skccvae.plotting import (
    LatentDisplay,
)
from skccvae.plotting import _maps as maps

plt = pytest.importorskip("matplotlib.pyplot", reason="of the extra 'plot'")

FAST = {"max_epochs": 1, "hidden_layer_sizes": (8,), "random_state": 0, "device": "cpu"}


def numbers(n: int, d: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(n, d)))


def test_hammer_inverts_and_keeps_areas() -> None:
    directions = np.random.default_rng(0).normal(size=(500, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    places = maps.hammer(directions)
    np.testing.assert_allclose(maps.hammer_inverse(places), directions, atol=1e-9)
    assert (((places / maps.HAMMER_AXES) ** 2).sum(1) <= 1).all()
    lon, lat, step = directions[:, 0], directions[:, 1], 1e-5
    east = (maps.hammer_angles(lon + step, lat) - maps.hammer_angles(lon - step, lat)) / (2 * step)
    north = (maps.hammer_angles(lon, lat + step) - maps.hammer_angles(lon, lat - step)) / (2 * step)
    area = east[:, 0] * north[:, 1] - east[:, 1] * north[:, 0]
    np.testing.assert_allclose(area, np.cos(lat), atol=1e-6)


def test_a_grid_line_is_a_geodesic_square_to_its_axis() -> None:
    space = Hyperbolic(2)
    line = maps.geodesic_across(0.8, np.pi / 2)
    points = space.from_chart(torch.from_numpy(line), "stereographic")
    middle = len(line) // 2
    np.testing.assert_allclose(line[middle], [0, np.tanh(0.4)], atol=1e-12)
    # Distances along a geodesic add up.
    whole = space.dist(points[20], points[80])
    parts = space.dist(points[20], points[middle]) + space.dist(points[middle], points[80])
    torch.testing.assert_close(whole, parts, rtol=1e-9, atol=0)
    tangent = line[middle + 1] - line[middle - 1]
    assert abs(tangent[1]) < 1e-12


@pytest.mark.parametrize("middle", [[1.0, 0, 0], [-1, 0, 0], [0, 0, 1], [0.3, -0.5, -0.8]])
def test_a_cap_is_in_the_middle_of_the_map(middle: list[float]) -> None:
    middle = np.array(middle) / np.linalg.norm(middle)
    cap = middle + 0.4 * np.random.default_rng(0).normal(size=(300, 3))
    cap /= np.linalg.norm(cap, axis=1, keepdims=True)
    turn = maps.centring_rotation(cap)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turn), 1)
    np.testing.assert_allclose(turn @ maps.facing(cap), [1, 0, 0], atol=1e-12)
    mean = (cap @ turn.T).mean(axis=0)
    assert mean[0] > 0.99 * np.linalg.norm(mean)
    assert (turn @ [0, 0, 1])[1] == pytest.approx(0, abs=1e-12)  # north is up


@pytest.mark.parametrize("limit", [0.03, 0.9, 2.4, 7.0, 1234.0])
def test_rings_are_few_and_round(limit: float) -> None:
    step = maps.nice_step(limit)
    assert 2 <= limit / step <= 6.0001
    assert f"{step:e}"[:8] in {"1.000000", "2.000000", "5.000000"}


def test_each_space_gets_its_map(fitted, digits) -> None:
    vae, title = fitted
    X, y = digits
    display = LatentDisplay.from_estimator(vae, X, y)
    assert display.ax_.get_title() == title
    assert display.figure_ is display.ax_.figure
    assert display.places_[0].shape == (120, 2)
    texts = {text.get_text() for text in display.ax_.texts}
    assert {str(digit) for digit in range(10)} <= texts
    display.figure_.canvas.draw()


def test_the_disk_shows_distances_from_its_middle() -> None:
    space = Hyperbolic(2, -4.0)
    u = numbers(50, 2)
    display = LatentDisplay(space.exp0(u), space).plot()
    expected = torch.tanh(u.norm(dim=1)).numpy()  # tanh(sqrt(-K) r / 2)
    np.testing.assert_allclose(np.linalg.norm(display.places_[0], axis=1), expected, rtol=1e-9)
    assert display.ax_.get_xlim()[1] > 1


def test_a_small_cloud_in_the_disk_is_enlarged() -> None:
    space = Hyperbolic(2, -1e-3)
    display = LatentDisplay(space.exp0(numbers(50, 2)), space).plot()
    reach = np.linalg.norm(display.places_[0], axis=1).max()
    assert reach < display.ax_.get_xlim()[1] < 1.2 * reach


def test_given_axes_are_used(product, digits) -> None:
    figure, axes = plt.subplots(1, 3)
    display = LatentDisplay.from_estimator(product, *digits, ax=axes)
    assert display.figure_ is figure
    assert list(display.ax_) == list(axes)
    titles = [ax.get_title() for ax in display.ax_]
    assert titles == ["Poincaré disk, K = −1", "Sphere (Hammer projection), K = 1", "Plane"]
    with pytest.raises(ValueError, match="3 panels"):
        LatentDisplay.from_estimator(product, *digits, ax=axes[:2])


def test_the_globe_needs_three_dimensional_axes() -> None:
    space = Sphere(2)
    points = space.exp0(numbers(30, 2))
    display = LatentDisplay(points, space, y=np.arange(30) % 3).plot(kind="3d")
    assert display.places_[0].shape == (30, 3)
    assert hasattr(display.ax_, "get_zlim")
    assert [t.get_text() for t in display.ax_.get_legend().get_texts()] == ["0", "1", "2"]
    drawn = sum(len(c.get_offsets()) for c in display.ax_.collections)
    assert drawn == 30
    with pytest.raises(ValueError, match="3-D axes"):
        LatentDisplay(points, space).plot(plt.subplots()[1], kind="3d")


def test_more_than_two_dimensions_need_dims() -> None:
    u = numbers(20, 5)
    for space in (Euclidean(5), Sphere(5), Hyperbolic(5)):
        display = LatentDisplay(space.exp0(u), space)
        with pytest.raises(ValueError, match=r"dims=\(i, j\)"):
            display.plot()
        with pytest.raises(ValueError, match="two different directions"):
            display.plot(dims=(1, 5))
        assert display.plot(dims=(1, 4)).places_[0].shape == (20, 2)
    flat = LatentDisplay(u, Euclidean(5)).plot(dims=(1, 4))
    np.testing.assert_array_equal(flat.places_[0], u[:, [1, 4]])


def test_dims_take_a_point_to_the_nearest_one_of_the_plane() -> None:
    space = Hyperbolic(3)
    x = space.exp0(torch.tensor([[0.7, -0.4, 1.1]], dtype=torch.float64))
    plane, foot = maps.two_dimensional(space, x.numpy(), (0, 1))
    inside = torch.cat([torch.from_numpy(foot), torch.zeros(1, 1, dtype=torch.float64)], 1)
    around = plane.exp(
        torch.from_numpy(foot),
        plane.project_tangent(torch.from_numpy(foot), 0.01 * numbers(200, 3)),
    )
    others = torch.cat([around, torch.zeros(200, 1, dtype=torch.float64)], 1)
    assert (space.dist(x, others) >= space.dist(x, inside) - 1e-12).all()


def test_two_directions_of_a_plane_may_be_exchanged() -> None:
    u = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 2)))
    exchanged = LatentDisplay(u, Euclidean(2)).plot(dims=(1, 0))
    plain = LatentDisplay(u.flip(-1), Euclidean(2)).plot()
    places = [d.ax_.collections[0].get_offsets() for d in (exchanged, plain)]
    np.testing.assert_allclose(*places)
    with pytest.raises(ValueError, match="two different directions"):
        LatentDisplay(torch.zeros(2, 3), Euclidean(3)).plot(dims=(0.0, 1.0))


@pytest.mark.parametrize("norm", ["log", LogNorm()])
def test_numbers_without_a_logarithm_are_grey(norm) -> None:
    u = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 2)))
    y = np.arange(20) - 4.5
    display = LatentDisplay(u, Euclidean(2), y=y).plot(norm=norm)
    coloured = display.ax_.collections[-1]
    assert coloured.get_clim() == (0.5, 14.5)
    assert sum(len(c.get_offsets()) for c in display.ax_.collections) == 20
    with pytest.raises(ValueError, match="no number is above 0"):
        LatentDisplay(u, Euclidean(2), y=-np.abs(y)).plot(norm=norm)


def test_flat_maps_need_flat_axes() -> None:
    ax = plt.subplots(subplot_kw={"projection": "3d"})[1]
    with pytest.raises(ValueError, match="flat"):
        LatentDisplay(torch.zeros(2, 2), Euclidean(2)).plot(ax)


def test_one_dimensional_factors() -> None:
    space = Product([Hyperbolic(1), Sphere(1), Euclidean(1)])
    u = numbers(40, 3).clamp(-3, 3)
    display = LatentDisplay(space.exp0(u), space, y=np.repeat(["left", "right"], 20)).plot()
    assert [ax.get_title() for ax in display.ax_] == ["Line, K = −1", "Circle, K = 1", "Line"]
    np.testing.assert_allclose(display.places_[0][:, 0], u[:, 0], atol=1e-9)


def test_numbers_get_a_colour_bar_and_many_classes_markers() -> None:
    u = numbers(60, 2)
    display = LatentDisplay(u, Euclidean(2), y=np.linspace(0, 1, 60)).plot()
    assert len(display.figure_.axes) == 2
    display = LatentDisplay(u, Euclidean(2), y=np.arange(60) % 15).plot()
    assert len(display.ax_.collections) == 2  # ten classes as circles, five as triangles


def test_the_label_stands_among_its_class() -> None:
    u = numbers(60, 2) * 0.1
    u[30:] += 5
    display = LatentDisplay(u, Euclidean(2), y=np.repeat([3, 8], 30)).plot()
    labels = {t.get_text(): t.xy for t in display.ax_.texts if hasattr(t, "xy")}
    assert np.linalg.norm(labels["3"]) < 0.5
    assert np.linalg.norm(np.subtract(labels["8"], 5)) < 0.5


@pytest.mark.parametrize(
    ("space", "kind"),
    [(Euclidean(2), "disk"), (Sphere(2), "plane"), (Hyperbolic(2), "3d"), (Sphere(2), "globe")],
)
def test_a_kind_that_does_not_fit(space, kind) -> None:
    with pytest.raises(ValueError, match="kind"):
        LatentDisplay(space.exp0(numbers(5, 2)), space).plot(kind=kind)


def test_bad_latent_input(digits) -> None:
    X, _ = digits
    with pytest.raises(NotFittedError):
        LatentDisplay.from_estimator(GaussianVAETransformer(), X)
    pipeline = Pipeline([("vae", GaussianVAETransformer(2, **FAST))]).fit(X)
    with pytest.raises(TypeError, match="or a Pipeline with one as a step; got Pipeline"):
        LatentDisplay.from_estimator(make_pipeline(PCA(2)).fit(X), X)
    with pytest.raises(TypeError, match="Expected a fitted transformer of skccvae.*got PCA"):
        LatentDisplay.from_estimator(PCA(2).fit(X), X)
    with pytest.raises(ValueError, match="one label or number per row"):
        LatentDisplay.from_estimator(pipeline["vae"], X, [1, 2])
    with pytest.raises(ValueError, match="class_labels"):
        LatentDisplay.from_estimator(pipeline["vae"], X, class_labels="bold")
    with pytest.raises(TypeError, match="manifold"):
        LatentDisplay([[0.0, 1.0]], "plane")


def test_panels_beside_each_other_keep_their_titles_on_one_line_with_colour_bars() -> None:
    _, axes = plt.subplots(1, 2)
    for ax, space in zip(axes, (Euclidean(2), Hyperbolic(2)), strict=True):
        points = space.exp0(numbers(50, 2))
        display = LatentDisplay(points, space, y=np.linspace(0, 1, 50)).plot(ax)
        assert ax.collections[-1].colorbar is display.colorbar_
        assert display.colorbar_ is not None
        assert LatentDisplay(points, space).plot(ax).colorbar_ is None
        assert ax.get_anchor() == "N"


def colours(display) -> list[str]:
    """Colour of each point of a display, in the order of the points."""
    display.figure_.canvas.draw()
    found = {}
    for collection in display.ax_.collections:
        faces = np.broadcast_to(collection.get_facecolor(), (len(collection.get_offsets()), 4))
        found |= {
            tuple(place): to_hex(face)
            for place, face in zip(
                np.asarray(collection.get_offsets()).tolist(), faces, strict=True
            )
        }
    return [found[tuple(place)] for place in display.places_[0].tolist()]


GREY = "#bfbfbf"


@pytest.mark.parametrize(
    "y",
    [
        [0, 1, None, 1, 0],
        [0.0, 1.0, np.nan, 1.0, 0.0],
        ["a", "b", None, "b", "a"],
        ["a", "b", np.nan, "b", "a"],
        [True, False, pd.NA, False, True],
        pd.Series(["a", "b", None, "b", "a"], dtype="string"),
        pd.Series(["a", "b", None, "b", "a"], dtype="category"),
        pd.Series([0, 1, None, 1, 0], dtype="Int64"),
        np.ma.masked_array([0, 1, 7, 1, 0], mask=[0, 0, 1, 0, 0]),
    ],
    ids=str,
)
@pytest.mark.parametrize("class_labels", ["map", "legend"])
def test_points_without_label_are_grey_and_the_others_keep_their_classes(y, class_labels) -> None:
    u = numbers(5, 2)
    display = LatentDisplay(u, Euclidean(2), y=y).plot(class_labels=class_labels, alpha=1)
    assert display.colorbar_ is None
    found = colours(display)
    assert found[2] == GREY
    assert found[0] == found[4] != found[1] == found[3]
    assert GREY not in {found[0], found[1]}
    whole = LatentDisplay(u[[0, 1, 3, 4]], Euclidean(2), y=list(np.delete(np.array(y, object), 2)))
    assert found[:2] == colours(whole.plot(alpha=1))[:2]
    if class_labels == "legend":
        names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert names[:-1] in (["0", "1"], ["a", "b"], ["False", "True"])
        assert names[-1] == "no label"


@pytest.mark.parametrize("space", [Euclidean(2), Sphere(2)], ids=repr)
@pytest.mark.parametrize("missing", [np.nan, None, np.inf, -np.inf])
def test_the_colours_of_numbers_reach_from_the_least_to_the_greatest_finite_one(
    space, missing
) -> None:
    y = [0.25, 0.5, missing, 4.0, 2.5]
    points = space.exp0(numbers(5, 2))
    display = LatentDisplay(points, space, y=y).plot(
        alpha=1, kind="3d" if space.curvature else "auto"
    )
    assert (display.colorbar_.vmin, display.colorbar_.vmax) == (0.25, 4.0)
    if space.curvature == 0:
        found = colours(display)
        assert found[2] == GREY
        assert found[0] == to_hex(plt.get_cmap("cividis")(0.0))
        assert found[3] == to_hex(plt.get_cmap("cividis")(1.0))
    drawn = sum(len(c.get_offsets()) for c in display.ax_.collections)
    assert drawn == 5


def test_no_label_at_all_is_grey() -> None:
    for y in ([None] * 4, [np.nan] * 4, [np.inf] * 4):
        display = LatentDisplay(numbers(4, 2), Euclidean(2), y=y).plot(alpha=1)
        assert colours(display) == [GREY] * 4
        assert display.colorbar_ is None


def test_numbers_as_text_raise_a_warning() -> None:
    with pytest.warns(UserWarning, match="its 30 labels are read as 30 classes.*astype.float"):
        LatentDisplay(numbers(30, 2), Euclidean(2), y=np.linspace(0, 1, 30).astype(str))


@pytest.mark.parametrize("y", [pd.date_range("2020", periods=4), ["a", 1, 2, 3], [b"a"] * 4])
def test_labels_of_other_kinds_are_refused(y) -> None:
    with pytest.raises(ValueError, match="Target 0 of y holds .*expected numbers, bools or class"):
        LatentDisplay(numbers(4, 2), Euclidean(2), y=y)


@pytest.mark.parametrize(
    "style",
    [
        {"lw": 1.5},
        {"linewidths": 1.5},
        {"linewidth": 1.5},
        {"ec": "black"},
        {"edgecolors": "black"},
        {"c": "red"},
        {"color": "red"},
    ],
    ids=str,
)
@pytest.mark.parametrize("y", [None, [0, 1, 1, None]], ids=["plain", "classes"])
def test_aliases_of_matplotlib_are_understood(style, y) -> None:
    display = LatentDisplay(numbers(4, 2), Euclidean(2), y=y).plot(**style)
    for collection in display.ax_.collections:
        if next(iter(style)).startswith("l"):
            assert collection.get_linewidth() == [1.5]
        elif next(iter(style)).startswith("e"):
            assert to_hex(collection.get_edgecolor()[0]) == "#000000"
        else:
            assert to_hex(collection.get_facecolor()[0]) == "#ff0000"


def test_a_norm_replaces_the_limits_of_the_colours() -> None:
    y = [1.5, 10.0, np.nan, 100.0]
    for norm in (LogNorm(), "log"):
        display = LatentDisplay(numbers(4, 2), Euclidean(2), y=y).plot(norm=norm)
        assert (display.colorbar_.vmin, display.colorbar_.vmax) == pytest.approx((1.5, 100))
        assert isinstance(display.colorbar_.norm, LogNorm)


def test_arguments_for_each_point_go_to_their_points() -> None:
    u = numbers(30, 2)
    sizes = np.arange(30.0)
    for y in (None, np.arange(30) % 3, np.linspace(0, 1, 30)):
        display = LatentDisplay(u, Euclidean(2), y=y).plot(s=pd.Series(sizes, index=sizes + 7))
        found = {
            tuple(place): size
            for collection in display.ax_.collections
            for place, size in zip(
                np.asarray(collection.get_offsets()).tolist(), collection.get_sizes(), strict=True
            )
        }
        assert [found[tuple(place)] for place in display.places_[0].tolist()] == sizes.tolist()
    names = ["red", "blue", "lime"] * 10
    display = LatentDisplay(u, Euclidean(2)).plot(c=names)
    assert colours(display) == [to_hex(name) for name in names]


LEVELS = ["low", "middle", "high"]
THREE = [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("kind", ["Series", "DataFrame", "Categorical", "polars"])
def test_classes_of_a_category_dtype_stand_in_its_order(kind: str, ordered: bool) -> None:
    pd = pytest.importorskip("pandas")
    y = pd.Categorical(["high", None, "low"], categories=LEVELS, ordered=ordered)
    if kind == "Series":
        y = pd.Series(y)
    elif kind == "DataFrame":
        y = pd.DataFrame({"y": y})
    elif kind == "polars":
        pl = pytest.importorskip("polars")
        y = pl.DataFrame({"y": pl.Series(["high", None, "low"], dtype=pl.Enum(LEVELS))})
    display = LatentDisplay(THREE, Euclidean(2), y=y).plot(class_labels="legend")
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["low", "high", "no label"]
    pytest.importorskip("plotly")
    traces = display.interactive().data
    assert [trace.name for trace in traces if trace.name in LEVELS] == ["low", "high"]


def test_whole_numbers_of_a_category_dtype_and_text_in_an_array() -> None:
    pd = pytest.importorskip("pandas")
    y = pd.Series(pd.Categorical([1, 2, 3], categories=[3, 1, 2]))
    display = LatentDisplay(THREE, Euclidean(2), y=y).plot(class_labels="legend")
    assert [t.get_text() for t in display.ax_.get_legend().get_texts()] == ["3", "1", "2"]
    display = LatentDisplay(THREE, Euclidean(2), y=LEVELS).plot(class_labels="legend")
    texts = [t.get_text() for t in display.ax_.get_legend().get_texts()]
    assert texts == sorted(LEVELS)


@pytest.mark.parametrize("own", [{"color": "red"}, {"c": "red"}, {"c": ["red", "blue", "red"]}])
def test_nothing_explains_colours_that_are_the_users(own: dict[str, object]) -> None:
    numbers = LatentDisplay(THREE, Euclidean(2), y=[0.5, 1.5, 2.5])
    assert numbers.plot(**own).colorbar_ is None
    assert numbers.plot().colorbar_ is not None
    assert numbers.plot(alpha=0.5).colorbar_ is not None
    classes = LatentDisplay(THREE, Euclidean(2), y=LEVELS)
    assert classes.plot(class_labels="legend", **own).ax_.get_legend() is None
    assert classes.plot(class_labels="legend").ax_.get_legend() is not None
