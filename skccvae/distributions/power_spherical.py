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
        Mean directions mu, unit vectors of shape (..., m); m >= 2 is the ambient dimension, the
        sphere has m - 1. float32 or float64.
    concentration : Tensor or float
        kappa >= 0, shape (...), of the same dtype; 0 is the uniform distribution. Both broadcast.
    validate_args : bool, optional
        Whether to check parameters and values; torch's default otherwise.

    Raises
    ------
    TypeError
        If the dtypes differ or are not float32 or float64.
    ValueError
        If shapes do not fit; when validating, if loc is not of unit length or a concentration is
        negative or NaN.

    See Also
    --------
    VonMisesFisher : The maximum-entropy law of the same mean.

    Notes
    -----
    (1 + <mu, z>) / 2 follows the law Beta(kappa + (m - 1) / 2, (m - 1) / 2). It is drawn by its
    tabulated quantile function, so that a draw is a function of normal noise as for every
    distribution here; its pathwise gradient is that of the Beta law, exact. For large kappa the law
    is close to a von Mises-Fisher law of concentration kappa / 2. The density vanishes at -mu.

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
        # (1 - w) / 2; rounding may put an antipode just beyond the end of the range
        versine = self._half_square(value).mul(0.5).clamp(max=1)
        normalizer = power_spherical_log_normalizer(self.concentration, self.loc.shape[-1])
        # 0 log 0 is 0: the uniform law's density does not vanish at -mu
        return torch.special.xlog1py(self.concentration, -versine) - normalizer

    def _kl_uniform(self) -> Tensor:
        return power_spherical_kl_uniform(self.concentration, self.loc.shape[-1])

    @property
    def mean_resultant_length(self) -> Tensor:
        """E[<loc, z>] = kappa / (kappa + m - 1), from 0 (uniform) to 1 (a point)."""
        return self.concentration / (self.concentration + (self.loc.shape[-1] - 1))
