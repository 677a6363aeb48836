"""Independent distributions on the factors of a product space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, kl_divergence, register_kl

from skccvae.distributions.constraints import SideBySide

__all__ = ["ProductDistribution"]


class ProductDistribution(Distribution):
    """Independent distributions, one for each factor, with their coordinates side by side.

    Parameters
    ----------
    factors : sequence of Distribution
        At least one distribution. Each has an event shape of one dimension; batch shapes broadcast.
    validate_args : bool, optional
        Whether `log_prob` checks that values lie in the support. The default is torch's. Each
        factor also checks its own part if it validates its arguments.

    Raises
    ------
    ValueError
        If there is no factor, an event shape does not have exactly one dimension, or batch shapes
        do not broadcast.

    Examples
    --------
    >>> import torch
    >>> from skccvae.distributions import HypersphericalUniform, ProductDistribution
    >>> p = ProductDistribution([HypersphericalUniform(3), HypersphericalUniform(2)])
    >>> p.sample((4,)).shape
    torch.Size([4, 5])
    """

    arg_constraints: dict = {}

    def __init__(self, factors: Sequence[Distribution], validate_args: bool | None = None) -> None:
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
        shapes = [factor.batch_shape for factor in self.factors]
        try:
            batch = torch.broadcast_shapes(*shapes)
        except RuntimeError as error:
            raise ValueError(
                "The batch shapes of the factors must broadcast; got "
                f"{', '.join(str(tuple(shape)) for shape in shapes)}."
            ) from error
        self.sizes = [factor.event_shape[0] for factor in self.factors]
        super().__init__(batch, torch.Size([sum(self.sizes)]), validate_args=validate_args)

    def __repr__(self) -> str:
        return f"{type(self).__name__}([{', '.join(map(repr, self.factors))}])"

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether every factor has a pathwise gradient."""
        return all(factor.has_rsample for factor in self.factors)

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self) -> constraints.Constraint:
        """Supports of the factors, side by side."""
        return SideBySide([factor.support for factor in self.factors], self.sizes)

    @property
    def noise_dim(self) -> int:
        """Number of standard normal numbers per draw: the sum over the factors."""
        return sum(factor.noise_dim for factor in self.factors)

    def expand(self, batch_shape: Any, _instance: Any = None) -> ProductDistribution:
        """Return the distribution with a larger batch shape."""
        new = self._get_checked_instance(ProductDistribution, _instance)
        batch = torch.Size(batch_shape)
        new.factors = [factor.expand(batch) for factor in self.factors]
        new.sizes = self.sizes
        Distribution.__init__(new, batch, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _split(self, x: Tensor, sizes: list[int], what: str) -> tuple[Tensor, ...]:
        """Parts of x for the factors; ValueError if its last dimension has another size."""
        if x.shape[-1:] != (sum(sizes),):
            raise ValueError(
                f"{what} must have {sum(sizes)} entries in its last dimension, "
                f"{' + '.join(map(str, sizes))} for the factors; got shape {tuple(x.shape)}."
            )
        return x.split(sizes, dim=-1)

    def rsample_from_noise(self, noise: Tensor) -> Tensor:
        """Make draws from given noise of shape (..., noise_dim)."""
        parts = self._split(noise, [factor.noise_dim for factor in self.factors], "noise")
        draws = [f.rsample_from_noise(part) for f, part in zip(self.factors, parts, strict=True)]
        return torch.cat(draws, dim=-1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw with pathwise gradients, shape sample_shape + batch_shape + event_shape."""
        batch = self.batch_shape
        draws = [factor.expand(batch).rsample(sample_shape) for factor in self.factors]
        return torch.cat(draws, dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Sum of the factors' log-densities, with respect to the product of their volumes."""
        parts = self._split(value, self.sizes, "value")
        if self._validate_args:
            self._validate_sample(value)
        terms = [factor.log_prob(part) for factor, part in zip(self.factors, parts, strict=True)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def _side_by_side(self, name: str) -> Tensor:
        parts = [getattr(factor.expand(self.batch_shape), name) for factor in self.factors]
        return torch.cat(parts, dim=-1)

    @property
    def mean(self) -> Tensor:
        """Means of the factors, side by side."""
        return self._side_by_side("mean")

    @property
    def mode(self) -> Tensor:
        """Modes of the factors, side by side."""
        return self._side_by_side("mode")

    @property
    def variance(self) -> Tensor:
        """Variances of the factors' coordinates, side by side."""
        return self._side_by_side("variance")

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
