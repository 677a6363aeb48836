"""Copies, pickles and other processes: a fitted model travels as arrays, numbers and text."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import joblib
import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skccvae
from skccvae import GaussianVAETransformer, MixedCurvatureVAETransformer

cloudpickle = pytest.importorskip("cloudpickle")  # joblib's newer versions bring it
RNG = np.random.default_rng(0)
X = RNG.random((40, 5))
LABELS = np.array(["a", "b", "c"])[np.arange(40) % 3]
FAST = {"max_epochs": 2, "hidden_layer_sizes": (6,), "random_state": 0, "device": "cpu"}


def through_joblib(vae, folder):
    joblib.dump(vae, folder / "model")
    return joblib.load(folder / "model", mmap_mode="r")  # arrays that cannot be written to


ROUND_TRIPS = {
    "pickle": lambda vae, folder: pickle.loads(pickle.dumps(vae)),
    "oldest pickle": lambda vae, folder: pickle.loads(pickle.dumps(vae, protocol=2)),
    "cloudpickle": lambda vae, folder: pickle.loads(cloudpickle.dumps(vae)),
    "joblib": through_joblib,
    "deepcopy": lambda vae, folder: copy.deepcopy(vae),
    "copy": lambda vae, folder: copy.copy(vae),
}


def things(node):
    """Everything in a state, whatever holds it."""
    yield node
    if isinstance(node, dict):
        node = [*node.keys(), *node.values()]
    if isinstance(node, list | tuple):
        for item in node:
            yield from things(item)


def history(vae):
    return {name: column for name, column in vae.history_.items() if name != "dur"}


def assert_goes_on_alike(vae, twin, X, y=None):
    """Both are the same model now, and after another epoch."""
    for _ in range(2):
        assert history(twin) == history(vae)
        assert twin.transform(X).tobytes() == vae.transform(X).tobytes()
        assert twin.score_samples(X, 4).tobytes() == vae.score_samples(X, 4).tobytes()
        vae.partial_fit(X, y)
        twin.partial_fit(X, y)


def test_the_state_holds_arrays_numbers_and_text(make):
    plain = (dict, list, tuple, np.ndarray, str, int, float, type(None))
    state = make(early_stopping=True).fit(X).__getstate__()
    assert {type(thing) for thing in things(state)} <= {*plain, bool}
    assert not any(thing.dtype == object for thing in things(state) if type(thing) is np.ndarray)


@pytest.mark.parametrize("how", ROUND_TRIPS)
def test_a_copy_is_the_same_model_and_trains_on_alike(make, how, tmp_path):
    vae = make(binarize="dynamic").fit(X)
    twin = ROUND_TRIPS[how](vae, tmp_path)
    assert twin.net_ is not vae.net_
    assert twin.get_params() == vae.get_params()
    assert (twin.n_features_in_, twin.n_iter_, twin.device_) == (5, 2, "cpu")
    assert repr(twin.manifold_) == repr(vae.manifold_)
    assert twin.curvature_ == vae.curvature_
    assert not twin.net_.module_.training
    assert_goes_on_alike(vae, twin, X)


@pytest.mark.parametrize("how", ROUND_TRIPS)
def test_names_targets_and_units_travel(how, tmp_path):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(9 * X - 3, columns=list("abcde"))
    settings = {"supervised_weight": 1.0, "learn_curvature": True}
    vae = MixedCurvatureVAETransformer("h1,e1,s1", **settings, **FAST).fit(table, LABELS)
    twin = ROUND_TRIPS[how](vae, tmp_path)
    assert list(twin.feature_names_in_) == list("abcde")
    assert list(twin.classes_) == ["a", "b", "c"]
    assert_goes_on_alike(vae, twin, table, LABELS)


@pytest.mark.parametrize(
    "dtype", ["longdouble", "float16", "uint64", ">i4", "bool", "U2", "object"]
)
def test_labels_of_every_kind_travel(dtype):
    y = (X[:, 0] > 0.5).astype(dtype)
    vae = GaussianVAETransformer(supervised_weight=1.0, **FAST).fit(X, y)
    twin = pickle.loads(pickle.dumps(vae))
    assert twin.classes_.tolist() == vae.classes_.tolist() == np.unique(y).tolist()
    assert_goes_on_alike(vae, twin, X, y)


def test_a_parameter_that_has_changed_since_the_fit_stays_changed():
    vae = GaussianVAETransformer(**FAST).fit(X)
    vae.set_params(hidden_layer_sizes=(9, 9), beta=0.5)
    twin = pickle.loads(pickle.dumps(vae))
    assert (twin.hidden_layer_sizes, twin.beta) == ((9, 9), 0.5)
    assert twin.transform(X).tobytes() == vae.transform(X).tobytes()
    for each in (vae, twin):
        with pytest.raises(ValueError, match=r"hidden_layer_sizes was \(6,\) when the model was"):
            each.partial_fit(X)


def test_attributes_of_the_user_travel():
    vae = GaussianVAETransformer(**FAST).fit(X).set_output(transform="pandas")
    vae.note = "of the user"
    twin = pickle.loads(pickle.dumps(vae))
    assert twin.note == "of the user"
    assert list(twin.transform(X).columns) == list(vae.transform(X).columns)


def test_estimators_without_a_fit_travel(make):
    twin = pickle.loads(pickle.dumps(make(beta=0.5)))
    assert twin.beta == 0.5
    assert not hasattr(twin, "net_")
    assert not hasattr(twin, "history_")
    assert not hasattr(twin, "loss_curve_")


# --- networks of the user -------------------------------------------------------------------------


class Counting(torch.nn.Module):
    """A network that keeps more than tensors, and draws random numbers."""

    def __init__(self, n_inputs):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(n_inputs, 6), torch.nn.BatchNorm1d(6), torch.nn.Dropout(0.3)
        )
        self.calls = 0
        self.first = float(self.layers[0].weight.detach().max())

    def forward(self, x):
        self.calls += 1
        return self.layers(x) * self.first


@pytest.mark.parametrize("encoder", [Counting(5), Counting], ids=["module", "class"])
@pytest.mark.parametrize("how", ROUND_TRIPS)
def test_a_network_of_the_user_travels_as_an_object(how, encoder, tmp_path):
    vae = GaussianVAETransformer(encoder=encoder, **FAST).fit(X)
    assert vae.__getstate__()["_fitted"]["module"] is vae.net_.module_
    twin = ROUND_TRIPS[how](vae, tmp_path)
    assert twin.net_.module_.encoder.module.calls == vae.net_.module_.encoder.module.calls > 2
    assert_goes_on_alike(vae, twin, X)


def test_cloudpickle_takes_a_network_that_is_made_here():
    vae = GaussianVAETransformer(encoder=lambda n: torch.nn.Linear(n, 4), **FAST).fit(X)
    assert_goes_on_alike(vae, pickle.loads(cloudpickle.dumps(vae)), X)


# --- other processes ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_fitted_model_travels_to_a_new_process_and_back(method, tmp_path):
    """As the argument of a process, of a task, and as what a task returns."""
    context = multiprocessing.get_context(method)
    vae = GaussianVAETransformer(**FAST).fit(X)
    start = {"initializer": vae.save, "initargs": (tmp_path / "model",)}
    with ProcessPoolExecutor(1, mp_context=context, **start) as pool:
        Z = pool.submit(vae.transform, X).result()
        back = pool.submit(vae.partial_fit, X).result()
    # The process that sent `back` has ended.
    assert skccvae.load(tmp_path / "model").transform(X).tobytes() == vae.transform(X).tobytes()
    assert Z.tobytes() == vae.transform(X).tobytes()
    assert_goes_on_alike(vae.partial_fit(X), back, X)


# --- skops ----------------------------------------------------------------------------------------


def through_skops(vae):
    """The model as skops reads it, and the types that it does not know."""
    sio = pytest.importorskip("skops.io")
    data = sio.dumps(vae)
    unknown = sio.get_untrusted_types(data=data)
    return sio.loads(data, trusted=unknown), unknown


def test_skops_stores_every_estimator(make):
    vae = make(early_stopping=True).fit(X)
    twin, unknown = through_skops(vae)
    assert unknown == [f"{type(vae).__module__}.{type(vae).__name__}"]
    assert_goes_on_alike(vae, twin, X)


def test_skops_stores_a_pipeline():
    model = make_pipeline(StandardScaler(), GaussianVAETransformer(**FAST)).fit(X)
    twin, unknown = through_skops(model)
    assert len(unknown) == 1
    assert twin.transform(X).tobytes() == model.transform(X).tobytes()


def test_skops_stores_images_labels_and_arrays_as_parameters():
    images = RNG.integers(0, 256, (40, 6, 6), dtype=np.uint8)
    settings = {"hidden_layer_sizes": np.array([6, 4]), "random_state": np.random.RandomState(3)}
    vae = GaussianVAETransformer(
        encoder="conv", supervised_weight=1.0, beta=np.float32(0.1), **{**FAST, **settings}
    ).fit(images, LABELS)
    assert_goes_on_alike(vae, through_skops(vae)[0], images, LABELS)


def test_skops_stores_an_estimator_of_molecules():
    pytest.importorskip("torch_geometric")
    from skccvae.molecules import MolecularGraph

    smiles = ["C" * n + "O" for n in range(1, 20)]
    vae = GaussianVAETransformer(encoder=MolecularGraph(n_bits=64), **FAST).fit(smiles)
    twin, unknown = through_skops(vae)
    assert {name.partition(".")[0] for name in unknown} == {"skccvae"}
    assert_goes_on_alike(vae, twin, smiles)


def test_pickles_of_small_models_are_small():
    """A tensor of torch takes a few hundred bytes beside its numbers; an array takes fewer."""
    vae = GaussianVAETransformer(**FAST).fit(X)
    numbers = sum(p.numel() for p in vae.net_.module_.parameters())
    buffer = io.BytesIO()
    joblib.dump(vae, buffer)
    assert len(pickle.dumps(vae)) < 3 * 4 * numbers + 5000
    assert buffer.tell() < 3 * 4 * numbers + 7000
