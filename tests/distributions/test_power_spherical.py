"""Power spherical: density, sampler, exact gradients, divergence.

Random tests have fixed seeds; with another seed each comparison at five standard errors would fail
by chance once in two million, each Kolmogorov-Smirnov test (p < 1e-5) once in a hundred thousand.
"""

from __future__ import annotations

import math

import mpmath as mp
import pytest
import scipy.stats
import torch
from torch.distributions import kl_divergence

from skccvae.distributions import HypersphericalUniform, PowerSpherical, VonMisesFisher
from skccvae.special import power_spherical_kl_uniform, power_spherical_log_normalizer
from skccvae.special.power_spherical import power_spherical_kl

DIMENSIONS = [2, 3, 5, 11, 41, 201]


def law(m: int, concentration: float) -> PowerSpherical:
    loc = torch.arange(1, m + 1, dtype=torch.float64).cos()
    return PowerSpherical(loc / loc.norm(), torch.tensor(concentration, dtype=torch.float64))


def exact(m: int, concentration: float) -> tuple[float, float, float]:
    """KL to the uniform law, its derivative and the log-normaliser, with 50 digits."""
    with mp.workdps(50):
        beta, kappa = mp.mpf(m - 1) / 2, mp.mpf(concentration)
        alpha = beta + kappa
        log_normalizer = mp.log(mp.beta(alpha, beta)) - mp.log(mp.beta(beta, beta))
        kl = kappa * (mp.digamma(alpha) - mp.digamma(alpha + beta)) - log_normalizer
        slope = kappa * (mp.psi(1, alpha) - mp.psi(1, alpha + beta))
        return float(kl), float(slope), float(log_normalizer)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", DIMENSIONS)
def test_divergence_and_normaliser_against_mpmath(m: int, dtype: torch.dtype) -> None:
    kappa = torch.logspace(-3, 5, 17, dtype=torch.float32).to(dtype).requires_grad_()
    reference = torch.tensor([exact(m, k) for k in kappa.tolist()], dtype=torch.float64)
    kl = power_spherical_kl_uniform(kappa, m)
    log_normalizer = power_spherical_log_normalizer(kappa, m)
    (slope,) = torch.autograd.grad(kl.sum(), kappa)
    bound = 1e-6 if dtype == torch.float32 else 1e-8
    for value, column in ((kl, 0), (slope, 1), (log_normalizer, 2)):
        error = (value.detach().double() / reference[:, column] - 1).abs()
        assert error.max() < bound


@pytest.mark.parametrize("m", DIMENSIONS)
def test_divergence_between_two_laws_against_mpmath(m: int) -> None:
    sizes = torch.tensor([0.0, 1e-3, 0.7, 0.70001, 12.0, 3e3, 1e5], dtype=torch.float64)
    found = power_spherical_kl(sizes.unsqueeze(-1), sizes, m)
    for i, kappa_p in enumerate(sizes.tolist()):
        with mp.workdps(50):
            beta, kappa = mp.mpf(m - 1) / 2, mp.mpf(kappa_p)
            log_mean = mp.digamma(kappa + beta) - mp.digamma(kappa + 2 * beta)
            for j, kappa_q in enumerate(sizes.tolist()):
                ratio = mp.log(mp.beta(mp.mpf(kappa_q) + beta, beta) / mp.beta(kappa + beta, beta))
                expected = float((kappa - mp.mpf(kappa_q)) * log_mean + ratio)
                bound = 1e-12 * expected + 1e-14 * max(1.0, kappa_p, kappa_q, m)
                assert abs(found[i, j].item() - expected) < bound


@pytest.mark.parametrize("concentration", [0.0, 0.5, 10.5, 200.0, 1e4])
@pytest.mark.parametrize("m", [2, 3, 5, 41])
def test_cosines_follow_the_beta_law(m: int, concentration: float) -> None:
    torch.manual_seed(0)
    q = law(m, concentration)
    w = q.sample((50_000,)) @ q.loc
    beta = 0.5 * (m - 1)
    complement = (0.5 * (1 - w)).numpy().clip(0, 1)
    assert (
        scipy.stats.kstest(complement, scipy.stats.beta(beta, beta + concentration).cdf).pvalue
        > 1e-5
    )


