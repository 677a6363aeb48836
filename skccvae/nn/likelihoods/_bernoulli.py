"""Bernoulli likelihood of bits, and of grey values as probabilities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent

from skccvae.nn.likelihoods._base import UnitIntervalLikelihood
from skccvae.nn.likelihoods._cross_entropy import cross_entropy_in_double, total_cross_entropy


class BernoulliLikelihood(UnitIntervalLikelihood, name="bernoulli"):
    """Independent Bernoulli pixels; for grey values in (0, 1) the soft cross-entropy.

    With x in {0, 1} this is a probability. With grey x it is the cross-entropy that much of the
    literature reports, which is not a log-density. `ContinuousBernoulliLikelihood` is one.

    Parameters
    ----------
    n_features : int
        Number of columns of X.
    scale : Tensor of shape (n_features,), optional
        Not used, because rows are not scaled.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import BernoulliLikelihood
    >>> logits, x = torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])
    >>> BernoulliLikelihood(2).log_prob(logits, x)  # 2 log(1 / 2)
    tensor([-1.3863])
    """

    fingerprint = "bits"

    def log_prob_terms(self, outputs: Tensor, x: Tensor) -> Tensor:
        outputs, x = torch.broadcast_tensors(outputs, x)
        return -F.binary_cross_entropy_with_logits(outputs, x, reduction="none")

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        if outputs.dtype == torch.float64:
            return -cross_entropy_in_double(outputs, x)
        return super().log_prob(outputs, x)

    def total_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        # One fused sum, without the terms in memory.
        if outputs.shape == x.shape:
            return -F.binary_cross_entropy_with_logits(outputs, x, reduction="sum")
        return super().total_log_prob(outputs, x)

    def total_log_prob_of_rounded(self, outputs: Tensor, x: Tensor) -> Tensor:
        if outputs.shape == x.shape:
            return -total_cross_entropy(outputs, x)
        return super().total_log_prob_of_rounded(outputs, x)

    def mean(self, outputs: Tensor) -> Tensor:
        return torch.sigmoid(outputs)

    def start_outputs(self, x: Tensor) -> Tensor | None:
        # One Newton step from the column means. Rare pixels have steep logits; a twentieth of a
        # pixel that is on in half of the rows is as steep as a first decoder should be.
        mean = x.mean(0).clamp(1e-3, 1 - 1e-3)
        return mean.logit() + (x - mean) / (mean * (1 - mean)).clamp(min=0.05)

    def distribution(self, outputs: Tensor) -> Distribution:
        return Independent(Bernoulli(logits=outputs), 1, validate_args=False)
