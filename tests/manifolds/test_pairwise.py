"""Matrices of distances: their values, their symmetry, their blocks and what is refused."""

from __future__ import annotations

import math

import pytest
import torch

from skccvae.manifolds import CHARTS, Euclidean, Hyperbolic, Product, Sphere
from skccvae.manifolds import pairwise as module

SPACES = [Euclidean(2), Sphere(1), Sphere(3, 0.5), Hyperbolic(1), Hyperbolic(3, -2.0),
          Hyperbolic(2, -1e-6), Sphere(2, 1e-6),
          Product([Hyperbolic(2), Sphere(2, 3.0), Euclidean(1)])]  # fmt: skip
EVERY = pytest.mark.parametrize("space", SPACES, ids=repr)


def cloud(space, n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return space.exp0(0.7 * torch.randn(n, space.dim, dtype=torch.float64, generator=generator))


@EVERY
def test_against_the_distance_of_pairs(space):
    x, y = cloud(space, 30), cloud(space, 20, 1)
    D = space.pairwise(x, y)
    assert D.shape == (30, 20)
    # Coordinates of size 1000, where K is small, resolve 1e-10 of distance.
    assert torch.allclose(D, space.dist(x[:, None], y), rtol=1e-9, atol=1e-10)


@EVERY
def test_without_a_second_argument(space):
    x = cloud(space, 40)
    D = space.pairwise(x)
    assert (D.diagonal() == 0).all()
    assert torch.equal(D, D.T)
    assert torch.allclose(D, space.pairwise(x, x), rtol=0, atol=1e-12)


@EVERY
def test_blocks_make_no_difference(space, monkeypatch):
    x, y = cloud(space, 101), cloud(space, 30, 1)
    whole, other = space.pairwise(x), space.pairwise(x, y)
    monkeypatch.setattr(module, "_PAIRS", 500)
    sizes = []
    original = type(space)._distance_block

    def watched(self, a, b):
        if self is space:
            sizes.append(len(a) * len(b))
        return original(self, a, b)

    monkeypatch.setattr(type(space), "_distance_block", watched)
    # Vectorised functions and the scalar ones at a block's end may differ in the last bit.
    assert torch.allclose(space.pairwise(x, y), other, rtol=1e-14, atol=0)
    assert max(sizes) <= 500
    assert sum(sizes) == 101 * 30
    sizes.clear()
    D = space.pairwise(x)
    assert torch.allclose(D, whole, rtol=1e-14, atol=0)
    assert torch.equal(D, D.T)
    assert max(sizes) <= 500
    assert 101 * 102 / 2 <= sum(sizes) < 0.6 * 101**2  # half of the matrix


@EVERY
def test_float64_from_float32_and_no_gradient(space):
    x = cloud(space, 10).float().requires_grad_()
    D = space.pairwise(x)
    assert D.dtype == torch.float64
    assert not D.requires_grad
    assert torch.equal(D, space.pairwise(x.detach().double()))


@EVERY
def test_few_points(space):
    x = cloud(space, 3)
    assert space.pairwise(x[:1]).tolist() == [[0.0]]
    assert space.pairwise(x[:0]).shape == (0, 0)
    assert space.pairwise(x[:0], x).shape == (0, 3)
    assert space.pairwise(x, x[:0]).shape == (3, 0)


@EVERY
def test_bad_points(space):
    x = cloud(space, 3)
    with pytest.raises(ValueError, match="points as rows"):
        space.pairwise(x[0])
    with pytest.raises(ValueError, match="points as rows"):
        space.pairwise(x, x[None])
    with pytest.raises(ValueError, match="ambient dimension"):
        space.pairwise(x, x[:, 1:])
    with pytest.raises(ValueError, match="NaN"):
        space.pairwise(x, x * math.nan)


def test_every_space_has_factors():
    product = SPACES[-1]
    assert [len(space.factors) for space in SPACES] == [1] * 7 + [3]
    assert Sphere(2).factors == (Sphere(2),)
    x = cloud(product, 4)
    for space, point in ((product, x), (Sphere(2), cloud(Sphere(2), 4))):
        for chart in CHARTS:
            coordinates = space.to_chart(point, chart)
            parts = space.split(coordinates, chart)
            assert torch.equal(torch.cat(parts, -1), coordinates)
            pairs = zip(space.factors, parts, strict=True)
            assert all(part.shape == (4, f.chart_dim(chart)) for f, part in pairs)