@pytest.mark.parametrize("m", [3, 5, 11, 41])
@pytest.mark.parametrize("concentration", [0.5, 7.0, 40.0, 1e3])
def test_quantiles_are_those_of_the_beta_law(m: int, concentration: float) -> None:
    score = torch.linspace(-6, 6, 25, dtype=torch.float64)
    noise = torch.cat((score.unsqueeze(-1), torch.ones(25, m).double()), -1)
    q = law(m, concentration)
    z = q.rsample_from_noise(noise)
    found = (z - q.loc).square().sum(-1) / 4  # (1 - w) / 2
    beta = 0.5 * (m - 1)
    expected = scipy.stats.beta(beta, beta + concentration).ppf(scipy.stats.norm.cdf(score.numpy()))
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-6, atol=0)


@pytest.mark.parametrize("m", [2, 3, 5, 17, 101])
@pytest.mark.parametrize("concentration", [0.5, 7.0, 40.0, 200.0])
def test_pathwise_gradient_of_moments(m: int, concentration: float) -> None:
    # E[(1+w)/2] = alpha / (alpha + beta) and E[(1+w)^2/4] = alpha (alpha+1) / ((alpha+beta) (..+1))
    torch.manual_seed(1)
    n, beta = 100_000, 0.5 * (m - 1)
    mu = torch.zeros(m)
    mu[0] = 1
    kappa = torch.full((n,), concentration, requires_grad=True)
    t = 0.5 * (1 + PowerSpherical(mu, kappa, validate_args=False).rsample()[:, 0])
    (slope,) = torch.autograd.grad(t.sum(), kappa)
    k = torch.tensor(concentration, dtype=torch.float64, requires_grad=True)
    total = k + 2 * beta
    first = (k + beta) / total
    second = first * (k + beta + 1) / (total + 1)
    for draws, moment in ((slope, first), (2 * t.detach() * slope, second)):
        (expected,) = torch.autograd.grad(moment, k, retain_graph=True)
        error = draws.double().std() / math.sqrt(n)
        assert abs(draws.double().mean() - expected) < max(5 * error, 0.01 * expected.abs())


