"""Tabulated quantile functions against families whose quantiles are known."""

from __future__ import annotations

import math

import pytest
import scipy.special
import torch

from skccvae.special import RadialQuantile
from skccvae.special.quantile import SCORE_LIMIT
from skccvae.special.von_mises_fisher import concentration_grid, vmf_log_tangent


@pytest.fixture(scope="module")
def log_gamma() -> RadialQuantile:
    """log of a Gamma(x) variable: density exp(x y - e^y)."""
    return RadialQuantile(
        lambda y, x: x * y - torch.exp(y), 0.5, 8.0, n_cells=(64, 128), bracket=(-300.0, 50.0)
    )


def log_gamma_quantile(score: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    lower = scipy.special.gammaincinv(shape.numpy(), scipy.special.ndtr(score.numpy()))
    upper = scipy.special.gammainccinv(shape.numpy(), scipy.special.ndtr(-score.numpy()))
    return torch.log(torch.where(score < 0, torch.from_numpy(lower), torch.from_numpy(upper)))


def grid(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    score = torch.linspace(-6, 6, 241, dtype=dtype)
    x = torch.linspace(0.5, 8, 37, dtype=dtype)
    return torch.broadcast_tensors(score, x.unsqueeze(-1))


def test_values_in_both_tails(log_gamma: RadialQuantile) -> None:
    score, x = grid()
    y, _ = log_gamma.evaluate(score, x)
    torch.testing.assert_close(y, log_gamma_quantile(score, x), rtol=0, atol=2e-8)


def test_derivative_is_the_true_one(log_gamma: RadialQuantile) -> None:
    score, x = grid()
    score, x = score[1:-1], x[1:-1]
    _, slope = log_gamma.evaluate(score, x)
    h = 1e-4
    difference = (log_gamma_quantile(score, x + h) - log_gamma_quantile(score, x - h)) / (2 * h)
    torch.testing.assert_close(slope, difference, rtol=2e-6, atol=2e-7)


def test_autograd_gives_the_derivative_of_what_is_returned(log_gamma: RadialQuantile) -> None:
    score = torch.tensor([-2.0, 0.3, 4.0], dtype=torch.float64)
    x = torch.tensor([0.71, 3.3, 7.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: log_gamma(score, p), (x,), atol=1e-7)
    shared = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)  # broadcast
    assert torch.autograd.gradcheck(lambda p: log_gamma(score, p), (shared,), atol=1e-7)


def test_float32_and_float64_agree(log_gamma: RadialQuantile) -> None:
    wide, _ = log_gamma.evaluate(*grid())
    narrow, _ = log_gamma.evaluate(*grid(torch.float32))
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), wide, rtol=2e-6, atol=2e-5)


def test_extreme_scores_saturate_and_nan_stays(log_gamma: RadialQuantile) -> None:
    score = torch.tensor([SCORE_LIMIT, 40.0, math.inf, -math.inf, math.nan, 0.0])
    y, _ = log_gamma.evaluate(score, torch.full_like(score, 2.0))
    assert y[0] == y[1] == y[2]
    assert y.isnan().tolist() == [False] * 4 + [True, False]
    y, _ = log_gamma.evaluate(torch.zeros(2), torch.tensor([math.nan, 1.0]))
    assert y.isnan().tolist() == [True, False]


def test_quantiles_rise_with_the_score(log_gamma: RadialQuantile) -> None:
    score = torch.linspace(-SCORE_LIMIT, SCORE_LIMIT, 5001, dtype=torch.float64)
    for shape in (0.5, 1.234, 8.0):
        y, _ = log_gamma.evaluate(score, torch.full_like(score, shape))
        assert (y.diff() > 0).all()


@pytest.mark.parametrize("m", [2, 3, 5, 11, 41, 201, 2049])
@pytest.mark.parametrize("concentration", [0.0, 1e-2, 0.5, 7.0, 40.0, 1e3, 1e6])
def test_cumulated_density_at_the_quantile_is_the_probability(m: int, concentration: float) -> None:
    # The density is integrated here by the trapezoidal rule, independently of the table's building.
    score = torch.linspace(-5, 5, 11, dtype=torch.float64)
    kappa = torch.full_like(score, concentration)
    y, _ = vmf_log_tangent(score, kappa, m, concentration_grid(kappa, m))

    def log_density(log_tangent: torch.Tensor) -> torch.Tensor:
        versine = torch.sigmoid(log_tangent)
        sine_power = torch.log(versine) + torch.nn.functional.logsigmoid(-log_tangent)
        return -2 * concentration * versine + 0.5 * (m - 1) * sine_power

    everywhere = torch.linspace(-90, 90, 100_001, dtype=torch.float64)
    height = log_density(everywhere)
    inside = everywhere[height > height.max() - 40]
    log_tangent = torch.linspace(inside[0].item(), inside[-1].item(), 400_001, dtype=torch.float64)
    density = torch.exp(log_density(log_tangent) - height.max())
    zero = torch.zeros(1, dtype=torch.float64)
    pieces = torch.cat((zero, 0.5 * (density[1:] + density[:-1])))
    cumulated = pieces.cumsum(0) / pieces.sum()
    # the trapezoid to the left of y, and what is left up to y
    step = log_tangent[1] - log_tangent[0]
    place = ((y - log_tangent[0]) / step).long()
    rest = (y - log_tangent[place]) / step
    left, right = density[place], density[place + 1]
    found = cumulated[place] + rest * (left + 0.5 * rest * (right - left)) / pieces.sum()
    expected = torch.special.ndtr(score)
    torch.testing.assert_close(found, expected, rtol=3e-6, atol=1e-9)


def test_table_built_in_inference_mode_serves_a_training_step() -> None:
    with torch.inference_mode():
        table = RadialQuantile(lambda y, x: -0.5 * y * y + x * y, -1.0, 1.0, n_cells=(16, 4))
        table.evaluate(torch.zeros(2), torch.zeros(2))
    x = torch.tensor([0.5], requires_grad=True)
    table(torch.tensor([1.0]), x).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(1.0, abs=1e-5)


def test_default_dtype_and_device_do_not_matter() -> None:
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float16)
        table = RadialQuantile(lambda y, x: -0.5 * y * y + x * y, -1.0, 1.0, n_cells=(16, 4))
    finally:
        torch.set_default_dtype(before)
    y, _ = table.evaluate(*(torch.tensor([v], dtype=torch.float64) for v in (1.5, 0.25)))
    assert y.item() == pytest.approx(1.75, abs=1e-7)


@pytest.mark.parametrize(("lower", "upper"), [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf)])
def test_bad_range(lower: float, upper: float) -> None:
    with pytest.raises(ValueError, match="lower < upper"):
        RadialQuantile(lambda y, x: -y * y, lower, upper)


def test_density_that_does_not_fall_is_refused() -> None:
    with pytest.raises(ValueError, match="widen the bracket"):
        RadialQuantile(lambda y, x: -0.5 * y * y + 0 * x, 0.0, 1.0, bracket=(-5.0, 5.0))
    with pytest.raises(ValueError, match="finite at the mode"):
        RadialQuantile(lambda y, x: torch.full_like(y + x, math.nan), 0.0, 1.0)
