"""What docs/how-to/many-machines.rst says of searches on engines other than joblib's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline

from skccvae import HyperbolicVAETransformer

GRID = {"latent__n_components": [2, 3, 4], "clf__C": [1.0, 0.1]}
LATENT = {
    "pca": PCA(random_state=0),
    "vae": HyperbolicVAETransformer(
        hidden_layer_sizes=(16,), max_epochs=2, random_state=0, device="cpu"
    ),
}


def deadly_step(marker: str | None = None) -> BaseEstimator:
    """A step that passes X on, and whose first fit outside of this process ends its process.

    The class is local, so that it is pickled by value: workers cannot import this file.
    """

    class Deadly(TransformerMixin, BaseEstimator):
        def __init__(self, marker=None, spared=None):
            self.marker = marker
            self.spared = spared

        def fit(self, X, y=None):
            if self.marker is not None and os.getpid() != self.spared:
                try:
                    os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    return self
                os._exit(1)
            return self

        def transform(self, X):
            return X

        def __sklearn_is_fitted__(self):
            return True

    return Deadly(marker, os.getpid())


def search(latent: str, cv: Any, marker: str | None = None, **settings: Any) -> GridSearchCV:
    steps = [("first", deadly_step(marker)), ("latent", LATENT[latent])]
    pipe = Pipeline([*steps, ("clf", LogisticRegression(max_iter=2000))])
    return GridSearchCV(pipe, GRID, cv=cv, **settings)


def assert_same_search(a: GridSearchCV, b: GridSearchCV, X: np.ndarray) -> None:
    assert a.best_params_ == b.best_params_
    scores = [name for name in a.cv_results_ if name.endswith("test_score")]
    assert len(scores) == 2 + 3 + 1  # mean, standard deviation, three splits and the rank
    assert all(np.array_equal(a.cv_results_[name], b.cv_results_[name]) for name in scores)
    assert np.array_equal(a.predict_proba(X), b.predict_proba(X))


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Client of a cluster of two worker processes on this machine, one thread each."""
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.mark.parametrize("latent", LATENT)
@pytest.mark.parametrize("dies", [False, True], ids=["all live", "one dies"])
def test_a_search_on_dask(client, digits, digit_labels, tmp_path, latent, dies):
    X, y = digits[:300], digit_labels[:300]
    marker = tmp_path / "died"
    cv = list(StratifiedKFold(3).split(X, y))
    here = search(latent, cv).fit(X, y)
    there = search(latent, cv, str(marker) if dies else None)
    client.wait_for_workers(2)
    client.amm.stop()  # it would drop all copies of the data but one
    data = [X, y, *(rows for split in cv for rows in split)]
    with joblib.parallel_config(backend="dask", scatter=data):
        there.fit(X, y)
    assert marker.exists() == dies
    assert_same_search(there, here, X)


@pytest.mark.parametrize("latent", LATENT)
def test_a_search_on_ray(digits, digit_labels, latent):
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from ray.util.joblib import register_ray

    X, y = digits[:300], digit_labels[:300]
    here = search(latent, 3).fit(X, y)
    register_ray()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        with joblib.parallel_config(backend="ray"):
            there = search(latent, 3, n_jobs=2).fit(X, y)
    finally:
        ray.shutdown()
    assert_same_search(there, here, X)


@pytest.mark.parametrize("max_epochs", ["auto", 3])
def test_halving_over_epochs(digits, digit_labels, max_epochs):
    vae = HyperbolicVAETransformer(
        hidden_layer_sizes=(16,), max_epochs=max_epochs, random_state=0, device="cpu"
    )
    pipe = Pipeline([("vae", vae), ("clf", LogisticRegression(max_iter=2000))])
    halving = HalvingGridSearchCV(
        pipe,
        {"vae__curvature": [-2.0, -0.5], "vae__n_components": [2, 5]},
        resource="vae__max_epochs",
        min_resources=2,
        max_resources=8,
        factor=2,
        cv=2,
        random_state=0,
    ).fit(digits[:200], digit_labels[:200])
    assert halving.n_resources_ == [2, 4, 8]
    assert halving.n_candidates_ == [4, 2, 1]
    assert halving.best_params_["vae__max_epochs"] == 8
    assert halving.best_estimator_["vae"].n_iter_ == 8
    assert pipe["vae"].max_epochs == max_epochs


def test_hyperband(client, digits, digit_labels):
    dask_ml = pytest.importorskip("dask_ml.model_selection", reason="dask-ml is not installed")
    X, y = digits[:200], digit_labels[:200]
    settings = {"max_iter": 4, "aggressiveness": 2, "test_size": 0.25, "random_state": 0}
    control = dask_ml.HyperbandSearchCV(SGDClassifier(), {"alpha": [1e-4, 1e-2]}, **settings)
    try:
        control.fit(X, y, classes=list(range(10)))
    except RuntimeError as error:
        if "asynchronous Client" not in str(error):
            raise
        pytest.skip("this dask-ml's searches fail with this Dask for SGDClassifier as well")
    vae = HyperbolicVAETransformer(hidden_layer_sizes=(16,), random_state=0, device="cpu")
    hyperband = dask_ml.HyperbandSearchCV(
        vae, {"curvature": [-2.0, -1.0, -0.5], "learning_rate": [1e-3, 3e-3]}, **settings
    ).fit(X, y)
    most = hyperband.metadata_["partial_fit_calls"]
    assert 0 < sum(hyperband.cv_results_["partial_fit_calls"]) <= most
    again = hyperband.best_estimator_.score(X)
    assert np.isfinite(again)
    best = hyperband.best_estimator_.get_params()
    assert best["curvature"] == hyperband.best_params_["curvature"]
