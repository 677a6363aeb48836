"""`posterior_scale`, `distance_weight` and `distance_metric` of the estimators."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.stats import pearsonr
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.metrics import pairwise_distances
from sklearn.metrics.pairwise import cosine_distances, nan_euclidean_distances
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import skccvae
from skccvae import (
    AutoencoderTransformer,
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)
from skccvae.datasets import make_branching_diffusion
from skccvae.nn import Latent

FAST = {"hidden_layer_sizes": (16,), "max_epochs": 2, "random_state": 0}
MODELS = {
    "gaussian": GaussianVAETransformer(**FAST),
    "spherical": SphericalVAETransformer(**FAST),
    "wrapped sphere": SphericalVAETransformer(posterior="wrapped_normal", **FAST),
    "projected": SphericalVAETransformer(posterior="projected_normal", **FAST),
    "hyperbolic": HyperbolicVAETransformer(**FAST),
    "learned": ConstantCurvatureVAETransformer(curvature=-1.0, learn_curvature=True, **FAST),
    "mixed": MixedCurvatureVAETransformer("s2,h2,e1", **FAST),
}


@pytest.fixture(scope="module")
def tree():
    return make_branching_diffusion(200, depth=4, random_state=0)


def _agreement(vae, tree):
    latent = np.asarray(vae.geodesic_distances(vae.transform(tree.data)))
    upper = np.triu_indices(len(latent), 1)
    return pearsonr(latent[upper], tree.tree_distances[np.ix_(tree.node, tree.node)][upper])[0]


def test_the_weight_makes_distances_agree_with_a_tree():
    tree, fits = make_branching_diffusion(random_state=0), {}
    for weight in (0.0, 1.0):
        vae = HyperbolicVAETransformer(distance_weight=weight, max_epochs=60, random_state=0)
        fits[weight] = vae.fit(tree.data)
    assert _agreement(fits[1.0], tree) > _agreement(fits[0.0], tree) + 0.1
    stress = fits[1.0].history_["stress"]
    assert len(stress) == 60
    assert 0 < stress[-1] < stress[0] < 1
    assert "stress" not in fits[0.0].history_


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("scale", ["shared", 0.3])
def test_scales_of_all_rows(name, scale, tree):
    vae = clone(MODELS[name]).set_params(posterior_scale=scale).fit(tree.data)
    again = clone(vae).fit(tree.data)
    assert np.array_equal(vae.transform(tree.data), again.transform(tree.data))
    assert np.isfinite(vae.score_samples(tree.data[:5])).all()
    assert vae.sample(3, random_state=0).shape == (3, 50)
    if name in {"gaussian", "hyperbolic", "wrapped sphere"}:
        found = vae.posterior_distribution(tree.data).scale
        assert float(found.max() - found.min()) < 1e-6
        if scale == 0.3:
            assert float(found.max()) == pytest.approx(0.3)


@pytest.mark.parametrize("name", [*MODELS, "autoencoder"])
def test_the_term_with_every_space_and_through_files(name, tree, tmp_path):
    model = AutoencoderTransformer(**FAST) if name == "autoencoder" else clone(MODELS[name])
    vae = model.set_params(distance_weight=1.0, posterior_scale="shared").fit(tree.data)
    assert all(0 < value < 1 for value in vae.history_["stress"])
    assert np.isfinite(vae.loss_curve_).all()
    vae.save(tmp_path / "model.safetensors")
    for other in (skccvae.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(vae))):
        assert np.array_equal(other.transform(tree.data), vae.transform(tree.data))
        assert other.partial_fit(tree.data).history_["stress"][-1] > 0


def test_sparse_rows_images_and_partial_fit():
    rng = np.random.default_rng(0)
    bits = (rng.random((60, 36)) < 0.3).astype(np.float32)
    dense = HyperbolicVAETransformer(distance_weight=1.0, **FAST).fit(bits)
    sparse = HyperbolicVAETransformer(distance_weight=1.0, **FAST).fit(sp.csr_matrix(bits))
    assert np.array_equal(dense.transform(bits), sparse.transform(sp.csr_matrix(bits)))
    images = SphericalVAETransformer(
        encoder="conv", decoder="conv", distance_weight=1.0, **FAST
    ).fit(bits.reshape(-1, 6, 6))
    assert images.history_["stress"][-1] > 0
    streamed = clone(dense)
    for _ in range(3):
        streamed.partial_fit(bits)
    assert len(streamed.history_["stress"]) == 3


def test_early_stopping_sees_the_term(tree):
    vae = GaussianVAETransformer(
        distance_weight=1.0, early_stopping=True, hidden_layer_sizes=(16,), random_state=0
    ).fit(tree.data)
    history = vae.history_
    module = vae.net_.module_
    scale = float(module.distance_scale)
    assert scale > 0
    loss = -np.array(history["valid_elbo"]) + scale * np.array(history["valid_stress"])
    settled = vae.net_.settled_after_
    assert 5 <= settled < len(loss)
    assert np.array(history["valid_loss"])[settled:] == pytest.approx(loss[settled:], rel=1e-6)


def test_early_stopping_warns_where_the_scale_takes_all_epochs(tree):
    vae = GaussianVAETransformer(distance_weight=1.0, early_stopping=True, **FAST)
    with pytest.warns(UserWarning, match="scale of the distance term"):
        vae.fit(tree.data)


def test_ratios_are_those_of_the_rows_as_they_are():
    """Counts are centred for the encoder; their Tanimoto distances are not those of that."""
    counts = np.random.default_rng(0).poisson(0.5, size=(64, 30)).astype(float)
    seen = []
    vae = GaussianVAETransformer(
        distance_weight=1.0,
        distance_metric=lambda rows: seen.append(rows) or cosine_distances(rows),
        **FAST,
    ).fit(counts)
    assert vae.likelihood_ == "count_gaussian"
    assert np.sort(seen[0], axis=0) == pytest.approx(np.sort(counts, axis=0), abs=1e-5)


def test_starts_are_compared_by_one_scale(tree):
    settings = FAST | {"max_epochs": 12, "init": "random", "distance_weight": 1.0}
    fits = [GaussianVAETransformer(n_init=n, **settings).fit(tree.data) for n in (1, 4)]
    scale = float(fits[0].net_.module_.distance_scale)
    assert fits[1]._final_loss(scale) <= fits[0]._final_loss(scale)


def test_the_importance_weighted_objective_has_the_term(tree):
    vae = GaussianVAETransformer(
        distance_weight=1.0, objective="iwae", n_latent_samples=3, **FAST
    ).fit(tree.data)
    assert vae.history_["stress"][-1] > 0


def test_metrics_by_name_and_by_function():
    bits = (np.random.default_rng(0).random((50, 30)) < 0.4).astype(float)
    settings = {"distance_weight": 1.0, "likelihood": "bernoulli", **FAST}
    by_name = GaussianVAETransformer(distance_metric="cosine", **settings).fit(bits)
    function = GaussianVAETransformer(distance_metric=cosine_distances, **settings).fit(bits)
    assert by_name.history_["stress"] == pytest.approx(function.history_["stress"], rel=1e-4)
    other = GaussianVAETransformer(distance_metric="jaccard", **settings).fit(bits)
    assert other.history_["stress"] != by_name.history_["stress"]


METRICS = {
    "cosine": "cosine",
    "jaccard": lambda a, b: 1 - a @ b / max(a @ a + b @ b - a @ b, 1e-9),
}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_by_name_reads_a_hole_as_the_encoder_does(name):
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (64, 12)).astype(float)
    counts[rng.random(counts.shape) < 0.3] = np.nan
    settings = {"likelihood": "poisson", "missing": "mask", "distance_weight": 1.0, **FAST}
    vae = GaussianVAETransformer(distance_metric=name, **settings).fit(counts)
    seen = []

    def filled(rows):
        seen.append(rows)
        return pairwise_distances(np.nan_to_num(rows), metric=METRICS[name])

    function = GaussianVAETransformer(distance_metric=filled, **settings).fit(counts)
    assert np.isnan(seen[0]).any()
    assert vae.history_["stress"] == pytest.approx(function.history_["stress"], rel=1e-4)


def test_a_function_gets_nan_where_a_value_is_missing():
    rows = load_wine().data
    rows[np.random.default_rng(0).random(rows.shape) < 0.2] = np.nan
    settings = {"missing": "mask", "distance_weight": 1.0, **FAST}
    vae = GaussianVAETransformer(distance_metric=nan_euclidean_distances, **settings).fit(rows)
    assert np.isfinite(vae.history_["stress"]).all()
    with pytest.raises(ValueError, match="Rows have NaN where a value is missing"):
        GaussianVAETransformer(distance_metric=_plain, **settings).fit(rows)


def _plain(rows):
    return np.linalg.norm(rows[:, None] - rows, axis=-1)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda X: pairwise_distances(X)[:, :3], r"shape \(50, 50\) for 50 rows; it returned"),
        (lambda X: pairwise_distances(X) * np.nan, "finite and not negative"),
        (lambda X: -pairwise_distances(X), "finite and not negative"),
        (lambda X: np.exp(-pairwise_distances(X)), "0 for the distance of a row to itself"),
        (lambda X: np.triu(pairwise_distances(X)), "symmetric"),
    ],
)
def test_metrics_that_return_something_else(metric, message):
    X = np.random.default_rng(0).normal(size=(50, 4))
    vae = GaussianVAETransformer(distance_weight=1.0, distance_metric=metric, **FAST)
    with pytest.raises(ValueError, match=message):
        vae.fit(X)
    assert not hasattr(vae, "net_")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("posterior_scale", "fixed"),
        ("posterior_scale", 0.0),
        ("posterior_scale", -1.0),
        ("posterior_scale", np.nan),
        ("distance_weight", -1.0),
        ("distance_metric", "minkowsky"),
    ],
)
def test_values_out_of_range(parameter, value):
    with pytest.raises(ValueError, match=parameter):
        GaussianVAETransformer(**{parameter: value}).fit(np.eye(10))


@pytest.mark.parametrize("size", [1, 2])
def test_batches_of_one_or_two_rows_have_no_distances_to_compare(tree, size):
    with pytest.raises(ValueError, match=f"batch_size={size} leaves none to compare"):
        GaussianVAETransformer(distance_weight=1.0, batch_size=size, **FAST).fit(tree.data)


class Parts(IterableDataset):
    """Batches of a given size, or single rows, and if wanted three rows at the end."""

    def __init__(self, X, size=1, rows=False, three=False):
        self.X, self.size, self.rows, self.three = X, size, rows, three

    def __iter__(self):
        if self.rows:
            yield from self.X[:20]
        else:
            yield from (self.X[k : k + self.size] for k in range(0, 20, self.size))
        if self.three:
            yield self.X[20:23]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("loader", [False, True])
def test_a_stream_of_small_batches_has_no_distances_to_compare(tree, method, size, loader):
    X = tree.data.astype(np.float32)
    stream = Parts(X, size)
    if loader:
        stream = DataLoader(TensorDataset(torch.from_numpy(X[:20])), batch_size=size)
    vae = GaussianVAETransformer(distance_weight=1.0, **FAST)
    message = f"needs at least three rows; the largest batch of .* has n_samples={size}"
    with pytest.raises(ValueError, match=message):
        getattr(vae, method)(stream)
    assert not hasattr(vae, "net_")
    getattr(vae.set_params(distance_weight=0.0), method)(stream)
    with pytest.raises(ValueError, match=message):
        vae.set_params(distance_weight=1.0).partial_fit(stream)


@pytest.mark.parametrize("settings", [{"three": True}, {"rows": True}])
def test_one_larger_batch_has_distances(tree, settings):
    vae = GaussianVAETransformer(distance_weight=1.0, batch_size=8, **FAST)
    vae.fit(Parts(tree.data, **settings))
    assert vae.history_["stress"][-1] > 0


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_rows_have_no_distances_to_compare(tree, n):
    vae = GaussianVAETransformer(distance_weight=1.0, **FAST)
    for method in (vae.fit, vae.partial_fit):
        with pytest.raises(ValueError, match=f"three rows to train on; X has n_samples={n}"):
            method(tree.data[:n])
    with pytest.raises(ValueError, match=f"n_samples={n}"):
        vae.fit(tree.data[:9], sample_weight=np.arange(9) < n)
    with pytest.raises(ValueError, match=rf"n_samples={n + 1}, of which early_stopping leaves {n}"):
        vae.set_params(early_stopping=True, validation_fraction=0.3).fit(tree.data[: n + 1])


def test_a_posterior_of_the_users_has_its_own_scale():
    with pytest.raises(ValueError, match="posterior_scale='shared' cannot be combined"):
        SphericalVAETransformer(posterior=Latent, posterior_scale="shared").fit(np.eye(10))


def test_the_weight_can_change_while_training_goes_on(tree):
    vae = GaussianVAETransformer(warm_start=True, **FAST | {"max_epochs": 7}).fit(tree.data)
    vae.set_params(distance_weight=1.0).fit(tree.data)
    stress = vae.history_["stress"]
    assert np.isnan(stress[:7]).all()
    assert np.isfinite(stress[7:]).all()
    assert float(vae.net_.module_.distance_scale) > 0
    vae.set_params(distance_weight=0.0).fit(tree.data)
    assert np.isnan(vae.history_["stress"][-1])
