r"""Wrapped normal distribution on a space of any constant curvature.

A draw is made in the tangent space at the origin, carried to the location along the geodesic and
wrapped onto the space by the exponential map:

.. math:: z = \exp_{\mu}\bigl(PT_{0 \to \mu}(\sigma \odot \epsilon)\bigr),
    \qquad \epsilon \sim N(0, I_d).

Against the Riemannian volume its density is the tangent normal's, divided by the volume ratio of
the exponential map, ``(sin_K(r)/r)^(d-1)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from skccvae.distributions._preimages import log_preimage_sum, n_preimages_for
from skccvae.distributions._wrapped_step import wrapped_normal_step
from skccvae.manifolds import functional as polar
from skccvae.manifolds.base import ConstantCurvature
from skccvae.special.trigonometry import log_sinc_k

__all__ = ["WrappedNormal", "wrapped_normal_step"]

_LOG_2PI = math.log(2 * math.pi)


class _OnManifold(constraints.Constraint):
    """Points of a space of constant curvature, in ambient coordinates."""

    event_dim = 1

    def __init__(self, manifold: ConstantCurvature) -> None:
        self.manifold = manifold
        super().__init__()

    def __repr__(self) -> str:
        return f"on {self.manifold!r}"

    def check(self, value: Tensor) -> Tensor:
        if value.shape[-1:] != (self.manifold.ambient_dim,):
            raise ValueError(
                f"Points of {self.manifold!r} have {self.manifold.ambient_dim} (ambient) "
                f"coordinates; got shape {tuple(value.shape)}."
            )
        return self.manifold.belongs(value)


class WrappedNormal(Distribution):
    r"""Normal distribution of a tangent space, wrapped onto the space by the exponential map.

    Parameters
    ----------
    loc : Tensor of shape (..., ambient_dim)
        Location on the manifold.
    scale : Tensor of shape (..., d) or (..., 1), or float
        Positive standard deviations along the axes of the frame carried from the origin.
    manifold : Euclidean, Sphere or Hyperbolic
        The space; of any curvature.
    validate_args : bool, optional
        Whether to check the arguments and the values given to :meth:`log_prob`.

    Attributes
    ----------
    noise_dim : int
        d, the numbers of standard normal noise that a draw takes.

    Raises
    ------
    TypeError, ValueError
        If manifold is something else, or shapes or values do not fit.

    Notes
    -----
    With v the tangent vector of z and r its length, for K <= 0

    .. math:: \log q(z) = \log N(v; 0, \sigma^2) - (d - 1) \log \frac{\sin_K r}{r}.

    On a sphere the exponential map is not injective and the density is the sum over all tangent
    vectors ``v (1 + 2 pi k R/r)`` that lead to z. As many terms are taken as the largest scale
    needs for a truncation below 1e-6 (k from -2 to 2 up to scale 1.3 R at d = 2). For d >= 2 that
    sum has integrable poles at the location and at its antipode, onto each of which whole spheres
    of tangent vectors are mapped; at the location itself only the first preimage is counted. A
    scale far beyond the radius, winding round more than 2000 times, is refused by `log_prob`.

    Euclidean space gives the normal distribution, and K -> 0 tends to it from both sides.
    `log_prob` forms a logarithm map, which float32 cannot do far out in hyperbolic space (1e-3 up
    to a radius of about 9 R); training goes through :func:`wrapped_normal_step`, which does not.

    References
    ----------
    .. [1] Y. Nagano et al., "A wrapped normal distribution on hyperbolic space for gradient-based
       learning", ICML 2019.
    .. [2] O. Skopek, O.-E. Ganea, G. Becigneul, "Mixed-curvature variational autoencoders",
       ICLR 2020, appendix A (other curvatures).

    Examples
    --------
    >>> import torch
    >>> from skccvae.manifolds import Hyperbolic
    >>> space = Hyperbolic(2)
    >>> q = WrappedNormal(space.origin(), torch.tensor([1.0, 1.0]), space)
    >>> z = space.exp0(torch.tensor([1.0, 0.0]))
    >>> round(q.log_prob(z).item(), 4)
    -2.4993
    """

    arg_constraints = {"scale": constraints.independent(constraints.positive, 1)}
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
        if self._should_validate(validate_args) and not bool(manifold.belongs(loc).all()):
            raise ValueError(
                f"loc must lie on {manifold!r}; some of its points do not (or are NaN). Use "
                "manifold.project(loc) or manifold.exp0(u)."
            )
        self.manifold: ConstantCurvature | None = manifold
        c, s = manifold.to_polar(loc)
        self._setup(c, s, scale, manifold.curvature, validate_args)

    @staticmethod
    def _should_validate(validate_args: bool | None) -> bool:
        return Distribution._validate_args if validate_args is None else validate_args

    @classmethod
    def _from_polar(
        cls,
        c: Tensor,
        s: Tensor,
        scale: Tensor | float,
        curvature: float | Tensor,
        manifold: ConstantCurvature | None = None,
        validate_args: bool | None = None,
    ) -> WrappedNormal:
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
        d = s.shape[-1]
        scale = torch.as_tensor(scale, dtype=s.dtype, device=s.device)
        if scale.ndim == 0:
            scale = scale.unsqueeze(0)
        if scale.shape[-1] not in (1, d):
            raise ValueError(
                f"scale must have {d} (intrinsic) entries along its last dimension, or 1 to use "
                f"for all; got shape {tuple(scale.shape)}."
            )
        try:
            batch = torch.broadcast_shapes(c.shape, scale.shape[:-1])
        except RuntimeError as error:
            raise ValueError(
                f"loc of batch shape {tuple(c.shape)} and scale of batch shape "
                f"{tuple(scale.shape[:-1])} do not broadcast."
            ) from error
        self._K = K
        self._c, self._s = c.expand(batch), s.expand(*batch, d)
        self.scale = scale.expand(*batch, d)
        width = d + 1 if self.manifold is None else self.manifold.ambient_dim
        super().__init__(batch, torch.Size([width]), validate_args=validate_args)

    def _pack(self, c: Tensor, s: Tensor) -> Tensor:
        if self.manifold is None:
            return torch.cat([c.unsqueeze(-1), s], -1)
        return self.manifold.from_polar(c, s)

    def _unpack(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return (z[..., 0], z[..., 1:]) if self.manifold is None else self.manifold.to_polar(z)

    @property
    def noise_dim(self) -> int:
        """Numbers of standard normal noise that one draw takes: d."""
        return self._s.shape[-1]

    @property
    def loc(self) -> Tensor:
        """Location, shape batch_shape + event_shape."""
        return self._pack(self._c, self._s)

    @property
    def mode(self) -> Tensor:
        """Location: where the first preimage's density is greatest."""
        return self.loc

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self) -> constraints.Constraint:
        """The manifold."""
        if self.manifold is None:
            return constraints.real_vector
        return _OnManifold(self.manifold)

    def expand(
        self, batch_shape: Sequence[int], _instance: WrappedNormal | None = None
    ) -> WrappedNormal:
        """Distribution with a larger batch shape, sharing memory."""
        new = self._get_checked_instance(WrappedNormal, _instance)
        batch_shape = torch.Size(batch_shape)
        new.manifold, new._K = self.manifold, self._K
        new._c = self._c.expand(batch_shape)
        new._s = self._s.expand(*batch_shape, self.noise_dim)
        new.scale = self.scale.expand(*batch_shape, self.noise_dim)
        super(WrappedNormal, new).__init__(batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def rsample_from_noise(self, noise: Tensor) -> Tensor:
        """Draw made from given noise.

        Parameters
        ----------
        noise : Tensor of shape (..., noise_dim)
            Standard normal; broadcasts against the batch shape.

        Returns
        -------
        Tensor of shape (..., ambient_dim)
            Differentiable in location, scale and curvature.
        """
        if noise.shape[-1:] != (self.noise_dim,):
            raise ValueError(
                f"noise must have {self.noise_dim} columns (noise_dim, the intrinsic dimension); "
                f"got shape {tuple(noise.shape)}."
            )
        zc, zs, _ = polar.exp_transported(self._c, self._s, self.scale * noise, self._K)
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
        zc, zs = self._unpack(value)
        v = polar.log_transported(self._c, self._s, zc, zs, self._K)
        d = self.noise_dim
        r = polar._norm(v)
        square = (v / self.scale).square().sum(-1)
        result = -0.5 * square - self.scale.log().sum(-1) - 0.5 * d * _LOG_2PI
        if d > 1:
            result = result - (d - 1) * log_sinc_k(r, self._K)
        K = float(self._K.detach() if isinstance(self._K, Tensor) else self._K)
        if K > 0:
            top = float(self.scale.detach().max()) if self.scale.numel() else 1.0
            n = n_preimages_for(top, d, K)
            safe = torch.where(r > 0, r, 1.0)
            result = result + log_preimage_sum(r, square / safe.square(), d, self._K, n)
        return result
