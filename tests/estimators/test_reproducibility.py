"""Same random state, same bits; no global random state is touched; models travel."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone

import skccvae


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"binarize": "dynamic"},
        {"early_stopping": True, "n_latent_samples": 3},
        {"objective": "iwae", "n_latent_samples": 4},
    ],
    ids=str,
)
def test_same_random_state_same_bits(make, small, settings, outputs, assert_same_bits):
    first = make(**settings).fit(small)
    torch.manual_seed(99)  # nothing may depend on the global states either
    np.random.seed(99)
    second = make(**settings).fit(small)
    assert_same_bits(outputs(first, small), outputs(second, small))
    assert first.loss_curve_ == second.loss_curve_
    other = make(**settings).set_params(random_state=1).fit(small)
    assert not np.array_equal(other.transform(small), first.transform(small))


def test_a_random_state_instance_gives_two_different_fits_that_repeat(make, small):
    def fit_twice():
        state = np.random.RandomState(3)
        return [make(random_state=state).fit(small).transform(small) for _ in range(2)]

    one, two = fit_twice(), fit_twice()
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert not np.array_equal(one[0], one[1])


def test_random_state_none_differs_from_fit_to_fit(make, small):
    X = [make(random_state=None).fit(small).transform(small) for _ in range(2)]
    assert not np.array_equal(*X)


def test_sample_takes_its_own_random_state(make_vae, small):
    vae = make_vae().fit(small)
    assert np.array_equal(vae.sample(4), vae.sample(4))
    assert np.array_equal(vae.sample(4, random_state=5), vae.sample(4, random_state=5))
    assert not np.array_equal(vae.sample(4, random_state=5), vae.sample(4))
    state = np.random.RandomState(0)
    assert not np.array_equal(vae.sample(4, state), vae.sample(4, state))
    with pytest.raises(ValueError, match="random_state must be None, an integer .* got 'seven'"):
        vae.sample(4, random_state="seven")


def global_states() -> tuple:
    kind, keys, *rest = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), kind, keys.tobytes(), *rest


@pytest.mark.parametrize("random_state", [0, None], ids=["seeded", "unseeded"])
@pytest.mark.parametrize("settings", [{}, {"binarize": "dynamic", "early_stopping": True}], ids=str)
def test_global_random_states_are_untouched(make, small, tmp_path, settings, random_state):
    vae = make(random_state=random_state, **settings)
    path = tmp_path / "model.skccvae"
    calls = {
        "fit": lambda: vae.fit(small),
        "partial_fit": lambda: vae.partial_fit(small),
        "fit_transform": lambda: clone(vae).fit_transform(small),
        "transform": lambda: vae.transform(small),
        "inverse_transform": lambda: vae.inverse_transform(vae.transform(small)),
        "score_samples": lambda: vae.score_samples(small, 4),
        "score": lambda: vae.score(small),
        "evaluate": lambda: vae.evaluate(small, 4),
        "sample": lambda: hasattr(vae, "sample") and vae.sample(3),
        "posterior_distribution": lambda: (
            hasattr(vae, "posterior_distribution") and vae.posterior_distribution(small)
        ),
        "interpolate": lambda: vae.interpolate(small[:2], small[2:4], 3),
        "geodesic_distances": lambda: vae.geodesic_distances(vae.transform(small)),
        "get_feature_names_out": lambda: vae.get_feature_names_out(),
        "save": lambda: vae.save(path),
        "load": lambda: skccvae.load(path),
        "pickle": lambda: pickle.loads(pickle.dumps(vae)),
    }
    torch.manual_seed(123)
    np.random.seed(123)
    before = global_states()
    for name, call in calls.items():
        call()
        assert global_states() == before, name


def test_global_states_are_untouched_when_fitting_fails(small):
    encoder = torch.nn.Linear(3, 2)  # for three columns; small has five
    vae = skccvae.GaussianVAETransformer(max_epochs=1, encoder=encoder)
    before = global_states()
    with pytest.raises(ValueError, match="does not accept a batch"):
        vae.fit(small)
    assert global_states() == before


def test_global_settings_of_torch_are_untouched(make, small):
    vae = make().fit(small)
    with pytest.raises(ValueError, match="features"):
        vae.transform(small[:, :2])
    vae.transform(small)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert torch.get_default_dtype() == torch.float32


def test_an_error_inside_transform_does_not_leave_a_mode_behind(small, monkeypatch):
    vae = skccvae.GaussianVAETransformer(max_epochs=1, hidden_layer_sizes=(4,)).fit(small)

    def fail(*args):
        raise RuntimeError("no chart today")

    monkeypatch.setattr(type(vae.manifold_), "to_chart", fail)
    with pytest.raises(RuntimeError, match="no chart today") as caught:
        vae.transform(small)
    # `caught` keeps the frames alive, as a debugger or a notebook would.
    assert caught.tb is not None
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_another_default_dtype_does_not_matter(make, small):
    expected = make().fit(small).transform(small)
    torch.set_default_dtype(torch.float64)
    try:
        vae = make().fit(small)
        Z = vae.transform(small)
        vae.score_samples(small, 4)
        vae.inverse_transform(Z)
    finally:
        torch.set_default_dtype(torch.float32)
    assert Z.dtype == expected.dtype == np.float32


# --- other processes ------------------------------------------------------------------------------

READER = """
import pickle, sys
import numpy as np, torch
import skccvae
torch.set_num_threads(1)
folder, kinds = sys.argv[1], sys.argv[2:]
X = np.load(folder + "/X.npy")
for kind in kinds:
    with open(f"{folder}/{kind}.pickle", "rb") as file:
        models = {"pickle": pickle.load(file), "save": skccvae.load(f"{folder}/{kind}.skccvae")}
    for how, vae in models.items():
        Z = vae.transform(X)
        parts = [Z, vae.inverse_transform(Z), vae.score_samples(X, 8)]
        if hasattr(vae, "sample"):
            parts.append(vae.sample(5))
        np.save(f"{folder}/{kind}.{how}.npy", np.concatenate([part.ravel() for part in parts]))
