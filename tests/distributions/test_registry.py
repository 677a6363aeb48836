"""Laws that every distribution of the package keeps, run over one registry of examples.

Failure rates, if all is well: a mean is compared to within `SIGMAS` standard errors (fails once in
1.7 million), a distribution function to within Kolmogorov's bound `KS_BOUND` (once in a million).
"""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.distributions import Distribution, kl_divergence
from torch.distributions.kl import _KL_REGISTRY

import skccvae.distributions
from skccvae.distributions import (
    HypersphericalUniform,
    PowerSpherical,
    ProjectedNormal,
    RiemannianNormal,
    SphericalCauchy,
    VonMisesFisher,
    WrappedNormal,
)
from skccvae.manifolds import Euclidean, Hyperbolic, Sphere
from skccvae.special import log_sinc_k

SIGMAS = 5.0
KS_BOUND = 2.7
DIMENSIONS = [1, 2, 5, 20, 100, 400]


@dataclass(frozen=True)
class Family:
    """A way to build one distribution, isotropic about its location, on a space of dimension d.

    `size` is its scale or concentration; `typical` one of each that spreads over about a radian, as
    a function of d; `decades` what float32 must bear.
    """

    kind: type[Distribution]
    space: Callable
    build: Callable  # (loc, size, space) -> distribution
    typical: Callable
    decades: Callable

    def __call__(self, d: int, size: float | None = None, dtype=torch.float64, **options):
        space = self.space(d)
        size = torch.tensor(self.typical(d) if size is None else size, dtype=dtype)
        return self.build(location(space, dtype), size, space, **options)


def location(space, dtype=torch.float64):
    u = torch.linspace(0.5, 1.0, space.dim, dtype=torch.float64)
    return space.exp0(0.7 * u / u.norm()).to(dtype)


def vmf(loc, size, space, **options):
    return VonMisesFisher(loc, size, **options)


def power(loc, size, space, **options):
    return PowerSpherical(loc, size, **options)


def cauchy(loc, size, space, **options):
    return SphericalCauchy(loc, size, **options)


def projected(loc, size, space, **options):
    return ProjectedNormal(loc, size.unsqueeze(-1), **options)


def uniform(loc, size, space, **options):
    return HypersphericalUniform(loc.shape[-1], loc.shape[:-1], dtype=loc.dtype, **options)


def wrapped(loc, size, space, **options):
    return WrappedNormal(loc, size.unsqueeze(-1), space, **options)


def riemannian(loc, size, space, **options):
    return RiemannianNormal(loc, size, space, **options)


def unit_scale(d):
    return 0.8 / math.sqrt(d)


def eight_decades(middle):
    return [middle * 10.0**k for k in range(-4, 5)]


def up_to_one(d):
    return [0.0, *(10.0**-k for k in range(6, 0, -1)), 0.5, *(1 - 10.0**-k for k in range(1, 7))]


def hyperbolic_scales(far):
    """Eight decades below the largest scale whose draws (to 5 deviations) lie within 38 radii."""
    return lambda d: [far(d) * 10.0**-k for k in range(9)]


def widest_riemannian(d):
    # (d - 1) s^2 + 5 s + 1 = 38
    return 37 / 5 if d == 1 else (math.sqrt(25 + 148 * (d - 1)) - 5) / (2 * (d - 1))


