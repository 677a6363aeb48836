"""Rows in which some values were not observed: what an encoder reads, and the rows' likelihood.

A value that was not observed is NaN in model units. The encoder reads 0 in its place. It also reads
an indicator that is 1 where a value is missing, through separate weights. A row without missing
values has an indicator of zeros, so these weights change nothing for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skccvae.nn.likelihoods import Likelihood, MixedLikelihood
from skccvae.nn.networks import ACTIVATIONS, mlp

__all__ = [
    "MaskedLinear",
    "MaskedMLP",
    "encoder_rows",
    "filled_in",
    "has_terms",
    "observed_log_prob",
    "row_content",
]


def has_terms(kind: type[Likelihood]) -> bool:
    """Whether the log-probability of a row is the sum of the class's terms for single columns.

    This is not so if a class overrides `Likelihood.log_prob` or `total_log_prob` but inherits the
    terms. Then nothing defines the log-probability of a part of a row.

    Examples
    --------
    >>> from skccvae.nn import GaussianLikelihood
    >>> from skccvae.nn.missing import has_terms
    >>> class Halved(GaussianLikelihood):
    ...     def log_prob(self, outputs, x):
    ...         return 0.5 * super().log_prob(outputs, x)
    >>> has_terms(GaussianLikelihood), has_terms(Halved)
    (True, False)
    """

    def depth(*names: str) -> int:
        return min(
            depth
            for depth, cls in enumerate(kind.__mro__)
            if any(name in vars(cls) for name in names)
        )

    return depth("distribution", "log_prob_terms") <= depth("log_prob", "total_log_prob")


def filled_in(likelihood: Likelihood, x: Tensor) -> Tensor:
    """Replace each NaN by a number inside the support, where density and slope are finite.

    Parameters
    ----------
    likelihood : Likelihood
        Its ``support`` determines the number: the middle, one unit inside a single end, or 0.
    x : Tensor of shape (..., p)
        Rows in model units.
    """
    if isinstance(likelihood, MixedLikelihood):
        return likelihood.of_parts(filled_in, x)
    low, high = likelihood.support
    if math.isfinite(low) and math.isfinite(high):
        number = (low + high) / 2
    elif math.isfinite(low):
        number = low + 1
    else:
        number = high - 1 if math.isfinite(high) else 0.0
    return x.masked_fill(x.isnan(), number)


def observed_log_prob(likelihood: Likelihood, outputs: Tensor, x: Tensor) -> Tensor:
    """Log-probability of the observed values of each row, shape (...), in nats of the user's X.

    Parameters
    ----------
    likelihood : Likelihood
        A likelihood for which `has_terms` is true.
    outputs : Tensor of shape (..., n_outputs)
        Outputs of the decoder.
    x : Tensor of shape (..., p)
        Rows in model units, with NaN where a value is missing.

    Returns
    -------
    Tensor of shape (...)
        `Likelihood.observed_log_prob`: the logarithm of the integral of p(x | z) over the missing
        values, which is 0 for a row of nothing but NaN.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import BernoulliLikelihood
    >>> from skccvae.nn.missing import observed_log_prob
    >>> x = torch.tensor([[1.0, float("nan")]])
    >>> observed_log_prob(BernoulliLikelihood(2), torch.zeros(1, 2), x)  # log(1 / 2)
    tensor([-0.6931])
    """
    return likelihood.observed_log_prob(outputs, filled_in(likelihood, x), x.isnan())


def encoder_rows(likelihood: Likelihood, x: Tensor, n_mask: int) -> Tensor:
    """What an encoder reads of rows with NaN: its inputs, with 0 for NaN, and the indicator.

    Parameters
    ----------
    likelihood : Likelihood
        Computes the inputs from the rows.
    x : Tensor of shape (n, p)
        Rows in model units.
    n_mask : int
        p for an encoder that reads the indicator, 0 for one that does not.

    Returns
    -------
    Tensor of shape (n, n_inputs + n_mask)
    """
    inputs = likelihood.encoder_inputs(x)
    inputs = inputs.masked_fill(inputs.isnan(), 0.0)
    return torch.cat([inputs, x.isnan().to(x.dtype)], dim=-1) if n_mask else inputs


def row_content(likelihood: Likelihood, x: Tensor) -> Tensor:
    """`Likelihood.row_content` of rows with NaN, where every NaN has the same bits."""
    content = likelihood.row_content(x)
    return content.masked_fill(content.isnan(), math.nan)


class MaskedLinear(nn.Linear):
    """Linear layer of a row and of its indicator of missing values.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Widths of the row and of the result.
    n_mask : int
        Width of the indicator. Its weights start at 0 and draw no random numbers.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn.missing import MaskedLinear
    >>> layer = MaskedLinear(3, 2, n_mask=3)
    >>> layer(torch.zeros(4, 6)).shape
    torch.Size([4, 2])
    """

    def __init__(self, n_inputs: int, n_outputs: int, n_mask: int) -> None:
        super().__init__(n_inputs, n_outputs)
        self.mask_weight = nn.Parameter(torch.zeros(n_outputs, n_mask))

    def both_weights(self) -> Tensor:
        """Weights of the row and of the indicator, shape (n_outputs, n_inputs + n_mask)."""
        return torch.cat([self.weight, self.mask_weight], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.both_weights(), self.bias)


class MaskedMLP(nn.Sequential):
    """Hidden layers of a perceptron, the first of which also reads the indicator.

    Parameters
    ----------
    n_inputs : int
        Width of a row.
    hidden : sequence of int
        Widths of the hidden layers. With none, the features are the row, and nothing reads the
        indicator.
    activation : str
        A key of ``ACTIVATIONS``.
    n_mask : int
        Width of the indicator.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn.missing import MaskedMLP
    >>> MaskedMLP(3, (8, 4), "relu", n_mask=3)(torch.zeros(2, 6)).shape
    torch.Size([2, 4])
    """

    def __init__(self, n_inputs: int, hidden: Sequence[int], activation: str, n_mask: int) -> None:
        layers: list[nn.Module] = []
        if hidden:
            layers = [MaskedLinear(n_inputs, hidden[0], n_mask), ACTIVATIONS[activation]()]
            layers += mlp(hidden[0], hidden[1:], activation)
        super().__init__(*layers)
        self.n_mask = n_mask if hidden else 0
