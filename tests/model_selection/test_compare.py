"""What is fitted, what is measured, and which geometry it finds."""

from __future__ import annotations

import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from torch.utils.data import DataLoader, TensorDataset

from skccvae import GaussianVAETransformer, SphericalVAETransformer
from skccvae.datasets import make_sphere_mixture
from skccvae.metrics import pairwise_geodesic_distances
from skccvae.model_selection import compare_geometries
from skccvae.model_selection._measures import Target, nearest_rows, neighbour_measure
from skccvae.model_selection._split import SplitJob, fit_ppca

FAST = {"max_epochs": 2, "hidden_layer_sizes": (8,), "device": "cpu"}


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 2)) @ rng.normal(size=(2, 6)) + 0.3 * rng.normal(size=(90, 6))
    return X, (X[:, 0] > 0).astype(int)


# --- which geometry it finds ----------------------------------------------------------------------


def test_a_sphere_is_found() -> None:
    caps = make_sphere_mixture(400, n_features=20, concentration=0.0, random_state=0)
    from skccvae.manifolds import Sphere

    D = pairwise_geodesic_distances(caps.latent, manifold=Sphere(2))
    result = compare_geometries(
        caps.data, distances=D, n_repeats=3, max_epochs=25, random_state=0, device="cpu"
    )
    for criterion in ("log_likelihood", "elbo", "mean_squared_error", "pearson", "spearman"):
        assert result.best(criterion) == "sphere"


def test_noise_has_no_geometry() -> None:
    X = np.random.default_rng(0).normal(size=(200, 10))
    y = np.arange(200) % 2
    result = compare_geometries(X, y, max_epochs=5, random_state=0, device="cpu")
    assert result.best("log_likelihood") == "no difference"
    assert result.best("knn_accuracy") == "no difference"


# --- what is measured -----------------------------------------------------------------------------


def test_measures_are_those_of_a_fit_by_hand(table) -> None:
    X, y = table
    train, test = np.arange(60), np.arange(60, 90)
    job = SplitJob(
        X, None, y, Target(y.astype(float), False), None, ("pca", "plane", "sphere"), 2, 5, FAST
    )
    likelihood, measured = job(train, test, 7)
    assert likelihood == "isotropic_gaussian"
    for name, kind in (("plane", GaussianVAETransformer), ("sphere", SphericalVAETransformer)):
        vae = kind(2, random_state=7, **FAST).fit(X[train])
        codes, new = vae.transform(X[train]), vae.transform(X[test])
        found = measured[name]
        np.testing.assert_allclose(found["log_likelihood"], vae.score(X[test]), rtol=1e-12)
        np.testing.assert_allclose(found["elbo"], vae.evaluate(X[test])["elbo"], rtol=1e-12)
        scale = np.sqrt(X[train].var(axis=0).mean())
        error = np.square((X[test] - vae.inverse_transform(new)) / scale).mean()
        # Rows in model units are float32.
        np.testing.assert_allclose(found["mean_squared_error"], error, rtol=1e-5)
        total = np.square((X[test] - X[train].mean(axis=0)) / scale).mean()
        np.testing.assert_allclose(found["explained_variance"], 1 - error / total, rtol=1e-5)
        upper = np.triu_indices(30, 1)
        latent = vae.geodesic_distances(new)[upper]
        r = np.corrcoef(latent, pairwise_distances(X[test])[upper])[0, 1]
        np.testing.assert_allclose(found["pearson"], r, rtol=1e-5)
        knn = KNeighborsClassifier(5, metric="precomputed")
        knn.fit(vae.geodesic_distances(codes), y[train])
        assert found["knn_accuracy"] == knn.score(vae.geodesic_distances(new, codes), y[test])
    pca = PCA(2).fit(X[train])
    # A density of the rows in their own units, as that of the models.
    np.testing.assert_allclose(measured["pca"]["log_likelihood"], pca.score(X[test]), rtol=1e-5)


def test_probabilistic_pca_is_the_linear_plane(table) -> None:
    X, _ = table
    result = compare_geometries(
        X,
        geometries=["pca", "plane"],
        n_repeats=2,
        random_state=0,
        max_epochs=1,
        learning_rate=1e-9,
    )
    # The plane starts as probabilistic PCA. What is left between them is its estimate of the noise,
    # which allows for the number of rows, and the gap of the bound.
    difference, _ = result.difference("log_likelihood", "pca", "plane")
    assert abs(difference) < 0.1


