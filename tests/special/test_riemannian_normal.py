"""Radius of the Riemannian normal: normaliser, moments and quantiles against exact values."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
import torch

from skccvae.special import log_sinc_k, vmf_log_normalizer
from skccvae.special.riemannian_normal import (
    normal_radius,
    partition_number,
    radial_log_partition,
    radial_mean_square,
)
from skccvae.special.riemannian_quadrature import LARGEST_W, log_integral

F64 = torch.float64


def tensor(*values: float, **options) -> torch.Tensor:
    return torch.tensor(values if len(values) != 1 else values[0], dtype=F64, **options)


# -- normaliser ------------------------------------------------------------------------------------


def closed_form(d: int, c: float) -> tuple[float, float]:
    """log Z and E[rho^2] for c < 0, by the alternating sum of error functions in many digits.

    sinh^(d-1) is a sum of exponentials, each of which gives half of a normal integral.
    """
    with mp.workdps(60 + 4 * d):
        a, n = mp.sqrt(-mp.mpf(c)), d - 1
        mass = square = mp.mpf(0)
        for k in range(n + 1):
            b = (n - 2 * k) * a
            weight = (-1) ** k * mp.binomial(n, k)
            # integrals over rho > 0 of exp(b rho - rho^2/2), and with rho^2
            part = mp.sqrt(mp.pi / 2) * mp.exp(b * b / 2) * mp.erfc(-b / mp.sqrt(2))
            mass += weight * part
            square += weight * ((1 + b * b) * part + b)
        return float(mp.log(mass / (2 * a) ** n)), float(square / mass)


def quadrature(d: int, c: float) -> tuple[float, float]:
    """The same for c > 0, by mpmath's quadrature."""
    with mp.workdps(30):
        a = mp.sqrt(mp.mpf(c))
        top = mp.pi / a
        end = min(top, mp.sqrt(d) + 14)
        places = [end * k / 24 for k in range(25)] + ([top] if end < top else [])

        def density(r):
            return mp.exp(-r * r / 2) * (mp.sin(a * r) / a) ** (d - 1)

        mass = mp.quad(density, places)
        square = mp.quad(lambda r: r * r * density(r), places) / mass
        return float(mp.log(mass)), float(square)


@pytest.mark.parametrize("w", [1e-4, 0.1, 1.0, 30.0, 254.0, 256.0, 4e3])
@pytest.mark.parametrize("d", [2, 3, 5, 20, 100])
def test_normalizer_in_hyperbolic_space(d: int, w: float) -> None:
    c = -w / d
    log_mass, square = closed_form(d, c)
    assert radial_log_partition(tensor(c), d).item() == pytest.approx(
        log_mass, rel=1e-12, abs=1e-10
    )
    assert radial_mean_square(tensor(c), d).item() == pytest.approx(square, rel=1e-10)