REGISTRY = {
    "von_mises_fisher": Family(
        VonMisesFisher, Sphere, vmf, lambda d: 1.5 * d, lambda d: [0.0, *eight_decades(10.0)]
    ),
    "power_spherical": Family(
        PowerSpherical, Sphere, power, lambda d: 3.0 * d, lambda d: [0.0, *eight_decades(10.0)]
    ),
    "spherical_cauchy": Family(SphericalCauchy, Sphere, cauchy, lambda d: 0.4, up_to_one),
    "projected_normal": Family(
        ProjectedNormal, Sphere, projected, unit_scale, lambda d: eight_decades(1.0)
    ),
    "uniform": Family(HypersphericalUniform, Sphere, uniform, lambda d: 1.0, lambda d: [1.0]),
    "wrapped_normal_E": Family(
        WrappedNormal, Euclidean, wrapped, unit_scale, lambda d: eight_decades(1.0)
    ),
    # beyond, the wrapped normal winds round the sphere thousands of times and is refused
    "wrapped_normal_S": Family(
        WrappedNormal, Sphere, wrapped, unit_scale, lambda d: [200 * 10.0**-k for k in range(9)]
    ),
    "wrapped_normal_H": Family(
        WrappedNormal,
        Hyperbolic,
        wrapped,
        unit_scale,
        hyperbolic_scales(lambda d: 37 / (math.sqrt(d) + 5)),
    ),
    "riemannian_normal_E": Family(
        RiemannianNormal, Euclidean, riemannian, unit_scale, lambda d: eight_decades(1.0)
    ),
    "riemannian_normal_S": Family(
        RiemannianNormal, Sphere, riemannian, unit_scale, lambda d: eight_decades(1.0)
    ),
    "riemannian_normal_H": Family(
        RiemannianNormal, Hyperbolic, riemannian, unit_scale, hyperbolic_scales(widest_riemannian)
    ),
}
#: Made of others; their laws follow from those of the parts and have tests of their own.
COMPOSITE = {"ProductDistribution"}
#: Laws whose entropy has no closed form.
NO_ENTROPY = (WrappedNormal, ProjectedNormal)
FAMILIES = [pytest.param(family, id=name) for name, family in REGISTRY.items()]
WITH_SIZE = [p for p in FAMILIES if p.id != "uniform"]


def test_every_distribution_is_in_the_registry() -> None:
    public = {
        thing
        for name in skccvae.distributions.__all__
        if isinstance(thing := getattr(skccvae.distributions, name), type)
    }
    assert {kind for kind in public if kind.__name__ not in COMPOSITE} == {
        family.kind for family in REGISTRY.values()
    }


# -- quadrature ------------------------------------------------------------------------------------


def radii(space, top: float | None = None, pieces: int = 200):
    """Gauss-Legendre nodes and weights over the distances of the space."""
    if top is None:
        top = math.pi * space.radius_ if space.curvature > 0 else 8.0
    x, w = np.polynomial.legendre.leggauss(12)
    edges = np.linspace(0, top, pieces + 1)
    half = np.diff(edges)[:, None] / 2
    nodes = (edges[:-1, None] + half) + half * x
    return torch.from_numpy(nodes.ravel()), torch.from_numpy((half * w).ravel())


def log_area(d: int) -> float:
    """Area of the sphere of directions."""
    return math.log(2) + 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d)


def radial_density(q, loc, space, r: torch.Tensor) -> torch.Tensor:
    """Density of the distance to loc, from the density on the space."""
    d = space.dim
    way = torch.zeros(d, dtype=torch.float64)
    way[0], way[-1] = 0.6, 0.8
    z = space.exp(loc, space.from_frame(loc, r.unsqueeze(-1) * (way / way.norm())))
    log_ring = (d - 1) * (r.log() + log_sinc_k(r, space.curvature)) + log_area(d)
    return (q.log_prob(z) + log_ring).exp()


