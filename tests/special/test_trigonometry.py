"""Generalised trigonometry against mpmath, with its gradients, through K = 0."""

from __future__ import annotations

import math

import mpmath as mp
import pytest
import torch

from skccvae.special import (
    arctan_k,
    cos_k,
    log_sinc_k,
    sin_k,
    sinc_k,
    tan_k,
    versin_k,
)

mp.mp.dps = 40

CURVATURES = [-4.0, -1.0, -1e-3, -1e-6, -1e-8, 0.0, 1e-8, 1e-6, 1e-3, 1.0, 4.0]
RADII = [0.0, 1e-8, 1e-3, 0.1, 0.31, 0.32, 0.5, 1.0, 1.4]


def exact_sin(r, K):
    r, K = mp.mpf(r), mp.mpf(K)
    if K == 0:
        return r
    a = mp.sqrt(abs(K))
    return (mp.sin(a * r) if K > 0 else mp.sinh(a * r)) / a


def exact_cos(r, K):
    a = mp.sqrt(abs(mp.mpf(K)))
    return mp.cos(a * r) if K > 0 else mp.cosh(a * r)


def exact_sinc(r, K):
    return exact_sin(r, K) / r if r else mp.mpf(1)


EXACT = {
    sin_k: exact_sin,
    cos_k: exact_cos,
    tan_k: lambda r, K: exact_sin(r, K) / exact_cos(r, K),
    sinc_k: exact_sinc,
    versin_k: lambda r, K: 2 * exact_sin(mp.mpf(r) / 2, K) ** 2,
    log_sinc_k: lambda r, K: mp.log(abs(exact_sinc(r, K))),
}


def close(value, exact, rel, absolute=0.0):
    assert math.isfinite(value)
    assert abs(mp.mpf(value) - exact) <= rel * abs(exact) + absolute, (value, exact)


@pytest.mark.parametrize("as_tensor", [False, True], ids=["float K", "tensor K"])
@pytest.mark.parametrize(("dtype", "rel"), [(torch.float64, 5e-14), (torch.float32, 4e-6)])
@pytest.mark.parametrize("function", list(EXACT), ids=lambda f: f.__name__)
def test_values_against_mpmath(function, dtype, rel, as_tensor):
    # What float32 holds of K and r is what the exact value is taken at.
    for K in torch.tensor(CURVATURES, dtype=dtype):
        for r in torch.tensor(RADII, dtype=dtype):
            if as_tensor:
                value = function(r, K).item()
            else:
                value = function(r, float(K)).item()
            # Below 2^-126 only the sum with something larger can be seen.
            close(value, EXACT[function](float(r), float(K)), rel, 1e-30)


def exact_slopes(function, r, K):
    """Derivatives in r and in K by differences in many digits."""
    exact = EXACT[function]
    with mp.workdps(80):
        # One-sided at r = 0: all of them are smooth there.
        in_r = mp.diff(lambda x: exact(x, K), mp.mpf(r), h=mp.mpf("1e-20"), direction=1)
        in_K = mp.diff(lambda k: exact(r, k), mp.mpf(K), h=mp.mpf("1e-20"))
    return in_r, in_K


@pytest.mark.parametrize("function", list(EXACT), ids=lambda f: f.__name__)
@pytest.mark.parametrize("K", CURVATURES)
@pytest.mark.parametrize("r", [0.0, 1e-3, 0.1, 0.5, 1.2])
def test_gradients_against_mpmath(function, K, r):
    rt = torch.tensor(r, dtype=torch.float64, requires_grad=True)
    Kt = torch.tensor(K, dtype=torch.float64, requires_grad=True)
    in_r, in_K = torch.autograd.grad(function(rt, Kt), [rt, Kt])
    exact_r, exact_K = exact_slopes(function, r, K)
    close(in_r.item(), exact_r, 1e-10, 1e-12)
    close(in_K.item(), exact_K, 1e-9, 1e-12)
    value = function(rt, K)
    # At a Python-float K = 0 some are constants, without a graph.
    float_r = torch.autograd.grad(value, rt)[0].item() if value.requires_grad else 0.0
    assert abs(float_r - in_r.item()) <= 1e-12 * max(1, abs(float_r))


@pytest.mark.parametrize("K", [-1e-3, -1e-8, 0.0, 1e-8, 1e-3, -2.0, 2.0])
@pytest.mark.parametrize("function", list(EXACT), ids=lambda f: f.__name__)
def test_second_derivatives(function, K):
    r = torch.tensor([0.05, 0.3, 0.9], dtype=torch.float64, requires_grad=True)
    Kt = torch.tensor(K, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (r, Kt))
    assert torch.autograd.gradgradcheck(function, (r, Kt))


@pytest.mark.parametrize("K", CURVATURES)
@pytest.mark.parametrize("as_tensor", [False, True], ids=["float K", "tensor K"])
def test_arctan_inverts(K, as_tensor):
    k = torch.tensor(K, dtype=torch.float64) if as_tensor else K
    top = 30.0 if K <= 0 else math.pi / math.sqrt(K)
    r = torch.linspace(0, 1, 101, dtype=torch.float64) * min(top, 30.0)
    back = arctan_k(sin_k(r, k).clamp_min(0), cos_k(r, k), k)
    assert torch.allclose(back, r, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("K", [-1.0, -1e-8, 0.0, 1e-8, 1.0])
def test_arctan_gradient(K):
    s = torch.tensor([0.0, 0.2, 0.7], dtype=torch.float64, requires_grad=True)
    Kt = torch.tensor(K, dtype=torch.float64, requires_grad=True)

    def radius(s, Kt):
        return arctan_k(s, torch.sqrt(1 - Kt * s * s), Kt)

    assert torch.autograd.gradcheck(radius, (s, Kt))


@pytest.mark.parametrize("function", list(EXACT), ids=lambda f: f.__name__)
def test_mixed_signs_in_one_tensor(function):
    K = torch.tensor([-2.0, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    r = torch.tensor([0.0, 0.7, 1.0], dtype=torch.float64, requires_grad=True)
    value = function(r[:, None], K)
    for j, k in enumerate(K.tolist()):
        assert torch.allclose(value[:, j], function(r, k), rtol=1e-13, atol=1e-15)
    for g in torch.autograd.grad(value.sum(), [r, K]):
        assert torch.isfinite(g).all()


def test_float32_far_out():
    r = torch.tensor([10.0, 50.0, 88.0, 400.0, 1e6], requires_grad=True)
    value = log_sinc_k(r, -1.0)
    exact = [float(mp.log(mp.sinh(x) / x)) for x in r.tolist()]
    assert torch.allclose(value, torch.tensor(exact), rtol=1e-6)
    (g,) = torch.autograd.grad(value.sum(), r)
    assert torch.allclose(g, 1 / torch.tanh(r) - 1 / r, rtol=1e-5)
    assert tan_k(torch.tensor(1e6), -4.0).item() == 0.5


@pytest.mark.parametrize("K", [float("nan"), float("inf"), -float("inf")])
def test_a_curvature_that_is_no_number_is_refused(K):
    with pytest.raises(ValueError, match="curvature must be a finite number"):
        sin_k(torch.ones(2), K)


def test_a_curvature_below_the_range_of_float32_is_flat():
    r = torch.tensor([0.0, 1.0, 1e6])
    assert torch.equal(sin_k(r, 1e-300), r)
    assert torch.equal(sin_k(r, -1e-300), r)
