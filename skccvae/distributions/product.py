"""Independent distributions on the factors of a product space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence, register_kl

__all__ = ["ProductDistribution"]


class ProductDistribution(Distribution):
    """Independent distributions, one for each factor, with their coordinates side by side.

    Parameters
    ----------
    factors : sequence of Distribution
        At least one distribution. Each has an event shape of one dimension; batch shapes broadcast.

    Raises
    ------
    ValueError
        If there is no factor, or an event shape does not have exactly one dimension.

    Examples
    --------
    >>> import torch
    >>> from skccvae.distributions import HypersphericalUniform, ProductDistribution
    >>> p = ProductDistribution([HypersphericalUniform(3), HypersphericalUniform(2)])
    >>> p.sample((4,)).shape
    torch.Size([4, 5])
    """

    arg_constraints: dict = {}

    def __init__(self, factors: Sequence[Distribution]) -> None:
        # Any, because torch's Distribution lacks noise_dim and rsample_from_noise.
        self.factors: list[Any] = list(factors)
        if not self.factors:
            raise ValueError("A product needs at least one distribution; got none.")
        for factor in self.factors:
            if len(factor.event_shape) != 1:
                raise ValueError(
                    "Each factor must have an event shape of one dimension; got "
                    f"{tuple(factor.event_shape)} for {type(factor).__name__}."
                )
        batch = torch.broadcast_shapes(*[factor.batch_shape for factor in self.factors])
        self.sizes = [factor.event_shape[0] for factor in self.factors]
        super().__init__(batch, torch.Size([sum(self.sizes)]), validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether every factor has a pathwise gradient."""
        return all(factor.has_rsample for factor in self.factors)

    @property
    def noise_dim(self) -> int:
        """Number of standard normal numbers per draw: the sum over the factors."""
        return sum(factor.noise_dim for factor in self.factors)

    def expand(self, batch_shape: Any, _instance: Any = None) -> ProductDistribution:
        """Return the distribution with a larger batch shape."""
        return ProductDistribution([factor.expand(batch_shape) for factor in self.factors])

    def rsample_from_noise(self, noise: Tensor) -> Tensor:
        """Make draws from given noise of shape (..., noise_dim)."""
        parts = noise.split([factor.noise_dim for factor in self.factors], dim=-1)
        draws = [f.rsample_from_noise(part) for f, part in zip(self.factors, parts, strict=True)]
        return torch.cat(draws, dim=-1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw with pathwise gradients, shape sample_shape + batch_shape + event_shape."""
        batch = self.batch_shape
        draws = [factor.expand(batch).rsample(sample_shape) for factor in self.factors]
        return torch.cat(draws, dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Sum of the factors' log-densities, with respect to the product of their volumes."""
        parts = value.split(self.sizes, dim=-1)
        terms = [factor.log_prob(part) for factor, part in zip(self.factors, parts, strict=True)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def entropy(self) -> Tensor:
        """Sum of the factors' entropies."""
        total = self.factors[0].entropy()
        for factor in self.factors[1:]:
            total = total + factor.entropy()
        return total


@register_kl(ProductDistribution, ProductDistribution)
def _kl_product_product(p: ProductDistribution, q: ProductDistribution) -> Tensor:
    if p.sizes != q.sizes:
        raise ValueError(
            "The two products have different factors; their ambient dimensions are "
            f"{p.sizes} and {q.sizes}."
        )
    total = kl_divergence(p.factors[0], q.factors[0])
    for one, other in zip(p.factors[1:], q.factors[1:], strict=True):
        total = total + kl_divergence(one, other)
    return total
