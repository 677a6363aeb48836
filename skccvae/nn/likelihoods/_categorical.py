"""Categorical likelihood of columns that each hold one of several levels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent

from skccvae.nn.likelihoods._base import Likelihood
from skccvae.nn.likelihoods._columns import ColumnwiseDistribution

# Rare levels have steep logits. A first decoder is at most as steep as for a level of this share.
_RARE = 0.05
_SMALLEST_SHARE = 1e-3


class CategoricalLikelihood(Likelihood, name="categorical"):
    r"""Independent categorical columns, whose levels are numbered 0, 1, 2, ...

    The decoder gives a logit for each level of each column. The encoder reads as many numbers: the
    indicators of a column's levels, minus their means, divided by one number for the column, so
    that their variances sum to 1. A column of fifty levels then has the variance of one real
    column.

    Parameters
    ----------
    n_features : int
        Number of columns of X. They hold the numbers of levels.
    scale : Tensor of shape (n_features,), optional
        Not used, because levels have no unit.
    shares : sequence of Tensor of shape (n_levels,), optional
        How often each level of each column occurs, with sum 1. The lengths are the numbers of
        levels. Default: two equally frequent levels for each column.

    Raises
    ------
    ValueError
        If the number of shares is not that of the columns, or a column has no level.

    Notes
    -----
    With shares :math:`p_k` the variances of the indicators of a column sum to :math:`1 - \sum_k
    p_k^2`, and the indicators are divided by the square root of this sum. Once the decoder has
    learned the shares, the log-probability of a column is at least about :math:`-\log` of its
    number of levels. Fifty levels can therefore gain 3.9 nats, as much as a real column whose error
    falls to a fiftieth.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import CategoricalLikelihood
    >>> likelihood = CategoricalLikelihood(1, shares=[torch.tensor([0.5, 0.25, 0.25])])
    >>> likelihood.log_prob(torch.zeros(1, 3), torch.tensor([[2.0]]))  # log(1 / 3)
    tensor([-1.0986])
    >>> likelihood.mean(torch.tensor([[0.0, 3.0, 1.0]]))  # the likeliest level
    tensor([[1.]])
    """

    accept_sparse = False
    input_center: Tensor
    input_scale: Tensor

    def __init__(
        self,
        n_features: int,
        scale: Tensor | None = None,
        shares: Sequence[Tensor] | None = None,
    ) -> None:
        super().__init__(n_features)
        given = [torch.full((2,), 0.5)] * n_features if shares is None else list(shares)
        if len(given) != n_features or not all(len(column) for column in given):
            raise ValueError(
                f"shares must hold the shares of at least one level for each of {n_features} "
                f"columns; got lengths {[len(column) for column in given]}."
            )
        self.n_levels = tuple(len(column) for column in given)
        self.n_inputs = self.n_outputs = sum(self.n_levels)
        given = [torch.as_tensor(column).double() for column in given]
        # A column of one level has no variance, and its indicator less its mean is 0.
        variances = [1.0 - column.square().sum() for column in given]
        scales = [
            torch.where(variance > 1e-12, variance, 1.0).sqrt().expand(len(column))
            for variance, column in zip(variances, given, strict=True)
        ]
        self.register_buffer("input_center", torch.cat(given).float(), persistent=False)
        self.register_buffer("input_scale", torch.cat(scales).float(), persistent=False)

    def input_columns(self) -> Tensor:
        counts = torch.tensor(self.n_levels, device=self.input_scale.device)
        return torch.repeat_interleave(torch.arange(self.n_features).to(counts), counts)

    def indicators(self, x: Tensor) -> Tensor:
        """1 for the level of each column and 0 for its other levels; NaN where x is not a level.

        Parameters
        ----------
        x : Tensor of shape (..., p)
            Numbers of levels.

        Returns
        -------
        Tensor of shape (..., n_inputs)
        """
        parts = []
        for code, n in zip(x.split(1, dim=-1), self.n_levels, strict=True):
            found = (code == torch.arange(n, device=x.device, dtype=x.dtype)).to(x.dtype)
            parts.append(found / found.sum(-1, keepdim=True))
        return torch.cat(parts, dim=-1)

    def encoder_inputs(self, x: Tensor) -> Tensor:
        center, scale = self.input_center.to(x.dtype), self.input_scale.to(x.dtype)
        return (self.indicators(x) - center) / scale

    def levels_of_inputs(self, inputs: Tensor) -> Tensor:
        """Level with the largest indicator in each column, for inputs that may be blurred.

        Parameters
        ----------
        inputs : Tensor of shape (..., n_inputs)
            The result of `encoder_inputs`, or a mean of such results.

        Returns
        -------
        Tensor of shape (..., p)
        """
        indicators = inputs * self.input_scale.to(inputs) + self.input_center.to(inputs)
        return self._likeliest(indicators)

    def _likeliest(self, values: Tensor) -> Tensor:
        parts = values.split(self.n_levels, dim=-1)
        return torch.stack([part.argmax(-1) for part in parts], dim=-1).to(values.dtype)

    def log_prob_terms(self, outputs: Tensor, x: Tensor) -> Tensor:
        terms = []
        codes = x.long().unbind(-1)
        for logits, code in zip(outputs.split(self.n_levels, dim=-1), codes, strict=True):
            lead = torch.broadcast_shapes(logits.shape[:-1], code.shape)
            table = torch.log_softmax(logits, dim=-1).expand(*lead, logits.shape[-1])
            terms.append(table.gather(-1, code.expand(lead).unsqueeze(-1)))
        return torch.cat(terms, dim=-1)

    def mean(self, outputs: Tensor) -> Tensor:
        """Most likely level of each column, shape (..., p), since levels have no mean."""
        return self._likeliest(outputs)

    def average(self, means: Tensor, weights: Tensor) -> Tensor:
        """Level with the largest weight, shape (..., p)."""
        return self._likeliest((weights * self.indicators(means)).sum(0))

    def posterior_mean(self, outputs: Tensor, weights: Tensor) -> Tensor:
        """Most likely level under the mean of the probabilities, shape (..., p)."""
        parts = outputs.split(self.n_levels, dim=-1)
        probabilities = torch.cat([torch.softmax(part, dim=-1) for part in parts], dim=-1)
        return self._likeliest((weights * probabilities).sum(0))

    def start_outputs(self, x: Tensor) -> Tensor | None:
        # One Newton step from the shares of the rows. With two levels the difference of the two
        # outputs is the logit that a Bernoulli column starts at.
        found = self.indicators(x)
        known = ~found.isnan()
        share = found.nan_to_num().sum(0) / known.sum(0).clamp(min=1)
        deviation = torch.where(known, found - share, 0.0)
        return share.clamp(min=_SMALLEST_SHARE).log() + deviation / share.clamp(min=_RARE)

    def distribution(self, outputs: Tensor) -> Distribution:
        laws = [
            Categorical(logits=part.unsqueeze(-2), validate_args=False)
            for part in outputs.split(self.n_levels, dim=-1)
        ]
        return Independent(ColumnwiseDistribution(laws), 1, validate_args=False)
