r"""The fused sample and log-density ratio of a wrapped normal, with its gradient by hand.

With u the tangent location at the origin and v = scale eps,

.. math::
    x = \exp_0 u, \quad z = \exp_x(PT_{0 \to x} v), \quad
    f = \log q(z \mid x) - \log p(z).

In polar form (see :mod:`skccvae.manifolds.functional`) and in units of the radius 1/sqrt(|K|) the
transport along the geodesic from the origin is known in closed form from u itself,

.. math::
    z_s = \alpha u + g v, \quad
    \alpha = A \cos r + g B \langle u, v\rangle, \quad
    A = \frac{\sin |u|}{|u|}, \quad B = \frac{\cos |u| - 1}{|u|^2}, \quad
    g = \frac{\sin r}{r}

(sinh and cosh for K < 0), with no division by ``1 + cos |u|``: nothing is singular, the antipode
of the origin included. Both volume ratios need one logarithm together,
``(d - 1) log(|z_s| / (rho g))`` with rho the radius of z.

At the sizes of a training step the time goes into launching operations, not into arithmetic, so
everything works on few tensors: u and v side by side, and one number a row for the rest.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

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
    n : int
        Preimages on either side that are summed, for K > 0.
    is_log : bool
        Whether the scale is given by its logarithm.
    tangent : bool
        Whether the sample is wanted as its tangent vector at the origin.
    """

    K: float
    prior_scale: float
    n: int
    is_log: bool
    tangent: bool

    @property
    def precision(self) -> float:
        """Precision of the prior in units of the radius."""
        return 1 / (abs(self.K) * self.prior_scale**2)


@lru_cache(maxsize=64)
def _constants(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, float]:
    """1 and delta as tensors (cheaper operands than Python numbers), and delta.

    Quotients such as (1 - x cot x)/x^2 cancel as x -> 0. With delta ten roundings wide,
    ``(numerator + limit delta)/(x^2 + delta)`` has the right limit, an error of order delta
    elsewhere, and needs no branch.
    """
    delta = 10 * torch.finfo(dtype).eps
    one = torch.ones((), dtype=dtype, device=device)
    return one, one * delta, delta


