"""One training step of a wrapped-normal posterior: sample and log-density ratio to the prior."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from skccvae.distributions import _wrapped_kernel as kernel
from skccvae.distributions._preimages import log_preimage_sum, n_preimages_for
from skccvae.manifolds.functional import _cosine, _norm, _radius_ratio
from skccvae.special.trigonometry import (
    _sign_of,
    arctan_k,
    cos_root,
    log_sinc_k,
    log_sinc_root,
    sinc_root,
)

__all__ = ["wrapped_normal_step"]

#: A Python-float curvature smaller than this is taken as flat in a step.
_FLAT = 1e-12
#: Below this |K| the closed form of the K-gradient, a difference over K, is taken in float64 ...
_SMALL = 0.05
#: ... and below this interpolated from either side of 0, with an error of its square.
_STEP = 1e-5
#: Preimages on either side where the scale cannot be read without waiting for the device.
_N_ON_DEVICE = 16


class _Step(torch.autograd.Function):
    """The kernel for a Python-float K, and optionally the tensor that K was read from."""

    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        raw: Tensor,
        eps: Tensor,
        settings: kernel.Settings,
        K: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        outputs, saved = kernel.forward(u, raw, eps, settings)
        # Intermediates, not inputs or outputs: kept plainly, which costs less than saving each.
        ctx.saved = saved
        ctx.settings = settings
        ctx.K = None if K is None else (K.dtype, K.device, u, raw)
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if all(g is None for g in grads):
            return None, None, None, None, None
        saved, settings = ctx.saved, ctx.settings
        direct = ctx.K is not None and abs(settings.K) >= _SMALL
        g_u, g_raw, g_K = kernel.backward(saved, settings, grads, needs_K=direct)
        if ctx.K is None:
            return g_u, g_raw, None, None, None
        dtype, device, u, raw = ctx.K
        if not direct:
            g_K = _small_K_gradient(u, raw, saved[2], settings, grads)
        return g_u, g_raw, None, None, None if g_K is None else g_K.to(device, dtype)


def _small_K_gradient(
    u: Tensor,
    raw: Tensor,
    eps: Tensor,
    settings: kernel.Settings,
    grads: tuple[Tensor | None, ...],
) -> Tensor:
    """Gradient in K near K = 0."""
    u, raw, eps = u.double(), raw.double(), eps.double()
    grads = tuple(None if g is None else g.double() for g in grads)
    K = settings.K
    if abs(K) < _STEP:
        places = {-_STEP: 0.5 - 0.5 * K / _STEP, _STEP: 0.5 + 0.5 * K / _STEP}
    else:
        places = {K: 1.0}
    total = torch.zeros((), dtype=torch.float64, device=u.device)
    for place, weight in places.items():
        s = settings._replace(K=place, n=max(settings.n, 2))
        _, saved = kernel.forward(u, raw, eps, s)
        g_K = kernel.backward(saved, s, grads, needs_K=True)[2]
        assert g_K is not None
        total += weight * g_K
    return total


def wrapped_normal_step(
    u: Tensor,
    scale: Tensor | None,
    eps: Tensor,
    curvature: float | Tensor,
    prior_scale: float = 1.0,
    n_preimages: int | None = None,
    *,
    log_scale: Tensor | None = None,
    tangent: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Sample a wrapped-normal posterior and its log-density ratio to the prior, for training.

    Parameters
    ----------
    u : Tensor of shape (..., d)
        Location, as a tangent vector at the origin (what a network puts out).
    scale : Tensor of shape (..., d) or (..., 1), or None
        Standard deviations in the frame at the origin, positive (not checked).
    eps : Tensor of shape (..., d)
        Standard normal noise; may have more leading dimensions than u. It gets no gradient.
    curvature : float or Tensor of shape ()
        Curvature of any sign. A tensor gets a gradient and may cross 0.
    prior_scale : float, default=1.0
        Scale of the prior, a wrapped normal at the origin.
    n_preimages : int, optional
        On a sphere both densities are summed over 2n + 1 preimages. By default n is taken from the
        largest scale, so that what is left out is below 1e-6; off the CPU, where reading it would
        wait for the device, it is 16, which reaches that while ``scale (sqrt(d) + 6) <= 15 pi R``
        (3.8 R at d = 40). Pass ``2 * n_preimages_for(bound, d, K)`` where the scale has a bound.
    log_scale : Tensor, optional
        Logarithm of the scale, in place of scale. A network that puts it out saves a logarithm.
    tangent : bool, default=False
        Return the sample as its logarithm at the origin in place of zs.

    Returns
    -------
    zc : Tensor of shape (...)
        cos_K of the sample's distance to the origin.
    zs : Tensor of shape (..., d)
        sin_K of it, times the direction; the sample in polar form. With ``tangent=True`` the
        distance itself times the direction, log_0(z).
    log_ratio : Tensor of shape (...)
        log q(z | x) - log p(z), against the Riemannian volume: its mean over noise is the KL
        divergence.

    Notes
    -----
    Exact and differentiable in u, scale and curvature. The density of the sample is taken from the
    tangent vector that made it, so no logarithm map is formed and float32 stays accurate where that
    map would not. At K = -1 in float32 the distance of the sample to the origin, which is all that
    the prior reads, keeps 1e-3 up to a radius of 40 unless v leads back towards the origin by more
    than about 5; the position itself, compared with another point's, keeps 1e-3 up to a radius of 9
    (directions are resolved to 6e-8, and sinh(9) = 4e3). At 44 the squares of sinh overflow. For
    another curvature divide by sqrt(-K).

    The gradient is written by hand and cannot be differentiated again. Where the curvature is a
    tensor that is not on the CPU, autograd is left to do it all, so that nothing waits for the
    device. A float curvature below 1e-12 in size counts as 0.

    Raises
    ------
    ValueError
        Unless exactly one of scale and log_scale is given; for a scale so large on a sphere that
        its density winds round more than 2000 times.

    References
    ----------
    .. [1] Y. Nagano et al., "A wrapped normal distribution on hyperbolic space for gradient-based
       learning", ICML 2019, section 3 and appendix A (the density; here for every curvature).

    Examples
    --------
    >>> import torch
    >>> u, scale = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])
    >>> zc, zs, log_ratio = wrapped_normal_step(u, scale, torch.zeros(1, 2), -1.0)
    >>> round(log_ratio.item(), 4)
    2.0477
    """
    if (scale is None) == (log_scale is None):
        raise ValueError("Give exactly one of scale and log_scale.")
    is_log = log_scale is not None
    raw: Tensor = log_scale if log_scale is not None else scale  # type: ignore[assignment]
    shape = u.shape
    if raw.shape != shape or eps.shape != shape:
        shape = torch.broadcast_shapes(u.shape, raw.shape, eps.shape)
        u, raw, eps = u.expand(shape), raw.expand(shape), eps.expand(shape)
    learned = None
    if isinstance(curvature, Tensor):
        if curvature.device.type != "cpu":
            n = _N_ON_DEVICE if n_preimages is None else n_preimages
            scale = raw.exp() if is_log else raw
            return _any_curvature(u, scale, eps, curvature, prior_scale, n, tangent)
        learned = curvature if curvature.requires_grad else None
        K = float(curvature.detach())
    else:
        K = float(curvature)
    sign = _sign_of(K)
    if abs(K) < _FLAT:
        if learned is None:
            return _flat(u, raw, eps, prior_scale, is_log)
        K, sign = _FLAT, 1
    n = 0
    if sign == 1:
        n = _preimages_needed(raw, is_log, prior_scale, K) if n_preimages is None else n_preimages
    settings = kernel.Settings(K, float(prior_scale), n, is_log, tangent)
    return _Step.apply(u, raw, eps, settings, learned)


