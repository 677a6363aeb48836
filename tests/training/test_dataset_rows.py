"""Rows of a torch Dataset, and going through memory maps."""

from __future__ import annotations

import mmap

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from skccvae.training import (
    Batches,
    DatasetRows,
    RowScaling,
    RowSource,
    column_limits,
    row_access,
    row_slices,
)

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, size=(30, 4, 3), dtype=np.uint8)
REAL = RNG.normal(5, 3, size=(30, 5))


class Samples(Dataset):
    """A list of whatever, and a record of what was asked for."""

    def __init__(self, items):
        self.items = items
        self.asked: list[int] = []

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        self.asked.append(index)
        return self.items[index]


class Batched(Samples):
    """With torch's protocol for whole batches."""

    calls = 0
    lost = 0

    def __getitems__(self, indices):
        assert all(type(index) is int for index in indices)
        self.calls += 1
        return [self.items[index] for index in indices][self.lost :]


@pytest.mark.parametrize("wrap", [np.asarray, torch.from_numpy, lambda a: (a,), lambda a: (a, 1)])
@pytest.mark.parametrize("data", [IMAGES, REAL, REAL.astype(np.float32)])
def test_rows_are_those_of_the_array(wrap, data):
    flat = data.reshape(30, -1)
    rows = DatasetRows(Samples([wrap(row) for row in data]))
    assert rows.shape == flat.shape
    assert rows.size == flat.size
    assert len(rows) == 30
    assert rows.sample_shape == data.shape[1:]
    assert rows.dtype == data.dtype
    order = np.array([7, 7, 0, 29])
    for index in (order, slice(3, 9), slice(25, 99)):
        assert np.array_equal(rows[index], flat[index])
        assert rows[index].dtype == data.dtype
    assert np.array_equal(rows[4], flat[4])
    for found, exact in zip(rows.limits(), (flat.min(0), flat.max(0)), strict=True):
        assert np.array_equal(found, exact)


def test_one_call_a_batch_where_the_dataset_offers_it():
    rows = DatasetRows(Batched(list(IMAGES)))
    before = rows.dataset.calls
    assert np.array_equal(rows[np.array([3, 1])], IMAGES[[3, 1]].reshape(2, -1))
    assert rows.dataset.calls == before + 1
    assert rows.dataset.asked == []
    rows.dataset.lost = 1
    with pytest.raises(ValueError, match="1 samples for 2 indices"):
        rows[:2]


def test_limits_are_read_once_and_bytes_up_to_the_first_that_tells(monkeypatch):
    monkeypatch.setattr(row_access, "_NUMBERS", 60)  # five images
    rows = DatasetRows(Samples(list(IMAGES)))
    assert rows.exceeds(1)
    assert max(rows.dataset.asked) == 4
    assert not rows.exceeds(255)
    rows.limits()
    read = len(rows.dataset.asked)
    rows.limits()
    assert rows.exceeds(IMAGES.max() - 1)
    assert len(rows.dataset.asked) == read


def test_labels():
    bare = DatasetRows(Samples(list(IMAGES)))
    assert bare.labels() is None
    numbers = DatasetRows(TensorDataset(torch.from_numpy(REAL), torch.arange(30)))
    assert np.array_equal(numbers.labels(), np.arange(30))
    two = DatasetRows(TensorDataset(torch.from_numpy(REAL), torch.ones(30, 2)))
    assert two.labels().shape == (30, 2)
    some = DatasetRows(Samples([(row, None if i % 2 else "a") for i, row in enumerate(REAL)]))
    assert some.labels().tolist() == ["a", None] * 15
    mixed = DatasetRows(Samples([(REAL[0], 1), REAL[1]]))
    assert mixed.labels() is None


