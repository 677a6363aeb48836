"""What readers of a latent display see: titles, names, outliers, the side of the globe, colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb

from skccvae.manifolds import Euclidean, Hyperbolic, Product, Sphere
from skccvae.plotting import LatentDisplay
from skccvae.plotting import _maps as maps
from skccvae.plotting._maps import facing
from skccvae.plotting._theme import COLOURS, class_style, shade

plt = pytest.importorskip("matplotlib.pyplot", reason="of the extra 'plot'")


def numbers(n: int, d: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(n, d)))


@pytest.mark.parametrize(
    ("space", "title"),
    [
        (Euclidean(5), "Plane\ndirections 1 and 4 of 5"),
        (Sphere(5, 0.123456), "Sphere (Hammer projection), K = 0.123\ndirections 1 and 4 of 5"),
        (Hyperbolic(5, -2.0), "Poincaré disk, K = −2\ndirections 1 and 4 of 5"),
        (Hyperbolic(2, -2.0), "Poincaré disk, K = −2"),
    ],
    ids=repr,
)
def test_titles_say_the_curvature_and_the_directions(space, title) -> None:
    display = LatentDisplay(space.exp0(numbers(9, space.dim)), space).plot(dims=(1, 4))
    assert display.ax_.get_title() == title


def test_the_globe_shows_its_data() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        centre = rng.normal(size=3)
        centre /= np.linalg.norm(centre)
        points = centre + 0.2 * rng.normal(size=(50, 3))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        mean = points.mean(axis=0)
        np.testing.assert_allclose(facing(points), mean / np.linalg.norm(mean), atol=1e-12)
        ax = LatentDisplay(points, Sphere(2)).plot(kind="3d").ax_
        assert (points @ maps.direction(ax.elev, ax.azim) > 0).mean() > 0.9
    both = np.concatenate([points, -points])  # the mean direction is none
    assert (np.abs(both @ facing(both)) > 0.5).all()


def test_the_view_is_a_choice() -> None:
    display = LatentDisplay(Sphere(2).exp0(numbers(9, 2)), Sphere(2))
    ax = display.plot(kind="3d", view=(15, -120)).ax_
    np.testing.assert_allclose((ax.elev, ax.azim), (15, -120))
    for bad in ((1, 2, 3), 5, ("a", "b"), (91, 0), (0, np.inf)):
        with pytest.raises(ValueError, match="elevation from -90 to 90"):
            display.plot(kind="3d", view=bad)
    with pytest.raises(ValueError, match="no panel is one; pass kind='3d'"):
        display.plot(view=(0, 0))


@pytest.mark.parametrize("y", [None, np.arange(400) % 4, np.linspace(0, 1, 400)], ids=str)
@pytest.mark.parametrize("dim", [1, 2])
def test_outliers_do_not_rule_the_map(dim, y) -> None:
    u = numbers(400, dim)
    u[7], u[9] = 50.0, -800.0
    display = LatentDisplay(u, Euclidean(dim), y=y).plot()
    assert display.ax_.get_xlim()[1] < 5
    (note,) = [t for t in display.ax_.texts if "outlying" in t.get_text()]
    assert note.get_text() == "2 outlying points at the edge (hollow)"
    hollow = [c for c in display.ax_.collections if len(c.get_facecolor()) == 0]
    assert sum(len(c.get_offsets()) for c in hollow) == 2
    assert all(c.get_edgecolor().any() for c in hollow)
    assert all(np.abs(c.get_offsets()).max() < display.ax_.get_xlim()[1] for c in hollow)
    np.testing.assert_array_equal(display.places_[0][:, 0], u[:, 0])
    display.figure_.canvas.draw()
    display.plot(clip_outliers=False)
    if dim == 2:
        assert display.ax_.get_xlim()[1] > 800
    assert not [t for t in display.ax_.texts if "outlying" in t.get_text()]


def test_an_outlier_does_not_shrink_a_small_cloud_in_the_disk() -> None:
    space, u = Hyperbolic(2), 0.05 * numbers(100, 2)
    u[3] = 4.0
    display = LatentDisplay(space.exp0(u), space).plot()
    assert display.ax_.get_xlim()[1] < 0.2
    assert [t.get_text()[:10] for t in display.ax_.texts][-1] == "1 outlying"


def test_points_in_bulk_are_no_outliers() -> None:
    display = LatentDisplay(numbers(20000, 2), Euclidean(2)).plot()
    assert not [t for t in display.ax_.texts if "outlying" in t.get_text()]
    origin = np.zeros((40, 2))
    origin[0] = 3.0  # 95 % of the points have no extent
    assert LatentDisplay(origin, Euclidean(2)).plot().ax_.get_xlim()[1] > 3


def test_a_legend_of_thirty_long_names_is_whole_and_the_map_keeps_its_size() -> None:
    names = [f"a rather long class name {i}" for i in range(30)]
    for space in (Euclidean(2), Sphere(2), Product([Hyperbolic(2), Euclidean(2)])):
        points = space.exp0(numbers(300, space.dim))
        display = LatentDisplay(points, space, y=np.array(names)[np.arange(300) % 30]).plot()
        display.figure_.canvas.draw()
        ax = np.ravel(display.ax_)[-1]
        box = ax.get_legend().get_tightbbox()
        assert box.x1 <= display.figure_.bbox.x1
        assert box.y0 >= 0
        assert box.x0 >= ax.get_window_extent().x1
        assert sorted(t.get_text() for t in ax.get_legend().get_texts()) == sorted(names)
        plain = LatentDisplay(points, space).plot()
        plain.figure_.canvas.draw()
        before = np.ravel(plain.ax_)[-1].get_window_extent()
        # The names are outside of the layout, so only its padding differs.
        assert abs(ax.get_window_extent().width - before.width) < 0.02 * before.width


def test_whole_numbers_are_classes_or_numbers_by_choice() -> None:
    y = np.arange(300) % 100
    display = LatentDisplay(numbers(300, 2), Euclidean(2), y=y)
    assert display.plot().colorbar_ is not None
    legend = display.plot(y_kind="classes").ax_.get_legend()
    assert len(legend.get_texts()) == 81
    assert legend.get_texts()[-1].get_text() == "and 20 more"
    few = LatentDisplay(numbers(30, 2), Euclidean(2), y=np.arange(30) % 3)
    assert few.plot(y_kind="numbers").colorbar_ is not None
    assert few.plot(y_kind="numbers", colorbar=False).colorbar_ is None
    assert few.plot(class_labels="legend", legend=False).ax_.get_legend() is None
    halves = LatentDisplay(numbers(30, 2), Euclidean(2), y=np.arange(30) % 3 / 2)
    texts = halves.plot(y_kind="classes", class_labels="legend").ax_.get_legend().get_texts()
    assert [text.get_text() for text in texts] == ["0.0", "0.5", "1.0"]
    with pytest.raises(ValueError, match="y_kind must be"):
        few.plot(y_kind="text")
    with pytest.raises(ValueError, match="needs numbers in y"):
        LatentDisplay(numbers(3, 2), Euclidean(2), y=list("abc")).plot(y_kind="numbers")


def test_names_on_the_map_do_not_cover_each_other_or_most_points() -> None:
    u = numbers(600, 2) * 0.3
    y = np.arange(600) % 12
    u += torch.from_numpy(np.random.default_rng(1).normal(size=(12, 2)))[y]
    display = LatentDisplay(u, Euclidean(2), y=y).plot()
    display.figure_.canvas.draw()
    boxes = [t.get_window_extent() for t in display.ax_.texts if hasattr(t, "xy")]
    assert len(boxes) == 12
    overlaps = [a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert not any(overlaps)
    pixels = display.ax_.transData.transform(display.places_[0])
    covered = [np.all((pixels > (b.x0, b.y0)) & (pixels < (b.x1, b.y1)), 1).sum() for b in boxes]
    assert np.mean(covered) < 3


@pytest.mark.parametrize("space", [Euclidean(2), Hyperbolic(2)], ids=repr)
def test_the_distance_of_a_ring_cannot_be_read_as_a_digit(space) -> None:
    # Names of classes on the diagonal on which the distances of the rings are written.
    y = np.arange(600) % 12
    u = numbers(600, 2) * 0.1 + torch.from_numpy(np.column_stack([y, -y]) / 8)
    display = LatentDisplay(space.exp0(u), space, y=y).plot()
    display.figure_.canvas.draw()
    names = [t for t in display.ax_.texts if hasattr(t, "xy")]
    rings = [t for t in display.ax_.texts if not hasattr(t, "xy")]
    assert [t.get_text() for t in names] == [str(k) for k in range(12)]
    assert rings
    assert all(t.get_text().startswith("$r=") for t in rings)
    boxes = [t.get_window_extent() for t in names]
    assert not any(box.overlaps(t.get_window_extent()) for box in boxes for t in rings)


def luminance(colour) -> float:
    c = np.array(to_rgb(colour))
    c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(c @ [0.2126, 0.7152, 0.0722])


def test_lines_and_colours_suit_a_dark_background() -> None:
    assert [class_style(i)["color"] for i in range(10)] == list(COLOURS)
    assert to_hex(shade(0.8)) == to_hex("0.8")
    space = Product([Hyperbolic(2), Sphere(2), Euclidean(2)])
    with plt.style.context("dark_background"):
        assert to_hex(shade(1)) == "#000000"
        for index in range(10):
            assert luminance(class_style(index)["color"]) + 0.05 > 3.5 * 0.05
        y = np.arange(60) % 3
        display = LatentDisplay(space.exp0(numbers(60, 6)), space, y=y).plot()
        for ax in display.ax_:
            assert all(luminance(line.get_color()) < 0.1 for line in ax.lines)  # faint
        numbered = LatentDisplay(space.exp0(numbers(60, 6)), space, y=y / 2).plot()
        assert luminance(numbered.colorbar_.cmap(0.0)[:3]) > 0.05