def disc(space, pole, n: int = 400, n_angles: int = 96):
    """Points and Riemannian weights of the whole plane, d = 2, in polar coordinates at a pole."""
    r, w = radii(space, pieces=n // 12)
    angle = torch.arange(n_angles, dtype=torch.float64) * 2 * math.pi / n_angles
    way = torch.stack([angle.cos(), angle.sin()], -1)
    z = space.exp(pole, space.from_frame(pole, r[:, None, None] * way))
    ring = w * r * log_sinc_k(r, space.curvature).exp() * 2 * math.pi / n_angles
    return z.reshape(-1, space.ambient_dim), ring[:, None].expand(-1, n_angles).reshape(-1)


def agree(samples: torch.Tensor, exact: float, floor: float = 1e-9) -> None:
    samples = samples.double()
    error = samples.std() / math.sqrt(samples.shape[0])
    assert abs(samples.mean() - exact) < SIGMAS * error + floor


# -- density and sampler ---------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 5, 20, 100])
@pytest.mark.parametrize("family", FAMILIES)
def test_density_integrates_to_one(family: Family, d: int) -> None:
    space = family.space(d)
    loc = location(space)
    r, w = radii(space)
    for factor in (0.3, 1.0):
        q = family(d, factor * family.typical(d))
        assert (radial_density(q, loc, space, r) * w).sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_density_integrates_to_one_about_another_pole(family: Family) -> None:
    space = family.space(2)
    z, w = disc(space, space.origin(torch.float64))
    q = family(2, 0.3 if family.kind is WrappedNormal else None)
    assert (q.log_prob(z).exp() * w).sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("d", [1, 2, 5, 20, 100])
@pytest.mark.parametrize("family", FAMILIES)
def test_sampler_follows_the_density(family: Family, d: int) -> None:
    torch.manual_seed(d)
    n = 20_000
    space = family.space(d)
    loc, q = location(space), family(d)
    z = q.sample((n,))
    assert bool(space.belongs(z).all())
    r, w = radii(space, pieces=1000)
    mass = radial_density(q, loc, space, r) * w
    drawn = space.dist(loc, z).sort().values
    cdf = np.interp(drawn.numpy(), r.numpy(), (mass.cumsum(0) - 0.5 * mass).numpy())
    steps = np.arange(n + 1) / n
    gap = max(np.abs(cdf - steps[1:]).max(), np.abs(cdf - steps[:-1]).max())
    assert gap * math.sqrt(n) < KS_BOUND
    # directions are uniform: first and second moments
    way = space.to_frame(loc, space.log(loc, z))
    way = way / way.norm(dim=-1, keepdim=True)
    probe = torch.linspace(1, -0.5, d, dtype=torch.float64)
    side = way @ (probe / probe.norm())
    agree(side, 0.0)
    agree(side.square(), 1 / d)


@pytest.mark.parametrize("family", FAMILIES)
def test_entropy_and_mode(family: Family) -> None:
    if family.kind in NO_ENTROPY:
        with pytest.raises(NotImplementedError):
            family(3).entropy()
        if family.kind is WrappedNormal:
            assert torch.equal(family(3).mode, family(3).loc)
        return
    for d in (1, 2, 5, 20, 100):
        torch.manual_seed(d)
        q = family(d)
        z = q.sample((20_000,))
        agree(-q.log_prob(z), q.entropy().item())
        if family.kind is not HypersphericalUniform:
            assert bool((q.log_prob(q.mode) >= q.log_prob(z)).all())


@pytest.mark.parametrize("d", [1, 2, 5, 20, 100])
@pytest.mark.parametrize(
    "name", ["von_mises_fisher", "power_spherical", "spherical_cauchy", "uniform"]
)
def test_mean_and_variance_of_the_spherical_laws(name: str, d: int) -> None:
    torch.manual_seed(d)
    for factor in (1e-3, 1.0):
        q = REGISTRY[name](d, factor * REGISTRY[name].typical(d))
        z = q.sample((20_000,))
        for k in (0, d):
            agree(z[:, k], q.mean[k].item())
            agree((z[:, k] - q.mean[k]).square(), q.variance[k].item())
        # the trace of the second moments is |z|^2 = 1
        total = q.variance.sum() + q.mean.square().sum()
        torch.testing.assert_close(total.item(), 1.0, rtol=1e-9, atol=0)
    assert q.expand((4,)).variance.shape == (4, d + 1)


# -- divergences -----------------------------------------------------------------------------------

PAIRS = [
    ("von_mises_fisher", "uniform"),
    ("von_mises_fisher", "von_mises_fisher"),
    ("power_spherical", "uniform"),
    ("power_spherical", "von_mises_fisher"),
    ("power_spherical", "power_spherical"),
    ("spherical_cauchy", "uniform"),
    ("spherical_cauchy", "von_mises_fisher"),
    ("spherical_cauchy", "spherical_cauchy"),
    ("uniform", "uniform"),
    ("uniform", "von_mises_fisher"),
    ("uniform", "power_spherical"),
    ("uniform", "spherical_cauchy"),
    ("riemannian_normal_S", "uniform"),
    ("riemannian_normal_S", "riemannian_normal_S"),
    ("riemannian_normal_H", "riemannian_normal_H"),
    ("riemannian_normal_E", "riemannian_normal_E"),
    ("wrapped_normal_H", "wrapped_normal_H"),
    ("wrapped_normal_E", "wrapped_normal_E"),
]
#: Pairs whose divergence has a closed form only for equal locations.
SAME_LOCATION = {
    "power_spherical",
    "riemannian_normal_S",
    "riemannian_normal_H",
    "wrapped_normal_H",
}


def test_every_registered_divergence_is_tried() -> None:
    ours = {
        pair
        for pair in _KL_REGISTRY
        if any(t.__module__.startswith("skccvae") for t in pair)
        and not any(t.__name__ in COMPOSITE for t in pair)
    }
    tried = {(REGISTRY[a].kind, REGISTRY[b].kind) for a, b in PAIRS}
    assert ours == tried | {(ProjectedNormal, HypersphericalUniform)}  # registered to say why not


@pytest.mark.parametrize("d", [1, 2, 5, 20, 100])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_divergence_agrees_with_monte_carlo(first: str, second: str, d: int) -> None:
    torch.manual_seed(d)
    p = REGISTRY[first](d)
    q = REGISTRY[second](d, 0.6 * REGISTRY[second].typical(d))
    z = p.sample((20_000,))
    exact = kl_divergence(p, q)
    assert exact.shape == ()
    agree(p.log_prob(z) - q.log_prob(z), exact.item())


@pytest.mark.parametrize("d", [1, 2, 20])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_divergence_between_two_locations(first: str, second: str, d: int) -> None:
    torch.manual_seed(d)
    one, other = REGISTRY[first], REGISTRY[second]
    space = one.space(d)
    q_size = torch.tensor(0.6 * other.typical(d), dtype=torch.float64)
    moved = space.exp0(torch.linspace(-0.4, 0.3, d, dtype=torch.float64))
    p, q = one(d), other.build(moved, q_size, space)
    if first == second and first in SAME_LOCATION:
        with pytest.raises(NotImplementedError, match=r"same loc.*Average p\.log_prob"):
            kl_divergence(p, q)
        return
    z = p.sample((20_000,))
    agree(p.log_prob(z) - q.log_prob(z), kl_divergence(p, q).item())


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_divergence_in_float32_in_batches_and_its_gradient(first: str, second: str) -> None:
    one, other = REGISTRY[first], REGISTRY[second]
    factors = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    space = one.space(3)
    loc = location(space)

    def divergence(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        p, q = (
            family.build(loc.to(x.dtype).expand(*x.shape, -1), family.typical(3) * x, space)
            for family, x in ((one, a), (other, b))
        )
        return kl_divergence(p, q) + 0 * (a + b)  # a uniform law does not depend on its size

    a, b = factors.unsqueeze(-1), factors.flip(0)
    wide = divergence(a, b)
    assert wide.shape == (3, 3)
    narrow = divergence(a.float(), b.float())
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), wide, rtol=1e-5, atol=1e-5)
    assert bool((wide > -1e-12).all())  # 0 between equal laws, but for rounding
    inputs = [x.clone().requires_grad_() for x in (a, b)]
    assert torch.autograd.gradcheck(divergence, inputs, atol=1e-6)
    if first == second:
        equal = divergence(factors, factors)
        torch.testing.assert_close(equal, torch.zeros_like(equal), rtol=0, atol=1e-12)


