"""Latent spaces: steps against their own distributions, limits in the curvature, products."""

from __future__ import annotations

import math

import pytest
import torch

from skccvae.nn import (
    DeterministicLatent,
    EuclideanLatent,
    PowerSphericalLatent,
    ProductLatent,
    ProjectedNormalLatent,
    RiemannianLatent,
    SphericalCauchyLatent,
    SphericalLatent,
    WrappedLatent,
)


def started(latent):
    """The latent space after a start at components of decreasing size."""
    ratio = torch.full((latent.n_start,), 0.1)
    rows = torch.randn(100, latent.n_start, generator=torch.Generator().manual_seed(3))
    latent.start_at(ratio, rows * 2.0 / torch.arange(1, latent.n_start + 1))
    return latent


def spaces(dim: int) -> dict:
    return {
        "flat": EuclideanLatent(dim),
        "flat, wide prior": EuclideanLatent(dim, 2.0),
        "flat, axes": started(EuclideanLatent(dim, "auto")),
        "hyperbolic, axes": started(WrappedLatent(dim, -1.0, "auto")),
        "hyperbolic ball, axes": started(
            WrappedLatent(dim, -1.0, "auto", decoder_input="coordinates", flat_part=True)
        ),
        "sphere": SphericalLatent(dim),
        "small sphere": SphericalLatent(dim, 4.0),
        "power spherical": PowerSphericalLatent(dim),
        "spherical Cauchy": SphericalCauchyLatent(dim, 0.5),
        "projected normal": ProjectedNormalLatent(dim, 0.5),
        "hyperbolic": WrappedLatent(dim, -1.0),
        "hyperbolic ball": WrappedLatent(dim, -0.5, decoder_input="coordinates"),
        "hyperbolic planes": WrappedLatent(dim, -0.5, decoder_input="gyroplane", n_planes=7),
        "wrapped sphere": WrappedLatent(dim, 0.3, decoder_input="coordinates"),
        "riemannian": RiemannianLatent(dim, -0.6),
        "riemannian sphere": RiemannianLatent(dim, 0.5, decoder_input="coordinates"),
        "riemannian flat": RiemannianLatent(dim, 0.0),
        "riemannian learned": RiemannianLatent(dim, 0.2, 0.8, learn_curvature=True),
        "wide prior": WrappedLatent(dim, -0.3, prior_scale=1.7),
        "learned": WrappedLatent(dim, -0.4, learn_curvature=True),
        "product": ProductLatent(
            [SphericalLatent(2), WrappedLatent(dim, -1.0), EuclideanLatent(1)], ["s0", "h0", "e0"]
        ),
    }


NAMES = list(spaces(2))


