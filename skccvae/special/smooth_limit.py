"""Smooth limits on the magnitude of a number. At curvature 0, `limit_size` sets no limit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["limit_log_scale", "limit_size", "saturation_point", "soft_bound"]


def soft_bound(raw: Tensor, bound: float) -> Tensor:
    """Map the real line onto (-bound, bound): ``bound * tanh(raw / bound)``.

    Parameters
    ----------
    raw : Tensor
        Any numbers.
    bound : float
        Largest absolute value of the result, positive.

    Returns
    -------
    Tensor
        Within one per cent of raw where ``|raw| < 0.17 bound``.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special.smooth_limit import soft_bound
    >>> soft_bound(torch.tensor([0.1, 1000.0]), 10.0)
    tensor([ 0.1000, 10.0000])
    """
    return bound * torch.tanh(raw / bound)


def saturation_point(inverse_square: float) -> float:
    """Magnitude at which `limit_size` clamps its argument.

    At this magnitude, the result equals the limit to 16 digits. Without the clamp, fourth powers of
    larger numbers would overflow float32, and the result would be 0 instead of the limit. If there
    is no limit, the clamp only keeps squares finite.
    """
    return 1e4 / math.sqrt(max(inverse_square, 1e-10)) if inverse_square else 1e18


def limit_size(x: Tensor, inverse_square: float | Tensor, known: float | None = None) -> Tensor:
    """Shrink numbers smoothly to a magnitude below a limit.

    Parameters
    ----------
    x : Tensor
        Any numbers.
    inverse_square : float or Tensor of shape ()
        ``q = 1 / limit^2``, at least 0; 0 means no limit. A tensor gets a gradient.
    known : float, optional
        Value of the tensor ``inverse_square``, if the caller has it; this saves operations.

    Returns
    -------
    Tensor
        ``x / (1 + (q x^2)^2)^(1/4)``, which equals x up to fourth order. If q is proportional to
        |K|, the result is smooth in K through 0.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special.smooth_limit import limit_size
    >>> limit_size(torch.tensor([0.1, 1.0, 1000.0]), 1.0)
    tensor([0.1000, 0.8409, 1.0000])
    """
    if not isinstance(inverse_square, Tensor):
        if inverse_square == 0:
            return x
        known = inverse_square
    elif known is None:
        limit = 1e4 * inverse_square.detach().clamp(min=1e-10).rsqrt()
        limit = torch.where(inverse_square == 0, 1e18, limit)
        x = torch.clamp(x, -limit, limit)
    if known is not None:
        x = x.clamp(-saturation_point(known), saturation_point(known))
    return x * (1 + (x.square() * inverse_square).square()).rsqrt().sqrt()


def limit_log_scale(log_scale: Tensor, inverse_square: float | Tensor) -> Tensor:
    """Logarithm of `limit_size` of a scale, computed from the logarithm of the scale.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special.smooth_limit import limit_log_scale
    >>> limit_log_scale(torch.tensor([-2.0, 0.0, 1.0]), 1.0)
    tensor([-2.0001, -0.1733, -0.0045])
    """
    if isinstance(inverse_square, Tensor):
        return log_scale - 0.25 * torch.log1p((4 * log_scale).exp() * inverse_square.square())
    if inverse_square == 0:
        return log_scale
    excess = 4 * log_scale + 2 * math.log(inverse_square)
    # torch's default threshold of 20 is too low: exp(-20) is far above float64's rounding.
    return log_scale - 0.25 * torch.nn.functional.softplus(excess, threshold=40)