def test_divergences_that_do_not_exist_say_so() -> None:
    p = REGISTRY["wrapped_normal_S"](2)
    with pytest.raises(NotImplementedError, match="many tangent vectors"):
        kl_divergence(p, p)
    with pytest.raises(NotImplementedError, match="no closed form.*rsample_with_kl"):
        kl_divergence(REGISTRY["projected_normal"](2), REGISTRY["uniform"](2))
    for first, second in (
        ("von_mises_fisher", "power_spherical"),
        ("power_spherical", "spherical_cauchy"),
        ("uniform", "riemannian_normal_S"),
        ("wrapped_normal_H", "riemannian_normal_H"),
        ("projected_normal", "projected_normal"),
    ):
        with pytest.raises(NotImplementedError, match="No KL"):
            kl_divergence(REGISTRY[first](2), REGISTRY[second](2))
    for name in ("von_mises_fisher", "power_spherical", "spherical_cauchy"):
        with pytest.raises(ValueError, match="same ambient dimension"):
            kl_divergence(REGISTRY[name](2), REGISTRY[name](3))
    for name in ("riemannian_normal", "wrapped_normal"):
        with pytest.raises(ValueError, match="same space"):
            kl_divergence(REGISTRY[f"{name}_H"](2), REGISTRY[f"{name}_E"](3))


# -- pathwise gradients ----------------------------------------------------------------------------


def plane_parameters(family: Family):
    """Location as tangent numbers at the origin, and size: a curve through parameter space."""
    space = family.space(2)

    def at(t: torch.Tensor):
        u = torch.stack([0.5 + t[..., 0], -0.3 + t[..., 1]], -1)
        return family.build(space.exp0(u), family.typical(2) * t[..., 2].exp(), space)

    return space, at