def params_and_noise(latent, rows=6, draws=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    params = 0.7 * torch.randn(rows, latent.n_params, generator=generator, dtype=torch.float64)
    noise = torch.randn(draws, rows, latent.noise_dim, generator=generator, dtype=torch.float64)
    return params, noise


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_weights_are_the_ratio_of_prior_to_posterior(name, dim):
    latent = spaces(dim)[name].double()
    params, noise = params_and_noise(latent)
    posterior, prior = latent.posterior(params), latent.prior()
    z = posterior.rsample_from_noise(noise)
    features, log_ratio = latent.weighted(params, noise)
    expected = prior.log_prob(z) - posterior.log_prob(z)
    assert torch.allclose(log_ratio, expected, atol=1e-6)
    assert torch.allclose(features, latent.features(latent.to_ambient(z)), atol=1e-6)
    assert features.shape == (5, 6, latent.n_features)


@pytest.mark.parametrize("name", NAMES)
def test_kl_of_the_step_is_the_mean_of_the_log_ratio(name):
    latent = spaces(2)[name].double()
    params, noise = params_and_noise(latent, rows=3, draws=100_000)
    with torch.no_grad():
        kl = latent.step(params, noise).kl
        estimates = -latent.weighted(params, noise)[1]
    kl = kl.mean(0) if kl.dim() > 1 else kl
    error = estimates.std(0) / math.sqrt(len(estimates))
    assert ((kl - estimates.mean(0)).abs() < 5 * error + 1e-9).all()


@pytest.mark.parametrize("name", NAMES)
def test_location_is_on_the_space_and_read_by_the_decoder(name):
    latent = spaces(3)[name].double()
    params, _ = params_and_noise(latent)
    points = latent.location(params)
    manifold = latent.fitted_manifold()
    assert points.shape == (6, manifold.ambient_dim)
    assert bool(manifold.belongs(points).all())
    assert latent.features(points).shape == (6, latent.n_features)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", [1, 2, 40])
def test_gradients_are_finite_for_extreme_outputs_of_the_network(name, dim):
    torch.manual_seed(26)  # hyperplanes that lie far away
    latent = spaces(dim)[name]
    for size in (0.01, 1.0, 30.0, 1e4):
        generator = torch.Generator().manual_seed(1)
        params = size * torch.randn(64, latent.n_params, generator=generator)
        params.requires_grad_(True)
        noise = torch.randn(64, latent.noise_dim, generator=generator)
        step = latent.step(params, noise)
        (step.features.square().sum() * 1e-6 + step.kl.sum()).backward()
        assert torch.isfinite(step.features).all()
        assert torch.isfinite(step.kl).all()
        assert torch.isfinite(params.grad).all()


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("curvature", [1e-6, -1e-6, 0.0])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_flat_limit_is_the_gaussian_model(dim, curvature, learn):
    """Draws, KL, weights and their gradients within 1e-4 at |K| = 1e-6."""
    flat = EuclideanLatent(dim).double()
    curved = WrappedLatent(dim, curvature, learn_curvature=learn, flat_part=True).double()
    generator = torch.Generator().manual_seed(0)
    # Locations and scales of order one: the effect of curvature grows as K r^2.
    params = torch.randn(64, 2 * dim, generator=generator, dtype=torch.float64)
    params[:, dim:] = 0.5 * params[:, dim:] - 1
    noise = torch.randn(64, dim, generator=generator, dtype=torch.float64)
    results = []
    for latent in (flat, curved):
        leaf = params.clone().requires_grad_(True)
        step = latent.step(leaf, noise)
        features, ratio = latent.weighted(leaf, noise)
        (step.kl.sum() + step.features.sin().sum() + ratio.sum()).backward()
        results.append((step.features, step.kl, features, ratio, leaf.grad))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("curvature", [-1.0, -1e-3, 0.0, 1e-3, 0.5])
def test_gradient_of_a_learned_curvature(curvature):
    """Against a central difference, at 0 as well."""
    latent = WrappedLatent(3, curvature, learn_curvature=True, flat_part=True).double()
    params, noise = params_and_noise(latent)

    def value() -> torch.Tensor:
        step = latent.step(params, noise)
        return step.kl.mean() + step.features.sin().mean()

    value().backward()
    slope = latent.learned.grad.item()
    # Small, since the second derivative of the bounds on the posterior jumps at K = 0.
    h = 1e-7
    with torch.no_grad():
        latent.learned += h
        above = value().item()
        latent.learned -= 2 * h
        below = value().item()
    assert slope == pytest.approx((above - below) / (2 * h), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kind", [SphericalLatent, ProjectedNormalLatent])
def test_uniform_posterior_is_no_trap(kind):
    """Near the uniform law the gradient in the location's vector does not vanish."""
    latent = kind(10).double()
    generator = torch.Generator().manual_seed(0)
    params = 1e-3 * torch.randn(500, latent.n_params, generator=generator, dtype=torch.float64)
    params.requires_grad_(True)
    noise = torch.randn(500, latent.noise_dim, generator=generator, dtype=torch.float64)
    latent.step(params, noise).features[:, 0].sum().backward()
    assert params.grad[:, 0].abs().mean() > 0.1


def test_product_adds_kls_and_keeps_them_apart():
    latent = spaces(2)["product"].double()
    params, noise = params_and_noise(latent)
    step = latent.step(params, noise)
    assert step.factor_kl.shape == (5, 6, 3)
    assert torch.allclose(step.kl, step.factor_kl.sum(-1))


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        # the last component of a sphere is only used if the rows wind round
        ([WrappedLatent(2, -1.0), SphericalLatent(2), EuclideanLatent(1)], [{0, 2}, {3, 4}, {1}]),
        ([SphericalLatent(2), SphericalLatent(3), EuclideanLatent(1)], [{1, 3}, {2, 4, 6}, {0}]),
        ([SphericalLatent(4, 0.25), WrappedLatent(2, -1.0)], [{0, 2, 4, 5}, {1, 3}]),
        ([SphericalLatent(1), WrappedLatent(1, -1.0)], [{0}, {1}]),
        ([SphericalLatent(1, 1.00000003), WrappedLatent(1, -1.0)], [{0}, {1}]),
    ],
    ids=["unit sphere", "two spheres", "wide sphere", "circle", "circle of a rounded radius"],
)
def test_spheres_narrower_than_normal_priors_start_at_the_smallest_components(factors, expected):
    latent = ProductLatent(factors, [str(n) for n in range(len(factors))])
    rows = torch.randn(200, latent.n_start, generator=torch.Generator().manual_seed(3))
    weight, _ = latent.start_at(torch.full((latent.n_start,), 0.1), rows)
    parts = weight.split([factor.n_params for factor in factors])
    assert [set(part.any(0).nonzero().flatten().tolist()) for part in parts] == expected


