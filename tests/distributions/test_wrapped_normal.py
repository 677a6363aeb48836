"""WrappedNormal: density, sampler, gradients, limits, shapes."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal

from skccvae.distributions import WrappedNormal
from skccvae.manifolds import (
    Euclidean,
    Hyperbolic,
    Product,
    Sphere,
    constant_curvature,
)
from skccvae.special import sin_k

# Kolmogorov's bound: a true sampler exceeds this with probability 2 exp(-2 * 2.7^2) < 1e-6.
KS_BOUND = 2.7
# Means are compared to within this many standard errors: fails once in 1.7 million if all is well.
SIGMAS = 5.0


def location(space, size=0.8):
    u = torch.linspace(0.5, 1.0, space.dim, dtype=torch.float64)
    return space.exp0(u / u.norm() * size * min(space.radius_, 1.0))


def legendre(n, top):
    x, w = np.polynomial.legendre.leggauss(n)
    return torch.from_numpy((x + 1) / 2 * top), torch.from_numpy(w / 2 * top)


def reach(space, scale):
    """Where the mass ends: the antipode, or 9 standard deviations."""
    return min(math.pi * space.radius_, 9 * scale) if space.curvature > 0 else 9 * scale


def disc(space, pole, top, n=200, n_angles=64):
    """Nodes and weights of the Riemannian volume of a disc (d = 2) about a pole."""
    r, w = legendre(n, top)
    angle = torch.arange(n_angles, dtype=torch.float64) * 2 * math.pi / n_angles
    way = torch.stack([angle.cos(), angle.sin()], -1)
    v = r[:, None, None] * way
    z = space.exp(pole, space.from_frame(pole, v))
    weight = (w * sin_k(r, space.curvature))[:, None].expand(-1, n_angles) * 2 * math.pi / n_angles
    return z.reshape(-1, space.ambient_dim), weight.reshape(-1)


@pytest.mark.parametrize("curvature", [-4.0, -1.0, -1e-6, 0.0, 1e-6, 1.0, 4.0])
@pytest.mark.parametrize("scale", [0.05, 0.5, 1.0, 3.0, 20.0])
def test_the_density_integrates_to_one_in_one_dimension(curvature, scale):
    space = constant_curvature(1, curvature)
    top = reach(space, scale)
    r, w = legendre(400, top)
    x = location(space)
    q = WrappedNormal(x, torch.tensor([scale], dtype=torch.float64), space)
    total = 0.0
    if curvature < 0 and top * math.sqrt(-curvature) > 18:
        top = 18 / math.sqrt(-curvature)  # farther out float64 has no log map at a location
        r, w = legendre(400, top)
    for side in (1.0, -1.0):
        z = space.exp(x, space.from_frame(x, side * r[:, None]))
        total += (q.log_prob(z).exp() * w).sum().item()
    expected = 1.0 if curvature > 0 else math.erf(top / scale / math.sqrt(2))
    assert abs(total - expected) < 1e-6


@pytest.mark.parametrize("curvature", [-4.0, -1.0, -1e-6, 0.0, 1e-6, 1.0, 4.0])
@pytest.mark.parametrize("scale", [(0.1, 0.1), (0.1, 0.3), (0.7, 0.7), (0.5, 1.0), (2.0, 1.5)])
def test_the_density_integrates_to_one_in_two_dimensions(curvature, scale):
    space = constant_curvature(2, curvature)
    top = reach(space, max(scale))
    expected = 1.0
    if curvature < 0 and top * math.sqrt(-curvature) > 15:
        top = 15 / math.sqrt(-curvature)
        expected = None
    x = location(space)
    q = WrappedNormal(x, torch.tensor(scale, dtype=torch.float64), space)
    z, w = disc(space, x, top)
    total = (q.log_prob(z).exp() * w).sum().item()
    if expected is None:
        flat = Independent(Normal(torch.zeros(2), torch.tensor(scale)), 1)
        z, w = disc(Euclidean(2), torch.zeros(2).double(), top)
        expected = (flat.log_prob(z).exp() * w).sum().item()
    assert abs(total - expected) < 1e-6


@pytest.mark.parametrize("scale", [5.0, 30.0])
def test_a_wide_density_on_the_sphere_integrates_to_one(scale):
    # Dozens of preimages count. The first alone would give a few per cent.
    q = WrappedNormal(location(Sphere(2)), torch.tensor([scale], dtype=torch.float64), Sphere(2))
    z, w = disc(Sphere(2), q.loc, math.pi)
    assert abs((q.log_prob(z).exp() * w).sum().item() - 1) < 1e-6


@pytest.mark.parametrize("curvature", [-1.0, 0.0, 1.0])
def test_the_density_integrates_to_one_about_another_pole(curvature):
    # Polar coordinates about the origin, not about the location: the log map is at work.
    space = constant_curvature(2, curvature)
    q = WrappedNormal(location(space), torch.tensor([0.2, 0.3], dtype=torch.float64), space)
    z, w = disc(space, space.origin(torch.float64), math.pi if curvature > 0 else 4.0)
    assert abs((q.log_prob(z).exp() * w).sum().item() - 1) < 1e-6


@pytest.mark.parametrize("d", [1, 2, 3, 8])
@pytest.mark.parametrize(("curvature", "scale"), [
    (-1.0, 0.3), (-1.0, 1.0), (0.0, 1.0), (1.0, 0.2), (1.0, 1.0), (1.0, 2.5), (0.25, 1.0),
])  # fmt: skip
def test_sampler_against_density(d, curvature, scale):
    """Radial distribution of draws against the density's (failure rate 1e-6 a case)."""
    torch.manual_seed(0)
    space = constant_curvature(d, curvature)
    q = WrappedNormal(location(space), torch.tensor([scale], dtype=torch.float64), space)
    n = 20000
    r = space.dist(q.loc, q.sample((n,)))
    top = min(reach(space, scale * max(1, math.sqrt(d) / 2)), 17.0)
    nodes, w = legendre(2000, top)
    z = space.exp(q.loc, space.from_frame(q.loc, nodes[:, None] * torch.eye(d).double()[0]))
    area = 2 * math.pi ** (d / 2) / math.gamma(d / 2)
    mass = w * area * (q.log_prob(z) + (d - 1) * sin_k(nodes, curvature).log()).exp()
    # Half-way through a node's weight is the mass up to the node, to second order.
    cumulative = mass.cumsum(0) - mass / 2
    assert abs(mass.sum().item() - 1) < 1e-5
    position = torch.from_numpy(np.interp(np.sort(r.numpy()), nodes.numpy(), cumulative.numpy()))
    gap = (position - (torch.arange(n) + 0.5) / n).abs().max().item()
    assert gap * math.sqrt(n) < KS_BOUND