@pytest.mark.parametrize("n", [12, 200])
def test_probabilistic_pca_keeps_the_variance(n: int) -> None:
    # Components and noise share out the variance of the rows, also with fewer rows than columns.
    rows = np.random.default_rng(0).normal(size=(n, 30))
    covariance = fit_ppca(rows, 3, 0).get_covariance()
    np.testing.assert_allclose(np.trace(covariance), rows.var(axis=0, ddof=1).sum(), rtol=1e-10)


def test_neighbours_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    codes, new = rng.normal(size=(50, 2)), rng.normal(size=(20, 2))
    measured, classes = rng.normal(size=50), rng.integers(3, size=50)
    nearest = nearest_rows(pairwise_distances, new, codes, 5)
    for kind, y, wanted in (
        (KNeighborsRegressor, measured, rng.normal(size=20)),
        (KNeighborsClassifier, classes, rng.integers(3, size=20)),
    ):
        expected = kind(5).fit(codes, y).score(new, wanted)
        found = neighbour_measure(y[nearest], wanted, kind is KNeighborsRegressor)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_labels_of_all_kinds(table) -> None:
    X, y = table
    settings = {"geometries": ["plane"], "n_repeats": 2, "random_state": 0} | FAST
    numbers = compare_geometries(X, y, **settings).values["knn_accuracy"]
    text = compare_geometries(X, np.where(y, "yes", "no"), **settings).values["knn_accuracy"]
    np.testing.assert_array_equal(numbers, text)
    few = y.astype(float)
    few[:20] = np.nan
    assert np.isfinite(compare_geometries(X, few, **settings).values["knn_accuracy"]).all()
    assert "knn_r2" in compare_geometries(X, X[:, 0], **settings).criteria
    assert "knn_r2" not in compare_geometries(X, **settings).criteria


def test_labels_reach_supervised_models(table) -> None:
    X, y = table
    settings = {"geometries": ["plane"], "n_repeats": 2, "random_state": 0} | FAST
    plain = compare_geometries(X, y, **settings)
    taught = compare_geometries(X, y, supervised_weight=5.0, **settings)
    assert (plain.values["elbo"] != taught.values["elbo"]).all()


def test_distances_of_the_user(table) -> None:
    X, _ = table
    settings = {"geometries": ["pca", "plane"], "n_repeats": 2, "random_state": 0} | FAST
    default = compare_geometries(X, **settings).values
    matrix = compare_geometries(X, distances=pairwise_distances(X), **settings).values
    # One noise scale for all columns: model units are those of X up to a factor, in float32.
    np.testing.assert_allclose(default["pearson"], matrix["pearson"], rtol=1e-5)
    name = compare_geometries(X, distances="cityblock", **settings).values
    call = compare_geometries(X, distances=lambda a, b: np.abs(a - b).sum(), **settings).values
    np.testing.assert_allclose(name["spearman"], call["spearman"], rtol=1e-12)
    assert (name["pearson"] != matrix["pearson"]).all()


def test_containers_and_likelihoods() -> None:
    rng = np.random.default_rng(0)
    X = (rng.random((60, 4, 4)) < 0.3).astype(float)
    settings = {"n_repeats": 2, "random_state": 0} | FAST
    images = compare_geometries(X, **settings)
    rows = compare_geometries(X.reshape(60, 16), **settings)
    sparse = compare_geometries(sp.csr_array(X.reshape(60, 16)), **settings)
    assert images.likelihood == "bernoulli"
    assert np.isnan(images.values["elbo"][:, 0]).all()  # PCA has no density of bits
    for name, values in rows.values.items():
        np.testing.assert_array_equal(values, images.values[name])
        np.testing.assert_allclose(values, sparse.values[name], rtol=1e-5)
    grey = rng.random((60, 16))
    binary = compare_geometries(grey, binarize=0.5, **settings)
    # Reconstructions are probabilities, not bits.
    assert (binary.values["mean_squared_error"][:, 1:] < 0.3).all()


