"""The step of every model runs on torch's meta device, and is repeated from a recording.

The meta device has shapes but no numbers. There a read by the host (``.item()``, ``bool(tensor)``,
``float(tensor)``) raises, and so does an operation with a tensor that was left on the CPU. On a
GPU, the former would wait for the device at every step, and the latter would fail.

A recording is used from the third epoch here. It must give the bits of a step without one. On the
CPU, the steps of a learned curvature and those of a wrapped normal on a sphere read numbers: the
curvature, to choose between formulas, and the lengths of vectors, to leave out sums that are lost
in rounding. They must not be recorded.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from skccvae import (
    AutoencoderTransformer,
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)
from skccvae.nn import LIKELIHOODS
from skccvae.nn.latent import NORMAL_LATENTS, UNIFORM_LATENTS
from skccvae.training import net
from skccvae.training.batches import Batch

# From below 0, at 0 and from above, a learned curvature takes other paths.
LEARNED = {"learn_curvature": True}
SPACES: dict[str, tuple[type, dict[str, Any]]] = {
    "autoencoder": (AutoencoderTransformer, {}),
    "gaussian": (GaussianVAETransformer, {}),
    **{
        f"sphere, {law}": (SphericalVAETransformer, {"posterior": law})
        for law in (*UNIFORM_LATENTS, *NORMAL_LATENTS)
    },
    **{
        f"hyperbolic, {law}": (HyperbolicVAETransformer, {"posterior": law})
        for law in NORMAL_LATENTS
    },
    **{
        f"K = {K}, {law}": (ConstantCurvatureVAETransformer, {"curvature": K, "posterior": law})
        for law in NORMAL_LATENTS
        for K in (-0.5, 0.0, 0.5)
    },
    **{
        f"learned from {K}, {law}": (
            ConstantCurvatureVAETransformer,
            {"curvature": K, "posterior": law, **LEARNED},
        )
        for law in NORMAL_LATENTS
        for K in (-0.5, 0.0, 0.5)
    },
    "product": (MixedCurvatureVAETransformer, {"signature": "2h2,s2,e2"}),
    "product, learned": (MixedCurvatureVAETransformer, {"signature": "h2,s2,e2", **LEARNED}),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "importance weighted": {"objective": "iwae", "n_latent_samples": 3},
    "several draws": {"n_latent_samples": 3},
    "distances": {"distance_weight": 1.0},
    "one scale": {"posterior_scale": "shared"},
    "fixed scale": {"posterior_scale": 0.3},
    "free bits": {"free_bits": 0.1},
    "labels": {"supervised_weight": 1.0},
    "holes": {"missing": "mask"},
    "gyroplanes": {"decoder_input": "gyroplane"},
    "bits": {"binarize": "dynamic"},
}


def step_and_score(model: Any, X: np.ndarray, y: np.ndarray | None = None) -> None:
    """Fit on the CPU for what a module is made of; then loss, backward and scores without data."""
    model.set_params(max_epochs=1, hidden_layer_sizes=(8,), random_state=0, device="cpu")
    model.fit(X, y)
    module = copy.deepcopy(model.net_.module_).to("meta").train()
    module.generator = None
    x = torch.empty(16, module.likelihood.n_features, device="meta")
    targets = None if y is None else torch.empty(16, 1, device="meta")
    loss, *parts = model.net_.criterion_(module, Batch(x, targets), 0.5)
    loss.backward()
    for part in (loss, *parts):
        assert isinstance(part, Tensor)
        assert part.device.type == "meta"
    for name, parameter in module.named_parameters():
        assert parameter.grad is None or parameter.grad.device.type == "meta", name
    module.eval()
    with torch.no_grad():
        # Once an epoch, the net also measures the scale of the stress. That may read a curvature.
        if module.distance_weight:
            assert module.stress(x).device.type == "meta"
        drawn = module.draw_pixels(x, seed=0) if model.binarize == "dynamic" else x
        evidence = module.evidence(drawn, 5, seed=0, draws_at_once=2, targets=targets)
    for value in (*evidence[:3], *evidence.factor_kl):
        assert value.device.type == "meta"
        assert value.shape == (16,)
        assert value.dtype == torch.float64


def reads_numbers(model: Any) -> bool:
    params = model.get_params()
    on_a_sphere = isinstance(model, SphericalVAETransformer) or params.get("curvature") == 0.5
    wrapped = params.get("posterior") == "wrapped_normal"
    return params.get("learn_curvature", False) or (wrapped and on_a_sphere)


@pytest.fixture
def repeat(noted, monkeypatch):
    """Fit with recordings and without; the recordings must be used and give the same bits."""

    def check(model: Any, X: np.ndarray, y: np.ndarray | None = None) -> None:
        model.set_params(
            max_epochs=5,
            hidden_layer_sizes=(8,),
            batch_size=16,
            kl_warmup_epochs=3,
            random_state=0,
            device="cpu",
        )
        with monkeypatch.context() as patch:
            patch.setattr(net, "repeatable", lambda *parts: None)
            plain = copy.deepcopy(model).fit(X, y)
        assert noted == []
        model.fit(X, y)
        for name, tensor in plain.net_.module_.state_dict().items():
            assert torch.equal(tensor, model.net_.module_.state_dict()[name]), name
        # Batches of 16 rows and one of 12. A curvature that begins to learn is a new step.
        expected = 0 if reads_numbers(model) else 2
        assert [each.n_recorded for each in noted] == [expected] * len(noted) != []

    return check


@pytest.fixture(params=["meta", "repeat"])
def check(request):
    return step_and_score if request.param == "meta" else request.getfixturevalue("repeat")


@pytest.mark.parametrize("name", SPACES)
def test_every_space(name, small, check):
    kind, params = SPACES[name]
    check(kind(**params), small)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood(likelihood, small, check):
    check(GaussianVAETransformer(likelihood=likelihood), np.rint(small))


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("space", ["gaussian", "hyperbolic", "learned"])
def test_every_option(option, space, small, check):
    params = OPTIONS[option]
    model = {
        "gaussian": GaussianVAETransformer(),
        "hyperbolic": HyperbolicVAETransformer(),
        "learned": ConstantCurvatureVAETransformer(curvature=-0.5, **LEARNED),
    }[space]
    if not set(params) <= set(model.get_params()):
        pytest.skip(f"{type(model).__name__} has no such parameter")
    X = np.where(small > 0.9, np.nan, small) if option == "holes" else small
    y = small[:, 0] if option == "labels" else None
    check(model.set_params(**params), X, y)
