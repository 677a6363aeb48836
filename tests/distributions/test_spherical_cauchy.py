"""Spherical Cauchy: density, draw, exact gradients, divergence.

Random tests have fixed seeds; with another seed each comparison at five standard errors would fail
by chance once in two million, each Kolmogorov-Smirnov test (p < 1e-5) once in a hundred thousand.
"""

from __future__ import annotations

import math
from functools import lru_cache

import mpmath as mp
import pytest
import scipy.stats
import torch
from torch.distributions import kl_divergence

from skccvae.distributions import HypersphericalUniform, SphericalCauchy
from skccvae.special import spherical_cauchy_kl_uniform, spherical_cauchy_mean_resultant_length
from skccvae.special.spherical_cauchy import spherical_cauchy_kl, spherical_cauchy_variances

DIMENSIONS = [2, 3, 4, 5, 10, 11, 41, 101, 1001]
#: Rounded to float32, so that both precisions get the same numbers.
CONCENTRATIONS = torch.tensor([1e-6, 1e-3, 0.1, 0.5, 0.9, 0.99, 0.999999]).tolist()
EXTREMES = {
    torch.float32: [0.0, 1e-30, 1e-6, 0.5, 0.99, 1 - 1e-6, 1 - 2.0**-24],
    torch.float64: [0.0, 1e-100, 1e-12, 0.5, 0.99, 1 - 1e-6, 1 - 1e-12, 1 - 2.0**-53],
}