def _preimages_needed(raw: Tensor, is_log: bool, prior_scale: float, K: float) -> int:
    """Number of preimages from the largest scale, where it can be read at no cost."""
    if raw.device.type != "cpu":
        return _N_ON_DEVICE
    top = float(raw.detach().max()) if raw.numel() else 0.0
    if math.isnan(top):
        return 0  # the result is NaN whatever is summed, and the training loop reports it
    # Twice over: the sum is centred on the vector that was drawn, which may itself wind round as
    # often as that, and not on the first preimage of the point.
    return 2 * n_preimages_for(max(math.exp(top) if is_log else top, prior_scale), raw.shape[-1], K)


def _flat(
    u: Tensor, raw: Tensor, eps: Tensor, prior_scale: float, is_log: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The step in Euclidean space."""
    scale, log_scale = (raw.exp(), raw) if is_log else (raw, raw.log())
    z = torch.addcmul(u, scale, eps)
    f = torch.addcmul(torch.addcmul(log_scale, eps, eps, value=0.5), z, z,
                      value=-0.5 / prior_scale**2).sum(-1).neg()  # fmt: skip
    if prior_scale != 1:
        f = f + u.shape[-1] * math.log(prior_scale)
    return torch.ones_like(f), z, f


def _preimages(
    r: Tensor, rho: Tensor, eps: Tensor, d: int, K: float | Tensor, prior_scale: float, n: int
) -> Tensor:
    """Preimage sums of log q less that of log p, in one pass over both radii."""
    positive = r > 2e-15
    radii = torch.stack([torch.where(positive, r, 0.0), rho])
    q = torch.where(positive, r, 1.0).square()
    p = torch.full_like(rho, 1 / prior_scale**2)
    both = log_preimage_sum(radii, torch.stack([eps.square().sum(-1) / q, p]), d, K, n)
    return both[0] - both[1]


def _any_curvature(
    u: Tensor, scale: Tensor, eps: Tensor, K: Tensor, prior_scale: float, n: int, tangent: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The same step by autograd, for a curvature that is a tensor."""
    d, v = u.shape[-1], scale * eps
    r2 = (v * v).sum(-1)
    quarter = K * (u * u).sum(-1) / 4
    h = sinc_root(quarter)
    A, B = h * cos_root(quarter), -0.5 * K * h * h
    c = 1 - 2 * quarter * h * h
    x = K * r2
    C, g, w = cos_root(x), sinc_root(x), (u * v).sum(-1)
    zs = (C * A + g * B * w).unsqueeze(-1) * u + g.unsqueeze(-1) * v
    zc = _cosine(C * c - K * g * A * w, zs, K, None)
    rho = arctan_k(_norm(zs), zc, K)
    f = (-0.5 * eps.square() - scale.log()).sum(-1) + d * math.log(prior_scale)
    f = f + rho.square() * (0.5 / prior_scale**2)
    if d > 1:
        f = f + (d - 1) * (log_sinc_k(rho, K) - log_sinc_root(x))
    if tangent:
        zs = _radius_ratio(_norm(zs), zc, K, None).unsqueeze(-1) * zs
    return zc, zs, f + _preimages(_norm(v), rho, eps, d, K, prior_scale, n)
