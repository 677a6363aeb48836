"""The power spherical distribution on the unit sphere."""

from __future__ import annotations

import torch
from torch import Tensor

from skccvae.distributions.rotationally_symmetric import RotationallySymmetric
from skccvae.special.power_spherical import (
    power_spherical_kl_uniform,
    power_spherical_log_normalizer,
    power_spherical_log_tangent,
)

__all__ = ["PowerSpherical"]


class PowerSpherical(RotationallySymmetric):
    r"""Power spherical distribution, with density proportional to (1 + <mu, z>)^kappa.

    Parameters
    ----------
    loc : Tensor
        Mean directions mu: unit vectors of shape (..., m), float32 or float64. m >= 2 is the
        ambient dimension; the sphere has dimension m - 1.
    concentration : Tensor or float
        kappa >= 0, of shape (...) and the same dtype. At 0 the law is uniform. Both broadcast.
    validate_args : bool, optional
        Whether to check parameters and values. The default is torch's.

    Raises
    ------
    TypeError
        If the dtypes differ or are not float32 or float64.
    ValueError
        If shapes do not fit. When validating, also if loc does not have unit length or a
        concentration is negative or NaN.

    See Also
    --------
    VonMisesFisher : The law of maximum entropy for a given mean.

    Notes
    -----
    (1 + <mu, z>) / 2 follows the law Beta(kappa + (m - 1) / 2, (m - 1) / 2). Draws use its
    tabulated quantile function, so they are functions of normal noise, like the draws of every
    distribution here. The pathwise gradient is exact. For large kappa the law is close to a von
    Mises-Fisher law of concentration kappa / 2. For kappa > 0 the density vanishes at -mu.

    References
    ----------
    De Cao and Aziz, "The power spherical distribution", 2020.

    Examples
    --------
    >>> import torch
    >>> from skccvae.distributions import PowerSpherical
    >>> q = PowerSpherical(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(8.0))
    >>> q.rsample((5,)).shape
    torch.Size([5, 3])
    >>> q.mean
    tensor([0.0000, 0.0000, 0.8000])
    """

    _log_tangent = staticmethod(power_spherical_log_tangent)

    def _log_ratio(self, value: Tensor) -> Tensor:
        # (1 - w) / 2; rounding may put the value at the antipode slightly above 1
        versine = self._one_minus_cosine(value).mul(0.5).clamp(max=1)
        normalizer = power_spherical_log_normalizer(self.concentration, self.loc.shape[-1])
        # xlog1py takes 0 log 0 as 0: for kappa = 0 the density does not vanish at -mu
        return torch.special.xlog1py(self.concentration, -versine) - normalizer

    def _kl_uniform(self) -> Tensor:
        return power_spherical_kl_uniform(self.concentration, self.loc.shape[-1])

    @property
    def mean_resultant_length(self) -> Tensor:
        """E[<loc, z>] = kappa / (kappa + m - 1), from 0 (uniform) to 1 (point mass)."""
        return self.concentration / (self.concentration + (self.loc.shape[-1] - 1))
