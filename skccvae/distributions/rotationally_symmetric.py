r"""Base class of the rotationally symmetric distributions on the sphere.

A point of the unit sphere is z = w mu + sqrt(1 - w^2) v, with w = <mu, z> and v a unit vector
orthogonal to mu. If the density depends only on w, then v is uniform and independent of w. This is
the tangent-normal decomposition of Mardia and Jupp, "Directional statistics", 2000, section 9.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from skccvae.distributions.constraints import finite_nonnegative, unit_vector
from skccvae.special._autograd import first_order_only, with_derivative
from skccvae.special.von_mises_fisher import ConcentrationGrid, concentration_grid

# Called as log_tangent(score, concentration, m=m, grid=grid); returns the value and its derivative.
LogTangent = Callable[..., tuple[Tensor, Tensor]]


def log_sphere_area(m: int) -> float:
    """Logarithm of the area 2 pi^(m/2) / Gamma(m/2) of the unit sphere in R^m."""
    return math.log(2) + 0.5 * m * math.log(math.pi) - math.lgamma(0.5 * m)


def check_width(value: Tensor, event_shape: Size) -> None:
    """Raise ValueError if the points have another number of coordinates, which might broadcast."""
    if value.shape[-1:] != event_shape:
        raise ValueError(
            f"value must have {event_shape[0]} (ambient) coordinates in its last dimension; got "
            f"shape {tuple(value.shape)}."
        )


class _RotateWithLocation(torch.autograd.Function):
    r"""The identity on a draw z, with a gradient that rotates z along with its location mu.

    dz = dmu <mu, z> - mu <dmu, z> is the infinitesimal rotation that takes mu to mu + dmu. It
    rotates the whole distribution, so it is a valid pathwise gradient for every construction of z,
    and it is bounded. Autograd through v = normalise(g - <g, mu> mu) would give another valid
    gradient, but with the factor 1 / |g - <g, mu> mu|: its variance is infinite for m = 3 and it is
    undefined for m = 2. Frames such as Householder's reflection of e_1 to mu are singular at one
    mu.
    """

    @staticmethod
    def forward(ctx: Any, loc: Tensor, z: Tensor) -> Tensor:
        ctx.save_for_backward(loc, z)
        return z.view_as(z)

    @staticmethod
    @first_order_only
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        (grad,) = grads
        loc, z = ctx.saved_tensors
        cosine = (loc * z).sum(-1, keepdim=True)
        along = (loc * grad).sum(-1, keepdim=True)
        return (cosine * grad - along * z).sum_to_size(loc.shape), grad


def _unit_tangent(loc: Tensor, gaussian: Tensor) -> Tensor:
    """Unit vectors orthogonal to loc, uniformly distributed if the noise is normal."""
    if loc.shape[-1] == 2:
        # only the sign is random; the projection below would often lose its digits
        normal = torch.stack((-loc[..., 1], loc[..., 0]), -1)
        side = (gaussian * normal).sum(-1, keepdim=True)
        return normal * torch.copysign(torch.ones_like(side), side)
    along = (gaussian * loc).sum(-1, keepdim=True)
    v = torch.addcmul(gaussian, along, loc, value=-1)
    length = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    return v / length.clamp_min_(torch.finfo(v.dtype).tiny)


class RotationallySymmetric(Distribution):
    """Base class of distributions on the unit sphere whose density depends only on <loc, z>.

    A subclass defines `_log_tangent` (the quantile function of the angle), `_log_ratio` (the
    log-density with respect to the uniform distribution) and `_kl_uniform` (the divergence from
    that distribution).
    """

    arg_constraints = {"loc": unit_vector, "concentration": finite_nonnegative}
    support = unit_vector
    has_rsample = True
    _log_tangent: LogTangent

    def __init__(
        self, loc: Tensor, concentration: Tensor | float, validate_args: bool | None = None
    ) -> None:
        if not isinstance(concentration, Tensor):
            concentration = torch.as_tensor(concentration, dtype=loc.dtype, device=loc.device)
        if loc.dtype != concentration.dtype or loc.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                "loc and concentration must both be float32 or both be float64, got "
                f"{loc.dtype} and {concentration.dtype}; convert one with .to(dtype)."
            )
        if loc.ndim == 0 or loc.shape[-1] < 2:
            raise ValueError(
                "the last dimension of loc must hold the m >= 2 coordinates of the ambient space "
                "(one more than the sphere's intrinsic dimension), got shape "
                f"{tuple(loc.shape)}."
            )
        batch_shape = concentration.shape
        if loc.shape[:-1] != batch_shape:
            try:
                batch_shape = torch.broadcast_shapes(loc.shape[:-1], batch_shape)
            except RuntimeError as error:
                raise ValueError(
                    "loc (..., m) and concentration (...) must broadcast, got shapes "
                    f"{tuple(loc.shape)} and {tuple(concentration.shape)}."
                ) from error
            loc = loc.expand(*batch_shape, loc.shape[-1])
            concentration = concentration.expand(batch_shape)
        self.loc = loc
        self.concentration = concentration
        self._grid_cache: ConcentrationGrid | None = None
        super().__init__(batch_shape, loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> RotationallySymmetric:
        """Return the distribution with a larger batch shape; it shares memory."""
        new = self._get_checked_instance(RotationallySymmetric, _instance)
        batch_shape = Size(batch_shape)
        new.loc = self.loc.expand(batch_shape + self.event_shape)
        new.concentration = self.concentration.expand(batch_shape)
        new._grid_cache = None
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def _grid(self) -> ConcentrationGrid:
        """Position of the concentrations in the tables, shared by draw, KL and density."""
        grid = self._grid_cache
        if grid is None:
            grid = concentration_grid(self.concentration.detach(), self.loc.shape[-1])
            self._grid_cache = grid
        return grid

    @property
    def noise_dim(self) -> int:
        """Number of standard normal numbers per draw: 1 for the angle, m for the direction."""
        return self.loc.shape[-1] + 1

    def rsample_from_noise(self, noise: Tensor) -> Tensor:
        """Turn standard normal noise into draws, with exact pathwise gradients.

        Parameters
        ----------
        noise : Tensor
            Shape (..., noise_dim); broadcasts against the batch shape. ``noise[..., 0]`` sets the
            angle to the location (magnitudes above 8.3, of probability 1e-16, are replaced by 8.3).
            The rest sets the direction.

        Returns
        -------
        Tensor
            Unit vectors, shape (..., m).

        Raises
        ------
        ValueError
            If the last dimension of the noise is not noise_dim.
        """
        return self._draw(noise)[0]

    def _draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Draws, and y = 2 log tan(theta / 2) with theta their angle to the location."""
        if noise.shape[-1:] != (self.noise_dim,):
            raise ValueError(
                f"the last dimension of the noise must be noise_dim = {self.noise_dim}, got shape "
                f"{tuple(noise.shape)}."
            )
        loc, m, score = self.loc.detach(), self.loc.shape[-1], noise[..., 0]
        # y = 2 log tan(theta/2), with theta the angle to the location. A change of concentration at
        # a fixed score changes y (implicit reparametrisation), so z moves on a great circle
        # through mu.
        quantile = partial(self._log_tangent, score, m=m, grid=self._grid)
        y = with_derivative(self.concentration, quantile)
        cosine, sine = 1 - 2 * torch.sigmoid(y), 1 / torch.cosh(y / 2)
        v = _unit_tangent(loc, noise[..., 1:])
        z = cosine.unsqueeze(-1) * loc + sine.unsqueeze(-1) * v
        # if the noise is almost parallel to mu, v is not exactly orthogonal to mu
        z = z / torch.linalg.vector_norm(z, dim=-1, keepdim=True)
        return _RotateWithLocation.apply(self.loc, z), y

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw with pathwise gradients, shape sample_shape + batch_shape + (m,)."""
        shape = Size(sample_shape) + self._batch_shape + Size((self.noise_dim,))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.rsample_from_noise(noise)

    def _one_minus_cosine(self, value: Tensor) -> Tensor:
        """1 - <loc, value> of unit vectors as |value - loc|^2 / 2, accurate if they are close."""
        return (value - self.loc).square().sum(-1).mul(0.5)

    def _log_ratio(self, value: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} does not define a density")

    def _kl_uniform(self) -> Tensor:
        raise TypeError(f"{type(self).__name__} does not define a divergence")

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density with respect to the area of the unit sphere, at unit vectors (..., m)."""
        check_width(value, self.event_shape)
        if self._validate_args:
            self._validate_sample(value)
        return self._log_ratio(value) - log_sphere_area(self.loc.shape[-1])

    def entropy(self) -> Tensor:
        """Differential entropy in nats with respect to the area of the unit sphere."""
        return log_sphere_area(self.loc.shape[-1]) - self._kl_uniform()

    @property
    def mode(self) -> Tensor:
        """The location. At concentration 0 every point is a mode."""
        return self.loc

    @property
    def mean_resultant_length(self) -> Tensor:
        """E[<loc, z>], from 0 (uniform) to 1 (point mass)."""
        raise TypeError(f"{type(self).__name__} does not define its mean")

    @property
    def mean(self) -> Tensor:
        """Mean in R^m, mean_resultant_length times loc; it lies inside the sphere."""
        return self.mean_resultant_length.unsqueeze(-1) * self.loc

    def _variances(self) -> tuple[Tensor, Tensor]:
        """Variance of a draw along the location, and in each direction orthogonal to it."""
        raise TypeError(f"{type(self).__name__} does not define its variance")

    @property
    def variance(self) -> Tensor:
        """Variance of each coordinate in R^m, shape batch_shape + (m,)."""
        along, across = (v.unsqueeze(-1) for v in self._variances())
        square = self.loc.square()
        return along * square + across * (1 - square)
