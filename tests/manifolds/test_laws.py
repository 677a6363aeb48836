"""Laws that hold on every manifold, run over all of them and several curvatures."""

from __future__ import annotations

import math

import pytest
import torch

from skccvae.manifolds import CHARTS, Euclidean, Hyperbolic, Product, Sphere

SPACES = [
    Euclidean(1),
    Euclidean(3),
    *(Sphere(d, k) for d in (1, 2, 7) for k in (1.0, 0.3, 4.0)),
    Sphere(3, 1e-6),
    Sphere(40, 1.0),
    *(Hyperbolic(d, k) for d in (1, 2, 7) for k in (-1.0, -0.3, -4.0)),
    Hyperbolic(3, -1e-6),
    Hyperbolic(40, -1.0),
    Product([Hyperbolic(2, -0.7), Sphere(3, 2.0), Euclidean(2)]),
    Product([Sphere(1)] * 3),
]
EVERY = pytest.mark.parametrize("space", SPACES, ids=repr)


def tangents(space, x, n, generator, length=1.0):
    """Random tangent vectors at x of length up to `length`, below the injectivity radius."""
    u = torch.randn(n, space.ambient_dim, dtype=torch.float64, generator=generator)
    u = space.project_tangent(x, u)
    size = torch.rand(n, 1, dtype=torch.float64, generator=generator) * length
    return u * size / space.norm(x, u).unsqueeze(-1)


def points(space, n, generator, length=1.0):
    origin = space.origin(torch.float64).expand(n, -1)
    return space.exp(origin, tangents(space, origin, n, generator, length))


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@EVERY
def test_exp_and_log_invert_each_other(space, generator):
    x, y = points(space, 50, generator), points(space, 50, generator)
    u = tangents(space, x, 50, generator)
    assert torch.allclose(space.log(x, space.exp(x, u)), u, atol=1e-8)
    assert torch.allclose(space.exp(x, space.log(x, y)), y, atol=1e-8)
    assert space.belongs(space.exp(x, u)).all()


@EVERY
def test_distance_is_the_length_of_the_logarithm(space, generator):
    x = points(space, 50, generator)
    for length in (1.0, 1e-4, 1e-8):
        u = tangents(space, x, 50, generator, length)
        gap = (space.dist(x, space.exp(x, u)) - space.norm(x, u)).abs().max()
        # Coordinates of size R resolve no more than R eps.
        assert gap < 1e-14 * max(1.0, x.abs().max().item())


@EVERY
def test_metric_axioms(space, generator):
    x, y, z = (points(space, 200, generator, 1.5) for _ in range(3))
    assert torch.equal(space.dist(x, x), torch.zeros(200, dtype=torch.float64))
    assert torch.allclose(space.dist(x, y), space.dist(y, x), rtol=1e-13)
    assert (space.dist(x, y) + space.dist(y, z) >= space.dist(x, z) - 1e-12).all()
    assert (space.dist(x, y) > 0).all()


@EVERY
def test_transport_is_an_isometry_and_inverts(space, generator):
    x, y = points(space, 50, generator), points(space, 50, generator)
    u, v = tangents(space, x, 50, generator), tangents(space, x, 50, generator)
    tu, tv = space.transport(x, y, u), space.transport(x, y, v)
    assert torch.allclose(space.inner(y, tu, tv), space.inner(x, u, v), atol=1e-9)
    assert torch.allclose(space.transport(y, x, tu), u, atol=1e-8)
    assert torch.allclose(space.project_tangent(y, tu), tu, atol=1e-8)
    # The direction of the geodesic is carried to itself.
    ahead = space.transport(x, y, space.log(x, y))
    assert torch.allclose(ahead, -space.log(y, x), atol=1e-7)


@EVERY
def test_frame_is_the_transport_from_the_origin(space, generator):
    x = points(space, 50, generator)
    v = torch.randn(50, space.dim, dtype=torch.float64, generator=generator)
    u = space.from_frame(x, v)
    assert torch.allclose(space.to_frame(x, u), v, atol=1e-10)
    assert torch.allclose(space.inner(x, u, u), v.square().sum(-1), rtol=1e-9)
    origin = space.origin(torch.float64)
    assert torch.allclose(space.transport(origin, x, space.from_frame(origin, v)), u, atol=1e-8)


@EVERY
@pytest.mark.parametrize("chart", CHARTS)
def test_charts_round_trip(space, chart, generator):
    x = points(space, 50, generator)
    coords = space.to_chart(x, chart)
    assert coords.shape == (50, space.chart_dim(chart))
    assert torch.allclose(space.from_chart(coords, chart), x, atol=1e-8)


