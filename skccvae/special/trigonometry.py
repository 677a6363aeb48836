r"""Trigonometry of a space of constant curvature, smooth in the curvature.

With a signed curvature ``K``, the generalised sine and cosine are

.. math::
    \sin_K(r) = \sin(\sqrt K r)/\sqrt K, \quad r, \quad \sinh(\sqrt{-K} r)/\sqrt{-K}
    \qquad
    \cos_K(r) = \cos(\sqrt K r), \quad 1, \quad \cosh(\sqrt{-K} r)

for ``K`` above, at and below zero. Both are entire functions of ``x = K r^2``. If ``K`` is a
tensor, they are computed from x, by a power series where ``|x| < 0.1`` and by closed forms
elsewhere. Values and gradients in ``r`` and ``K`` are then correct at ``r = 0``, at ``K = 0`` and
across the change of sign. If ``K`` is a Python float, Python branches on its sign, and most
functions are two or three tensor operations.

A Python float with ``|K| < FLAT`` counts as flat. The difference is below float64's rounding for
every ``r < 10``, and for other curvatures ``sqrt(|K|)`` and its powers stay far inside the range of
float32.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skccvae.special.stumpff import (
    SERIES_BELOW,
    arcsin_root,
    cos_root,
    log_sinc_root,
    sinc_root,
)

__all__ = [
    "arcsin_root",
    "arctan_k",
    "cos_k",
    "cos_root",
    "log_sinc_k",
    "log_sinc_root",
    "sin_k",
    "sinc_k",
    "sinc_root",
    "tan_k",
    "versin_k",
]

#: A Python-float curvature smaller than this counts as zero, everywhere in the package.
FLAT = 1e-18
#: The closed form of a derivative in K is a difference divided by K. It keeps its digits in float32
#: from this |K| upwards. For smaller |K|, the derivative must be computed in another way.
SMALL_CURVATURE = 2e-3


def _sign_of(K: float | Tensor) -> int | None:
    """Sign of a Python-float curvature (ValueError if not finite), or None for a tensor."""
    if isinstance(K, Tensor):
        return None
    K = float(K)
    if not math.isfinite(K):
        raise ValueError(f"curvature must be a finite number; got {K!r}.")
    return 0 if abs(K) < FLAT else (1 if K > 0 else -1)


def _root(K: float | Tensor) -> float:
    """Square root of |K| for a Python-float curvature."""
    return math.sqrt(abs(float(K)))


def sin_k(r: Tensor, K: float | Tensor) -> Tensor:
    r"""Generalised sine :math:`\sin_K(r)`, the circumference of a circle of radius r over 2 pi.

    Parameters
    ----------
    r : Tensor
        Distance, >= 0.
    K : float or Tensor
        Curvature of any sign; a tensor broadcasts against r.

    Returns
    -------
    Tensor
        Broadcast shape; r at K = 0. It overflows float32 from ``sqrt(-K) r = 89`` upwards.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import sin_k
    >>> sin_k(torch.tensor(1.0), -1.0).item()
    1.175201177597046
    """
    sign = _sign_of(K)
    if sign is None:
        return r * sinc_root(K * r * r)
    if sign == 0:
        return r * 1.0
    a = _root(K)
    return (torch.sin(r * a) if sign > 0 else torch.sinh(r * a)) / a


def cos_k(r: Tensor, K: float | Tensor) -> Tensor:
    r"""Generalised cosine :math:`\cos_K(r)`, the derivative of :func:`sin_k` in r.

    Parameters
    ----------
    r : Tensor
        Distance, >= 0.
    K : float or Tensor
        Curvature of any sign; a tensor broadcasts against r.

    Returns
    -------
    Tensor
        Broadcast shape; 1 at K = 0.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import cos_k
    >>> cos_k(torch.tensor(2.0), 0.0).item()
    1.0
    """
    sign = _sign_of(K)
    if sign is None:
        return cos_root(K * r * r)
    if sign == 0:
        return torch.ones_like(r)
    a = _root(K)
    return torch.cos(r * a) if sign > 0 else torch.cosh(r * a)


def tan_k(r: Tensor, K: float | Tensor) -> Tensor:
    r"""Generalised tangent :math:`\sin_K(r)/\cos_K(r)`.

    Parameters
    ----------
    r : Tensor
        Distance, >= 0.
    K : float or Tensor
        Curvature of any sign; a tensor broadcasts against r.

    Returns
    -------
    Tensor
        Broadcast shape; r at K = 0. For a float K < 0, it saturates correctly. For a tensor K, sine
        and cosine are computed separately, and float32 gives NaN from ``sqrt(-K) r = 89`` upwards.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import tan_k
    >>> tan_k(torch.tensor(100.0), -4.0).item()
    0.5
    """
    sign = _sign_of(K)
    if sign is None:
        x = K * r * r
        return r * sinc_root(x) / cos_root(x)
    if sign == 0:
        return r * 1.0
    a = _root(K)
    return (torch.tan(r * a) if sign > 0 else torch.tanh(r * a)) / a


def sinc_k(r: Tensor, K: float | Tensor) -> Tensor:
    r"""Ratio :math:`\sin_K(r)/r`, 1 at r = 0.

    Parameters
    ----------
    r : Tensor
        Distance, >= 0.
    K : float or Tensor
        Curvature of any sign; a tensor broadcasts against r.

    Returns
    -------
    Tensor
        Broadcast shape; 1 at K = 0.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import sinc_k
    >>> sinc_k(torch.tensor([0.0, 1.0]), 1.0).tolist()
    [1.0, 0.8414709568023682]
    """
    sign = _sign_of(K)
    return torch.ones_like(r) if sign == 0 else sinc_root(K * r * r, sign)


def versin_k(r: Tensor, K: float | Tensor) -> Tensor:
    r"""Generalised versine :math:`(1 - \cos_K(r))/K`, without cancellation.

    Parameters
    ----------
    r : Tensor
        Distance, >= 0.
    K : float or Tensor
        Curvature of any sign; a tensor broadcasts against r.

    Returns
    -------
    Tensor
        Broadcast shape, computed as :math:`2 \sin_K(r/2)^2`; r^2/2 at K = 0.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import versin_k
    >>> versin_k(torch.tensor(2.0), 0.0).item()
    2.0
    """
    return 2 * sin_k(r * 0.5, K).square()


def log_sinc_k(r: Tensor, K: float | Tensor) -> Tensor:
    r"""Logarithm of :math:`|\sin_K(r)|/r`.

    Multiplied by d - 1, it is the logarithm of the volume ratio of the exponential map in d
    dimensions.

    Parameters
    ----------
    r : Tensor
        Distance, >= 0.
    K : float or Tensor
        Curvature of any sign; a tensor broadcasts against r.

    Returns
    -------
    Tensor
        Broadcast shape; 0 at K = 0 or r = 0, and minus infinity at the conjugate radii
        ``pi k/sqrt(K)`` of a sphere. It does not overflow at large r.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import log_sinc_k
    >>> round(log_sinc_k(torch.tensor(500.0), -1.0).item(), 3)
    493.092
    """
    sign = _sign_of(K)
    return torch.zeros_like(r) if sign == 0 else log_sinc_root(K * r * r, sign)


def arctan_k(s: Tensor, c: Tensor, K: float | Tensor) -> Tensor:
    r"""Distance r >= 0 with :math:`\sin_K(r) = s` and :math:`\cos_K(r) = c`.

    Parameters
    ----------
    s : Tensor
        Generalised sine, >= 0.
    c : Tensor
        Generalised cosine. It is used only for K > 0, to tell r from ``pi/sqrt(K) - r``.
    K : float or Tensor
        Curvature of any sign; a tensor broadcasts.

    Returns
    -------
    Tensor
        Broadcast shape: ``asinh`` form for K < 0, s at K = 0, ``atan2`` form for K > 0. No form
        loses digits at small or large r.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import arctan_k
    >>> arctan_k(torch.tensor(0.0), torch.tensor(-1.0), 1.0).item()
    3.1415927410125732
    """
    sign = _sign_of(K)
    if sign == 0:
        return s * 1.0
    if sign is not None:
        a = _root(K)
        return (torch.atan2(s * a, c) if sign > 0 else torch.asinh(s * a)) / a
    assert isinstance(K, Tensor)
    y = K * s * s
    positive = (K > 0) & ((y > SERIES_BELOW) | (c < 0))
    # Outside its region, each form gets harmless constants, so that gradients stay finite. The
    # arcsine handles the arguments that are negative or small.
    root = torch.where(positive, K, 1.0).sqrt()
    angle = torch.atan2(torch.where(positive, root * s, 1.0), c) / root
    return torch.where(positive, angle, s * arcsin_root(torch.where(positive, 0.0, y), -1))
