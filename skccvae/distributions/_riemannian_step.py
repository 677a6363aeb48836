"""One training step of a Riemannian normal posterior: sample and log-density ratio to the prior."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from skccvae.distributions import _riemannian_kernel as kernel
from skccvae.manifolds import functional as polar
from skccvae.special._autograd import first_order_only
from skccvae.special._normal_radius import log_chi_mass
from skccvae.special.normal_radius import (
    normal_radius,
    partition,
    partition_number,
    radial_log_partition,
    radius_and_slope,
)
from skccvae.special.radial_table import RadialValues, chi_radius, radial_table

__all__ = ["riemannian_normal_step"]

#: A Python-float curvature smaller than this is taken as flat in a step.
_FLAT = 1e-12
#: Below this |K| the closed form of the K-gradient, a difference over K, is taken in float64 ...
_SMALL = 0.05
#: ... and below this interpolated from either side of 0, with an error of its square.
_STEP = 1e-5


def _settings(K: float, prior_scale: float, d: int, tangent: bool) -> kernel.Settings:
    mass, excess = partition_number(K * prior_scale**2, d)
    return kernel.Settings(K, prior_scale, tangent, d * math.log(prior_scale) + mass, excess)


_fixed_settings = lru_cache(maxsize=256)(_settings)


@lru_cache(maxsize=256)
def _shift(K: float, d: int, device: torch.device) -> Tensor:
    return torch.tensor(math.log(abs(K) * d), dtype=torch.float32, device=device)


def _exact_values(score: Tensor, log_scale: Tensor, K: float, d: int) -> RadialValues:
    """What `RadialTable.evaluate` gives, in float64; the growth is that of log(theta)."""
    sign = 1 if K > 0 else -1
    scale = log_scale.exp()
    c = K * scale * scale
    rho, slope = radius_and_slope(score, c, d, sign)
    values = partition(c, d, sign)
    tilt = values.slope * (sign / d)
    return RadialValues(
        math.sqrt(abs(K)) * scale * rho,
        1 + 2 * c * slope / rho,
        d * log_scale + values.log_mass - log_chi_mass(d),
        values.square,
        slope / rho * (sign / d),
        tilt * (1 + c * d) if sign > 0 else tilt,
    )


def _near_flat_values(
    values: RadialValues, log_scale: Tensor, K: float, place: float, d: int
) -> RadialValues:
    """Values of a float32 table at K, moved to a curvature `place` nearby, in float64.

    Growth and mean square are put together from derivatives that keep their digits as K -> 0.
    """
    theta, _, log_mass, square, bend, tilt = (v.double() for v in values)
    w = abs(place) * d * (2 * log_scale).exp()
    if K > 0:
        tilt = tilt / (1 + w)
    if (place > 0) != (K > 0):
        bend, tilt = -bend, -tilt
    theta = theta * math.sqrt(abs(place / K))
    return RadialValues(theta, 1 + 2 * w * bend, log_mass, d + 2 * w * tilt, bend, tilt)


class _Step(torch.autograd.Function):
    """The kernel for a Python-float K, and optionally the tensor that K was read from."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, log_scale: Tensor, noise: Tensor, s: kernel.Settings, K: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        d, log_scale = u.shape[-1], log_scale.unsqueeze(-1)
        exact = u.dtype != torch.float32
        if exact:
            values = _exact_values(noise[:, :1], log_scale, s.K, d)
        else:
            shift = _shift(s.K, d, u.device) if K is None else math.log(abs(s.K) * d)
            table = radial_table(d, 1 if s.K > 0 else -1)
            values = table.evaluate(noise[:, :1], log_scale, shift)
        outputs, saved = kernel.forward(u, log_scale, noise[:, 1:], values, s)
        # intermediates, not inputs or outputs: kept plainly, which costs less than saving each
        ctx.saved, ctx.settings, ctx.exact = saved, s, exact
        ctx.K = None if K is None else (K.dtype, K.shape, u, log_scale, noise, values)
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    @first_order_only
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if all(g is None for g in grads):
            return None, None, None, None, None
        s = ctx.settings
        direct = ctx.K is not None and abs(s.K) >= _SMALL
        g_u, g_raw, g_K = kernel.backward(ctx.saved, s, grads, direct, not ctx.exact)
        g_raw = g_raw.squeeze(-1)
        if ctx.K is None:
            return g_u, g_raw, None, None, None
        dtype, shape, u, log_scale, noise, values = ctx.K
        if g_K is None:
            g_K = _small_K_gradient(u, log_scale, noise, values, s, grads)
        return g_u, g_raw, None, None, g_K.to(dtype).reshape(shape)


