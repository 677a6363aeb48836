"""Rows to batches: units, storage, order."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from skccvae.training import (
    Batches,
    PairedRows,
    RandomStream,
    RowScaling,
    RowSource,
    is_memory_mapped,
)

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, size=(20, 4), dtype=np.uint8)
REAL = RNG.normal(5, 3, size=(20, 4))


def test_scaling_and_back():
    scaling = RowScaling(center=np.array([1.0, 2, 3, 4]), scale=np.array([2.0, 1, 1e-12, 1e6]))
    assert not scaling.is_identity
    rows = scaling.apply(REAL)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, (REAL - scaling.center) / scaling.scale, rtol=1e-6)
    np.testing.assert_allclose(scaling.invert(rows), REAL, rtol=1e-5)
    bytes_ = RowScaling(divisor=255.0)
    assert bytes_.apply(BYTES).max() <= 1
    np.testing.assert_allclose(bytes_.invert(bytes_.apply(BYTES)), BYTES, rtol=1e-6)
    cut = RowScaling(divisor=255.0, threshold=0.5).apply(BYTES)
    assert np.array_equal(cut, BYTES > 127)
    assert RowScaling().is_identity


def test_a_column_far_from_zero_keeps_its_digits():
    X = 1e9 + RNG.normal(size=(50, 1))
    scaling = RowScaling(center=X.mean(0), scale=X.std(0))
    np.testing.assert_allclose(scaling.apply(X)[:, 0], (X[:, 0] - X.mean()) / X.std(), atol=1e-5)


def test_bytes_stay_bytes_in_memory():
    source = RowSource(BYTES, RowScaling(divisor=255.0))
    assert source._resident.dtype == torch.uint8
    assert source._resident.data_ptr() == BYTES.ctypes.data  # not even a copy
    rows = source.rows(np.array([3, 1]))
    assert rows.dtype == torch.float32
    np.testing.assert_array_equal(rows, RowScaling(divisor=255.0).apply(BYTES[[3, 1]]))
    cut = RowScaling(divisor=255.0, threshold=0.3)
    np.testing.assert_array_equal(RowSource(BYTES, cut).rows(slice(0, 5)), cut.apply(BYTES[:5]))


def test_float32_in_model_units_is_shared():
    X = RNG.random((20, 4), dtype=np.float32)
    source = RowSource(X, RowScaling())
    assert source._resident.data_ptr() == X.ctypes.data


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_array])
def test_rows_are_the_same_however_they_are_stored(kind, resident):
    scaling = RowScaling(center=REAL.mean(0), scale=REAL.std(0))
    source = RowSource(kind(REAL), scaling, resident=resident)
    index = np.array([4, 4, 0, 19])
    np.testing.assert_allclose(source.rows(index), scaling.apply(REAL[index]), rtol=1e-6)
    np.testing.assert_allclose(source.rows(slice(3, 9)), scaling.apply(REAL[3:9]), rtol=1e-6)
    assert len(source) == 20


def test_a_memory_map_is_not_read_into_memory(tmp_path):
    np.save(tmp_path / "X.npy", BYTES)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert is_memory_mapped(mapped)
    assert is_memory_mapped(np.asarray(mapped)[2:5])
    assert not is_memory_mapped(BYTES[2:5])
    source = RowSource(mapped, RowScaling(divisor=255.0))
    assert source._resident is None
    np.testing.assert_array_equal(
        source.rows(np.array([1, 0])), RowScaling(divisor=255.0).apply(BYTES[[1, 0]])
    )


def test_one_pass_visits_every_row_once():
    targets = np.arange(20.0)[:, None]
    source = RowSource(REAL, RowScaling(), targets=targets)
    batches = Batches(source, np.arange(5, 20), batch_size=4)
    assert len(batches) == 4
    torch.manual_seed(0)
    passes = []
    for _ in range(2):
        seen = list(batches)
        assert [len(batch.x) for batch in seen] == [4, 4, 4, 3]
        assert all(batch.extra is None for batch in seen)
        order = torch.cat([batch.targets for batch in seen])[:, 0].long()
        np.testing.assert_allclose(torch.cat([batch.x for batch in seen]), REAL[order], rtol=1e-6)
        assert sorted(order.tolist()) == list(range(5, 20))
        passes.append(order)
    assert not torch.equal(*passes)
    still = Batches(source, np.arange(5, 20), batch_size=4, shuffle=False)
    order = torch.cat([batch.targets for batch in still])[:, 0].long()
    assert torch.equal(order, torch.arange(5, 20))


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "sizes"),
    [
        (21, 5, [5, 5, 5, 6]),
        (6, 5, [6]),
        (5, 5, [5]),
        (22, 5, [5, 5, 5, 5, 2]),
        (3, 1, [1, 1, 1]),
        (1, 5, [1]),
        (3, 2, [3]),
    ],
)
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_lone_last_row_joins_the_batch_before_it(n_rows, batch_size, sizes, shuffle):
    X = np.arange(n_rows, dtype=np.float32)[:, None]
    batches = Batches(RowSource(X, RowScaling()), np.arange(n_rows), batch_size, shuffle=shuffle)
    rows = [batch.x[:, 0].tolist() for batch in batches]
    assert [len(batch) for batch in rows] == sizes
    assert len(batches) == len(sizes)
    assert sorted(sum(rows, [])) == list(range(n_rows))


def test_rows_at_a_slice_are_a_copy():
    """A user's network may write to them."""
    X = RNG.random((20, 4), dtype=np.float32)
    for resident in (True, False):
        before = X.copy()
        RowSource(X, RowScaling(), resident=resident).rows(slice(3, 9)).zero_()
        np.testing.assert_array_equal(X, before)