def probe(space, z: torch.Tensor) -> torch.Tensor:
    """A smooth function of a point, without symmetry about the location."""
    c, s = space.to_polar(z)
    return torch.sin(s[..., 0] + 0.5) * torch.exp(
        -0.25 * (s[..., 1] - 0.5).square()
    ) + 0.3 * torch.cos(c + s[..., 1])


@pytest.mark.parametrize("family", WITH_SIZE)
def test_pathwise_gradients_are_exact(family: Family) -> None:
    torch.manual_seed(3)
    n, h = 40_000, 1e-4
    space, at = plane_parameters(family)
    centre = space.exp0(torch.tensor([0.5, -0.3], dtype=torch.float64))
    # a wrapped normal's density has poles on a sphere; the product of nodes is fine about its own
    x, w = disc(space, centre)
    t = torch.zeros(n, 3, dtype=torch.float64, requires_grad=True)
    z = at(t).rsample()
    (slopes,) = torch.autograd.grad(probe(space, z).sum(), t)
    for k in range(3):
        sides = []
        for step in (h, -h):
            moved = torch.zeros(3, dtype=torch.float64)
            moved[k] = step
            if k < 2 and family.kind is WrappedNormal and space.curvature > 0:
                x, w = disc(space, at(moved).loc)
            sides.append((at(moved).log_prob(x).exp() * probe(space, x) * w).sum())
        exact = ((sides[0] - sides[1]) / (2 * h)).item()
        agree(slopes[:, k], exact, floor=1e-6)


@pytest.mark.parametrize("d", [1, 5, 20, 100])
@pytest.mark.parametrize("family", WITH_SIZE)
def test_pathwise_gradient_of_the_distance_in_the_size(family: Family, d: int) -> None:
    torch.manual_seed(4)
    n, h = 20_000, 1e-4
    space = family.space(d)
    loc = location(space)
    t = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    q = family.build(loc, family.typical(d) * t.exp(), space)
    r, w = radii(space, pieces=400)
    (slopes,) = torch.autograd.grad(space.dist(loc, q.rsample()).square().sum(), t)
    moments = []
    for step in (h, -h):
        moved = family(d, family.typical(d) * math.exp(step))
        moments.append((radial_density(moved, loc, space, r) * r.square() * w).sum().item())
    agree(slopes, (moments[0] - moments[1]) / (2 * h), floor=1e-6)


@pytest.mark.parametrize("family", WITH_SIZE)
def test_gradients_of_the_log_density(family: Family) -> None:
    torch.manual_seed(5)
    space, at = plane_parameters(family)
    x = space.exp0(torch.randn(6, 2, dtype=torch.float64) * 0.6)
    t = torch.zeros(6, 3, dtype=torch.float64, requires_grad=True)
    # points move along the space: off it a density means nothing
    v = torch.zeros(6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda t, v: at(t).log_prob(space.exp(x, space.from_frame(x, v))), (t, v), atol=1e-6
    )


# -- float32 at the extremes -----------------------------------------------------------------------


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_float32_is_finite_at_the_extremes(family: Family, d: int) -> None:
    torch.manual_seed(6)
    space = family.space(d)
    sizes = torch.tensor(family.decades(d), dtype=torch.float32, requires_grad=True)
    loc = location(space, torch.float32).expand(len(sizes), -1).clone().requires_grad_()
    q = family.build(loc, sizes, space, validate_args=False)
    z = q.rsample((200,))
    assert z.dtype == torch.float32
    assert bool(torch.isfinite(z).all())
    value = z.detach().requires_grad_()
    log_prob = q.log_prob(value)
    assert bool(torch.isfinite(log_prob).all())
    outputs = [z.square().cumsum(-1).sqrt().sum(), log_prob.sum()]
    if family.kind not in NO_ENTROPY:
        assert bool(torch.isfinite(q.entropy()).all())
        outputs.append(q.entropy().sum())
    for output in outputs:
        if not output.requires_grad:
            continue
        for grad in torch.autograd.grad(
            output, (loc, sizes, value), retain_graph=True, allow_unused=True
        ):
            assert grad is None or bool(torch.isfinite(grad).all())


