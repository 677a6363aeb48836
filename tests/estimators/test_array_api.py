"""Torch tensors as X and y, with and without scikit-learn's ``array_api_dispatch``."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_array_api_input_and_values

from skccvae import GaussianVAETransformer, HyperbolicVAETransformer
from skccvae._array_api import as_numpy
from skccvae.metrics import GeodesicDistance
from skccvae.plotting import LatentDisplay, ReconstructionDisplay

# SciPy reads the variable when it is imported; `make contract` sets it for a run of these tests.
needs_dispatch = [
    pytest.mark.sklearn_contract,
    pytest.mark.skipif(
        os.environ.get("SCIPY_ARRAY_API") != "1", reason="SCIPY_ARRAY_API=1 is not set"
    ),
]
DTYPES = [
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
]
# Numbers that every one of the types holds.
BITS = np.random.default_rng(0).integers(0, 2, (40, 5)).astype(np.float64)
FAST = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0, "device": "cpu"}


def results(vae, X, Z):
    """What the methods that take rows or latent points return."""
    return {
        "transform": vae.transform(X),
        "inverse_transform": vae.inverse_transform(Z),
        "score_samples": vae.score_samples(X, 4),
        "interpolate": vae.interpolate(X[:3], X[3:6], 4),
        "geodesic_distances": vae.geodesic_distances(Z, Z[:3]),
        "score": vae.score(X),
        "evaluate": list(vae.evaluate(X, 4).values()),
    }


def plain(vae, X):
    vae = clone(vae).fit(X)
    return results(vae, X, vae.transform(X))


def assert_equal_tensors(found, expected, device="cpu"):
    """The same numbers of the same precision, arrays as tensors on the device."""
    for name, value in expected.items():
        if isinstance(value, np.ndarray):
            assert isinstance(found[name], torch.Tensor), name
            assert found[name].device.type == device
            assert found[name].cpu().numpy().dtype == value.dtype, name
        np.testing.assert_array_equal(as_numpy(found[name]), value, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_of_every_type_without_dispatch(make, dtype):
    expected = plain(make(), BITS)
    X = torch.tensor(BITS).to(dtype)
    vae = make().fit(X)
    Z = torch.from_numpy(vae.transform(X)).requires_grad_()
    found = results(vae, X, Z)
    for name, value in expected.items():
        assert type(found[name]) is type(value), name
        np.testing.assert_array_equal(found[name], value, err_msg=name)


class TestDispatch:
    pytestmark = needs_dispatch

    @pytest.fixture(autouse=True)
    def dispatch(self):
        with config_context(array_api_dispatch=True):
            yield

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_tensors_of_every_type(self, make, dtype):
        with config_context(array_api_dispatch=False):
            expected = plain(make(), BITS)
        X = torch.tensor(BITS).to(dtype)
        vae = make()
        Z = vae.fit_transform(X)
        assert_equal_tensors(results(vae, X, Z), expected)
        # A library differs from that of fit: results are of the kind that this call was given.
        assert isinstance(vae.transform(BITS), np.ndarray)
        assert isinstance(vae.inverse_transform(Z.numpy()), np.ndarray)

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_tensors_in_a_pipeline(self, make, dtype):
        X = torch.tensor(BITS).to(dtype)
        scaler = StandardScaler().fit(X)
        scaled = scaler.transform(X)
        expected = plain(make(), as_numpy(scaled))
        pipeline = make_pipeline(StandardScaler(), make()).fit(X)
        Z = pipeline.transform(X)
        found = {
            "transform": Z,
            "score_samples": pipeline.score_samples(X),
            "score": pipeline.score(X),
            "inverse_transform": pipeline.inverse_transform(Z),
        }
        back = scaler.inverse_transform(torch.from_numpy(expected["inverse_transform"]))
        wanted = {
            "transform": expected["transform"],
            "score_samples": pipeline[-1].score_samples(as_numpy(scaled)),
            "score": expected["score"],
            "inverse_transform": back.numpy(),
        }
        assert_equal_tensors(found, wanted)

    def test_results_are_of_the_kind_that_those_of_pca_are(self):
        X = torch.tensor(BITS, dtype=torch.float32)
        for estimator in (PCA(2), GaussianVAETransformer(**FAST)):
            Z = estimator.fit(X).transform(X)
            assert isinstance(Z, torch.Tensor)
            assert isinstance(estimator.inverse_transform(X=Z), torch.Tensor)
            assert isinstance(estimator.score_samples(X), torch.Tensor)
            assert isinstance(estimator.score(X), float)

    def test_other_containers_are_read_as_without_dispatch(self, make):
        frame = pd.DataFrame(BITS)
        dataset = torch.utils.data.TensorDataset(torch.tensor(BITS, dtype=torch.float32))
        for X in (BITS, BITS.tolist(), frame, sp.csr_array(BITS), dataset):
            vae = make()
            found = [vae.fit(X).transform(X), vae.score_samples(X, 4)]
            with config_context(array_api_dispatch=False):
                expected = [clone(vae).fit(X).transform(X), vae.score_samples(X, 4)]
            for a, b in zip(found, expected, strict=True):
                assert isinstance(a, np.ndarray)
                np.testing.assert_array_equal(a, b)

    def test_images_and_labels_as_tensors(self):
        X = torch.tensor(BITS).reshape(40, 5, 1)
        y = torch.arange(40) % 3
        vae = GaussianVAETransformer(supervised_weight=1.0, **FAST).fit(X, y)
        np.testing.assert_array_equal(vae.classes_, [0, 1, 2])
        assert vae.inverse_transform(vae.transform(X)).shape == X.shape

    def test_distances_and_displays(self):
        X = torch.tensor(BITS)
        vae = HyperbolicVAETransformer(**FAST).fit(X)
        metric = GeodesicDistance(vae.manifold_, vae.coordinates)
        assert isinstance(metric.pairwise(vae.transform(X)), torch.Tensor)
        assert LatentDisplay.from_estimator(vae, X).points.shape == (40, 3)
        display = ReconstructionDisplay.from_estimator(vae, X, n_images=3, image_shape=(1, 5))
        np.testing.assert_array_equal(display.originals.reshape(3, 5), BITS[:3])

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_scikit_learns_own_check(self, make, dtype):
        vae = make(likelihood="gaussian")
        check_array_api_input_and_values(type(vae).__name__, vae, "torch", "cpu", dtype)

    @pytest.mark.gpu
    def test_tensors_on_a_gpu(self, make):
        X = torch.tensor(BITS)
        vae = make(device="cuda").fit(X)
        expected = results(vae, X, vae.transform(X))
        found = results(vae, X.cuda(), vae.transform(X.cuda()))
        assert_equal_tensors(found, {n: as_numpy(v) for n, v in expected.items()}, "cuda")


def test_complex_and_sparse_tensors_are_refused():
    X = torch.tensor(BITS)
    with pytest.raises(ValueError, match="Complex data not supported"):
        GaussianVAETransformer(**FAST).fit(X.to(torch.complex64))
    with pytest.raises(TypeError, match="to_dense"):
        GaussianVAETransformer(**FAST).fit(X.to_sparse())
