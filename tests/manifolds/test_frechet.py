"""The Fréchet mean: stationary, right where it is known, refused where it is not unique."""

from __future__ import annotations

import math

import pytest
import torch

from skccvae.manifolds import Euclidean, Hyperbolic, Product, Sphere

SPACES = [Euclidean(3), Sphere(1), Sphere(3, 0.5), Hyperbolic(1), Hyperbolic(3, -2.0),
          Sphere(3, 1e-6), Hyperbolic(3, -1e-6),
          Product([Hyperbolic(2), Sphere(2), Euclidean(1)])]  # fmt: skip


def cloud(space, n=40, spread=0.4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return space.exp0(spread * torch.randn(n, space.dim, dtype=torch.float64, generator=generator))


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_the_mean_is_stationary(space):
    x = cloud(space)
    weights = torch.linspace(0, 1, 40, dtype=torch.float64)
    mean = space.frechet_mean(x, weights)
    assert mean.shape == (space.ambient_dim,)
    assert space.belongs(mean)
    pull = (weights[:, None] * space.log(mean.expand(40, -1), x)).sum(0)
    assert space.norm(mean, pull) < 1e-7


def test_flat_mean_is_the_average():
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(Euclidean(3).frechet_mean(x), x.mean(0), atol=1e-6)


@pytest.mark.parametrize("space", [Sphere(2), Hyperbolic(2), Hyperbolic(2, -1e-6)], ids=repr)
def test_mean_of_two_points_is_on_their_geodesic(space):
    x = cloud(space, 2, 0.8)
    mean = space.frechet_mean(x, torch.tensor([3.0, 1.0]))
    assert torch.allclose(mean, space.geodesic(x[0], x[1], 0.25), atol=1e-8)
    assert torch.allclose(space.frechet_mean(x[:1]), x[0], atol=1e-10)


def test_far_spread_points_in_hyperbolic_space_converge():
    # A full step would overshoot here: r coth r is near 12.
    space = Hyperbolic(2)
    angle = torch.tensor([0.0, 2.0, 4.0], dtype=torch.float64)
    x = space.exp0(12 * torch.stack([angle.cos(), angle.sin()], -1))
    mean = space.frechet_mean(x)
    pull = space.log(mean.expand(3, -1), x).mean(0)
    assert space.norm(mean, pull) < 1e-6


def test_float32_in_float32_out():
    mean = Sphere(2).frechet_mean(cloud(Sphere(2)).float())
    assert mean.dtype == torch.float32
    assert torch.allclose(mean.double(), Sphere(2).frechet_mean(cloud(Sphere(2))), atol=1e-6)


def test_gradient_flows():
    x = cloud(Hyperbolic(2), 5).requires_grad_()
    (g,) = torch.autograd.grad(Hyperbolic(2).frechet_mean(x)[1], x)
    assert torch.isfinite(g).all()
    assert g.abs().max() > 0.01


@pytest.mark.parametrize(("points", "weights"), [
    ([[1.0, 0, 0], [-1.0, 0, 0]], None),
    ([[1.0, 0, 0], [-1.0, 0, 0]], [0.6, 0.4]),
    ([[math.cos(a), math.sin(a), 0] for a in (0, 2 * math.pi / 3, 4 * math.pi / 3)], None),
    ([[0, 1.0, 0], [0, -1.0, 0], [0, 0, 1.0], [0, 0, -1.0]], None),
])  # fmt: skip
def test_a_mean_that_is_not_unique_is_refused(points, weights):
    x = torch.tensor(points, dtype=torch.float64)
    w = None if weights is None else torch.tensor(weights)
    with pytest.raises(ValueError, match="unique"):
        Sphere(2).frechet_mean(x, w)


def test_a_unique_mean_of_more_than_a_hemisphere():
    # Most of the mass at the pole, a few points behind the equator all round.
    angle = torch.arange(5, dtype=torch.float64) * 2 * math.pi / 5
    behind = Sphere(2).exp0(2.0 * torch.stack([angle.cos(), angle.sin()], -1))
    x = torch.cat([Sphere(2).origin(torch.float64).expand(20, -1), behind])
    assert torch.allclose(
        Sphere(2).frechet_mean(x), torch.tensor([1.0, 0, 0], dtype=torch.float64), atol=1e-8
    )


@pytest.mark.parametrize(("x", "weights", "message"), [
    (torch.zeros(0, 3), None, "n at least 1"),
    (torch.tensor([1.0, 0, 0]), None, "points as rows"),
    (torch.eye(3)[:2], torch.tensor([1.0]), "weights must be"),
    (torch.eye(3)[:2], torch.tensor([1.0, -1.0]), "weights must be"),
    (torch.eye(3)[:2], torch.tensor([0.0, 0.0]), "weights must be"),
    (torch.eye(3)[:2], torch.tensor([1.0, math.nan]), "weights must be"),
    (torch.full((2, 3), math.nan), None, "NaN"),
    (torch.zeros(2, 4), None, "ambient dimension"),
])  # fmt: skip
def test_bad_input(x, weights, message):
    with pytest.raises(ValueError, match=message):
        Sphere(2).frechet_mean(x, weights)
