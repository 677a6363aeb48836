from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from skccvae.datasets import make_sphere_mixture


@pytest.mark.parametrize("dim", [1, 2, 9])
@pytest.mark.parametrize("concentration", [0.0, 0.3, 4.0, 200.0])
def test_latent_points_are_von_mises_fisher(dim: int, concentration: float) -> None:
    n = 20000
    caps = make_sphere_mixture(
        n, dim=dim, n_clusters=2, concentration=concentration, random_state=dim
    )
    np.testing.assert_allclose(np.linalg.norm(caps.latent, axis=1), 1.0, rtol=1e-12)
    cosine = (caps.latent * caps.means[caps.target]).sum(1)

    m = dim + 1
    angle = np.linspace(0.0, np.pi, 20001)
    density = np.exp(concentration * (np.cos(angle) - 1.0)) * np.sin(angle) ** (m - 2)
    cumulative = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    # On the circle the density does not vanish at the ends; the trapezoid is exact enough.
    grid = cumulative / cumulative[-1]
    drawn = np.arccos(np.clip(cosine, -1, 1))
    # One in 10^4 right samplers fails; the seed is fixed.
    assert stats.kstest(drawn, lambda a: np.interp(a, angle, grid)).pvalue > 1e-4
    if concentration > 0:
        v = m / 2 - 1
        mean = special.ive(v + 1, concentration) / special.ive(v, concentration)
        assert abs(cosine.mean() - mean) < 5 * cosine.std() / np.sqrt(n)


def test_directions_around_the_mean_are_uniform() -> None:
    n = 20000
    caps = make_sphere_mixture(
        n, dim=4, n_clusters=1, means=[[0, 0, 0, 0, 2]], concentration=10.0, random_state=0
    )
    np.testing.assert_array_equal(caps.means, [[0, 0, 0, 0, 1]])
    tangent = caps.latent[:, :4]
    tangent = tangent / np.linalg.norm(tangent, axis=1, keepdims=True)
    assert np.abs(tangent.mean(0)).max() < 5 * 0.5 / np.sqrt(n)
    np.testing.assert_allclose(tangent.T @ tangent / n, np.eye(4) / 4, atol=5 / np.sqrt(n) / 4)


def test_a_huge_concentration_keeps_its_spread() -> None:
    # |z - mean|^2 is chi-square of dim degrees over the concentration, in the limit.
    caps = make_sphere_mixture(20000, dim=2, concentration=1e12, random_state=0)
    squared = ((caps.latent - caps.means[caps.target]) ** 2).sum(1) * 1e12
    assert abs(squared.mean() - 2.0) < 5 * 2.0 / np.sqrt(20000)


@pytest.mark.parametrize(("n_clusters", "dim"), [(2, 1), (3, 1), (3, 2), (4, 2), (6, 4)])
def test_default_means_are_a_regular_simplex(n_clusters: int, dim: int) -> None:
    means = make_sphere_mixture(n_clusters=n_clusters, dim=dim, random_state=0).means
    expected = np.full((n_clusters, n_clusters), -1.0 / (n_clusters - 1))
    np.fill_diagonal(expected, 1.0)
    np.testing.assert_allclose(means @ means.T, expected, atol=1e-12)


def test_many_clusters() -> None:
    caps = make_sphere_mixture(1003, n_clusters=10, concentration=np.arange(10.0), random_state=0)
    np.testing.assert_allclose(np.linalg.norm(caps.means, axis=1), 1.0, rtol=1e-12)
    assert sorted(np.bincount(caps.target)) == [100] * 7 + [101] * 3
    np.testing.assert_array_equal(caps.concentration, np.arange(10.0))


def test_without_noise_the_data_determine_the_latent_points() -> None:
    parameters = {"n_samples": 3000, "concentration": 0.0, "random_state": 0}
    clean = make_sphere_mixture(noise=0.0, **parameters)
    # One-to-one, and far from folding: close in the data is close on the sphere.
    from sklearn.neighbors import KNeighborsRegressor

    model = KNeighborsRegressor(3).fit(clean.data[:2000], clean.latent[:2000])
    assert model.score(clean.data[2000:], clean.latent[2000:]) > 0.99
    noisy = make_sphere_mixture(noise=0.5, **parameters)
    np.testing.assert_array_equal(noisy.latent, clean.latent)
    residual = noisy.data - clean.data
    assert abs(residual.std() - 0.5) < 5 * 0.5 / np.sqrt(2 * residual.size)


def test_seeds_and_outputs() -> None:
    a, b = (make_sphere_mixture(50, random_state=1) for _ in range(2))
    np.testing.assert_array_equal(a.data, b.data)
    X, y = make_sphere_mixture(50, random_state=1, return_X_y=True)
    np.testing.assert_array_equal(X, a.data)
    np.testing.assert_array_equal(y, a.target)
    pytest.importorskip("pandas")
    assert make_sphere_mixture(50, as_frame=True).frame.shape == (50, 101)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_samples": 0}, "'n_samples' parameter"),
        ({"dim": 0}, "'dim' parameter"),
        ({"concentration": -1.0}, "'concentration' parameter"),
        ({"concentration": [1.0, 2.0]}, "expected one concentration or 4"),
        ({"concentration": [1.0, 2.0, 3.0, -4.0]}, "finite concentrations >= 0"),
        ({"concentration": [1.0, 2.0, 3.0, np.nan]}, "finite concentrations >= 0"),
        ({"concentration": np.inf}, "'concentration' parameter"),
        ({"means": [[1.0, 0.0, 0.0]]}, r"\(4, 3\), got \(1, 3\)"),
        ({"means": [[0.0, 0.0, 0.0]] * 4}, "not zero"),
        ({"means": [[np.nan, 0.0, 0.0]] * 4}, "finite"),
        ({"noise": -0.1}, "'noise' parameter"),
    ],
)
def test_bad_parameters(parameters: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_sphere_mixture(**parameters)
