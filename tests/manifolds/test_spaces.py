"""What is particular to a space: geoopt's figures, projections and their refusals, antipodes."""

from __future__ import annotations

import math

import geoopt
import pytest
import torch

from skccvae.manifolds import (
    Euclidean,
    Hyperbolic,
    Product,
    Sphere,
    constant_curvature,
)


def sample(space, n, seed=0, length=1.5):
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(n, space.dim, dtype=torch.float64, generator=generator)
    u = u / u.norm(dim=-1, keepdim=True)
    return space.exp0(
        u * torch.rand(n, 1, dtype=torch.float64, generator=generator) * length * space.radius_
    )


def test_sphere_against_geoopt():
    ours, theirs = Sphere(3), geoopt.Sphere()
    x, y = sample(ours, 100, 0), sample(ours, 100, 1)
    u = ours.project_tangent(x, torch.randn(100, 4, dtype=torch.float64))
    assert torch.allclose(theirs.proju(x, u), u)
    assert torch.allclose(ours.dist(x, y), theirs.dist(x, y), atol=1e-7)
    assert torch.allclose(ours.exp(x, u), theirs.expmap(x, u), atol=1e-10)
    assert torch.allclose(ours.log(x, y), theirs.logmap(x, y), atol=1e-6)
    # geoopt's `transp` of the sphere is a projection, not a parallel transport: not compared.


@pytest.mark.parametrize("curvature", [-1.0, -0.5, -3.0])
def test_hyperboloid_against_geoopt(curvature):
    # There k is the squared radius.
    ours = Hyperbolic(3, curvature)
    theirs = geoopt.Lorentz(k=torch.tensor(-1 / curvature, dtype=torch.float64))
    x, y = sample(ours, 100, 0), sample(ours, 100, 1)
    u = ours.from_frame(x, torch.randn(100, 3, dtype=torch.float64))
    assert torch.allclose(ours.inner(x, u, u), theirs.inner(x, u), rtol=1e-9)
    assert torch.allclose(ours.exp(x, u), theirs.expmap(x, u), rtol=1e-8, atol=1e-8)
    if curvature == -1.0:
        # At other radii geoopt's distance and transport leave out a factor.
        assert torch.allclose(ours.dist(x, y), theirs.dist(x, y), atol=1e-6)
        assert torch.allclose(ours.transport(x, y, u), theirs.transp(x, y, u), atol=1e-7)


