r"""Riemannian normal distribution on a space of any constant curvature.

With respect to the Riemannian volume its density is

.. math:: p(z) = \frac1Z \exp\Bigl(-\frac{d(z, \mu)^2}{2 s^2}\Bigr),

with d the geodesic distance. Among all distributions with a given mean squared distance to mu it
has the largest entropy.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skccvae.distributions.constraints import finite_positive
from skccvae.distributions.normal_on_manifold import LOCATION, NormalOnManifold
from skccvae.distributions.rotationally_symmetric import log_sphere_area
from skccvae.manifolds.polar import exp_from_tangent
from skccvae.manifolds.polar_distance import distance
from skccvae.special.riemannian_normal import (
    normal_radius,
    radial_log_partition,
    radial_mean_square,
)
from skccvae.special.trigonometry import _sign_of

__all__ = ["RiemannianNormal"]


class RiemannianNormal(NormalOnManifold):
    r"""Normal distribution whose density depends only on the geodesic distance.

    Parameters
    ----------
    loc : Tensor of shape (..., ambient_dim)
        Location on the manifold, float32 or float64.
    scale : Tensor of shape (...), or float
        Positive scale s, the same in all directions. It broadcasts against the location.
    manifold : Euclidean, Sphere or Hyperbolic
        The space, of any curvature.
    validate_args : bool, optional
        Whether to check the arguments here and in :meth:`log_prob`.

    Attributes
    ----------
    noise_dim : int
        Number of standard normal numbers per draw: d + 1, one for the radius and d for a direction.

    Raises
    ------
    TypeError
        If manifold is not one of these spaces.
    ValueError
        If shapes or values do not fit.

    See Also
    --------
    WrappedNormal : Has a scale for each direction and a closed form, but a different density.

    Notes
    -----
    The distance r to the location has the density ``exp(-r^2/(2 s^2)) sin_K(r)^(d-1) / Z``, and the
    direction is uniform. In units of s the distribution of the radius depends only on K s^2. Its
    normalising constant, moments and quantiles come from a one-dimensional quadrature of positive
    terms, which is tabulated once for each dimension. This works for every dimension and curvature,
    whereas the published closed form for K < 0, an alternating sum of error functions [1]_, suffers
    from cancellation from d = 5 on. Draws are functions of normal noise, with exact pathwise
    gradients in location and scale.

    In Euclidean space it is the isotropic normal distribution, which is also the limit for K -> 0
    from either side. On a sphere the support is the whole sphere, r <= pi R, and s -> infinity
    gives the uniform distribution. In hyperbolic space, the mass of a wide distribution in many
    dimensions lies far out, at about r = (d - 1) s^2 sqrt(-K). Draws overflow float32 beyond r =
    88/sqrt(-K). `log_prob` computes a distance, which float32 resolves to 1e-3 up to about
    9/sqrt(-K).

    References
    ----------
    .. [1] E. Mathieu et al., "Continuous hierarchical representations with Poincaré variational
       auto-encoders", NeurIPS 2019, appendix B.
    .. [2] Pennec, "Intrinsic statistics on Riemannian manifolds", 2006, theorem 3 (entropy).

    Examples
    --------
    >>> import torch
    >>> from skccvae.distributions import RiemannianNormal
    >>> from skccvae.manifolds import Hyperbolic
    >>> space = Hyperbolic(2)
    >>> q = RiemannianNormal(space.origin(), torch.tensor(1.0), space)
    >>> round(q.log_prob(space.exp0(torch.tensor([1.0, 0.0]))).item(), 4)
    -2.682
    """

    arg_constraints = {"loc": LOCATION, "scale": finite_positive}
    _scale_dims = 0

    @property
    def noise_dim(self) -> int:
        """Number of standard normal numbers per draw: d + 1."""
        return self._dim + 1

    @property
    def mode(self) -> Tensor:
        """Location, which is also the Fréchet mean."""
        return self.loc

    @property
    def _c(self) -> Tensor:
        """Curvature in units of the scale, K s^2."""
        return self._K * self.scale.square()

    @property
    def mean_square_distance(self) -> Tensor:
        """E[dist(z, loc)^2], shape batch_shape. It is d s^2 in flat space, and less on a sphere."""
        square = radial_mean_square(self._c, self._dim, _sign_of(self._K))
        return self.scale.square() * square

    @property
    def log_normalizer(self) -> Tensor:
        """Logarithm of the integral of exp(-dist^2/(2 s^2)) over the space, shape batch_shape.

        It can be differentiated once in the scale and in a curvature that is a tensor. Its
        derivative in log s is E[dist^2]/s^2.
        """
        d = self._dim
        radial = radial_log_partition(self._c, d, _sign_of(self._K))
        directions = math.log(2) if d == 1 else log_sphere_area(d)
        return radial + d * self.scale.log() + directions

    def rsample_from_noise(self, noise: Tensor) -> Tensor:
        """Make draws from given noise.

        Parameters
        ----------
        noise : Tensor of shape (..., noise_dim)
            Standard normal; broadcasts against the batch shape. ``noise[..., 0]`` sets the radius
            (magnitudes above 8.3, of probability 1e-16, are replaced by 8.3). The rest sets the
            direction, in the frame transported from the origin.

        Returns
        -------
        Tensor of shape (..., ambient_dim)
            The draws. They can be differentiated once in the location, the scale and a curvature
            that is a tensor.

        Raises
        ------
        ValueError
            If the last dimension of the noise is not noise_dim.
        """
        return self._draw(noise)[0]

    def rsample_with_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        z, rho = self._draw(noise)
        return z, -0.5 * rho.square() - self.log_normalizer

    def _draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Draws, and their distances to the location in units of the scale."""
        self._check_noise(noise)
        score, g = noise[..., 0], noise[..., 1:]
        length = torch.linalg.vector_norm(g, dim=-1, keepdim=True)
        # noise that is zero gets the first direction
        first = torch.zeros_like(g)
        first[..., 0] = 1
        direction = torch.where(length > 0, g / torch.where(length > 0, length, 1.0), first)
        rho = normal_radius(score, self._c, self._dim, _sign_of(self._K))
        v = (self.scale * rho).unsqueeze(-1) * direction
        return self.manifold.from_polar(*exp_from_tangent(self._tangent, v, self._K)), rho

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density with respect to the Riemannian volume.

        Parameters
        ----------
        value : Tensor of shape (..., ambient_dim)
            Points of the manifold.

        Returns
        -------
        Tensor of shape (...)
        """
        self._check_value(value)
        there, here = self.manifold.to_polar(value), self.manifold.to_polar(self.loc)
        r = distance(*here, *there, self._K)
        return -0.5 * (r / self.scale).square() - self.log_normalizer

    def entropy(self) -> Tensor:
        """Differential entropy in nats with respect to the Riemannian volume, shape batch_shape."""
        square = radial_mean_square(self._c, self._dim, _sign_of(self._K))
        return self.log_normalizer + 0.5 * square
