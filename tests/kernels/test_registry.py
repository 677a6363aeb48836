"""With accelerators off every model does the same: values, gradients, training."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

import skccvae
from skccvae import kernels
from skccvae.distributions import SphericalCauchy, VonMisesFisher, WrappedNormal
from skccvae.kernels import accelerator, registry, rotationally_symmetric
from skccvae.kernels.concentration_table import von_mises_fisher_table
from skccvae.nn import (
    NORMAL_LATENTS,
    PowerSphericalLatent,
    ProductLatent,
    ProjectedNormalLatent,
    SphericalCauchyLatent,
    SphericalLatent,
    WrappedLatent,
)

LATENTS = {
    "von_mises_fisher": lambda d: SphericalLatent(d, 0.5),
    "von_mises_fisher, shared": lambda d: SphericalLatent(d, 0.5, posterior_scale="shared"),
    "power_spherical, fixed": lambda d: PowerSphericalLatent(d, 2.0, posterior_scale=0.3),
    "power_spherical": lambda d: PowerSphericalLatent(d, 2.0),
    "spherical_cauchy": lambda d: SphericalCauchyLatent(d),
    "projected_normal": lambda d: ProjectedNormalLatent(d, 2.0),
    "product": lambda d: ProductLatent(
        [SphericalLatent(d), SphericalLatent(d), WrappedLatent(d, -1.0)], ["s0", "s1", "h0"]
    ),
}
for _family, _latent in NORMAL_LATENTS.items():
    for _K in (-1.0, -1e-3, -1e-20, 0.0, 1e-3, 0.7):
        for _learned in (False, True):
            for _reads in ("tangent", "coordinates", "gyroplane"):
                _name = f"{_family}, K = {_K}{' learned' * _learned}, {_reads}"
                LATENTS[_name] = lambda d, make=_latent, K=_K, learned=_learned, reads=_reads: make(
                    d, K, 0.8, decoder_input=reads, n_planes=5, learn_curvature=learned
                )


def outputs_and_gradients(latent, params, noise):
    """Features and KL of a step, and gradients of a fixed functional of them in all that learns."""
    params = params.clone().requires_grad_()
    step = latent.step(params, noise)
    weights = torch.linspace(1, -0.7, step.features.shape[-1], dtype=params.dtype)
    total = (step.features @ weights).sum() + step.kl.sum()
    gradients = torch.autograd.grad(total, [params, *latent.parameters()], allow_unused=True)
    weighted = latent.weighted(params, noise)
    return [x.detach() for x in (step.features, step.kl, *gradients, *weighted) if x is not None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("name", LATENTS)
def test_each_pair_is_equal(name, d, dtype):
    torch.manual_seed(0)
    latent = LATENTS[name](d).to(dtype)
    params = 0.5 * torch.randn(30, latent.n_params, dtype=dtype)
    noise = torch.randn(30, latent.noise_dim, dtype=dtype)
    fused = outputs_and_gradients(latent, params, noise)
    with kernels.disabled():
        plain = outputs_and_gradients(latent, params, noise)
    assert len(fused) == len(plain)
    # Tables, and interpolation near K = 0, leave 1e-6; the rest is rounding. The gradient in K (the
    # only one without dimensions) is a sum over all rows and coordinates, whose terms are 1/K times
    # as large as the sum where K is near 0. On a sphere some draws fall near a pole of a plane, or
    # near the antipode, where slopes are large: hence 2e-4 in float32.
    for a, b in zip(fused, plain, strict=True):
        single = dtype == torch.float32
        rel = (5e-3 if b.ndim == 0 else 2e-4) if single else 2e-5 if b.ndim == 0 else 1e-6
        assert (a - b).abs().max() <= rel * max(float(b.abs().max()), 1.0), (a, b)


ESTIMATORS = [
    skccvae.GaussianVAETransformer(),
    skccvae.SphericalVAETransformer(),
    skccvae.SphericalVAETransformer(posterior="power_spherical"),
    skccvae.SphericalVAETransformer(posterior="spherical_cauchy"),
    skccvae.SphericalVAETransformer(posterior="projected_normal"),
    skccvae.SphericalVAETransformer(posterior="wrapped_normal", prior_scale=0.5),
    skccvae.SphericalVAETransformer(posterior="riemannian_normal"),
    skccvae.HyperbolicVAETransformer(),
    skccvae.HyperbolicVAETransformer(posterior="riemannian_normal"),
    skccvae.ConstantCurvatureVAETransformer(),
    skccvae.ConstantCurvatureVAETransformer(learn_curvature=True),
    skccvae.ConstantCurvatureVAETransformer(learn_curvature=True, posterior="wrapped_normal"),
    skccvae.MixedCurvatureVAETransformer(),
    skccvae.AutoencoderTransformer(),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: repr(e)[:60])
def test_every_estimator_trains_without_accelerators(estimator):
    X = np.random.default_rng(0).random((80, 5))
    estimator.set_params(max_epochs=3, learning_rate=3e-3, random_state=0)
    fast, score = estimator.fit_transform(X), estimator.score(X)
    with kernels.disabled():
        plain, plain_score = estimator.fit_transform(X), estimator.score(X)
    np.testing.assert_allclose(fast, plain, atol=1e-3)
    assert score == pytest.approx(plain_score, abs=1e-3)


def test_the_switch_belongs_to_its_thread_and_is_put_back():
    x, noise = torch.randn(4, 3), torch.randn(4, 4)
    found = []

    def look():
        found.append(accelerator(VonMisesFisher, x, noise) is not None)

    with kernels.disabled():
        look()
        other = threading.Thread(target=look)
        other.start()
        other.join()
        with kernels.disabled():
            pass
        look()
    look()
    with pytest.raises(KeyError), kernels.disabled():
        raise KeyError
    look()
    assert found == [False, True, False, True, True]


def test_conditions():
    x, noise = torch.randn(4, 3), torch.randn(4, 4)
    assert accelerator(VonMisesFisher, x.double(), noise.double()) is None
    assert accelerator(VonMisesFisher, x[:, :2], noise[:, :3]) is None
    assert accelerator(VonMisesFisher, x, noise.expand(5, 4, 4)) is None
    assert accelerator(WrappedNormal, x, noise, 0.0) is None
    assert accelerator(WrappedNormal, x, noise, -1.0) is not None
    assert accelerator(WrappedNormal, x.half(), noise.half(), -1.0) is None
    on_device = torch.zeros((), device="meta")
    assert accelerator(WrappedNormal, x, noise, on_device) is None
    assert accelerator("hyperplanes", x, curvature=on_device) is None
    assert accelerator(WrappedNormal, x, noise, -1.0, outputs=True) is not None
    assert accelerator(WrappedNormal, x, noise, 1.0, outputs=True) is None
    assert accelerator(WrappedNormal, x, noise, torch.tensor(-1.0), outputs=True) is None
    assert accelerator(torch.distributions.Normal, x, noise) is None
    outputs = torch.randn(4, 4)
    assert accelerator(VonMisesFisher, outputs, noise, outputs=True) is not None
    assert accelerator(VonMisesFisher, outputs[:, :3], noise[:, :3], outputs=True) is None
    assert accelerator(SphericalCauchy, outputs, noise, outputs=True) is None
    with pytest.raises(ValueError, match="hyperplane"):
        accelerator("hyperplane", x)
    with pytest.raises(TypeError, match="noise"):
        accelerator(VonMisesFisher, x)


@pytest.mark.parametrize("name", ["wrapped_normal", "riemannian_normal"])
def test_the_logarithm_near_the_antipode_keeps_its_gradient_in_float32(name):
    """Where a draw lies next to the antipode of the origin, its sine is small, as it is at 0."""
    latent = NORMAL_LATENTS[name](2, 1.0)
    law, noise = latent.law, torch.tensor([[0.3, 0.5, 0.2]])[:, : latent.noise_dim]
    results = []
    for dtype in (torch.float32, torch.float64):
        u = torch.tensor([[3.05, 0.0]], dtype=dtype, requires_grad=True)
        scale = torch.full((1, latent.n_params - 2), -4.5, dtype=dtype, requires_grad=True)
        step = accelerator(law, u, noise.to(dtype), 1.0)
        z = step(u, scale, noise.to(dtype), 1.0, 1.0, True)[1]
        assert float(z.detach().norm()) > 3.0
        results.append(
            torch.autograd.grad(z[0] @ torch.tensor([0.3, 1.0], dtype=dtype), (u, scale))
        )
    for a, b in zip(*results, strict=True):
        assert (a - b).abs().max() < 1e-3 * b.abs().max()


@pytest.mark.parametrize("posterior_scale", ["free", "shared", 0.5])
def test_an_accelerator_that_begins_at_a_direction_serves_every_scale(monkeypatch, posterior_scale):
    """One entry in a table is enough for a new law on the sphere."""
    asked = []

    class Kernel:
        applies = staticmethod(rotationally_symmetric.applies)

        @staticmethod
        def step(*args):
            asked.append(args)
            return rotationally_symmetric.step(*args)

    class Law(VonMisesFisher):
        pass

    class Latent(SphericalLatent):
        law = Law

    monkeypatch.setitem(registry._TABLES, Law, (Kernel, von_mises_fisher_table))
    latent = Latent(2, posterior_scale=posterior_scale)
    latent.step(torch.randn(4, latent.n_params), torch.randn(4, 4))
    assert len(asked) == 1
