"""DataLoaders and IterableDatasets in place of X."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    TensorDataset,
    WeightedRandomSampler,
)

import skccvae
from skccvae import (
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    LatentOutlierDetector,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)
from skccvae.training import Batches

X = np.random.default_rng(0).normal(size=(230, 6)) @ np.diag([3.0, 2, 1, 1, 0.5, 0.2])
FAST = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0, "device": "cpu"}


class Stream(IterableDataset):
    """Yields its items, as often as it is asked to."""

    def __init__(self, items):
        self.items = items
        self.n_passes = self.n_items = 0

    def __iter__(self):
        self.n_passes += 1
        for item in self.items:
            self.n_items += 1
            yield item


def in_batches(rows, size=50):
    return [rows[start : start + size] for start in range(0, rows.shape[0], size)]


@pytest.fixture
def recorded(monkeypatch):
    """Rows of the batches that a fit on an array drew, epoch by epoch."""
    drawn = []
    original = Batches.__iter__

    def iterate(self):
        drawn.append([])
        for batch in original(self):
            drawn[-1].append(batch.x.clone())
            yield batch

    monkeypatch.setattr(Batches, "__iter__", iterate)
    return drawn


class Replay(IterableDataset):
    """Epoch after epoch of recorded batches; the first rows are looked at before them."""

    def __init__(self, epochs):
        self.epochs, self.n_passes = epochs, 0

    def __iter__(self):
        self.n_passes += 1
        yield from self.epochs[self.n_passes - 1]


@pytest.mark.parametrize(
    "kind", [GaussianVAETransformer, SphericalVAETransformer, HyperbolicVAETransformer]
)
def test_batches_in_the_order_of_an_array_fit_give_the_same_bits(kind, recorded):
    """With zeros and ones and a random start nothing is decided by means of rows."""
    bits = (X > 0).astype(np.float32)
    settings = {"init": "random", "max_epochs": 3, "kl_warmup_epochs": 1}
    vae = kind(**FAST).set_params(**settings).fit(bits)
    again = kind(**FAST).set_params(**settings).fit(Replay(list(recorded)))
    assert again.transform(bits).tobytes() == vae.transform(bits).tobytes()
    assert again.loss_curve_ == vae.loss_curve_


def test_units_of_real_rows_agree_to_rounding(recorded):
    settings = {"likelihood": "gaussian", "init": "random", "kl_warmup_epochs": 0, **FAST}
    vae = GaussianVAETransformer(**settings).fit(X.astype(np.float32))
    units = vae._input.units
    epochs = [[units.invert(x.numpy(), np.float64) for x in epoch] for epoch in list(recorded)]
    again = GaussianVAETransformer(**settings).fit(Replay(epochs))
    assert again.transform(X) == pytest.approx(vae.transform(X), abs=1e-5)


@pytest.mark.parametrize("form", ["tensors", "sparse", "torch sparse", "tuples", "rows", "frames"])
def test_every_form_of_batch(form):
    bits = (X > 0).astype(np.float32)
    plain = in_batches(bits)
    if form == "tensors":
        items = [torch.from_numpy(part) for part in plain]
    elif form == "sparse":
        items = [sp.csr_array(part) for part in plain]
    elif form == "torch sparse":
        items = [torch.from_numpy(part).to_sparse() for part in plain]
    elif form == "tuples":
        items = [(part, part[:, 0]) for part in plain]
    elif form == "frames":
        pd = pytest.importorskip("pandas")
        items = [pd.DataFrame(part) for part in plain]
    else:
        items = list(bits)
    expected = SphericalVAETransformer(batch_size=50, **FAST).fit(Stream(plain))
    vae = SphericalVAETransformer(batch_size=50, **FAST).fit(Stream(items))
    assert vae.transform(Stream(items)) == pytest.approx(expected.transform(bits), abs=1e-5)
    assert vae.score_samples(Stream(items)).shape == (230,)


@pytest.mark.parametrize("n_workers", [0, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_loader_keeps_its_workers_and_its_order_follows_random_state(n_workers, shuffle):
    data = TensorDataset(torch.from_numpy(X).float(), torch.arange(230))
    loader = DataLoader(data, batch_size=64, shuffle=shuffle, num_workers=n_workers)
    before = torch.random.get_rng_state()
    one = GaussianVAETransformer(**FAST).fit(loader).transform(X)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(5)  # the global generators do not count
    assert GaussianVAETransformer(**FAST).fit(loader).transform(X).tobytes() == one.tobytes()


def test_results_are_in_the_order_of_the_stream():
    vae = HyperbolicVAETransformer(**FAST).fit(X)
    for parts in (in_batches(X, 37), list(X)):
        stream = Stream(parts)
        assert np.array_equal(vae.transform(stream), vae.transform(X))
        assert vae.score_samples(stream) == pytest.approx(vae.score_samples(X), rel=1e-12)
        assert vae.score(stream) == pytest.approx(vae.score(X))
        assert vae.evaluate(stream) == pytest.approx(vae.evaluate(X))


def test_max_batches_bounds_a_pass():
    stream = Stream(in_batches(X, 10))
    vae = GaussianVAETransformer(max_batches=3, **FAST).fit(stream)
    assert stream.n_passes == 2
    assert stream.n_items <= 2 * 4
    assert vae.transform(stream).shape == (230, 2)  # results are those of the whole stream


def test_a_stream_without_an_end_is_read_in_constant_memory():
    class Endless(IterableDataset):
        n_items = 0

        def __iter__(self):
            rng = np.random.default_rng(0)
            while True:
                self.n_items += 1
                yield rng.normal(size=(20, 4))

    endless = Endless()
    vae = GaussianVAETransformer(max_batches=5, **FAST).fit(endless)
    assert endless.n_items <= 2 * 6
    assert vae.n_iter_ == 2


def test_labels_of_a_stream_supervise():
    y = X[:, 0] > 0
    items = [(rows, labels) for rows, labels in zip(in_batches(X), in_batches(y), strict=True)]
    vae = GaussianVAETransformer(supervised_weight=5.0, **FAST).fit(Stream(items))
    plain = GaussianVAETransformer(**FAST).fit(Stream(items))  # labels are ignored
    assert not np.allclose(vae.transform(X), plain.transform(X), atol=1e-3)
    with pytest.raises(ValueError, match="stream brings its own labels"):
        GaussianVAETransformer(supervised_weight=5.0, **FAST).fit(Stream(items), y)
    with pytest.raises(ValueError, match="needs labels"):
        GaussianVAETransformer(supervised_weight=5.0, **FAST).fit(Stream(in_batches(X)))


def test_partial_fit_is_one_pass_and_goes_on_from_a_file(tmp_path):
    loader = DataLoader(TensorDataset(torch.from_numpy(X).float()), batch_size=32, shuffle=True)
    vae = MixedCurvatureVAETransformer("h1,s1", **FAST)
    vae.partial_fit(loader).partial_fit(loader)
    vae.save(tmp_path / "model", training_state=True)
    back = skccvae.load(tmp_path / "model")
    for each in (vae, back):
        each.partial_fit(loader).partial_fit(loader)
    assert back.transform(X).tobytes() == vae.transform(X).tobytes()
    assert len(vae.loss_curve_) == 4


def test_missing_values_in_a_stream():
    holes = np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X)
    vae = GaussianVAETransformer(missing="mask", **FAST).fit(Stream(in_batches(holes)))
    assert np.isfinite(vae.transform(Stream(in_batches(holes)))).all()
    with pytest.raises(ValueError, match="missing='mask'"):
        GaussianVAETransformer(**FAST).fit(Stream(in_batches(holes)))


def frames(columns="abcdef"):
    pd = pytest.importorskip("pandas")
    whole = pd.DataFrame(X, columns=list("abcdef"))[list(columns)]
    return [whole[start : start + 50] for start in range(0, len(X), 50)]


def test_frames_keep_the_names_of_their_columns():
    vae = GaussianVAETransformer(**FAST).fit(Stream(frames()))
    assert vae.feature_names_in_.tolist() == list("abcdef")
    codes = [vae.transform(frame) for frame in frames()]
    assert np.array_equal(vae.transform(Stream(frames())), np.concatenate(codes))
    turned = Stream(frames("fedcba"))
    for method in (vae.transform, vae.score_samples, vae.partial_fit):
        with pytest.raises(ValueError, match="feature names should match"):
            method(turned)
    mixed = [frames()[0], frames("bacdef")[1]]
    with pytest.raises(ValueError, match=r"Item 1 of Stream: its columns are \['b', 'a'"):
        GaussianVAETransformer(**FAST).fit(Stream(mixed))
    with pytest.raises(ValueError, match="its columns are without names"):
        vae.transform(Stream([frames()[0], X[:50]]))


@pytest.mark.parametrize("dtype", ["Float64", "float64[pyarrow]"])
def test_frames_of_numbers_of_any_dtype(dtype):
    pytest.importorskip("pyarrow")
    vae = GaussianVAETransformer(**FAST).fit(Stream([f.astype(dtype) for f in frames()]))
    plain = GaussianVAETransformer(**FAST).fit(Stream(frames()))
    assert np.array_equal(vae.transform(frames()[0]), plain.transform(frames()[0]))


def test_batches_without_rows_are_passed_over():
    batches = in_batches(X)
    holed = [batches[0][:0], batches[0], batches[1][:0], *batches[1:], batches[0][:0]]
    vae = GaussianVAETransformer(**FAST).fit(Stream(holed))
    whole = GaussianVAETransformer(**FAST).fit(Stream(batches))
    assert np.array_equal(vae.transform(Stream(holed)), whole.transform(X))


class Buffer(IterableDataset):
    """Writes each batch, or each row, into the array that has held the one before."""

    def __init__(self, rows, kind):
        self.rows, self.kind = rows, kind

    def __iter__(self):
        buffer = np.empty((50, 6))
        for batch in in_batches(X):
            buffer[: len(batch)] = batch
            item = buffer[: len(batch)]
            if self.rows:
                for row in batch:
                    buffer[0] = row
                    yield self.kind(buffer[0])
            else:
                yield self.kind(item)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_a_stream_may_reuse_its_memory(rows, kind):
    found = GaussianVAETransformer(batch_size=50, **FAST).fit(Buffer(rows, kind))
    wanted = GaussianVAETransformer(batch_size=50, **FAST).fit(Stream(in_batches(X)))
    assert np.array_equal(found.transform(Buffer(rows, kind)), wanted.transform(X))


class Sparse(IterableDataset):
    """Writes each batch into the matrix, and its labels into the array, that held those before."""

    def __iter__(self):
        matrix, labels = sp.csr_array(np.ones((50, 6))), np.empty(50)
        for batch in in_batches(X[:200]):
            matrix.data[:] = np.abs(batch).ravel()
            labels[:] = batch[:, 0] > 0
            yield matrix, labels


def test_sparse_rows_and_labels_may_share_memory_too():
    settings = {**FAST, "likelihood": "isotropic_gaussian", "supervised_weight": 5.0}
    found = GaussianVAETransformer(**settings).fit(Sparse())
    batches = [(sp.csr_array(np.abs(b)), (b[:, 0] > 0).astype(float)) for b in in_batches(X[:200])]
    wanted = GaussianVAETransformer(**settings).fit(Stream(batches))
    assert np.array_equal(
        found.transform(Sparse()), wanted.transform(sp.csr_array(np.abs(X[:200])))
    )


def test_batches_in_batches_of_one():
    with pytest.raises(ValueError, match=r"batch of shape \(50, 6\).*batch_size=None"):
        GaussianVAETransformer(**FAST).fit(DataLoader(Stream(in_batches(X))))
    images = GaussianVAETransformer(image_shape=(2, 3), **FAST)
    images.fit(DataLoader(Stream(X.reshape(-1, 2, 3)[:20])))


def test_a_loader_that_shuffles_warns_where_rows_have_results():
    vae = GaussianVAETransformer(**FAST).fit(X)
    loader = DataLoader(torch.from_numpy(X), batch_size=50, shuffle=True)
    sampler = WeightedRandomSampler(np.ones(len(X)), 20)
    sampled = DataLoader(torch.from_numpy(X), batch_size=10, sampler=sampler)
    for method in (vae.transform, vae.score_samples):
        for each in (loader, sampled):
            with pytest.warns(UserWarning, match="shuffles"):
                method(each)
    assert vae.score(loader) == pytest.approx(vae.score(X))


class Once(IterableDataset):
    """A stream that, like a generator, can be read only once."""

    def __init__(self, items):
        self.left = iter(items)

    def __iter__(self):
        return self.left


WIDER = [*in_batches(X[:150]), np.zeros((50, 7))]
BAD = {
    "nothing": (lambda: Stream([]), ValueError, "yields nothing"),
    "another width": (lambda: Stream(WIDER), ValueError, r"Item 3 .* shape \(7,\)"),
    "not finite": (lambda: Stream([X, np.full((9, 6), np.inf)]), ValueError, "infinity"),
    "only once": (lambda: Once(in_batches(X)), ValueError, "nothing in pass 2"),
    "a generator": (lambda: (part for part in in_batches(X)), TypeError, "read only once"),
    "text": (lambda: Stream(["a", "b"]), TypeError, "Item 0"),
    "rows, then batches": (lambda: Stream([X[0], X[1:]]), (TypeError, ValueError), "Item 1|single"),
    "sparse, then dense": (lambda: Stream([sp.csr_array(X), X]), ValueError, "Item 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_streams_are_named_and_the_model_before_is_kept(name):
    make, error, message = BAD[name]
    vae = GaussianVAETransformer(likelihood="gaussian", **FAST).fit(X)
    before = vae.transform(X)
    with pytest.raises(error, match=message):
        vae.fit(make())
    assert np.array_equal(vae.transform(X), before)


@pytest.mark.parametrize("bad", ["sample_weight", "early_stopping"])
def test_what_a_stream_cannot_have(bad):
    vae = GaussianVAETransformer(early_stopping=bad == "early_stopping", **FAST)
    weight = {"sample_weight": np.ones(230)} if bad == "sample_weight" else {}
    with pytest.raises(ValueError, match=bad):
        vae.fit(Stream(in_batches(X)), **weight)


def test_other_methods_say_what_they_take():
    vae = GaussianVAETransformer(**FAST).fit(X)
    for method in (vae.posterior_distribution, vae.impute):
        with pytest.raises((TypeError, ValueError), match="stream"):
            method(Stream(in_batches(X)))


def test_the_outlier_detector_needs_a_number_with_a_stream():
    stream = Stream(in_batches(X))
    with pytest.raises(TypeError, match="contamination as a number"):
        LatentOutlierDetector(GaussianVAETransformer(**FAST)).fit(stream)
    detector = LatentOutlierDetector(GaussianVAETransformer(**FAST), contamination=0.1).fit(stream)
    assert detector.predict(X).shape == (230,)
