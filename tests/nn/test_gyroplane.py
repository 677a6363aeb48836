"""Signed distances to hyperplanes against distances to points of the planes."""

from __future__ import annotations

import pytest
import torch

from skccvae.manifolds import constant_curvature
from skccvae.manifolds.functional import exp_origin
from skccvae.nn import Gyroplanes


@pytest.mark.parametrize("curvature", [-2.0, -0.5, -1e-7, 0.0, 1e-7, 0.3])
def test_distance_is_that_to_the_nearest_point_of_the_plane(curvature):
    """In two dimensions a plane is a geodesic, which can be walked along."""
    torch.manual_seed(0)
    layer = Gyroplanes(2, 3).double()
    manifold = constant_curvature(2, curvature)
    z = manifold.exp0(0.6 * torch.randn(5, 2, dtype=torch.float64))
    with torch.no_grad():
        values = layer(*manifold.to_polar(z), curvature)
    gain = layer.weight.norm(dim=-1)
    walk = torch.linspace(-2, 2, 40001, dtype=torch.float64)
    for number in range(3):
        direction = (layer.weight[number] / gain[number]).detach()
        offset = (-layer.bias[number] / gain[number]).detach()
        foot = manifold.exp0(offset * direction)
        across = torch.stack([-direction[1], direction[0]])
        tangent = manifold.transport(
            manifold.origin(dtype=torch.float64), foot, _at_origin(manifold, across)
        )
        line = manifold.exp(foot.expand(len(walk), -1), walk[:, None] * tangent)
        nearest = manifold.dist(z[:, None], line[None]).min(dim=1).values
        assert torch.allclose(values[:, number].abs() / gain[number], nearest, atol=1e-4)


def _at_origin(manifold, u):
    if manifold.ambient_dim == manifold.dim:
        return u
    return torch.cat([u.new_zeros(1), u])


def test_curvature_tensor_gives_the_same_and_a_gradient_through_zero():
    torch.manual_seed(0)
    layer = Gyroplanes(3, 4).double()
    u = 0.5 * torch.randn(6, 3, dtype=torch.float64)

    def value(K):
        return layer(*exp_origin(u, K), K)

    for K in (-1.0, -1e-4, 1e-4, 0.5):
        tensor = torch.tensor(K, dtype=torch.float64)
        assert torch.allclose(value(tensor), value(K), atol=1e-9)
    for K in (-0.7, 0.0, 0.4):
        tensor = torch.tensor(K, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(value, (tensor,), atol=1e-6)