def unit(m: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    loc = torch.arange(1, m + 1, dtype=torch.float64).cos()
    return (loc / loc.norm()).to(dtype)


def law(m: int, concentration: float, dtype: torch.dtype = torch.float64) -> SphericalCauchy:
    return SphericalCauchy(unit(m, dtype), torch.tensor(concentration, dtype=dtype))


@lru_cache
def exact(m: int, concentration: float) -> tuple[float, float, float]:
    """KL to the uniform law, its derivative, and E<mu, z>: averages over a uniform point u.

    They are integrals over the angle a between u and -mu, whose law has a density proportional to
    sin(a)^(m - 2). The pieces of the path shrink towards a = 0, where the integrands are steep.
    """
    with mp.workdps(30):
        rho = mp.mpf(concentration)
        cuts = [c for c in ((1 - rho) * 10**k for k in range(-1, 7)) if c < 1]
        ring = [mp.pi / 2 + 8 * side / mp.sqrt(m) for side in (-1, 1) if m > 50]
        path = sorted([mp.mpf(0), *cuts, mp.mpf(1), *ring, mp.pi / 2, mp.pi])

        def mean(f):
            total = mp.quad(lambda a: f(a, square(a)) * mp.sin(a) ** (m - 2), path)
            return total / mp.beta(mp.mpf(1) / 2, mp.mpf(m - 1) / 2)

        def square(a):  # |u + rho mu|^2
            return (1 - rho) ** 2 + 4 * rho * mp.sin(a / 2) ** 2

        gap = 1 - rho**2
        kl = (m - 1) * mean(lambda a, s: mp.log(s / gap))
        slope = (m - 1) * mean(lambda a, s: 2 * (rho - mp.cos(a)) / s + 2 * rho / gap)
        resultant = mean(lambda a, s: (2 * rho - (1 + rho**2) * mp.cos(a)) / s)
        return float(kl), float(slope), float(resultant)


@pytest.mark.parametrize("m", DIMENSIONS)
def test_divergence_and_mean_against_mpmath(m: int) -> None:
    expected = torch.tensor([exact(m, rho) for rho in CONCENTRATIONS], dtype=torch.float64)
    for dtype, bound in ((torch.float32, 1e-6), (torch.float64, 1e-10)):
        rho = torch.tensor(CONCENTRATIONS, dtype=dtype, requires_grad=True)
        kl = spherical_cauchy_kl_uniform(rho, m)
        (slope,) = torch.autograd.grad(kl.sum(), rho)
        resultant = spherical_cauchy_mean_resultant_length(rho, m)
        found = torch.stack([kl, slope, resultant], -1).detach().double()
        assert (found / expected - 1).abs().max() < bound


def exact_variances(m: int, concentration: float) -> tuple[float, float]:
    """Variances along and across, as averages over s = artanh <mu, u> of a uniform point u."""
    with mp.workdps(30):
        rho = mp.mpf(concentration)
        shift = mp.log((1 + rho) / (1 - rho))
        path = sorted({-mp.inf, *(k - shift for k in (-5, -2, 0, 2, 5)), mp.mpf(0), mp.inf})
        total = mp.quad(lambda s: mp.sech(s) ** (m - 1), [-mp.inf, 0, mp.inf])

        def mean(f):  # of a function of 1 - w
            return (
                mp.quad(
                    lambda s: f(2 / (1 + mp.exp(2 * (s + shift)))) * mp.sech(s) ** (m - 1), path
                )
                / total
            )

        centre = mean(lambda u: u)
        along = mean(lambda u: (u - centre) ** 2)
        return float(along), float(mean(lambda u: u * (2 - u)) / (m - 1))


@pytest.mark.parametrize("m", [2, 5, 41])
def test_variances_against_mpmath(m: int) -> None:
    sizes = CONCENTRATIONS[::2]
    expected = torch.tensor([exact_variances(m, rho) for rho in sizes], dtype=torch.float64)
    for dtype, bound in ((torch.float32, 5e-6), (torch.float64, 1e-8)):
        rho = torch.tensor(sizes, dtype=dtype)
        found = torch.stack(spherical_cauchy_variances(rho, m), -1).double()
        assert (found / expected - 1).abs().max() < bound
    rho = torch.tensor([0.0, 0.3, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda rho: spherical_cauchy_variances(rho, m), (rho,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", [2, 11])
@pytest.mark.parametrize(("rho_p", "rho_q", "angle"), [
    (0.5, 0.5, 1e-4), (0.5, 0.5 + 2.0**-12, 0.0), (0.5, 0.9, 2.0), (0.99, 0.99, math.pi),
    (0.9, 1e-3, 1.0),
])  # fmt: skip
def test_divergence_between_two_laws_against_mpmath(
    m: int, dtype: torch.dtype, rho_p: float, rho_q: float, angle: float
) -> None:
    p, q, gap = (
        torch.tensor(x, dtype=dtype) for x in (rho_p, rho_q, (2 * math.sin(angle / 2)) ** 2)
    )
    with mp.workdps(30):
        a, b = mp.mpf(p.item()), mp.mpf(q.item())
        chord = (a - b) ** 2 + a * b * mp.mpf(gap.item())
        # pseudo-hyperbolic distance of two points of the ball
        distance = mp.sqrt(chord / (chord + (1 - a**2) * (1 - b**2)))
    expected = exact(m, distance)[0]
    for one, other in ((p, q), (q, p)):
        found = spherical_cauchy_kl(one, other, gap, m).item()
        assert abs(found / expected - 1) < (1e-5 if dtype == torch.float32 else 1e-9)


@pytest.mark.parametrize("m", [2, 4, 10, 100])
def test_divergence_of_even_dimensions_is_a_polynomial_and_a_logarithm(m: int) -> None:
    # E log|u + rho mu|^2 = -sum_j (1 - m/2)_j / (m/2)_j rho^(2j) / j ends after m / 2 - 1 terms
    for rho in (0.03, 0.6, 0.999):
        with mp.workdps(30):
            x, half = mp.mpf(rho) ** 2, mp.mpf(m) / 2
            terms = [mp.rf(1 - half, j) / mp.rf(half, j) * x**j / j for j in range(1, m // 2)]
            expected = -(m - 1) * (mp.fsum(terms) + mp.log(1 - x))
        kl = kl_divergence(law(m, rho), HypersphericalUniform(m))
        assert kl.item() == pytest.approx(float(expected), rel=1e-10)


def test_the_divergence_has_a_second_derivative() -> None:
    rho = torch.tensor([0.0, 0.1, 0.7], dtype=torch.float64, requires_grad=True)
    for function in (spherical_cauchy_kl_uniform, spherical_cauchy_mean_resultant_length):
        assert torch.autograd.gradgradcheck(lambda rho, f=function: f(rho, 5), (rho,))


@pytest.mark.parametrize("m", [2, 3, 11, 101])
def test_log_density_at_the_mode_and_the_antipode(m: int) -> None:
    for dtype, sizes in EXTREMES.items():
        rho = torch.tensor(sizes, dtype=dtype)
        q = SphericalCauchy(unit(m, dtype), rho)
        with mp.workdps(30):
            peak = [(m - 1) * mp.log((1 + mp.mpf(r)) / (1 - mp.mpf(r))) for r in rho.tolist()]
            area = float(mp.log(2 * mp.pi ** (mp.mpf(m) / 2) / mp.gamma(mp.mpf(m) / 2)))
        above = torch.tensor([float(p) for p in peak], dtype=torch.float64)
        # each of three logarithms, of up to twice log(1 / (1 - rho)), is rounded once
        atol = 4 * torch.finfo(dtype).eps * (m - 1) * (2 + above.max().item() / (m - 1))
        for point, expected in ((q.loc, above), (-q.loc, -above)):
            found = q.log_prob(point).double() + area
            torch.testing.assert_close(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("concentration", [0.05, 0.5, 0.99])
def test_on_the_circle_it_is_the_wrapped_cauchy_law(concentration: float) -> None:
    torch.manual_seed(0)
    q = SphericalCauchy(torch.tensor([1.0, 0.0], dtype=torch.float64), concentration)
    z = q.sample((20_000,))
    angle = torch.atan2(z[:, 1], z[:, 0]).remainder(2 * math.pi)
    reference = scipy.stats.wrapcauchy(concentration)
    assert scipy.stats.kstest(angle.numpy(), reference.cdf).pvalue > 1e-5
    density = torch.from_numpy(reference.pdf(angle.numpy()))
    torch.testing.assert_close(q.log_prob(z).exp(), density, rtol=1e-9, atol=0)


@pytest.mark.parametrize("m", [2, 3, 11, 201])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_keep_their_digits(m: int, dtype: torch.dtype) -> None:
    """tan of half the angle from mu shrinks by (1 - rho) / (1 + rho); z stays on the sphere."""
    torch.manual_seed(1)
    eps = torch.finfo(dtype).eps
    mu = unit(m, dtype)
    # uniform points, and points at angles from 1 to 1e-7 of the antipode
    side = torch.randn(400, m, dtype=torch.float64)
    side = side - (side @ mu.double()).unsqueeze(-1) * mu.double()
    side = side / side.norm(dim=-1, keepdim=True)
    tip = torch.logspace(0, -7, 400, dtype=torch.float64).unsqueeze(-1)
    noise = torch.cat((torch.randn(400, m).double(), tip.sin() * side - tip.cos() * mu.double()))
    noise = noise.to(dtype)
    u = noise.double() / noise.double().norm(dim=-1, keepdim=True)
    axis = mu.double() / mu.double().norm()
    half_tangent = (u - axis).norm(dim=-1) / (u + axis).norm(dim=-1)
    last = 1e-6 if dtype == torch.float32 else 1e-12
    for rho in (0.0, 1e-3, 0.5, 0.99, 1 - last):
        q = SphericalCauchy(mu, torch.tensor(rho, dtype=dtype))
        gap = (1 - q.concentration).double()
        rate = gap / (2 - gap)
        z = q.rsample_from_noise(noise)
        assert (z.double().norm(dim=-1) - 1).abs().max() < 2 * eps
        found = 2 * torch.atan2((z.double() - axis).norm(dim=-1), (z.double() + axis).norm(dim=-1))
        expected = 2 * torch.atan(rate * half_tangent)
        # the angle of u, which is rounded, counts by d(angle of z) / d(angle of u)
        amplification = rate * (1 + half_tangent.square()) / (1 + (rate * half_tangent).square())
        assert ((found - expected).abs() / (1 + amplification)).max() < 4 * eps


@pytest.mark.parametrize("m", [2, 3, 5, 17, 101])
@pytest.mark.parametrize("concentration", [0.1, 0.5, 0.9])
def test_pathwise_gradient_of_the_mean(m: int, concentration: float) -> None:
    torch.manual_seed(2)
    n = 50_000
    mu = unit(m)
    rho = torch.full((n,), concentration, dtype=torch.float64, requires_grad=True)
    w = SphericalCauchy(mu, rho).rsample() @ mu
    (slope,) = torch.autograd.grad(w.sum(), rho)
    at = torch.tensor(concentration, dtype=torch.float64, requires_grad=True)
    resultant = SphericalCauchy(mu, at).mean @ mu
    (expected,) = torch.autograd.grad(resultant, at)
    for draws, mean in ((w, resultant), (slope, expected)):
        assert abs(draws.mean() - mean) < 5 * draws.std() / math.sqrt(n)


@pytest.mark.parametrize("m", [2, 3, 5, 11])
def test_gradients_by_finite_differences(m: int) -> None:
    torch.manual_seed(3)
    noise = torch.randn(4, m, dtype=torch.float64)
    x = HypersphericalUniform(m, dtype=torch.float64).sample((4,))
    rho = torch.tensor([0.05, 0.3, 0.9, 0.99], dtype=torch.float64, requires_grad=True)
    # the direction alone counts: a point off the sphere is brought back before it is used
    v = (3 * unit(m)).requires_grad_()

    def build(v, rho):
        return SphericalCauchy(v / v.norm(), rho, validate_args=False)

    assert torch.autograd.gradcheck(lambda *p: build(*p).rsample_from_noise(noise), (v, rho))
    assert torch.autograd.gradcheck(lambda *p: build(*p).log_prob(x), (v, rho))
    assert torch.autograd.gradcheck(lambda *p: build(*p).entropy(), (v, rho))


@pytest.mark.parametrize("m", [2, 3, 41])
def test_the_uniform_limit_is_smooth(m: int) -> None:
    """At rho = 0 the draw is the uniform point u, and moves by 2 (mu - <u, mu> u) drho."""
    torch.manual_seed(4)
    noise = torch.randn(50, m, dtype=torch.float64)
    uniform = HypersphericalUniform(m, dtype=torch.float64)
    u = uniform.rsample_from_noise(noise)
    mu, zero = unit(m), torch.zeros((), dtype=torch.float64)
    z, motion = torch.func.jvp(
        lambda rho: SphericalCauchy(mu, rho, validate_args=False).rsample_from_noise(noise),
        (zero,),
        (zero + 1,),
    )
    torch.testing.assert_close(z, u, rtol=0, atol=1e-15)
    torch.testing.assert_close(motion, 2 * (mu - (u @ mu).unsqueeze(-1) * u), rtol=0, atol=1e-14)
    q = law(m, 0.0)
    torch.testing.assert_close(q.log_prob(u), uniform.log_prob(u), rtol=0, atol=1e-13)
    assert kl_divergence(q, uniform) == 0
    torch.testing.assert_close(q.entropy(), uniform.entropy())
    assert not q.mean.any()
    # 2 (m - 1)^2 rho^2 / m, the next term being smaller by rho^2 m
    close = kl_divergence(law(m, 1e-7), uniform).item()
    assert close == pytest.approx(2e-14 * (m - 1) ** 2 / m, rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", [2, 3, 11, 101, 1001])
def test_gradients_are_finite_at_the_extremes(m: int, dtype: torch.dtype) -> None:
    torch.manual_seed(5)
    rho = torch.tensor(EXTREMES[dtype], dtype=dtype, requires_grad=True)
    loc = unit(m, dtype).expand(len(rho), m).clone().requires_grad_()
    q = SphericalCauchy(loc, rho)
    poles = torch.stack((unit(m, dtype), -unit(m, dtype))).unsqueeze(1)
    noise = torch.cat((torch.randn(50, 1, m, dtype=dtype), poles))
    z = q.rsample_from_noise(noise)
    eps = torch.finfo(dtype).eps
    assert (z.norm(dim=-1) - 1).abs().max() < 4 * eps
    points = torch.cat((z.detach(), poles.expand(2, len(rho), m))).requires_grad_()
    kl = kl_divergence(q, HypersphericalUniform(m))
    assert (kl.diff() >= 0).all()
    outputs = [z.square().cumsum(-1).sum(), kl.sum(), q.log_prob(points).sum(), q.mean.sum()]
    for output in outputs:
        assert torch.isfinite(output)
        for grad in torch.autograd.grad(output, (loc, rho, points), allow_unused=True):
            assert grad is None or torch.isfinite(grad).all()


def test_shapes_and_numbers() -> None:
    loc, rho = unit(5).expand(4, 1, 5), torch.rand(3, dtype=torch.float64)
    q = SphericalCauchy(loc, rho)
    assert (q.batch_shape, q.event_shape, q.noise_dim) == ((4, 3), (5,), 5)
    assert q.mean.shape == q.mode.shape == (4, 3, 5)
    assert q.entropy().shape == q.mean_resultant_length.shape == (4, 3)
    assert kl_divergence(q, HypersphericalUniform(5, (2, 4, 3))).shape == (2, 4, 3)
    assert SphericalCauchy(unit(5, torch.float32), 0.5).concentration.dtype == torch.float32


def test_bad_input() -> None:
    mu = unit(3)
    with pytest.raises(TypeError, match="float32 or both be float64"):
        SphericalCauchy(mu, torch.tensor(0.5, dtype=torch.float32))
    with pytest.raises(TypeError, match="float16"):
        SphericalCauchy(mu.half(), 0.5)
    with pytest.raises(ValueError, match="m >= 2"):
        SphericalCauchy(mu[:1], 0.5)
    with pytest.raises(ValueError, match="must broadcast"):
        SphericalCauchy(mu.expand(4, 3), torch.zeros(5, dtype=torch.float64))
    for bad in (1.0, -0.1, math.inf, math.nan):
        with pytest.raises(ValueError, match="concentration"):
            SphericalCauchy(mu, bad, validate_args=True)
    with pytest.raises(ValueError, match="noise_dim = 3"):
        law(3, 0.5).rsample_from_noise(torch.zeros(4))
    with pytest.raises(ValueError, match="same ambient dimension"):
        kl_divergence(law(3, 0.5), HypersphericalUniform(4))
