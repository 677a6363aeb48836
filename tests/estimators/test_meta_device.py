"""The step of every model runs on torch's meta device, which has shapes but no numbers.

There a read by the host (``.item()``, ``bool(tensor)``, ``float(tensor)``) raises, and so does an
operation with a tensor that was left on the CPU. On a GPU, the former would wait for the device at
every step, and the latter would fail.
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


@pytest.mark.parametrize("name", SPACES)
def test_every_space(name, small):
    kind, params = SPACES[name]
    step_and_score(kind(**params), small)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood(likelihood, small):
    step_and_score(GaussianVAETransformer(likelihood=likelihood), np.rint(small))


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("space", ["gaussian", "hyperbolic", "learned"])
def test_every_option(option, space, small):
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
    step_and_score(model.set_params(**params), X, y)
