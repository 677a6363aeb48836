"""The model card says what is true of the model, and is where it should be."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
import torch

import skccvae
from skccvae import GaussianVAETransformer, MixedCurvatureVAETransformer
from skccvae.estimators._model_card import card_text

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4))
FAST = {"max_epochs": 2, "hidden_layer_sizes": (16,), "random_state": 0}


def card_of(vae, path, **where):
    vae.save(path, **{"model_card": True, **where})
    return path.with_suffix(".md").read_text(encoding="utf-8")


def load_lines(card):
    """The code of the card that loads the model."""
    return card.partition("```python\n")[2].partition("```")[0]


def test_what_a_card_says(tmp_path):
    vae = MixedCurvatureVAETransformer(early_stopping=True, **FAST).fit(X)
    card = card_of(vae, tmp_path / "model.skccvae")
    assert "# MixedCurvatureVAETransformer\n" in card
    assert "| X | (n_samples, 4) |" in card
    assert f"| Likelihood | `{vae.likelihood_}` |" in card
    assert "| Curvature | -1, 1, 0 |" in card
    assert f"| ELBO of the training rows | {vae.history_['elbo'][-1]:.4f} |" in card
    assert f"| ELBO of the validation rows | {vae.history_['valid_elbo'][-1]:.4f} |" in card
    assert "best validation loss" in card
    assert f"(`n_iter_`) | {vae.n_iter_} |" in card
    for name, version in (("skccvae", skccvae.__version__), ("torch", torch.__version__)):
        assert f"| {name} | {version} |" in card
    assert str(datetime.now(UTC).year) in card
    changed = [line.split("`")[1] for line in card.splitlines() if line.startswith("| `")]
    assert changed == ["early_stopping", *sorted(FAST)]


def test_a_model_of_defaults_and_images(tmp_path):
    images = RNG.integers(0, 256, (300, 2, 2), dtype=np.uint8)
    vae = GaussianVAETransformer(max_epochs=1).fit(images).set_params(max_epochs="auto")
    card = card_of(vae, tmp_path / "model.skccvae")
    assert "| X | (n_samples, 2, 2) |" in card
    assert "differ from the defaults\n\nNone.\n" in card
    assert "validation" not in card


@pytest.mark.parametrize("decoder", ["mlp", torch.nn.Linear])
def test_the_code_of_a_card_runs(tmp_path, decoder, monkeypatch):
    vae = GaussianVAETransformer(decoder=decoder, **FAST).fit(X)
    card = card_of(vae, tmp_path / "model.skccvae")
    monkeypatch.chdir(tmp_path)
    found = {"X": X}
    exec(load_lines(card), found)
    assert np.array_equal(found["Z"], vae.transform(X))


def test_where_a_card_lies(tmp_path):
    vae = GaussianVAETransformer(**FAST).fit(X)
    vae.save(tmp_path / "a.skccvae")
    assert [file.name for file in tmp_path.iterdir()] == ["a.skccvae"]
    vae.save(tmp_path / "a.skccvae", model_card=str(tmp_path / "README.md"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["README.md", "a.skccvae"]
    with pytest.raises(ValueError, match="replace the model"):
        vae.save(tmp_path / "b.md", model_card=True)
    with pytest.raises(TypeError, match="True, False or the path"):
        vae.save(tmp_path / "b.skccvae", model_card=1)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["README.md", "a.skccvae"]


def test_text_stays_in_its_cell():
    vae = GaussianVAETransformer(**FAST).fit(X)
    text = card_text(vae, "model.skccvae", {**vae.get_params(), "verbose": "a|b\n`c`"}, "0.1")
    assert "| `verbose` | `'a\\|b\\n'c''` |" in text
