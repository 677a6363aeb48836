"""The Riemannian normal step in Euclidean space, where the distribution is an isotropic normal.

Speed: a training epoch at K = 0 takes 1.05 times as long as the Gaussian's with this accelerator,
and 1.27 times without it (`benchmarks/epoch_against.py --without RiemannianNormal`; 10 latent
dimensions).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from skccvae.kernels.radius_table import chi_radius
from skccvae.special._autograd import first_order_only

__all__ = ["FlatStep"]


class FlatStep(torch.autograd.Function):
    """Draw and log-density ratio from the tangent location, log-scale, noise and prior scale."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, log_scale: Tensor, noise: Tensor, prior_scale: float
    ) -> tuple[Tensor, Tensor]:
        d, g = u.shape[-1], noise[:, 1:]
        rho = chi_radius(noise[:, :1], d)
        length = torch.linalg.vector_norm(g, dim=-1, keepdim=True)
        length.clamp_min_(torch.finfo(g.dtype).tiny)
        step = g * (log_scale.exp() * rho).div_(length)
        z = u + step
        f = torch.addcmul(d * math.log(prior_scale) - d * log_scale, rho, rho, value=-0.5)
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
            return g_z, (g_z * step).sum(-1, keepdim=True), None, None
        # f depends on z through the log-density of the prior
        by_prior = g_f.unsqueeze(-1) * z
        precision = prior_scale**-2
        g_u = by_prior * precision if g_z is None else torch.add(g_z, by_prior, alpha=precision)
        return g_u, (g_u * step).sum(-1).sub_(g_f, alpha=z.shape[-1]).unsqueeze(-1), None, None
