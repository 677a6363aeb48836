r"""Riemannian normal distribution on a space of any constant curvature.

Its density falls with the squared geodesic distance to the location,

.. math:: p(z) = \frac1Z \exp\Bigl(-\frac{d(z, \mu)^2}{2 s^2}\Bigr),

against the Riemannian volume: of all laws with a given mean squared distance to mu, the one of the
largest entropy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from skccvae.distributions._axial import log_sphere_area
from skccvae.distributions._riemannian_step import riemannian_normal_step
from skccvae.distributions.wrapped_normal import _OnManifold
from skccvae.manifolds import functional as polar
from skccvae.manifolds.base import ConstantCurvature
from skccvae.special._autograd import first_order_only
from skccvae.special.normal_radius import (
    normal_radius,
    radial_log_partition,
    radial_mean_square,
)
from skccvae.special.trigonometry import cos_k, sin_k

__all__ = ["RiemannianNormal", "riemannian_normal_step"]


class _Moved(torch.autograd.Function):
    r"""Point at distance r from (c, s) in a direction n, with the gradient written by hand.

    In the location the draw moves by the isometry that takes it from x to x + dx: the
    infinitesimal rotation, translation or boost in the plane of x and dx,

    .. math:: dz = K (\langle x, z\rangle dx - \langle dx, z\rangle x).

    It carries the whole law along, whatever the frame in which n is given, and is bounded. The
    frame itself, carried from the origin, would bring in its own turning, and at the antipode of
    a sphere's origin a singularity.
    """

    @staticmethod
    def forward(
        ctx: Any, c: Tensor, s: Tensor, r: Tensor, n: Tensor, K: float
    ) -> tuple[Tensor, Tensor]:
        zc, zs, _ = polar.exp_transported(c, s, r.unsqueeze(-1) * n, K)
        ctx.save_for_backward(c, s, r, n, zc, zs)
        ctx.K = K
        return zc, zs

    @staticmethod
    @first_order_only
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        c, s, r, n, zc, zs = ctx.saved_tensors
        g_c, g_s = grads
        K = ctx.K
        cosine, sine = cos_k(r, K), sin_k(r, K)
        along = (s * g_s).sum(-1) + c * g_c
        grad_c = cosine * g_c - along * zc
        grad_s = cosine.unsqueeze(-1) * g_s - (K * along).unsqueeze(-1) * zs
        grad_r = None
        if ctx.needs_input_grad[2]:
            sn = (s * n).sum(-1)
            grad_r = cosine * ((n * g_s).sum(-1) - K * sn * g_c) - K * sine * along
            if K != 0:
                factor = polar._frame_factor(c, s, K, 1 if K > 0 else -1)
                grad_r = grad_r - cosine * factor * sn * (s * g_s).sum(-1)
            grad_r = grad_r.sum_to_size(r.shape)
        return grad_c.sum_to_size(c.shape), grad_s.sum_to_size(s.shape), grad_r, None, None


class RiemannianNormal(Distribution):
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
    riemannian_normal_step : Draw and log-density ratio in one operation, for training.

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
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor | float,
        manifold: ConstantCurvature,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(manifold, ConstantCurvature):
            raise TypeError(
                "manifold must be Euclidean, Sphere or Hyperbolic; got "
                f"{type(manifold).__name__}. For a product, make one distribution a factor."
            )
        if loc.shape[-1:] != (manifold.ambient_dim,):
            raise ValueError(
                f"loc must hold points of {manifold!r}, with {manifold.ambient_dim} (ambient) "
                f"coordinates; got shape {tuple(loc.shape)}."
            )
        check = Distribution._validate_args if validate_args is None else validate_args
        if check and not bool(manifold.belongs(loc).all()):
            raise ValueError(
                f"loc must lie on {manifold!r}; some of its points do not (or are NaN). Use "
                "manifold.project(loc) or manifold.exp0(u)."
            )
        self.manifold: ConstantCurvature | None = manifold
        c, s = manifold.to_polar(loc)
        self._setup(c, s, scale, manifold.curvature, validate_args)

    @classmethod
    def _from_polar(
        cls,
        c: Tensor,
        s: Tensor,
        scale: Tensor | float,
        curvature: float | Tensor,
        manifold: ConstantCurvature | None = None,
        validate_args: bool | None = None,
    ) -> RiemannianNormal:
        """Distribution from a polar location, whose curvature may be a tensor with a gradient.

        With a manifold, draws are its ambient points, as usual. Without one they are polar rows
        ``(c, s_1, ..., s_d)``, which have a limit at K = 0 where the embedding has none, and so
        are the values that log_prob takes.
        """
        self = cls.__new__(cls)
        self.manifold = manifold
        self._setup(c, s, scale, curvature, validate_args)
        return self

    def _setup(
        self,
        c: Tensor,
        s: Tensor,
        scale: Tensor | float,
        K: float | Tensor,
        validate_args: bool | None,
    ) -> None:
        scale = torch.as_tensor(scale, dtype=s.dtype, device=s.device)
        try:
            batch = torch.broadcast_shapes(c.shape, scale.shape)
        except RuntimeError as error:
            raise ValueError(
                f"loc of batch shape {tuple(c.shape)} and scale of shape {tuple(scale.shape)} do "
                "not broadcast; the scale has one number for each location, not one a coordinate."
            ) from error
        self._K = K
        self._c, self._s = c.expand(batch), s.expand(*batch, s.shape[-1])
        self.scale = scale.expand(batch)
        width = s.shape[-1] + 1 if self.manifold is None else self.manifold.ambient_dim
        super().__init__(batch, torch.Size([width]), validate_args=validate_args)

    def _pack(self, c: Tensor, s: Tensor) -> Tensor:
        if self.manifold is None:
            return torch.cat([c.unsqueeze(-1), s], -1)
        return self.manifold.from_polar(c, s)

    @property
    def _dim(self) -> int:
        return self._s.shape[-1]

    @property
    def _sign(self) -> int | None:
        """Sign of the curvature where it is a number."""
        if isinstance(self._K, Tensor):
            return None
        return (self._K > 0) - (self._K < 0)

    @property
    def noise_dim(self) -> int:
        """Numbers of standard normal noise that one draw takes: d + 1."""
        return self._dim + 1

    @property
    def loc(self) -> Tensor:
        """Location, shape batch_shape + event_shape."""
        return self._pack(self._c, self._s)

    @property
    def mode(self) -> Tensor:
        """Location; it is also the Frechet mean."""
        return self.loc

    @property
    def mean_square_distance(self) -> Tensor:
        """E[dist(z, loc)^2], shape batch_shape: d s^2 in flat space, less on a sphere."""
        c = self._K * self.scale.square()
        return self.scale.square() * radial_mean_square(c, self._dim, self._sign)

    @property
    def log_normalizer(self) -> Tensor:
        """Logarithm of the integral of exp(-dist^2/(2 s^2)) over the space, shape batch_shape.

        Differentiable once in the scale and in a curvature that is a tensor. Its derivative in
        log s is E[dist^2]/s^2.
        """
        d = self._dim
        radial = radial_log_partition(self._K * self.scale.square(), d, self._sign)
        directions = math.log(2) if d == 1 else log_sphere_area(d)
        return radial + d * self.scale.log() + directions

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self) -> constraints.Constraint:
        """The manifold."""
        if self.manifold is None:
            return constraints.real_vector
        return _OnManifold(self.manifold)

    def expand(
        self, batch_shape: Sequence[int], _instance: RiemannianNormal | None = None
    ) -> RiemannianNormal:
        """Distribution with a larger batch shape, sharing memory."""
        new = self._get_checked_instance(RiemannianNormal, _instance)
        batch_shape = torch.Size(batch_shape)
        new.manifold, new._K = self.manifold, self._K
        new._c = self._c.expand(batch_shape)
        new._s = self._s.expand(*batch_shape, self._dim)
        new.scale = self.scale.expand(batch_shape)
        super(RiemannianNormal, new).__init__(batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

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
        if noise.shape[-1:] != (self.noise_dim,):
            raise ValueError(
                f"noise must have {self.noise_dim} columns (noise_dim, the intrinsic dimension "
                f"and one for the radius); got shape {tuple(noise.shape)}."
            )
        score, g = noise[..., 0], noise[..., 1:]
        length = torch.linalg.vector_norm(g, dim=-1, keepdim=True)
        # noise that is all zero gets a direction too
        first = torch.zeros_like(g)
        first[..., 0] = 1
        direction = torch.where(length > 0, g / torch.where(length > 0, length, 1.0), first)
        K, scale = self._K, self.scale
        r = scale * normal_radius(score, K * scale.square(), self._dim, self._sign)
        if isinstance(K, Tensor):
            zc, zs, _ = polar.exp_transported(self._c, self._s, r.unsqueeze(-1) * direction, K)
        else:
            zc, zs = _Moved.apply(self._c, self._s, r, direction, K)
        return self._pack(zc, zs)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws with a pathwise gradient, shape sample_shape + batch_shape + event_shape."""
        shape = torch.Size(sample_shape) + self._batch_shape + (self.noise_dim,)
        return self.rsample_from_noise(
            torch.randn(shape, dtype=self._s.dtype, device=self._s.device)
        )

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
        if value.shape[-1:] != self._event_shape:
            raise ValueError(
                f"value must have {self._event_shape[0]} (ambient) coordinates in its last "
                f"dimension; got shape {tuple(value.shape)}."
            )
        if self._validate_args:
            self._validate_sample(value)
        if self.manifold is None:
            zc, zs = value[..., 0], value[..., 1:]
        else:
            zc, zs = self.manifold.to_polar(value)
        distance = polar.distance(self._c, self._s, zc, zs, self._K)
        return -0.5 * (distance / self.scale).square() - self.log_normalizer

    def entropy(self) -> Tensor:
        """Differential entropy in nats, against the Riemannian volume; shape batch_shape."""
        c = self._K * self.scale.square()
        return self.log_normalizer + 0.5 * radial_mean_square(c, self._dim, self._sign)
