"""The uniform distribution on the unit sphere."""

from __future__ import annotations

from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from skccvae.distributions.constraints import unit_vector
from skccvae.distributions.rotationally_symmetric import check_width, log_sphere_area

__all__ = ["HypersphericalUniform"]


class HypersphericalUniform(Distribution):
    r"""Uniform distribution on the unit sphere of R^m.

    Parameters
    ----------
    m : int
        Ambient dimension, at least 2. The sphere itself has dimension m - 1.
    batch_shape : tuple of int
        Shape of a batch of independent copies.
    device, dtype
        Device and dtype of draws and densities. The default is torch's.
    validate_args : bool, optional
        Whether to check values. The default is torch's.

    Raises
    ------
    TypeError
        If m is not an integer.
    ValueError
        If m is less than 2.

    Examples
    --------
    >>> from skccvae.distributions import HypersphericalUniform
    >>> uniform = HypersphericalUniform(3)
    >>> uniform.rsample((4,)).shape
    torch.Size([4, 3])
    >>> uniform.entropy()  # log(4 pi)
    tensor(2.5310)
    """

    arg_constraints: dict[str, Any] = {}
    support = unit_vector
    has_rsample = True

    def __init__(
        self,
        m: int,
        batch_shape: Size | tuple[int, ...] = (),
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(m, int) or isinstance(m, bool):
            raise TypeError(f"m, the ambient dimension, must be an int, got {type(m).__name__}.")
        if m < 2:
            raise ValueError(
                f"m, the ambient dimension, must be at least 2, got {m}; it is one more than the "
                "intrinsic dimension."
            )
        self.dtype = torch.get_default_dtype() if dtype is None else dtype
        self.device = device
        super().__init__(Size(batch_shape), Size((m,)), validate_args=validate_args)

    def __repr__(self) -> str:
        return f"HypersphericalUniform(m: {self.noise_dim}, batch_shape: {self.batch_shape})"

    def expand(self, batch_shape: Any, _instance: Any = None) -> HypersphericalUniform:
        """Return the distribution with another batch shape."""
        new = self._get_checked_instance(HypersphericalUniform, _instance)
        new.dtype, new.device = self.dtype, self.device
        Distribution.__init__(new, Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def noise_dim(self) -> int:
        """Number of standard normal numbers per draw: m."""
        return self.event_shape[0]

    def rsample_from_noise(self, noise: Tensor) -> Tensor:
        """Turn standard normal noise (..., m) into unit vectors by dividing by the norm.

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
        noise = noise.expand(
            torch.broadcast_shapes(noise.shape, self._batch_shape + self.event_shape)
        )
        return noise / torch.linalg.vector_norm(noise, dim=-1, keepdim=True)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw points, shape sample_shape + batch_shape + (m,)."""
        shape = Size(sample_shape) + self._batch_shape + self._event_shape
        return self.rsample_from_noise(torch.randn(shape, dtype=self.dtype, device=self.device))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density with respect to the area of the sphere, at unit vectors (..., m)."""
        check_width(value, self._event_shape)
        if self._validate_args:
            self._validate_sample(value)
        shape = torch.broadcast_shapes(value.shape[:-1], self._batch_shape)
        return value.new_full(shape, -log_sphere_area(self.noise_dim))

    def entropy(self) -> Tensor:
        """Logarithm of the area of the sphere, shape batch_shape."""
        area = log_sphere_area(self.noise_dim)
        return torch.full(self._batch_shape, area, dtype=self.dtype, device=self.device)

    @property
    def mean(self) -> Tensor:
        """Mean in R^m, which is zero and not on the sphere."""
        return torch.zeros(self._extended_shape(), dtype=self.dtype, device=self.device)

    @property
    def variance(self) -> Tensor:
        """Variance of each coordinate, 1 / m."""
        return torch.full_like(self.mean, 1 / self.noise_dim)