def _small_K_gradient(
    u: Tensor,
    log_scale: Tensor,
    noise: Tensor,
    values: RadialValues,
    s: kernel.Settings,
    grads: tuple[Tensor | None, ...],
) -> Tensor:
    """Gradient in K near K = 0."""
    d, exact = u.shape[-1], u.dtype != torch.float32
    u, log_scale, noise = u.double(), log_scale.double(), noise.double()
    grads = tuple(None if g is None else g.double() for g in grads)
    places = {s.K: 1.0}
    if abs(s.K) < _STEP:
        places = {-_STEP: 0.5 - 0.5 * s.K / _STEP, _STEP: 0.5 + 0.5 * s.K / _STEP}
    total = torch.zeros((), dtype=torch.float64, device=u.device)
    for place, weight in places.items():
        settings = _settings(place, s.prior_scale, d, s.tangent)
        if exact:
            there = _exact_values(noise[:, :1], log_scale, place, d)
        else:
            there = _near_flat_values(values, log_scale, s.K, place, d)
        _, saved = kernel.forward(u, log_scale, noise[:, 1:], there, settings)
        g_K = kernel.backward(saved, settings, grads, True, False)[2]
        assert g_K is not None
        total = total + weight * g_K
    return total


def riemannian_normal_step(
    u: Tensor,
    log_scale: Tensor,
    noise: Tensor,
    curvature: float | Tensor,
    prior_scale: float = 1.0,
    tangent: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Draw from a Riemannian normal posterior and its log-density ratio to the prior.

    The posterior is the Riemannian normal at ``exp_0(u)`` of scale ``exp(log_scale)``, the prior
    the one at the origin of scale ``prior_scale``.

    Parameters
    ----------
    u : Tensor of shape (..., d)
        Location, as a tangent vector at the origin.
    log_scale : Tensor of shape (...)
        Logarithm of the isotropic scale.
    noise : Tensor of shape (..., d + 1)
        Standard normal: the score of the radius (beyond 8.3 in size it acts as 8.3), and a
        direction in the frame carried from the origin. It gets no gradient. All three broadcast.
    curvature : float or Tensor
        K of any sign, also a tensor of one element, which may require a gradient and pass through
        0.
    prior_scale : float, default=1.0
        Scale of the prior, positive.
    tangent : bool, default=False
        Return the sample as its logarithm at the origin in place of zs.

    Returns
    -------
    zc : Tensor of shape (...)
        cos_K of the sample's distance to the origin.
    zs : Tensor of shape (..., d)
        sin_K of it, times the direction; with ``tangent=True`` the distance itself times the
        direction, log_0(z).
    log_ratio : Tensor of shape (...)
        log q(z | x) - log p(z), against the Riemannian volume. Its mean over noise is the KL
        divergence, which has no closed form.

    Raises
    ------
    ValueError
        If the shapes do not fit, or prior_scale is not positive and finite.

    Notes
    -----
    Exact and differentiable in u, log_scale and curvature (implicit reparameterisation of the
    radius at a fixed score), in all cases but once. float32 rows are read from one table per
    dimension and sign, with an error near 1e-6; float64 goes to the tables of `RiemannianNormal`.

    At K = -1 in float32 the radius of the sample keeps 1e-3 up to 40, whatever the way that leads
    there; from 44 the squares of the coordinates overflow and the result is infinite. For another
    curvature divide by sqrt(-K). In high dimension a scale s has its mass near the radius
    ``(d - 1) s^2 sqrt(-K)``, which bounds the scales that float32 can hold. A float curvature
    below 1e-12 in size counts as 0.

    References
    ----------
    .. [1] E. Mathieu et al., "Continuous hierarchical representations with Poincare variational
       auto-encoders", NeurIPS 2019, appendix B (the family).
    .. [2] Figurnov, Mohamed, Mnih, "Implicit reparameterization gradients", 2018.

    Examples
    --------
    >>> import torch
    >>> from skccvae.distributions import riemannian_normal_step
    >>> u, noise = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    >>> zc, zs, log_ratio = riemannian_normal_step(u, torch.zeros(1), noise, 0.0)
    >>> zs  # the median radius sqrt(2 log 2) beyond u
    tensor([[2.1774, 0.0000]])
    """
    d = u.shape[-1]
    if noise.shape[-1] != d + 1:
        raise ValueError(
            "noise must have one number more than u in its last dimension, got shapes "
            f"{tuple(noise.shape)} and {tuple(u.shape)}."
        )
    if not (prior_scale > 0 and math.isfinite(prior_scale)):
        raise ValueError(f"prior_scale must be a positive finite number, got {prior_scale!r}.")
    batch = u.shape[:-1]
    if log_scale.shape != batch or noise.shape[:-1] != batch:
        try:
            batch = torch.broadcast_shapes(batch, log_scale.shape, noise.shape[:-1])
        except RuntimeError as error:
            raise ValueError(
                "u (..., d), log_scale (...) and noise (..., d + 1) must broadcast, got shapes "
                f"{tuple(u.shape)}, {tuple(log_scale.shape)} and {tuple(noise.shape)}."
            ) from error
        u, noise = u.expand(*batch, d), noise.expand(*batch, d + 1)
        log_scale = log_scale.expand(batch)
    if len(batch) != 1:
        u, log_scale = u.reshape(-1, d), log_scale.reshape(-1)
        noise = noise.reshape(-1, d + 1)
    zc, zs, log_ratio = _rows(u, log_scale, noise, curvature, float(prior_scale), tangent)
    if len(batch) != 1:
        return zc.reshape(batch), zs.reshape(*batch, d), log_ratio.reshape(batch)
    return zc, zs, log_ratio


def _rows(
    u: Tensor,
    log_scale: Tensor,
    noise: Tensor,
    curvature: float | Tensor,
    prior_scale: float,
    tangent: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The step for matrices."""
    learned = None
    if isinstance(curvature, Tensor):
        if curvature.device.type != "cpu":
            # reading it would wait for the device
            return _any_curvature(u, log_scale, noise, curvature.reshape(()), prior_scale, tangent)
        learned = curvature if curvature.requires_grad else None
        K = float(curvature.detach())
    else:
        K = float(curvature)
    if not math.isfinite(K):
        raise ValueError(f"curvature must be a finite number; got {K!r}.")
    d = u.shape[-1]
    if abs(K) < _FLAT:
        if learned is None:
            z, log_ratio = _FlatStep.apply(u, log_scale, noise, prior_scale)
            return torch.ones_like(log_ratio), z, log_ratio
        K = _FLAT
    settings = (_fixed_settings if learned is None else _settings)(K, prior_scale, d, tangent)
    return _Step.apply(u, log_scale, noise, settings, learned)


class _FlatStep(torch.autograd.Function):
    """The step in Euclidean space."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, log_scale: Tensor, noise: Tensor, prior_scale: float
    ) -> tuple[Tensor, Tensor]:
        d, g = u.shape[-1], noise[:, 1:]
        rho = chi_radius(noise[:, :1], d)
        raw = log_scale.unsqueeze(-1)
        length = torch.linalg.vector_norm(g, dim=-1, keepdim=True)
        length.clamp_min_(torch.finfo(g.dtype).tiny)
        step = g * (raw.exp() * rho).div_(length)
        z = u + step
        f = torch.addcmul(d * math.log(prior_scale) - d * raw, rho, rho, value=-0.5)
        f = f.add_((z * z).sum(-1, keepdim=True), alpha=0.5 / prior_scale**2)
        ctx.saved = z.detach(), step, prior_scale
        ctx.set_materialize_grads(False)
        return z, f.squeeze(-1)

    @staticmethod
    @first_order_only
    def backward(
        ctx: Any, *grads: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        z, step, prior_scale = ctx.saved
        g_z, g_f = grads
        if g_f is None:
            if g_z is None:
                return None, None, None, None
            return g_z, (g_z * step).sum(-1), None, None
        pull = g_f.unsqueeze(-1) * z
        weight = prior_scale**-2
        g_u = pull * weight if g_z is None else torch.add(g_z, pull, alpha=weight)
        return g_u, (g_u * step).sum(-1).sub_(g_f, alpha=z.shape[-1]), None, None


def _any_curvature(
    u: Tensor, log_scale: Tensor, noise: Tensor, K: Tensor, prior_scale: float, tangent: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The same step by autograd, for a curvature whose sign is not known."""
    d = u.shape[-1]
    scale = log_scale.exp()
    c = K * scale * scale
    rho = normal_radius(noise[:, 0], c, d)
    direction = noise[:, 1:]
    length = torch.linalg.vector_norm(direction, dim=-1).clamp_min(torch.finfo(u.dtype).tiny)
    v = (scale * rho / length).unsqueeze(-1) * direction
    zc, zs, _ = polar.exp_transported(*polar.exp_origin(u, K), v, K)
    distance = polar.radius(zc, zs, K)
    f = 0.5 * (distance / prior_scale).square() - 0.5 * rho.square()
    f = f - d * log_scale - radial_log_partition(c, d)
    prior = radial_log_partition((K * prior_scale**2).to(u.dtype), d)
    f = f + prior + d * math.log(prior_scale)
    return zc, polar.log_origin(zc, zs, K) if tangent else zs, f