@pytest.mark.parametrize("w", [1e-4, 0.1, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("d", [1, 2, 5, 100])
def test_normalizer_on_the_sphere(d: int, w: float) -> None:
    c = w / d
    log_mass, square = quadrature(d, c)
    assert radial_log_partition(tensor(c), d).item() == pytest.approx(
        log_mass, rel=1e-12, abs=1e-10
    )
    assert radial_mean_square(tensor(c), d).item() == pytest.approx(square, rel=1e-10)


@pytest.mark.parametrize("d", [1, 2, 5, 100])
@pytest.mark.parametrize("c", [-300.0, -2.6, -1.0, -1e-3, 0.0, 1e-3, 0.5, 40.0])
def test_slopes_of_the_normalizer(d: int, c: float) -> None:
    c = c / d
    x = tensor(c, requires_grad=True)
    (slope,) = torch.autograd.grad(radial_log_partition(x, d), x)
    (square_slope,) = torch.autograd.grad(radial_mean_square(x, d), x)
    h = 1e-4 * (abs(c) + 1 / d)
    near = tensor(c + h, c - h)
    log_mass, square = radial_log_partition(near, d), radial_mean_square(near, d)
    assert slope.item() == pytest.approx(
        ((log_mass[0] - log_mass[1]) / (2 * h)).item(), abs=1e-5 * d
    )
    assert square_slope.item() == pytest.approx(
        ((square[0] - square[1]) / (2 * h)).item(), rel=1e-5, abs=1e-5 * d
    )
    assert radial_mean_square(x, d).item() == pytest.approx(d + 2 * c * slope.item(), rel=1e-9)


def test_numbers_and_tensors_agree() -> None:
    for d in (1, 2, 7, 100):
        for c in (-1e4, -255 / d, -0.3, -1e-7, 0.0, 1e-7, 0.2, 1e5):
            mass, excess = partition_number(c, d)
            start = radial_log_partition(tensor(0.0), d)
            expected = (radial_log_partition(tensor(c), d) - start).item()
            assert mass == pytest.approx(expected, rel=1e-10, abs=1e-10)
            expected = radial_mean_square(tensor(c), d).item() - d
            assert excess == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("m", [2, 3, 11, 101])
def test_the_radial_quadrature_gives_the_bessel_functions(m: int) -> None:
    kappa = torch.logspace(-3, 5, 17, dtype=F64)

    def log_density(y, kappa):  # von Mises-Fisher law of y = log tan(theta / 2)
        # kappa (cos(theta) - 1) + (m - 1) log(sin(theta)/2)
        return -2 * kappa * torch.sigmoid(2 * y) - (m - 1) * torch.logaddexp(y, -y)

    found = log_integral(log_density, kappa) - log_integral(log_density, 0 * kappa)
    torch.testing.assert_close(found, vmf_log_normalizer(kappa, m), rtol=1e-11, atol=1e-11)


# -- quantiles -------------------------------------------------------------------------------------


def distribution_function(rho: torch.Tensor, c: torch.Tensor, d: int) -> torch.Tensor:
    """Probability of a radius below rho, by quadrature of the density on both sides."""
    x, w = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(300))
    end = torch.where(c > 0, math.pi / c.clamp_min(1e-9).sqrt(), math.inf).minimum(rho + 14)

    def log_density(r):
        volume = (d - 1) * (r.log() + log_sinc_k(r, c[:, None])) if d > 1 else 0.0
        return volume - 0.5 * r * r

    top = log_density(rho[:, None])

    def mass(start, stop):
        half = 0.5 * (stop - start)[:, None]
        return (((log_density(start[:, None] + half * (1 + x)) - top).exp() * w) * half).sum(-1)

    below, above = mass((rho - 14).clamp_min(0), rho), mass(rho, end)
    return below / (below + above)


@pytest.mark.parametrize("d", [1, 2, 5, 100, 400])
@pytest.mark.parametrize("sign", [-1, 1])
def test_scores_are_normal_scores(d: int, sign: int) -> None:
    score = tensor(-3.0, -1.0, 0.0, 0.5, 2.0, 3.5)
    for w in (0.0, 1e-3, 0.5, 8.0, 200.0, LARGEST_W + 1, 1e5):
        c = torch.full_like(score, sign * w / d)
        rho = normal_radius(score, c, d)
        found = torch.special.ndtri(distribution_function(rho, c, d))
        torch.testing.assert_close(found, score, rtol=0, atol=2e-7)


@pytest.mark.parametrize("d", [2, 5, 100])
@pytest.mark.parametrize("sign", [-1, 1])
def test_slope_of_the_radius_is_implicit_reparameterisation(d: int, sign: int) -> None:
    score = tensor(-3.0, -1.0, 0.0, 0.5, 2.0, 3.5)
    for w in (1e-3, 0.5, 8.0, 200.0, 1e3):
        c = torch.full_like(score, sign * w / d).requires_grad_()
        rho = normal_radius(score, c, d)
        (slope,) = torch.autograd.grad(rho.sum(), c)
        rho, c = rho.detach(), c.detach()
        h = 4e-6 * (w + 1) / d
        change = distribution_function(rho, c + h, d) - distribution_function(rho, c - h, d)
        step = 1e-4
        density = distribution_function(rho + step, c, d) - distribution_function(rho - step, c, d)
        exact = -(change / h) / (density / step)
        torch.testing.assert_close(slope, exact, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("d", [1, 2, 5, 100])
def test_the_radius_is_smooth_through_flat_space(d: int) -> None:
    score = torch.linspace(-5, 5, 21, dtype=F64)
    below, at, above = (
        torch.full_like(score, c).requires_grad_() for c in (-1e-6 / d, 0.0, 1e-6 / d)
    )
    radii = [normal_radius(score, c, d) for c in (below, at, above)]
    slopes = [
        torch.autograd.grad(rho.sum(), c)[0]
        for rho, c in zip(radii, (below, at, above), strict=True)
    ]
    for other in (0, 2):
        torch.testing.assert_close(radii[other], radii[1], rtol=0, atol=1e-5)
        torch.testing.assert_close(slopes[other], slopes[1], rtol=1e-4, atol=1e-5)
    # with the sign given and without
    for sign, c in ((-1, below), (1, above)):
        assert torch.equal(normal_radius(score, c, d, sign), normal_radius(score, c, d))
