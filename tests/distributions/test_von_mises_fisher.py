"""von Mises-Fisher: density, sampler, exact pathwise gradients, divergences.

Random tests have fixed seeds; with another seed each comparison at five standard errors would fail
by chance once in two million, each Kolmogorov-Smirnov test (p < 1e-5) once in a hundred thousand.
"""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
import scipy.stats
import torch
from torch.distributions import kl_divergence

from skccvae.distributions import HypersphericalUniform, VonMisesFisher
from skccvae.kernels import accelerator
from skccvae.special.bessel import bessel_family
from skccvae.special.von_mises_fisher import vmf_variances

DIMENSIONS = [2, 3, 4, 5, 9, 17, 41, 101]
CONCENTRATIONS = [0.5, 2.0, 7.0, 10.5, 40.0, 200.0]


def axis(m: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    loc = torch.arange(1, m + 1, dtype=dtype).sin()
    return loc / loc.norm()


def law(m: int, concentration: float, dtype: torch.dtype = torch.float64) -> VonMisesFisher:
    return VonMisesFisher(axis(m, dtype), torch.tensor(concentration, dtype=dtype))


def within_five_standard_errors(draws: torch.Tensor, expected: float, rel: float = 0.0) -> None:
    mean = draws.double().mean().item()
    error = draws.double().std().item() / math.sqrt(draws.numel())
    assert abs(mean - expected) < max(5 * error, rel * abs(expected)), (mean, expected, error)


# -- gradients in the concentration -------------------------------------------------------------


def exact_moment_slopes(m: int, concentration: float) -> tuple[float, float]:
    """Derivatives of E[w] = A and E[w^2] = 1 - (m - 1) A / kappa."""
    kappa = torch.tensor(concentration, dtype=torch.float64)
    family = bessel_family(0.5 * m - 1, kappa)
    slope_of_rho = (family.slope - family.ratio / kappa) / kappa
    return family.slope.item(), (-(m - 1) * slope_of_rho).item()


def cosines_and_slopes(m: int, concentration: float, n: int, fused: bool):
    """Draws of w = <mu, z> and their pathwise derivatives dw/dkappa, in float32 as in training."""
    mu = torch.zeros(m)
    mu[0] = 1.0
    noise = torch.randn(n, m + 1)
    if fused:
        raw = torch.full((n,), math.log(concentration / (m - 1)), requires_grad=True)
        direction = mu.expand(n, m)
        step = accelerator(VonMisesFisher, direction, noise)
        if step is None:
            assert m == 2
            law = VonMisesFisher(direction, (m - 1) * raw.exp())
            w = law.rsample_from_noise(noise)[:, 0]
        else:
            w = step(direction, raw, noise)[0][:, 0]
        (slope,) = torch.autograd.grad(w.sum(), raw)
        return w.detach(), slope / concentration
    kappa = torch.full((n,), concentration, requires_grad=True)
    w = VonMisesFisher(mu, kappa, validate_args=False).rsample_from_noise(noise)[:, 0]
    (slope,) = torch.autograd.grad(w.sum(), kappa)
    return w.detach(), slope


@pytest.mark.parametrize("fused", [False, True], ids=["distribution", "step"])
@pytest.mark.parametrize("concentration", CONCENTRATIONS)
@pytest.mark.parametrize("m", DIMENSIONS)
def test_pathwise_gradient_of_moments(m: int, concentration: float, fused: bool) -> None:
    torch.manual_seed(m)
    parts = [cosines_and_slopes(m, concentration, 25_000, fused) for _ in range(8)]
    w, slope = (torch.cat(part).double() for part in zip(*parts, strict=True))
    first, second = exact_moment_slopes(m, concentration)
    within_five_standard_errors(slope, first, rel=0.01)
    within_five_standard_errors(2 * w * slope, second, rel=0.01)


def test_gradient_of_the_mean_cosine_has_the_known_value() -> None:
    assert exact_moment_slopes(5, 2.0)[0] == pytest.approx(0.147389, abs=5e-7)
    # by quadrature over the score in place of random numbers: the midpoint rule in probability
    n = 200_000
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    noise = torch.cat((torch.special.ndtri(u).unsqueeze(-1), torch.ones(n, 5).double()), -1)
    kappa = torch.full((n,), 2.0, dtype=torch.float64, requires_grad=True)
    mu = axis(5)
    w = VonMisesFisher(mu, kappa).rsample_from_noise(noise) @ mu
    (slope,) = torch.autograd.grad(w.mean(), kappa)
    assert slope.sum().item() == pytest.approx(0.147389, abs=1e-6)


@pytest.mark.parametrize("m", [2, 3, 5, 11, 41])
def test_draws_have_the_gradient_of_the_function_they_are(m: int) -> None:
    torch.manual_seed(0)
    noise = torch.randn(6, m + 1, dtype=torch.float64)
    kappa = torch.tensor([0.02, 0.5, 3.0, 20.0, 150.0, 4e3], dtype=torch.float64)
    kappa.requires_grad_()
    loc = axis(m).expand(6, m)
    assert torch.autograd.gradcheck(
        lambda k: VonMisesFisher(loc, k, validate_args=False).rsample_from_noise(noise),
        (kappa,),
        eps=1e-5,
        atol=1e-7,
        rtol=1e-5,
    )


# -- gradients in the location --------------------------------------------------------------------


@pytest.mark.parametrize("m", [2, 3, 5, 20])
def test_location_gradient_rotates_the_draw(m: int) -> None:
    torch.manual_seed(1)
    loc = axis(m).requires_grad_()
    z = law(m, 4.0).expand((50,)).rsample()
    noise = torch.randn(50, m + 1, dtype=torch.float64)
    z = VonMisesFisher(loc, torch.tensor(4.0).double()).rsample_from_noise(noise)
    direction = torch.randn(m, dtype=torch.float64)
    direction -= (direction @ loc.detach()) * loc.detach()
    weight = torch.randn(50, m, dtype=torch.float64)
    (grad,) = torch.autograd.grad((z * weight).sum(), loc)
    rotation = torch.outer(direction, loc.detach()) - torch.outer(loc.detach(), direction)
    h = 1e-5
    ahead, behind = (z.detach() @ torch.matrix_exp(s * h * rotation).T for s in (1, -1))
    expected = ((ahead - behind) / (2 * h) * weight).sum()
    assert (grad @ direction).item() == pytest.approx(expected.item(), rel=1e-6)
    assert (grad @ loc).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("m", [2, 3, 4, 11])
def test_location_gradient_of_expectations_is_exact(m: int) -> None:
    # E<a, z> = A <a, mu> and E<a, z>^2 = rho |a|^2 + (1 - m rho) <a, mu>^2, where rho = A / kappa
    torch.manual_seed(2)
    n, kappa = 200_000, 3.0
    mu, a, t = axis(m), torch.linspace(1, -2, m).double(), torch.linspace(-1, 1, m).double()
    t = t - (t @ mu) * mu
    loc = mu.expand(n, m).clone().requires_grad_()
    z = VonMisesFisher(loc, torch.tensor(kappa).double(), validate_args=False).rsample()
    (linear,) = torch.autograd.grad((z @ a).sum(), loc, retain_graph=True)
    (square,) = torch.autograd.grad((z @ a).square().sum(), loc)
    ratio = bessel_family(0.5 * m - 1, torch.tensor(kappa).double()).ratio.item()
    within_five_standard_errors(linear @ t, ratio * (a @ t).item())
    expected = 2 * (1 - m * ratio / kappa) * ((a @ mu) * (a @ t)).item()
    within_five_standard_errors(square @ t, expected)
    assert linear.norm(dim=-1).max() <= 2 * a.norm()  # bounded: no 1 / |projected noise|


# -- sampler and density ---------------------------------------------------------------------------


def cosine_cdf(m: int, kappa: float):
    """CDF of w by the trapezoidal rule over the angle."""
    theta = np.linspace(0, np.pi, 200_001)
    log_density = kappa * (np.cos(theta) - 1)
    if m > 2:
        log_density += (m - 2) * np.log(np.sin(theta).clip(1e-300))
    density = np.exp(log_density - log_density.max())
    mass = np.concatenate(([0], np.cumsum(0.5 * (density[1:] + density[:-1]))))
    return lambda w: 1 - np.interp(np.arccos(np.clip(w, -1, 1)), theta, mass / mass[-1])


@pytest.mark.parametrize("concentration", [0.0, 0.5, 10.5, 200.0])
@pytest.mark.parametrize("m", [2, 3, 5, 41])
def test_cosines_follow_the_density(m: int, concentration: float) -> None:
    torch.manual_seed(3)
    q = law(m, concentration)
    w = (q.sample((50_000,)) @ q.loc).numpy()
    assert scipy.stats.kstest(w, cosine_cdf(m, concentration)).pvalue > 1e-5


@pytest.mark.parametrize("m", [3, 4, 11])
def test_directions_are_uniform_around_the_location(m: int) -> None:
    torch.manual_seed(4)
    q = law(m, 5.0)
    z = q.sample((50_000,))
    w = z @ q.loc
    v = (z - w.unsqueeze(-1) * q.loc) / (1 - w * w).sqrt().unsqueeze(-1)
    across = torch.linspace(1, -1, m).double()
    across = across - (across @ q.loc) * q.loc
    # a coordinate t of a uniform point of S^(m-2): (1 + t) / 2 ~ Beta((m - 2) / 2, (m - 2) / 2)
    t = (v @ (across / across.norm())).numpy()
    half = 0.5 * (m - 2)
    assert scipy.stats.kstest(0.5 * (1 + t), scipy.stats.beta(half, half).cdf).pvalue > 1e-5
    assert abs(np.corrcoef(t, w.numpy())[0, 1]) < 5 / math.sqrt(len(t))


@pytest.mark.parametrize("m", [2, 3, 4, 5, 11, 41, 201])
@pytest.mark.parametrize("concentration", [0.0, 1e-3, 1.0, 30.0, 1e3])
def test_density_integrates_to_one(m: int, concentration: float) -> None:
    mu = torch.zeros(m, dtype=torch.float64)
    mu[0] = 1
    theta = torch.linspace(0, math.pi, 100_001, dtype=torch.float64)
    points = torch.zeros(len(theta), m, dtype=torch.float64)
    points[:, 0], points[:, 1] = theta.cos(), theta.sin()
    log_ring = math.log(2) + 0.5 * (m - 1) * math.log(math.pi) - math.lgamma(0.5 * (m - 1))
    log_prob = VonMisesFisher(mu, torch.tensor(concentration).double()).log_prob(points)
    integrand = torch.exp(log_prob + log_ring) * theta.sin().clamp(min=0) ** (m - 2)
    assert torch.trapezoid(integrand, theta).item() == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("m", [2, 3, 5, 20])
@pytest.mark.parametrize("concentration", [0.1, 5.0, 300.0])
def test_log_prob_agrees_with_scipy(m: int, concentration: float) -> None:
    torch.manual_seed(5)
    x = HypersphericalUniform(m, dtype=torch.float64).sample((20,))
    expected = scipy.stats.vonmises_fisher(axis(m).numpy(), concentration).logpdf(x.numpy())
    q = law(m, concentration)
    torch.testing.assert_close(q.log_prob(x), torch.from_numpy(expected), rtol=1e-9, atol=1e-9)
    narrow = law(m, concentration, torch.float32).log_prob(x.float())
    torch.testing.assert_close(narrow.double(), q.log_prob(x), rtol=1e-5, atol=1e-4)


def test_log_prob_keeps_float32_accuracy_at_large_concentration() -> None:
    torch.manual_seed(6)
    narrow = law(11, 1e5, torch.float32)
    z = narrow.sample((1000,))
    wide = VonMisesFisher(narrow.loc.double(), torch.tensor(1e5).double(), validate_args=False)
    error = narrow.log_prob(z).double() - wide.log_prob(z.double())
    assert error.abs().max() < 1e-3


def test_gradients_of_the_density() -> None:
    torch.manual_seed(7)
    x = HypersphericalUniform(4, dtype=torch.float64).sample((3,))
    loc = axis(4).requires_grad_()
    kappa = torch.tensor([0.5, 3.0, 40.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda a, k: VonMisesFisher(a, k, validate_args=False).log_prob(x), (loc, kappa)
    )


# -- divergences and moments -----------------------------------------------------------------------


@pytest.mark.parametrize("m", [2, 3, 11, 41])
@pytest.mark.parametrize("concentration", [0.5, 10.0, 500.0])
def test_divergences_agree_with_monte_carlo(m: int, concentration: float) -> None:
    torch.manual_seed(8)
    p, u = law(m, concentration), HypersphericalUniform(m, dtype=torch.float64)
    z = p.sample((100_000,))
    other = VonMisesFisher(axis(m).flip(0), torch.tensor(7.0).double())
    within_five_standard_errors(p.log_prob(z) - u.log_prob(z), kl_divergence(p, u).item())
    within_five_standard_errors(p.log_prob(z) - other.log_prob(z), kl_divergence(p, other).item())
    within_five_standard_errors(-p.log_prob(z), p.entropy().item())
    within_five_standard_errors(z @ p.loc, p.mean_resultant_length.item())
    z = u.sample((100_000,))
    within_five_standard_errors(u.log_prob(z) - p.log_prob(z), kl_divergence(u, p).item())


def test_divergence_of_a_law_from_itself_and_neighbours() -> None:
    for m, concentration in ((3, 1e-3), (3, 1e5), (101, 40.0)):
        p = law(m, concentration, torch.float32)
        assert kl_divergence(p, p).item() == pytest.approx(0, abs=1e-7)
        q = law(m, concentration * 1.01, torch.float32)
        wide = kl_divergence(law(m, concentration), law(m, concentration * 1.01)).item()
        assert kl_divergence(p, q).item() == pytest.approx(wide, rel=1e-3, abs=1e-9)


def test_divergence_needs_one_sphere() -> None:
    with pytest.raises(ValueError, match="same ambient dimension, got 3 and 4"):
        kl_divergence(law(3, 1.0), HypersphericalUniform(4))


def test_concentration_zero_is_the_uniform_law() -> None:
    for dtype in (torch.float32, torch.float64):
        q = VonMisesFisher(axis(6, dtype), torch.zeros((), dtype=dtype))
        u = HypersphericalUniform(6, dtype=dtype)
        z = u.sample((10,))
        torch.testing.assert_close(q.log_prob(z), u.log_prob(z))
        torch.testing.assert_close(q.entropy(), u.entropy())
        assert kl_divergence(q, u).item() == 0
        assert q.mean.abs().max() == 0
        tiny = VonMisesFisher(axis(6, dtype), torch.full((), 1e-6, dtype=dtype))
        noise = torch.randn(20, 7, dtype=dtype)
        torch.testing.assert_close(
            q.rsample_from_noise(noise), tiny.rsample_from_noise(noise), rtol=0, atol=2e-6
        )


# -- variance -----------------------------------------------------------------------------------


def exact_variances(m: int, concentration: float) -> tuple[float, ...]:
    """A', A / kappa and their derivatives, with 80 digits."""
    with mp.workdps(80):
        kappa, order = mp.mpf(concentration), mp.mpf(m) / 2 - 1
        ratio = mp.besseli(order + 1, kappa) / mp.besseli(order, kappa)
        along, across = 1 - ratio**2 - (m - 1) * ratio / kappa, ratio / kappa
        across_slope = (along - across) / kappa
        along_slope = -2 * ratio * along - (m - 1) * across_slope
        return tuple(map(float, (along, across, along_slope, across_slope)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", [2, 3, 5, 41, 201])
def test_variances_against_mpmath(m: int, dtype: torch.dtype) -> None:
    kappa = torch.logspace(-6, 6, 25).to(dtype).requires_grad_()
    expected = torch.tensor([exact_variances(m, x) for x in kappa.tolist()], dtype=torch.float64)
    values = vmf_variances(kappa, m)
    slopes = [torch.autograd.grad(v.sum(), kappa, retain_graph=True)[0] for v in values]
    found = torch.stack([*values, *slopes], -1).detach().double()
    error = (found / expected - 1).abs().amax(0)
    rounding = torch.finfo(dtype).eps
    # derivatives of A' lose a factor of kappa
    bounds = torch.tensor([1e-12, 1e-12, 1e-6, 1e-7], dtype=torch.float64) + rounding
    assert bool((error < bounds).all())
    at_zero = vmf_variances(torch.zeros(1, dtype=dtype), m)
    torch.testing.assert_close(torch.stack(at_zero), torch.full((2, 1), 1 / m, dtype=dtype))
