r"""Riemannian normal distribution on a space of any constant curvature.

Its density falls with the squared geodesic distance to the location,

.. math:: p(z) = \frac1Z \exp\Bigl(-\frac{d(z, \mu)^2}{2 s^2}\Bigr),

against the Riemannian volume: of all laws with a given mean squared distance to mu, the one of the
largest entropy.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import constraints

from skccvae.distributions.normal_on_manifold import NormalOnManifold
from skccvae.distributions.rotationally_symmetric import log_sphere_area
from skccvae.manifolds.functional import distance
from skccvae.manifolds.polar import exp_from_tangent
from skccvae.special.riemannian_normal import (
    normal_radius,
    radial_log_partition,
    radial_mean_square,
)
from skccvae.special.trigonometry import _sign_of

__all__ = ["RiemannianNormal"]


class RiemannianNormal(NormalOnManifold):
    r"""Normal distribution whose density depends on the geodesic distance alone.

    Parameters
    ----------
    loc : Tensor of shape (..., ambient_dim)
        Location on the manifold; float32 or float64.
    scale : Tensor of shape (...), or float
        Positive scale s, the same in all directions. Both broadcast.
    manifold : Euclidean, Sphere or Hyperbolic
        The space; of any curvature.
    validate_args : bool, optional
        Whether to check the arguments and the values given to :meth:`log_prob`.

    Attributes
    ----------
    noise_dim : int
        d + 1, the numbers of standard normal noise that a draw takes: a score for the radius and a
        direction.

    Raises
    ------
    TypeError, ValueError
        If manifold is something else, or shapes or values do not fit.

    See Also
    --------
    WrappedNormal : A scale for each direction, and a closed form, but other densities.

    Notes
    -----
    The distance r to the location has the density ``exp(-r^2/(2 s^2)) sin_K(r)^(d-1) / Z`` and the
    direction is uniform. In units of s the radius depends on K s^2 alone; its normaliser, moments
    and quantiles come from one-dimensional quadrature of positive terms, tabulated once for each
    dimension, so that no dimension and no curvature is special (the alternating sum of error
    functions that is in print for K < 0 [1]_ cancels from d = 5 on). Draws are functions of normal
    noise with exact pathwise gradients in location and scale.

    Euclidean space gives the isotropic normal distribution, and K -> 0 tends to it from both sides.
    On a sphere the support is the whole sphere, r <= pi R, and s -> infinity gives the uniform
    distribution. In hyperbolic space wide laws in many dimensions lie far out, at
    r = (d - 1) s^2 sqrt(-K): draws overflow float32 beyond r = 88/sqrt(-K), and `log_prob`, which
    forms a distance, keeps 1e-3 up to about 9/sqrt(-K).

    References
    ----------
    .. [1] E. Mathieu et al., "Continuous hierarchical representations with Poincare variational
       auto-encoders", NeurIPS 2019, appendix B.
    .. [2] X. Pennec, "Intrinsic statistics on Riemannian manifolds", 2006, theorem 3 (entropy).

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

    arg_constraints = {"scale": constraints.positive}
    _scale_dims = 0

    @property
    def noise_dim(self) -> int:
        """Numbers of standard normal noise that one draw takes: d + 1."""
        return self._dim + 1

    @property
    def mode(self) -> Tensor:
        """Location; it is also the Frechet mean."""
        return self.loc

    @property
    def _c(self) -> Tensor:
        """Curvature in units of the scale."""
        return self._K * self.scale.square()

    @property
    def mean_square_distance(self) -> Tensor:
        """E[dist(z, loc)^2], shape batch_shape: d s^2 in flat space, less on a sphere."""
        square = radial_mean_square(self._c, self._dim, _sign_of(self._K))
        return self.scale.square() * square

    @property
    def log_normalizer(self) -> Tensor:
        """Logarithm of the integral of exp(-dist^2/(2 s^2)) over the space, shape batch_shape.

        Differentiable once in the scale and in a curvature that is a tensor. Its derivative in
        log s is E[dist^2]/s^2.
        """
        d = self._dim
        radial = radial_log_partition(self._c, d, _sign_of(self._K))
        directions = math.log(2) if d == 1 else log_sphere_area(d)
        return radial + d * self.scale.log() + directions

    def rsample_from_noise(self, noise: Tensor) -> Tensor:
        """Draw made from given noise.

        Parameters
        ----------
        noise : Tensor of shape (..., noise_dim)
            Standard normal; broadcasts against the batch shape. ``noise[..., 0]`` decides the
            radius (beyond 8.3 in size, which has probability 1e-16, it acts as 8.3), the rest the
            direction, in the frame carried from the origin.

        Returns
        -------
        Tensor of shape (..., ambient_dim)
            Differentiable once, in location and scale, and in a curvature that is a tensor.

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
        """Draw, and its distance to the location in units of the scale."""
        self._check_noise(noise)
        score, g = noise[..., 0], noise[..., 1:]
        length = torch.linalg.vector_norm(g, dim=-1, keepdim=True)
        # noise that is all zero gets a direction too
        first = torch.zeros_like(g)
        first[..., 0] = 1
        direction = torch.where(length > 0, g / torch.where(length > 0, length, 1.0), first)
        rho = normal_radius(score, self._c, self._dim, _sign_of(self._K))
        v = (self.scale * rho).unsqueeze(-1) * direction
        return self.manifold.from_polar(*exp_from_tangent(self._tangent, v, self._K)), rho

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density against the Riemannian volume.

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
        """Differential entropy in nats, against the Riemannian volume; shape batch_shape."""
        square = radial_mean_square(self._c, self._dim, _sign_of(self._K))
        return self.log_normalizer + 0.5 * square
