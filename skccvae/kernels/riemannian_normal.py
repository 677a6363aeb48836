r"""Draw and log-density ratio of a Riemannian normal in one operation, with its gradient by hand.

Plain path: `skccvae.distributions.RiemannianNormal.rsample_with_log_prob`, less the prior's
log-density. What this buys: TODO

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

from skccvae.kernels.curvature_gradient import near_flat
from skccvae.kernels.radius_table import RadiusValues, radius_table
from skccvae.kernels.radius_values import exact_values, near_flat_values
from skccvae.kernels.riemannian_flat import FlatStep
from skccvae.special._autograd import first_order_only
from skccvae.special.riemannian_normal import partition_number
from skccvae.special.trigonometry import FLAT, SMALL_CURVATURE

__all__ = ["step"]

# Norms are kept above this; what they divide is exactly 0 there.
_TINY = 1e-15


class _Settings(NamedTuple):
    """What is fixed during a step."""

    K: float  # curvature, not 0
    prior_scale: float
    log_map: bool  # whether the sample is wanted as its logarithm at the origin
    log_prior_mass: float  # d log p + log Z(K p^2)/Z(0), p the prior's scale
    prior_excess: float  # E[rho^2] - d of the prior

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


def _forward(
    u: Tensor, log_scale: Tensor, direction: Tensor, values: RadiusValues, s: _Settings
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Any, ...]]:
    """Outputs (zc, z, f) of the step, and what `_backward` needs.

    Parameters
    ----------
    u : Tensor of shape (n, d)
    log_scale : Tensor of shape (n, 1)
    direction : Tensor of shape (n, d)
        Standard normal noise.
    values : RadiusValues
        Of the same rows.
    s : _Settings
    """
    a, sphere = math.sqrt(abs(s.K)), s.K > 0
    theta, log_theta_slope, log_mass, square = values[:4]
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
    z = k * Z if s.log_map else Z.detach()
    if a != 1:
        z = z * (1 / a)
    saved = (
        U, nu, theta, sines, cosines, half_square, e, m, eta, S_eta, Z, n, zc, delta, k, inverse,
        rho, log_theta_slope, square,
    )  # fmt: skip
    return (zc.squeeze(-1).detach(), z, f.squeeze(-1)), saved


def _backward(
    saved: tuple[Any, ...],
    s: _Settings,
    grads: tuple[Tensor | None, ...],
    needs_K: bool = False,
    of_tangent: bool = True,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients in u, in log_scale and (if wanted, as a scalar) in K, from those of (zc, z, f).

    `of_tangent` says that for K > 0 the log_theta_slope is that of log tan(theta/2).
    """
    g_zc, g_z, g_f = grads
    (
        U, nu, theta, sines, cosines, half_square, e, m, eta, S_eta, Z, n, zc, delta, k, inverse,
        rho, log_theta_slope, square,
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
    s1 = (g_z * Z).sum(-1, keepdim=True) if s.log_map else None

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
            # (k - q)/n^2 by (1 - q/k): far out k itself is less than the rounding that small is
            quotient = (1 + small_ / 3 - q / k).div_(torch.addcmul(small, n, n))
            G.addcmul_(quotient, k * s1, value=-1)
        if g_zc is not None:
            G.addcmul_(g_zc, q)
    g = torch.addcmul(g_z * k if s.log_map else g_z, G, Z)

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
    rate = log_theta_slope * (S if sphere and of_tangent else theta)
    own = torch.addcmul(-square, rho, rho)
    g_raw = torch.addcmul(own * h, g_theta, rate)
    if not needs_K:
        return g_u, g_raw, None
    # K enters through the unit of length and through c = K s^2, on which theta depends
    moved = (g_u * U).sum() / a - (g_z * (k * Z if s.log_map else Z)).sum() / a
    fixed = own + (Z.shape[-1] + s.prior_excess) - s.precision * delta * delta
    return g_u, g_raw, (moved + (g_theta * rate + h * fixed).sum()) / (2 * s.K)


def _settings(K: float, prior_scale: float, d: int, log_map: bool) -> _Settings:
    mass, excess = partition_number(K * prior_scale**2, d)
    return _Settings(K, prior_scale, log_map, d * math.log(prior_scale) + mass, excess)


_fixed_settings = lru_cache(maxsize=256)(_settings)


@lru_cache(maxsize=256)
def _shift(K: float, d: int, device: torch.device) -> Tensor:
    return torch.tensor(math.log(abs(K) * d), dtype=torch.float32, device=device)


class _Step(torch.autograd.Function):
    """The step for a curvature that is a number, and the tensor that it was read from, if any."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, log_scale: Tensor, noise: Tensor, s: _Settings, K: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        d, exact = u.shape[-1], u.dtype != torch.float32
        if exact:
            values = exact_values(noise[:, :1], log_scale, s.K, d)
        else:
            shift = _shift(s.K, d, u.device) if K is None else math.log(abs(s.K) * d)
            table = radius_table(d, 1 if s.K > 0 else -1)
            values = table.evaluate(noise[:, :1], log_scale, shift)
        outputs, saved = _forward(u, log_scale, noise[:, 1:], values, s)
        # intermediates, not inputs or outputs: kept plainly, which costs less than saving each
        ctx.saved, ctx.settings, ctx.exact = saved, s, exact
        ctx.learned = None if K is None else (K.dtype, K.shape, u, log_scale, noise, values)
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    @first_order_only
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if all(g is None for g in grads):
            return None, None, None, None, None
        s, exact, learned = ctx.settings, ctx.exact, ctx.learned
        direct = learned is not None and abs(s.K) >= SMALL_CURVATURE
        g_u, g_log_scale, g_K = _backward(ctx.saved, s, grads, direct, not exact)
        if learned is None:
            return g_u, g_log_scale, None, None, None
        dtype, shape, u, log_scale, noise, values = learned
        if g_K is None:
            d, wide = u.shape[-1], [v.double() for v in (u, log_scale, noise)]
            wide_grads = tuple(None if g is None else g.double() for g in grads)

            def gradient_at(K: float) -> Tensor:
                there = _settings(K, s.prior_scale, d, s.log_map)
                if exact:
                    moved = exact_values(wide[2][:, :1], wide[1], K, d)
                else:
                    moved = near_flat_values(values, wide[1], s.K, K, d)
                kept = _forward(wide[0], wide[1], wide[2][:, 1:], moved, there)[1]
                gradient = _backward(kept, there, wide_grads, True, False)[2]
                assert gradient is not None
                return gradient

            g_K = near_flat(s.K, gradient_at)
        return g_u, g_log_scale, None, None, g_K.to(dtype).reshape(shape)


def step(
    u: Tensor,
    log_scale: Tensor,
    noise: Tensor,
    curvature: float | Tensor,
    prior_scale: float = 1.0,
    log_map: bool = False,
    n_preimages: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Draw from a Riemannian normal posterior, and its log-density ratio to the prior.

    Parameters
    ----------
    u : Tensor of shape (..., d)
        Location, as a tangent vector at the origin.
    log_scale : Tensor of shape (..., 1)
        Logarithm of the isotropic scale.
    noise : Tensor of shape (..., d + 1)
        Standard normal: the score of the radius (beyond 8.3 in size it acts as 8.3), and a
        direction in the frame carried from the origin. It gets no gradient. All three broadcast.
    curvature : float or Tensor
        K of any sign; a tensor on the CPU gets a gradient and may pass through 0.
    prior_scale : float, default=1.0
        Scale of the prior, a Riemannian normal at the origin.
    log_map : bool, default=False
        Whether the draw is returned as its logarithm at the origin in place of zs.
    n_preimages : None
        Not read: the density of this law has one term.

    Returns
    -------
    zc, zs, log_ratio : Tensor
        As `skccvae.kernels.wrapped_normal.step`.

    Notes
    -----
    Implicit reparameterisation of the radius at a fixed score. float32 rows are read from one table
    for each dimension and sign, with an error near 1e-6; float64 goes to the tables of the law.

    At K = -1 in float32 the radius of the sample keeps 1e-3 up to 40, whatever the way that leads
    there; from 44 the squares of the coordinates overflow and the result is infinite. For another
    curvature divide by sqrt(-K).
    """
    d, batch = u.shape[-1], u.shape[:-1]
    if log_scale.shape[:-1] != batch or noise.shape[:-1] != batch:
        batch = torch.broadcast_shapes(batch, log_scale.shape[:-1], noise.shape[:-1])
    if len(batch) != 1 or batch != u.shape[:-1] or batch != log_scale.shape[:-1]:
        u, noise = u.expand(*batch, d).reshape(-1, d), noise.expand(*batch, d + 1)
        log_scale = log_scale.expand(*batch, 1).reshape(-1, 1)
        noise = noise.reshape(-1, d + 1)
    learned = curvature if isinstance(curvature, Tensor) and curvature.requires_grad else None
    K = float(curvature.detach() if isinstance(curvature, Tensor) else curvature)
    if abs(K) < FLAT and learned is None:
        zs, log_ratio = FlatStep.apply(u, log_scale, noise, float(prior_scale))
        zc = torch.ones_like(log_ratio)
    else:
        K = FLAT if abs(K) < FLAT else K
        make = _fixed_settings if learned is None else _settings
        s = make(K, float(prior_scale), d, log_map)
        zc, zs, log_ratio = _Step.apply(u, log_scale, noise, s, learned)
    if len(batch) == 1:
        return zc, zs, log_ratio
    return zc.reshape(batch), zs.reshape(*batch, d), log_ratio.reshape(batch)
