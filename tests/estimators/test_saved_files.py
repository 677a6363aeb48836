"""One file of a model: the same bits back, never half a file, and nothing trusted unchecked."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import stat
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import skccvae
from skccvae import (
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)
from skccvae.estimators import _model_file
from skccvae.estimators._model_file import read_model
from skccvae.manifolds import CHARTS
from skccvae.nn import LIKELIHOODS, NORMAL_LATENTS, UNIFORM_LATENTS, PoissonLikelihood

_spec = importlib.util.spec_from_file_location("forged", Path(__file__).with_name("forged.py"))
forged = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(forged)
forge = forged.forge

RNG = np.random.default_rng(0)
X = RNG.random((40, 5))
FAST = {"max_epochs": 2, "hidden_layer_sizes": (6,), "random_state": 0}
LABELS = np.array(["a", "b", "c"])[np.arange(40) % 3]


def fitted() -> GaussianVAETransformer:
    return GaussianVAETransformer(**FAST).fit(X)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> bytes:
    """A saved model with real columns, classes and a real target."""
    y = np.stack([np.arange(40) % 3, np.linspace(0, 1, 40)], axis=1)
    vae = GaussianVAETransformer(likelihood="gaussian", supervised_weight=1.0, **FAST)
    path = tmp_path_factory.mktemp("saved") / "model"
    vae.fit(X, y).save(path)
    return path.read_bytes()


@pytest.fixture
def path(saved, tmp_path) -> Path:
    (tmp_path / "model.skccvae").write_bytes(saved)
    return tmp_path / "model.skccvae"


def assert_comes_back(vae, X, path, **options):
    vae.save(path)
    back = skccvae.load(path, **options)
    assert forged.same_model(vae, back)
    methods = ("transform", "score_samples")
    for method in methods:
        assert getattr(back, method)(X).tobytes() == getattr(vae, method)(X).tobytes()
    Z = vae.transform(X)
    assert back.inverse_transform(Z).tobytes() == vae.inverse_transform(Z).tobytes()
    back.save(path.with_name("again"))
    assert read_model(path).meta == read_model(path.with_name("again")).meta
    return back


# --- round trips ----------------------------------------------------------------------------------


def test_every_estimator_comes_back(make, tmp_path):
    assert_comes_back(make(early_stopping=True).fit(X), X, tmp_path / "model")


@pytest.mark.parametrize("likelihood", [name for name in LIKELIHOODS if name != "auto"])
def test_every_likelihood_comes_back(likelihood, tmp_path):
    rows = np.round(X)
    assert_comes_back(
        GaussianVAETransformer(likelihood=likelihood, **FAST).fit(rows), rows, tmp_path / "model"
    )


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("posterior", NORMAL_LATENTS)
@pytest.mark.parametrize("curvature", [-0.5, 0.0, 0.5])
def test_every_normal_comes_back(posterior, curvature, learn, tmp_path):
    vae = ConstantCurvatureVAETransformer(
        curvature=curvature, posterior=posterior, learn_curvature=learn, **FAST
    ).fit(X)
    assert assert_comes_back(vae, X, tmp_path / "model").curvature_ == vae.curvature_


@pytest.mark.parametrize("posterior", UNIFORM_LATENTS)
def test_every_uniform_comes_back(posterior, tmp_path):
    vae = SphericalVAETransformer(posterior=posterior, **FAST).fit(X)
    assert_comes_back(vae, X, tmp_path / "model")


@pytest.mark.parametrize(
    "y",
    [
        LABELS,
        LABELS.astype(object),
        np.arange(40) % 4,
        np.arange(40) % 2 == 0,
        RNG.normal(size=(40, 2)),
        np.where(X[:, 0] > 0.5, np.nan, 1.0 + (X[:, 1] > 0.5)),
    ],
)
def test_every_kind_of_target_comes_back(y, tmp_path):
    vae = MixedCurvatureVAETransformer("h1,e1,s1", supervised_weight=1.0, **FAST).fit(X, y)
    back = assert_comes_back(vae, X, tmp_path / "model")
    for mine, other in zip(vae._targets.classes, back._targets.classes, strict=True):
        assert mine is other is None or mine.dtype == other.dtype
    back.partial_fit(X, y)


@pytest.mark.parametrize("likelihood", ["gaussian", "isotropic_gaussian", "poisson"])
def test_constant_columns_come_back(make, likelihood, tmp_path):
    X = np.rint(20 * np.random.default_rng(0).random((24, 5)))
    X[:, 2] = 7.0
    assert_comes_back(make(likelihood=likelihood).fit(X), X, tmp_path / "model")


@pytest.mark.parametrize("coordinates", CHARTS)
def test_every_chart_comes_back(coordinates, tmp_path):
    vae = MixedCurvatureVAETransformer("h2,s2,e1", coordinates=coordinates, **FAST).fit(X)
    back = assert_comes_back(vae, X, tmp_path / "model")
    assert back.coordinates == coordinates
    assert back.get_feature_names_out().tolist() == vae.get_feature_names_out().tolist()


def test_images_and_molecules_come_back(tmp_path):
    images = RNG.integers(0, 256, (20, 8, 8), dtype=np.uint8)
    vae = HyperbolicVAETransformer(encoder="conv", decoder="conv", **FAST).fit(images)
    assert_comes_back(vae, images, tmp_path / "images")
    pytest.importorskip("torch_geometric")
    from skccvae.molecules import MolecularGraph

    smiles = ["C" * n + "O" for n in range(1, 20)]
    vae = GaussianVAETransformer(encoder=MolecularGraph(n_bits=64, n_layers=2), **FAST).fit(smiles)
    assert_comes_back(vae, smiles, tmp_path / "molecules")


def test_arrays_and_numbers_of_numpy_as_parameters_come_back(tmp_path):
    settings = {
        "hidden_layer_sizes": np.array([6, 4], dtype=np.uint8),
        "beta": np.float32(0.1),
        "random_state": np.random.RandomState(0),
        "device": torch.device("cpu"),
    }
    vae = GaussianVAETransformer(**{**FAST, **settings}).fit(X)
    vae.save(tmp_path / "model")
    back = skccvae.load(tmp_path / "model")
    assert back.hidden_layer_sizes.tolist() == [6, 4]
    assert back.beta == np.float32(0.1)
    assert back.transform(X).tobytes() == vae.transform(X).tobytes()


def test_a_parameter_that_came_later_has_its_default(path, tmp_path):
    def edit(meta, tensors):
        meta["version"] = "0.0.1"
        del meta["params"]["free_bits"]

    assert skccvae.load(forge(path, tmp_path / "older", edit)).free_bits == 0.0


def test_other_programs_read_the_tensors(path):
    weights = load_file(path)
    state = skccvae.load(path).net_.module_.state_dict()
    assert {f"module.{name}" for name in state} < weights.keys()
    assert torch.equal(weights["module.head.bias"], state["head.bias"])


# --- classes of the user --------------------------------------------------------------------------


class OwnEncoder(nn.Sequential):
    def __init__(self, n_inputs):
        super().__init__(nn.Linear(n_inputs, 4), nn.BatchNorm1d(4), nn.Tanh())


class CalculatingEncoder(nn.Linear):
    """It looks at its own numbers, which the meta device does not have."""

    def __init__(self, n_inputs):
        super().__init__(n_inputs, 4)
        self.largest = float(self.weight.detach().max())


def own_decoder(n_inputs, n_outputs):
    first = nn.Linear(n_inputs, n_inputs, bias=False)
    second = nn.Linear(n_inputs, n_inputs, bias=False)
    second.weight = first.weight  # one tensor under two names
    return nn.Sequential(first, second, nn.Linear(n_inputs, n_outputs))


class OwnEstimator(GaussianVAETransformer):
    pass


@pytest.mark.parametrize("encoder", [OwnEncoder, CalculatingEncoder])
def test_own_networks_are_saved_by_name_and_used_if_trusted(encoder, tmp_path):
    vae = OwnEstimator(encoder=encoder, decoder=own_decoder, **FAST).fit(X)
    trusted = (encoder, own_decoder, OwnEstimator)
    back = assert_comes_back(vae, X, tmp_path / "model", trusted=trusted)
    assert type(back) is OwnEstimator
    for number, name in enumerate((encoder.__name__, "own_decoder", "OwnEstimator")):
        rest = [thing for i, thing in enumerate(trusted) if i != number]
        with pytest.raises(ValueError, match=f"names '.*{name}', .* pass it: .*{name}"):
            skccvae.load(tmp_path / "model", trusted=rest)


def test_nothing_is_imported_because_a_file_names_it(path, tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')\nclass Trap: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    for edit in (
        lambda meta, _: meta.update({"class": "trap.Trap"}),
        lambda meta, _: meta["params"].update(encoder={"trusted": "trap.Trap"}),
        lambda meta, _: meta["params"].update(likelihood={"trusted": "trap.Trap"}),
    ):
        with pytest.raises(ValueError, match="names 'trap.Trap', which is not in `trusted`"):
            skccvae.load(forge(path, tmp_path / "forged", edit))
    assert "trap" not in sys.modules


def test_trusted_classes_in_the_wrong_place_are_refused(path, tmp_path):
    name = f"{OwnEncoder.__module__}.OwnEncoder"
    for edit in (
        lambda meta, _: meta.update({"class": name}),
        lambda meta, _: meta["params"].update(encoder={"trusted": name}),
        lambda meta, _: meta["params"].update(likelihood={"trusted": name}),
        lambda meta, _: meta["params"].update(activation={"trusted": name}),
    ):
        with pytest.raises(ValueError, match="cannot be loaded"):
            skccvae.load(forge(path, tmp_path / "forged", edit), trusted=(OwnEncoder,))


class Impostor(PoissonLikelihood, name="poisson"):
    pass


def test_a_class_that_takes_a_name_of_the_package_is_not_saved_under_it(tmp_path):
    GaussianVAETransformer(likelihood=Impostor, **FAST).fit(np.round(X)).save(tmp_path / "model")
    with pytest.raises(ValueError, match="names '.*Impostor'"):
        skccvae.load(tmp_path / "model")
    back = skccvae.load(tmp_path / "model", trusted=(Impostor,))
    assert type(back.net_.module_.likelihood) is Impostor


@pytest.mark.parametrize("trusted", [OwnEncoder, "os.system", (nn.Linear(2, 2),), [lambda n: n], 3])
def test_trusted_must_hold_what_can_be_imported(trusted, path):
    with pytest.raises(TypeError, match="trusted must be a tuple of classes and functions"):
        skccvae.load(path, trusted=trusted)


@pytest.mark.parametrize("encoder", [nn.Linear(5, 4), lambda n: nn.Linear(n, 4)])
def test_what_cannot_be_imported_needs_pickle(encoder, tmp_path):
    vae = GaussianVAETransformer(encoder=encoder, **FAST).fit(X)
    with pytest.raises(TypeError, match=r"save cannot store encoder=.*Use pickle"):
        vae.save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


# --- writing --------------------------------------------------------------------------------------


def failing(name):
    def fail(*args):
        raise OSError(28, "No space left on device")

    return lambda monkeypatch: monkeypatch.setattr(_model_file.os, name, fail)


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_failed_save_keeps_the_old_file(name, path, monkeypatch):
    old = path.read_bytes()
    failing(name)(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        fitted().save(path)
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == [path.name]


def test_a_full_disk_keeps_the_old_file(path):
    """The kernel refuses to write beyond some bytes, here of any file of the process."""
    old = path.read_bytes()
    program = f"""