def test_binarised_batches():
    X = RNG.random((400, 6), dtype=np.float32)
    batches = Batches(RowSource(X, RowScaling()), np.arange(400), 50, binarize=True)
    torch.manual_seed(0)
    rows = torch.cat([batch.x for batch in batches])
    assert set(rows.unique().tolist()) == {0.0, 1.0}


def test_paired_rows_stay_together_and_only_the_observed_ones_are_scaled():
    extra = RNG.integers(0, 9, size=(20, 7)).astype(np.float64)
    scaling = RowScaling(center=REAL.mean(0), scale=REAL.std(0))
    rows = PairedRows(sp.csr_array(REAL), sp.csr_array(extra))
    assert rows.shape == (20, 11)
    assert len(rows[3:9]) == 6
    np.testing.assert_array_equal(rows[3:9].extra.toarray(), extra[3:9])
    targets = np.arange(20.0)[:, None]
    source = RowSource(rows, scaling, targets=targets)
    for batch in Batches(source, np.arange(20), batch_size=6):
        order = batch.targets[:, 0].long().numpy()
        np.testing.assert_array_equal(batch.x, scaling.apply(REAL[order]))
        assert batch.extra.dtype == torch.float32
        np.testing.assert_array_equal(batch.extra, extra[order])
    np.testing.assert_array_equal(source.batch(slice(2, 5)).extra, extra[2:5])


def test_whole_periods_are_taken_off():
    """Exactly in float64, before the rows become float32."""
    scaling = RowScaling(period=2 * np.pi)
    assert not scaling.is_identity
    rows = RNG.uniform(-np.pi, np.pi, size=(30, 3))
    rows[0] = np.nan, -np.pi, np.pi
    expected = rows.astype(np.float32)
    np.testing.assert_array_equal(scaling.apply(rows), expected)
    np.testing.assert_allclose(scaling.apply(rows[1:] + 2e6 * np.pi), expected[1:], atol=1e-8)
    for dtype in (np.float32, np.int64):
        turned = scaling.apply(np.array([[7, -4, 3, -3]], dtype=dtype))
        assert turned.dtype == np.float32
        np.testing.assert_allclose(turned, [[7 - 2 * np.pi, 2 * np.pi - 4, 3, -3]], atol=3e-7)


def test_quick_draws_have_the_probabilities_of_the_pixels():
    p = np.tile(np.float32([0.0, 0.25, 1.0, np.nan]), (4000, 1))
    batches = Batches(
        RowSource(p, RowScaling()),
        np.arange(4000),
        4000,
        binarize=True,
        missing=True,
        stream=RandomStream(0),
        quick_draws=True,
    )
    (batch,) = batches
    assert bool((batch.x[:, 0] == 0).all())
    assert bool((batch.x[:, 2] == 1).all())
    assert bool(batch.x[:, 3].isnan().all())
    # Five standard deviations of the mean of 4000 draws.
    assert abs(float(batch.x[:, 1].mean()) - 0.25) < 5 * (0.25 * 0.75 / 4000) ** 0.5
