"""What docs/how-to/export.rst says of other tools, where those are installed."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import skccvae
from skccvae import GaussianVAETransformer, HyperbolicVAETransformer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
FAST = {"hidden_layer_sizes": (16,), "random_state": 0}


def test_a_folder_for_a_hub(tmp_path):
    vae = HyperbolicVAETransformer(max_epochs=2, **FAST).fit(X)
    vae.save(tmp_path / "model.skccvae", model_card=tmp_path / "README.md")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["README.md", "model.skccvae"]
    assert (tmp_path / "README.md").read_text(encoding="utf-8").startswith("---\nlibrary_name: ")
    again = skccvae.load(tmp_path / "model.skccvae")
    assert np.array_equal(again.transform(X), vae.transform(X))


@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix])
def test_an_embedding_in_anndata(container):
    anndata = pytest.importorskip("anndata", reason="anndata is not installed")
    counts = container(RNG.poisson(2.0, (50, 6)).astype(np.float32))
    adata = anndata.AnnData(counts)
    vae = GaussianVAETransformer(likelihood="negative_binomial", max_epochs=2, **FAST).fit(adata.X)
    adata.obsm["X_vae"] = vae.transform(adata.X)
    assert np.array_equal(adata.obsm["X_vae"], vae.transform(counts))
    assert adata[3:7].obsm["X_vae"].shape == (4, 2)


def test_pruning_with_optuna():
    optuna = pytest.importorskip("optuna", reason="optuna is not installed")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    epochs = []

    def objective(trial):
        rate = trial.suggest_categorical("learning_rate", [1e-2, 1e-7])
        vae = HyperbolicVAETransformer(init="random", learning_rate=rate, **FAST)
        for epoch in range(6):
            vae.partial_fit(X[:40])
            trial.report(vae.score(X[40:]), epoch)
            if trial.should_prune():
                epochs.append(epoch + 1)
                raise optuna.TrialPruned
        epochs.append(epoch + 1)
        return vae.score(X[40:])

    study = optuna.create_study(
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2),
    )
    for rate in (1e-2, 1e-7):  # the second learns nothing
        study.enqueue_trial({"learning_rate": rate})
    study.optimize(objective, n_trials=2)
    assert study.best_params == {"learning_rate": 1e-2}
    assert epochs[0] == 6
    assert epochs[1] < 6