@pytest.mark.parametrize("m", [2, 3, 5, 11])
def test_gradients_by_finite_differences(m: int) -> None:
    torch.manual_seed(2)
    noise = torch.randn(4, m + 1, dtype=torch.float64)
    x = HypersphericalUniform(m, dtype=torch.float64).sample((4,))
    kappa = torch.tensor([0.3, 2.0, 15.0, 900.0], dtype=torch.float64, requires_grad=True)
    loc = law(m, 1.0).loc.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda k: PowerSpherical(loc.detach(), k).rsample_from_noise(noise), (kappa,), atol=1e-7
    )
    assert torch.autograd.gradcheck(
        lambda a, k: PowerSpherical(a, k, validate_args=False).log_prob(x), (loc, kappa)
    )
    assert torch.autograd.gradcheck(
        lambda k: PowerSpherical(loc.detach(), k).entropy(), (kappa,), eps=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("m", [2, 3, 11, 41])
@pytest.mark.parametrize("concentration", [0.0, 0.5, 10.0, 500.0])
def test_density_and_divergence_agree_with_the_sampler(m: int, concentration: float) -> None:
    torch.manual_seed(3)
    p, u = law(m, concentration), HypersphericalUniform(m, dtype=torch.float64)
    z = p.sample((50_000,))
    gap = p.log_prob(z) - u.log_prob(z)
    error = 5 * gap.std() / math.sqrt(len(gap)) + 1e-12
    assert abs(gap.mean() - kl_divergence(p, u)) < error
    torch.testing.assert_close(p.entropy(), u.entropy() - kl_divergence(p, u))
    w = z @ p.loc
    assert abs(w.mean() - p.mean_resultant_length) < 5 * w.std() / math.sqrt(len(w))


@pytest.mark.parametrize("m", [2, 3, 5, 41])
@pytest.mark.parametrize("concentration", [0.0, 1.0, 30.0])
def test_density_integrates_to_one(m: int, concentration: float) -> None:
    mu = torch.zeros(m, dtype=torch.float64)
    mu[0] = 1
    theta = torch.linspace(0, math.pi, 100_001, dtype=torch.float64)
    points = torch.zeros(len(theta), m, dtype=torch.float64)
    points[:, 0], points[:, 1] = theta.cos(), theta.sin()
    log_ring = math.log(2) + 0.5 * (m - 1) * math.log(math.pi) - math.lgamma(0.5 * (m - 1))
    q = PowerSpherical(mu, torch.tensor(concentration, dtype=torch.float64))
    density = torch.exp(q.log_prob(points) + log_ring) * theta.sin().clamp(min=0) ** (m - 2)
    assert torch.trapezoid(density, theta).item() == pytest.approx(1, abs=1e-7)


def test_antipode() -> None:
    mu = torch.tensor([1.0, 0.0, 0.0])
    assert PowerSpherical(mu, 2.0).log_prob(-mu).item() == -math.inf
    uniform = HypersphericalUniform(3).log_prob(-mu)
    torch.testing.assert_close(PowerSpherical(mu, 0.0).log_prob(-mu), uniform)


def exact_log_prob(m: int, kappa: float, t: float) -> float:
    """Log-density at the angle t from the antipode, with 50 digits."""
    with mp.workdps(50):
        beta, half = mp.mpf(m - 1) / 2, mp.sin(mp.mpf(t) / 2) ** 2
        log_normalizer = mp.log(mp.beta(beta + mp.mpf(kappa), beta) / mp.beta(beta, beta))
        log_area = mp.log(2 * mp.pi ** (mp.mpf(m) / 2) / mp.gamma(mp.mpf(m) / 2))
        return float(mp.mpf(kappa) * mp.log(half) - log_normalizer - log_area)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", [2, 3, 11])
@pytest.mark.parametrize("kappa", [0.01, 1.0, 10.0, 300.0])
def test_density_near_the_antipode_against_mpmath(m: int, kappa: float, dtype: torch.dtype) -> None:
    t = torch.logspace(-5, 0, 11, dtype=torch.float64)
    z = torch.zeros(len(t), m, dtype=torch.float64)
    # the second axis resolves the angle, whose cosine rounds to 1
    z[:, 0], z[:, 1] = -t.cos(), t.sin()
    z = z.to(dtype).requires_grad_()
    mu = torch.zeros(m, dtype=dtype)
    mu[0] = 1
    value = PowerSpherical(mu, torch.tensor(kappa, dtype=dtype)).log_prob(z)
    exact = torch.tensor([exact_log_prob(m, kappa, x) for x in t.tolist()], dtype=torch.float64)
    rounding = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(
        value.detach().double(), exact, rtol=rounding, atol=(m + kappa) * rounding + 1e-9
    )
    (slope,) = torch.autograd.grad(value.sum(), z)
    assert bool(torch.isfinite(slope).all())
    # along the second axis the log-density grows like 2 kappa log t
    torch.testing.assert_close(slope[0, 1].item(), 2 * kappa / t[0].item(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("m", [2, 3, 11])
@pytest.mark.parametrize("kappa", [1e-3, 0.5, 10.0])
def test_density_of_float32_draws_in_the_far_tail(m: int, kappa: float) -> None:
    score = torch.linspace(-8.3, 8.3, 84)
    noise = torch.cat((score.unsqueeze(-1), torch.ones(84, m)), -1)
    loc = law(m, 1.0).loc.float()
    q, wide = PowerSpherical(loc, kappa), law(m, kappa)
    z, log_prob = q.rsample_with_log_prob(noise)
    torch.testing.assert_close(z, q.rsample_from_noise(noise))
    exact = wide.rsample_with_log_prob(noise.double())[1]
    torch.testing.assert_close(log_prob.double(), exact, rtol=1e-4, atol=1e-4)
    # away from the antipode the coordinates of a draw tell its density
    far = wide.rsample_from_noise(noise.double()) + wide.loc
    seen = far.norm(dim=-1) > 1e-2
    at_draw = wide.log_prob(wide.rsample_from_noise(noise.double()))
    torch.testing.assert_close(exact[seen], at_draw[seen], rtol=1e-9, atol=1e-9)


def test_gradients_of_the_density_of_draws() -> None:
    torch.manual_seed(4)
    noise = torch.randn(4, 4, dtype=torch.float64)
    kappa = torch.tensor([0.3, 2.0, 15.0, 900.0], dtype=torch.float64, requires_grad=True)
    loc = law(3, 1.0).loc
    assert torch.autograd.gradcheck(
        lambda k: PowerSpherical(loc, k).rsample_with_log_prob(noise)[1], (kappa,), atol=1e-6
    )


def test_large_concentrations_are_von_mises_fisher_of_half() -> None:
    q, close = law(5, 2e5), law(5, 1.0)
    vmf = VonMisesFisher(close.loc, torch.tensor(1e5, dtype=torch.float64))
    torch.testing.assert_close(q.entropy(), vmf.entropy(), rtol=0, atol=1e-3)
