"""Independent distributions side by side."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from skccvae.distributions import HypersphericalUniform, ProductDistribution, VonMisesFisher


def example():
    loc = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return ProductDistribution(
        [VonMisesFisher(loc, torch.tensor([3.0, 5.0])), HypersphericalUniform(2)]
    )


def test_shapes_density_and_kl_are_sums_over_factors():
    p = example()
    assert p.batch_shape == (2,)
    assert p.event_shape == (5,)
    z = p.rsample((7,))
    assert z.shape == (7, 2, 5)
    parts = z.split([3, 2], dim=-1)
    expected = p.factors[0].log_prob(parts[0]) + p.factors[1].log_prob(parts[1])
    assert torch.allclose(p.log_prob(z), expected)
    q = ProductDistribution([HypersphericalUniform(3), HypersphericalUniform(2)])
    kl = kl_divergence(p.factors[0], HypersphericalUniform(3))
    assert torch.allclose(kl_divergence(p, q), kl)
    assert torch.allclose(p.entropy(), p.factors[0].entropy() + p.factors[1].entropy())


def test_draws_from_noise():
    p = example()
    noise = torch.randn(4, 2, p.noise_dim)
    z = p.rsample_from_noise(noise)
    assert z.shape == (4, 2, 5)
    assert torch.allclose(z[..., :3].norm(dim=-1), torch.ones(4, 2), atol=1e-6)
    assert p.expand((3, 2)).sample().shape == (3, 2, 5)


def test_bad_factors():
    with pytest.raises(ValueError, match="at least one"):
        ProductDistribution([])
    with pytest.raises(ValueError, match="event shape of one dimension"):
        ProductDistribution([Normal(0.0, 1.0)])
    one = ProductDistribution([Independent(Normal(torch.zeros(2), 1.0), 1)])
    with pytest.raises(ValueError, match="different factors"):
        kl_divergence(one, example())
