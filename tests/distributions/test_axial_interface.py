"""What von Mises-Fisher, power spherical and the fused step promise as parts of a program."""

from __future__ import annotations

import ast
import copy
import math
import pickle
from pathlib import Path

import pytest
import torch
from torch.distributions import kl_divergence

import skccvae.distributions
import skccvae.special
from skccvae.distributions import (
    HypersphericalUniform,
    PowerSpherical,
    VonMisesFisher,
    axial_step,
)

FAMILIES = [VonMisesFisher, PowerSpherical]
INTRINSIC = [1, 2, 5, 20, 100, 400]
EXTREMES = [0.0, 1e-10, 1e-3, 1.0, 1e3, 1e5, 1e7]


def units(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    x = torch.randn(*shape, dtype=dtype)
    return x / x.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("d", INTRINSIC)
def test_float32_is_finite_at_the_extremes(family, d: int) -> None:
    torch.manual_seed(0)
    m, n = d + 1, 500
    loc = units(len(EXTREMES), m).requires_grad_()
    kappa = torch.tensor(EXTREMES, requires_grad=True)
    q = family(loc, kappa)
    z = q.rsample((n,))
    kl = kl_divergence(q, HypersphericalUniform(m))
    assert torch.isfinite(z).all()
    assert (z.norm(dim=-1) - 1).abs().max() < 5e-7
    assert torch.isfinite(kl).all()
    assert (kl.diff() >= 0).all()
    log_prob = q.log_prob(z.detach())
    assert torch.isfinite(log_prob).all()
    for value in (z.square().cumsum(-1).sum(), kl.sum(), log_prob.sum(), q.mean.sum()):
        for grad in torch.autograd.grad(value, (loc, kappa), allow_unused=True):
            assert grad is None or torch.isfinite(grad).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("d", INTRINSIC)
def test_the_step_is_finite_at_the_extremes(family, d: int) -> None:
    torch.manual_seed(1)
    raw = torch.linspace(-60, 60, 2000, requires_grad=True)
    direction = (torch.randn(2000, d + 1) * torch.logspace(-12, 12, 2000).unsqueeze(-1)).detach()
    direction.requires_grad_()
    z, kl = axial_step(direction, raw, torch.randn(2000, d + 2), family=family)
    assert (z.norm(dim=-1) - 1).abs().max() < 1e-6
    # beyond float32's own range of kappa only the plain route (d = 1) leaves it
    inside = slice(None) if d > 1 else raw.abs() < 25
    assert torch.isfinite(kl[inside]).all()
    for grad in torch.autograd.grad(
        z.square().cumsum(-1).sum() + kl[inside].sum(), (direction, raw)
    ):
        assert torch.isfinite(grad).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_broadcast_and_expand(family) -> None:
    torch.manual_seed(2)
    loc, kappa = units(4, 1, 5), torch.rand(3)
    q = family(loc, kappa)
    assert q.batch_shape == (4, 3)
    assert q.event_shape == (5,)
    assert q.noise_dim == 6
    assert q.rsample().shape == (4, 3, 5)
    assert q.rsample((2, 7)).shape == (2, 7, 4, 3, 5)
    assert q.log_prob(q.sample((2,))).shape == (2, 4, 3)
    assert q.mean.shape == q.mode.shape == (4, 3, 5)
    assert q.entropy().shape == q.mean_resultant_length.shape == (4, 3)
    assert kl_divergence(q, HypersphericalUniform(5)).shape == (4, 3)
    assert kl_divergence(q, HypersphericalUniform(5, (2, 4, 3))).shape == (2, 4, 3)
    big = q.expand((2, 4, 3))
    assert type(big) is family
    assert big.batch_shape == (2, 4, 3)
    noise = torch.randn(2, 4, 3, 6)
    torch.testing.assert_close(big.rsample_from_noise(noise), q.rsample_from_noise(noise))
    torch.testing.assert_close(big.entropy()[0], q.entropy())
    number = family(units(5), 2.0)
    assert number.batch_shape == ()


@pytest.mark.parametrize("family", FAMILIES)
def test_one_noise_may_serve_all_rows(family) -> None:
    torch.manual_seed(3)
    loc, kappa = units(4, 5).requires_grad_(), torch.rand(4).requires_grad_()
    noise = torch.randn(9, 1, 6)
    weight = torch.randn(9, 4, 5)
    grads = []
    for given in (noise, noise.expand(9, 4, 6)):
        z = family(loc, kappa, validate_args=False).rsample_from_noise(given)
        assert z.shape == (9, 4, 5)
        grads.append(torch.autograd.grad((z * weight).sum(), (loc, kappa)))
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_draws(family) -> None:
    q = family(units(5), torch.tensor(3.0))
    torch.manual_seed(4)
    first = q.sample((3,))
    torch.manual_seed(4)
    assert torch.equal(first, q.sample((3,)))


@pytest.mark.parametrize("family", FAMILIES)
def test_copies_and_pickles_are_small_and_equal(family) -> None:
    q = family(units(3, 5), torch.rand(3))
    noise = torch.randn(3, 6)
    z = q.rsample_from_noise(noise)
    data = pickle.dumps(q)
    assert len(data) < 10_000  # the tables stay behind
    for other in (copy.deepcopy(q), pickle.loads(data)):
        assert torch.equal(other.rsample_from_noise(noise), z)


@pytest.mark.parametrize("family", FAMILIES)
def test_bad_parameters(family) -> None:
    with pytest.raises(ValueError, match="divide by the Euclidean norm"):
        family(torch.ones(3), torch.tensor(1.0), validate_args=True)
    for bad in (-1.0, math.nan):
        with pytest.raises(ValueError, match="concentration"):
            family(units(3), torch.tensor(bad), validate_args=True)
    with pytest.raises(ValueError, match="unit vector"):
        family(torch.full((3,), math.nan), torch.tensor(1.0), validate_args=True)
    with pytest.raises(ValueError, match="one more than the sphere's intrinsic dimension"):
        family(torch.ones(1), torch.tensor(1.0))
    with pytest.raises(ValueError, match="must broadcast"):
        family(units(4, 3), torch.ones(5))
    with pytest.raises(TypeError, match="float32"):
        family(units(3), torch.ones((), dtype=torch.float64))
    with pytest.raises(TypeError, match="float32"):
        family(units(3).half(), torch.ones(()).half())
    q = family(units(3), torch.tensor(1.0), validate_args=True)
    with pytest.raises(ValueError, match="unit vector"):
        q.log_prob(torch.ones(3))
    with pytest.raises(ValueError, match="noise_dim = 4"):
        q.rsample_from_noise(torch.zeros(2, 3))


@pytest.mark.parametrize("family", FAMILIES)
def test_nan_gives_nan_and_reads_nothing_else(family) -> None:
    loc = units(3, 4)
    kappa = torch.tensor([1.0, math.nan, 2.0])
    q = family(loc, kappa, validate_args=False)
    assert q.rsample().isnan().any(-1).tolist() == [False, True, False]
    assert kl_divergence(q, HypersphericalUniform(4)).isnan().tolist() == [False, True, False]
    z, kl = axial_step(loc, kappa, torch.randn(3, 5), family=family)
    assert z.isnan().any(-1).tolist() == kl.isnan().tolist() == [False, True, False]
    z, _ = axial_step(torch.zeros(1, 4), torch.zeros(1), torch.randn(1, 5), family=family)
    assert z.isnan().all()


# -- the fused step --------------------------------------------------------------------------------


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
        outputs = axial_step(*leaves, noise.to(dtype), radius, family)
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
def test_step_in_float64_is_the_distribution(family) -> None:
    torch.manual_seed(6)
    direction = torch.randn(7, 5, dtype=torch.float64)
    raw, noise = torch.randn(7, dtype=torch.float64), torch.randn(3, 7, 6, dtype=torch.float64)
    z, kl = axial_step(direction, raw, noise, family=family)
    q = family(direction / direction.norm(dim=-1, keepdim=True), 4 * raw.exp())
    torch.testing.assert_close(z, q.rsample_from_noise(noise))
    torch.testing.assert_close(kl, kl_divergence(q, HypersphericalUniform(5)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("m", [2, 3, 11])
def test_several_draws_a_row(family, m: int) -> None:
    torch.manual_seed(7)
    direction, raw = torch.randn(4, m, requires_grad=True), torch.randn(4, requires_grad=True)
    noise = torch.randn(6, 4, m + 1)
    z, kl = axial_step(direction, raw, noise, 2.0, family)
    assert z.shape == (6, 4, m)
    assert kl.shape == (4,)
    for i in range(6):
        one, kl_one = axial_step(direction, raw, noise[i], 2.0, family)
        torch.testing.assert_close(one, z[i], rtol=0, atol=3e-6)
        torch.testing.assert_close(kl_one, kl, rtol=2e-6, atol=0)


def test_step_gradients_when_only_one_output_is_used() -> None:
    torch.manual_seed(8)
    direction, raw = torch.randn(4, 3, requires_grad=True), torch.randn(4, requires_grad=True)
    z, kl = axial_step(direction, raw, torch.randn(4, 4))
    both = torch.autograd.grad(z[:, 0].sum() + kl.sum(), raw, retain_graph=True)[0]
    from_z = torch.autograd.grad(z[:, 0].sum(), (direction, raw), retain_graph=True)
    from_kl = torch.autograd.grad(kl.sum(), (direction, raw), allow_unused=True)
    assert from_kl[0] is None
    torch.testing.assert_close(from_z[1] + from_kl[1], both)


def test_step_refuses_what_does_not_fit() -> None:
    direction, raw, noise = torch.randn(4, 3), torch.randn(4), torch.randn(4, 4)
    with pytest.raises(ValueError, match="one number more than direction"):
        axial_step(direction, raw, noise[:, :3])
    with pytest.raises(ValueError, match="shape of direction"):
        axial_step(direction, raw.unsqueeze(-1), noise)
    with pytest.raises(TypeError, match="VonMisesFisher or PowerSpherical"):
        axial_step(direction, raw, noise, family=HypersphericalUniform)  # type: ignore[arg-type]
    raw.requires_grad_()
    with pytest.raises(RuntimeError, match="first derivative only"):
        torch.autograd.grad(axial_step(direction, raw, noise)[1].sum(), raw, create_graph=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_step_leaves_the_device_or_waits_for_it(family, monkeypatch) -> None:
    def step() -> None:
        direction, raw = torch.randn(8, 6, requires_grad=True), torch.randn(8, requires_grad=True)
        z, kl = axial_step(direction, raw, torch.randn(8, 7), family=family)
        (z.sum() + kl.sum()).backward()
        q = family(units(8, 6), torch.rand(8, requires_grad=True), validate_args=False)
        loss = q.rsample().sum() + q.log_prob(units(8, 6)).sum()
        (loss + kl_divergence(q, HypersphericalUniform(6)).sum()).backward()

    step()  # tables are built on the first

    def refuse(*args, **kwargs):
        raise AssertionError("a training step must not move data to Python or to the CPU")

    for name in ("numpy", "cpu", "item", "tolist", "__bool__", "__float__", "__int__", "__array__"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    step()


def test_special_functions_and_laws_import_torch_alone() -> None:
    for package in (skccvae.special, skccvae.distributions):
        for path in Path(package.__file__).parent.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                assert not {name.split(".")[0] for name in names} & {"numpy", "scipy"}, path


@pytest.mark.gpu
@pytest.mark.parametrize("family", FAMILIES)
def test_cuda_agrees_with_the_cpu(family) -> None:
    torch.manual_seed(9)
    direction, raw, noise = torch.randn(64, 11), torch.randn(64), torch.randn(64, 12)
    on_cpu = axial_step(direction, raw, noise, family=family)
    on_gpu = axial_step(direction.cuda(), raw.cuda(), noise.cuda(), family=family)
    for a, b in zip(on_cpu, on_gpu, strict=True):
        torch.testing.assert_close(a, b.cpu(), rtol=1e-5, atol=1e-5)
