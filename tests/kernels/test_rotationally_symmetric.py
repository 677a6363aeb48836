"""The fused step on the sphere against the laws, and at the extremes."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import kl_divergence

from skccvae.distributions import HypersphericalUniform, PowerSpherical, VonMisesFisher
from skccvae.kernels import accelerator
from skccvae.special.smooth_limit import soft_bound

FAMILIES = [VonMisesFisher, PowerSpherical]
INTRINSIC = [1, 2, 5, 20, 100, 400]


def units(*shape: int) -> torch.Tensor:
    x = torch.randn(*shape)
    return x / x.norm(dim=-1, keepdim=True)


def step(direction, raw, noise, radius=1.0, family=VonMisesFisher):
    """What a training step takes: the fused form where it applies, else the law."""
    fused = accelerator(family, direction, noise)
    if fused is not None:
        return fused(direction, raw, noise, radius)
    loc = direction / direction.norm(dim=-1, keepdim=True)
    q = family(loc, (direction.shape[-1] - 1) * raw.exp(), validate_args=False)
    kl = kl_divergence(q, HypersphericalUniform(direction.shape[-1]))
    return radius * q.rsample_from_noise(noise), kl


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("d", INTRINSIC)
def test_the_step_is_finite_at_the_extremes(family, d: int) -> None:
    torch.manual_seed(1)
    raw = torch.linspace(-60, 60, 2000, requires_grad=True)
    direction = (torch.randn(2000, d + 1) * torch.logspace(-12, 12, 2000).unsqueeze(-1)).detach()
    direction.requires_grad_()
    z, kl = step(direction, raw, torch.randn(2000, d + 2), family=family)
    assert (z.norm(dim=-1) - 1).abs().max() < 1e-6
    # beyond float32's own range of kappa only the plain route (d = 1) leaves it
    inside = slice(None) if d > 1 else raw.abs() < 25
    assert torch.isfinite(kl[inside]).all()
    for grad in torch.autograd.grad(
        z.square().cumsum(-1).sum() + kl[inside].sum(), (direction, raw)
    ):
        assert torch.isfinite(grad).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("radius", [1.0, 0.25])
@pytest.mark.parametrize("m", [2, 3, 5, 6, 11, 41, 401])
def test_step_agrees_with_the_distribution_in_float64(family, m: int, radius: float) -> None:
    torch.manual_seed(5)
    n = 500
    direction, raw, noise = 3 * torch.randn(n, m), 8 * torch.rand(n) - 4, torch.randn(n, m + 1)
    weights = torch.randn(n, m), torch.randn(n)

    def run(dtype: torch.dtype):
        leaves = [x.to(dtype).requires_grad_() for x in (direction, raw)]
        outputs = step(*leaves, noise.to(dtype), radius, family)
        total = sum((o * w.to(dtype)).sum() for o, w in zip(outputs, weights, strict=True))
        return [x.detach().double() for x in (*outputs, *torch.autograd.grad(total, leaves))]

    (z, kl, grad, grad_raw), (z64, kl64, grad64, grad_raw64) = (
        run(torch.float32),
        run(torch.float64),
    )
    assert ((z - z64) / radius).abs().max() < 1e-5
    assert ((kl - kl64) / kl64).abs().max() < 2e-6
    size = grad64.norm(dim=-1, keepdim=True)
    assert ((grad - grad64) / (size + size.median())).abs().max() < 1e-4
    assert ((grad_raw - grad_raw64) / (grad_raw64.abs() + 1)).abs().max() < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("m", [2, 3, 11])
def test_several_draws_a_row(family, m: int) -> None:
    torch.manual_seed(7)
    direction, raw = torch.randn(4, m, requires_grad=True), torch.randn(4, requires_grad=True)
    noise = torch.randn(6, 4, m + 1)
    z, kl = step(direction, raw, noise, 2.0, family)
    assert z.shape == (6, 4, m)
    assert kl.shape == (4,)
    for i in range(6):
        one, kl_one = step(direction, raw, noise[i], 2.0, family)
        torch.testing.assert_close(one, z[i], rtol=0, atol=3e-6)
        torch.testing.assert_close(kl_one, kl, rtol=2e-6, atol=0)


def test_step_gradients_when_only_one_output_is_used() -> None:
    torch.manual_seed(8)
    direction, raw = torch.randn(4, 3, requires_grad=True), torch.randn(4, requires_grad=True)
    z, kl = step(direction, raw, torch.randn(4, 4))
    both = torch.autograd.grad(z[:, 0].sum() + kl.sum(), raw, retain_graph=True)[0]
    from_z = torch.autograd.grad(z[:, 0].sum(), (direction, raw), retain_graph=True)
    from_kl = torch.autograd.grad(kl.sum(), (direction, raw), allow_unused=True)
    assert from_kl[0] is None
    torch.testing.assert_close(from_z[1] + from_kl[1], both)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_step_leaves_the_device_or_waits_for_it(family, monkeypatch) -> None:
    def one_step() -> None:
        direction, raw = torch.randn(8, 6, requires_grad=True), torch.randn(8, requires_grad=True)
        z, kl = step(direction, raw, torch.randn(8, 7), family=family)
        (z.sum() + kl.sum()).backward()
        q = family(units(8, 6), torch.rand(8, requires_grad=True), validate_args=False)
        loss = q.rsample().sum() + q.log_prob(units(8, 6)).sum()
        (loss + kl_divergence(q, HypersphericalUniform(6)).sum()).backward()

    one_step()  # tables are built on the first

    def refuse(*args, **kwargs):
        raise AssertionError("a training step must not move data to Python or to the CPU")

    for name in ("numpy", "cpu", "item", "tolist", "__bool__", "__float__", "__int__", "__array__"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    one_step()


@pytest.mark.gpu
@pytest.mark.parametrize("family", FAMILIES)
def test_cuda_agrees_with_the_cpu(family) -> None:
    torch.manual_seed(9)
    direction, raw, noise = torch.randn(64, 11), torch.randn(64), torch.randn(64, 12)
    on_cpu = step(direction, raw, noise, family=family)
    on_gpu = step(direction.cuda(), raw.cuda(), noise.cuda(), family=family)
    for a, b in zip(on_cpu, on_gpu, strict=True):
        torch.testing.assert_close(a, b.cpu(), rtol=1e-5, atol=1e-5)


def test_second_derivatives_are_refused() -> None:
    direction, raw = torch.randn(4, 3), torch.randn(4, requires_grad=True)
    kl = step(direction, raw, torch.randn(4, 4))[1]
    with pytest.raises(RuntimeError, match="first derivative only"):
        torch.autograd.grad(kl.sum(), raw, create_graph=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_nan_gives_nan(family) -> None:
    kappa = torch.tensor([1.0, math.nan, 2.0])
    z, kl = step(units(3, 4), kappa, torch.randn(3, 5), family=family)
    assert z.isnan().any(-1).tolist() == kl.isnan().tolist() == [False, True, False]
    z, _ = step(torch.zeros(1, 4), torch.zeros(1), torch.randn(1, 5), family=family)
    assert z.isnan().all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("m", [3, 5, 11])
@pytest.mark.parametrize("bound", [10.0, 3.0])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)])
def test_the_step_from_network_outputs_has_the_bits_of_the_step_behind_it(
    family, m, bound, weights
):
    torch.manual_seed(3)
    params, noise = 4 * torch.randn(200, m + 1), torch.randn(200, m + 1)
    params[0, :-1], params[1, 0], params[2, -1] = 0.0, torch.nan, torch.inf
    found = []
    for outputs in (True, False):
        leaf = params.clone().requires_grad_()
        if outputs:
            z, kl = accelerator(family, leaf, noise, outputs=True)(leaf, noise, bound, 0.5)
        else:
            direction = leaf[:, :-1]
            norm = torch.linalg.vector_norm(direction, dim=-1)
            raw = soft_bound(leaf[:, -1] + norm.log(), bound)
            z, kl = accelerator(family, direction, noise)(direction, raw, noise, 0.5)
        parts = [part for part in zip(weights, (z.cos().sum(), kl.mean()), strict=True) if part[0]]
        (gradient,) = torch.autograd.grad(sum(weight * part for weight, part in parts), leaf)
        found.append((z.detach(), kl.detach(), gradient))
    assert found[0][0][:2].isnan().all()  # a vector of zeros has no direction
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
