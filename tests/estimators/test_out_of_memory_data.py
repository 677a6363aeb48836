"""Data that stay on disk or are made as they are read: torch Datasets and memory maps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from torch.utils.data import Dataset, TensorDataset

from skccvae import GaussianVAETransformer, SphericalVAETransformer

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, size=(90, 4, 4, 3), dtype=np.uint8)
DATA = {
    "bytes": BYTES,
    "unit": (BYTES / 255).astype(np.float32),
    "real": RNG.normal(1e3, 5.0, size=(90, 7)),
    "bits": (BYTES > 127).astype(np.uint8).reshape(90, 48),
}


class Listed(Dataset):
    def __init__(self, items):
        self.items = items
        self.reads = 0

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        self.reads += 1
        return self.items[index]


def same_model(a, b) -> bool:
    weights = zip(
        a.net_.module_.state_dict().items(), b.net_.module_.state_dict().items(), strict=True
    )
    return all(name == other and torch.equal(v, w) for (name, v), (other, w) in weights)


@pytest.mark.parametrize("name", list(DATA))
def test_a_dataset_gives_the_model_of_its_array(make, name):
    X = DATA[name]
    data = TensorDataset(torch.from_numpy(X))
    a, b = make().fit(X), make().fit(data)
    assert b.likelihood_ == a.likelihood_
    assert b.n_features_in_ == a.n_features_in_
    assert same_model(a, b)
    Z = a.transform(X)
    assert np.array_equal(b.transform(data), Z)
    assert np.array_equal(b.score_samples(data, 3), a.score_samples(X, 3))
    assert b.evaluate(data, 3) == a.evaluate(X, 3)
    assert np.array_equal(b.inverse_transform(Z), a.inverse_transform(Z))
    assert np.array_equal(b.interpolate(data, data, 2), a.interpolate(X, X, 2))
    a.partial_fit(X[:50])
    b.partial_fit(Listed(list(X[:50])))
    assert same_model(a, b)


@pytest.mark.parametrize(
    "params",
    [
        {"likelihood": "gaussian"},
        {"likelihood": "discretized_logistic"},
        {"binarize": "dynamic"},
        {"binarize": 0.3},
        {"early_stopping": True},
        {"encoder": "conv", "decoder": "conv"},
    ],
)
def test_options_hold_for_a_dataset_too(params):
    settings = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0, "device": "cpu"}
    data = Listed([(torch.from_numpy(row), 0) for row in BYTES])
    a = GaussianVAETransformer(**settings, **params).fit(BYTES)
    b = GaussianVAETransformer(**settings, **params).fit(data)
    assert same_model(a, b)
    assert b.history_["train_loss"] == a.history_["train_loss"]


def test_partial_fit_begins_with_a_dataset_and_fit_goes_on(make):
    data = Listed(list(BYTES))
    a = make(warm_start=True).partial_fit(BYTES).fit(BYTES)
    b = make(warm_start=True).partial_fit(data).fit(data)
    assert same_model(a, b)


def test_labels_are_targets_only_where_they_are_asked_for():
    y = np.arange(90) % 3
    data = TensorDataset(torch.from_numpy(BYTES), torch.from_numpy(y))
    settings = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0}
    plain = GaussianVAETransformer(**settings)
    assert same_model(plain.fit(data), GaussianVAETransformer(**settings).fit(BYTES))
    supervised = GaussianVAETransformer(supervised_weight=5.0, **settings).fit(data)
    expected = GaussianVAETransformer(supervised_weight=5.0, **settings).fit(BYTES, y)
    assert same_model(supervised, expected)
    # A y of one's own comes first.
    other = GaussianVAETransformer(supervised_weight=5.0, **settings).fit(data, y[::-1])
    assert not same_model(other, expected)
    with pytest.raises(ValueError, match="needs y"):
        GaussianVAETransformer(supervised_weight=5.0, **settings).fit(Listed(list(BYTES)))


def test_a_pipeline_takes_a_dataset():
    y = np.arange(90) % 3
    vae = SphericalVAETransformer(max_epochs=1, hidden_layer_sizes=(8,), random_state=0)
    pipe = Pipeline([("vae", vae), ("clf", LogisticRegression())])
    data = Listed(list(BYTES))
    assert np.array_equal(pipe.fit(data, y).predict(data), pipe.fit(BYTES, y).predict(BYTES))


@pytest.mark.parametrize(
    ("likelihood", "kind", "passes"),
    [
        ("bernoulli", "bytes", 0),
        ("bernoulli", "unit", 1),
        ("gaussian", "real", 2),
    ],
)
def test_passes_before_training(monkeypatch, likelihood, kind, passes):
    from skccvae.training import row_access

    width = DATA[kind][0].size
    monkeypatch.setattr(row_access, "_NUMBERS", 10 * width)
    data = Listed(list(DATA[kind]))
    settings = {"max_epochs": 3, "hidden_layer_sizes": (8,), "init": "random", "random_state": 0}
    GaussianVAETransformer(likelihood=likelihood, **settings).fit(data)
    # Besides: the first sample for its shape and as a trial mean; ten bytes images for their range.
    assert 0 < data.reads - (3 + passes) * 90 <= 11


def test_samples_that_do_not_fit_are_named():
    vae = GaussianVAETransformer(max_epochs=1, hidden_layer_sizes=(8,), random_state=0)
    items = list(DATA["unit"])
    items[41] = items[41][:3]
    with pytest.raises(ValueError, match=r"Sample 41 .*\(3, 4, 3\).*\(4, 4, 3\)"):
        vae.fit(Listed(items))
    items[41] = np.full((4, 4, 3), np.nan, dtype=np.float32)
    with pytest.raises(ValueError, match="Sample 41 .*NaN"):
        vae.fit(Listed(items))
    items[41] = np.full((4, 4, 3), 2.0, dtype=np.float32)
    with pytest.raises(ValueError, match="runs from 0 to 2"):
        GaussianVAETransformer(likelihood="bernoulli").fit(Listed(items))
    vae.set_params(likelihood="bernoulli").fit(Listed(list(DATA["unit"])))
    for method in (
        vae.transform,
        vae.score_samples,
        vae.evaluate,
        vae.partial_fit,
        vae.posterior_distribution,
    ):
        with pytest.raises(ValueError, match=r"shape \(4, 3, 4\)"):
            method(Listed(list(BYTES.reshape(90, 4, 3, 4))))
        with pytest.raises(ValueError, match="9 features"):
            method(Listed(list(np.zeros((5, 9)))))
    with pytest.raises(ValueError, match="bytes up to 255"):
        vae.transform(Listed(list(BYTES)))


@pytest.mark.parametrize("name", list(DATA))
def test_a_memory_map_gives_the_model_of_its_array(make, name, tmp_path):
    np.save(tmp_path / "X.npy", DATA[name])
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    a, b = make().fit(DATA[name]), make().fit(mapped)
    assert same_model(a, b)
    assert np.array_equal(b.transform(mapped), a.transform(DATA[name]))
    assert np.array_equal(b.score_samples(mapped, 3), a.score_samples(DATA[name], 3))


def test_a_memory_map_with_nan_is_refused(tmp_path):
    X = DATA["real"].copy()
    X[33, 2] = np.nan
    np.save(tmp_path / "X.npy", X)
    with pytest.raises(ValueError, match="NaN.*row 33"):
        GaussianVAETransformer(max_epochs=1).fit(np.load(tmp_path / "X.npy", mmap_mode="r"))


PEAKS = """
import json, resource, sys
import numpy as np
import torch
from torch.utils.data import Dataset
from skccvae import GaussianVAETransformer

