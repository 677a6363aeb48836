"""Distributions of neighbouring columns as one distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution


class ColumnwiseDistribution(Distribution):
    """Independent columns whose distributions are of different kinds.

    Parameters
    ----------
    laws : sequence of Distribution
        Distributions of batch shape (..., k) and event shape (), each for k neighbouring columns.
    order : Tensor of int, shape (p,), optional
        For each column of the result, its place among the neighbouring columns. Default: the same
        order.

    Examples
    --------
    >>> import torch
    >>> from torch.distributions import Normal, Poisson
    >>> from skccvae.nn.likelihoods._columns import ColumnwiseDistribution
    >>> law = ColumnwiseDistribution([Normal(torch.zeros(2), 1.0), Poisson(torch.ones(1))])
    >>> law.log_prob(torch.zeros(3))
    tensor([-0.9189, -0.9189, -1.0000])
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(self, laws: Sequence[Distribution], order: Tensor | None = None) -> None:
        self.laws = tuple(laws)
        widths = [law.batch_shape[-1] for law in laws]
        self._widths = widths
        self._order = torch.arange(sum(widths)) if order is None else order
        lead = laws[0].batch_shape[:-1]
        super().__init__(torch.Size([*lead, sum(widths)]), validate_args=False)

    def _joined(self, parts: Sequence[Tensor]) -> Tensor:
        # Levels are whole numbers; they become the floating dtype of the other columns.
        dtype = next((part.dtype for part in parts if part.is_floating_point()), torch.float32)
        joined = torch.cat([part.to(dtype) for part in parts], dim=-1)
        return joined.index_select(-1, self._order.to(joined.device))

    @property
    def mean(self) -> Tensor:
        """Means of the columns, shape (..., p). NaN for levels, which have no mean."""
        return self._joined([law.mean for law in self.laws])

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, shape (sample_shape, ..., p)."""
        return self._joined([law.sample(torch.Size(sample_shape)) for law in self.laws])

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-densities of the columns, shape (..., p)."""
        place = torch.argsort(self._order).to(value.device)
        parts = value.index_select(-1, place).split(self._widths, dim=-1)
        return self._joined([law.log_prob(x) for law, x in zip(self.laws, parts, strict=True)])
