"""One scale for the posteriors of all rows: given, or learned."""

from __future__ import annotations

import math

import pytest
import torch

from skccvae.nn import (
    EuclideanLatent,
    PowerSphericalLatent,
    ProjectedNormalLatent,
    RiemannianLatent,
    SphericalCauchyLatent,
    SphericalLatent,
    WrappedLatent,
)

# Latent spaces of two dimensions, and how to read the scale of their posteriors.
LATENTS = {
    "plane": (lambda s: EuclideanLatent(2, 3.0, posterior_scale=s), lambda q: q.scale),
    "wrapped, K < 0": (lambda s: WrappedLatent(2, -2.0, posterior_scale=s), lambda q: q.scale),
    "wrapped, K > 0": (lambda s: WrappedLatent(2, 0.5, posterior_scale=s), lambda q: q.scale),
    "wrapped, axes": (
        lambda s: WrappedLatent(2, -1.0, "auto", posterior_scale=s),
        lambda q: q.scale,
    ),
    "Riemannian": (lambda s: RiemannianLatent(2, -2.0, posterior_scale=s), lambda q: q.scale),
    "learned": (
        lambda s: WrappedLatent(2, -0.1, learn_curvature=True, posterior_scale=s),
        lambda q: q.scale,
    ),
    "von Mises-Fisher": (
        lambda s: SphericalLatent(2, 0.25, posterior_scale=s),
        lambda q: 2 * q.concentration**-0.5,
    ),
    "power spherical": (
        lambda s: PowerSphericalLatent(2, 0.25, posterior_scale=s),
        lambda q: 2 * q.concentration**-0.5,
    ),
    "projected normal": (
        lambda s: ProjectedNormalLatent(2, 0.25, posterior_scale=s),
        lambda q: 2 * q.scale,
    ),
}


@pytest.mark.parametrize("name", LATENTS)
def test_a_given_scale_is_exact_and_the_same_for_all_rows(name):
    make, scale = LATENTS[name]
    latent = make(0.3)
    params = 2 * torch.randn(6, latent.n_params, generator=torch.Generator().manual_seed(0))
    found = scale(latent.posterior(params))
    assert found.detach().numpy() == pytest.approx(0.3, rel=1e-5)
    assert not any("raw" in n for n, _ in latent.named_parameters())
    assert not any("posterior_scale" in n for n in latent.state_dict())


@pytest.mark.parametrize("name", LATENTS)
def test_a_shared_scale_is_one_parameter_with_a_gradient(name):
    make, scale = LATENTS[name]
    latent = make("shared")
    params = torch.randn(6, latent.n_params, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(6, latent.noise_dim, generator=torch.Generator().manual_seed(1))
    free = make("free")
    assert free.n_params > latent.n_params
    step = latent.step(params, noise)
    (step.kl.sum() + step.features.square().sum()).backward()
    assert latent.posterior_scale.raw.grad.abs() > 0
    found = scale(latent.posterior(params)).detach()
    assert (found - found.flatten()[0]).abs().max() < 1e-6


@pytest.mark.parametrize("name", LATENTS)
def test_step_and_weights_agree_with_the_posterior(name):
    """The mean of log q - log p over draws is the KL, whichever way it is computed."""
    make, _ = LATENTS[name]
    latent = make(0.2).double()
    params = torch.randn(1, latent.n_params, generator=torch.Generator().manual_seed(0)).double()
    noise = torch.randn(
        20_000, 1, latent.noise_dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    kl = latent.step(params, noise).kl.mean()
    _, log_ratio = latent.weighted(params, noise)
    error = 4 * log_ratio.std() / math.sqrt(20_000)
    assert abs(kl + log_ratio.mean()) < 2 * error + 1e-9


@pytest.mark.parametrize("name", LATENTS)
def test_a_shared_scale_starts_at_the_mean_of_the_components(name):
    make, scale = LATENTS[name]
    latent = make("shared")
    ratio = torch.full((latent.n_start,), 0.01)
    components = torch.randn(500, latent.n_start, generator=torch.Generator().manual_seed(0))
    weight, bias = latent.start_at(ratio, components)
    assert weight.shape == (latent.n_params, latent.n_start)
    assert bias.shape == (latent.n_params,)
    params = components @ weight.T + bias
    shared = scale(latent.posterior(params)).detach().flatten()[0]
    free = make("free")
    weight, bias = free.start_at(ratio, components)
    own = scale(free.posterior(components @ weight.T + bias)).detach()
    if "projected" in name:  # there the length of the location counts too
        location = (components @ weight.T + bias)[:, :3].norm(dim=-1, keepdim=True)
        own = own / location
    assert shared.log() == pytest.approx(own.log().mean().item(), abs=0.5)


def test_groups_of_a_product_share_what_is_equal():
    assert (
        SphericalLatent(2, posterior_scale=0.1).batch_key
        == SphericalLatent(2, posterior_scale=0.1).batch_key
    )
    assert SphericalLatent(2, posterior_scale=0.1).batch_key != SphericalLatent(2).batch_key
    for latent in (
        SphericalLatent(2, posterior_scale="shared"),
        EuclideanLatent(2, posterior_scale="shared"),
        WrappedLatent(2, -1.0, posterior_scale="shared"),
    ):
        assert latent.batch_key is None


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda s: WrappedLatent(2, -1.0, posterior_scale=s), 5.0),
        (lambda s: WrappedLatent(2, 1.0, posterior_scale=s), 3.0),
        (lambda s: RiemannianLatent(2, -4.0, posterior_scale=s), 10.0),
        (lambda s: SphericalLatent(2, posterior_scale=s), 1e-3),
        (lambda s: SphericalCauchyLatent(2, posterior_scale=s), 1e3),
        (lambda s: ProjectedNormalLatent(2, posterior_scale=s), 1e4),
    ],
)
def test_a_scale_out_of_range(make, value):
    with pytest.raises(ValueError, match=r"posterior_scale=.*(at most|between)"):
        make(value)


def test_a_learned_curvature_limits_a_given_scale():
    latent = WrappedLatent(2, -1.0, learn_curvature=True, posterior_scale=3.0)
    params = torch.zeros(1, latent.n_params)
    assert latent.posterior(params).scale[0, 0] == pytest.approx(3.0)
    with torch.no_grad():
        latent.learned.mul_(100)
    assert latent.posterior(params).scale[0, 0] < 0.7
