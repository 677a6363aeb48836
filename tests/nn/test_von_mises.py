"""The von Mises likelihood: its density, its periodicity, and angles that are missing."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import integrate, stats

from skccvae.nn import VonMisesLikelihood, row_keys
from skccvae.nn.likelihoods._von_mises import (
    MAX_CONCENTRATION,
    angle_cells,
    cos_and_sin,
    natural_parameters,
    von_mises_log_prob,
)

LENGTHS = (0.0, 1e-9, 1e-3, 0.4, 2.0, 9.0, 80.0)
NAN = float("nan")


def law(mu, kappa, dtype=torch.float64):
    """Natural parameters of a direction and a concentration."""
    return [torch.tensor(v, dtype=dtype) for v in (kappa * np.cos(mu), kappa * np.sin(mu), kappa)]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("direction", [0.0, 2.0, math.pi])
def test_the_density_integrates_to_one_over_the_circle(length, direction):
    raw = torch.tensor([length * math.cos(direction), length * math.sin(direction)]).double()
    likelihood = VonMisesLikelihood(1)

    def density(x):
        return math.exp(likelihood.log_prob(raw, torch.tensor([x], dtype=torch.float64)))

    total, _ = integrate.quad(density, direction - math.pi, direction + math.pi, points=[direction])
    assert total == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("kappa", [1e-6, 0.3, 1.0, 30.0, 1e4])
def test_against_scipy(kappa):
    x = np.linspace(-math.pi, math.pi, 41)
    expected = stats.vonmises(kappa, loc=0.7).logpdf(x)
    found = von_mises_log_prob(torch.from_numpy(x), *law(0.7, kappa))
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kappa", [1e-3, 1.0, 100.0, 9999.0])
def test_float32_keeps_its_digits_near_the_mode(kappa):
    """Where the two large terms of the formula cancel; mpmath sees the same float32 numbers."""
    for turns in (-1.0, 0.0, 0.4, 2.5):
        a, b, _ = law(0.7, kappa, torch.float32)
        square = mpmath.mpf(float(a)) ** 2 + mpmath.mpf(float(b)) ** 2
        size = mpmath.sqrt(square)
        x = torch.tensor(0.7 + turns / math.sqrt(kappa + 1), dtype=torch.float32)
        angle = mpmath.mpf(float(x))
        expected = mpmath.mpf(float(a)) * mpmath.cos(angle) + mpmath.mpf(float(b)) * mpmath.sin(
            angle
        )
        expected -= mpmath.log(2 * mpmath.pi * mpmath.besseli(0, size))
        found = von_mises_log_prob(x, a, b, torch.tensor(float(size)))
        assert float(found) == pytest.approx(float(expected), abs=3e-5)


def test_gradients_in_float32_from_no_concentration_to_the_largest():
    """d log p / d (a, b) = (cos x, sin x) - A(kappa) (cos mu, sin mu)."""
    for kappa in (0.0, 1e-12, 1e-3, 1.0, 1e4):
        a, b, _ = law(2.0, kappa, torch.float32)
        vector = torch.stack([a, b]).requires_grad_()
        size = (vector.square().sum() + 1e-30).sqrt()
        x = torch.tensor(2.01)
        value = von_mises_log_prob(x, vector[0], vector[1], size)
        (found,) = torch.autograd.grad(value, vector)
        ratio = float(mpmath.besseli(1, kappa) / mpmath.besseli(0, kappa))
        expected = np.array([math.cos(2.01), math.sin(2.01)])
        expected -= ratio * np.array([math.cos(2.0), math.sin(2.0)])
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_concentrations_grow_from_zero_to_their_bound():
    length = torch.logspace(-20, 6, 200, dtype=torch.float64)
    raw = torch.stack([0.6 * length, 0.8 * length], dim=-1).requires_grad_()
    a, b, kappa = (value.squeeze(-1) for value in natural_parameters(raw))
    assert (kappa[1:] > (1 - 1e-12) * kappa[:-1]).all()
    torch.testing.assert_close(kappa[length < 0.01], length[length < 0.01], rtol=1e-3, atol=1e-14)
    middle = (length > 20) & (length < 40)
    torch.testing.assert_close(kappa[middle], length[middle] ** 2, rtol=2e-2, atol=0)
    assert kappa.max() <= MAX_CONCENTRATION
    assert kappa.max() > 0.99 * MAX_CONCENTRATION
    torch.testing.assert_close(torch.hypot(a, b)[20:], kappa[20:])
    (gradient,) = torch.autograd.grad(kappa.sum(), raw)
    assert torch.isfinite(gradient).all()


def test_minus_pi_and_pi_are_one_point():
    likelihood = VonMisesLikelihood(3).double()
    outputs = torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    angles = [[-math.pi, 1.0, -2.0], [math.pi, 1.0, -2.0 + 6 * math.pi]]
    x = torch.tensor(angles, dtype=torch.float64)
    first, second = likelihood.log_prob(outputs, x)
    assert float(first) == pytest.approx(float(second), abs=1e-13)
    inputs = likelihood.encoder_inputs(x)
    assert inputs.shape == (2, 6)
    torch.testing.assert_close(inputs[0], inputs[1], rtol=0, atol=1e-14)
    keys = row_keys(likelihood.row_content(x))
    assert keys[0] == keys[1]


def test_a_missing_angle_adds_nothing():
    likelihood = VonMisesLikelihood(3)
    outputs = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    x = torch.tensor([0.3, NAN, -2.0])
    both = VonMisesLikelihood(2).log_prob(outputs[:, [0, 2, 3, 5]], x[[0, 2]])
    value = likelihood.log_prob(outputs, x)
    torch.testing.assert_close(value, both)
    (gradient,) = torch.autograd.grad(value.sum(), outputs)
    assert torch.isfinite(gradient).all()
    assert (gradient[:, [1, 4]] == 0).all()
    assert (gradient[:, [0, 2, 3, 5]] != 0).all()
    assert cos_and_sin(x)[[1, 4]].tolist() == [0.0, 0.0]
    assert likelihood.log_prob(outputs, torch.full((3,), NAN)).tolist() == [0.0] * 4


def test_the_mean_is_the_circular_mean():
    outputs = torch.tensor([[-1.0, 0.0, 3.0, 1e-3, -1.0, 3.0]]).double()
    likelihood = VonMisesLikelihood(3)
    directions = likelihood.mean(outputs)[0]
    for number, direction in enumerate(directions):
        raw = outputs[:, [number, number + 3]]

        def moment(part, raw=raw):
            return integrate.quad(
                lambda x: (
                    part(x)
                    * math.exp(VonMisesLikelihood(1).log_prob(raw, torch.tensor([[x]]).double()))
                ),
                -math.pi,
                math.pi,
            )[0]

        assert math.atan2(moment(math.sin), moment(math.cos)) == pytest.approx(float(direction))


def test_cells_do_not_see_the_last_digits():
    common = torch.arange(-12, 13) * (math.pi / 12)
    for eps in (-1e-6, 1e-6):
        assert torch.equal(angle_cells(common + eps), angle_cells(common))
    assert torch.equal(angle_cells(common + 2 * math.pi), angle_cells(common))
    assert len(set(angle_cells(common).tolist())) == 24
    everywhere = angle_cells(torch.linspace(-math.pi, math.pi, 5000))
    assert set(everywhere.tolist()) == set(range(256))


def test_keys_of_rows_with_missing_angles_repeat():
    x = torch.tensor([[0.1, NAN], [0.1, -NAN], [NAN, 0.1], [0.1, 0.0]])
    x[1, 1] = torch.tensor([0x7FC00001], dtype=torch.int32).view(torch.float32)[0]  # another NaN
    keys = row_keys(VonMisesLikelihood(2).row_content(x)).tolist()
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
