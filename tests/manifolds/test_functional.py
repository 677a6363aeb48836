"""The polar core: gradients in K through 0, continuity, agreement with the ambient classes."""

from __future__ import annotations

import math

import mpmath as mp
import pytest
import torch

from skccvae.manifolds import constant_curvature
from skccvae.manifolds import functional as polar
from skccvae.manifolds.polar_distance import distance, versine_between

NEAR_ZERO = [0.0, 1e-8, -1e-8, 1e-6, -1e-6, 1e-3, -1e-3]
CURVATURES = [-4.0, -1.0, -0.1, 0.1, 1.0, 4.0]


def vectors(n=6, d=3, length=0.7):
    generator = torch.Generator().manual_seed(1)
    u = torch.randn(3, n, d, dtype=torch.float64, generator=generator)
    u = u / u.norm(dim=-1, keepdim=True) * torch.linspace(0.2, 1, n, dtype=torch.float64)[:, None]
    return (length * u).unbind()


def everything(u, v, w, K):
    """All the functions of the core in one, on a point, a transported vector and another point."""
    c, s = polar.exp_origin(u, K)
    zc, zs, r = polar.exp_transported(c, s, v, K)
    yc, ys = polar.exp_origin(w, K)
    return (
        c,
        s,
        zc,
        zs,
        r,
        polar.radius(zc, zs, K),
        polar.log_origin(zc, zs, K),
        polar.log_transported(c, s, yc, ys, K),
        distance(zc, zs, yc, ys, K),
    )


