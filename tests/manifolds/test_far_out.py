"""Hyperbolic logarithms and transport in float32, far from the origin.

A float32 coordinate of size sinh(rho) is rounded by up to 6e-8 sinh(rho). That moves the point by
as much, and limits the accuracy of any formula.
"""

from __future__ import annotations

import mpmath as mp
import pytest
import torch

from skccvae.manifolds import Hyperbolic
from skccvae.manifolds import functional as polar
from skccvae.manifolds.polar_distance import distance

RADII = [2.0, 5.0, 8.0, 9.0, 12.0]
DIMENSIONS = [2, 10, 60]
EPS = torch.finfo(torch.float32).eps


def directions(n: int, d: int, generator: torch.Generator) -> torch.Tensor:
    x = torch.randn(n, d, dtype=torch.float64, generator=generator)
    return x / x.norm(dim=-1, keepdim=True)


def pairs(rho: float, d: int, length: float, n: int = 500):
    """Polar pairs at radius rho, vectors v of about the given length, and the points they reach."""
    generator = torch.Generator().manual_seed(int(10 * rho) + d)
    c, s = polar.exp_origin(rho * directions(n, d, generator), -1.0)
    v = length * directions(n, d, generator)
    v *= 0.5 + torch.rand(n, 1, dtype=torch.float64, generator=generator)
    zc, zs, _ = polar.exp_transported(c, s, v, -1.0)
    return c, s, zc, zs, v


def relative_error(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Largest error of a vector, as a part of its length or of 1."""
    size = exact.norm(dim=-1).clamp_min(1)
    return ((found.double() - exact).norm(dim=-1) / size).max().item()


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("length", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("rho", RADII)
def test_logarithm_in_float32(rho: float, d: int, length: float, as_tensor: bool) -> None:
    c, s, zc, zs, v = pairs(rho, d, length)
    K = torch.tensor(-1.0) if as_tensor else -1.0
    found = polar.log_transported(*(x.float() for x in (c, s, zc, zs)), K)
    bound = 1e-3 if rho <= 8 else 4 * EPS * torch.tensor(rho).exp().item()
    assert relative_error(found, v) < bound
    lengths = (found.double().norm(dim=-1), v.norm(dim=-1))
    torch.testing.assert_close(*lengths, rtol=bound, atol=bound)
    # the length is the distance
    apart = distance(*(x.float() for x in (c, s, zc, zs)), K)
    torch.testing.assert_close(found.norm(dim=-1), apart, rtol=bound, atol=bound)


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("rho", RADII)
def test_logarithm_and_transport_of_the_space_in_float32(rho: float, d: int) -> None:
    space = Hyperbolic(d)
    c, s, zc, zs, v = pairs(rho, d, 1.0)
    x, z = space.from_polar(c, s), space.from_polar(zc, zs)
    bound = 1e-3 if rho <= 8 else 6 * EPS * torch.tensor(rho).exp().item()
    found = space.log(x.float(), z.float())
    assert relative_error(space.to_frame(x.float(), found), v) < bound
    w = directions(len(v), d, torch.Generator().manual_seed(1))
    u = space.from_frame(x, w)
    exact = space.to_frame(z, space.transport(x, z, u))
    moved = space.transport(x.float(), z.float(), u.float())
    assert relative_error(space.to_frame(z.float(), moved), exact) < bound


@pytest.mark.parametrize("rho", [0.5, 2.0, 8.0, 12.0])
@pytest.mark.parametrize("other", [0.01, 0.6, 8.0, 12.0])
def test_logarithm_against_mpmath(rho: float, other: float) -> None:
    """Points anywhere, in float64: length and direction from the hyperbolic law of cosines."""
    generator = torch.Generator().manual_seed(3)
    m, n = directions(8, 3, generator), directions(8, 3, generator)
    n[4:] = m[4:] + 1e-3 * n[4:]  # nearly on one ray
    n[4:] /= n[4:].norm(dim=-1, keepdim=True)
    u, w = rho * m, other * n
    found = polar.log_transported(*polar.exp_origin(u, -1.0), *polar.exp_origin(w, -1.0), -1.0)
    for value, p, q in zip(found.tolist(), u.tolist(), w.tolist(), strict=True):
        with mp.workdps(60):
            p, q = mp.matrix(p), mp.matrix(q)
            a, b = mp.norm(p), mp.norm(q)
            m1, n1 = p / a, q / b
            cos = (m1.T * n1)[0]
            length = mp.acosh(mp.cosh(a) * mp.cosh(b) - mp.sinh(a) * mp.sinh(b) * cos)
            # the image of the second point under the boost that takes the first to the origin
            along = mp.cosh(a) * mp.sinh(b) * cos - mp.sinh(a) * mp.cosh(b)
            image = mp.sinh(b) * (n1 - cos * m1) + along * m1
            exact = [float(length * y / mp.sinh(length)) for y in image]
        error = max(abs(x - y) for x, y in zip(value, exact, strict=True))
        assert error < 1e-14 * max(1.0, float(length)) * max(1.0, float(mp.exp(min(a, b))))


def test_equal_points_and_gradients_far_out() -> None:
    c, s, zc, zs, _ = pairs(8.0, 3, 1.0, n=4)
    assert torch.equal(polar.log_transported(c, s, c, s, -1.0), torch.zeros_like(s))
    for radius in (0.0, 0.3, 2.0, 6.0):
        u = 5.0 * s / s.norm(dim=-1, keepdim=True)
        w = radius * zs / zs.norm(dim=-1, keepdim=True)
        K = torch.tensor(-1.0, dtype=torch.float64)
        assert torch.autograd.gradcheck(
            lambda u, w, K: polar.log_transported(
                *polar.exp_origin(u, K), *polar.exp_origin(w, K), K
            ),
            tuple(x.detach().requires_grad_() for x in (u, w, K)),
            rtol=1e-4,
        )
