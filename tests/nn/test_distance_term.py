"""The stress term: values, gradients, and numbers that stay finite to the bounds of each space."""

from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from sklearn.metrics import pairwise_distances

from skccvae.kernels import disabled
from skccvae.kernels.stress import _distances, _versines
from skccvae.manifolds import Euclidean, Hyperbolic, Product, Sphere
from skccvae.manifolds.functional import exp_origin
from skccvae.nn import (
    ROW_DISTANCES,
    EuclideanLatent,
    ProductLatent,
    ProjectedNormalLatent,
    RiemannianLatent,
    SphericalLatent,
    WrappedLatent,
    distance_stress,
    geodesic_pairs,
    stress,
)

LATENTS = {
    "plane": lambda: EuclideanLatent(3),
    "sphere": lambda: SphericalLatent(3, 0.5),
    "projected": lambda: ProjectedNormalLatent(2),
    "hyperbolic": lambda: WrappedLatent(3, -2.0),
    "hyperbolic axes": lambda: WrappedLatent(3, -1.0, "auto"),
    "learned, K > 0": lambda: RiemannianLatent(2, 0.3, learn_curvature=True),
    "learned, K = 0": lambda: RiemannianLatent(2, 0.0, learn_curvature=True),
    "learned, K < 0": lambda: WrappedLatent(2, -1.5, learn_curvature=True),
    "product": lambda: ProductLatent(
        [SphericalLatent(2), WrappedLatent(2, -1.0), EuclideanLatent(1)], ["s0", "h0", "e0"]
    ),
}


