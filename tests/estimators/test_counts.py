"""Counts whose variance exceeds their mean, dense and sparse."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

from skccvae import GaussianVAETransformer

FAST = {"hidden_layer_sizes": (16,), "random_state": 0, "likelihood": "negative_binomial"}


def test_sparse_counts(make):
    X = np.random.default_rng(0).negative_binomial(0.3, 0.1, size=(60, 30))
    assert (X == 0).mean() > 0.4
    sparse = sp.csr_array(X)
    vae = make(likelihood="negative_binomial").fit(sparse)
    assert vae.likelihood_ == "negative_binomial"
    np.testing.assert_allclose(vae.score_samples(sparse, 4), vae.score_samples(X, 4), rtol=1e-6)
    back = vae.inverse_transform(vae.transform(sparse))
    assert np.isfinite(back).all()
    assert (back > 0).all()


def test_the_bound_reaches_the_law_of_independent_counts():
    """No latent structure: the model is the columns' own law, which it has to find."""
    rng = np.random.default_rng(1)
    X = rng.negative_binomial([2.0, 20.0], [0.2, 0.5], size=(3000, 2))
    settings = {**FAST, "init": "random", "max_epochs": 60, "learning_rate": 1e-2}
    settings["kl_warmup_epochs"] = 0
    vae = GaussianVAETransformer(1, **settings).fit(X)
    truth = stats.nbinom([2.0, 20.0], [0.2, 0.5]).logpmf(X).sum(axis=1).mean()
    assert vae.score(X) == pytest.approx(truth, abs=0.05)
    poisson = GaussianVAETransformer(1, **{**settings, "likelihood": "poisson"})
    assert vae.score(X) > poisson.fit(X).score(X) + 0.02
    size = vae.net_.module_.likelihood.size().detach().numpy()
    assert size[0] == pytest.approx(2.0, rel=0.5)
    assert size[1] > 8.0
