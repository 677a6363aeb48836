"""What the von Mises-Fisher and power spherical laws promise as parts of a program."""

from __future__ import annotations

import ast
import copy
import math
import pickle
from pathlib import Path

import pytest
import torch
from torch.distributions import kl_divergence

import skccvae.distributions
import skccvae.special
from skccvae.distributions import (
    HypersphericalUniform,
    PowerSpherical,
    VonMisesFisher,
)

FAMILIES = [VonMisesFisher, PowerSpherical]
INTRINSIC = [1, 2, 5, 20, 100, 400]
EXTREMES = [0.0, 1e-10, 1e-3, 1.0, 1e3, 1e5, 1e7]


def units(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    x = torch.randn(*shape, dtype=dtype)
    return x / x.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("d", INTRINSIC)
def test_float32_is_finite_at_the_extremes(family, d: int) -> None:
    torch.manual_seed(0)
    m, n = d + 1, 500
    loc = units(len(EXTREMES), m).requires_grad_()
    kappa = torch.tensor(EXTREMES, requires_grad=True)
    q = family(loc, kappa)
    z = q.rsample((n,))
    kl = kl_divergence(q, HypersphericalUniform(m))
    assert torch.isfinite(z).all()
    assert (z.norm(dim=-1) - 1).abs().max() < 5e-7
    assert torch.isfinite(kl).all()
    assert (kl.diff() >= 0).all()
    log_prob = q.log_prob(z.detach())
    assert torch.isfinite(log_prob).all()
    for value in (z.square().cumsum(-1).sum(), kl.sum(), log_prob.sum(), q.mean.sum()):
        for grad in torch.autograd.grad(value, (loc, kappa), allow_unused=True):
            assert grad is None or torch.isfinite(grad).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_broadcast_and_expand(family) -> None:
    torch.manual_seed(2)
    loc, kappa = units(4, 1, 5), torch.rand(3)
    q = family(loc, kappa)
    assert q.batch_shape == (4, 3)
    assert q.event_shape == (5,)
    assert q.noise_dim == 6
    assert q.rsample().shape == (4, 3, 5)
    assert q.rsample((2, 7)).shape == (2, 7, 4, 3, 5)
    assert q.log_prob(q.sample((2,))).shape == (2, 4, 3)
    assert q.mean.shape == q.mode.shape == (4, 3, 5)
    assert q.entropy().shape == q.mean_resultant_length.shape == (4, 3)
    assert kl_divergence(q, HypersphericalUniform(5)).shape == (4, 3)
    assert kl_divergence(q, HypersphericalUniform(5, (2, 4, 3))).shape == (2, 4, 3)
    big = q.expand((2, 4, 3))
    assert type(big) is family
    assert big.batch_shape == (2, 4, 3)
    noise = torch.randn(2, 4, 3, 6)
    torch.testing.assert_close(big.rsample_from_noise(noise), q.rsample_from_noise(noise))
    torch.testing.assert_close(big.entropy()[0], q.entropy())
    number = family(units(5), 2.0)
    assert number.batch_shape == ()


@pytest.mark.parametrize("family", FAMILIES)
def test_one_noise_may_serve_all_rows(family) -> None:
    torch.manual_seed(3)
    loc, kappa = units(4, 5).requires_grad_(), torch.rand(4).requires_grad_()
    noise = torch.randn(9, 1, 6)
    weight = torch.randn(9, 4, 5)
    grads = []
    for given in (noise, noise.expand(9, 4, 6)):
        z = family(loc, kappa, validate_args=False).rsample_from_noise(given)
        assert z.shape == (9, 4, 5)
        grads.append(torch.autograd.grad((z * weight).sum(), (loc, kappa)))
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_draws(family) -> None:
    q = family(units(5), torch.tensor(3.0))
    torch.manual_seed(4)
    first = q.sample((3,))
    torch.manual_seed(4)
    assert torch.equal(first, q.sample((3,)))


@pytest.mark.parametrize("family", FAMILIES)
def test_copies_and_pickles_are_small_and_equal(family) -> None:
    q = family(units(3, 5), torch.rand(3))
    noise = torch.randn(3, 6)
    z = q.rsample_from_noise(noise)
    data = pickle.dumps(q)
    assert len(data) < 10_000  # the tables stay behind
    for other in (copy.deepcopy(q), pickle.loads(data)):
        assert torch.equal(other.rsample_from_noise(noise), z)


@pytest.mark.parametrize("family", FAMILIES)
def test_bad_parameters(family) -> None:
    with pytest.raises(ValueError, match="divide by the Euclidean norm"):
        family(torch.ones(3), torch.tensor(1.0), validate_args=True)
    for bad in (-1.0, math.nan):
        with pytest.raises(ValueError, match="concentration"):
            family(units(3), torch.tensor(bad), validate_args=True)
    with pytest.raises(ValueError, match="unit vector"):
        family(torch.full((3,), math.nan), torch.tensor(1.0), validate_args=True)
    with pytest.raises(ValueError, match="one more than the sphere's intrinsic dimension"):
        family(torch.ones(1), torch.tensor(1.0))
    with pytest.raises(ValueError, match="must broadcast"):
        family(units(4, 3), torch.ones(5))
    with pytest.raises(TypeError, match="float32"):
        family(units(3), torch.ones((), dtype=torch.float64))
    with pytest.raises(TypeError, match="float32"):
        family(units(3).half(), torch.ones(()).half())
    q = family(units(3), torch.tensor(1.0), validate_args=True)
    with pytest.raises(ValueError, match="unit vector"):
        q.log_prob(torch.ones(3))
    with pytest.raises(ValueError, match="noise_dim = 4"):
        q.rsample_from_noise(torch.zeros(2, 3))


@pytest.mark.parametrize("family", FAMILIES)
def test_nan_gives_nan_and_reads_nothing_else(family) -> None:
    loc = units(3, 4)
    kappa = torch.tensor([1.0, math.nan, 2.0])
    q = family(loc, kappa, validate_args=False)
    assert q.rsample().isnan().any(-1).tolist() == [False, True, False]
    assert kl_divergence(q, HypersphericalUniform(4)).isnan().tolist() == [False, True, False]


def test_special_functions_and_laws_import_torch_alone() -> None:
    for package in (skccvae.special, skccvae.distributions):
        for path in Path(package.__file__).parent.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                assert not {name.split(".")[0] for name in names} & {"numpy", "scipy"}, path
