"""The von Mises-Fisher distribution on the unit sphere."""

from __future__ import annotations

from torch import Tensor

from skccvae.distributions.rotationally_symmetric import RotationallySymmetric
from skccvae.special.bessel import bessel_ratio
from skccvae.special.von_mises_fisher import (
    vmf_kl_uniform,
    vmf_log_normalizer,
    vmf_log_tangent,
    vmf_variances,
)

__all__ = ["VonMisesFisher"]


class VonMisesFisher(RotationallySymmetric):
    r"""von Mises-Fisher distribution, with density proportional to exp(kappa <mu, z>).

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
    HypersphericalUniform : Its limit at concentration 0.
    PowerSpherical : A similar distribution whose density has only elementary functions.

    Notes
    -----
    Draws use the tabulated quantile function of the angle. Each m has one table, built at the first
    draw (about 0.1 s). There is no rejection loop, and the pathwise gradient in both parameters is
    exact. Public implementations of Wood's rejection sampler drop the correction term of that
    gradient. All results are finite for concentrations up to 1e7 and any m, even in float32.

    Log-densities are with respect to the area of the *unit* sphere. Second derivatives raise an
    error.

    References
    ----------
    Davidson et al., "Hyperspherical variational auto-encoders", 2018.
    Figurnov, Mohamed, Mnih, "Implicit reparameterization gradients", 2018.

    Examples
    --------
    >>> import torch
    >>> from torch.distributions import kl_divergence
    >>> from skccvae.distributions import HypersphericalUniform, VonMisesFisher
    >>> q = VonMisesFisher(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(10.0))
    >>> q.rsample((5,)).shape
    torch.Size([5, 3])
    >>> q.mean
    tensor([0.0000, 0.0000, 0.9000])
    >>> kl_divergence(q, HypersphericalUniform(3))
    tensor(1.9957)
    """

    _log_tangent = staticmethod(vmf_log_tangent)

    def _log_ratio(self, value: Tensor) -> Tensor:
        normalizer = vmf_log_normalizer(self.concentration, self.loc.shape[-1], self._grid)
        return -self.concentration * self._one_minus_cosine(value) - normalizer

    def _kl_uniform(self) -> Tensor:
        return vmf_kl_uniform(self.concentration, self.loc.shape[-1], self._grid)

    @property
    def mean_resultant_length(self) -> Tensor:
        """E[<loc, z>] = I_{m/2}(kappa) / I_{m/2-1}(kappa), from 0 (uniform) to 1 (point mass)."""
        return bessel_ratio(0.5 * self.loc.shape[-1] - 1, self.concentration)

    def _variances(self) -> tuple[Tensor, Tensor]:
        return vmf_variances(self.concentration, self.loc.shape[-1])