import resource, signal, sys
import skccvae
vae = skccvae.load({str(path)!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    vae.save({str(path)!r})
except OSError as error:
    sys.exit(17)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == 17
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_a_killed_save_keeps_the_old_file(moment, path):
    old = path.read_bytes()
    program = f"""
import os, signal
import skccvae
from skccvae.estimators import _model_file
vae = skccvae.load({str(path)!r}).set_params(beta=0.5)
def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)
if {moment!r} == "write":
    def open(*args, file=open):
        file = file(*args)
        file.write(b"half a file")
        file.flush()
        die()
    _model_file.open = open
else:
    setattr(_model_file.os, {moment!r}, die)
vae.save({str(path)!r})
"""
    code = subprocess.run([sys.executable, "-c", program]).returncode
    assert code == -signal.SIGKILL
    assert path.read_bytes() == old
    assert skccvae.load(path).beta == 1.0


@pytest.mark.parametrize("labels", [np.array([b"a", b"b"] * 20), np.arange(40) * 1j])
def test_labels_that_cannot_be_stored_keep_the_old_file(labels, path):
    old = path.read_bytes()
    vae = GaussianVAETransformer(supervised_weight=1.0, **FAST).fit(X, LABELS)
    vae._targets.classes = [labels]
    with pytest.raises(TypeError, match="without pickle"):
        vae.save(path)
    assert path.read_bytes() == old


def test_a_model_that_does_not_work_is_not_saved(path):
    old, vae = path.read_bytes(), fitted()
    with torch.no_grad():
        vae.net_.module_.head.bias.fill_(np.nan)
    with pytest.raises(ValueError, match=r"module\.head\.bias contains NaN or infinity"):
        vae.save(path)
    assert path.read_bytes() == old


def test_interrupted_save_keeps_the_old_file_and_reaches_the_caller(path, monkeypatch):
    old = path.read_bytes()

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_model_file.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fitted().save(path)
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == [path.name]


def test_save_follows_links_and_keeps_permissions(path):
    path.chmod(0o640)
    link = path.with_name("link")
    link.symlink_to(path)
    fitted().save(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert skccvae.load(path).likelihood_ == "isotropic_gaussian"
    mask = os.umask(0o027)
    try:
        fitted().save(path.with_name("new"))
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.with_name("new").stat().st_mode) == 0o640


def test_save_into_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError):
        fitted().save(tmp_path / "nowhere" / "model")


# --- files that are not models --------------------------------------------------------------------


def test_files_of_other_kinds(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no file .*nowhere"):
        skccvae.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="it is not a file"):
        skccvae.load(tmp_path)
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("meta.json", '{"format": 3}')
    with pytest.raises(ValueError, match="zip' .* is a zip archive.*Fit the estimator again"):
        skccvae.load(tmp_path / "zip")
    for content in (b"", b"hello", b"hello, this is text", struct.pack("<Q", 2**63) + b"{}"):
        (tmp_path / "text").write_bytes(content)
        with pytest.raises(ValueError, match="text' .* not a model saved by skccvae"):
            skccvae.load(tmp_path / "text")
    save_file({"x": torch.zeros(2)}, tmp_path / "other", {"format": "pt"})
    with pytest.raises(ValueError, match="another safetensors file"):
        skccvae.load(tmp_path / "other")
    monkeypatch.setattr(_model_file, "MOST_HEADER_BYTES", 100)
    with pytest.raises(ValueError, match="100 bytes of parameters, names and history.*Use pickle"):
        fitted().save(tmp_path / "long")


def test_another_format_says_what_to_do(path, tmp_path):
    forge(path, tmp_path / "new", lambda meta, _: meta.update(format=99))
    with pytest.raises(ValueError, match="has format 99, and this version .* Update skccvae"):
        skccvae.load(tmp_path / "new")


EDITS = {
    "dict of lists": (
        lambda m, t: m["params"].update(likelihood={"mapping": {"a": ["b"]}}),
        "likelihood cannot be read",
    ),
    "dict for a name": (
        lambda m, t: m["params"].update(likelihood={"mapping": {"a": "b"}}),
        "'likelihood' parameter",
    ),
    "max_epochs": (lambda m, t: m["params"].update(max_epochs="os.system"), "'max_epochs'"),
    "device": (lambda m, t: m["params"].update(device="os.system"), "os.system"),
    "meta device": (lambda m, t: m["params"].update(device="meta"), "device must be"),
    "unknown parameter": (lambda m, t: m["params"].update(evil=1), "no parameter.*evil"),
    "callbacks": (lambda m, t: m["params"].update(callbacks=["os.system"]), "no parameter"),
    "width": (
        lambda m, t: m["params"].update(hidden_layer_sizes=[10**9]),
        r"shape \(.*describe a model with \(1000000000",
    ),
    "overflowing width": (lambda m, t: m["params"].update(hidden_layer_sizes=[2**62]), ""),
    "depth": (lambda m, t: m["params"].update(hidden_layer_sizes=[1] * 10**5), "100000 layers"),
    "dimension": (lambda m, t: m["params"].update(n_components=10**9), "describe a model with"),
    "columns": (
        lambda m, t: m["attributes"]["_input"]["fields"].update(n_columns=10**12),
        "1000000000000 entries of float64",
    ),
    "graph": (
        lambda m, t: m["params"].update(
            encoder={"fields": {"radius": 2, "n_bits": 2048, "n_layers": 10**9, "n_jobs": None}}
        ),
        "",
    ),
    "another class": (
        lambda m, t: m.update({"class": "HyperbolicVAETransformer"}),
        "lacks.*curvature",
    ),
    "unknown class": (lambda m, t: m.update({"class": "Nothing"}), "names 'Nothing'"),
    "no class": (lambda m, t: m.pop("class"), "its description holds"),
    "no attribute": (lambda m, t: m["attributes"].pop("_entropy"), "its attributes must be"),
    "likelihood": (
        lambda m, t: m["attributes"].update(likelihood_="poisson"),
        "must be 'gaussian'",
    ),
    "seed": (lambda m, t: m["attributes"].update(_entropy=-1), "seed"),
    "epochs": (lambda m, t: m["attributes"].update(n_iter_=3), "history of 2"),
    "history": (lambda m, t: m["history"][1].update(elbo="good"), "epoch 2 of its history"),
    "history object": (lambda m, t: m["history"][0].update(note={}), "epoch 1 of its history"),
    "batches": (lambda m, t: m["history"][0].update(train_batch_count=10**18), "epoch 1 of its"),
    "number of batches": (
        lambda m, t: m["history"][0].update(train_batch_count="os.system"),
        "epoch 1 of its history",
    ),
    "no history": (lambda m, t: m.update(history="long"), "not a list of epochs"),
    "name of a column": (
        lambda m, t: m["attributes"]["_input"]["fields"].update(column_names=["a"]),
        "5 column names; got 1",
    ),
    "shape of a sample": (
        lambda m, t: m["attributes"]["_input"]["fields"].update(sample_shape=[2, 3]),
        "cannot have the shape",
    ),
    "classes": (lambda m, t: t["_targets/classes/0"].copy_(torch.tensor([0, 2, 1])), "in order"),
    "equal classes": (lambda m, t: t["_targets/classes/0"].zero_(), "in order"),
    "scale": (lambda m, t: t["_input/units/scale"].neg_(), "must be positive"),
    "center": (lambda m, t: t["_input/units/center"].fill_(np.nan), "NaN or infinity"),
    "NaN": (lambda m, t: t["module.head.bias"].fill_(np.nan), "module.head.bias contains NaN"),
    "missing": (lambda m, t: t.pop("module.head.bias"), "with the tensor.*head.bias"),
    "extra": (lambda m, t: t.update(extra=torch.zeros(1)), "without the tensor.*extra"),
    "missing array": (lambda m, t: t.pop("_input/units/scale"), "_input/units/scale cannot be"),
    "shape": (
        lambda m, t: t.update({"module.head.bias": t["module.head.bias"][:-1].clone()}),
        r"module.head.bias has shape \(3,\)",
    ),
    "dtype": (
        lambda m, t: t.update({"module.head.bias": t["module.head.bias"].double()}),
        "torch.float64",
    ),
    "dtype of an array": (
        lambda m, t: t.update({"_input/units/scale": t["_input/units/scale"].float()}),
        "float64",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_file_that_contradicts_itself_is_refused(name, path, tmp_path):
    edit, message = EDITS[name]
    with pytest.raises(ValueError, match=f"(?s)forged' cannot be loaded: .*{message}"):
        skccvae.load(forge(path, tmp_path / "forged", edit))


def test_changed_tensors_and_changed_text_have_another_checksum(path, tmp_path):
    entries = read_model(path)
    tensors = load_file(path)
    text = json.dumps(entries.meta)
    swapped = dict(tensors)
    for a, b in [("_targets/center", "_input/units/center")]:
        swapped[a], swapped[b] = tensors[a] + 1, tensors[b] + 1
    for content, description in [
        (swapped, text),
        (tensors, text.replace('"beta": 1.0', '"beta": 2.0')),
        (tensors, text.replace(" ", "")),
    ]:
        meta = {"skccvae": description, "sha256": entries._hash}
        save_file(content, tmp_path / "changed", meta)
        with pytest.raises(ValueError, match="checksum"):
            skccvae.load(tmp_path / "changed")


def test_deep_json_is_refused(path, tmp_path):
    for depth in (100, 100_000):
        text = "[" * depth + "]" * depth
        save_file(load_file(path), tmp_path / "deep", {"skccvae": text, "sha256": ""})
        with pytest.raises(ValueError, match="its description"):
            skccvae.load(tmp_path / "deep")


def models() -> dict[str, object]:
    images = RNG.random((20, 6, 6))
    return {
        "plain": fitted(),
        "targets": MixedCurvatureVAETransformer(
            likelihood="gaussian", supervised_weight=1.0, **FAST
        ).fit(X, LABELS),
        "images": ConstantCurvatureVAETransformer(
            curvature=0.5, learn_curvature=True, encoder="conv", early_stopping=True, **FAST
        ).fit(images),
        "arrays": HyperbolicVAETransformer(
            posterior="riemannian_normal", **{**FAST, "hidden_layer_sizes": np.array([5, 4])}
        ).fit(X),
        "sphere": SphericalVAETransformer(likelihood="von_mises", **FAST).fit(X),
    }


@pytest.mark.parametrize(
    ("name", "training_state"),
    [
        ("plain", False),
        ("plain", True),
        ("targets", True),
        ("images", True),
        ("arrays", False),
        ("sphere", False),
    ],
)
def test_hostile_files(name, training_state, tmp_path):
    """Damage gives ValueError or the identical model; forgeries nothing but ValueError or a model.

    All of it within 256 MiB and two minutes of processor time for 500 files.
    """
    models()[name].save(tmp_path / "model", training_state=training_state)
    done = subprocess.run(
        [sys.executable, forged.__file__, str(tmp_path / "model"), "7"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    *complaints, refused = done.stdout.splitlines()
    assert complaints == []
    assert int(refused.split()[1]) > 250
