"""Sum over the preimages of a point under a sphere's exponential map."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["ON_DEVICE", "log_preimage_sum", "n_preimages", "n_preimages_for"]

#: Largest number of turns on either side that a density is summed over.
_MOST = 2000
#: Turns that are summed over where the scale cannot be read without waiting for the device. They
#: suffice while ``scale (sqrt(d) + 6) <= 31 pi R``.
ON_DEVICE = 16


def n_preimages_for(scale: float, dim: int, curvature: float) -> int:
    """Turns n on either side that a normal of this scale needs on a sphere.

    The sum over k = -n..n reaches every tangent vector shorter than (2n - 1) pi R. It is chosen so
    that this is at least ``scale (sqrt(d) + 6)``, beyond which a normal in d dimensions has less
    than exp(-18) = 1.5e-8 of its mass.

    Parameters
    ----------
    scale : float
        Largest standard deviation.
    dim : int
        Intrinsic dimension d.
    curvature : float
        Curvature; 0 is returned unless it is positive.

    Raises
    ------
    ValueError
        If more than 2000 turns are needed: the scale is then thousands of times the radius.

    Examples
    --------
    >>> n_preimages_for(1.0, 2, 1.0), n_preimages_for(10.0, 2, 1.0), n_preimages_for(1.0, 2, -1.0)
    (2, 13, 0)
    """
    if not curvature > 0:
        return 0
    reach = scale * (math.sqrt(dim) + 6) * math.sqrt(curvature) / math.pi
    if not reach < 2 * _MOST - 1:
        raise ValueError(
            f"A wrapped normal of scale {scale:g} on a sphere of radius {curvature**-0.5:g} winds "
            f"round it more than {_MOST} times; its density cannot be summed. Use a smaller scale "
            "or a smaller curvature."
        )
    return max(2, math.ceil((reach + 1) / 2))


def n_preimages(scale: Tensor, K: float | Tensor) -> int:
    """`n_preimages_for` the largest of the scales (..., d), without waiting for a device."""
    if isinstance(K, Tensor):
        if K.device.type != "cpu":
            return ON_DEVICE
        K = float(K.detach())
    if not K > 0:
        return 0
    if scale.device.type != "cpu":
        return ON_DEVICE
    top = float(scale.detach().max()) if scale.numel() else 0.0
    # With a NaN the density is NaN whatever is summed, and the training loop reports it.
    return 0 if math.isnan(top) else n_preimages_for(top, scale.shape[-1], K)


def log_preimage_sum(
    r: Tensor, precision: Tensor | float, dim: int, K: float | Tensor, n: int
) -> Tensor:
    r"""Log of the density summed over all preimages, less the log of the first preimage's.

    The preimages of z under the exponential map at x are ``v (1 + 2 pi k R/r)``, r = |v|. With
    ``tau = 2 pi k R`` the k-th contributes

    .. math:: \exp(-\tfrac12 P \tau (2 r + \tau)) \, |1 + \tau/r|^{d-1}

    relative to k = 0: sin_K has the same size at all of them, only the radius in the tangent
    volume differs.

    Parameters
    ----------
    r : Tensor of shape (...)
        Length of the first preimage, >= 0.
    precision : Tensor of shape (...) or float
        P, the squared length of ``v/scale`` over r^2.
    dim : int
        Intrinsic dimension d.
    K : float or Tensor
        Curvature; where a tensor is not positive the result is 0, the limit K -> 0+ with all its
        derivatives.
    n : int
        The sum goes over k = -n..n.

    Returns
    -------
    Tensor of shape (...)
        At r = 0 exactly, where for d >= 2 the sum has an (integrable) pole because a whole sphere
        of tangent vectors is mapped to the one point, 0: the first preimage alone.
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
        # A preimage at the very origin of the tangent space: its weight 0 has no useful gradient.
        term = term + (dim - 1) * torch.where(ratio > 0, ratio, 1e-30).log()
    return torch.where(positive, torch.logsumexp(term, -1), 0.0)
