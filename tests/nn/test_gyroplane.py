"""Signed distances to hyperplanes against distances to points of the planes."""

from __future__ import annotations

import contextlib
import math

import pytest
import torch

from skccvae import kernels
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


@pytest.mark.parametrize("curvature", [-4.0, -0.3, -1e-3, 0.0, 1e-3, 0.2, 0.5])
@pytest.mark.parametrize("size", [0.1, 1.5])
def test_gradient_by_hand_is_the_derivative(curvature, size):
    torch.manual_seed(3)
    layer = Gyroplanes(3, 4).double()
    u = (size * torch.randn(2, 5, 3, dtype=torch.float64)).requires_grad_()
    K = torch.tensor(curvature, dtype=torch.float64, requires_grad=True)

    def value(u, weight, bias, K):
        layer = Gyroplanes(3, 4).double()
        del layer.linear.weight, layer.linear.bias
        layer.linear.weight, layer.linear.bias = weight, bias
        return layer(*exp_origin(u, K), K)

    weight, bias = (p.detach().clone().requires_grad_() for p in layer.linear.parameters())
    assert torch.autograd.gradcheck(value, (u, weight, bias, K), atol=1e-6)


@pytest.mark.parametrize("curvature", [-3.0, -0.01, -1e-9, 1e-9, 0.01, 0.4])
def test_other_devices_take_the_same_step(curvature):
    """Where the value of K must not be read, autograd does the same to every input."""
    torch.manual_seed(1)
    layer = Gyroplanes(3, 6).double()
    K = torch.tensor(curvature, dtype=torch.float64, requires_grad=True)
    u = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    c, s = exp_origin(u, K)
    weights = torch.randn(7, 6, dtype=torch.float64)
    inputs = (K, u, layer.weight, layer.bias)
    one = layer(c, s, K)
    with kernels.disabled():
        other = layer(c, s, K)
    assert torch.allclose(one, other, rtol=1e-10, atol=1e-10)
    gradients = torch.autograd.grad((one * weights).sum(), inputs, retain_graph=True)
    for a, b in zip(gradients, torch.autograd.grad((other * weights).sum(), inputs), strict=True):
        assert torch.allclose(a, b, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    "curvature", [-30.0, -1.0, -0.06, -3e-3, -1e-6, 0.0, 1e-20, 1e-6, 3e-3, 1.0]
)
def test_float32_keeps_its_digits(curvature):
    torch.manual_seed(2)
    layer = Gyroplanes(4, 50)
    u = torch.randn(200, 4) * torch.logspace(-6, 0.3, 200)[:, None]
    K = torch.tensor(curvature, dtype=torch.float64)
    single = K.float().requires_grad_()
    value = layer(*(p.float() for p in exp_origin(u.double(), K)), single)
    value.sum().backward()
    exact = Gyroplanes(4, 50).double()
    exact.load_state_dict(layer.state_dict())
    c, s = exp_origin(u.double(), K)
    double = single.detach().double().requires_grad_()
    reference = exact(c.float().double(), s.float().double(), double)
    reference.sum().backward()
    assert torch.allclose(value.double(), reference, rtol=2e-5, atol=2e-6)
    scale = exact.weight.grad.abs().max()
    assert (layer.weight.grad.double() - exact.weight.grad).abs().max() < 1e-4 * scale
    assert abs(single.grad.double() - double.grad) <= 1e-4 * max(1.0, abs(double.grad))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_at_a_pole_of_a_plane_the_ratio_of_angle_to_sine_is_held(dtype):
    """A quarter of a great circle from the equator, where the distance has a cone."""
    layer = Gyroplanes(2, 1).to(dtype)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[0.6, 0.8]]))
        layer.linear.bias.zero_()
    for K in (0.25, 1.0, 9.0):
        radius = K**-0.5
        c = torch.zeros(1, dtype=dtype)
        s = (radius * layer.weight.detach()).requires_grad_()
        curvature = torch.tensor(K, dtype=dtype, requires_grad=True)
        inputs = (s, layer.weight, layer.bias, curvature)
        value = layer(c, s, curvature)
        quarter = torch.tensor([[torch.pi / 2 * radius]], dtype=dtype)
        assert torch.allclose(value, quarter, rtol=1e-3)  # 1e-6 from the pole the slope is 1e3
        with kernels.disabled():
            other = layer(c, s, curvature)
        assert torch.allclose(value, other, rtol=1e-5)
        expected = torch.autograd.grad(other, inputs)
        for g, h in zip(torch.autograd.grad(value, inputs), expected, strict=True):
            assert torch.allclose(g, h, rtol=1e-4, atol=1e-5)
            assert g.abs().max() < 10


def test_weights_that_changed_before_the_backward_pass_are_noticed():
    layer = Gyroplanes(2, 3)
    value = layer(torch.ones(4), torch.randn(4, 2), -1.0).sum()
    with torch.no_grad():
        layer.linear.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


@pytest.mark.parametrize("curvature", [-1.0, 0.0, 0.3])
def test_a_plane_whose_gain_vanished_is_finite(curvature):
    layer = Gyroplanes(2, 3)
    torch.nn.init.zeros_(layer.linear.weight)
    K = torch.tensor(curvature, requires_grad=True)
    u = torch.randn(5, 2, requires_grad=True)
    for context in (contextlib.nullcontext(), kernels.disabled()):
        with context:
            value = layer(*exp_origin(u, K), K)
        gradients = torch.autograd.grad(value.sum(), (u, K, *layer.parameters()))
        assert all(torch.isfinite(g).all() for g in (value, *gradients))


@pytest.mark.parametrize("curvature", [-0.3, 1e-4, 0.3])
def test_a_row_that_is_nan_leaves_the_others_alone(curvature):
    torch.manual_seed(2)
    layer = Gyroplanes(2, 5)
    u = 0.2 * torch.randn(4, 2)
    K = torch.tensor(curvature, requires_grad=True)
    c, s = exp_origin(u, K.detach())
    found = layer(c, s, K)
    s = s.clone()
    s[1] = math.nan
    with_nan = layer(c, s, K)
    torch.testing.assert_close(with_nan[[0, 2, 3]], found[[0, 2, 3]])
    assert with_nan[1].isnan().all()
    with_nan[[0, 2, 3]].sum().backward()


@pytest.mark.parametrize("accelerated", [True, False])
@pytest.mark.parametrize("learned", [True, False])
def test_planes_far_away_overflow_nowhere(accelerated, learned):
    """The sinh of a distance of 57 curvature radii has no square in float32."""
    layer = Gyroplanes(1, 1)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.fill_(17.0)
    value = torch.tensor(40.0, requires_grad=True)
    c, s = torch.cosh(value)[None], torch.sinh(value)[None, None]
    K = torch.tensor(-1.0, requires_grad=True) if learned else -1.0
    with contextlib.nullcontext() if accelerated else kernels.disabled():
        distance = layer(c, s, K)[0, 0]
        distance.backward()
    # an offset of 17 is limited smoothly to 15.4
    offset = 17 / (1 + (17 / 20) ** 4) ** 0.25
    assert distance.item() == pytest.approx(40 + offset, rel=1e-5)
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())
    assert torch.isfinite(value.grad)
    assert not learned or torch.isfinite(K.grad)
