"""A user's network may write to its input: X and the likelihood see nothing of it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

from skccvae import GaussianVAETransformer


class InPlace(nn.Module):
    """Doubles its input before the layer, in place or not."""

    def __init__(self, n_inputs, n_outputs, in_place):
        super().__init__()
        self.layer, self.in_place = nn.Linear(n_inputs, n_outputs), in_place

    def forward(self, x):
        return self.layer(x.mul_(2) if self.in_place else x * 2)


def estimator(in_place, **settings):
    return GaussianVAETransformer(
        encoder=lambda n: InPlace(n, 8, in_place),
        decoder=lambda n, m: InPlace(n, m, in_place),
        max_epochs=2,
        random_state=0,
        device="cpu",
        **settings,
    )


def memory_map(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


def locked(X, folder):
    X = X.copy()
    X.flags.writeable = False
    return X


KINDS = {
    "array": lambda X, folder: X.copy(),
    "read-only": locked,
    "memory map": memory_map,
    "memory map of float64": lambda X, folder: memory_map(X.astype(np.float64), folder),
    "bytes": lambda X, folder: (255 * X).astype(np.uint8),
    "sparse": lambda X, folder: sp.csr_matrix(X),
    "Dataset": lambda X, folder: torch.utils.data.TensorDataset(torch.from_numpy(X.copy())),
    "images": lambda X, folder: X.reshape(60, 1, 5).copy(),
}


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(
    "settings",
    [
        {"likelihood": "bernoulli"},
        {"likelihood": "gaussian"},
        {"likelihood": "bernoulli", "early_stopping": True, "n_latent_samples": 2},
        {"likelihood": "bernoulli", "supervised_weight": 1.0},
    ],
    ids=str,
)
def test_results_are_those_of_the_careful_network(small, tmp_path, kind, settings):
    X = KINDS[kind](small.astype(np.float32), tmp_path)
    y = np.arange(60) % 3 if "supervised_weight" in settings else None
    before = pickle.dumps(X)
    found, expected = (estimator(in_place, **settings).fit(X, y) for in_place in (True, False))
    assert found.loss_curve_ == expected.loss_curve_
    Z = expected.transform(X)
    assert np.array_equal(found.transform(X), Z)
    assert np.array_equal(found.inverse_transform(Z), expected.inverse_transform(Z))
    assert np.array_equal(found.score_samples(X), expected.score_samples(X))
    assert pickle.dumps(X) == before
