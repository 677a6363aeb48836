"""Draw and divergence of a posterior on the sphere in one operation, for training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skccvae.distributions._axial import AxialDistribution
from skccvae.distributions.power_spherical import PowerSpherical
from skccvae.distributions.von_mises_fisher import VonMisesFisher
from skccvae.special._autograd import first_order_only
from skccvae.special.axial_table import (
    AxialTable,
    power_spherical_table,
    von_mises_fisher_table,
)

__all__ = ["axial_step"]

_TABLES = {VonMisesFisher: von_mises_fisher_table, PowerSpherical: power_spherical_table}


class _Step(torch.autograd.Function):
    """The fused step; `_axial._AxialDraw` explains the gradient in the direction."""

    @staticmethod
    def forward(
        ctx: Any,
        direction: Tensor,
        log_relative: Tensor,
        noise: Tensor,
        table: AxialTable,
        radius: float,
    ) -> tuple[Tensor, Tensor]:
        cosine, versine, pull, kl, kl_slope = table.evaluate(noise[:, 0], log_relative)
        gaussian = noise[:, 1:]
        scale = (direction * direction).sum(-1, keepdim=True).rsqrt_()
        mu = direction * scale
        along = (gaussian * mu).sum(-1, keepdim=True)
        across = torch.addcmul(gaussian, along, mu, value=-1)
        square = (across * across).sum(-1).clamp_min_(torch.finfo(across.dtype).tiny)
        # sin(theta) / |across| = 2 sqrt(h (1 - h) / |across|^2), h the versine; near the antipode
        # 1 - h keeps few digits, which moves a draw there by 5e-4 at most
        weight = (
            torch.addcmul(versine, versine, versine, value=-1).div_(square).sqrt_().unsqueeze(-1)
        )
        if radius != 1:
            cosine = cosine * radius
        cosine = cosine.unsqueeze(-1)
        z = torch.addcmul(cosine * mu, weight, across, value=2 * radius)
        if direction.shape[1] < 6:
            # in few dimensions g is almost parallel to mu often enough that its projection loses
            # digits
            z.div_(torch.linalg.vector_norm(z, dim=-1, keepdim=True).mul_(1 / radius))
        # intermediates, not inputs: kept plainly, which costs less than saving each
        ctx.saved = mu, z.detach(), cosine, scale, pull, kl_slope
        ctx.radius = radius
        ctx.set_materialize_grads(False)
        return z, kl

    @staticmethod
    @first_order_only
    def backward(
        ctx: Any, *grads: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        grad_z, grad_kl = grads
        mu, z, cosine, scale, pull, kl_slope = ctx.saved
        grad_direction = grad_log = None
        if grad_kl is not None:
            grad_log = grad_kl * kl_slope
        if grad_z is not None:
            # with R the radius, c = R w and z of length R: dz/dy = (w z - R mu) / 2
            on_mu = (mu * grad_z).sum(-1, keepdim=True)
            on_z = (z * grad_z).sum(-1, keepdim=True)
            anchor = on_mu if ctx.radius == 1 else on_mu * ctx.radius
            push = torch.addcmul(anchor, cosine, on_z, value=-1 / ctx.radius).squeeze(-1)
            grad_log = push * pull if grad_log is None else torch.addcmul(grad_log, push, pull)
            # the rotation field; it has no part along mu, so the norm of the direction gets none
            grad_direction = torch.addcmul(cosine * grad_z, on_mu, z, value=-1).mul_(scale)
        return grad_direction, grad_log, None, None, None


def axial_step(
    direction: Tensor,
    log_relative_concentration: Tensor,
    noise: Tensor,
    radius: float = 1.0,
    family: type[AxialDistribution] = VonMisesFisher,
) -> tuple[Tensor, Tensor]:
    r"""Draw from a posterior on the sphere and its divergence from the uniform law, for training.

    The same numbers as from `VonMisesFisher` (or `PowerSpherical`) and `kl_divergence`, at a
    fraction of the cost: a network's raw outputs go in, and the gradient is written by hand.

    Parameters
    ----------
    direction : Tensor
        Location of any non-zero length, shape (..., m). A zero row has no direction and gives NaN.
    log_relative_concentration : Tensor
        log(kappa / (m - 1)), shape (...). Relative to the intrinsic dimension, because a law of
        given angular width has kappa proportional to it.
    noise : Tensor
        Standard normal, shape (..., m + 1); may have more leading dimensions. It gets no gradient.
    radius : float, default=1.0
        Length of the draws, positive.
    family : {VonMisesFisher, PowerSpherical}
        The law.

    Returns
    -------
    z : Tensor
        Draws of length radius, shape (..., m), leading dimensions of the noise included.
    kl : Tensor
        Divergence of each row, without the leading dimensions that only the noise has.

    Raises
    ------
    TypeError
        If the family is not one of the two.
    ValueError
        If the shapes do not fit.

    Notes
    -----
    Exact pathwise gradients; they cannot be differentiated again. float32 rows with m >= 3 are read
    from one table (relative error of the divergence and its derivative below 1e-6); everything else
    goes through the distributions.

    Examples
    --------
    >>> import torch
    >>> from skccvae.distributions import axial_step
    >>> z, kl = axial_step(torch.tensor([[3.0, 0.0, 4.0]]), torch.zeros(1), torch.zeros(1, 4))
    >>> kl  # of concentration 2 on the sphere in R^3
    tensor([0.4794])
    """
    if family not in _TABLES:
        raise TypeError(f"family must be VonMisesFisher or PowerSpherical, got {family!r}.")
    if noise.shape[-1] != direction.shape[-1] + 1:
        raise ValueError(
            "noise must have one number more than direction in its last dimension, got shapes "
            f"{tuple(noise.shape)} and {tuple(direction.shape)}."
        )
    if log_relative_concentration.shape != direction.shape[:-1]:
        raise ValueError(
            "log_relative_concentration must have the shape of direction without its last "
            f"dimension, got shapes {tuple(log_relative_concentration.shape)} and "
            f"{tuple(direction.shape)}."
        )
    m = direction.shape[-1]
    plain = direction.ndim == 2 and noise.ndim == 2 and noise.shape[0] == direction.shape[0]
    if plain and m > 2 and direction.dtype == noise.dtype == torch.float32:
        table = _TABLES[family](m)
        return _Step.apply(direction, log_relative_concentration, noise, table, radius)
    loc = direction / torch.linalg.vector_norm(direction, dim=-1, keepdim=True)
    law = family(loc, (m - 1) * log_relative_concentration.exp(), validate_args=False)
    z = law.rsample_from_noise(noise)
    return z if radius == 1 else radius * z, law._kl_uniform()
