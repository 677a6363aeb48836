"""Limits on what a network says about a posterior."""

from __future__ import annotations

import pytest
import torch

from skccvae.nn.limits import (
    Limits,
    draw_reach,
    learned_limits,
    limited_parameters,
    limits_on_device,
    posterior_limits,
    riemannian_prior_fits,
)
from skccvae.special.smooth_limit import limit_log_scale, limit_size


@pytest.mark.parametrize("limit", [1e-6, 0.01, 2.0])
def test_fixed_and_tensor_limits_agree_and_gradients_are_right(limit):
    torch.manual_seed(0)
    x = 2 * torch.randn(50, dtype=torch.float64)
    x.requires_grad_(True)
    tensor = torch.tensor(limit, dtype=torch.float64)
    for function in (limit_size, limit_log_scale):
        assert torch.allclose(function(x, limit), function(x, tensor), atol=1e-12)
        assert torch.autograd.gradcheck(lambda t, f=function: f(t, limit), (x,))
    assert torch.allclose(limit_log_scale(x, limit), limit_size(x.exp(), limit).log(), atol=1e-9)


@pytest.mark.parametrize("curvature", [-0.3, -1e-6, 1e-7, 1e-6, 0.3])
def test_the_gradient_of_a_learned_curvature_keeps_its_digits_in_float32(curvature):
    """Near 0 the bounds take off less than float32 resolves next to 1."""
    raw = torch.linspace(-3, 3, 40).reshape(20, 2)
    raw_scale = torch.linspace(3.0, 6.0, 40).reshape(20, 2)
    found = []
    for dtype in (torch.float32, torch.float64):
        K = torch.tensor(curvature, dtype=dtype, requires_grad=True)
        _, log_scale = limited_parameters(raw.to(dtype), raw_scale.to(dtype), K, 2, 1.0, False)
        found.append(torch.autograd.grad(log_scale.sum(), K)[0].item())
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("curvature", [-1.0, -1e-6, 0.0, 1.0])
def test_numbers_far_out_keep_their_limit(curvature):
    """Fourth powers of them leave float32."""
    raw = torch.tensor([[1e3, -1e9], [1e10, -3e16]], requires_grad=True)
    K = torch.tensor(curvature, requires_grad=True)
    tangent, log_scale = limited_parameters(raw, raw, K, 2, 1.0, False)
    fixed = limited_parameters(raw, raw, curvature, 2, 1.0, False)[0]
    assert torch.allclose(tangent, fixed, rtol=1e-6)
    assert (tangent.abs() >= 1).all()
    gradients = torch.autograd.grad((tangent.sum(), log_scale.sum()), (raw, K))
    assert all(torch.isfinite(g).all() for g in gradients)


def test_sizes_stay_below_the_limit_and_small_ones_as_they_are():
    x = torch.tensor([1e-3, 0.1, 1.0, 1e3, 1e9])
    bounded = limit_size(x, 0.01)
    assert bool((bounded <= 10.0 * (1 + 1e-6)).all())
    assert torch.allclose(bounded[:3], x[:3], rtol=1e-4)
    assert torch.equal(limit_size(x, 0.0), x)


def test_range_of_float32():
    assert draw_reach(2, 1.0, -1.0) == pytest.approx(0.55 * 42)
    with pytest.raises(ValueError, match="too far out for float32"):
        draw_reach(40, 1.0, -1.0, riemannian=True)
    assert riemannian_prior_fits(40, 1.0, -0.25)
    assert not riemannian_prior_fits(40, 1.0, -1.0)
    assert riemannian_prior_fits(400, 1.0, 5.0)


@pytest.mark.parametrize("riemannian", [False, True])
@pytest.mark.parametrize("curvature", [-8.0, -0.5, -1e-6, 0.0, 1e-6, 0.5, 100.0])
def test_gradients_are_slopes(curvature, riemannian):
    """In the outputs of the network, and in K while the limits move along their slopes."""
    torch.manual_seed(0)
    raw = (5 * torch.randn(4, 3, dtype=torch.float64)).requires_grad_()
    raw_scale = (4 * torch.randn(4, 3, dtype=torch.float64)).requires_grad_()
    K = torch.tensor(curvature, dtype=torch.float64, requires_grad=True)
    rest = (3, 0.7, riemannian)
    learned = limited_parameters(raw, raw_scale, K, *rest)
    fixed = limited_parameters(raw, raw_scale, curvature, *rest)
    for a, b in zip(learned, fixed, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    for k in (curvature, K.detach()):
        assert torch.autograd.gradcheck(
            lambda x, s, k=k: limited_parameters(x, s, k, *rest), (raw, raw_scale)
        )

    at = posterior_limits(curvature, *rest)
    h = 1e-3 * abs(curvature)

    def moved(h):
        location, scale = at.location + h * at.location_slope, at.scale + h * at.scale_slope
        limits = Limits(location, at.location_slope, scale, at.scale_slope)
        return limited_parameters(raw, raw_scale, curvature, *rest, limits=limits)

    for value, up, down in zip(learned, moved(h), moved(-h), strict=True):
        grad = torch.autograd.grad(value.sum(), K, materialize_grads=True)[0]
        # The limits act to second order in K, so the slope at 0 is 0.
        slope = (up.sum() - down.sum()).detach() / (2 * h) if h else torch.zeros_like(grad)
        torch.testing.assert_close(grad, slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("riemannian", [False, True])
def test_a_learned_curvature_far_out_leaves_room_for_a_location(riemannian):
    """At K = -40 draws of this prior leave float32; a learned K that gets there still trains."""
    K = torch.tensor(-40.0, requires_grad=True)
    raw = torch.randn(8, 3, requires_grad=True)
    with pytest.raises(ValueError, match="too far out"):
        limited_parameters(raw, raw, -40.0, 3, 5.0, riemannian)
    tangent, log_scale = limited_parameters(raw, raw, K, 3, 5.0, riemannian)
    # 2 of the 42 radii that float32 holds are the location's
    assert torch.linalg.vector_norm(tangent, dim=-1).max() < 2 / 40**0.5 * 1.001
    for g in torch.autograd.grad(tangent.sum() + log_scale.sum(), (raw, K)):
        assert torch.isfinite(g).all()


@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("riemannian", [False, True])
@pytest.mark.parametrize("curvature", [-100.0, -8.0, -0.5, -1e-6, 0.0, 1e-6, 0.5, 100.0])
def test_limits_on_a_device_are_those_of_the_host(curvature, riemannian, dim):
    K = torch.tensor(curvature, dtype=torch.float64, requires_grad=True)
    for prior_scale in (0.1, 0.7, 5.0):
        host = learned_limits(curvature, dim, prior_scale, riemannian)
        values = limits_on_device(K, dim, prior_scale, riemannian)
        expected = torch.tensor([host.location, host.scale], dtype=torch.float64)
        torch.testing.assert_close(torch.stack(values).detach(), expected, rtol=1e-12, atol=0)
        slopes = [torch.autograd.grad(value, K)[0] for value in values]
        expected = torch.tensor([host.location_slope, host.scale_slope], dtype=torch.float64)
        torch.testing.assert_close(torch.stack(slopes), expected, rtol=1e-12, atol=0)
