"""The fused step of a projected normal posterior, and the table that it reads."""

from __future__ import annotations

import math

import pytest
import torch

from skccvae import kernels
from skccvae.distributions import ProjectedNormal
from skccvae.kernels import accelerator
from skccvae.kernels.projected_normal_table import radius_table
from skccvae.nn import ProjectedNormalLatent
from skccvae.special import projected_normal_radius


@pytest.mark.parametrize("m", [2, 3, 4, 11, 41, 101, 2049])
def test_table_agrees_with_the_quadrature(m):
    first = -math.sqrt(m) - 8.9
    alpha = torch.cat((torch.linspace(first, 60, 3001), torch.logspace(1, 4, 301)))
    found = radius_table(m).evaluate(alpha)
    wide = alpha.double().requires_grad_()
    radius = projected_normal_radius(wide, m)
    product = wide * radius.excess
    slopes = [
        torch.autograd.grad(f.sum(), wide, retain_graph=True)[0] * (wide.square() + 4 * m).sqrt()
        for f in (radius.log_integral, product)
    ]
    exact = [radius.log_integral, product, radius.mean_square, *slopes]
    # Five units of rounding of the largest term of each sum. The logarithms are also rounded in
    # theta, whose slope is theirs.
    theta = torch.asinh(wide / (2 * math.sqrt(m))).abs()
    size = m * (1 + theta) + slopes[0].abs()
    sizes = [size, size, wide.square() + m, size, size + slopes[1].abs()]
    for value, truth, scale in zip(found, exact, sizes, strict=False):
        error = (value.double() - truth).abs() / scale
        assert error.max() < 5 * torch.finfo(torch.float32).eps
    torch.testing.assert_close(found.theta_slope.double(), (wide.square() + 4 * m).rsqrt())


def test_table_has_limits_and_keeps_nan():
    values = radius_table(5).evaluate(torch.tensor([1e9, 1e12, math.nan, math.inf]))
    torch.testing.assert_close(values.product[:2], torch.full((2,), 4.0))
    assert values.log_integral.isnan().tolist()[:3] == [False, False, True]
    assert values.product.isnan().tolist()[:3] == [False, False, True]


def test_conditions():
    loc, noise = torch.randn(4, 3), torch.randn(4, 3)
    assert accelerator(ProjectedNormal, loc, noise) is not None
    assert accelerator(ProjectedNormal, loc, noise.expand(5, 4, 3)) is not None
    assert accelerator(ProjectedNormal, loc.double(), noise.double()) is None
    with kernels.disabled():
        assert accelerator(ProjectedNormal, loc, noise) is None
    with pytest.raises(TypeError, match="noise"):
        accelerator(ProjectedNormal, loc)


@pytest.mark.parametrize("spread", [0.01, 1.0, 3.0])
@pytest.mark.parametrize("dim", [1, 2, 10, 40])
def test_several_draws_for_each_row(dim, spread):
    """Values and gradients are those of the plain path in float64."""
    torch.manual_seed(dim)
    latent = ProjectedNormalLatent(dim, 0.5)
    params = spread * torch.randn(30, latent.n_params)
    noise = torch.randn(4, 30, latent.noise_dim)
    weights = torch.linspace(1, -0.7, dim + 1)
    results = []
    for dtype in (torch.float32, torch.float64):
        leaf = params.to(dtype).requires_grad_()
        step = latent.to(dtype).step(leaf, noise.to(dtype))
        assert step.kl.shape == (4, 30)
        total = (step.features @ weights.to(dtype)).sin().sum() + (step.kl * step.kl.detach()).sum()
        results.append([*step[:2], *torch.autograd.grad(total, leaf)])
    # The estimate is a difference of sums of dim + 1 logarithms of order one.
    atol = 16 * torch.finfo(torch.float32).eps * (dim + 1)
    for narrow, wide in zip(*results, strict=True):
        assert (narrow - wide).abs().max() < 2e-5 * wide.abs().max() + atol


def test_second_derivatives_are_refused_and_not_wrong():
    latent = ProjectedNormalLatent(2)
    params = torch.randn(4, 6, requires_grad=True)
    kl = latent.step(params, torch.randn(4, 3)).kl.sum()
    with pytest.raises(RuntimeError, match="first derivative only"):
        torch.autograd.grad(kl, params, create_graph=True)
