"""The fused training step of the Riemannian normal against the distribution and autograd."""

from __future__ import annotations

import math

import pytest
import torch

from skccvae.distributions import RiemannianNormal
from skccvae.kernels import accelerator
from skccvae.kernels.radius_table import chi_radius, radius_table
from skccvae.manifolds import constant_curvature
from skccvae.manifolds import functional as polar
from skccvae.manifolds.functional import log_origin
from skccvae.manifolds.polar import PolarSpace
from skccvae.manifolds.polar_distance import distance
from skccvae.special.riemannian_normal import radius_and_slope

F64 = torch.float64
CURVATURES = [-4.0, -1.0, -0.2, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 0.2, 1.0, 4.0]


def plain(u, log_scale, noise, K, prior_scale=1.0, log_map=False):
    """The same numbers from the laws alone."""
    space = PolarSpace(u.shape[-1], K)
    q = RiemannianNormal.from_tangent(u, log_scale.exp(), space, validate_args=False)
    origin = torch.zeros(u.shape[-1], dtype=u.dtype)
    p = RiemannianNormal.from_tangent(origin, prior_scale, space, validate_args=False)
    z, log_q = q.rsample_with_log_prob(noise)
    zc, zs = space.to_polar(z)
    return zc, log_origin(zc, zs, K) if log_map else zs, log_q - p.log_prob(z)


def riemannian_normal_step(u, log_scale, noise, K, prior_scale=1.0, log_map=False):
    """The fused step, by a logarithm of the scale without the last dimension that it wants."""
    fused = accelerator(RiemannianNormal, u, noise, K)
    return fused(u, log_scale.unsqueeze(-1), noise, K, prior_scale, log_map)


def inputs(n: int, d: int, K: float = 0.0, dtype=F64, seed: int = 0):
    torch.manual_seed(seed)
    u = torch.randn(n, d, dtype=F64) / math.sqrt(d)
    u[0] = 0
    u[1] *= 1e-7
    log_scale = 0.3 * torch.randn(n, dtype=F64) - 0.5 - 0.5 * math.log(d)
    noise = torch.randn(n, d + 1, dtype=F64)
    return u.to(dtype), log_scale.to(dtype), noise.to(dtype)


def with_gradients(step, u, log_scale, noise, K, *args):
    """Outputs, then gradients of a fixed random functional in u, log_scale and K."""
    u, log_scale = u.clone().requires_grad_(), log_scale.clone().requires_grad_()
    K = torch.tensor(K, dtype=F64, requires_grad=True)
    outputs = step(u, log_scale, noise, K, *args)
    # next to the antipode of the origin the logarithm has no derivative
    kept = (outputs[0].detach() > -0.95).to(u.dtype)
    generator = torch.Generator().manual_seed(1)
    weights = torch.linspace(1, -0.7, u.shape[-1], dtype=u.dtype)
    total = sum(
        (
            (x if x.ndim == 1 else x @ weights)
            * kept
            * torch.randn(len(kept), generator=generator, dtype=F64).to(x.dtype)
        ).sum()
        for x in outputs
    )
    gradients = torch.autograd.grad(total, (u, log_scale, K))
    return [x.detach().double() for x in (*outputs, *gradients)]


