"""Files with the state of the training: it continues as if there had been no break."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import skccvae
from skccvae import GaussianVAETransformer, MixedCurvatureVAETransformer

_spec = importlib.util.spec_from_file_location("forged", Path(__file__).with_name("forged.py"))
forged = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(forged)
averages = forged.averages

FAST = {"max_epochs": 2, "hidden_layer_sizes": (6,), "random_state": 0, "device": "cpu"}


def through_a_file(vae, folder, training_state=True, **options):
    vae.save(folder / "model", training_state=training_state)
    return skccvae.load(folder / "model", **options)


def assert_trains_alike(vae, back, X, y=None):
    """The same bits, from the start, in partial_fit, and in a warm fit."""
    for step in ("nothing", "partial_fit", "partial_fit", "fit"):
        for each in (vae, back):
            if step != "nothing":
                getattr(each.set_params(warm_start=True), step)(X, y)
        assert back.transform(X).tobytes() == vae.transform(X).tobytes()
        assert back.loss_curve_ == vae.loss_curve_
        assert averages(back) == averages(vae)
        assert len(averages(vae)) > 20


@pytest.mark.parametrize(
    "settings", [{}, {"binarize": "dynamic", "early_stopping": True, "weight_decay": 1.0}]
)
def test_training_goes_on_from_a_file_as_without_a_break(make, small, settings, tmp_path):
    vae = make(**settings).fit(small)
    assert_trains_alike(vae, through_a_file(vae, tmp_path), small)


def test_training_goes_on_with_targets_and_a_learned_curvature(real, tmp_path):
    settings = {"supervised_weight": 1.0, "learn_curvature": True}
    vae = MixedCurvatureVAETransformer("h1,e1,s1", **settings, **FAST)
    y = real[:, 0] > 3
    vae.partial_fit(real, y)
    assert_trains_alike(vae, through_a_file(vae, tmp_path), real, y)


class Dropping(torch.nn.Sequential):
    def __init__(self, n_inputs):
        super().__init__(
            torch.nn.Linear(n_inputs, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.4)
        )


def test_training_goes_on_with_a_network_of_the_user(real, tmp_path):
    vae = GaussianVAETransformer(encoder=Dropping, **FAST).fit(real)
    assert_trains_alike(vae, through_a_file(vae, tmp_path, trusted=(Dropping,)), real)


def test_a_state_survives_a_second_file(real, tmp_path):
    vae = GaussianVAETransformer(**FAST).fit(real)
    back = through_a_file(through_a_file(vae, tmp_path), tmp_path)
    assert_trains_alike(vae, back, real)


def test_without_the_state_the_averages_start_anew(real, tmp_path):
    vae = GaussianVAETransformer(**FAST).fit(real)
    back = through_a_file(vae, tmp_path, training_state=False)
    assert not any(name.startswith("optimizer.") for name in load_file(tmp_path / "model"))
    assert averages(back) == {}
    assert back.partial_fit(real).loss_curve_[-1] == pytest.approx(
        vae.partial_fit(real).loss_curve_[-1], rel=0.1
    )
    assert back.transform(real).tobytes() != vae.transform(real).tobytes()


NAME = "optimizer.head.bias"
EDITS = {
    "unknown parameter": (
        lambda t: t.update({"optimizer.evil.step": torch.ones(())}),
        "'evil.step' is not an average",
    ),
    "unknown entry": (lambda t: t.update({f"{NAME}.max": t[f"{NAME}.exp_avg"] + 0}), "an average"),
    "no name": (lambda t: t.update({"optimizer.": torch.ones(())}), "an average"),
    "missing": (lambda t: t.pop(f"{NAME}.exp_avg"), "but no head.bias.exp_avg"),
    "shape": (
        lambda t: t.update({f"{NAME}.exp_avg": torch.zeros(10**4)}),
        r"shape \(10000,\)",
    ),
    "dtype": (
        lambda t: t.update({f"{NAME}.exp_avg": t[f"{NAME}.exp_avg"].double()}),
        "torch.float64",
    ),
    "integer step": (lambda t: t.update({f"{NAME}.step": torch.tensor(1)}), "int64"),
    "first step": (lambda t: t[f"{NAME}.step"].zero_(), "must be at least 1"),
    "negative square": (lambda t: t[f"{NAME}.exp_avg_sq"].sub_(1), "must be at least 0"),
    "NaN": (lambda t: t[f"{NAME}.exp_avg"].fill_(np.nan), "contains NaN or infinity"),
    "infinity": (lambda t: t[f"{NAME}.exp_avg_sq"].fill_(np.inf), "contains NaN or infinity"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_a_state_that_does_not_fit_the_model_is_refused(name, real, tmp_path):
    edit, message = EDITS[name]
    GaussianVAETransformer(**FAST).fit(real).save(tmp_path / "model", training_state=True)
    forged.forge(tmp_path / "model", tmp_path / "forged", lambda meta, tensors: edit(tensors))
    with pytest.raises(ValueError, match=f"forged' cannot be loaded: .*{message}"):
        skccvae.load(tmp_path / "forged")
