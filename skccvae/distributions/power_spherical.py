"""The power spherical distribution on the unit sphere."""

from __future__ import annotations

import torch
from torch import Tensor

from skccvae.distributions.rotationally_symmetric import RotationallySymmetric, log_sphere_area
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
        kappa >= 0, of shape (...) and the same dtype. At 0 the distribution is uniform. loc and
        concentration broadcast.
    validate_args : bool, optional
        Whether to check parameters and values. The default is torch's.

    Raises
    ------
    TypeError
        If the dtypes differ or are not float32 or float64.
    ValueError
        If shapes do not fit. When validating, also if loc does not have unit length or a
        concentration is negative, NaN or infinite.

    See Also
    --------
    VonMisesFisher : The distribution of maximum entropy for a given mean.

    Notes
    -----
    (1 + <mu, z>) / 2 follows the distribution Beta(kappa + (m - 1) / 2, (m - 1) / 2). Draws use the
    tabulated quantile function of this distribution, so they are functions of normal noise, like
    the draws of every distribution here. The pathwise gradient is exact. For large kappa the
    distribution is close to a von Mises-Fisher distribution of concentration kappa / 2. For kappa >
    0 the density vanishes at -mu. Close to -mu `log_prob` is as accurate as the coordinates of the
    point, which float32 stores to 6e-8.

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

    def rsample_with_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Make draws from given noise, and compute their log-density.

        The density is computed from the angle that made the draw. It is finite even where rounding
        puts the coordinates of the draw on the antipode of the location, where the density is 0.

        Parameters
        ----------
        noise : Tensor of shape (..., noise_dim)
            As for `rsample_from_noise`.

        Returns
        -------
        z : Tensor of shape (..., m)
        log_prob : Tensor of shape (...)
            Both have exact pathwise gradients.
        """
        z, y = self._draw(noise)
        # torch's default threshold of 20 is too low: exp(-20) is far above float64's rounding.
        half = torch.nn.functional.softplus(y, threshold=40)  # -log((1 + w) / 2)
        log_ratio = -self.concentration * half - self._log_normalizer()
        return z, log_ratio - log_sphere_area(self.loc.shape[-1])

    def _log_ratio(self, value: Tensor) -> Tensor:
        # With t = tan(theta / 2)^2, (1 + w) / 2 is 1 / (1 + t). This keeps its digits both near the
        # mode and near the antipode. There 1 - (1 - w) / 2 would cancel.
        t = self._one_minus_cosine(value) / (value + self.loc).square().sum(-1).mul(0.5)
        # xlog1py takes 0 log(1 + inf) as 0: for kappa = 0 the density does not vanish at -mu
        return -torch.special.xlog1py(self.concentration, t) - self._log_normalizer()

    def _log_normalizer(self) -> Tensor:
        return power_spherical_log_normalizer(self.concentration, self.loc.shape[-1])

    def _kl_uniform(self) -> Tensor:
        return power_spherical_kl_uniform(self.concentration, self.loc.shape[-1])

    @property
    def mean_resultant_length(self) -> Tensor:
        """E[<loc, z>] = kappa / (kappa + m - 1), from 0 (uniform) to 1 (point mass)."""
        return self.concentration / (self.concentration + (self.loc.shape[-1] - 1))

    def _variances(self) -> tuple[Tensor, Tensor]:
        # (1 + w) / 2 follows the distribution Beta(alpha, n - alpha)
        n = self.concentration + (self.loc.shape[-1] - 1)
        alpha = self.concentration + 0.5 * (self.loc.shape[-1] - 1)
        across = 2 * alpha / (n * (n + 1))
        return across * (self.loc.shape[-1] - 1) / n, across
