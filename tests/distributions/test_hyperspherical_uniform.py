"""The uniform distribution on the sphere."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from torch.distributions import kl_divergence

from skccvae.distributions import HypersphericalUniform


@pytest.mark.parametrize(("m", "area"), [(2, 2 * math.pi), (3, 4 * math.pi), (4, 2 * math.pi**2)])
def test_area(m: int, area: float) -> None:
    u = HypersphericalUniform(m, dtype=torch.float64)
    assert u.entropy().item() == pytest.approx(math.log(area), rel=1e-14)
    torch.testing.assert_close(u.log_prob(u.sample((5,))), -u.entropy().expand(5))


@pytest.mark.parametrize("m", [2, 3, 10])
def test_draws_are_uniform(m: int) -> None:
    # a coordinate t of a uniform point: (1 + t) / 2 ~ Beta((m - 1) / 2, (m - 1) / 2); p < 1e-5 by
    # chance once in a hundred thousand seeds
    torch.manual_seed(0)
    u = HypersphericalUniform(m, dtype=torch.float64)
    z = u.sample((50_000,))
    assert (z.norm(dim=-1) - 1).abs().max() < 1e-14
    axis = torch.linspace(-1, 2, m).double()
    t = (z @ (axis / axis.norm())).numpy()
    half = 0.5 * (m - 1)
    assert scipy.stats.kstest(0.5 * (1 + t), scipy.stats.beta(half, half).cdf).pvalue > 1e-5
    torch.testing.assert_close(z.var(0), u.variance, rtol=0.05, atol=0)
    assert z.mean(0).sub(u.mean).abs().max() < 5 / math.sqrt(50_000 * m)


def test_shapes() -> None:
    u = HypersphericalUniform(4, (3, 2))
    assert u.noise_dim == 4
    assert u.rsample().shape == (3, 2, 4)
    assert u.rsample((5,)).shape == (5, 3, 2, 4)
    assert u.rsample_from_noise(torch.randn(7, 1, 1, 4)).shape == (7, 3, 2, 4)
    assert u.log_prob(u.sample()).shape == u.entropy().shape == (3, 2)
    assert u.mean.shape == u.variance.shape == (3, 2, 4)
    big = u.expand((6, 3, 2))
    assert big.sample().shape == (6, 3, 2, 4)
    assert kl_divergence(u, big).shape == (6, 3, 2)
    assert kl_divergence(u, big).abs().max() == 0


def test_dtype() -> None:
    assert HypersphericalUniform(3).sample().dtype == torch.get_default_dtype()
    assert HypersphericalUniform(3, dtype=torch.float64).sample().dtype == torch.float64


def test_bad_input() -> None:
    for bad in (2.0, "3", True):
        with pytest.raises(TypeError, match="must be an int"):
            HypersphericalUniform(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one more than the intrinsic dimension"):
        HypersphericalUniform(1)
    u = HypersphericalUniform(3, validate_args=True)
    with pytest.raises(ValueError, match="unit vector"):
        u.log_prob(torch.ones(3))
    with pytest.raises(ValueError, match="noise_dim = 3"):
        u.rsample_from_noise(torch.ones(4))