@lru_cache(maxsize=64)
def _turns(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return 2 * math.pi * torch.arange(-n, n + 1, dtype=dtype, device=device)


def _preimages(r: Tensor, rho: Tensor, eps: Tensor, s: Settings) -> tuple[Tensor, ...]:
    """Preimage sums of log q less log p, each relative to its first term, and their slopes.

    The k-th term relative to the first is ``-E/2 (t^2 - 1) + (d - 1) log|t|`` with
    ``t = 1 + 2 pi k/r`` and E the squared standardised length: ``|eps|^2`` for q, ``precision
    rho^2`` for p (see :func:`skccvae.distributions._preimages.log_preimage_sum`). Both densities
    are done at once. Returned are the difference, its parts' derivatives in r and in rho, and the
    weighted mean of ``t^2 - 1`` under p, for the derivative in its precision.
    """
    d = eps.shape[-1]
    one = _constants(r.dtype, r.device)[0]
    radii = torch.stack([r, rho])
    # The added 1e-12 makes eps = 0, where r = 0 too, count the first preimage alone.
    square = (eps * eps).sum(-1, keepdim=True).add_(1e-12)
    E = torch.stack([square, (rho * rho).mul_(s.precision)])
    t = torch.addcdiv(one, _turns(s.n, r.dtype, r.device), radii)
    # A term at the very origin of the tangent space: weight 0 for d > 1, and no infinite slope.
    tt = (t * t).clamp_min_(1e-30)
    excess = tt - one
    term = (excess * E).mul_(-0.5)
    if d > 1:
        term.add_(tt.log(), alpha=0.5 * (d - 1))
    top = term.amax(-1, keepdim=True)
    weight = term.sub_(top).exp_()
    total = weight.sum(-1, keepdim=True)
    weight.div_(total)
    change = t.sub_(tt).mul_(torch.sub((d - 1) / tt, E))
    slope_q, slope_p = change.mul_(weight).sum(-1, keepdim=True).div_(radii).unbind()
    mean_excess = excess.mul_(weight).select(0, 1).sum(-1, keepdim=True)
    slope_p = torch.addcmul(slope_p, mean_excess, rho, value=-s.precision)
    q, p = total.log_().add_(top).unbind()
    return q - p, slope_q, slope_p, mean_excess


def forward(
    u: Tensor, raw: Tensor, eps: Tensor, s: Settings
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Any, ...]]:
    """Outputs (zc, z, f) of the step, and what `backward` needs.

    Parameters
    ----------
    u, raw, eps : Tensor of shape (..., d)
        Location, scale or its logarithm, noise; all of one shape.
    s : Settings
    """
    d, a = u.shape[-1], math.sqrt(abs(s.K))
    one, delta, _ = _constants(u.dtype, u.device)
    scale, log_scale = (raw.exp(), raw) if s.is_log else (raw, raw.log())
    pair = torch.stack([u, scale * eps])
    if a != 1:
        pair.mul_(a)
    norms = torch.linalg.vector_norm(pair, dim=-1, keepdim=True).clamp_min_(_TINY)
    U, V = pair.unbind()
    if s.K < 0:
        cosines, sincs = torch.cosh(norms), torch.sinh(norms).div_(norms)
    else:
        cosines, sincs = torch.cos(norms), torch.sin(norms).div_(norms)
    cu, C = cosines.unbind()
    A, g = sincs.unbind()
    squares = norms * norms
    W = (U * V).sum(-1, keepdim=True)
    if s.K < 0:
        B = (A * A).div_(cu + one)
    else:
        B = torch.sub(cu - one, delta, alpha=0.5).div_(squares.select(0, 0) + delta)
    gB = g * B
    alpha = torch.addcmul(C * A, gB, W)
    Z = torch.addcmul(alpha * U, g, V)
    n = torch.linalg.vector_norm(Z, dim=-1, keepdim=True).clamp_min_(_TINY)
    if s.K < 0:
        zc, rho = torch.hypot(n, one), torch.asinh(n)
    else:
        zc = torch.addcmul(C * cu, A * g, W, value=-1)
        rho = torch.atan2(n, zc)
    k = rho / n
    f = torch.addcmul(log_scale, eps, eps, value=0.5).sum(-1, keepdim=True)
    f.addcmul_(rho, rho, value=-0.5 * s.precision).neg_()
    if d > 1:
        kg = k * g
        f.sub_((kg if s.K < 0 else kg.abs_()).log_(), alpha=d - 1)
    if s.prior_scale != 1:
        f.add_(d * math.log(s.prior_scale))
    slopes: tuple[Tensor, ...] | tuple[None, ...] = (None, None, None)
    if s.K > 0:
        total = _preimages(norms[1], rho, eps, s)
        f.add_(total[0])
        slopes = total[1:]
    # `detach` makes another object of the same numbers: what is saved must not be an output.
    z = k * Z if s.tangent else Z.detach()
    if a != 1:
        z = z * (1 / a)
    saved = (
        pair, scale, eps, norms, squares, cosines, sincs, W, B, gB, alpha, Z, n, zc, rho, k, *slopes
    )  # fmt: skip
    return (zc.squeeze(-1), z, f.squeeze(-1)), saved


