"""Bessel functions and what follows from them, against 60-digit references."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import scipy.special
import torch

from skccvae.special import (
    bessel_ratio,
    log_bessel_i,
    log_hyp0f1,
    vmf_kl_uniform,
    vmf_log_normalizer,
)

REFERENCE = json.loads((Path(__file__).parent / "data" / "bessel_reference.json").read_text())
DIMENSIONS = [2, 3, 6, 11, 21, 51, 67, 101, 129, 201, 401, 1001, 2049]
# what users are promised on kappa in [1e-3, 1e5]; beyond, up to 1e7, the same
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-8}
# what the methods reach, so that a loss of digits shows
REACHED = {torch.float32: 2e-6, torch.float64: 1e-9}


def columns(m: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    rows = torch.tensor(REFERENCE[str(m)], dtype=torch.float64)
    names = ["kappa", "log_f", "ratio", "slope", "kl", "log_f_scaled", "complement"]
    table = dict(zip(names, rows.unbind(-1), strict=True))
    table["argument"] = table["kappa"].to(dtype).requires_grad_()
    return table


def relative_error(value: torch.Tensor, reference: torch.Tensor) -> float:
    assert torch.isfinite(value).all()
    return ((value.detach().double() - reference) / reference).abs().max().item()


def test_reference_covers_what_is_promised() -> None:
    assert sorted(map(int, REFERENCE)) == DIMENSIONS
    for rows in REFERENCE.values():
        kappas = [row[0] for row in rows]
        assert min(kappas) == pytest.approx(1e-3)
        assert max(kappas) == 1e7


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", DIMENSIONS)
def test_kl_to_the_uniform_and_its_gradient(m: int, dtype: torch.dtype) -> None:
    ref = columns(m, dtype)
    kl = vmf_kl_uniform(ref["argument"], m)
    (grad,) = torch.autograd.grad(kl.sum(), ref["argument"])
    assert kl.dtype == grad.dtype == dtype
    promised = ref["kappa"] <= 1.0001e5
    for bound, cells in ((TOLERANCE, slice(None)), (REACHED, promised)):
        assert relative_error(kl[cells], ref["kl"][cells]) < bound[dtype]
        assert relative_error(grad[cells], (ref["kappa"] * ref["slope"])[cells]) < bound[dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", DIMENSIONS)
def test_log_normalizer_and_its_gradient(m: int, dtype: torch.dtype) -> None:
    ref = columns(m, dtype)
    value = vmf_log_normalizer(ref["argument"], m)
    (grad,) = torch.autograd.grad(value.sum(), ref["argument"])
    assert relative_error(value, ref["log_f_scaled"]) < REACHED[dtype]
    assert relative_error(-grad, ref["complement"]) < max(REACHED[dtype], 1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", DIMENSIONS)
def test_ratio_and_logarithm(m: int, dtype: torch.dtype) -> None:
    ref = columns(m, dtype)
    order = 0.5 * m - 1
    rounding = 8 * torch.finfo(dtype).eps
    log_f = log_hyp0f1(order, ref["argument"])
    ratio = bessel_ratio(order, ref["argument"])
    assert relative_error(log_f, ref["log_f"]) < rounding
    assert relative_error(ratio, ref["ratio"]) < rounding
    (slope_of_log,) = torch.autograd.grad(log_f.sum(), ref["argument"])
    (slope_of_ratio,) = torch.autograd.grad(ratio.sum(), ref["argument"])
    assert relative_error(slope_of_log, ref["ratio"]) < rounding
    # the recurrence for A' loses up to three digits of float64 (at m = 2 and the largest kappa)
    assert relative_error(slope_of_ratio, ref["slope"]) < max(rounding, 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", DIMENSIONS)
def test_limits_at_zero_are_exact(m: int, dtype: torch.dtype) -> None:
    for function, value_slope in (
        (lambda x: vmf_kl_uniform(x, m), (0.0, 0.0)),
        (lambda x: vmf_log_normalizer(x, m), (0.0, -1.0)),
        (lambda x: log_hyp0f1(0.5 * m - 1, x), (0.0, 0.0)),
        (lambda x: bessel_ratio(0.5 * m - 1, x), (0.0, 1 / m)),
    ):
        zero = torch.zeros(1, dtype=dtype, requires_grad=True)
        value = function(zero)
        (slope,) = torch.autograd.grad(value.sum(), zero)
        assert value.item() == value_slope[0]
        assert slope.item() == pytest.approx(value_slope[1], rel=1e-6, abs=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_small_concentrations_keep_relative_accuracy(dtype: torch.dtype) -> None:
    kappa = torch.logspace(-12, -5, 50, dtype=dtype)
    for m in DIMENSIONS:
        assert relative_error(vmf_kl_uniform(kappa, m), kappa.double() ** 2 / (2 * m)) < 1e-6


def test_half_integer_orders_have_closed_forms() -> None:
    x = torch.logspace(-2, 2, 40, dtype=torch.float64)
    torch.testing.assert_close(log_hyp0f1(0.5, x), torch.log(torch.sinh(x) / x), rtol=1e-11, atol=0)
    torch.testing.assert_close(
        log_hyp0f1(0.5, x, scaled=True),
        torch.log(-torch.expm1(-2 * x) / (2 * x)),
        rtol=1e-12,
        atol=0,
    )
    moderate = x[x > 0.5]
    torch.testing.assert_close(
        bessel_ratio(0.5, moderate), 1 / torch.tanh(moderate) - 1 / moderate, rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("order", [0, 0.3, 1, 2.5, 19.99, 20, 33.3])
def test_any_real_order_agrees_with_scipy(order: float) -> None:
    x = torch.logspace(0, 2.5, 40, dtype=torch.float64)
    expected = torch.log(torch.from_numpy(scipy.special.ive(order, x.numpy()))) + x
    torch.testing.assert_close(log_bessel_i(order, x), expected, rtol=1e-11, atol=1e-12)


def test_log_bessel_at_zero() -> None:
    zero = torch.zeros(1)
    assert log_bessel_i(0, zero).item() == 0
    assert log_bessel_i(1, zero).item() == -math.inf


@pytest.mark.parametrize("m", [2, 3, 11, 101])
def test_gradients_by_finite_differences(m: int) -> None:
    kappa = torch.tensor([0.1, 1.0, 7.0, 50.0], dtype=torch.float64, requires_grad=True)
    for function in (
        lambda x: vmf_kl_uniform(x, m),
        lambda x: vmf_log_normalizer(x, m),
        lambda x: log_hyp0f1(0.5 * m - 1, x),
        lambda x: bessel_ratio(0.5 * m - 1, x),
        lambda x: log_bessel_i(0.5 * m - 1, x),
    ):
        assert torch.autograd.gradcheck(function, (kappa,), eps=1e-5, atol=1e-8, rtol=1e-6)


def test_second_derivatives_are_refused_and_not_wrong() -> None:
    kappa = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    for function in (lambda x: vmf_kl_uniform(x, 3), lambda x: bessel_ratio(0.5, x)):
        with pytest.raises(RuntimeError, match="first derivative only"):
            torch.autograd.grad(function(kappa), kappa, create_graph=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nan_stays_nan(dtype: torch.dtype) -> None:
    kappa = torch.tensor([math.nan, 1.0], dtype=dtype)
    for value in (vmf_kl_uniform(kappa, 5), vmf_log_normalizer(kappa, 5), bessel_ratio(1.5, kappa)):
        assert value.isnan().tolist() == [True, False]


def test_shapes_and_empty() -> None:
    for shape in ((), (0,), (2, 3), (2, 0, 3)):
        assert vmf_kl_uniform(torch.ones(shape), 3).shape == shape
        assert bessel_ratio(0.5, torch.ones(shape)).shape == shape


def test_autocast_does_not_lower_the_precision() -> None:
    kappa = torch.tensor([3.0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = bessel_ratio(0.5, kappa)
    torch.testing.assert_close(inside, bessel_ratio(0.5, kappa), rtol=0, atol=0)


@pytest.mark.parametrize("order", [-0.5, math.inf, math.nan, "1"])
def test_bad_order(order: object) -> None:
    with pytest.raises(ValueError, match="order must be a finite number >= 0"):
        bessel_ratio(order, torch.ones(1))  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [log_hyp0f1, log_bessel_i, bessel_ratio])
def test_argument_must_be_a_floating_tensor(function) -> None:
    for bad in (1.0, torch.ones(2, dtype=torch.int64)):
        with pytest.raises(TypeError, match="floating-point tensor"):
            function(1.0, bad)