@EVERY
def test_tangent_chart_is_the_exponential_at_the_origin(space, generator):
    u = 0.3 * torch.randn(50, space.dim, dtype=torch.float64, generator=generator)
    u = u / u.norm(dim=-1, keepdim=True).clamp_min(1)
    x = space.exp0(u)
    assert torch.allclose(space.log0(x), u, atol=1e-9)
    assert torch.allclose(
        space.dist(space.origin(torch.float64), x), u.norm(dim=-1), rtol=1e-9, atol=1e-9
    )


@EVERY
def test_geodesic(space, generator):
    x, y = points(space, 30, generator), points(space, 30, generator)
    t = torch.rand(30, dtype=torch.float64, generator=generator)
    m = space.geodesic(x, y, t)
    assert space.belongs(m).all()
    assert torch.allclose(m, space.exp(x, t.unsqueeze(-1) * space.log(x, y)), atol=1e-8)
    assert torch.allclose(space.geodesic(x, y, 0.0), x, atol=1e-10)
    assert torch.allclose(space.geodesic(x, y, 1.0), y, atol=1e-10)
    steps = space.geodesic(x[:, None], y[:, None], torch.linspace(0, 1, 5, dtype=torch.float64))
    assert steps.shape == (30, 5, space.ambient_dim)
    assert torch.allclose(space.geodesic(x, x, 0.5), x, atol=1e-10)


@EVERY
def test_gradients_are_finite_in_float32_at_the_hard_places(space):
    o = space.origin(torch.float32)
    other = space.exp0(torch.full((space.dim,), 0.3))
    for x, y in ((o, o), (other, other), (o, other), (other, o)):
        x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
        u = space.project_tangent(x.detach(), torch.zeros(space.ambient_dim)).requires_grad_()
        v = torch.zeros(space.dim, requires_grad=True)
        for value in (
            space.dist(x, y),
            space.log(x, y).sum(),
            space.exp(x, u).sum(),
            space.exp0(v).sum(),
            space.log0(x).sum(),
            space.transport(x, y, u + 0.1).sum(),
            space.norm(x, u),
            space.geodesic(x, y, 0.5).sum(),
            space.to_chart(x, "stereographic").sum(),
        ):
            assert torch.isfinite(value)
            for g in torch.autograd.grad(value, [x, y, u, v], allow_unused=True):
                assert g is None or torch.isfinite(g).all()
    assert space.dist(other, other) == 0


@EVERY
def test_gradient_of_the_distance_has_length_one(space, generator):
    # At a generic point and from the origin: the Riemannian gradient is a unit vector.
    x, y = points(space, 20, generator), points(space, 20, generator)
    for start in (x, space.origin(torch.float64).expand(20, -1)):
        start = start.clone().requires_grad_()
        (g,) = torch.autograd.grad(space.dist(start, y).sum(), start)
        u = tangents(space, start.detach(), 20, generator)
        slope = -space.inner(start, u, space.log(start, y)) / space.dist(start, y)
        assert torch.allclose((g * u).sum(-1), slope.detach(), atol=1e-6)


@EVERY
def test_projection_keeps_points_and_scales(space, generator):
    x = points(space, 20, generator)
    assert torch.allclose(space.project(x), x, atol=1e-9)
    if not isinstance(space, (Euclidean, Product)):
        assert torch.allclose(space.project(3.0 * x), x, rtol=1e-6, atol=1e-8)
        assert space.belongs(space.project(x.mean(0)))


@EVERY
def test_bad_points_are_refused(space):
    with pytest.raises(ValueError, match="ambient dimension"):
        space.project(torch.zeros(3, space.ambient_dim + 1))
    with pytest.raises(ValueError, match="NaN or infinity"):
        space.project(torch.full((3, space.ambient_dim), math.nan))
    with pytest.raises(ValueError, match="chart must be one of"):
        space.to_chart(space.origin(), "ball")
    with pytest.raises(ValueError, match="chart must be one of"):
        space.from_chart(space.origin(), "ball")
    with pytest.raises(ValueError, match="columns"):
        space.from_chart(torch.zeros(2, space.dim + 5), "tangent")


@EVERY
def test_equality_and_repr(space):
    import pickle

    again = pickle.loads(pickle.dumps(space))
    assert again == space
    assert hash(again) == hash(space)
    assert repr(again) == repr(space)
    assert space != Euclidean(11)


@pytest.mark.parametrize("space", [s for s in SPACES if "1e-06" not in repr(s)], ids=repr)
def test_float32_and_float64_agree(space, generator):
    # Not where R = 1000: coordinates of that size leave few digits for distances of size 1.
    x, y = points(space, 20, generator), points(space, 20, generator)
    assert torch.allclose(space.dist(x.float(), y.float()).double(), space.dist(x, y), atol=1e-5)
    assert torch.allclose(space.log(x.float(), y.float()).double(), space.log(x, y), atol=2e-5)
