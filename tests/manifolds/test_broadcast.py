"""Leading shapes broadcast in every method of every space."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skccvae.manifolds import CHARTS, Euclidean, Hyperbolic, Manifold, Product, Sphere

SPACES = [
    Euclidean(1),
    Euclidean(3),
    Sphere(1),
    Sphere(3, 0.5),
    Hyperbolic(1),
    Hyperbolic(3, -2.0),
    Product([Sphere(2), Euclidean(2)]),
    Product([Euclidean(1), Hyperbolic(2), Sphere(3, 2.0)]),
]
# What each method takes: points, ambient vectors, tangent coordinates, numbers.
METHODS = {
    "exp": ("point", "vector"),
    "log": ("point", "point"),
    "dist": ("point", "point"),
    "transport": ("point", "point", "vector"),
    "inner": ("point", "vector", "vector"),
    "norm": ("point", "vector"),
    "project": ("point",),
    "project_tangent": ("point", "vector"),
    "belongs": ("point",),
    "exp0": ("coordinates",),
    "log0": ("point",),
    "to_frame": ("point", "vector"),
    "from_frame": ("point", "coordinates"),
    "geodesic": ("point", "point", "number"),
}
WITHOUT_LEADING_SHAPES = {"origin", "chart_dim", "split", "pairwise", "frechet_mean", "factors"}


def random_shapes(rng, n):
    """n shapes that broadcast with each other."""
    whole = rng.integers(1, 4, size=rng.integers(4))
    shapes = [whole * rng.integers(2, size=len(whole)) for _ in range(n)]
    return [tuple(np.maximum(s, 1)[rng.integers(len(s) + 1) :].tolist()) for s in shapes]


def argument(space, kind, shape, generator):
    def normal(*tail):
        return torch.randn((*shape, *tail), dtype=torch.float64, generator=generator)

    if kind == "point":
        return space.exp0(0.5 * normal(space.dim))
    return normal(*{"vector": [space.ambient_dim], "coordinates": [space.dim], "number": []}[kind])


def check(method, arguments, tails):
    """Compare with one call on rows, all arguments expanded and flattened to (n, ...)."""
    shapes = [a.shape[: a.ndim - tail] for a, tail in zip(arguments, tails, strict=True)]
    whole = torch.broadcast_shapes(*shapes)
    rows = [
        a.expand((*whole, *a.shape[a.ndim - tail :])).reshape(-1, *a.shape[a.ndim - tail :])
        for a, tail in zip(arguments, tails, strict=True)
    ]
    expected = method(*rows)
    found = method(*arguments)
    assert found.shape == (*whole, *expected.shape[1:])
    torch.testing.assert_close(
        found.reshape(expected.shape), expected, rtol=1e-13, atol=1e-13, msg=str(shapes)
    )


def test_every_method_is_here():
    public = {name for name in vars(Manifold) if not name.startswith("_")}
    charts = {"to_chart", "from_chart"}
    assert public - {"dim", "ambient_dim"} == {*METHODS, *charts, *WITHOUT_LEADING_SHAPES}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_arguments_of_different_shapes(space, name):
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    kinds = METHODS[name]
    tails = [int(kind != "number") for kind in kinds]
    for _ in range(15):
        shapes = random_shapes(rng, len(kinds))
        arguments = [
            argument(space, kind, shape, generator)
            for kind, shape in zip(kinds, shapes, strict=True)
        ]
        check(getattr(space, name), arguments, tails)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_one_row_against_many(space, name):
    generator = torch.Generator().manual_seed(0)
    kinds = METHODS[name]
    for many in range(len(kinds)):
        arguments = [
            argument(space, kind, (5,) if i == many else (), generator)
            for i, kind in enumerate(kinds)
        ]
        check(getattr(space, name), arguments, [int(kind != "number") for kind in kinds])


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_charts_of_any_leading_shape(space, chart):
    generator = torch.Generator().manual_seed(0)
    for shape in ((), (1,), (4,), (2, 1, 3)):
        x = argument(space, "point", shape, generator)
        check(lambda x: space.to_chart(x, chart), [x], [1])
        check(lambda c: space.from_chart(c, chart), [space.to_chart(x, chart)], [1])