@pytest.mark.parametrize("tangent", [False, True])
@pytest.mark.parametrize("curvature", CURVATURES)
@pytest.mark.parametrize("d", [1, 2, 5, 100])
def test_the_hand_written_gradient_is_that_of_autograd(d, curvature, tangent):
    rows = inputs(40, d)
    exact = with_gradients(plain, *rows, curvature, 0.8, tangent)
    found = with_gradients(riemannian_normal_step, *rows, curvature, 0.8, tangent)
    for a, b in zip(found[:5], exact[:5], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(found[5], exact[5], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("curvature", CURVATURES)
@pytest.mark.parametrize("d", [2, 5, 100])
def test_float32_agrees_with_float64(d, curvature):
    u, log_scale, noise = inputs(64, d)
    exact = with_gradients(riemannian_normal_step, u, log_scale, noise, curvature, 0.8)
    narrow = with_gradients(
        riemannian_normal_step, u.float(), log_scale.float(), noise.float(), curvature, 0.8
    )
    for a, b in zip(narrow[:3], exact[:3], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=2e-5 * max(1, d / 10))
    for a, b in zip(narrow[3:5], exact[3:5], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * max(1.0, b.abs().max().item()))
    # a sum over all rows and coordinates, whose terms partly cancel
    assert abs(narrow[5] - exact[5]) < 1e-4 * (abs(exact[5]) + 64 * math.sqrt(d))


@pytest.mark.parametrize("curvature", [-2.0, -1.0, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("d", [1, 2, 10])
def test_the_step_is_the_distribution(d, curvature):
    u, log_scale, noise = inputs(30, d)
    space = constant_curvature(d, curvature)
    prior = RiemannianNormal(space.origin(F64), torch.tensor(0.7, dtype=F64), space)
    q = RiemannianNormal(space.exp0(u), log_scale.exp(), space)
    z = q.rsample_from_noise(noise)
    zc, zs, log_ratio = riemannian_normal_step(u, log_scale, noise, curvature, 0.7)
    c, s = space.to_polar(z)
    for dtype, tolerance in ((F64, 2e-6), (torch.float32, 2e-5)):
        zc, zs, log_ratio = riemannian_normal_step(
            u.to(dtype), log_scale.to(dtype), noise.to(dtype), curvature, 0.7
        )
        torch.testing.assert_close(zc.double(), c, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(zs.double(), s, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(
            log_ratio.double(), q.log_prob(z) - prior.log_prob(z), rtol=2e-5, atol=2e-5
        )
        tangent = riemannian_normal_step(
            u.to(dtype), log_scale.to(dtype), noise.to(dtype), curvature, 0.7, True
        )[1]
        torch.testing.assert_close(tangent.double(), space.log0(z), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("curvature", [-1.0, -1e-3, 1e-3, 1.0])
@pytest.mark.parametrize("d", [1, 3])
def test_gradients_against_finite_differences(d, curvature):
    u, log_scale, noise = inputs(5, d, seed=2)
    u = u + 0.1
    for tangent in (False, True):
        assert torch.autograd.gradcheck(
            lambda u, r, K, tangent=tangent: riemannian_normal_step(u, r, noise, K, 0.8, tangent),
            (
                u.requires_grad_(),
                log_scale.requires_grad_(),
                torch.tensor(curvature, dtype=F64, requires_grad=True),
            ),
            eps=1e-5,
            atol=1e-5,
        )


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("d", [1, 2, 5, 100])
def test_everything_is_continuous_through_flat_space(d, dtype):
    u, log_scale, noise = inputs(50, d, dtype=dtype)
    flat = riemannian_normal_step(
        a := u.clone().requires_grad_(), b := log_scale.clone().requires_grad_(), noise, 0.0
    )
    total = flat[1].square().sum() + flat[2].sum()
    slopes = torch.autograd.grad(total, (a, b))
    for K in (-1e-6, 0.0, 1e-6):
        a, b = u.clone().requires_grad_(), log_scale.clone().requires_grad_()
        k = torch.tensor(K, requires_grad=True)
        near = riemannian_normal_step(a, b, noise, k)
        for x, y in zip(near, flat, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-4)
        total = near[1].square().sum() + near[2].sum()
        for x, y in zip(torch.autograd.grad(total, (a, b, k))[:2], slopes, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_the_curvature_gradient_passes_through_zero(dtype):
    u, log_scale, noise = inputs(50, 4, dtype=dtype)
    slopes = []
    for K in (-0.049, -1e-3, -2e-5, -1e-6, 0.0, 1e-6, 2e-5, 1e-3, 0.049):
        k = torch.tensor(K, requires_grad=True)
        _, zs, log_ratio = riemannian_normal_step(u, log_scale, noise, k, 0.7, True)
        (slope,) = torch.autograd.grad(zs.square().sum() + log_ratio.sum(), k)
        assert slope.shape == ()
        slopes.append(slope.item())
    assert max(slopes[1:-1]) - min(slopes[1:-1]) < 0.02 * abs(slopes[4])
    assert max(slopes[2:-2]) - min(slopes[2:-2]) < 1e-3 * abs(slopes[4])

    # a finite difference over the whole of it
    def value(K):
        _, zs, log_ratio = riemannian_normal_step(u.double(), log_scale.double(), noise.double(),
                                                  K, 0.7, True)  # fmt: skip
        return (zs.square().sum() + log_ratio.sum()).item()

    assert slopes[4] == pytest.approx((value(1e-3) - value(-1e-3)) / 2e-3, rel=1e-3)


@pytest.mark.parametrize("d", [1, 2, 10, 100])
@pytest.mark.parametrize("top", [10.0, 25.0, 40.0])
def test_float32_keeps_the_radius_far_out(d, top):
    torch.manual_seed(3)
    n = 4000
    u = torch.randn(n, d, dtype=F64)
    u = u / u.norm(dim=-1, keepdim=True) * torch.rand(n, 1, dtype=F64) * top
    log_scale = torch.full((n,), 0.5 * math.log(top / (2 * d)), dtype=F64)
    noise = torch.randn(n, d + 1, dtype=F64)
    _, wide, f = riemannian_normal_step(u, log_scale, noise, -1.0, log_map=True)
    _, narrow, g = riemannian_normal_step(
        u.float(), log_scale.float(), noise.float(), -1.0, log_map=True
    )
    radius = wide.norm(dim=-1)
    kept = radius < top
    assert kept.sum() > n / 2
    error = (narrow.double().norm(dim=-1) - radius).abs()[kept]
    assert error.max() < 1e-3
    assert ((g.double() - f).abs()[kept] / (1 + radius[kept])).max() < 2e-3


def test_the_divergence_is_never_negative_and_vanishes_at_the_prior():
    torch.manual_seed(4)
    for K in (-1.0, 0.0, 1.0):
        noise = torch.randn(20_000, 4)
        for u, log_scale, zero in ((0.0, 0.0, True), (0.5, -0.5, False), (0.0, -1.0, False)):
            rows = torch.full((20_000, 3), u), torch.full((20_000,), log_scale)
            f = riemannian_normal_step(*rows, noise, K)[2].double()
            error = f.std() / math.sqrt(len(f))
            assert f.mean().abs() < 5e-6 if zero else f.mean() > 5 * error


@pytest.mark.parametrize("curvature", [-1.0, 0.0, 1.0])
def test_shapes_broadcast(curvature):
    torch.manual_seed(5)
    u, log_scale, noise = torch.randn(4, 3), torch.randn(4) - 1, torch.randn(6, 4, 4)
    outputs = riemannian_normal_step(u, log_scale, noise, curvature)
    assert [tuple(x.shape) for x in outputs] == [(6, 4), (6, 4, 3), (6, 4)]
    for x, y in zip(
        outputs, riemannian_normal_step(u, log_scale, noise[2], curvature), strict=True
    ):
        torch.testing.assert_close(x[2], y)
    single = riemannian_normal_step(u[0], log_scale[0], noise[2, 0], curvature)
    assert [tuple(x.shape) for x in single] == [(), (3,), ()]
    torch.testing.assert_close(single[1], outputs[1][2, 0])
    shared = riemannian_normal_step(u, log_scale, torch.randn(6, 1, 4), curvature)
    assert shared[1].shape == (6, 4, 3)
    assert riemannian_normal_step(u[:0], log_scale[:0], noise[0, :0], curvature)[1].shape == (0, 3)


@pytest.mark.parametrize("curvature", [-1.0, 0.0, 1.0])
def test_second_derivatives_are_refused_and_inference_works(curvature):
    u, log_scale, noise = inputs(3, 2, dtype=torch.float32)
    with torch.inference_mode():
        riemannian_normal_step(u, log_scale, noise, curvature)
    u = u.clone().requires_grad_()
    z = riemannian_normal_step(u, log_scale, noise, curvature)[1]
    with pytest.raises(RuntimeError, match="first derivative only"):
        torch.autograd.grad(z.sum(), u, create_graph=True)


@pytest.mark.parametrize("curvature", [-1.0, 0.0, 1.0])
def test_nan_stays_nan(curvature):
    u, log_scale, noise = inputs(6, 2, dtype=torch.float32)
    noise[2, 0] = math.nan
    log_scale[3] = math.nan
    u[4, 1] = math.nan
    f = riemannian_normal_step(u, log_scale, noise, curvature)[2]
    assert torch.isnan(f).tolist() == [False, False, True, True, True, False]


@pytest.mark.parametrize("d", [1, 2, 20, 400])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_table_agrees_with_the_quantiles(d, sign):
    torch.manual_seed(6)
    score = torch.randn(3000, 1)
    log_scale = torch.empty(3000, 1).uniform_(-6, 6) - 0.5 * math.log(d)
    if sign < 0:
        log_scale.clamp_(max=0.5 * math.log(200 / d))
    values = radius_table(d, sign).evaluate(score, log_scale, math.log(d))
    scale = log_scale.double().exp()
    rho, _ = radius_and_slope(score.double(), sign * scale.square(), d, sign)
    theta = scale * rho
    torch.testing.assert_close(values.theta.double(), theta, rtol=1e-5, atol=1e-6)
    # beyond the last score it saturates
    ends = torch.tensor([[8.3], [20.0]])
    ends = radius_table(d, sign).evaluate(ends, torch.zeros(2, 1), math.log(d)).theta
    torch.testing.assert_close(ends[0], ends[1])


@pytest.mark.parametrize("d", [1, 2, 20, 400])
def test_the_chi_quantile(d):
    score = torch.linspace(-6, 6, 50, dtype=F64).unsqueeze(-1)
    rho, _ = radius_and_slope(score, torch.zeros_like(score), d, 1)
    torch.testing.assert_close(chi_radius(score, d), rho, rtol=2e-7, atol=1e-9)
    torch.testing.assert_close(chi_radius(score.float(), d).double(), rho, rtol=3e-6, atol=1e-9)


def test_the_plain_path_is_the_polar_geometry():
    u, log_scale, noise = inputs(10, 3)
    K = torch.tensor(-0.5, dtype=F64)
    zc, zs, _ = plain(u, log_scale, noise, K)
    torch.testing.assert_close(zc.square() + K * zs.square().sum(-1), torch.ones(10, dtype=F64))
    start = polar.exp_origin(u, K)
    space = constant_curvature(3, -0.5)
    q = RiemannianNormal(space.exp0(u), log_scale.exp(), space)
    r = space.dist(q.loc, q.rsample_from_noise(noise))
    torch.testing.assert_close(distance(*start, zc, zs, K), r)
