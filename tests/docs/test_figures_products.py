"""A torus is a product of circles, and a product's latent space is the better fit for it."""

from __future__ import annotations

import numpy as np
from figures import products as figures


def test_pictures_continue_at_the_right_edge() -> None:
    X = figures.pictures("torus", 400).X.reshape(-1, figures.SIDE, figures.SIDE)
    means = X.mean(axis=0)
    assert np.ptp(means) < 0.15  # all places are alike: the spread is that of 400 draws
    cylinder = figures.pictures("cylinder", 400).X.reshape(-1, figures.SIDE, figures.SIDE)
    assert np.ptp(cylinder.mean(axis=(0, 2))) > 0.15  # the rows at the edges are not


def test_the_torus_keeps_more_neighbours_than_the_plane_and_has_the_better_bound() -> None:
    found = figures.measure("torus", n_rows=800, epochs=50, n_init=3)
    assert found["2s1"]["elbo"] > found["plane"]["elbo"]
    assert found["2s1"]["kept"] > found["plane"]["kept"] + 0.1


def test_surfaces_are_a_torus_and_a_cylinder() -> None:
    angle = np.linspace(0, 6, 7)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    torus = figures.surface("torus", np.hstack([circle, circle[::-1]]))
    tube = np.hypot(np.hypot(torus[:, 0], torus[:, 1]) - 1, torus[:, 2])
    np.testing.assert_allclose(tube, 0.42)
    cylinder = figures.surface("cylinder", np.hstack([circle, angle[:, None]]))
    np.testing.assert_allclose(np.hypot(cylinder[:, 0], cylinder[:, 1]), 1)


def test_circles_are_put_in_the_order_of_the_places() -> None:
    across, up = np.random.default_rng(0).uniform(-np.pi, np.pi, (2, 200))
    first, second = (np.column_stack([np.cos(a), -np.sin(a)]) for a in (across + 1, up))
    for Z in (np.hstack([first, second]), np.hstack([second, first])):
        np.testing.assert_array_equal(
            figures.in_order("torus", Z, across), np.hstack([first, second])
        )


def test_the_figure_draws() -> None:
    assert len(figures.draw_products(n_rows=300, epochs=1, n_init=1).axes) == 8
