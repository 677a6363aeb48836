r"""The fused sample and log-density ratio of a Riemannian normal, with its gradient by hand.

With x = exp_0(u), a unit direction n in the frame carried from the origin and an arc theta,

.. math::
    z = \exp_x(PT_{0 \to x}\, \theta n), \quad f = \log q(z \mid x) - \log p(z),

all in units of the radius 1/sqrt(|K|). Written in the axis ``e = u/|u|``, ``nu = |u|``,
``m = e + n`` and ``eta = |m|^2/2`` (one plus the cosine of the angle between u and n),

.. math::
    z_s = (\sin(\nu - \theta) + (\cos\nu - 1) \sin\theta \, \eta) e + \sin\theta \, m, \qquad
    z_c = \cos(\nu - \theta) - \sin\nu \sin\theta \, \eta,

and with hyperbolic functions and ``z_c = cosh(nu - theta) + sinh(nu) sinh(theta) eta`` for K < 0.
There no two large terms cancel, even where n leads back to the origin, so that float32 keeps the
radius of z as far out as it can hold the coordinates. Nothing is singular at u = 0, where the
axis is taken as zero, nor at the antipode of the origin.

The densities depend on theta and on the radius delta of z alone.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skccvae.special.radial_table import RadialValues

__all__ = ["Settings", "backward", "forward"]

# Norms are kept above this; what they divide is exactly 0 there.
_TINY = 1e-15


class Settings(NamedTuple):
    """What is fixed during a step.

    Attributes
    ----------
    K : float
        Curvature, not 0.
    prior_scale : float
        Scale of the prior.
    tangent : bool
        Whether the sample is wanted as its tangent vector at the origin.
    log_prior_mass : float
        ``d log p + log Z(K p^2)/Z(0)``, p the prior's scale.
    prior_excess : float
        ``E[rho^2] - d`` of the prior.
    """

    K: float
    prior_scale: float
    tangent: bool
    log_prior_mass: float
    prior_excess: float

    @property
    def precision(self) -> float:
        """Precision of the prior in units of the radius."""
        return 1 / (abs(self.K) * self.prior_scale**2)


@lru_cache(maxsize=64)
def _constants(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor, float]:
    """Weights of nu and of theta in the four arcs, delta as a tensor and as a number.

    Quotients such as (delta/n - 1/z_c)/n^2 cancel as n -> 0. With a delta ten roundings wide,
    ``(numerator + limit delta)/(n^2 + delta)`` has the right limit, an error of order delta
    elsewhere, and needs no branch.
    """
    delta = 10 * torch.finfo(dtype).eps
    of_nu, of_theta, small = (
        torch.tensor(v, dtype=dtype, device=device)
        for v in ([0.5, 0.0, -0.5, 1.0], [0.0, 1.0, 1.0, -1.0], delta)
    )
    return of_nu, of_theta, small, delta


def forward(
    u: Tensor, log_scale: Tensor, direction: Tensor, values: RadialValues, s: Settings
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Any, ...]]:
    """Outputs (zc, z, f) of the step, and what `backward` needs.

    Parameters
    ----------
    u : Tensor of shape (n, d)
    log_scale : Tensor of shape (n, 1)
    direction : Tensor of shape (n, d)
        Standard normal noise.
    values : RadialValues
        Of the same rows.
    s : Settings
    """
    a, sphere = math.sqrt(abs(s.K)), s.K > 0
    theta, growth, log_mass, square = values[:4]
    of_nu, of_theta, _, _ = _constants(u.dtype, u.device)
    U = u * a if a != 1 else u
    nu = torch.linalg.vector_norm(U, dim=-1, keepdim=True).clamp_min_(_TINY)
    e = U / nu
    length = torch.linalg.vector_norm(direction, dim=-1, keepdim=True).clamp_min_(_TINY)
    m = torch.addcdiv(e, direction, length)
    eta = (m * m).sum(-1, keepdim=True).mul_(0.5)
    arcs = torch.addcmul(theta * of_theta, nu, of_nu)
    if sphere:
        sines, cosines = torch.sin(arcs), torch.cos(arcs)
    else:
        sines, cosines = torch.sinh(arcs), torch.cosh(arcs)
    sines, cosines = sines.split(1, -1), cosines.split(1, -1)
    half_sine, S, _, sine_gap = sines
    half_cosine, cosine_gap = cosines[0], cosines[3]
    S_eta = S * eta
    sign = -2 if sphere else 2
    half_square = half_sine * half_sine
    along = torch.addcmul(sine_gap, half_square, S_eta, value=sign)
    zc = torch.addcmul(cosine_gap, half_sine * half_cosine, S_eta, value=sign)
    Z = torch.addcmul(along * e, S, m)
    n = torch.linalg.vector_norm(Z, dim=-1, keepdim=True).clamp_min_(_TINY)
    delta = torch.atan2(n, zc) if sphere else torch.asinh(n)
    k = delta / n
    inverse = torch.exp(-log_scale)
    if a != 1:
        inverse.mul_(1 / a)
    rho = theta * inverse
    f = torch.addcmul(s.log_prior_mass - log_mass, rho, rho, value=-0.5)
    f.addcmul_(delta, delta, value=0.5 * s.precision)
    # `detach` makes another object of the same numbers: what is saved must not be an output
    z = k * Z if s.tangent else Z.detach()
    if a != 1:
        z = z * (1 / a)
    saved = (
        U, nu, theta, sines, cosines, half_square, e, m, eta, S_eta, Z, n, zc, delta, k, inverse,
        rho, growth, square,
    )  # fmt: skip
    return (zc.squeeze(-1).detach(), z, f.squeeze(-1)), saved


def backward(
    saved: tuple[Any, ...],
    s: Settings,
    grads: tuple[Tensor | None, ...],
    needs_K: bool = False,
    growth_of_tangent: bool = True,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients in u, in log_scale and (if wanted, as a scalar) in K, from those of (zc, z, f).

    `growth_of_tangent` says that for K > 0 the growth is that of log tan(theta/2).
    """
    g_zc, g_z, g_f = grads
    (
        U, nu, theta, sines, cosines, half_square, e, m, eta, S_eta, Z, n, zc, delta, k, inverse,
        rho, growth, square,
    ) = saved  # fmt: skip
    a, sphere = math.sqrt(abs(s.K)), s.K > 0
    _, _, small, small_ = _constants(Z.dtype, Z.device)
    half_sine, S, _, sine_gap = sines
    half_cosine, C, cosine_mid, cosine_gap = cosines
    if g_z is None:
        g_z = torch.zeros_like(Z)
    h = torch.zeros_like(n) if g_f is None else g_f.unsqueeze(-1)
    if g_zc is not None:
        g_zc = g_zc.unsqueeze(-1)
    # Everything below is in units of the radius and times a, so that the gradient in u comes out
    # in the user's units.
    ha = h
    if a != 1:
        ha = h * a
        g_zc = None if g_zc is None else g_zc * a
    s1 = (g_z * Z).sum(-1, keepdim=True) if s.tangent else None

    # Through delta and |z_s|; G is the gradient in n = |z_s| over n, g_cos (on a sphere) that in
    # z_c, of which delta is read too.
    g_cos = h
    if sphere:
        g_delta = (delta * ha).mul_(s.precision)
        G = g_delta * zc / n
        g_cos = torch.addcmul(torch.zeros_like(n) if g_zc is None else g_zc, g_delta, n, value=-1)
        if s1 is not None:
            G.addcmul_(s1, (zc - k).sub_(2 / 3 * small_).div_(torch.addcmul(small, n, n)))
            g_cos.sub_(s1)
    else:
        q = zc.reciprocal()
        G = (k * q).mul_(ha)
        if s.precision != 1:
            G.mul_(s.precision)
        if s1 is not None:
            quotient = (k - q).add_(small_ / 3).div_(torch.addcmul(small, n, n))
            G.addcmul_(quotient, s1, value=-1)
        if g_zc is not None:
            G.addcmul_(g_zc, q)
    g = torch.addcmul(g_z * k if s.tangent else g_z, G, Z)

    # z_s = along e + S m
    g_e = (g * e).sum(-1, keepdim=True)
    g_m = (g * m).sum(-1, keepdim=True)
    sign = 1 if sphere else -1
    H = half_sine / nu  # half of it, sin(nu/2)/nu
    C_eta = C * eta
    drift = H * half_sine
    turn = drift * S_eta
    alpha = torch.addcmul(turn, H, cosine_mid, value=-sign).mul_(-2 * sign)
    inner = torch.addcmul(cosine_gap, half_square, C_eta, value=2 * sign)
    g_theta = torch.addcmul(C * g_m, g_e, inner, value=-1)
    g_axis = torch.add(zc - alpha, turn, alpha=2 * sign).mul_(g_e)
    on_m = drift.mul_(S).mul_(g_e).mul_(-2 * sign)
    if sphere:
        # z_c moves by itself
        A = (H * half_cosine).mul_(2)  # sin(nu)/nu
        cross = half_sine * half_cosine
        g_theta.addcmul_(g_cos, torch.addcmul(sine_gap, cross, C_eta, value=-2))
        turn = torch.add(A - 1, half_square, alpha=2).mul_(S_eta).sub_(sine_gap)
        g_axis.addcmul_(g_cos, turn)
        on_m.addcmul_(g_cos * A, S, value=-1)
    g_u = (alpha * g).addcmul_(on_m, m).addcmul_(g_axis, e)

    # theta also enters f through rho
    g_theta = torch.addcmul(g_theta * (1 / a) if a != 1 else g_theta, h * rho, inverse, value=-1)
    rate = growth * (S if sphere and growth_of_tangent else theta)
    own = torch.addcmul(-square, rho, rho)
    g_raw = torch.addcmul(own * h, g_theta, rate)
    if not needs_K:
        return g_u, g_raw, None
    # K enters through the unit of length and through c = K s^2, on which theta depends
    moved = (g_u * U).sum() / a - (g_z * (k * Z if s.tangent else Z)).sum() / a
    fixed = own + (Z.shape[-1] + s.prior_excess) - s.precision * delta * delta
    return g_u, g_raw, (moved + (g_theta * rate + h * fixed).sum()) / (2 * s.K)
