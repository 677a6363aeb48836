"""Geodesic distances for scikit-learn: matrix, callable, precision, refusals."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from skccvae.manifolds import CHARTS, Euclidean, Hyperbolic, Product, Sphere
from skccvae.manifolds.charts import INTRINSIC_CHARTS
from skccvae.metrics import GeodesicDistance, pairwise_geodesic_distances

SPACES = [Euclidean(2), Sphere(1), Sphere(3, 0.5), Hyperbolic(1), Hyperbolic(3, -2.0),
          Hyperbolic(2, -1e-6), Sphere(2, 1e-6),
          Product([Hyperbolic(2), Sphere(2, 3.0), Euclidean(1)])]  # fmt: skip
EVERY = pytest.mark.parametrize("space", SPACES, ids=repr)


def cloud(space, n=30, chart="ambient", seed=0, spread=0.7):
    generator = torch.Generator().manual_seed(seed)
    x = space.exp0(spread * torch.randn(n, space.dim, dtype=torch.float64, generator=generator))
    return space.to_chart(x, chart).numpy()


@EVERY
@pytest.mark.parametrize("chart", CHARTS)
def test_matrix_against_the_manifold(space, chart):
    Z, W = cloud(space, 30, chart), cloud(space, 20, chart, 1)
    D = pairwise_geodesic_distances(Z, W, manifold=space, coordinates=chart)
    z, w = (space.from_chart(torch.from_numpy(a), chart) for a in (Z, W))
    assert D.shape == (30, 20)
    assert D.dtype == np.float64
    np.testing.assert_allclose(D, space.dist(z[:, None], w).numpy(), rtol=1e-9, atol=1e-10)


@EVERY
@pytest.mark.parametrize("chart", CHARTS)
def test_callable_against_the_matrix(space, chart):
    Z, W = cloud(space, 10, chart), cloud(space, 10, chart, 1)
    metric = GeodesicDistance(space, chart)
    one_by_one = [[metric(z, w) for w in W] for z in Z]
    np.testing.assert_allclose(one_by_one, metric.pairwise(Z, W), rtol=1e-9, atol=1e-9)
    assert metric(Z[0], Z[0]) == 0.0


def test_callable_in_a_chart_without_a_quick_way(monkeypatch):
    monkeypatch.setitem(INTRINSIC_CHARTS, "again", INTRINSIC_CHARTS["stereographic"])
    space = Product([Hyperbolic(2), Sphere(2, 3.0)])
    Z = cloud(space, 4, "again")
    assert GeodesicDistance(space, "again")(Z[0], Z[1]) == pytest.approx(
        GeodesicDistance(space, "stereographic")(Z[0], Z[1]), rel=1e-12
    )


@EVERY
def test_natural_points_are_as_far_apart_as_ambient_ones(space):
    Z, A = cloud(space, 20, "natural"), cloud(space, 20, "ambient")
    D = pairwise_geodesic_distances(A, manifold=space)
    natural = pairwise_geodesic_distances(Z, manifold=space, coordinates="natural")
    # Coordinates of size R resolve no more than R eps.
    atol = 1e-14 * max(1.0, np.abs(A).max())
    np.testing.assert_allclose(natural, D, rtol=1e-12, atol=atol)
    metric = GeodesicDistance(space, "natural")
    one_by_one = [[metric(z, w) for w in Z] for z in Z]
    np.testing.assert_allclose(one_by_one, D, rtol=1e-12, atol=atol)


def test_the_callable_takes_natural_points_of_a_sphere_to_the_sphere():
    space = Product([Sphere(2), Hyperbolic(2)])
    metric = GeodesicDistance(space, "natural")
    x = np.array([0.0, 2.0, 0.0, 0.5, 0.0])
    y = np.array([0.0, 0.0, 0.3, 0.5, 0.0])
    assert metric(x, y) == pytest.approx(math.pi / 2)
    assert metric(np.zeros(5), np.array([3.0, 0, 0, 0, 0])) == 0.0  # zero counts as the origin
    with pytest.raises(ValueError, match="5 coordinates; got 6"):
        metric(np.ones(6), np.ones(5))


@EVERY
def test_without_a_second_argument(space):
    Z = cloud(space, 40)
    D = pairwise_geodesic_distances(Z, manifold=space)
    assert (np.diag(D) == 0).all()
    assert (D == D.T).all()
    np.testing.assert_allclose(D, pairwise_geodesic_distances(Z, Z, manifold=space), atol=1e-12)


MEASURE = """
import numpy as np
from skccvae.manifolds import Euclidean, Hyperbolic, Product, Sphere
from skccvae.metrics import pairwise_geodesic_distances

def kilobytes(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name))

space = Product([Hyperbolic(5), Sphere(5), Euclidean(5)])
Z = np.random.default_rng(0).normal(size=(3000, space.dim))
for points in (Z[:300], Z):  # the first call loads what torch loads when it is first used
    before = kilobytes("VmRSS")
    D = pairwise_geodesic_distances(points, {others}manifold=space, coordinates="tangent")