def moments(space, z):
    """Three functions of a point, bounded on the sphere and mild elsewhere."""
    u = space.log0(z)
    return torch.stack([u[..., 0].tanh(), u[..., 1].cos(), (u[..., 0] * u[..., 1]).tanh()], -1)


@pytest.mark.parametrize("curvature", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("scale", [(0.3, 0.6), (0.8, 0.4)])
def test_moments_and_pathwise_gradients_against_quadrature(curvature, scale):
    """E h and its derivatives in location and scale (five standard errors)."""
    torch.manual_seed(1)
    space = constant_curvature(2, curvature)
    u = torch.tensor([0.5, -0.4], dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor(scale, dtype=torch.float64, requires_grad=True)
    q = WrappedNormal(space.exp0(u), sigma, space)
    z, w = disc(space, q.loc.detach(), reach(space, max(scale)), 300, 128)
    exact = (q.log_prob(z).exp() * w) @ moments(space, z)
    exact_slopes = torch.stack(
        [torch.cat(torch.autograd.grad(e, [u, sigma], retain_graph=True)) for e in exact]
    )

    n = 40000
    us = u.detach().expand(n, 2).clone().requires_grad_()
    sigmas = sigma.detach().expand(n, 2).clone().requires_grad_()
    h = moments(space, WrappedNormal(space.exp0(us), sigmas, space).rsample())
    error = h.std(0) / math.sqrt(n)
    assert ((h.mean(0) - exact).abs() < SIGMAS * error).all()
    for i in range(3):
        slopes = torch.cat(torch.autograd.grad(h[:, i].sum(), [us, sigmas], retain_graph=True), -1)
        error = slopes.std(0) / math.sqrt(n)
        assert ((slopes.mean(0) - exact_slopes[i]).abs() < SIGMAS * error + 1e-6).all()


@pytest.mark.parametrize("d", [1, 3, 20])
def test_flat_space_is_the_normal_distribution(d):
    torch.manual_seed(2)
    loc, scale = torch.randn(5, d), torch.rand(5, d) + 0.1
    ours = WrappedNormal(loc, scale, Euclidean(d))
    theirs = Independent(Normal(loc, scale), 1)
    z = torch.randn(7, 5, d)
    assert torch.allclose(ours.log_prob(z), theirs.log_prob(z), rtol=1e-5)
    noise = torch.randn(7, 5, d)
    assert torch.allclose(ours.rsample_from_noise(noise), loc + scale * noise)


@pytest.mark.parametrize("K", [1e-6, -1e-6])
@pytest.mark.parametrize("d", [1, 2, 10])
def test_limit_of_vanishing_curvature(K, d):
    torch.manual_seed(3)
    u, v = torch.randn(2, 6, d, dtype=torch.float64)
    results = []
    for k in (K, 0.0):
        space = constant_curvature(d, k)
        a, b = u.clone().requires_grad_(), v.clone().requires_grad_()
        scale = (torch.full((6, d), 0.7, dtype=torch.float64)).requires_grad_()
        q = WrappedNormal(space.exp0(a), scale, space)
        value = q.log_prob(space.exp0(b))
        drawn = space.log0(q.rsample_from_noise(b))
        results.append([value, *torch.autograd.grad(value.sum(), [a, b, scale], retain_graph=True),
                        drawn, *torch.autograd.grad(drawn.sum(), [a, scale])])  # fmt: skip
    for x, y in zip(*results, strict=True):
        assert torch.allclose(x, y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("K", [0.0, 1e-8, -1e-8, 1e-3, -1e-3, 0.5, -0.5])
def test_gradients_in_a_learned_curvature(K):
    torch.manual_seed(4)
    u, v = 0.5 * torch.randn(2, 4, 3, dtype=torch.float64)
    scale = torch.full((4, 3), 0.6, dtype=torch.float64)
    from skccvae.manifolds.functional import exp_origin
    from skccvae.manifolds.polar import PolarSpace

    def value(u, v, scale, K):
        q = WrappedNormal.from_tangent(u, scale, PolarSpace(3, K))
        zc, zs = exp_origin(v, K)
        z = torch.cat([zc.unsqueeze(-1), zs], -1)
        return q.log_prob(z), q.rsample_from_noise(v)

    inputs = [x.requires_grad_() for x in (u, v, scale, torch.tensor(K, dtype=torch.float64))]
    assert torch.autograd.gradcheck(value, inputs)


def test_a_tangent_location_gives_the_same_distribution():
    space = Sphere(3, 0.5)
    x = space.exp0(torch.tensor([0.3, 0.2, -0.1]))
    a = WrappedNormal(x, 0.4, space)
    b = WrappedNormal.from_tangent(space.log0(x), 0.4, space)
    z = a.sample((4,))
    torch.testing.assert_close(a.log_prob(z), b.log_prob(z))
    torch.testing.assert_close(a.loc, b.loc)
    assert torch.equal(a.loc, x)


@pytest.mark.parametrize("d", [1, 2, 5, 20, 100, 400])
@pytest.mark.parametrize("curvature", [-1.0, 0.0, 1.0])
def test_float32_is_finite_over_eight_decades_of_scale(d, curvature):
    torch.manual_seed(5)
    # In hyperbolic space float32 ends at a radius of 44 R: there the decades are those below.
    top = 30 / (math.sqrt(d) + 4) if curvature < 0 else 100.0
    space = constant_curvature(d, curvature)
    for k in range(9):
        scale = torch.full((8, d), top * 10.0**-k).requires_grad_()
        u = torch.full((8, d), 0.5 / math.sqrt(d)).requires_grad_()
        q = WrappedNormal(space.exp0(u), scale, space, validate_args=False)
        noise = torch.randn(8, d)
        z = q.rsample_from_noise(noise)
        value = q.log_prob(z)
        assert torch.isfinite(z).all()
        assert torch.isfinite(value).all()
        for g in torch.autograd.grad((value + z.sum(-1)).sum(), [u, scale]):
            assert torch.isfinite(g).all()
        at_mode = q.log_prob(q.mode)
        assert torch.isfinite(at_mode).all()


@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("d", [2, 10, 60])
@pytest.mark.parametrize("rho", [2.0, 5.0, 8.0, 9.0, 12.0])
def test_density_far_out_in_float32(rho, d, scale):
    torch.manual_seed(9)
    space = Hyperbolic(d)
    u = torch.randn(300, d, dtype=torch.float64)
    loc = space.exp0(rho * u / u.norm(dim=-1, keepdim=True))
    noise = torch.randn(300, d, dtype=torch.float64)
    z, exact = WrappedNormal(loc, scale, space).rsample_with_log_prob(noise)
    found = WrappedNormal(loc.float(), scale, space).log_prob(z.float()).double()
    # the error is that of the coordinates, which grow like exp(rho)
    assert (found - exact).abs().max() < 1e-3 * max(1.0, math.exp(rho - 5))


def test_at_the_location_the_first_preimage_counts_alone():
    q = WrappedNormal(Sphere(2).origin(torch.float64), 0.5, Sphere(2))
    assert abs(q.log_prob(q.mode).item() + math.log(2 * math.pi * 0.25)) < 1e-12
    x = torch.tensor([-1.0, 0, 0], dtype=torch.float64)
    assert torch.isfinite(q.log_prob(x))


def test_a_scale_beyond_all_counting_is_refused():
    q = WrappedNormal(Sphere(2).origin(), 1e5, Sphere(2))
    with pytest.raises(ValueError, match="winds round it more than"):
        q.log_prob(Sphere(2).exp0(torch.ones(2)))


@pytest.mark.parametrize("space", [Euclidean(3), Sphere(3, 2.0), Hyperbolic(3, -0.5)], ids=repr)
def test_shapes(space):
    loc = space.exp0(0.1 * torch.randn(5, 1, 3))
    q = WrappedNormal(loc, torch.rand(2, 3) + 0.1, space)
    D = space.ambient_dim
    assert (q.batch_shape, q.event_shape, q.noise_dim) == ((5, 2), (D,), 3)
    assert q.loc.shape == (5, 2, D)
    assert q.rsample((7,)).shape == (7, 5, 2, D)
    assert q.rsample().shape == (5, 2, D)
    assert q.log_prob(q.rsample((7,))).shape == (7, 5, 2)
    assert q.rsample_from_noise(torch.randn(4, 1, 1, 3)).shape == (4, 5, 2, D)
    assert q.log_prob(space.origin()).shape == (5, 2)
    wide = q.expand((6, 5, 2))
    assert wide.batch_shape == (6, 5, 2)
    z = wide.sample()
    assert torch.equal(wide.log_prob(z), q.log_prob(z))
    assert wide.sample((3,)).shape == (3, 6, 5, 2, D)
    one = WrappedNormal(space.origin(), 0.3, space)
    assert (one.batch_shape, one.scale.shape) == ((), (3,))
    assert one.log_prob(one.sample()).shape == ()
    one_scale = WrappedNormal(space.origin(), torch.full((4, 1), 0.3), space)
    assert torch.allclose(one_scale.log_prob(loc[:4, 0]), one.log_prob(loc[:4, 0]))
    assert pickle.loads(pickle.dumps(one)).log_prob(space.origin()) == one.log_prob(space.origin())
    assert "WrappedNormal" in repr(q)


@pytest.mark.parametrize("space", [Euclidean(2), Sphere(2), Hyperbolic(2)], ids=repr)
def test_draws_come_from_the_global_generator_alone(space):
    q = WrappedNormal(space.origin(), 0.3, space)
    torch.manual_seed(0)
    z = q.rsample((3,))
    torch.manual_seed(0)
    assert torch.equal(z, q.rsample_from_noise(torch.randn(3, 2)))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: WrappedNormal(torch.ones(3), 1.0, Sphere(2)), "must lie on"),
    (lambda: WrappedNormal(torch.full((3,), math.nan), 1.0, Sphere(2)), "must lie on"),
    (lambda: WrappedNormal(torch.ones(2), 1.0, Sphere(2)), "ambient"),
    (lambda: WrappedNormal(Sphere(2).origin(), torch.ones(3), Sphere(2)), "intrinsic"),
    (lambda: WrappedNormal(Sphere(2).origin(), -1.0, Sphere(2)), "scale"),
    (lambda: WrappedNormal(Sphere(2).origin(), math.nan, Sphere(2)), "scale"),
    (lambda: WrappedNormal(Sphere(2).origin().expand(3, 3), torch.ones(2, 2), Sphere(2)),
     "do not broadcast"),
    (lambda: WrappedNormal(Sphere(2).origin(), 1.0, Sphere(2)).log_prob(torch.ones(3)),
     "within the support"),
    (lambda: WrappedNormal(Sphere(2).origin(), 1.0, Sphere(2)).log_prob(torch.ones(4)), "ambient"),
    (lambda: WrappedNormal(Sphere(2).origin(), 1.0, Sphere(2)).rsample_from_noise(torch.ones(3)),
     "noise_dim"),
])  # fmt: skip
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_product_is_refused():
    with pytest.raises(TypeError, match="a distribution for each factor"):
        WrappedNormal(torch.ones(3), 1.0, Product([Sphere(2)]))