"""


def test_a_pickle_and_a_saved_model_give_the_same_bits_in_another_process(small, tmp_path):
    import skccvae.estimators as e

    kinds = {
        "autoencoder": e.AutoencoderTransformer,
        "gaussian": e.GaussianVAETransformer,
        "spherical": e.SphericalVAETransformer,
        "hyperbolic": e.HyperbolicVAETransformer,
    }
    np.save(tmp_path / "X.npy", small)
    expected = {}
    for kind, cls in kinds.items():
        vae = cls(max_epochs=2, hidden_layer_sizes=(16,), random_state=0, device="cpu").fit(small)
        (tmp_path / f"{kind}.pickle").write_bytes(pickle.dumps(vae))
        vae.save(tmp_path / f"{kind}.skccvae")
        Z = vae.transform(small)
        parts = [Z, vae.inverse_transform(Z), vae.score_samples(small, 8)]
        if hasattr(vae, "sample"):
            parts.append(vae.sample(5))
        expected[kind] = np.concatenate([part.ravel() for part in parts])
    subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path), *kinds],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "17"},
    )
    for kind in kinds:
        for how in ("pickle", "save"):
            found = np.load(tmp_path / f"{kind}.{how}.npy")
            assert found.tobytes() == expected[kind].tobytes(), (kind, how)


def test_training_goes_on_from_a_pickle_as_if_nothing_had_happened(
    make, small, outputs, assert_same_bits
):
    vae = make(binarize="dynamic").fit(small)
    twin = pickle.loads(pickle.dumps(vae))
    assert_same_bits(
        outputs(vae.partial_fit(small), small), outputs(twin.partial_fit(small), small)
    )


def test_a_loaded_model_has_all_fitted_attributes_and_trains_on(
    make, small, tmp_path, outputs, assert_same_bits
):
    vae = make(binarize=0.5, beta=0.5).fit(small)
    vae.save(tmp_path / "m")
    back = skccvae.load(tmp_path / "m")
    assert type(back) is type(vae)
    assert back.get_params() == vae.get_params()
    for name in (
        "n_features_in_",
        "n_iter_",
        "loss_curve_",
        "history_",
        "curvature_",
        "likelihood_",
        "device_",
    ):
        assert getattr(back, name) == getattr(vae, name), name
    assert repr(back.manifold_) == repr(vae.manifold_)
    assert_same_bits(outputs(back, small), outputs(vae, small))
    back.partial_fit(small)
    assert len(back.loss_curve_) == 3


def test_saved_models_keep_names_scaling_targets_and_shapes(real, tmp_path):
    import pandas as pd

    frame = pd.DataFrame(real, columns=list("abcde"))
    y = np.where(real[:, 0] > 3, "high", "low").astype(object)
    y[:5] = None
    vae = skccvae.GaussianVAETransformer(
        max_epochs=1, hidden_layer_sizes=[8], supervised_weight=1.0, random_state=0
    ).fit(frame, y)
    vae.save(tmp_path / "m")
    back = skccvae.load(tmp_path / "m")
    assert list(back.feature_names_in_) == list("abcde")
    with pytest.raises(ValueError, match="feature names should match"):
        back.transform(frame[list("edcba")])
    assert np.array_equal(back.transform(frame), vae.transform(frame))
    assert np.array_equal(back.score_samples(frame), vae.score_samples(frame))
    back.partial_fit(frame, y)

    images = np.random.default_rng(0).random((20, 4, 3))
    vae = skccvae.SphericalVAETransformer(max_epochs=1, hidden_layer_sizes=(8,)).fit(images)
    vae.save(tmp_path / "i")
    assert skccvae.load(tmp_path / "i").sample(2, 0).shape == (2, 4, 3)


def test_save_survives_what_callbacks_leave_in_the_history(small, tmp_path):
    from skorch.callbacks import Callback

    class Noter(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("grad", np.float32(2.0))
            net.history.record("thing", object())

        def on_batch_end(self, net, **kwargs):
            net.history.record_batch("size", 1)

    vae = skccvae.GaussianVAETransformer(
        max_epochs=2, hidden_layer_sizes=(8,), callbacks=[Noter()]
    ).fit(small)
    vae.save(tmp_path / "m")
    assert skccvae.load(tmp_path / "m").history_["grad"] == [2.0, 2.0]


def test_save_says_why_a_module_of_the_user_cannot_be_saved(small, tmp_path):
    vae = skccvae.GaussianVAETransformer(
        max_epochs=1, hidden_layer_sizes=(8,), encoder=torch.nn.Linear(5, 4)
    ).fit(small)
    with pytest.raises(TypeError, match="save cannot store encoder=.* without pickle. Use pickle"):
        vae.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()
    twin = pickle.loads(pickle.dumps(vae))
    assert np.array_equal(twin.transform(small), vae.transform(small))


def test_save_and_load_need_a_fitted_estimator_and_a_known_device(small, tmp_path):
    vae = skccvae.GaussianVAETransformer(max_epochs=1, hidden_layer_sizes=(8,))
    with pytest.raises(ValueError, match="not fitted"):
        vae.save(tmp_path / "m")
    vae.fit(small).save(tmp_path / "m")
    assert skccvae.load(tmp_path / "m", device="cpu").device_ == "cpu"
    with pytest.raises(ValueError, match="device must be 'auto', 'cpu'.* got 'abacus'"):
        skccvae.load(tmp_path / "m", device="abacus")


# --- pickles --------------------------------------------------------------------------------------


def test_a_model_does_not_grow_with_the_training_data(make, tmp_path):
    rng = np.random.default_rng(0)
    settings = {"max_epochs": 1, "batch_size": 4096, "early_stopping": True}
    pickles, files = [], []
    for n in (200, 4000):
        vae = make(**settings).fit(rng.random((n, 5)))
        pickles.append(len(pickle.dumps(vae)))
        vae.save(tmp_path / "m")
        files.append((tmp_path / "m").stat().st_size)
    assert abs(pickles[1] - pickles[0]) < 200
    assert abs(files[1] - files[0]) < 200


class _CollectTensors(pickle.Pickler):
    """Pickler that notes every tensor on its way."""

    def __init__(self, file):
        super().__init__(file)
        self.devices: list[str] = []

    def reducer_override(self, obj):
        if isinstance(obj, torch.Tensor):
            self.devices.append(str(obj.device))
        return NotImplemented


def test_a_pickle_holds_cpu_tensors_only(make, small):
    """None for a model of this package, and for a network of the user's those on the CPU."""
    for encoder in ("mlp", torch.nn.Linear(5, 4)):
        pickler = _CollectTensors(io.BytesIO())
        pickler.dump(make(encoder=encoder).fit(small))
        assert set(pickler.devices) == (set() if encoder == "mlp" else {"cpu"})


