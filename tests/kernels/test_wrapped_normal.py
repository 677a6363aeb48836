"""The fused step of the wrapped normal against its law, and in float32 far out."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from skccvae.distributions import WrappedNormal
from skccvae.distributions.preimages import log_preimage_sum, n_preimages_for
from skccvae.kernels import accelerator, disabled
from skccvae.kernels.limited_wrapped_normal import step as limited_step
from skccvae.manifolds import constant_curvature
from skccvae.manifolds.functional import log_origin, radius
from skccvae.manifolds.polar import PolarSpace
from skccvae.nn import WrappedLatent

CURVATURES = [-4.0, -1.0, -0.01, -1e-6, 0.0, 1e-6, 0.01, 1.0, 4.0]


def plain(law, u, log_scale, noise, K, prior_scale=1.0, log_map=False):
    """The same numbers from the laws alone."""
    space = PolarSpace(u.shape[-1], K)
    q = law.from_tangent(u, log_scale.exp(), space, validate_args=False)
    origin = torch.zeros(u.shape[-1], dtype=u.dtype)
    p = law.from_tangent(origin, prior_scale, space, validate_args=False)
    z, log_q = q.rsample_with_log_prob(noise)
    zc, zs = space.to_polar(z)
    return zc, log_origin(zc, zs, K) if log_map else zs, log_q - p.log_prob(z)


def step(u, log_scale, eps, K, prior_scale=1.0, log_map=False):
    """What a training step takes: the fused form, but for a curvature that is flat."""
    fused = accelerator(WrappedNormal, u, eps, K)
    if fused is None:
        assert not isinstance(K, torch.Tensor)
        assert K == 0
        return plain(WrappedNormal, u, log_scale, eps, K, prior_scale, log_map)
    return fused(u, log_scale, eps, K, prior_scale, log_map)


def inputs(d, K=1.0, n=9, size=1.0, scale=0.6, dtype=torch.float64, seed=0):
    """Location, log-scale and noise, in units of the radius where |K| is large."""
    generator = torch.Generator().manual_seed(seed)
    unit = min(1.0, 1 / math.sqrt(abs(K) + 1e-9))
    u = torch.randn(n, d, dtype=torch.float64, generator=generator) * size * unit
    log_scale = torch.randn(n, d, dtype=torch.float64, generator=generator) * 0.3
    log_scale = log_scale + math.log(scale * unit)
    eps = torch.randn(n, d, dtype=torch.float64, generator=generator)
    return u.to(dtype).requires_grad_(), log_scale.to(dtype).requires_grad_(), eps.to(dtype)


@pytest.mark.parametrize("K", CURVATURES)
@pytest.mark.parametrize("d", [1, 2, 10])
@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_the_ratio_is_that_of_the_distributions(K, d, scale):
    if K < 0 and scale > 1 and d > 2:
        scale = 1.5  # farther out the distribution's log map runs out of float64
    u, log_scale, eps = inputs(d, K, scale=scale)
    space = constant_curvature(d, K)
    prior_scale = 0.9 * min(1.0, space.radius_)
    zc, zs, ratio = step(u, log_scale, eps, K, prior_scale)
    q = WrappedNormal(space.exp0(u), log_scale.exp(), space)
    p = WrappedNormal(space.origin(torch.float64), prior_scale, space)
    z = q.rsample_from_noise(eps)
    assert torch.allclose(space.from_polar(zc, zs), z, rtol=1e-9, atol=1e-9)
    expected = q.log_prob(z) - p.log_prob(z)
    assert torch.allclose(ratio, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("K", CURVATURES)
@pytest.mark.parametrize("tangent", [False, True])
def test_gradient_by_hand_against_differences(K, tangent):
    u, log_scale, eps = inputs(3, K, n=4)
    Kt = torch.tensor(K, dtype=torch.float64, requires_grad=True)

    def of_learned(u, log_scale, Kt):
        return step(u, log_scale, eps, Kt, 0.8, tangent)

    def of_fixed(u, log_scale):
        return step(u, log_scale, eps, K, 0.8, tangent)

    assert torch.autograd.gradcheck(of_learned, (u, log_scale, Kt))
    if K != 0:  # at K = 0 the first output is a constant
        assert torch.autograd.gradcheck(of_fixed, (u, log_scale))


@pytest.mark.parametrize("K", CURVATURES)
@pytest.mark.parametrize("d", [1, 2, 7, 40])
@pytest.mark.parametrize("tangent", [False, True])
def test_gradient_by_hand_against_autograd(K, d, tangent):
    u, log_scale, eps = inputs(d, K, scale=0.5)
    Kt = torch.tensor(K, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(0)
    a, b, c = torch.randn(9).double(), torch.randn(9, d).double(), torch.randn(9).double()
    results = []
    for by_hand in (True, False):
        if by_hand:
            out = step(u, log_scale, eps, Kt, 1.3, tangent)
        else:
            out = plain(WrappedNormal, u, log_scale, eps, Kt, 1.3, tangent)
        total = (out[0] * a).sum() + (out[1] * b).sum() + (out[2] * c).sum()
        results.append([*out, *torch.autograd.grad(total, [u, log_scale, Kt])])
    *most, K_by_hand = results[0]
    *others, K_by_autograd = results[1]
    for x, y in zip(most, others, strict=True):
        assert torch.allclose(x, y, rtol=1e-9, atol=1e-9)
    assert torch.allclose(K_by_hand, K_by_autograd, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("K", [0.0, 1e-9, -1e-9, 1e-6, -1e-6, 1e-3, -1e-3, -0.5, 0.5])
def test_the_gradient_in_a_learned_curvature_holds_in_float32(K):
    results = []
    for dtype in (torch.float32, torch.float64):
        u, log_scale, eps = inputs(5, K, dtype=dtype)
        Kt = torch.tensor(K, dtype=dtype, requires_grad=True)
        _, zs, ratio = step(u, log_scale, eps, Kt)
        (g,) = torch.autograd.grad((ratio + zs.sum(-1)).sum(), Kt)
        results.append(g.item())
    assert abs(results[0] - results[1]) < 1e-4 * max(1, abs(results[1]))


@pytest.mark.parametrize("K", [1e-6, -1e-6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_continuity_at_zero(K, dtype):
    results = []
    for k in (K, 0.0):
        u, log_scale, eps = inputs(4, dtype=dtype)
        zc, zs, ratio = step(u, log_scale, eps, k)
        results.append(
            [zc, zs, ratio, *torch.autograd.grad((ratio + zs.sum(-1)).sum(), [u, log_scale])]
        )
    for x, y in zip(*results, strict=True):
        assert torch.allclose(x, y, rtol=1e-4, atol=1e-4)


def test_flat_mean_is_the_kl_divergence():
    torch.manual_seed(0)
    u, log_scale, _ = inputs(3)
    eps = torch.randn(20000, 9, 3, dtype=torch.float64)
    _, _, ratio = step(u, log_scale, eps, 0.0, 1.5)
    exact = kl_divergence(Normal(u, log_scale.exp()), Normal(0.0, 1.5)).sum(-1)
    error = ratio.std(0) / math.sqrt(20000)
    assert ((ratio.mean(0) - exact).abs() < 5 * error).all()


@pytest.mark.parametrize("d", [1, 2, 5, 20, 100, 400])
@pytest.mark.parametrize("K", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("tangent", [False, True])
def test_float32_follows_float64(d, K, tangent):
    results = []
    for dtype in (torch.float32, torch.float64):
        u, log_scale, eps = inputs(d, K, n=20, size=1 / math.sqrt(d), scale=0.3, dtype=dtype)
        zc, zs, ratio = step(u, log_scale, eps, K, log_map=tangent)
        g = torch.autograd.grad((ratio + zs.sum(-1)).sum(), [u, log_scale])
        results.append([zs, ratio, *g])
    for x, y in zip(*results, strict=True):
        error = (x - y).abs() / y.abs().amax().clamp_min(1.0)
        # On the sphere a draw may fall next to the antipode, where the density has a pole.
        assert error.max() < (1e-3 if K > 0 else 1e-4)


@pytest.mark.parametrize("rho", [1.0, 10.0, 20.0, 40.0])
def test_float32_far_out(rho):
    results = []
    for dtype in (torch.float32, torch.float64):
        u, log_scale, eps = inputs(5, n=50, scale=0.3, dtype=dtype)
        u = (u / u.norm(dim=-1, keepdim=True) * rho).detach().requires_grad_()
        zc, zs, ratio = step(u, log_scale, eps, -1.0)
        g = torch.autograd.grad(ratio.sum(), [u, log_scale])
        results.append([radius(zc, zs, -1.0), ratio / rho, *g])
    for x, y in zip(*results, strict=True):
        assert torch.isfinite(x).all()
        assert (x - y).abs().max() < 1e-3 * y.abs().max().clamp_min(1.0)


@pytest.mark.parametrize("K", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("d", [1, 2, 40, 400])
@pytest.mark.parametrize("tangent", [False, True])
def test_float32_is_finite_at_the_hard_places(K, d, tangent):
    torch.manual_seed(0)
    top = 30 / (math.sqrt(d) + 4) if K < 0 else 100.0
    for length in (0.0, 1e-20, 1e-6, 1.0, math.pi):
        for k in range(9):
            for eps in (torch.randn(6, d), torch.zeros(6, d)):
                u = torch.full((6, d), length / math.sqrt(d), requires_grad=True)
                log_scale = torch.full((6, d), math.log(top * 10.0**-k), requires_grad=True)
                out = step(u, log_scale, eps, K, log_map=tangent)
                total = sum(x.sum() for x in out)
                assert torch.isfinite(total)
                for g in torch.autograd.grad(total, [u, log_scale]):
                    assert torch.isfinite(g).all()


def test_noise_may_have_more_dimensions():
    u, log_scale, _ = inputs(3)
    eps = torch.randn(4, 1, 3, dtype=torch.float64)
    for K in (-1.0, 0.0, 1.0, torch.tensor(0.3)):
        zc, zs, ratio = step(u, log_scale[:, :1], eps, K)
        assert (zc.shape, zs.shape, ratio.shape) == ((4, 9), (4, 9, 3), (4, 9))
        g_u, g_s = torch.autograd.grad(ratio.sum(), [u, log_scale])
        assert (g_u.shape, g_s.shape) == ((9, 3), (9, 3))
        row = step(u[2], log_scale[2, :1], eps[1, 0], K)
        assert torch.allclose(row[2], ratio[1, 2])


@pytest.mark.parametrize("K", [-1.0, 1.0])
def test_outputs_that_are_not_used_have_no_part_in_the_gradient(K):
    u, log_scale, eps = inputs(3)
    full = step(u, log_scale, eps, K)
    for i in range(3):
        alone = torch.autograd.grad(full[i].sum(), [u, log_scale], retain_graph=True)
        padded = sum(x.sum() * (1.0 if i == j else 0.0) for j, x in enumerate(full))
        for a, b in zip(
            alone, torch.autograd.grad(padded, [u, log_scale], retain_graph=True), strict=True
        ):
            assert torch.allclose(a, b)


def test_graphs_are_freed():
    import gc
    import weakref

    for K in (-1.0, -0.5, 1.0):
        for tangent in (False, True):
            u, log_scale, eps = inputs(3)
            gc.disable()
            try:
                eps = eps.clone()
                watch = weakref.ref(eps)
                out = step(u, log_scale, eps, K, log_map=tangent)
                del out, eps
                assert watch() is None  # no cycle that only the collector would break
            finally:
                gc.enable()


@pytest.mark.parametrize("d", [1, 2, 10])
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_number_of_preimages_is_enough(d, scale):
    r = torch.linspace(1e-3, math.pi - 1e-3, 50, dtype=torch.float64)
    n = n_preimages_for(scale, d, 1.0)
    few = log_preimage_sum(r, 1 / scale**2, d, 1.0, n)
    many = log_preimage_sum(r, 1 / scale**2, d, 1.0, 5 * n)
    assert (few - many).abs().max() < 1e-6
    assert n_preimages_for(scale, d, -1.0) == n_preimages_for(scale, d, 0.0) == 0


@pytest.mark.parametrize(("dim", "curvature"), [(10, 100.0), (20, 25.0), (50, 4.0), (50, 100.0)])
def test_posterior_equal_to_the_prior_has_no_divergence_on_a_sphere(dim, curvature):
    """Draws that wind round many times: the sum has to reach the far side as well."""
    torch.manual_seed(0)
    zeros = torch.zeros(500, dim, dtype=torch.float64)
    noise = torch.randn(500, dim, dtype=torch.float64)
    _, _, ratio = step(zeros, zeros, noise, curvature)
    assert ratio.abs().max() < 1e-6


@pytest.mark.parametrize("K", [-4.0, -1.0, -1e-3])
@pytest.mark.parametrize("prior_scale", [0.7, "auto"])
@pytest.mark.parametrize("decoder_input", ["tangent", "coordinates", "gyroplane"])
@pytest.mark.parametrize("size", [0.5, 5.0, 1e3])
def test_the_step_with_limits_is_the_plain_one(K, prior_scale, decoder_input, size):
    """Values and gradients, also where the outputs of a network are far beyond the limits."""
    torch.manual_seed(0)
    latent = WrappedLatent(3, K, prior_scale, decoder_input=decoder_input).double()
    if latent.axes is not None:
        latent.axes.copy_(latent.axes * torch.tensor([1.0, 0.6, 0.2]))
    params, noise = size * torch.randn(7, 6).double(), torch.randn(7, 3).double()
    params[:, 3:] = params[:, 3:].clamp(max=2.0)
    weights, found = None, []
    for context in (nullcontext(), disabled()):
        given = params.clone().requires_grad_()
        with context:
            step = latent.step(given, noise)
        if weights is None:
            weights = [torch.randn(x.shape).double() for x in (step.features, step.kl, noise)]
        parts = (step.features, step.kl, step.tangent)
        total = sum((x * w).sum() for x, w in zip(parts, weights, strict=True))
        found.append([*parts, *torch.autograd.grad(total, given)])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-7, atol=1e-9)


def test_the_gradient_of_the_step_with_limits_against_differences():
    raw, raw_scale, eps = inputs(3, n=4)
    axes = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)

    def of_network(raw, raw_scale):
        return limited_step(raw, raw_scale, eps, -2.0, (0.4, 0.3, 10.0), axes, log_map=True)

    assert torch.autograd.gradcheck(of_network, (raw, raw_scale))
