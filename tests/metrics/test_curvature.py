from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from skccvae.datasets import make_branching_diffusion
from skccvae.manifolds import Euclidean, Hyperbolic, Sphere
from skccvae.metrics import estimate_curvature, pairwise_geodesic_distances


def distances(space, n: int = 120, seed: int = 0) -> np.ndarray:
    """Distances of points that cover a sphere, or are normal in the tangent space elsewhere."""
    rng = np.random.default_rng(seed)
    if isinstance(space, Sphere):
        return pairwise_geodesic_distances(rng.normal(size=(n, space.dim + 1)), manifold=space)
    Z = rng.normal(size=(n, space.dim)) / np.sqrt(max(-space.curvature, 1.0))
    return pairwise_geodesic_distances(Z, manifold=space, coordinates="tangent")


@pytest.mark.parametrize(
    "space",
    [Sphere(1), Sphere(2), Sphere(2, 0.01), Sphere(5), Euclidean(2), Euclidean(4)]
    + [Hyperbolic(2), Hyperbolic(2, -100.0), Hyperbolic(4), Hyperbolic(2, -0.05)],
    ids=repr,
)
def test_it_recovers_the_space(space) -> None:
    D = distances(space)
    K, stress = estimate_curvature(D, n_components=space.dim, return_stress=True)
    # The search ends within 1e-4 of the root of K in units of the diameter, two roots at least.
    unit = D.max() ** -2
    assert abs(K - space.curvature) <= 1e-3 * max(abs(space.curvature), unit)
    assert stress < 1e-3


@pytest.mark.parametrize("space", [Sphere(2), Euclidean(2), Hyperbolic(2)], ids=repr)
@pytest.mark.parametrize("seed", range(3))
def test_two_per_cent_of_noise(space, seed: int) -> None:
    D = distances(space, seed=seed)
    noise = np.random.default_rng(10 + seed).normal(size=D.shape)
    D = D * np.exp(0.02 * (noise + noise.T) / np.sqrt(2))
    K = estimate_curvature(D)
    # What the docstring says: 0.15 at most in hyperbolic space, and less elsewhere.
    assert abs(K - space.curvature) < (0.15 if space.curvature < 0 else 0.03)


def test_the_unit_of_the_distances() -> None:
    D = distances(Sphere(2))
    np.testing.assert_allclose(estimate_curvature(100 * D), 1e-4 * estimate_curvature(D), rtol=1e-6)


def test_a_tree_is_strongly_curved() -> None:
    D = make_branching_diffusion(depth=5, random_state=0).tree_distances
    K, stress = estimate_curvature(D, return_stress=True)
    # A curvature radius below a tenth of the largest distance. It is no good fit: hyperbolic
    # triangles are those of trees only up to log 2 radii, and edges are no longer than that.
    assert K < -100 / D.max() ** 2
    assert stress > 0.1


def test_noise_in_many_dimensions_misleads() -> None:
    D = pairwise_distances(np.random.default_rng(0).normal(size=(100, 50)))
    with pytest.warns(UserWarning, match="The more a hyperbolic space is curved, the better"):
        K, stress = estimate_curvature(D, return_stress=True)
    np.testing.assert_allclose(K, -400 / D.max() ** 2)
    assert stress > 0.1
    # In as many dimensions as it has, it is flat.
    K, stress = estimate_curvature(D, n_components=50, return_stress=True)
    assert abs(K) * D.max() ** 2 < 1e-6
    assert stress < 1e-12


def test_many_points_are_drawn() -> None:
    D = distances(Sphere(2), n=300)
    a, b = (estimate_curvature(D, n_samples=50, random_state=1) for _ in range(2))
    assert a == b
    assert abs(a - 1) < 1e-3


@pytest.mark.parametrize(
    ("D", "error", "message"),
    [
        (np.zeros((3, 2)), ValueError, r"shape \(n, n\).*got shape \(3, 2\)"),
        (np.zeros(4), ValueError, "pairwise_distances makes such"),
        (np.zeros((0, 0)), ValueError, "n >= 1"),
        ([[0, 1], [2, 0]], ValueError, "symmetric.*differ by up to 1"),
        ([[1, 1], [1, 1]], ValueError, "zeros on its diagonal.*similarities"),
        ([[0, -1], [-1, 0]], ValueError, "distances >= 0; the smallest is -1"),
        ([[0, np.nan], [np.nan, 0]], ValueError, "NaN or infinity, first in row 0"),
        ([[0, 0, 0], [0, 0, np.inf], [0, np.inf, 0]], ValueError, "first in row 1"),
        ([["a"]], TypeError, "matrix of numbers"),
        (np.ones((3, 3)) - np.eye(3), ValueError, r"at least n_components \+ 2 = 4 points.*got 3"),
        (np.zeros((9, 9)), ValueError, "All distances of D are zero"),
    ],
)
def test_bad_matrices(D, error, message: str) -> None:
    with pytest.raises(error, match=message):
        estimate_curvature(D)


@pytest.mark.parametrize(
    "parameters",
    [{"n_components": 0}, {"n_samples": 0}, {"return_stress": "a"}, {"random_state": "a"}],
)
def test_bad_parameters(parameters: dict) -> None:
    with pytest.raises(ValueError, match="parameter of estimate_curvature"):
        estimate_curvature(distances(Sphere(2), 9), **parameters)


def test_float32_matrices_pass() -> None:
    D = distances(Sphere(2)).astype(np.float32)
    D[0, 1] = np.nextafter(D[0, 1], np.float32(9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert abs(estimate_curvature(D) - 1) < 1e-3