@pytest.mark.parametrize("family", FAMILIES)
def test_float32_agrees_with_float64(family: Family) -> None:
    for d in (1, 2, 20, 100):
        torch.manual_seed(d)
        wide, narrow = family(d), family(d, dtype=torch.float32)
        noise = torch.randn(500, wide.noise_dim, dtype=torch.float64)
        z = wide.rsample_from_noise(noise)
        torch.testing.assert_close(
            narrow.rsample_from_noise(noise.float()).double(), z, rtol=0, atol=2e-4
        )
        torch.testing.assert_close(
            narrow.log_prob(z.float()).double(), wide.log_prob(z), rtol=1e-4, atol=1e-3 * d**0.5
        )


# -- shapes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_and_broadcasting(family: Family) -> None:
    torch.manual_seed(7)
    space = family.space(3)
    loc = space.exp0(torch.randn(4, 3, dtype=torch.float64) * 0.3)
    q = family.build(loc, torch.full((4,), family.typical(3), dtype=torch.float64), space)
    width = space.ambient_dim
    assert (q.batch_shape, q.event_shape) == ((4,), (width,))
    assert q.sample().shape == (4, width)
    assert q.rsample((5, 2)).shape == (5, 2, 4, width)
    z = q.sample((5,))
    assert q.log_prob(z).shape == (5, 4)
    torch.testing.assert_close(q.log_prob(z)[2], q.log_prob(z[2]))
    # one noise for all rows
    noise = torch.randn(6, 1, q.noise_dim, dtype=torch.float64)
    shared = q.rsample_from_noise(noise)
    assert shared.shape == (6, 4, width)
    torch.testing.assert_close(shared, q.rsample_from_noise(noise.expand(6, 4, -1)))
    with pytest.raises(ValueError, match="noise"):
        q.rsample_from_noise(noise[..., 1:])

    wide = q.expand((3, 4))
    assert (type(wide), wide.batch_shape, wide.event_shape) == (type(q), (3, 4), (width,))
    assert wide.rsample((2,)).shape == (2, 3, 4, width)
    torch.testing.assert_close(wide.log_prob(z[0]), q.log_prob(z[0]).expand(3, 4))
    torch.testing.assert_close(
        wide.rsample_from_noise(noise[0]), q.rsample_from_noise(noise[0]).expand(3, 4, width)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_repeat_and_survive_pickling(family: Family) -> None:
    q = family(3)
    draws = []
    for law in (q, copy.deepcopy(q), pickle.loads(pickle.dumps(q))):
        torch.manual_seed(8)
        draws.append(law.sample((3,)))
    torch.testing.assert_close(draws[0], draws[1], rtol=0, atol=0)
    torch.testing.assert_close(draws[0], draws[2], rtol=0, atol=0)
    assert not q.sample().requires_grad


@pytest.mark.parametrize("family", WITH_SIZE)
@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_a_bad_size_is_refused(family: Family, bad: float) -> None:
    with pytest.raises(ValueError):
        family(2, bad, validate_args=True)


@pytest.mark.parametrize("family", [p for p in WITH_SIZE if p.id != "projected_normal"])
def test_a_location_off_the_space_is_refused(family: Family) -> None:
    space = family.space(2)
    loc = location(space) + (math.nan if space.curvature == 0 else 0.1)
    size = torch.tensor(family.typical(2), dtype=torch.float64)
    with pytest.raises(ValueError):
        family.build(loc, size, space, validate_args=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_values_off_the_space_are_refused(family: Family) -> None:
    q = family(2, validate_args=True)
    with pytest.raises(ValueError):
        q.log_prob(torch.full(q.event_shape, math.nan, dtype=torch.float64))


@pytest.mark.parametrize("family", WITH_SIZE)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_location_that_is_not_finite_is_refused(family: Family, bad: float) -> None:
    space = family.space(2)
    loc, size = location(space), torch.tensor(family.typical(2), dtype=torch.float64)
    with pytest.raises(ValueError):
        family.build(torch.full_like(loc, bad), size, space, validate_args=True)
    if hasattr(family.kind, "from_tangent"):
        tangent = torch.tensor([0.0, bad])
        with pytest.raises(ValueError, match="tangent must be finite"):
            family.kind.from_tangent(tangent, 1.0, space, validate_args=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_float32_points_converted_to_float64_are_accepted(family: Family) -> None:
    torch.manual_seed(9)
    for d in (1, 2, 20, 100):
        space = family.space(d)
        narrow = family(d, dtype=torch.float32)
        z = narrow.sample((200,)).double()
        loc = location(space, torch.float32).double()
        q = family.build(loc, torch.tensor(family.typical(d)).double(), space, validate_args=True)
        assert bool(torch.isfinite(q.log_prob(z)).all())
        assert bool(q.support.check(z).all())


@pytest.mark.parametrize("family", WITH_SIZE)
def test_the_constraints_of_the_parameters(family: Family) -> None:
    q = family(2)
    assert q.arg_constraints["loc"].event_dim == 1
    assert {"loc"} < set(q.arg_constraints) <= {"loc", "scale", "concentration"}
    (size,) = set(q.arg_constraints) - {"loc"}
    constraint = q.arg_constraints[size]
    assert bool(constraint.check(getattr(q, size)).all())
    assert not bool(constraint.check(torch.full_like(getattr(q, size), math.inf)).any())
    # optimisers over free numbers, such as those of probabilistic programs, ask for a transform
    free = torch.randn(getattr(q, size).shape)
    assert bool(constraint.check(torch.distributions.transform_to(constraint)(free)).all())


@pytest.mark.parametrize("family", FAMILIES)
def test_repr_names_every_parameter(family: Family) -> None:
    q = family(2)
    assert repr(q).startswith(f"{family.kind.__name__}(")
    for name in q.arg_constraints or ["m"]:
        assert f"{name}: " in repr(q)
    if hasattr(q, "manifold"):
        assert repr(q.manifold) in repr(q)


@pytest.mark.parametrize("family", FAMILIES)
def test_expand_of_subclasses(family: Family) -> None:
    q = family(2)
    same = type("Same", (family.kind,), {})
    copied = copy.copy(q)
    copied.__class__ = same
    assert type(copied.expand((3,))) is same
    # one with another constructor must define its own expand, as torch has it
    other = type("Other", (family.kind,), {"__init__": lambda self: None})
    copied.__class__ = other
    with pytest.raises(NotImplementedError, match="must also define a custom .expand"):
        copied.expand((3,))


#: Laws with a derivative written by hand, which `torch.func` cannot transform.
BY_HAND = (VonMisesFisher, PowerSpherical, ProjectedNormal, RiemannianNormal)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("family", FAMILIES)
def test_torch_func_works_or_says_so(family: Family) -> None:
    torch.manual_seed(10)
    space, size = family.space(2), torch.tensor(family.typical(2), dtype=torch.float64)
    z = family(2).sample((4,))
    sizes = size * torch.tensor([0.5, 1.0, 1.5, 2.0], dtype=torch.float64)

    def log_prob(size: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return family.build(location(space), size, space, validate_args=False).log_prob(z)

    slope = torch.func.grad(log_prob, argnums=1)
    if family.kind in BY_HAND:
        for call in (
            lambda: slope(size, z[0]),
            lambda: torch.func.vmap(log_prob)(sizes, z),
            lambda: torch.func.hessian(log_prob)(size, z[0]),
        ):
            with pytest.raises(RuntimeError, match="autograd.Function with functorch"):
                call()
        return
    if family.kind is WrappedNormal and space.curvature > 0:
        # the number of preimages depends on the value of the scale
        with pytest.raises(RuntimeError, match="vmap"):
            torch.func.vmap(log_prob)(sizes, z)
    else:
        one_by_one = torch.stack([log_prob(*x) for x in zip(sizes, z, strict=True)])
        torch.testing.assert_close(torch.func.vmap(log_prob)(sizes, z), one_by_one)
    leaf = z.clone().requires_grad_()
    total = log_prob(size, leaf).sum() + 0 * leaf.sum()  # the uniform law does not depend on z
    (expected,) = torch.autograd.grad(total, leaf)
    torch.testing.assert_close(torch.func.vmap(slope, (None, 0))(size, z), expected)


@pytest.mark.parametrize("validate_args", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_number_of_coordinates_is_refused(family: Family, validate_args: bool) -> None:
    q = family(3, validate_args=validate_args)
    for width in (1, 2, 7):  # one coordinate would broadcast
        with pytest.raises(ValueError, match=r"coordinates in its last dimension; got shape \(2, "):
            q.log_prob(torch.ones(2, width, dtype=torch.float64))
