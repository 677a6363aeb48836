"""Noise that belongs to a row: uniform, normal, independent, repeatable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from skccvae.nn import normal_noise, row_keys, uniform_noise

N = 4000
ROWS = torch.rand(N, 7, generator=torch.Generator().manual_seed(0))


def test_keys_know_content_order_and_seed():
    keys = row_keys(ROWS)
    assert keys.dtype == torch.int64
    assert len(set(keys.tolist())) == N
    assert torch.equal(row_keys(ROWS.flip(0)), keys.flip(0))
    assert torch.equal(row_keys(ROWS[5:6]), keys[5:6])
    assert not torch.equal(row_keys(ROWS, seed=1), keys)
    assert not torch.equal(row_keys(ROWS.flip(1)), keys)
    assert torch.equal(row_keys(torch.zeros(1, 3)), row_keys(-torch.zeros(1, 3)))
    # One bit of one entry makes another key; so do zeros at the end.
    assert row_keys(torch.tensor([[1.0]])) != row_keys(torch.tensor([[1.0 + 2**-23]]))
    assert row_keys(torch.zeros(1, 3)) != row_keys(torch.zeros(1, 4))


def test_keys_of_binary_rows_do_not_collide():
    rows = torch.tensor([[(n >> b) & 1 for b in range(14)] for n in range(2**14)]).float()
    assert len(set(row_keys(rows).tolist())) == 2**14


@pytest.mark.parametrize("stream", [0, 1, 2, 17])
def test_uniform_numbers_are_uniform(stream):
    u = uniform_noise(row_keys(ROWS, 3), 16, stream)
    assert u.shape == (N, 16)
    assert u.dtype == torch.float64
    assert ((u > 0) & (u < 1)).all()
    assert stats.kstest(u.flatten().numpy(), "uniform").pvalue > 1e-3
    for column in (0, 1, 15):
        assert stats.kstest(u[:, column].numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(u[0].numpy(), "uniform").pvalue > 1e-3


def largest_correlation(z: np.ndarray) -> float:
    correlation = np.corrcoef(z)
    return np.abs(correlation - np.eye(len(z))).max()


def test_numbers_are_independent_across_columns_rows_streams_and_seeds():
    keys = row_keys(ROWS)
    z = normal_noise(keys, 1, 24, torch.float64)[0].numpy()
    bound = 5.5 / np.sqrt(N)
    assert largest_correlation(z.T) < bound
    # Squares and lagged rows: nothing hides behind a vanishing linear correlation.
    assert largest_correlation((z**2).T) < 1.5 * bound
    assert abs(np.corrcoef(z[:-1, 0], z[1:, 0])[0, 1]) < bound
    others = [
        normal_noise(keys, 1, 24, torch.float64, stream=2)[0].numpy(),
        normal_noise(row_keys(ROWS, 1), 1, 24, torch.float64)[0].numpy(),
    ]
    for other in others:
        assert abs(np.corrcoef(z.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(z.size)


def test_similar_rows_have_unrelated_noise():
    base = torch.rand(1, 50, generator=torch.Generator().manual_seed(1))
    rows = base.repeat(50, 1)
    rows[torch.arange(50), torch.arange(50)] += 1e-6
    z = normal_noise(row_keys(rows), 1, 2000, torch.float64)[0].numpy()
    assert largest_correlation(z) < 5.5 / np.sqrt(2000)


def test_normal_numbers_are_normal():
    z = normal_noise(row_keys(ROWS), 3, 5, torch.float32)
    assert z.shape == (3, N, 5)
    assert z.dtype == torch.float32
    assert torch.isfinite(z).all()
    assert stats.kstest(z.flatten().double().numpy(), "norm").pvalue > 1e-3
    kurtosis = stats.kurtosis(z.flatten().numpy())
    assert abs(kurtosis) < 5 * np.sqrt(24 / z.numel())


def test_a_rows_noise_is_its_own():
    keys = row_keys(ROWS)
    z = normal_noise(keys, 4, 3, torch.float32)
    assert torch.equal(normal_noise(keys[7:9], 4, 3, torch.float32), z[:, 7:9])
    # More draws begin with the same ones.
    assert torch.equal(normal_noise(keys, 9, 3, torch.float32)[:4], z)
    assert torch.equal(normal_noise(keys, 3, 3, torch.float32, first=1), z[1:])


def test_no_numbers_at_all():
    assert normal_noise(row_keys(ROWS[:3]), 2, 0, torch.float32).shape == (2, 3, 0)
