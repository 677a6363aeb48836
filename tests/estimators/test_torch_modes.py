"""The modes of torch that the caller is in change nothing."""

from __future__ import annotations

import contextlib

import pytest
import torch

import skccvae


@contextlib.contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


MODES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "meta device": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("mode", list(MODES))
def test_fits_and_results_are_the_same_bits_in_every_mode(
    make, small, tmp_path, mode, outputs, assert_same_bits
):
    def results(path):
        vae = make(likelihood="gaussian", binarize=None).fit(small).partial_fit(small)
        vae.save(path)
        found = outputs(vae, small)
        if hasattr(vae, "posterior_distribution"):
            posterior = vae.posterior_distribution(small)
            found["posterior"] = posterior.log_prob(posterior.sample()).isfinite().numpy()
        return found

    expected = results(tmp_path / "expected")
    with MODES[mode]():
        found = results(tmp_path / "found")
        loaded = skccvae.load(tmp_path / "expected", device="cpu")
        again = outputs(loaded, small)
    assert_same_bits(found, expected)
    assert_same_bits(again, {name: expected[name] for name in again})
    loaded.partial_fit(small)  # its weights are none of inference mode


@pytest.mark.parametrize("mode", list(MODES))
def test_a_users_networks_are_built_and_trained_as_without_the_mode(
    small, mode, outputs, assert_same_bits
):
    def results():
        vae = skccvae.GaussianVAETransformer(
            encoder=lambda n: torch.nn.Sequential(torch.nn.Linear(n, 8), torch.nn.Dropout(0.2)),
            decoder=lambda n, m: torch.nn.Linear(n, m),
            max_epochs=2,
            random_state=0,
            device="cpu",
        )
        return outputs(vae.fit(small), small)

    expected = results()
    with MODES[mode]():
        found = results()
    assert_same_bits(found, expected)


def test_a_module_of_float64_is_trained_in_float32(small):
    encoder = torch.nn.Linear(5, 8, dtype=torch.float64)
    vae = skccvae.GaussianVAETransformer(encoder=encoder, max_epochs=1).fit(small)
    assert all(p.dtype == torch.float32 for p in vae.net_.module_.parameters())
    assert encoder.weight.dtype == torch.float64
