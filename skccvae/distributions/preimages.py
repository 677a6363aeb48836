"""Density of a wrapped normal on a sphere: a sum over preimages under the exponential map.

The k-th preimage of a point is the tangent vector that leads to it after k extra turns round the
sphere; k < 0 means the opposite direction.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["TURNS_ON_DEVICE", "log_preimage_sum", "n_preimages", "n_preimages_for"]

#: Largest number n of turns in either direction for which the sum is computed.
_MAX_TURNS = 2000
#: Number n of turns if the scale cannot be read without waiting for the device. It suffices while
#: ``scale (sqrt(d) + 6) <= 31 pi R``.
TURNS_ON_DEVICE = 16


def n_preimages_for(scale: float, dim: int, curvature: float) -> int:
    """Number n of turns in either direction that a normal of this scale needs on a sphere.

    The sum over k = -n..n includes every tangent vector shorter than (2n - 1) pi R. The result n
    makes this at least ``scale (sqrt(d) + 6)``. A normal in d dimensions has less than
    exp(-18) = 1.5e-8 of its mass beyond that length.

    Parameters
    ----------
    scale : float
        Largest standard deviation.
    dim : int
        Intrinsic dimension d.
    curvature : float
        Curvature. The result is 0 unless it is positive.

    Raises
    ------
    ValueError
        If more than 2000 turns are needed. The scale is then thousands of times the radius.

    Examples
    --------
    >>> from skccvae.distributions.preimages import n_preimages_for
    >>> n_preimages_for(1.0, 2, 1.0), n_preimages_for(10.0, 2, 1.0), n_preimages_for(1.0, 2, -1.0)
    (2, 13, 0)
    """
    if not curvature > 0:
        return 0
    reach = scale * (math.sqrt(dim) + 6) * math.sqrt(curvature) / math.pi
    if not reach < 2 * _MAX_TURNS - 1:
        raise ValueError(
            f"A wrapped normal of scale {scale:g} on a sphere of radius {curvature**-0.5:g} winds "
            f"round it more than {_MAX_TURNS} times, too often to sum its density. Use a smaller "
            "scale or a smaller curvature."
        )
    return max(2, math.ceil((reach + 1) / 2))


def n_preimages(scale: Tensor, K: float | Tensor) -> int:
    """`n_preimages_for` for the largest of the scales (..., d), without waiting for a device."""
    if isinstance(K, Tensor):
        if K.device.type != "cpu":
            return TURNS_ON_DEVICE
        K = float(K.detach())
    if not K > 0:
        return 0
    if scale.device.type != "cpu":
        return TURNS_ON_DEVICE
    largest = float(scale.detach().max()) if scale.numel() else 0.0
    # With a NaN scale the density is NaN for every n, and the training loop reports it.
    return 0 if math.isnan(largest) else n_preimages_for(largest, scale.shape[-1], K)


def log_preimage_sum(
    r: Tensor, precision: Tensor | float, dim: int, K: float | Tensor, n: int
) -> Tensor:
    r"""Log-ratio of the density summed over all preimages to the density from the first alone.

    The preimages of z under the exponential map at x are ``v (1 + 2 pi k R/r)`` with r = |v|.
    Let ``tau = 2 pi k R``. Relative to the term with k = 0, the k-th term is

    .. math:: \exp(-\tfrac12 P \tau (2 r + \tau)) \, |1 + \tau/r|^{d-1}.

    The volume ratio is ``|sin_K(r)/r|^(d-1)`` at each preimage. Its numerator is the same for all
    of them; only the length of the tangent vector differs.

    Parameters
    ----------
    r : Tensor of shape (...)
        Length of the first preimage, >= 0.
    precision : Tensor of shape (...) or float
        P, the squared length of ``v/scale`` divided by r^2.
    dim : int
        Intrinsic dimension d.
    K : float or Tensor
        Curvature. Where a tensor is not positive the result is 0. This is the limit for K -> 0+,
        with all its derivatives.
    n : int
        The sum runs over k = -n..n.

    Returns
    -------
    Tensor of shape (...)
        The result is 0 at r = 0, where only the first preimage counts. For d >= 2 the full sum has
        an integrable pole there, because whole spheres of tangent vectors map to that point.
    """
    if isinstance(K, Tensor):
        positive = K > 0
        unit = 2 * math.pi / torch.where(positive, K, 1.0).sqrt()
        positive = positive & (r > 0)
    else:
        unit = torch.full((), 2 * math.pi / math.sqrt(K), dtype=r.dtype, device=r.device)
        positive = r > 0
    r = torch.where(positive, r, 1.0).unsqueeze(-1)
    if isinstance(precision, Tensor):
        precision = torch.where(positive, precision, 1.0).unsqueeze(-1)
    k = torch.arange(-n, n + 1, dtype=r.dtype, device=r.device)
    tau = unit.unsqueeze(-1) * k
    term = -0.5 * precision * tau * (2 * r + tau)
    if dim > 1:
        ratio = (1 + tau / r).abs()
        # A preimage at the origin of the tangent space has weight 0 and no useful gradient.
        term = term + (dim - 1) * torch.where(ratio > 0, ratio, 1e-30).log()
    return torch.where(positive, torch.logsumexp(term, -1), 0.0)
