r"""Draw and log-density ratio of a wrapped normal in one operation, with its gradient by hand.

Plain path: `skccvae.distributions.WrappedNormal.rsample_with_log_prob`, less the log-density of the
prior. What this buys: TODO

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

from skccvae.distributions.preimages import n_preimages_for
from skccvae.kernels.curvature_gradient import near_flat
from skccvae.kernels.preimages import preimage_ratio
from skccvae.special._autograd import first_order_only
from skccvae.special.trigonometry import FLAT, SMALL_CURVATURE

__all__ = ["step"]

# Norms are kept above this; what they divide is exactly 0 there.
_TINY = 1e-15


class _Settings(NamedTuple):
    """What is fixed during a step."""

    K: float  # curvature, not 0
    prior_scale: float
    n: int  # preimages on either side that are summed, for K > 0
    log_map: bool  # whether the sample is wanted as its logarithm at the origin

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


def _forward(
    u: Tensor, log_scale: Tensor, eps: Tensor, s: _Settings
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Any, ...]]:
    """Outputs (zc, z, f) of the step, and what `_backward` needs.

    Parameters
    ----------
    u, log_scale, eps : Tensor of shape (..., d)
        Location, logarithm of the scale, noise; all of one shape.
    s : _Settings
    """
    d, a = u.shape[-1], math.sqrt(abs(s.K))
    one, delta, _ = _constants(u.dtype, u.device)
    scale = log_scale.exp()
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
        total = preimage_ratio(norms[1], rho, eps, s.precision, s.n)
        f.add_(total[0])
        slopes = total[1:]
    # `detach` makes another object of the same numbers: what is saved must not be an output.
    z = k * Z if s.log_map else Z.detach()
    if a != 1:
        z = z * (1 / a)
    saved = (
        pair, eps, norms, squares, cosines, sincs, W, B, gB, alpha, Z, n, zc, rho, k, *slopes
    )  # fmt: skip
    return (zc.squeeze(-1), z, f.squeeze(-1)), saved


def _backward(
    saved: tuple[Any, ...],
    s: _Settings,
    grads: tuple[Tensor | None, ...],
    needs_K: bool = False,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients in u, in log_scale and (if wanted, as a scalar) in K, from those of (zc, z, f)."""
    g_zc, g_z, g_f = grads
    (pair, eps, norms, squares, cosines, sincs, W, B, gB, alpha, Z, n, zc, rho, k,
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
    s1 = (g_z * Z).sum(-1, keepdim=True) if s.log_map else None

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
    e = torch.addcmul(g_z * k if s.log_map else g_z, G, Z)

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
    g_log_scale = torch.addcmul(-g_f, g_v, V, value=1 / a)
    if not needs_K:
        return g_u, g_log_scale, None
    # K enters through the unit of length alone: scale u, v and z, and the prior's precision.
    moved = (torch.stack([g_u, g_v]) * pair).sum()
    moved = moved - (g_z * (k * Z if s.log_map else Z)).sum()
    fixed = rho * rho if mean_excess is None else rho * rho * (1 + mean_excess)
    return g_u, g_log_scale, (moved / a - s.precision * (g_f * fixed).sum()) / (2 * s.K)


class _Step(torch.autograd.Function):
    """The step for a curvature that is a number, and the tensor that it was read from, if any."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, log_scale: Tensor, eps: Tensor, s: _Settings, K: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        outputs, saved = _forward(u, log_scale, eps, s)
        # Intermediates, not inputs or outputs: kept plainly, which costs less than saving each.
        ctx.saved, ctx.settings = saved, s
        ctx.learned = None if K is None else (K.dtype, K.device, u, log_scale)
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    @first_order_only
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if all(g is None for g in grads):
            return None, None, None, None, None
        s, learned = ctx.settings, ctx.learned
        direct = learned is not None and abs(s.K) >= SMALL_CURVATURE
        g_u, g_log_scale, g_K = _backward(ctx.saved, s, grads, needs_K=direct)
        if learned is None:
            return g_u, g_log_scale, None, None, None
        dtype, device, u, log_scale = learned
        if g_K is None:
            wide = u.double(), log_scale.double(), ctx.saved[1].double()
            wide_grads = tuple(None if g is None else g.double() for g in grads)

            def gradient_at(K: float) -> Tensor:
                there = s._replace(K=K, n=max(s.n, 2))
                gradient = _backward(_forward(*wide, there)[1], there, wide_grads, needs_K=True)[2]
                assert gradient is not None
                return gradient

            g_K = near_flat(s.K, gradient_at)
        return g_u, g_log_scale, None, None, g_K.to(device, dtype)


def step(
    u: Tensor,
    log_scale: Tensor,
    noise: Tensor,
    curvature: float | Tensor,
    prior_scale: float = 1.0,
    log_map: bool = False,
    n_preimages: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Draw from a wrapped normal posterior, and its log-density ratio to the prior.

    Parameters
    ----------
    u : Tensor of shape (..., d)
        Location, as a tangent vector at the origin (what a network puts out).
    log_scale : Tensor of shape (..., d) or (..., 1)
        Logarithm of the standard deviations in the frame at the origin.
    noise : Tensor of shape (..., d)
        Standard normal; may have more leading dimensions than u. It gets no gradient.
    curvature : float or Tensor of shape ()
        Curvature of any sign, not flat; a tensor on the CPU gets a gradient and may cross 0.
    prior_scale : float, default=1.0
        Scale of the prior, a wrapped normal at the origin.
    log_map : bool, default=False
        Whether the draw is returned as its logarithm at the origin in place of zs.
    n_preimages : int, optional
        On a sphere both densities are summed over 2n + 1 preimages. By default n is taken from
        the largest scale, so that what is left out is below 1e-6; that reads the scale, and waits
        for a device. ``2 * n_preimages_for(bound, d, K)`` is enough where the scale has a bound.

    Returns
    -------
    zc : Tensor of shape (...)
        cos_K of the sample's distance to the origin.
    zs : Tensor of shape (..., d)
        sin_K of it, times the direction. With ``log_map`` the distance itself times the direction.
    log_ratio : Tensor of shape (...)
        log q(z | x) - log p(z), against the Riemannian volume.

    Notes
    -----
    The density of the sample is taken from the tangent vector that made it. At K = -1 in float32
    the distance of the sample to the origin, which is all that the prior reads, keeps 1e-3 up to a
    radius of 40 unless v leads back towards the origin by more than about 5; the position itself,
    compared with another point's, keeps 1e-3 up to a radius of 9 (directions are resolved to 6e-8,
    and sinh(9) = 4e3). At 44 the squares of sinh overflow. For another curvature divide by
    sqrt(-K).
    """
    shape = u.shape
    if log_scale.shape != shape or noise.shape != shape:
        shape = torch.broadcast_shapes(u.shape, log_scale.shape, noise.shape)
        u, log_scale, noise = u.expand(shape), log_scale.expand(shape), noise.expand(shape)
    learned = curvature if isinstance(curvature, Tensor) and curvature.requires_grad else None
    K = float(curvature.detach() if isinstance(curvature, Tensor) else curvature)
    K = FLAT if abs(K) < FLAT else K
    n = 0
    if K > 0:
        n = _preimages_needed(log_scale, prior_scale, K) if n_preimages is None else n_preimages
    return _Step.apply(u, log_scale, noise, _Settings(K, float(prior_scale), n, log_map), learned)


def _preimages_needed(log_scale: Tensor, prior_scale: float, K: float) -> int:
    """Terms on either side that the largest scale needs."""
    top = float(log_scale.detach().max()) if log_scale.numel() else 0.0
    if math.isnan(top):
        return 0  # the result is NaN whatever is summed, and the training loop reports it
    # Twice over: the sum is centred on the vector that was drawn, which may itself wind round as
    # often as that, and not on the first preimage of the point.
    return 2 * n_preimages_for(max(math.exp(top), prior_scale), log_scale.shape[-1], K)