torch.set_num_threads(1)
kind, folder = sys.argv[1:]


one = np.random.default_rng(0).integers(0, 256, size=(64, 64, 3), dtype=np.uint8)


def image(index):
    return (one + np.uint8(index % 256)) - np.float32(128)


class Made(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return image(index)


def open_data(n):
    if kind == "dataset":
        return Made(n)
    path = f"{folder}/{n}.npy"
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n, 64, 64, 3))
    part = np.stack([image(index) for index in range(100)])
    for start in range(0, n, 100):
        out[start : start + 100] = part
        out.flush()
        out._mmap.madvise(4)  # what writing brought in does not count: MADV_DONTNEED
    del out
    return np.load(path, mmap_mode="r")


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# The lesser one has full chunks of rows already, and as many rows as a start at PCA looks at.
sizes = (900, 2300)
data = [open_data(n) for n in sizes]
peaks = []
# A first fit imports skorch, behind its start: what that takes does not grow with the rows.
GaussianVAETransformer(2, hidden_layer_sizes=(8,), max_epochs=1).fit(np.eye(8))
for X in data:
    vae = GaussianVAETransformer(2, hidden_layer_sizes=(8,), max_epochs=1, random_state=0)
    assert vae.fit(X).transform(X).shape == (len(X), 2)
    peaks.append(peak())
for X in data:
    vae.score_samples(X, 1)
    peaks.append(peak())
print(json.dumps(peaks))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts memory as Linux does")
@pytest.mark.parametrize("kind", ["dataset", "memmap"])
def test_memory_does_not_grow_with_the_rows(kind, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PEAKS, kind, str(tmp_path)],
        cwd=Path(__file__).resolve().parents[2],
        # What is freed goes back to the system at once, so that the peak is what was in use.
        env=os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # The rows that were added are 66 MiB of float32.
    trained, scored = np.diff(json.loads(done.stdout))[[0, 2]] / 1024
    assert max(trained, scored) < 10


def test_cross_validation_of_a_labelled_dataset():
    """scikit-learn takes a fold of a Dataset as a list of its samples, labels and all."""
    rows = torch.from_numpy(BYTES)
    labelled = TensorDataset(rows, torch.arange(len(rows)) % 2)
    settings = {"max_epochs": 1, "hidden_layer_sizes": (8,), "random_state": 0}
    vae = GaussianVAETransformer(**settings)
    found = cross_val_score(vae, labelled, cv=2, error_score="raise")
    np.testing.assert_array_equal(found, cross_val_score(vae, BYTES, cv=2))


def test_pictures_of_a_dataset():
    pytest.importorskip("matplotlib").use("Agg")
    from skccvae.plotting import ReconstructionDisplay

    rows = torch.from_numpy(BYTES)
    vae = GaussianVAETransformer(max_epochs=1, hidden_layer_sizes=(8,), random_state=0).fit(BYTES)
    for data in (TensorDataset(rows), TensorDataset(rows, torch.zeros(len(rows)))):
        display = ReconstructionDisplay.from_estimator(vae, data, n_images=4)
        np.testing.assert_array_equal(display.originals, BYTES[:4])