def test_columns_in_units_of_their_own(table) -> None:
    X = table[0] * 10.0 ** np.arange(6)
    settings = {"geometries": ["pca", "plane"], "n_repeats": 2, "random_state": 0} | FAST
    result = compare_geometries(X, **settings)
    assert result.likelihood == "gaussian"
    scaled = compare_geometries(X / X.std(axis=0), likelihood="gaussian", **settings)
    np.testing.assert_allclose(
        result.values["log_likelihood"],
        scaled.values["log_likelihood"] - np.log(X.std(axis=0)).sum(),
        rtol=1e-4,
    )


def test_seeds_and_threads(table) -> None:
    X, y = table
    settings = {"n_repeats": 2, "random_state": 3} | FAST
    once = compare_geometries(X, y, **settings)
    again = compare_geometries(X, y, **settings)
    other = compare_geometries(X, y, **settings | {"random_state": 4})
    with joblib.parallel_config(backend="threading"):
        threads = compare_geometries(X, y, n_jobs=2, **settings)
    for name in once.criteria:
        np.testing.assert_array_equal(once.values[name], again.values[name])
        # scikit-learn and NumPy may add up in another order.
        np.testing.assert_allclose(once.values[name], threads.values[name], rtol=1e-6)
    assert (once.values["elbo"] != other.values["elbo"]).all()
    assert (once.n_train, once.n_test, once.n_components) == (67, 23, 2)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"geometries": ["pca", "torus"]}, ValueError, "names from.*got .'pca', 'torus'."),
        ({"geometries": ["pca"]}, ValueError, "at least one other than 'pca'"),
        ({"geometries": ["plane", "plane"]}, ValueError, "each once"),
        ({"n_repeats": 1}, ValueError, "'n_repeats' parameter of compare_geometries"),
        ({"n_components": 0}, ValueError, "'n_components' parameter of compare_geometries"),
        ({"test_size": 1.5}, ValueError, "'test_size' parameter of compare_geometries"),
        ({"test_size": 0.01}, ValueError, "no distances to compare"),
        ({"distances": np.ones((90, 90))}, ValueError, "distances must have zeros"),
        ({"distances": np.zeros((9, 9))}, ValueError, "each of the 90 rows"),
        ({"distances": "crow"}, ValueError, "crow"),
        ({"y": np.zeros((90, 2))}, ValueError, "one label for each row; got 2 columns"),
        ({"y": np.zeros(9)}, ValueError, r"y must have shape \(90,\)"),
        ({"y": [0] * 3 + [None] * 87}, ValueError, "n_neighbors=5 needs that many"),
        ({"max_epoch": 3}, TypeError, "max_epoch"),
        ({"max_epochs": 0}, ValueError, "max_epochs"),
        ({"likelihood": "von_mises"}, ValueError, "angles, which have none"),
    ],
)
def test_bad_parameters(table, settings: dict, error, message: str) -> None:
    with pytest.raises(error, match=message):
        compare_geometries(table[0], **FAST | settings)


def test_bad_rows(table) -> None:
    X = table[0].copy()
    with pytest.raises(TypeError, match="TensorDataset.*Pass an array"):
        compare_geometries(TensorDataset(torch.from_numpy(X)), **FAST)
    with pytest.raises(TypeError, match="not possible with a stream.*DataLoader"):
        compare_geometries(DataLoader(torch.from_numpy(X)), **FAST)
    with pytest.raises(ValueError, match=f"as many components as X has columns, {X.shape[1]}"):
        compare_geometries(X, **FAST | {"n_components": X.shape[1] + 1})
    with pytest.raises(ValueError, match="as there are rows to fit it"):
        compare_geometries(X[:6], **FAST | {"n_components": 6})
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        compare_geometries(X, **FAST)
    with pytest.raises(ValueError, match="numeric"):
        compare_geometries([["a"], ["b"]], **FAST)


def test_a_constant_table_has_no_shares() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = compare_geometries(
            np.ones((40, 3)), geometries=["plane"], n_repeats=2, random_state=0, **FAST
        )
    assert np.isnan(result.values["explained_variance"]).all()
    assert np.isnan(result.values["pearson"]).all()
