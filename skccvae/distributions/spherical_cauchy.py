"""The spherical Cauchy distribution on the unit sphere."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import constraints

from skccvae.distributions.constraints import unit_vector
from skccvae.distributions.rotationally_symmetric import RotationallySymmetric
from skccvae.special.spherical_cauchy import (
    spherical_cauchy_kl_uniform,
    spherical_cauchy_mean_resultant_length,
    spherical_cauchy_variances,
)

__all__ = ["SphericalCauchy"]


class SphericalCauchy(RotationallySymmetric):
    r"""Spherical Cauchy distribution, the image of the uniform distribution under a Möbius map.

    With respect to the uniform distribution its density at z is
    ``((1 - rho^2) / ||z - rho mu||^2)^(m - 1)``.

    Parameters
    ----------
    loc : Tensor
        Directions mu: unit vectors of shape (..., m), float32 or float64. m >= 2 is the ambient
        dimension; the sphere has dimension m - 1.
    concentration : Tensor or float
        rho in [0, 1), of shape (...) and the same dtype. At 0 the distribution is uniform; for rho
        -> 1 it tends to a point mass. loc and concentration broadcast.
    validate_args : bool, optional
        Whether to check parameters and values. The default is torch's.

    Raises
    ------
    TypeError
        If the dtypes differ or are not float32 or float64.
    ValueError
        If shapes do not fit. When validating, also if loc does not have unit length or a
        concentration is outside [0, 1) or NaN.

    See Also
    --------
    VonMisesFisher : A distribution with lighter tails.

    Notes
    -----
    The point rho mu lies in the open unit ball. The Möbius map that takes 0 to rho mu turns uniform
    points of the sphere into draws of this distribution. A draw is a smooth function of rho mu,
    also at 0, and autograd gives its exact pathwise gradient. For m = 2 it is the wrapped Cauchy
    distribution, and the second moment of the gradient in mu grows like 1 / (1 - rho).

    In high dimension the angle to mu is about arctan((1 - rho^2) / (2 rho)), so a concentration
    means the same width for every m. The tails are heavy: at the antipode the density is
    ((1 - rho) / (1 + rho))^(2 m - 2) times the density at the mode.

    The distance of a draw from mu is about 1 - rho. The coordinates resolve it as long as 1 - rho
    is well above the rounding error: up to rho = 1 - 1e-6 in float32 and 1 - 1e-12 in float64.

    References
    ----------
    Kato and McCullagh, "Some properties of a Cauchy family on the sphere derived from the Möbius
    transformations", Bernoulli 26, 2020.
    Sablica and Hornik, "Hyperspherical variational autoencoders using efficient spherical Cauchy
    distribution", 2025.

    Examples
    --------
    >>> import torch
    >>> from torch.distributions import kl_divergence
    >>> from skccvae.distributions import HypersphericalUniform, SphericalCauchy
    >>> q = SphericalCauchy(torch.tensor([0.0, 1.0]), torch.tensor(0.5))
    >>> q.rsample((5,)).shape
    torch.Size([5, 2])
    >>> q.mean
    tensor([0.0000, 0.5000])
    >>> kl_divergence(q, HypersphericalUniform(2))  # -log(1 - rho^2) on the circle
    tensor(0.2877)
    """

    arg_constraints = {"loc": unit_vector, "concentration": constraints.half_open_interval(0, 1)}

    @property
    def noise_dim(self) -> int:
        """Number of standard normal numbers per draw: m."""
        return self.event_shape[0]

    def rsample_from_noise(self, noise: Tensor) -> Tensor:
        """Turn standard normal noise into draws, with exact pathwise gradients.

        Parameters
        ----------
        noise : Tensor
            Shape (..., m); broadcasts against the batch shape. Its direction is a uniform point of
            the sphere.

        Returns
        -------
        Tensor
            Unit vectors, shape (..., m).

        Raises
        ------
        ValueError
            If the last dimension of the noise is not m.
        """
        if noise.shape[-1:] != self.event_shape:
            raise ValueError(
                f"the last dimension of the noise must be noise_dim = {self.noise_dim}, got shape "
                f"{tuple(noise.shape)}."
            )
        mu, rho = self.loc, self.concentration.unsqueeze(-1)
        u = noise / torch.linalg.vector_norm(noise, dim=-1, keepdim=True)
        # The Möbius map is z = rho mu + (1 - rho^2) (u + rho mu) / |u + rho mu|^2. This computes z
        # times that square, and the last line divides by its norm. In terms of u + mu nothing
        # cancels near the antipode of mu, where the result depends on rho the most.
        chord = u + mu
        square = chord.square().sum(-1, keepdim=True)
        z = (1 - rho) * (1 + rho) * chord + (rho * rho * square - (1 - rho).square()) * mu
        return z / torch.linalg.vector_norm(z, dim=-1, keepdim=True)

    def _log_ratio(self, value: Tensor) -> Tensor:
        rho = self.concentration
        # |z - rho mu|^2 as a sum of positive terms, accurate near the mode
        square = (1 - rho).square() + 2 * rho * self._one_minus_cosine(value)
        return (self.noise_dim - 1) * (torch.log1p(-rho) + torch.log1p(rho) - torch.log(square))

    def _kl_uniform(self) -> Tensor:
        return spherical_cauchy_kl_uniform(self.concentration, self.noise_dim)

    @property
    def mean_resultant_length(self) -> Tensor:
        """E[<loc, z>], from 0 (uniform) to 1 (point mass); equal to rho for m = 2."""
        return spherical_cauchy_mean_resultant_length(self.concentration, self.noise_dim)

    def _variances(self) -> tuple[Tensor, Tensor]:
        return spherical_cauchy_variances(self.concentration, self.noise_dim)
