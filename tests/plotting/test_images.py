"""Decoded tiles and reconstructions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from skccvae import (
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    SphericalVAETransformer,
)
from skccvae.manifolds import Sphere
from skccvae.plotting import LatentDisplay, ManifoldGridDisplay, ReconstructionDisplay
from skccvae.plotting._maps import hammer_inverse

plt = pytest.importorskip("matplotlib.pyplot", reason="of the extra 'plot'")

FAST = {"max_epochs": 1, "hidden_layer_sizes": (8,), "random_state": 0, "device": "cpu"}


def test_tiles_lie_on_the_map_and_apart(fitted) -> None:
    vae, _ = fitted
    grid = ManifoldGridDisplay.from_estimator(vae, n_tiles=4)
    assert len(grid.ax_.images) == len(grid.tiles) == len(grid.places)
    assert grid.tiles.shape[1:] == (8, 8)
    # Upright squares: apart across or along the page.
    apart = np.abs(grid.places[:, None] - grid.places[None]).max(axis=-1)
    np.fill_diagonal(apart, np.inf)
    room = (grid.sizes[:, None] + grid.sizes[None]) / 2
    assert (apart >= room - 1e-9).all()
    if vae.manifold_.curvature < 0:
        corners = np.linalg.norm(grid.places, axis=1) + grid.sizes / np.sqrt(2)
        assert (corners < 1).all()
        assert (apart - room).min() < 1e-9  # and no smaller than they need be
        assert all(image.get_clip_path() is None for image in grid.ax_.images)
    grid.figure_.canvas.draw()


def test_no_corner_of_a_tile_in_the_disk_is_cut(digits) -> None:
    vae = HyperbolicVAETransformer(2, **FAST).fit(digits[0])
    # Without grey around the edges of the pixels.
    grid = ManifoldGridDisplay.from_estimator(vae, n_tiles=2)
    grid = ManifoldGridDisplay(np.ones_like(grid.tiles), grid.places, grid.sizes, grid.space)
    grid.plot(cmap="Reds_r", interpolation="nearest", vmin=1, vmax=2)
    grid.figure_.canvas.draw()
    page = np.asarray(grid.figure_.canvas.buffer_rgba())[..., :3].astype(int)
    colour = page[tuple(_pixel(grid, grid.places[0]))]
    assert colour[0] > colour[1] + 50  # red
    for place, size in zip(grid.places, grid.sizes, strict=True):
        for corner in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            inside = place + 0.44 * size * np.array(corner)
            assert np.array_equal(page[tuple(_pixel(grid, inside))], colour)


def _pixel(grid: ManifoldGridDisplay, place: np.ndarray) -> np.ndarray:
    """Row and column of a place of the map in the rendered page."""
    x, y = grid.ax_.transData.transform(place)
    height = grid.figure_.canvas.get_width_height()[1]
    return np.array([height - 1 - int(y), int(x)])


@pytest.mark.parametrize(
    ("own", "dims", "columns"),
    [({"random_state": 2}, None, [0, 1, 2]), ({"n_components": 4}, (2, 1), [0, 3, 2])],
)
def test_tiles_of_a_sphere_stand_where_the_rows_are_drawn(digits, own, dims, columns) -> None:
    X = digits[0]
    settings = FAST | {"n_components": 2, "curvature": 0.25, "max_epochs": 20} | own
    vae = SphericalVAETransformer(**settings).fit(X)
    rows = LatentDisplay.from_estimator(vae, X, dims=dims)
    grid = ManifoldGridDisplay.from_estimator(vae, X, dims=dims, n_tiles=6)
    # The rotation between the rows' directions and their places, read off the picture.
    directions = vae.transform(X).astype(float)[:, columns]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    turn, residual = Rotation.align_vectors(hammer_inverse(rows.places_[0]), directions)
    assert residual < 1e-4
    assert turn.magnitude() > 0.1
    Z = np.zeros((len(grid.tiles), vae.manifold_.ambient_dim))
    Z[:, columns] = 2.0 * turn.inv().apply(hammer_inverse(grid.places))
    np.testing.assert_allclose(grid.tiles.reshape(-1, 64), vae.inverse_transform(Z), atol=1e-5)


def test_the_sphere_of_a_product_is_turned_alone(product, digits) -> None:
    rows = LatentDisplay.from_estimator(product, digits[0])
    grid = ManifoldGridDisplay.from_estimator(product, digits[0], factor=1, n_tiles=4)
    points = product.manifold_.split(torch.from_numpy(rows.points))[1].numpy()
    turn, _ = Rotation.align_vectors(hammer_inverse(rows.places_[1]), points)
    Z = np.zeros((len(grid.tiles), 7))  # two tangent coordinates, three of the sphere, two
    Z[:, 2:5] = turn.inv().apply(hammer_inverse(grid.places))
    np.testing.assert_allclose(grid.tiles.reshape(-1, 64), product.inverse_transform(Z), atol=1e-5)


def test_a_tile_is_what_the_model_decodes_there(digits) -> None:
    vae = HyperbolicVAETransformer(2, curvature=-0.5, **FAST).fit(digits[0])
    grid = ManifoldGridDisplay.from_estimator(vae, n_tiles=3, radius=1.5)
    ball = torch.from_numpy(grid.places) * vae.manifold_.radius_
    points = vae.manifold_.from_chart(ball, "stereographic")
    assert float(vae.manifold_.dist(points, vae.manifold_.origin(torch.float64)).max()) == (
        pytest.approx(1.5)
    )
    decoded = vae.inverse_transform(vae.manifold_.log0(points).numpy())
    np.testing.assert_allclose(grid.tiles.reshape(len(points), 64), decoded, atol=1e-6)


def test_the_plane_has_quantiles(digits) -> None:
    vae = GaussianVAETransformer(2, **FAST).fit(digits[0])
    grid = ManifoldGridDisplay.from_estimator(vae, n_tiles=2)
    q = 0.6744897501960817  # quartile of the standard normal
    scales = vae.net_.module_.latent.prior().scale.numpy()
    assert scales[0] > 1.5  # the standard deviation of the first component, and not 1
    corners = np.array([[-q, q], [q, q], [-q, -q], [q, -q]]) * scales  # from the upper left
    np.testing.assert_allclose(grid.tiles.reshape(4, 64), vae.inverse_transform(corners), atol=1e-6)


def test_a_factor_of_a_product_with_the_others_at_their_origin(product) -> None:
    with pytest.raises(ValueError, match="factor=0"):
        ManifoldGridDisplay.from_estimator(product)
    grid = ManifoldGridDisplay.from_estimator(product, factor=2, n_tiles=2)
    q = 0.6744897501960817
    Z = np.zeros((4, 7))
    Z[:, 2] = 1.0  # the pole of the sphere
    Z[:, -2:] = [[-q, q], [q, q], [-q, -q], [q, -q]]
    np.testing.assert_allclose(grid.tiles.reshape(4, 64), product.inverse_transform(Z), atol=1e-6)
    assert ManifoldGridDisplay.from_estimator(product, factor=1).space == Sphere(2)


def test_bad_grids(digits) -> None:
    X, _ = digits
    high = SphericalVAETransformer(4, **FAST).fit(X)
    with pytest.raises(ValueError, match=r"dims=\(i, j\)"):
        ManifoldGridDisplay.from_estimator(high)
    assert ManifoldGridDisplay.from_estimator(high, dims=(0, 3), n_tiles=4).space == Sphere(2)
    with pytest.raises(ValueError, match="n_tiles"):
        ManifoldGridDisplay.from_estimator(high, dims=(0, 3), n_tiles=0)
    with pytest.raises(ValueError, match="radius"):
        ManifoldGridDisplay.from_estimator(high, dims=(0, 3), radius=1.0)
    with pytest.raises(ValueError, match="factor is for products"):
        ManifoldGridDisplay.from_estimator(high, dims=(0, 3), factor=0)
    with pytest.raises(ValueError, match="image_shape"):
        ManifoldGridDisplay.from_estimator(high, dims=(0, 3), image_shape=(8, 9))
    tall = GaussianVAETransformer(2, **FAST).fit(X[:, :60])
    with pytest.raises(ValueError, match="not square images"):
        ManifoldGridDisplay.from_estimator(tall)
    assert ManifoldGridDisplay.from_estimator(tall, image_shape=(10, 6)).tiles.shape[1:] == (10, 6)


@pytest.mark.parametrize(
    ("shape", "shown"), [((8, 8), (8, 8)), ((3, 5, 4), (5, 4, 3)), ((5, 4, 1), (5, 4))]
)
def test_images_of_any_shape_come_in_pairs(shape, shown) -> None:
    X = np.random.default_rng(0).integers(0, 256, size=(40, *shape), dtype=np.uint8)
    vae = GaussianVAETransformer(2, **FAST).fit(X)
    display = ReconstructionDisplay.from_estimator(vae, X, n_images=12)
    assert display.originals.shape == display.reconstructions.shape == (12, *shown)
    expected = vae.inverse_transform(vae.transform(X[:1]))[0]
    if shape[0] == 3:
        expected = np.moveaxis(expected, 0, -1)
    np.testing.assert_allclose(display.reconstructions[0], expected.reshape(shown), rtol=1e-4)
    labels = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert labels == ["original", "decoded"] * 2  # ten pairs and then two
    canvas = np.asarray(display.ax_.images[0].get_array())
    first = np.asarray(display.originals[0]) / 255
    np.testing.assert_allclose(canvas[: shown[0], : shown[1]], first)


def test_bad_reconstructions(digits) -> None:
    X, _ = digits
    with pytest.raises(ValueError, match="the same shape"):
        ReconstructionDisplay(X, X[:5])
    with pytest.raises(ValueError, match="not square images"):
        ReconstructionDisplay(X[:, :60], X[:, :60])
    with pytest.raises(ValueError, match="1 or 3 channels"):
        ReconstructionDisplay(X, X, image_shape=(4, 4, 4))
    with pytest.raises(ValueError, match="n_columns"):
        ReconstructionDisplay(X, X).plot(n_columns=0)


def test_the_title_of_a_grid_says_the_curvature_and_the_section(product, digits) -> None:
    grid = ManifoldGridDisplay.from_estimator(product, n_tiles=2, factor=1)
    assert grid.ax_.get_title() == "Sphere (Hammer projection), K = 1\nfactor 1 of 3"
    vae = GaussianVAETransformer(4, **FAST).fit(digits[0])
    grid = ManifoldGridDisplay.from_estimator(vae, n_tiles=2, dims=(3, 1))
    expected = "Plane (equal steps of probability)\ndirections 3 and 1 of 4"
    assert grid.ax_.get_title() == expected == grid.title
    own = ManifoldGridDisplay(grid.tiles, grid.places, grid.sizes, grid.space, title="mine")
    assert own.plot().ax_.get_title() == "mine"


def test_the_background_is_between_images() -> None:
    grey = ReconstructionDisplay(np.ones((2, 4, 4)), np.ones((2, 4, 4))).plot()
    shown = np.ma.filled(grey.ax_.images[0].get_array(), np.nan)
    assert np.isnan(shown[:4, 4]).all()
    assert np.isfinite(shown[:4, :4]).all()
    with plt.style.context("dark_background"):
        colour = ReconstructionDisplay(np.ones((2, 4, 4, 3)), np.ones((2, 4, 4, 3))).plot()
        assert (colour.ax_.images[0].get_array()[:4, 4] == 0).all()
