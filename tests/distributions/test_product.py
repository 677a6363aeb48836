"""Independent distributions side by side."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from skccvae.distributions import (
    HypersphericalUniform,
    ProductDistribution,
    VonMisesFisher,
    WrappedNormal,
)
from skccvae.manifolds import Hyperbolic


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


class Subclass(ProductDistribution):
    pass


class OtherConstructor(ProductDistribution):
    def __init__(self, one):
        super().__init__([one])


def test_expand_keeps_a_subclass():
    p = Subclass(example().factors, validate_args=False)
    wide = p.expand((3, 2))
    assert type(wide) is Subclass
    assert wide.batch_shape == (3, 2)
    assert wide._validate_args is False
    z = wide.sample()
    torch.testing.assert_close(wide.log_prob(z), p.log_prob(z))
    with pytest.raises(NotImplementedError, match="expand"):
        OtherConstructor(HypersphericalUniform(2)).expand((3,))


def test_support_and_validation():
    space = Hyperbolic(2)
    # a factor that does not check by itself
    free = WrappedNormal(space.origin(), 0.5, space, validate_args=False)
    p = ProductDistribution([free, HypersphericalUniform(2, validate_args=False)])
    z = p.sample((4,))
    assert p.support.event_dim == 1
    assert p.support.check(z).tolist() == [True] * 4
    off = z.clone()
    off[1, :3] += 0.1
    off[2, 3:] *= 2
    assert p.support.check(off).tolist() == [True, False, False, True]
    with pytest.raises(ValueError, match="within the support"):
        p.log_prob(off)
    unchecked = ProductDistribution(p.factors, validate_args=False)
    assert unchecked.log_prob(off).shape == (4,)


@pytest.mark.parametrize("validate_args", [False, True])
def test_a_wrong_width_is_refused(validate_args):
    p = ProductDistribution(example().factors, validate_args)
    for width in (1, 3, 4, 6):
        with pytest.raises(
            ValueError, match=r"value must have 5 entries .* 3 \+ 2 for the factors"
        ):
            p.log_prob(torch.ones(2, width))
        with pytest.raises(ValueError, match="noise must have 6 entries"):
            p.rsample_from_noise(torch.ones(2, 7))
    with pytest.raises(ValueError, match="must broadcast"):
        ProductDistribution(
            [HypersphericalUniform(2, (3,)), HypersphericalUniform(2, (2,))], validate_args
        )


def test_moments_and_repr():
    p = example()
    for name in ("mean", "mode"):
        if name == "mode":
            p = ProductDistribution([p.factors[0], p.factors[0]])
        parts = [getattr(f, name).expand(2, -1) for f in p.factors]
        torch.testing.assert_close(getattr(p, name), torch.cat(parts, -1))
    torch.manual_seed(0)
    p = example()
    spread = p.sample((40_000,)).var(0)
    torch.testing.assert_close(p.variance, spread, rtol=0, atol=0.02)
    assert repr(p).startswith("ProductDistribution([VonMisesFisher(loc: torch.Size([2, 3]), ")
    assert "HypersphericalUniform(m: 2" in repr(p)