@pytest.mark.parametrize("K", NEAR_ZERO + CURVATURES)
def test_gradients_in_everything_and_curvature(K):
    u, v, w = (x.requires_grad_() for x in vectors())
    Kt = torch.tensor(K, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(everything, (u, v, w, Kt))


@pytest.mark.parametrize("K", NEAR_ZERO + CURVATURES)
def test_float_and_tensor_curvature_agree(K):
    u, v, w = (x.requires_grad_() for x in vectors())
    weights = None
    results = []
    for k in (K, torch.tensor(K, dtype=torch.float64)):
        out = everything(u, v, w, k)
        if weights is None:
            weights = [torch.randn_like(x) for x in out]
        total = sum((a * b).sum() for a, b in zip(out, weights, strict=True))
        results.append([*out, *torch.autograd.grad(total, [u, v, w])])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("K", [1e-6, -1e-6])
@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_continuity_at_zero(K, as_tensor, dtype):
    u, v, w = (x.to(dtype).requires_grad_() for x in vectors())
    k = torch.tensor(K, dtype=dtype) if as_tensor else K
    flat = everything(u, v, w, 0.0)
    for a, b in zip(everything(u, v, w, k), flat, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    # u and v lead to z: their gradients there, too.
    for i in range(5, 9):
        slopes = [
            torch.autograd.grad(everything(u, v, w, q)[i].sum(), [u, v, w], allow_unused=True)
            for q in (k, 0.0)
        ]
        for x, y in zip(*slopes, strict=True):
            assert (x is None) == (y is None)
            assert x is None or torch.allclose(x, y, atol=1e-4)


@pytest.mark.parametrize("K", CURVATURES)
def test_agreement_with_the_ambient_classes(K):
    u, v, w = vectors()
    space = constant_curvature(3, K)
    c, s = polar.exp_origin(u, K)
    x = space.exp0(u)
    assert torch.allclose(space.from_polar(c, s), x, atol=1e-12)
    assert torch.allclose(c.square() + K * s.square().sum(-1), torch.ones(6, dtype=torch.float64))
    origin = space.origin(torch.float64)
    carried = space.transport(origin, x, space.from_frame(origin, v))
    zc, zs, r = polar.exp_transported(c, s, v, K)
    assert torch.allclose(space.exp(x, carried), space.from_polar(zc, zs), atol=1e-10)
    assert torch.allclose(r, v.norm(dim=-1))
    assert torch.allclose(polar.log_transported(c, s, zc, zs, K), v, atol=1e-10)


@pytest.mark.parametrize("K", [*CURVATURES, 0.0, 1e-6, -1e-6])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_versine_between(K, as_tensor):
    u, _, w = vectors()
    k = torch.tensor(K, dtype=torch.float64) if as_tensor else K
    a, b = polar.exp_origin(u, k), polar.exp_origin(w, k)
    d = distance(*a, *b, k)
    exact = d.square() / 2 if K == 0 else (1 - polar.cos_root(K * d * d)) / K
    assert torch.allclose(versine_between(*a, *b, k), exact, rtol=1e-8)
    assert torch.equal(versine_between(*a, *a, k), torch.zeros(6, dtype=torch.float64))


def exact_hyperbolic_distance(u, w):
    """Distance at K = -1 between exp_0(u) and exp_0(w), in 60 digits, from the float32 input."""
    with mp.workdps(60):
        a, b = mp.matrix(u), mp.matrix(w)
        p, q = mp.norm(a), mp.norm(b)
        cos = sum(x * y for x, y in zip(a, b, strict=True)) / (p * q)
        return float(mp.acosh(mp.cosh(p) * mp.cosh(q) - mp.sinh(p) * mp.sinh(q) * cos))


@pytest.mark.parametrize("radius", [0.01, 0.5, 1.0, 3.0, 6.0, 9.0])
def test_float32_keeps_a_thousandth_up_to_radius_nine(radius):
    generator = torch.Generator().manual_seed(2)
    u = torch.randn(60, 3, generator=generator)
    u = u / u.norm(dim=-1, keepdim=True) * radius
    for step in (1.0, 1e-1, 1e-3):
        w = u + step * torch.randn(60, 3, generator=generator) * radius / math.sinh(radius)
        w = w * torch.where(w.norm(dim=-1, keepdim=True) > radius,
                            radius / w.norm(dim=-1, keepdim=True), 1.0)  # fmt: skip
        ours = distance(*polar.exp_origin(u, -1.0), *polar.exp_origin(w, -1.0), -1.0)
        for a, p, q in zip(ours.tolist(), u.tolist(), w.tolist(), strict=True):
            assert abs(a - exact_hyperbolic_distance(p, q)) < 1e-3


def test_float32_radius_far_out():
    u = torch.tensor([[20.0, 0.0], [0.0, 40.0], [-24.0, 32.0]])
    c, s = polar.exp_origin(u, -1.0)
    rho = polar.radius(c, s, -1.0)
    assert torch.allclose(rho, torch.tensor([20.0, 40.0, 40.0]), rtol=1e-6)
    assert torch.allclose(polar.log_origin(c, s, -1.0), u, rtol=1e-5, atol=1e-5)
    # Points on one ray (an axis, whose direction is exact): no cancellation though both are far.
    d = distance(c[1], s[1], *polar.exp_origin(torch.tensor([0.0, 25.0]), -1.0), -1.0)
    assert abs(d.item() - 15) < 1e-4
    # Away from the origin, in the direction of the point and against it.
    zc, zs, _ = polar.exp_transported(c, s, u / u.norm(dim=-1, keepdim=True), -1.0)
    assert torch.allclose(polar.radius(zc, zs, -1.0), rho + 1, rtol=1e-6)
    zc, zs, _ = polar.exp_transported(c, s, -4 * u / u.norm(dim=-1, keepdim=True), -1.0)
    assert torch.allclose(polar.radius(zc, zs, -1.0), rho - 4, atol=1e-3)


@pytest.mark.parametrize("as_tensor", [False, True])
def test_transport_near_the_antipode_keeps_lengths_in_float32(as_tensor):
    K = torch.tensor(1.0) if as_tensor else 1.0
    generator = torch.Generator().manual_seed(3)
    direction = torch.randn(40, 4, generator=generator)
    direction = direction / direction.norm(dim=-1, keepdim=True)
    for gap in (1e-1, 1e-3, 1e-5, 0.0):
        c, s = polar.exp_origin(direction * (math.pi - gap), K)
        v = torch.randn(40, 4, generator=generator) * 0.3
        zc, zs, r = polar.exp_transported(c, s, v, K)
        assert torch.allclose(zc.square() + zs.square().sum(-1), torch.ones(40), atol=1e-5)
        assert torch.allclose(distance(c, s, zc, zs, K), r, atol=1e-5)
        assert torch.allclose(polar.log_transported(c, s, zc, zs, K), v, atol=1e-5)


@pytest.mark.parametrize("K", [1.0, torch.tensor(1.0, dtype=torch.float64)], ids=repr)
def test_logarithm_at_the_antipode_has_the_right_length(K):
    c, s = torch.tensor(-1.0, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    u = polar.log_origin(c, s, K)
    assert torch.allclose(u, torch.tensor([math.pi, 0, 0], dtype=torch.float64))
    assert torch.allclose(polar.exp_origin(u, K)[0], c)


def test_winding_round_the_sphere():
    u = torch.tensor([3 * math.pi - 0.5, 0.0], dtype=torch.float64)
    c, s = polar.exp_origin(u, 1.0)
    assert abs(polar.radius(c, s, 1.0).item() - (math.pi - 0.5)) < 1e-12