@pytest.mark.parametrize("draws", [None, 4])
def test_equal_factors_as_one_batch_are_those_one_by_one(draws):
    def factors():
        spheres = [SphericalLatent(3) for _ in range(3)]
        return [*spheres, WrappedLatent(2, -1.0), WrappedLatent(2, -1.0), EuclideanLatent(2)]

    names = list("abcdef")
    merged = ProductLatent(factors(), names).double()
    apart = ProductLatent(factors(), names).double()
    apart._groups = [(n, 1) for n in range(6)]
    apart._param_sizes = [factor.n_params for factor in apart.factors]
    apart._noise_sizes = [factor.noise_dim for factor in apart.factors]
    assert [n for _, n in merged._groups] == [3, 2, 1]
    params, noise = params_and_noise(merged)
    noise = noise[0] if draws is None else noise[:draws]
    one, other = merged.step(params, noise), apart.step(params, noise)
    for a, b in zip(one[:3], other[:3], strict=True):  # a product has no tangent locations
        assert torch.allclose(a, b, atol=1e-12)
    for a, b in zip(merged.weighted(params, noise), apart.weighted(params, noise), strict=True):
        assert torch.allclose(a, b, atol=1e-9)


def test_prior_out_of_the_range_of_float32_is_refused():
    with pytest.raises(ValueError, match="smaller prior_scale or fewer components"):
        WrappedLatent(2000, -1.0)


def test_deterministic_latent_has_no_kl():
    latent = DeterministicLatent(3)
    params = torch.randn(4, 3)
    assert latent.step(params, torch.empty(4, 0)).kl.abs().sum() == 0
    assert torch.equal(latent.location(params), params)


@pytest.mark.parametrize("latent", [SphericalLatent(2), ProjectedNormalLatent(2)])
def test_a_blob_starts_on_a_hemisphere_and_a_shell_all_round(latent):
    generator = torch.Generator().manual_seed(0)
    blob = torch.randn(2000, 3, generator=generator)
    shell = math.sqrt(3) * blob / blob.norm(dim=-1, keepdim=True)
    shell = shell + 0.1 * torch.randn(2000, 3, generator=generator)
    ratio, points = torch.full((3,), 0.1), {}
    for name, standardised in (("blob", blob), ("shell", shell)):
        weight, bias = latent.start_at(ratio, standardised * torch.tensor([3.0, 2.0, 1.0]))
        points[name] = latent.location(standardised @ weight.T + bias)
    assert (points["blob"][:, 2] > 0).all()
    # central projection of the first two components: straight lines become great circles
    tangent = points["blob"][:, :2] / points["blob"][:, 2:]
    assert torch.allclose(tangent, math.sqrt(0.9) * blob[:, :2], atol=1e-5)
    assert (points["shell"][:, 2] > 0).float().mean() == pytest.approx(0.5, abs=0.05)
    assert torch.allclose(points["shell"], shell / shell.norm(dim=-1, keepdim=True), atol=1e-5)