def test_a_model_from_a_gpu_works_on_a_machine_without_one(make, small, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    vae = make().fit(small)
    expected = vae.transform(small)
    # What a pickle from a machine with a GPU says, with tensors on the CPU as always.
    vae.net_.device = "cuda:0"
    vae.device_ = "cuda:0"
    twin = pickle.loads(pickle.dumps(vae))
    assert twin.device_ == "cpu"
    assert twin.net_.device == "cpu"
    assert np.array_equal(twin.transform(small), expected)
    twin.score_samples(small, 4)
    if hasattr(twin, "sample"):
        twin.sample(2)
    twin.partial_fit(small)


@pytest.mark.gpu
def test_a_model_from_a_gpu_is_pickled_with_cpu_tensors(make, small):
    vae = make(device="cuda", encoder=torch.nn.Linear(5, 4)).fit(small)
    assert vae.device_.startswith("cuda")
    pickler = _CollectTensors(io.BytesIO())
    pickler.dump(vae.net_)
    pickler.dump(vae)
    assert set(pickler.devices) == {"cpu"}
    assert next(vae.net_.module_.parameters()).is_cuda
    twin = pickle.loads(pickle.dumps(vae))
    np.testing.assert_allclose(twin.transform(small), vae.transform(small), rtol=1e-4, atol=1e-5)