def backward(
    saved: tuple[Any, ...],
    s: Settings,
    grads: tuple[Tensor | None, ...],
    needs_K: bool = False,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients in u, in raw and (if wanted, as a scalar) in K, from those of (zc, z, f)."""
    g_zc, g_z, g_f = grads
    (pair, scale, eps, norms, squares, cosines, sincs, W, B, gB, alpha, Z, n, zc, rho, k,
     slope_q, slope_p, mean_excess) = saved  # fmt: skip
    d, a = eps.shape[-1], math.sqrt(abs(s.K))
    one, delta, delta_ = _constants(eps.dtype, eps.device)
    U, V = pair.unbind()
    cu, C = cosines.unbind()
    A, g = sincs.unbind()
    if g_z is None:
        g_z = torch.zeros_like(Z)
    g_f = torch.zeros_like(n) if g_f is None else g_f.unsqueeze(-1)
    if g_zc is not None:
        g_zc = g_zc.unsqueeze(-1)
    # Everything below is in units of the radius and times a, so that the gradients in u and v
    # come out in the user's units.
    h = g_f
    if a != 1:
        h = g_f * a
        g_zc = None if g_zc is None else g_zc * a
    s1 = (g_z * Z).sum(-1, keepdim=True) if s.tangent else None

    # Through zc, rho and |z_s|; G is the gradient in n = |z_s| over n.
    if s.K < 0:
        q = one / zc
        G = (k * q).mul_(h)
        if s.precision != 1:
            G.mul_(s.precision)
        if d > 1 or s1 is not None:
            # (1 - q/k)/n^2, with limit 1/3
            kappa = torch.addcdiv(one + delta_ / 3, q, k, value=-1)
            kappa.div_(torch.addcmul(delta, n, n))
            if s1 is None:
                G.addcmul_(kappa, h, value=d - 1)
            else:
                G.addcmul_(kappa, torch.sub(k * s1, h, alpha=d - 1), value=-1)
        if g_zc is not None:
            G.addcmul_(g_zc, q)
    else:
        g_rho = rho * s.precision
        if d > 1:
            # (zc k - 1)/rho^2, with limit -1/3: log(sin rho/rho)' over rho
            kappa = (zc * k).sub_(1 + delta_ / 3).div_(torch.addcmul(delta, rho, rho))
            g_rho.addcmul_(kappa, rho, value=d - 1)
        g_rho = g_rho.sub_(slope_p).mul_(h)
        G = g_rho * zc / n
        g_zc = torch.addcmul(torch.zeros_like(n) if g_zc is None else g_zc, g_rho, n, value=-1)
        if s1 is not None:
            kappa = (zc - k).sub_(2 / 3 * delta_).div_(torch.addcmul(delta, n, n))
            G.addcmul_(s1, kappa)
            g_zc.sub_(s1)
    e = torch.addcmul(g_z * k if s.tangent else g_z, G, Z)

    # z_s = alpha U + g V, alpha = C A + g B W
    ga, gg = (pair * e).sum(-1, keepdim=True).unbind()
    slopes = (cosines - sincs).div_(squares)
    slope_A, slope_g = slopes.unbind()
    x = ga * W
    gg = torch.addcmul(gg, x, B)
    if d > 1:
        gg.addcdiv_(h, g, value=-(d - 1))
    gw = ga * gB
    gC, gA = ga * A, ga * C
    if s.K < 0:
        Gu = torch.sub(A, B, alpha=2).div_(squares.select(0, 0)).mul_(x).mul_(g)
        Gv = gC.mul_(g)
    else:
        # zc = C cu - A g W
        zw = g_zc * W
        gA.addcmul_(zw, g, value=-1)
        gg.addcmul_(zw, A, value=-1)
        gw.addcmul_(g_zc, A * g, value=-1)
        gC.addcmul_(g_zc, cu)
        Gu = torch.add(A, B, alpha=2).div_(squares.select(0, 0)).mul_(x).mul_(g)
        Gu.addcmul_(g_zc * C, A).neg_()
        Gv = gC.mul_(g).neg_().addcdiv_(h * slope_q, norms[1])
    Gu.addcmul_(gA, slope_A)
    Gv.addcmul_(gg, slope_g)
    g_u = (e * alpha).addcmul_(Gu, U).addcmul_(gw, V)
    g_v = (e * g).addcmul_(Gv, V).addcmul_(gw, U)
    if s.is_log:
        g_raw = torch.addcmul(-g_f, g_v, V, value=1 / a)
    else:
        g_raw = torch.addcdiv(g_v * eps, g_f, scale, value=-1)
    if not needs_K:
        return g_u, g_raw, None
    # K enters through the unit of length alone: scale u, v and z, and the prior's precision.
    moved = (torch.stack([g_u, g_v]) * pair).sum()
    moved = moved - (g_z * (k * Z if s.tangent else Z)).sum()
    fixed = rho * rho if mean_excess is None else rho * rho * (1 + mean_excess)
    return g_u, g_raw, (moved / a - s.precision * (g_f * fixed).sum()) / (2 * s.K)
