"""A prediction head: the likelihood p(y | z) through which labels shape the latent space."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PredictionHead(nn.Module):
    """Network from latent features to targets, with the log-likelihood of known targets.

    Parameters
    ----------
    n_inputs : int
        Width of the latent features.
    n_classes : list of int
        One entry per target: the number of classes, or 0 for a real-valued target. Real-valued
        targets must be standardised; they have a normal likelihood with a learned scale.
    hidden : int, default=64
        Width of the hidden layer.

    References
    ----------
    Gomez-Bombarelli et al., "Automatic chemical design using a data-driven continuous
    representation of molecules", ACS Central Science 2018, for the joint training.

    Examples
    --------
    One target with three classes and one real-valued target, for four rows:

    >>> import torch
    >>> from skccvae.nn import PredictionHead
    >>> head = PredictionHead(2, [3, 0])
    >>> logits, mean = head(torch.randn(4, 2))
    >>> logits.shape, mean.shape
    (torch.Size([4, 3]), torch.Size([4, 1]))
    """

    def __init__(self, n_inputs: int, n_classes: list[int], hidden: int = 64) -> None:
        super().__init__()
        self.n_classes = n_classes
        widths = [max(n, 1) for n in n_classes]
        self.widths = widths
        self.network = nn.Sequential(
            nn.Linear(n_inputs, hidden), nn.SiLU(), nn.Linear(hidden, sum(widths))
        )
        self.raw_scale = nn.Parameter(torch.full((len(n_classes),), math.log(math.expm1(0.9))))

    def forward(self, features: Tensor) -> list[Tensor]:
        """Output for each target: logits (..., n_classes), or a mean (..., 1)."""
        return list(self.network(features).split(self.widths, dim=-1))

    def log_prob(self, features: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mean log-likelihood over the labelled rows, summed over the targets.

        Parameters
        ----------
        features : Tensor of shape (..., n, f)
            Latent features, with or without leading dimensions for draws.
        targets : Tensor of shape (n, t)
            Standardised values or class numbers. NaN means unknown and adds nothing.
        weights : Tensor of shape (n, t), optional
            Factors of the log-likelihoods, with mean 1 over the known labels of all data.

        Returns
        -------
        Tensor
            Scalar. Each target has the mean over the rows whose label of it is known, and over the
            draws. A target without any label adds 0, and no gradient.
        """
        terms = self.log_prob_terms(features, targets)
        if weights is not None:
            terms = weights * terms
        return mean_of_known(terms.sum(0), (~targets.isnan()).sum(0))

    def log_prob_terms(self, features: Tensor, targets: Tensor) -> Tensor:
        """Log-likelihood of each row and target, 0 where the label is unknown.

        For real-valued targets it lacks the constant ``-log(2 pi) / 2``.

        Parameters
        ----------
        features, targets : Tensor
            As in `log_prob`.

        Returns
        -------
        Tensor of shape (n, t)
            Means over the draws.
        """
        scale = 0.1 + F.softplus(self.raw_scale)
        columns = []
        for number, output in enumerate(self(features)):
            target = targets[:, number]
            # A mask, because indexing with it would wait for the GPU to count the known rows.
            known = ~target.isnan()
            target = torch.where(known, target, 0.0)
            if self.n_classes[number]:
                log_prob = F.log_softmax(output, dim=-1)
                index = target.long().expand(output.shape[:-1])[..., None]
                value = log_prob.gather(-1, index)[..., 0]
            else:
                error = (target - output[..., 0]) / scale[number]
                value = -0.5 * error.square() - scale[number].log()
            columns.append(torch.where(known, value, 0.0).reshape(-1, len(target)).mean(0))
        return torch.stack(columns, dim=-1)


def mean_of_known(sums: Tensor, counts: Tensor) -> Tensor:
    """Sum over the targets of each one's mean, from sums and numbers of known labels, (t,)."""
    # A count of weighted labels may lie between 0 and 1.
    return (sums / torch.where(counts > 0, counts, 1)).sum()
