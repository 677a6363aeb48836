"""The integral and the moments of the length of a projected normal, against 40-digit references."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from skccvae.special import projected_normal_radius

REFERENCE = json.loads(
    (Path(__file__).parent / "data" / "projected_normal_reference.json").read_text()
)
DIMENSIONS = [2, 3, 4, 6, 11, 21, 41, 101, 401, 2049]
#: what the rule reaches; promised are 1e-6 and 1e-10
TOLERANCE = {torch.float32: 2e-7, torch.float64: 1e-11}
DTYPES = [torch.float32, torch.float64]


def columns(m: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    rows = torch.tensor(REFERENCE[str(m)], dtype=torch.float64)
    names = ["alpha", "log_integral", "excess", "mean", "mean_square", "variance"]
    table = dict(zip(names, rows.unbind(-1), strict=True))
    table["argument"] = table["alpha"].to(dtype).requires_grad_()
    return table


def relative_error(value: torch.Tensor, exact: torch.Tensor, floor: float = 0.0) -> float:
    assert torch.isfinite(value).all()
    return ((value.detach().double() - exact).abs() / exact.abs().clamp(min=floor)).max().item()


def test_reference_covers_what_is_promised() -> None:
    assert sorted(map(int, REFERENCE)) == DIMENSIONS
    for rows in REFERENCE.values():
        alphas = [row[0] for row in rows]
        assert (min(alphas), max(alphas)) == (-50.0, 1e4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", DIMENSIONS)
def test_integral_and_moments(m: int, dtype: torch.dtype) -> None:
    ref = columns(m, dtype)
    radius = projected_normal_radius(ref["argument"], m)
    assert all(value.dtype == dtype for value in radius)
    assert relative_error(radius.log_integral, ref["log_integral"], 1.0) < TOLERANCE[dtype]
    for name in ("excess", "mean", "mean_square"):
        assert relative_error(getattr(radius, name), ref[name]) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", DIMENSIONS)
def test_derivatives(m: int, dtype: torch.dtype) -> None:
    ref = columns(m, dtype)
    covariance = (m + 1) * ref["mean"] - ref["mean_square"] * ref["excess"]  # of u and u^2
    slopes = [ref["excess"], ref["variance"] - 1, ref["variance"], covariance]
    # These differences of numbers of 16 digits lose some, here and in the references.
    eps = torch.finfo(torch.float64).eps
    lost = [0.0, 16 * eps, 0.0, 2 * eps * ref["mean_square"] * ref["excess"]]
    for value, slope, rounding in zip(
        projected_normal_radius(ref["argument"], m), slopes, lost, strict=True
    ):
        (grad,) = torch.autograd.grad(value.sum(), ref["argument"], retain_graph=True)
        error = (grad.double() - slope).abs()
        # a derivative takes the error of the rule up by a digit
        assert bool((error <= 10 * TOLERANCE[dtype] * slope.abs() + rounding).all())


@pytest.mark.parametrize("m", [2, 3, 5, 12, 41, 1001])
def test_the_recurrence_holds_between_the_references(m: int) -> None:
    """M_{n+2} = alpha M_{n+1} + (n + 1) M_n, on a dense grid."""
    alpha = torch.cat((torch.linspace(-30, 60, 4001), torch.logspace(0, 5, 300))).double()
    here, above = projected_normal_radius(alpha, m), projected_normal_radius(alpha, m + 1)
    # relative to the largest term, because the two terms cancel for alpha < 0
    size = alpha.abs() * here.mean + m
    assert ((here.mean_square - alpha * here.mean - m).abs() / size).max() < 1e-11
    assert (here.mean * above.mean / here.mean_square - 1).abs().max() < 1e-11
    error = above.log_integral - here.log_integral - here.mean.log()
    assert (error / above.log_integral.abs().clamp(min=1)).abs().max() < 1e-11


@pytest.mark.parametrize("m", [2, 3, 11, 101])
def test_derivatives_twice_by_finite_differences(m: int) -> None:
    """The derivative of the logarithm is the excess, which can be differentiated in turn."""
    alpha = torch.tensor([-8.0, -1.0, 0.0, 0.5, 3.0, 20.0], dtype=torch.float64, requires_grad=True)
    for k in range(4):
        function = lambda x, k=k: projected_normal_radius(x, m)[k]  # noqa: E731
        assert torch.autograd.gradcheck(function, (alpha,), eps=1e-5, atol=1e-8, rtol=1e-6)
    radius = projected_normal_radius(alpha, m)
    (slope,) = torch.autograd.grad(radius.log_integral.sum(), alpha)
    assert torch.equal(slope, radius.excess)


@pytest.mark.parametrize("m", [2, 3, 4, 9, 100])
def test_closed_forms(m: int) -> None:
    zero = projected_normal_radius(torch.tensor(0.0, dtype=torch.float64), m)
    chi = (0.5 * m - 1) * math.log(2) + math.lgamma(0.5 * m)
    assert zero.log_integral.item() == pytest.approx(chi, rel=1e-12, abs=1e-12)
    assert zero.mean_square.item() == pytest.approx(m, rel=1e-11)
    alpha = torch.linspace(-4, 12, 200, dtype=torch.float64)
    normal = torch.distributions.Normal(0.0, 1.0)
    cdf = math.sqrt(2 * math.pi) * normal.cdf(alpha)
    pdf = (-0.5 * alpha.square()).exp()
    exact = {2: pdf + alpha * cdf, 3: alpha * pdf + (1 + alpha.square()) * cdf}
    if m in exact:
        value = projected_normal_radius(alpha, m).log_integral.exp()
        torch.testing.assert_close(value, exact[m], rtol=1e-10, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_limits_far_out(dtype: torch.dtype) -> None:
    far = torch.tensor([1e6, 1e9], dtype=dtype, requires_grad=True)
    for m in DIMENSIONS:
        radius = projected_normal_radius(far, m)
        torch.testing.assert_close(radius.mean, far)
        torch.testing.assert_close(radius.excess, (m - 1) / far, rtol=1e-6, atol=0)
        for value in radius:
            (grad,) = torch.autograd.grad(value.sum(), far, retain_graph=True)
            assert torch.isfinite(grad).all()
        back = projected_normal_radius(-far, m)  # a gamma density
        torch.testing.assert_close(back.mean, m / far, rtol=1e-6, atol=0)
        torch.testing.assert_close(back.mean_square, m * (m + 1) / far.square(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_stays_nan(dtype: torch.dtype) -> None:
    alpha = torch.tensor([math.nan, 1.0], dtype=dtype)
    for value in projected_normal_radius(alpha, 5):
        assert value.isnan().tolist() == [True, False]


def test_shapes_and_empty() -> None:
    for shape in ((), (0,), (2, 3), (2, 0, 3)):
        alpha = torch.ones(shape, requires_grad=True)
        radius = projected_normal_radius(alpha, 3)
        assert all(value.shape == shape for value in radius)
        sum(radius).sum().backward()
        assert alpha.grad.shape == shape


def test_autocast_does_not_lower_the_precision() -> None:
    alpha = torch.tensor([3.0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = projected_normal_radius(alpha, 5)
    assert torch.equal(torch.stack(inside), torch.stack(projected_normal_radius(alpha, 5)))


def test_bad_arguments() -> None:
    with pytest.raises(TypeError, match="alpha must be float32 or float64"):
        projected_normal_radius(torch.ones(2, dtype=torch.int64), 3)
    with pytest.raises(ValueError, match="ambient dimension and must be at least 2, got 1"):
        projected_normal_radius(torch.ones(2), 1)