print((kilobytes("VmHWM") - before) * 1024 / D.nbytes)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/status")
@pytest.mark.parametrize("others", ["", "Z[::-1], "], ids=["one set", "two sets"])
def test_little_more_than_the_result_is_held(others):
    # In a process of its own, whose peak is that of this call; tracemalloc sees no tensors.
    code = MEASURE.format(others=others)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert 0.95 < float(done.stdout) < 1.2


def test_near_points_keep_their_digits():
    for space in (Sphere(2), Hyperbolic(2), Euclidean(2)):
        u = np.array([[0.4, 0.3], [0.4, 0.3 + 1e-9]])
        D = pairwise_geodesic_distances(u, manifold=space, coordinates="tangent")
        expected = 1e-9 if space.curvature == 0 else space.dist(
            *space.exp0(torch.from_numpy(u))).item()  # fmt: skip
        assert abs(D[0, 1] / expected - 1) < 1e-6
        assert 0.5e-9 < D[0, 1] < 2e-9


def test_far_points():
    D = pairwise_geodesic_distances(
        [[15.0, 0.0], [-15.0, 0.0], [14.0, 0.0], [0.0, 0.0]],
        manifold=Hyperbolic(2),
        coordinates="tangent",
    )
    np.testing.assert_allclose(D[0], [0, 30, 1, 15], rtol=1e-9)
    D = pairwise_geodesic_distances([[1.0, 0, 0], [-1.0, 0, 0]], manifold=Sphere(2))
    assert D[0, 1] == math.pi


@pytest.mark.parametrize("algorithm", ["auto", "brute", "ball_tree"])
@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("space", [SPACES[0], SPACES[2], SPACES[4], SPACES[7]], ids=repr)
def test_neighbours(space, chart, algorithm):
    Z, W = cloud(space, 120, chart), cloud(space, 40, chart, 1)
    y = (cloud(space, 120)[:, -1] > 0).astype(int)
    metric = GeodesicDistance(space, chart)
    knn = KNeighborsClassifier(3, metric=metric, algorithm=algorithm, leaf_size=5).fit(Z, y)
    precomputed = KNeighborsClassifier(3, metric="precomputed").fit(metric.pairwise(Z), y)
    distances, index = knn.kneighbors(W)
    exact, exact_index = precomputed.kneighbors(metric.pairwise(W, Z))
    assert (index == exact_index).all()
    np.testing.assert_allclose(distances, exact, rtol=1e-8, atol=1e-9)
    again = pickle.loads(pickle.dumps(knn))
    assert (again.predict(W) == knn.predict(W)).all()


def test_a_tree_whose_nodes_are_centred_on_nothing():
    # The mean of these points is the zero vector, which has no direction.
    Z = np.concatenate([np.eye(3), -np.eye(3)])
    metric = GeodesicDistance(Sphere(2))
    knn = KNeighborsClassifier(1, metric=metric, algorithm="ball_tree", leaf_size=1)
    assert knn.fit(Z, np.arange(6)).predict(0.3 * Z).tolist() == list(range(6))


def test_a_tensor_is_as_good_as_an_array():
    Z = torch.randn(5, 3, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pairwise_geodesic_distances(Z, manifold=Euclidean(3))
    assert np.array_equal(found, pairwise_geodesic_distances(Z.numpy(), manifold=Euclidean(3)))


def test_the_argument_is_not_changed():
    Z = cloud(Sphere(2)).astype(np.float32)
    before = Z.copy()
    pairwise_geodesic_distances(Z, manifold=Sphere(2))
    assert (before == Z).all()


@pytest.mark.parametrize(("Z", "coordinates", "message"), [
    ([1.0, 0.0, 0.0], "ambient", "two dimensions"),
    ([[1.0, 0.0]], "ambient", "ambient dimension"),
    ([[1.0, 0.0, math.nan]], "ambient", "NaN"),
    ([[0.0, 0.0, 0.0]], "ambient", "zero vector"),
    ([[0.0, 0.0]], "ball", "chart must be one of"),
])  # fmt: skip
def test_bad_input(Z, coordinates, message):
    with pytest.raises(ValueError, match=message):
        pairwise_geodesic_distances(Z, manifold=Sphere(2), coordinates=coordinates)


def test_bad_arguments_of_the_callable():
    with pytest.raises(TypeError, match="manifold must be a space"):
        GeodesicDistance("sphere")
    with pytest.raises(TypeError, match="manifold must be a space"):
        pairwise_geodesic_distances([[1.0]], manifold=None)
    with pytest.raises(ValueError, match="chart must be one of"):
        GeodesicDistance(Sphere(2), "ball")
    with pytest.raises(ValueError, match="3 coordinates; got 2"):
        GeodesicDistance(Sphere(2))(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="outside the ball"):
        GeodesicDistance(Hyperbolic(2), "stereographic")(np.ones(2), np.zeros(2))
