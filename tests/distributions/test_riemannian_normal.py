"""RiemannianNormal: limits, gradients against exact values, interface."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from skccvae.distributions import HypersphericalUniform, RiemannianNormal, VonMisesFisher
from skccvae.manifolds import Euclidean, Hyperbolic, Product, Sphere, constant_curvature
from skccvae.manifolds import functional as polar
from skccvae.manifolds.polar import PolarSpace
from skccvae.special.riemannian_normal import normal_radius

F64 = torch.float64


def tensor(*values: float, **options) -> torch.Tensor:
    return torch.tensor(values if len(values) != 1 else values[0], dtype=F64, **options)


def at_origin(d: int, curvature: float, scale: float, dtype=F64) -> RiemannianNormal:
    space = constant_curvature(d, curvature)
    return RiemannianNormal(space.origin(dtype), torch.tensor(scale, dtype=dtype), space)


def test_a_closed_form_of_the_plane_and_of_space() -> None:
    # int exp(-r^2/2s^2) sinh(r) dr = s sqrt(pi/2) exp(s^2/2) erf(s/sqrt 2)
    s = 1.3
    plane = 2 * math.pi * s * math.sqrt(math.pi / 2) * math.exp(s * s / 2) * math.erf(s / 2**0.5)
    assert at_origin(2, -1.0, s).log_normalizer.item() == pytest.approx(math.log(plane), abs=1e-12)
    # sinh^2 = (cosh(2r) - 1)/2; a curvature of -4 is a unit of length of 1/2
    space = 4 * math.pi * s * math.sqrt(math.pi / 8) * (math.exp(2 * s * s) - 1)
    found = at_origin(3, -4.0, s / 2).log_normalizer.item() + 3 * math.log(2)
    assert found == pytest.approx(math.log(space), abs=1e-12)


# -- limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 5, 20, 100])
def test_flat_space_is_the_isotropic_normal(d: int) -> None:
    torch.manual_seed(0)
    loc, scale = torch.randn(3, d, dtype=F64), tensor(0.01, 1.0, 50.0)
    q = RiemannianNormal(loc, scale, Euclidean(d))
    normal = Independent(Normal(loc, scale.unsqueeze(-1).expand(3, d)), 1)
    z = q.sample((10,))
    torch.testing.assert_close(q.log_prob(z), normal.log_prob(z), rtol=1e-11, atol=1e-9)
    torch.testing.assert_close(q.entropy(), normal.entropy(), rtol=1e-11, atol=1e-10)
    torch.testing.assert_close(q.mean_square_distance, d * scale.square())


@pytest.mark.parametrize("curvature", [-1e-6, 1e-6])
@pytest.mark.parametrize("d", [1, 2, 5, 100])
def test_almost_flat_space(d: int, curvature: float) -> None:
    torch.manual_seed(1)
    u = torch.randn(20, d, dtype=F64) / math.sqrt(d)
    noise = torch.randn(20, d + 1, dtype=F64)
    x = torch.randn(20, d, dtype=F64) / math.sqrt(d)
    results = []
    for K in (0.0, curvature):
        space = constant_curvature(d, K)
        v = u.clone().requires_grad_()
        scale = torch.full((20,), 0.8, dtype=F64, requires_grad=True)
        q = RiemannianNormal(space.exp0(v), scale, space)
        z = space.log0(q.rsample_from_noise(noise))
        log_prob = q.log_prob(space.exp0(x))
        outputs = [z, log_prob, q.entropy(), q.log_normalizer, q.mean_square_distance]
        slopes = torch.autograd.grad(log_prob.sum(), (v, scale), retain_graph=True)
        slopes += torch.autograd.grad(z.square().sum(), (v, scale))
        results.append([*outputs, *slopes])
    for flat, curved in zip(*results, strict=True):
        torch.testing.assert_close(curved, flat, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("d", [1, 2, 5, 100])
def test_a_wide_law_on_the_sphere_is_uniform(d: int) -> None:
    uniform = HypersphericalUniform(d + 1, dtype=F64)
    q = at_origin(d, 1.0, 1e5)
    z = uniform.sample((10,))
    torch.testing.assert_close(q.log_prob(z), uniform.log_prob(z), rtol=0, atol=1e-8)
    assert kl_divergence(q, uniform).item() == pytest.approx(0, abs=1e-9)
    narrow = [kl_divergence(at_origin(d, 1.0, s), uniform).item() for s in (2.0, 1.0, 0.1, 1e-3)]
    assert narrow == sorted(narrow)
    assert narrow[0] > 0


def test_narrow_laws_meet_the_von_mises_fisher_law() -> None:
    # both are normal laws of variance 1 / kappa in the limit
    kappa = tensor(1e6)
    p = RiemannianNormal(Sphere(4).origin(F64), kappa**-0.5, Sphere(4))
    q = VonMisesFisher(Sphere(4).origin(F64), kappa)
    assert p.entropy().item() == pytest.approx(q.entropy().item(), abs=1e-5)


def test_a_unit_of_length_changes_nothing_else() -> None:
    for d in (2, 30):
        for K in (-1.0, 1.0):
            p, q = at_origin(d, K, 0.3), at_origin(d, 4 * K, 0.15)
            assert p.entropy().item() - q.entropy().item() == pytest.approx(d * math.log(2))
            noise = torch.randn(5, d + 1, dtype=F64)
            torch.testing.assert_close(p.rsample_from_noise(noise), 2 * q.rsample_from_noise(noise))


def test_high_dimension_and_strong_curvature() -> None:
    # the law of r is the normal law of mean (d - 1) s^2 and deviation s but for 1e-30
    d, s = 100, 0.5
    torch.manual_seed(2)
    q = at_origin(d, -1.0, s)
    r = q.manifold.dist(q.loc, q.sample((4000,)))
    error = s / math.sqrt(4000)
    assert abs(r.mean().item() - (d - 1) * s * s) < 5 * error
    assert r.std().item() == pytest.approx(s, rel=0.06)
    assert q.mean_square_distance.item() == pytest.approx(((d - 1) * s * s) ** 2 + s * s, rel=1e-9)


# -- gradients -------------------------------------------------------------------------------------


@pytest.mark.parametrize("curvature", [-1.0, -0.3, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_draws_have_the_gradient_of_the_function_they_are(d: int, curvature: float) -> None:
    torch.manual_seed(3)
    space = constant_curvature(d, curvature)
    noise = torch.randn(4, d + 1, dtype=F64)
    loc = space.exp0(torch.randn(4, d, dtype=F64) * 0.5)
    scale = tensor(0.1, 0.5, 1.0, 1.5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: RiemannianNormal(loc, s, space, validate_args=False).rsample_from_noise(noise),
        (scale,),
    )
    x = space.exp0(torch.randn(4, d, dtype=F64) * 0.7)
    u = (torch.randn(4, d, dtype=F64) * 0.4).requires_grad_()

    def values(u, s):
        q = RiemannianNormal(space.exp0(u), s, space, validate_args=False)
        return q.log_prob(x), q.entropy(), q.log_normalizer, q.mean_square_distance

    assert torch.autograd.gradcheck(values, (u, scale), atol=1e-6)


@pytest.mark.parametrize("curvature", [-0.7, -1e-3, 0.0, 1e-3, 0.7])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_gradients_in_a_curvature_that_is_a_tensor(d: int, curvature: float) -> None:
    torch.manual_seed(4)
    noise = torch.randn(4, d + 1, dtype=F64)
    u, x = torch.randn(2, 4, d, dtype=F64).mul(0.5).unbind()
    scale = tensor(0.1, 0.5, 0.8, 1.2)
    K = tensor(curvature, requires_grad=True)

    def values(u, s, K):
        q = RiemannianNormal.from_tangent(u, s, PolarSpace(u.shape[-1], K))
        z = q.rsample_from_noise(noise)
        c, v = polar.exp_origin(x, K)
        return z, q.log_prob(torch.cat([c.unsqueeze(-1), v], -1)), q.log_normalizer, q.entropy()

    inputs = (u.clone().requires_grad_(), scale.requires_grad_(), K)
    # across 0 a finite difference meets two tables, which agree to 1e-9
    assert torch.autograd.gradcheck(values, inputs, eps=1e-5, atol=2e-5)
    ambient = values(u, scale, K)
    if curvature != 0:
        space = constant_curvature(d, curvature)
        q = RiemannianNormal(space.exp0(u), scale, space)
        torch.testing.assert_close(q.rsample_from_noise(noise)[..., 1:], ambient[0][..., 1:])
        torch.testing.assert_close(q.log_prob(space.exp0(x)), ambient[1])


def test_nothing_is_singular_at_the_antipode_of_the_origin() -> None:
    torch.manual_seed(6)
    space = Sphere(3)
    antipode = -space.origin(F64)
    loc = antipode.clone().requires_grad_()
    q = RiemannianNormal(loc, tensor(0.5), space)
    z = q.rsample((1000,))
    (grad,) = torch.autograd.grad(z.sum(), loc)
    assert bool(torch.isfinite(grad).all())
    assert grad.abs().max() < 3000
    assert (z @ antipode).mean().item() > 0.5


# -- interface -------------------------------------------------------------------------------------


def test_arguments_are_checked() -> None:
    space = Hyperbolic(2)
    loc = space.origin()
    with pytest.raises(TypeError, match="Euclidean, Sphere or Hyperbolic"):
        RiemannianNormal(loc, 1.0, Product([space, space]))
    with pytest.raises(ValueError, match="3 \\(ambient\\) coordinates"):
        RiemannianNormal(loc[:2], 1.0, space)
    with pytest.raises(ValueError, match="one number for each location"):
        RiemannianNormal(loc.expand(4, 3), torch.ones(2), space)
    with pytest.raises(ValueError, match="loc must lie on"):
        RiemannianNormal(loc + 1, 1.0, space)
    with pytest.raises(ValueError):
        RiemannianNormal(loc, 0.0, space)
    q = RiemannianNormal(loc, 1.0, space)
    with pytest.raises(ValueError, match="ambient"):
        q.log_prob(loc[:2])
    with pytest.raises(ValueError, match="noise must have noise_dim = 3"):
        q.rsample_from_noise(torch.zeros(5, 2))


def test_noise_of_zeros_is_a_fair_draw() -> None:
    q = at_origin(2, -1.0, 1.0)
    z = q.rsample_from_noise(torch.zeros(3, dtype=F64))
    median = normal_radius(tensor(0.0), tensor(-1.0), 2)
    assert q.manifold.dist(q.loc, z).item() == pytest.approx(median.item())


def test_divergence_needs_the_unit_sphere() -> None:
    with pytest.raises(ValueError, match="unit sphere"):
        kl_divergence(at_origin(2, -1.0, 1.0), HypersphericalUniform(3))
    with pytest.raises(ValueError, match="unit sphere"):
        kl_divergence(at_origin(2, 4.0, 1.0), HypersphericalUniform(3))
    with pytest.raises(ValueError, match="got 3 and 4"):
        kl_divergence(at_origin(2, 1.0, 1.0), HypersphericalUniform(4))
    batch = kl_divergence(at_origin(2, 1.0, 1.0), HypersphericalUniform(3, (5,)))
    assert batch.shape == (5,)


def test_second_derivatives_are_refused() -> None:
    scale = tensor(1.0, requires_grad=True)
    q = RiemannianNormal(Sphere(2).origin(F64), scale, Sphere(2))
    with pytest.raises(RuntimeError, match="first derivative only"):
        torch.autograd.grad(q.log_normalizer, scale, create_graph=True)


def test_no_closed_divergence_between_two_locations() -> None:
    q = at_origin(2, 1.0, 1.0)
    moved = RiemannianNormal(-q.loc, q.scale, q.manifold)
    with pytest.raises(NotImplementedError, match="same loc"):
        kl_divergence(q, moved)
    assert kl_divergence(q, q).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("curvature", [-9e-19, -1e-20, -1e-30, 1e-30, 9e-19])
def test_a_curvature_that_counts_as_flat_is_flat(curvature: float) -> None:
    space = constant_curvature(3, curvature)
    q = RiemannianNormal(space.exp0(torch.ones(3, dtype=F64)), tensor(0.7), space)
    flat = RiemannianNormal(torch.ones(3, dtype=F64), tensor(0.7), Euclidean(3))
    noise = torch.randn(5, 4, dtype=F64)
    torch.testing.assert_close(
        space.log0(q.rsample_from_noise(noise)), flat.rsample_from_noise(noise)
    )
    torch.testing.assert_close(q.entropy(), flat.entropy())


@pytest.mark.parametrize("curvature", [-1.0, 0.0, 1.0])
def test_a_value_that_is_nan_has_no_density(curvature: float) -> None:
    space = constant_curvature(2, curvature)
    q = RiemannianNormal(space.origin(F64), tensor(1.0), space, validate_args=False)
    assert torch.isnan(q.log_prob(torch.full_like(q.loc, math.nan)))
