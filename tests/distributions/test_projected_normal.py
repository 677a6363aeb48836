"""The projected normal with unequal scales: density, draws, gradients, and estimates of its KL.

`test_registry.py` tests it with equal scales, where it is symmetric about its location.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import torch
from torch import Tensor

from skccvae.distributions import HypersphericalUniform, ProjectedNormal
from skccvae.distributions.rotationally_symmetric import log_sphere_area

SIGMAS = 5.0


def agree(samples: Tensor, exact: Tensor, floor: float = 1e-9) -> None:
    """Mean over the first axis within five standard errors."""
    error = samples.std(0) / math.sqrt(samples.shape[0])
    assert bool(((samples.mean(0) - exact).abs() < SIGMAS * error + floor).all())


def circle(n: int = 1000) -> tuple[Tensor, Tensor]:
    """Points of the circle and their weights."""
    angle = torch.arange(n, dtype=torch.float64) * (2 * math.pi / n)
    return torch.stack((angle.cos(), angle.sin()), -1), torch.full_like(angle, 2 * math.pi / n)


def sphere(n: int = 120) -> tuple[Tensor, Tensor]:
    """Points of the sphere in R^3 and their weights: Gauss-Legendre in height, even in angle."""
    height, weight = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(n))
    round_points, _ = circle(2 * n)
    ring = (1 - height.square()).sqrt()[:, None, None] * round_points
    points = torch.cat((ring, height[:, None, None].expand(n, 2 * n, 1)), -1)
    weights = (weight * math.pi / n)[:, None].expand(n, 2 * n)
    return points.reshape(-1, 3), weights.reshape(-1)


GRIDS = {2: circle, 3: sphere}


def example(m: int, size: float = 1.0, dtype: torch.dtype = torch.float64) -> ProjectedNormal:
    """Unequal scales about ``0.6 size``, and a location of length about 1."""
    loc = torch.linspace(1.3, -0.7, m, dtype=dtype) / math.sqrt(m / 2)
    scale = size * torch.linspace(-1.2, 0.3, m, dtype=dtype).exp().flip(0).roll(m // 3)
    return ProjectedNormal(loc, scale)


def kl_by_quadrature(q: ProjectedNormal) -> Tensor:
    z, w = GRIDS[q.noise_dim]()
    log_q = q.log_prob(z)
    return (w * log_q.exp() * (log_q + log_sphere_area(q.noise_dim))).sum()


# -- density ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [2, 3])
def test_density_integrates_to_one(m: int) -> None:
    z, w = GRIDS[m]()
    for size in (0.2, 1.0, 10.0):
        assert (example(m, size).log_prob(z).exp() * w).sum().item() == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("m", [2, 3, 5, 12])
def test_density_is_that_of_the_vector_integrated_over_its_length(m: int) -> None:
    torch.manual_seed(m)
    q = example(m)
    normal = torch.distributions.Independent(torch.distributions.Normal(q.loc, q.scale), 1)
    for z in torch.nn.functional.normalize(torch.randn(4, m, dtype=torch.float64) + q.loc, dim=-1):
        integral, _ = scipy.integrate.quad(
            lambda r, z=z: r ** (m - 1) * normal.log_prob(r * z).exp().item(), 0, 30, epsabs=1e-14
        )
        assert q.log_prob(z).exp().item() == pytest.approx(integral, rel=1e-7)


def test_on_the_circle_it_is_the_angular_normal_law() -> None:
    """Formula of Mardia, "Statistics of directional data", 1972, p. 52, without correlation."""
    (a, b), (s, t) = (0.7, -0.4), (0.5, 1.3)
    z, _ = circle(100)
    q = ProjectedNormal(torch.tensor([a, b]).double(), torch.tensor([s, t]).double())
    cosine, sine = z.unbind(-1)
    normal = torch.distributions.Normal(0.0, 1.0)
    phi = lambda x: normal.log_prob(x).exp()  # noqa: E731
    c = (cosine / s).square() + (sine / t).square()
    d = (a * cosine / s**2 + b * sine / t**2) / c.sqrt()
    across = (a * sine - b * cosine) / (s * t * c.sqrt())
    at_zero = phi(torch.tensor(a / s)) * phi(torch.tensor(b / t)) / (s * t)
    exact = (at_zero + d * normal.cdf(d) * phi(across) / (s * t)) / c
    torch.testing.assert_close(q.log_prob(z).exp(), exact)


@pytest.mark.parametrize("m", [2, 3, 41])
def test_without_a_location_and_with_equal_scales_it_is_uniform(m: int) -> None:
    torch.manual_seed(0)
    uniform = HypersphericalUniform(m, dtype=torch.float64)
    z = uniform.sample((50,))
    for scale in (1e-3, 1.0, 1e3):
        q = ProjectedNormal(torch.zeros(m, dtype=torch.float64), scale)
        torch.testing.assert_close(q.log_prob(z), uniform.log_prob(z), rtol=0, atol=1e-10)
        nearly = ProjectedNormal(torch.full((m,), 1e-6 * scale, dtype=torch.float64), scale)
        torch.testing.assert_close(nearly.log_prob(z), q.log_prob(z), rtol=0, atol=1e-4)


@pytest.mark.parametrize("m", [2, 3, 41])
def test_a_common_factor_changes_nothing(m: int) -> None:
    torch.manual_seed(0)
    q = example(m)
    noise = torch.randn(20, m, dtype=torch.float64)
    z, kl = q.rsample_with_kl(noise)
    for factor in (1e-4, 3.0, 1e4):
        other = ProjectedNormal(factor * q.loc, factor * q.scale)
        torch.testing.assert_close(other.log_prob(z), q.log_prob(z))
        torch.testing.assert_close(other.rsample_from_noise(noise), z)
        torch.testing.assert_close(other.rsample_with_kl(noise)[1], kl)


@pytest.mark.parametrize("m", [2, 3, 11, 41])
def test_mean_with_unit_scales(m: int) -> None:
    """Presnell, Morrison and Littell give it as a confluent hypergeometric function."""
    torch.manual_seed(m)
    size = 1.7
    loc = size * torch.nn.functional.normalize(torch.ones(m, dtype=torch.float64), dim=0)
    cosine = ProjectedNormal(loc, 1.0).sample((100_000,)) @ loc / size
    factor = math.exp(math.lgamma((m + 1) / 2) - math.lgamma(m / 2 + 1)) / math.sqrt(2)
    exact = factor * size * scipy.special.hyp1f1(0.5, m / 2 + 1, -0.5 * size**2)
    agree(cosine, torch.tensor(exact))


def test_small_scales_are_a_normal_in_the_tangent_space() -> None:
    size = 1e-4
    q = ProjectedNormal(
        torch.tensor([0.0, 0.0, 2.0]).double(), size * torch.tensor([1.0, 3.0, 5.0]).double()
    )
    v = size * torch.tensor([[0.0, 0.0], [0.4, -1.1], [1.0, 2.0]], dtype=torch.float64)
    z = torch.nn.functional.normalize(torch.cat((v, torch.ones(3, 1).double()), -1), dim=-1)
    flat = torch.distributions.Normal(0.0, 0.5 * q.scale[:2])
    torch.testing.assert_close(q.log_prob(z), flat.log_prob(v).sum(-1), rtol=0, atol=3e-3)


# -- draws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [2, 3])
def test_draws_follow_the_density(m: int) -> None:
    torch.manual_seed(m)
    points, w = GRIDS[m]()
    for size in (0.4, 1.0, 3.0):
        q = example(m, size)
        z = q.sample((100_000,))
        mass = w * q.log_prob(points).exp()
        agree(z, mass @ points)
        agree(
            (z[:, :, None] * z[:, None, :]).flatten(1),
            mass @ (points[:, :, None] * points[:, None, :]).flatten(1),
        )


@pytest.mark.parametrize("m", [2, 3])
def test_pathwise_gradients_are_exact(m: int) -> None:
    torch.manual_seed(m)
    n, h = 100_000, 1e-4
    points, w = GRIDS[m]()
    q = example(m)

    def probe(z: Tensor) -> Tensor:
        return torch.sin(2 * z[..., 0] + 0.5) + z[..., -1] * z[..., 1]

    def moment(move: Tensor) -> Tensor:
        moved = ProjectedNormal(q.loc + move[0], q.scale * move[1].exp())
        return (w * moved.log_prob(points).exp() * probe(points)).sum()

    t = torch.zeros(n, 2, m, dtype=torch.float64, requires_grad=True)
    z = ProjectedNormal(q.loc + t[:, 0], q.scale * t[:, 1].exp()).rsample()
    (slopes,) = torch.autograd.grad(probe(z).sum(), t)
    for k in range(2 * m):
        step = torch.zeros(2 * m, dtype=torch.float64)
        step[k] = h
        exact = (moment(step.view(2, m)) - moment(-step.view(2, m))) / (2 * h)
        agree(slopes.flatten(1)[:, k], exact, floor=1e-6)


@pytest.mark.parametrize("m", [2, 3, 11])
def test_gradients_of_density_and_estimate(m: int) -> None:
    torch.manual_seed(m)
    q = example(m)
    z, noise = q.sample((5,)), torch.randn(5, m, dtype=torch.float64)
    inputs = (q.loc.clone().requires_grad_(), q.scale.clone().requires_grad_())
    for function in (
        lambda loc, scale: ProjectedNormal(loc, scale).log_prob(z),
        lambda loc, scale: torch.cat(
            [x.flatten() for x in ProjectedNormal(loc, scale).rsample_with_kl(noise)]
        ),
        lambda loc, scale: torch.cat(
            [x.flatten() for x in ProjectedNormal(loc, scale).rsample_with_log_prob(noise)]
        ),
    ):
        assert torch.autograd.gradcheck(function, inputs, atol=1e-6)


@pytest.mark.parametrize("m", [2, 3, 41])
def test_log_density_of_draws(m: int) -> None:
    torch.manual_seed(m)
    for size in (1e-3, 1.0, 1e3):
        q = example(m, size)
        noise = torch.randn(200, m, dtype=torch.float64)
        z, log_q = q.rsample_with_log_prob(noise)
        torch.testing.assert_close(z, q.rsample_from_noise(noise))
        torch.testing.assert_close(log_q, q.log_prob(z), rtol=0, atol=1e-6)
        narrow = example(m, size, torch.float32).rsample_with_log_prob(noise.float())[1]
        # The terms are sums of m numbers of order one and of logarithms.
        torch.testing.assert_close(narrow.double(), log_q, rtol=1e-5, atol=1e-5 * m)


# -- the divergence from the uniform law -----------------------------------------------------------


@pytest.mark.parametrize("m", [2, 3])
def test_estimate_of_the_kl_against_quadrature(m: int) -> None:
    torch.manual_seed(m)
    for size in (0.2, 0.6, 1.0, 3.0, 1e3):
        q = example(m, size)
        z, kl = q.rsample_with_kl(torch.randn(100_000, m, dtype=torch.float64))
        agree(kl, kl_by_quadrature(q))
        assert kl.std() < 0.5 * q.log_prob(z).std()


@pytest.mark.parametrize("size", [1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("m", [11, 41])
def test_estimate_of_the_kl_against_the_log_ratio(m: int, size: float) -> None:
    torch.manual_seed(m)
    q = example(m, size)
    z, kl = q.rsample_with_kl(torch.randn(50_000, m, dtype=torch.float64))
    log_ratio = q.log_prob(z) + log_sphere_area(m)
    agree(kl - log_ratio, torch.tensor(0.0))
    assert kl.std() < 0.3 * log_ratio.std()


def test_estimate_varies_less_than_with_lengths_given_the_direction_alone() -> None:
    """KL of the normals in closed form less KL of the lengths given z: the same up to a factor.

    That estimate depends on the common factor of loc and scale, and ours is at least as good.
    """
    torch.manual_seed(0)
    m = 3
    noise = torch.randn(50_000, m, dtype=torch.float64)
    normal = torch.distributions.Normal(0.0, torch.ones(m, dtype=torch.float64))
    q = ProjectedNormal(
        torch.tensor([1.2, 0.3, -0.5]).double(), torch.tensor([0.4, 1.0, 0.7]).double()
    )
    z, kl = q.rsample_with_kl(noise)
    for factor in (0.5, 1.0, 2.0):
        law = torch.distributions.Normal(factor * q.loc, factor * q.scale)
        bound = torch.distributions.kl_divergence(law, normal).sum()
        r = torch.linspace(1e-6, 30, 6001, dtype=torch.float64)[:, None]
        some = z[:400]
        log_q = law.log_prob(r[:, :, None] * some).sum(-1) + (m - 1) * r.log()
        log_p = normal.log_prob(r[:, :, None] * some).sum(-1) + (m - 1) * r.log()
        log_q, log_p = (x - torch.logsumexp(x + (r[1] - r[0]).log(), 0) for x in (log_q, log_p))
        lengths = (log_q.exp() * (log_q - log_p)).sum(0) * (r[1] - r[0])
        split = bound - lengths
        assert abs(split.mean() - kl[:400].mean()) < SIGMAS * (split - kl[:400]).std() / 20
        assert kl[:400].std() <= split.std()


@pytest.mark.parametrize("m", [2, 3, 11])
def test_kl_is_at_most_that_of_the_normal_vectors(m: int) -> None:
    torch.manual_seed(m)
    normal = torch.distributions.Normal(0.0, torch.ones(m, dtype=torch.float64))
    for size in (0.1, 0.5, 1.0, 2.0):
        q = example(m, size)
        kl = q.rsample_with_kl(torch.randn(20_000, m, dtype=torch.float64))[1]
        error = kl.std() / math.sqrt(len(kl))
        for factor in (0.3, 1.0, 3.0):
            vector = torch.distributions.Normal(factor * q.loc, factor * q.scale)
            bound = torch.distributions.kl_divergence(vector, normal).sum()
            assert kl.mean() < bound + SIGMAS * error


@pytest.mark.parametrize("m", [2, 3])
def test_gradient_of_the_estimate_is_that_of_the_kl(m: int) -> None:
    torch.manual_seed(m)
    q = example(m)
    loc, scale = (x.clone().requires_grad_() for x in (q.loc, q.scale))
    exact = torch.autograd.grad(kl_by_quadrature(ProjectedNormal(loc, scale)), (loc, scale))
    n = 100_000
    wide = [x.detach().expand(n, m).clone().requires_grad_() for x in (loc, scale)]
    noise = torch.randn(n, m, dtype=torch.float64)
    slopes = torch.autograd.grad(ProjectedNormal(*wide).rsample_with_kl(noise)[1].sum(), wide)
    for slope, truth in zip(slopes, exact, strict=True):
        agree(slope, truth)


@pytest.mark.parametrize("size", [1e-3, 1e-2, 0.22, 1.0, 1e3])
def test_estimate_in_float32_in_many_dimensions(size: float) -> None:
    torch.manual_seed(0)
    m = 41
    noise = torch.randn(500, m, dtype=torch.float64)
    results = []
    for dtype in (torch.float64, torch.float32):
        q = example(m, size, dtype)
        inputs = (q.loc.clone().requires_grad_(), q.scale.clone().requires_grad_())
        kl = ProjectedNormal(*inputs).rsample_with_kl(noise.to(dtype))[1]
        slopes = torch.autograd.grad(kl.mean(), inputs)
        results.append([kl.detach().double(), *(x.double() for x in slopes)])
    wide, narrow = results
    # two sums of m logarithms of that size, rounded
    atol = 4 * torch.finfo(torch.float32).eps * m * (1 + abs(math.log(size)))
    torch.testing.assert_close(narrow[0], wide[0], rtol=1e-6, atol=atol)
    for one, other in zip(narrow[1:], wide[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * other.abs().max().item())


def test_estimate_of_the_uniform_law_is_zero() -> None:
    torch.manual_seed(0)
    for m in (2, 3, 41):
        q = ProjectedNormal(torch.zeros(m, dtype=torch.float64), 0.3)
        kl = q.rsample_with_kl(torch.randn(100, m, dtype=torch.float64))[1]
        torch.testing.assert_close(kl, torch.zeros_like(kl), rtol=0, atol=1e-9)


# -- arguments -------------------------------------------------------------------------------------


def test_scales_broadcast() -> None:
    loc = torch.randn(4, 3)
    q = ProjectedNormal(loc, 0.5)
    assert (q.scale.shape, q.scale.dtype) == ((4, 3), torch.float32)
    assert torch.equal(ProjectedNormal(loc, torch.tensor([0.5])).scale, q.scale)
    assert ProjectedNormal(loc, torch.rand(2, 1, 3) + 0.1).batch_shape == (2, 4)
    assert ProjectedNormal(torch.zeros(3), torch.rand(5, 1) + 0.1).batch_shape == (5,)
    z, kl = ProjectedNormal(loc, torch.rand(3) + 0.1).rsample_with_kl(torch.randn(6, 1, 3))
    assert (z.shape, kl.shape) == ((6, 4, 3), (6, 4))


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="both be float32 or both be float64"):
        ProjectedNormal(torch.zeros(3), torch.ones(3, dtype=torch.float64))
    with pytest.raises(TypeError, match="both be float32"):
        ProjectedNormal(torch.zeros(3, dtype=torch.int64), 1)
    for loc in (torch.tensor(1.0), torch.ones(4, 1)):
        with pytest.raises(ValueError, match="m >= 2 coordinates of the ambient space"):
            ProjectedNormal(loc, 1.0)
    for scale in (torch.tensor(1.0), torch.ones(2)):
        with pytest.raises(ValueError, match=r"must hold 3 \(ambient\) numbers, or one"):
            ProjectedNormal(torch.zeros(3), scale)
    with pytest.raises(ValueError, match="must broadcast"):
        ProjectedNormal(torch.zeros(4, 3), torch.ones(2, 3))
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="scale"):
            ProjectedNormal(torch.zeros(3), torch.tensor([1.0, bad, 1.0]), validate_args=True)
    q = ProjectedNormal(torch.ones(3), 1.0)
    for method in (q.rsample_from_noise, q.rsample_with_log_prob, q.rsample_with_kl):
        with pytest.raises(ValueError, match="noise_dim = 3"):
            method(torch.zeros(5, 4))


def test_what_has_no_closed_form_says_so() -> None:
    q = ProjectedNormal(torch.ones(3), 1.0)
    for name in ("mean", "variance"):
        with pytest.raises(NotImplementedError, match=f"the {name} of a projected normal"):
            getattr(q, name)
    with pytest.raises(NotImplementedError, match="the entropy of a projected normal"):
        q.entropy()