@pytest.mark.parametrize(
    ("odd", "kind", "message"),
    [
        (REAL[7][:4], ValueError, r"Sample 7 .* shape \(4,\) .* shape \(5,\)"),
        (REAL[7].astype(np.float32), ValueError, "Sample 7 .* dtype float32.* dtype float64"),
        (np.where(np.arange(5) == 2, np.nan, REAL[7]), ValueError, "Sample 7 .* NaN"),
        (np.full(5, -np.inf), ValueError, "Sample 7 .* infinity"),
        ("image.png", TypeError, "Sample 7 .* str,"),
        ({"image": REAL[7]}, TypeError, "Sample 7 .* dict,"),
        (REAL[7] * 1j, TypeError, "Sample 7 .* real"),
        ([[1.0, 2.0], [3.0]], TypeError, "Sample 7 .* list,"),
        ((REAL[7], 0, 0), TypeError, "Sample 7 .* tuple of length 3"),
    ],
)
def test_an_odd_sample_is_named(odd, kind, message):
    items = list(REAL)
    items[7] = odd
    rows = DatasetRows(Samples(items))
    assert rows[:7].shape == (7, 5)
    with pytest.raises(kind, match=message):
        rows[np.array([2, 7])]


class Stream(IterableDataset):
    def __iter__(self):
        yield from REAL


class NoLength(Dataset):
    def __getitem__(self, index):
        return REAL[index]


def test_what_is_no_dataset_of_rows():
    for stream in (Stream(), NoLength()):
        with pytest.raises(TypeError, match="partial_fit"):
            DatasetRows(stream)
    with pytest.raises(ValueError, match="0 samples"):
        DatasetRows(Samples([]))
    for empty in (np.zeros((0, 3)), np.float64(3.0)):
        with pytest.raises(ValueError, match="sample 0 has shape"):
            DatasetRows(Samples([empty]))


def test_bfloat16_and_subsets():
    half = torch.from_numpy(REAL).to(torch.bfloat16)
    rows = DatasetRows(Subset(TensorDataset(half), [5, 2]))
    assert np.array_equal(rows[:], half[[5, 2]].float().numpy())


def test_batches_of_a_dataset_are_those_of_its_array():
    flat = IMAGES.reshape(30, -1)
    scaling = RowScaling(divisor=255.0, threshold=0.4)
    passes = []
    for X in (flat, DatasetRows(Samples(list(IMAGES)))):
        torch.manual_seed(0)
        passes.append([batch.x for batch in Batches(RowSource(X, scaling), np.arange(4, 30), 8)])
    assert all(torch.equal(a, b) for a, b in zip(*passes, strict=True))


# --- memory maps ----------------------------------------------------------------------------------


def test_slices_cover_the_rows(monkeypatch):
    monkeypatch.setattr(row_access, "_NUMBERS", 20)
    parts = list(row_slices(REAL))
    assert [part.stop - part.start for part in parts] == [4] * 7 + [2]
    assert np.array_equal(np.concatenate([REAL[part] for part in parts]), REAL)
    assert np.array_equal(column_limits(REAL)[1], REAL.max(axis=0))
    assert len(list(row_slices(np.zeros((3, 100))))) == 3


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="the system has no madvise")
def test_pages_are_let_go_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(row_access, "_NUMBERS", 20)
    calls = []
    path = tmp_path / "X.npy"
    np.save(path, REAL)

    class Spy:
        def __init__(self, pages):
            self.pages = pages

        def madvise(self, advice):
            calls.append(advice)
            self.pages.madvise(advice)

    for mode, expected in (("r", 8), ("r+", 8), ("c", 0)):
        calls.clear()
        mapped = np.load(path, mmap_mode=mode)
        mapped._mmap = Spy(mapped._mmap)
        if mode != "r":
            mapped[3, 2] = 77.0
        before = np.array(mapped)
        for _ in row_slices(np.asarray(mapped)):
            assert np.array_equal(mapped, before)
        assert calls == [mmap.MADV_DONTNEED] * expected
        assert np.array_equal(mapped, before)
    assert np.load(path)[3, 2] == 77.0


def test_masked_samples_are_refused():
    masked = np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], mask=[[False, False], [True, False]])
    with pytest.raises(ValueError, match=r"Sample 1 .* masked entries.* sample.filled\(value\)"):
        DatasetRows(Samples(list(masked)))[0:2]