def _params(latent, n=7, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(n, latent.n_params, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", LATENTS)
def test_distances_are_those_of_the_manifold(name):
    latent = LATENTS[name]().double()
    params = _params(latent)
    found = geodesic_pairs(latent.placed(params)).detach()
    wanted = latent.fitted_manifold().pairwise(latent.location(params).detach())
    assert found.triu(1).numpy() == pytest.approx(wanted.triu(1).numpy(), abs=1e-7)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", LATENTS)
def test_gradients_against_finite_differences(name, fused):
    latent = LATENTS[name]().double()
    params = _params(latent).requires_grad_(True)
    goal = torch.rand(7, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    # The curvature too, where it is a parameter.
    learned = [p for n, p in latent.named_parameters() if n.endswith("learned")]

    goal = goal + goal.T

    def loss(params, *_):
        with nullcontext() if fused else disabled():
            return distance_stress(latent.placed(params), goal)

    assert torch.autograd.gradcheck(loss, (params, *learned), atol=1e-6)
    (gradient,) = torch.autograd.grad(loss(params), params)
    assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", LATENTS)
@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e4, 1e12])
def test_float32_is_finite_to_the_bounds(name, scale, fused):
    latent = LATENTS[name]().float()
    params = _params(latent, scale=scale).float()
    if scale == 0:
        params[..., 0] = 1.0  # a direction; all rows coincide
    params[1] = params[0]
    params.requires_grad_(True)
    goal = torch.rand(7, 7, generator=torch.Generator().manual_seed(1))
    with nullcontext() if fused else disabled():
        value = distance_stress(latent.placed(params), goal + goal.T)
    value.backward()
    assert 0 <= value <= 1 + 1e-6
    assert torch.isfinite(params.grad).all()


@pytest.mark.parametrize("K", [0.25, 1.0, torch.tensor(1.0)])
def test_antipodal_and_coincident_points(K):
    radius = 1 / math.sqrt(float(K))
    c = torch.tensor([1.0, -1.0, 1.0], requires_grad=True)
    s = torch.zeros(3, 2, requires_grad=True)
    found = geodesic_pairs([(c, s, K)])
    assert found[0, 1].item() == pytest.approx(math.pi * radius, rel=1e-3)
    assert found[0, 2].item() == pytest.approx(0, abs=1e-12)
    found.sum().backward()
    assert torch.isfinite(c.grad).all()
    assert torch.isfinite(s.grad).all()


def test_antipodal_and_coincident_points_in_the_fused_step():
    c = torch.tensor([1.0, -1.0, 1.0], requires_grad=True)
    s = torch.zeros(3, 2, requires_grad=True)
    goal = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    for K in (1.0, torch.tensor(1.0, requires_grad=True)):
        value = distance_stress([(c, s, K)], goal)
        value.backward()
        assert value.item() == pytest.approx(0, abs=1e-6)
        assert torch.isfinite(c.grad).all()
        assert torch.isfinite(s.grad).all()


@pytest.mark.parametrize("name", LATENTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_paths_are_equal(name, dtype):
    latent = LATENTS[name]().to(dtype)
    goal = torch.rand(30, 30, generator=torch.Generator().manual_seed(1), dtype=dtype)
    goal, found = goal + goal.T, []
    for context in (nullcontext(), disabled()):
        params = _params(latent, n=30, scale=2.0).to(dtype).requires_grad_(True)
        with context:
            value = distance_stress(latent.placed(params), goal)
        learned = [p for n, p in latent.named_parameters() if n.endswith("learned")]
        found.append([value, *torch.autograd.grad(value, [params, *learned])])
    for one, other in zip(*found, strict=True):
        size = other.abs().max().item()
        assert (one - other).abs().max().item() < (1e-3 if dtype == torch.float32 else 1e-9) * size


def test_near_points_far_out():
    """Ten curvature radii out, distances of 0.1 keep their digits in both paths."""
    u = torch.tensor([[10.0, 0.0], [10.1, 0.0], [10.3, 0.0]])
    for parts in ([(*exp_origin(u, -1.0), -1.0)], [(None, u, -1.0)]):
        found = geodesic_pairs(parts)
        assert found[0, 1].item() == pytest.approx(0.1, rel=1e-3)
        assert distance_stress(parts, found).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    "manifold",
    [Euclidean(2), Sphere(2, 4.0), Hyperbolic(2, -4.0), Product([Sphere(1), Euclidean(1)])],
)
def test_proportional_distances_have_no_stress(manifold):
    D = manifold.pairwise(manifold.exp0(_tangents(manifold)))
    assert stress(D, 3 * D).item() == pytest.approx(0, abs=1e-12)
    assert stress(D, D.max() - D).item() > 0.1


def _tangents(manifold):
    return 0.4 * torch.randn(6, manifold.dim, generator=torch.Generator().manual_seed(2)).double()


def test_stress_is_the_residual_of_a_regression():
    rng = np.random.default_rng(0)
    latent, wanted = rng.random((5, 5)), rng.random((5, 5))
    upper = np.triu_indices(5, 1)
    x, y = latent[upper], wanted[upper]
    factor, rest, *_ = np.linalg.lstsq(x[:, None], y, rcond=None)
    found = stress(torch.from_numpy(latent), torch.from_numpy(wanted))
    assert found.item() == pytest.approx(rest[0] / (y @ y))
    # Only what stands above the diagonal counts.
    assert stress(torch.from_numpy(latent).triu(1), torch.from_numpy(wanted)).item() == found.item()


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_rows_have_no_stress(n):
    latent = SphericalLatent(2)
    params = torch.randn(n, latent.n_params, requires_grad=True)
    value = stress(geodesic_pairs(latent.placed(params)), torch.zeros(n, n))
    value.backward()
    assert value.item() == 0
    assert torch.isfinite(params.grad).all()


@pytest.mark.parametrize("name", ROW_DISTANCES)
def test_row_distances_are_those_of_scikit_learn(name):
    rows = np.random.default_rng(0).random((9, 6))
    if name == "jaccard":
        rows = rows > 0.5
        rows[0] = rows[1] = False
    found = ROW_DISTANCES[name](torch.from_numpy(rows.astype(np.float64)))
    wanted = pairwise_distances(rows, metric=name)
    assert found.numpy() == pytest.approx(wanted, abs=1e-7)
    assert (found >= 0).all()


@pytest.mark.parametrize("K", [1e-30, 1e-12, 1e-6, 1e-4, 0.25])
@pytest.mark.parametrize("size", [1.0, 100.0, 1000.0])
@pytest.mark.parametrize("learned", [False, True])
def test_spheres_of_any_size(K, size, learned):
    """On small and on large spheres, points past the equator included, both paths are equal."""
    u = size * torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    goal = torch.rand(6, 6, generator=torch.Generator().manual_seed(1))
    goal, found = goal + goal.T, []
    for context in (nullcontext(), disabled()):
        curvature = torch.tensor(K, requires_grad=True) if learned else K
        c, s = exp_origin(u, K)
        with context:
            value = distance_stress([(c, s.requires_grad_(True), curvature)], goal)
        value.backward()
        assert torch.isfinite(s.grad).all()
        assert not learned or torch.isfinite(curvature.grad)
        found.append(value.item())
    assert found[0] == pytest.approx(found[1], abs=1e-4)


def test_how_far_out_the_fused_step_resolves_near_points():
    for radius, error in ((13.0, 1e-4), (16.0, 0.05)):
        u = torch.tensor([[radius, 0.0], [radius + 0.1, 0.0]])
        versine = _versines(exp_origin(u, -1.0)[1].double(), -1.0)[0]
        assert abs(_distances(versine, -1.0)[0][0, 1].item() - 0.1) < error