@pytest.mark.parametrize("curvature", [-2.0, -1.0, -0.1, 0.0, 0.1, 1.0, 2.0])
def test_stereographic_chart_against_geoopt(curvature):
    ours = constant_curvature(3, curvature)
    theirs = geoopt.Stereographic(k=torch.tensor(curvature, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    p, q = 0.6 * torch.rand(2, 100, 3, dtype=torch.float64, generator=generator) - 0.3
    x, y = ours.from_chart(p, "stereographic"), ours.from_chart(q, "stereographic")
    # At k = 0 geoopt's metric is 4 times the Euclidean one: points are halved, distances are not.
    assert torch.allclose(ours.dist(x, y), theirs.dist(p, q), atol=1e-8)
    assert torch.allclose(ours.to_chart(x, "stereographic"), p, atol=1e-12)
    middle = ours.to_chart(ours.geodesic(x, y, 0.3), "stereographic")
    assert torch.allclose(middle, theirs.geodesic(torch.tensor(0.3), p, q), atol=1e-7)


@pytest.mark.parametrize("K", [1e-6, -1e-6])
@pytest.mark.parametrize("chart", ["tangent", "stereographic"])
def test_curved_spaces_tend_to_the_flat_one(K, chart):
    curved, flat = constant_curvature(2, K), Euclidean(2)
    coords = torch.randn(2, 50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x, y = curved.from_chart(coords, chart)
    p, q = flat.from_chart(coords, chart)
    assert torch.allclose(curved.dist(x, y), flat.dist(p, q), atol=1e-4)
    assert torch.allclose(curved.log0(x), p, atol=1e-4)
    r = torch.linspace(0, 5, 20, dtype=torch.float64)
    assert torch.allclose(curved.log_volume_ratio(r), flat.log_volume_ratio(r), atol=1e-4)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_volume_ratio(d):
    r = torch.tensor([0.5, 2.0], dtype=torch.float64)
    assert torch.allclose(
        Hyperbolic(d, -4.0).log_volume_ratio(r), (d - 1) * (torch.sinh(2 * r) / (2 * r)).log()
    )
    assert torch.allclose(
        Sphere(d, 0.25).log_volume_ratio(r), (d - 1) * (torch.sin(r / 2) / (r / 2)).log()
    )
    both = Product([Hyperbolic(d, -4.0), Sphere(d, 0.25)])
    assert torch.allclose(
        both.log_volume_ratio(r),
        Hyperbolic(d, -4.0).log_volume_ratio(r[0]) + Sphere(d, 0.25).log_volume_ratio(r[1]),
    )


def test_sphere_projection():
    sphere = Sphere(2, 0.25)
    assert torch.allclose(
        sphere.project(torch.tensor([[3e30, 4e30, 0.0], [0.0, 3e-30, 4e-30]])),
        torch.tensor([[1.2, 1.6, 0.0], [0.0, 1.2, 1.6]]),
    )
    with pytest.raises(ValueError, match="zero vector has no nearest point"):
        sphere.project(torch.zeros(1, 3))


def test_hyperboloid_projection():
    space = Hyperbolic(2, -0.25)
    assert torch.allclose(space.project(torch.tensor([5.0, 3.0, 0.0])),
                          torch.tensor([2.5, 1.5, 0.0]))  # fmt: skip
    for bad in ([1.0, 2.0, 0.0], [1.0, 1.0, 0.0], [-5.0, 3.0, 0.0], [0.0, 0.0, 0.0]):
        with pytest.raises(ValueError, match="space-like"):
            space.project(torch.tensor([[5.0, 3.0, 0.0], bad]))
    # Far out the ray's scale is lost in float32; points of the space are kept all the same.
    x = Hyperbolic(2).exp0(torch.tensor([[12.0, 0.0], [0.0, 30.0]]))
    assert torch.equal(Hyperbolic(2).project(x), x)
    mean = Hyperbolic(2).exp0(torch.tensor([[3.0, 1.0], [0.0, 6.0]])).mean(0)
    assert Hyperbolic(2).belongs(Hyperbolic(2).project(mean))


def test_stereographic_refusals():
    with pytest.raises(ValueError, match="inside the ball of radius"):
        Hyperbolic(2, -4.0).from_chart(torch.tensor([[0.1, 0.0], [0.5, 0.0]]), "stereographic")
    with pytest.raises(ValueError, match="antipode of the origin"):
        Sphere(2).to_chart(torch.tensor([[-1.0, 0.0, 0.0]]), "stereographic")
    # Near it the coordinates are large and accurate.
    y = torch.tensor([[3e3, 4e3]])
    x = Sphere(2).from_chart(y, "stereographic")
    assert torch.allclose(Sphere(2).to_chart(x, "stereographic"), y, rtol=1e-4)


@pytest.mark.parametrize("curvature", [1.0, 0.04])
def test_antipodes(curvature):
    sphere = Sphere(2, curvature)
    R = sphere.radius_
    x = sample(sphere, 20)
    assert torch.allclose(sphere.dist(x, -x), torch.full((20,), math.pi * R, dtype=torch.float64))
    u = sphere.log(x, -x)
    assert torch.allclose(sphere.norm(x, u), torch.full((20,), math.pi * R, dtype=torch.float64))
    assert torch.allclose(sphere.exp(x, u), -x, atol=1e-12)
    with pytest.raises(ValueError, match="between antipodes"):
        sphere.transport(x, -x, torch.zeros_like(x))
    with pytest.raises(ValueError, match="antipodes"):
        sphere.geodesic(x, -x, 0.5)
    near = sphere.exp(x, u * (1 - 1e-6))
    assert torch.allclose(
        sphere.dist(x, near), torch.full((20,), math.pi * R * (1 - 1e-6), dtype=torch.float64),
        rtol=1e-12,
    )  # fmt: skip


def test_belongs():
    sphere, space = Sphere(2), Hyperbolic(2)
    assert sphere.belongs(torch.tensor([[1.0, 0, 0], [1.1, 0, 0], [math.nan, 0, 0]])).tolist() == [
        True, False, False,
    ]  # fmt: skip
    assert sphere.belongs(torch.tensor([1.1, 0, 0]), atol=0.2)
    assert space.belongs(
        torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [math.sqrt(2), 1, 0], [1.0, 1, 0]])
    ).tolist() == [True, False, True, False]
    assert Euclidean(2).belongs(torch.tensor([[0.0, math.inf], [1.0, 2.0]])).tolist() == [
        False, True,
    ]  # fmt: skip


@pytest.mark.parametrize("dim", [0, -1, 2.0, "2", True, None])
@pytest.mark.parametrize("make", [Euclidean, Sphere, Hyperbolic])
def test_bad_dimension(make, dim):
    with pytest.raises((TypeError, ValueError), match="dim must be"):
        make(dim)


@pytest.mark.parametrize(("make", "curvature"), [
    (Sphere, -1.0), (Sphere, 0.0), (Sphere, math.nan), (Sphere, math.inf), (Sphere, "1"),
    (Hyperbolic, 1.0), (Hyperbolic, 0.0), (Hyperbolic, math.nan), (Hyperbolic, -math.inf),
    (Hyperbolic, True), (constant_curvature, math.nan), (constant_curvature, None),
    (constant_curvature, math.inf), (constant_curvature, True),
])  # fmt: skip
def test_bad_curvature(make, curvature):
    with pytest.raises((TypeError, ValueError), match="curvature"):
        make(2, curvature)


def test_factory_picks_by_sign():
    assert constant_curvature(2, -2) == Hyperbolic(2, -2.0)
    assert constant_curvature(2, 0.0) == Euclidean(2)
    assert constant_curvature(2, 3) == Sphere(2, 3.0)


def test_attributes():
    assert (Sphere(3, 4.0).radius_, Sphere(3).ambient_dim, Sphere(3).dim) == (0.5, 4, 3)
    assert (Hyperbolic(3, -0.25).radius_, Hyperbolic(3).ambient_dim) == (2.0, 4)
    assert (Euclidean(3).curvature, Euclidean(3).ambient_dim) == (0.0, 3)
    assert Sphere(3).chart_dim("ambient") == 4
    assert Sphere(3).chart_dim("stereographic") == Sphere(3).chart_dim("tangent") == 3


def test_the_natural_chart_is_ambient_on_spheres_and_tangent_elsewhere():
    generator = torch.Generator().manual_seed(0)
    for space, chart in (
        (Sphere(2, 3.0), "ambient"),
        (Euclidean(2), "tangent"),
        (Hyperbolic(2, -0.4), "tangent"),
    ):
        x = space.exp0(0.7 * torch.randn(20, 2, dtype=torch.float64, generator=generator))
        assert space.chart_dim("natural") == space.chart_dim(chart)
        assert torch.equal(space.to_chart(x, "natural"), space.to_chart(x, chart))
    product = Product([Hyperbolic(2, -0.4), Sphere(2, 3.0), Euclidean(1)])
    assert product.chart_dim("natural") == 6
    x = product.exp0(0.7 * torch.randn(20, 5, dtype=torch.float64, generator=generator))
    coords = product.to_chart(x, "natural")
    h, s, e = product.split(x)
    assert torch.equal(coords, torch.cat([product.factors[0].log0(h), s, e], -1))
    # Natural points of a sphere are projected as ambient ones are.
    coords[:, 2:5] *= 5.0
    assert torch.allclose(product.from_chart(coords, "natural"), x, rtol=1e-12, atol=1e-12)
    coords[0, 2:5] = 0.0
    with pytest.raises(ValueError, match="zero vector has no nearest point on the sphere"):
        product.from_chart(coords, "natural")
    with pytest.raises(ValueError, match="natural coordinates need 6 columns"):
        product.from_chart(x, "natural")


def test_the_natural_chart_has_no_cut_at_the_antipode():
    space = Sphere(2)
    u = torch.tensor([[3.1, 0.0], [-3.1, 0.0]], dtype=torch.float64)
    x = space.exp0(u)
    assert space.dist(*x) < 0.1
    assert torch.dist(*space.to_chart(x, "natural")) < 0.1
    assert torch.dist(*space.to_chart(x, "tangent")) > 6


def test_product_is_made_of_its_factors():
    factors = [Hyperbolic(2, -0.7), Sphere(3, 2.0), Euclidean(2)]
    product = Product(factors)
    parts = [sample(f, 10) if f.curvature else torch.randn(10, 2).double() for f in factors]
    others = [sample(f, 10, 1) if f.curvature else torch.randn(10, 2).double() for f in factors]
    x, y = torch.cat(parts, -1), torch.cat(others, -1)
    squares = sum(f.dist(a, b).square() for f, a, b in zip(factors, parts, others, strict=True))
    assert torch.allclose(product.dist(x, y).square(), squares)
    assert product.factor_dists(x, y).shape == (10, 3)
    assert (product.curvature, product.dim, product.ambient_dim) == ((-0.7, 2.0, 0.0), 7, 9)
    assert product.chart_dim("tangent") == 7
    with pytest.raises(ValueError, match="at least one factor"):
        Product([])
    with pytest.raises(TypeError, match="Factors must be"):
        Product([Sphere(2), 3])
    with pytest.raises(ValueError, match="space-like"):
        product.project(torch.zeros(1, 9))
