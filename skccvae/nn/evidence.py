"""What a model says about its rows: parts of the evidence, their means, and pieces joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Evidence(NamedTuple):
    """What a model says about each row, in nats.

    Attributes
    ----------
    reconstruction : Tensor of shape (n,)
        Mean over the draws of log p(x | z).
    kl : Tensor of shape (n,)
        KL(q(z | x) || p(z)), exact or the mean of its one-draw estimates.
    log_likelihood : Tensor of shape (n,)
        Importance-weighted bound ``log mean p(x, z) / q(z | x)``.
    factor_kl : tuple of Tensor of shape (n,)
        The KL of each factor of a product space.
    supervised : Tensor of shape (n, t), or None
        Mean over the draws of log p(y | z) for each target, 0 where y is unknown, if there are
        targets.
    """

    reconstruction: Tensor
    kl: Tensor
    log_likelihood: Tensor
    factor_kl: tuple[Tensor, ...] = ()
    supervised: Tensor | None = None


class Terms(NamedTuple):
    """Batch means of a training step, scalars in nats.

    Attributes
    ----------
    reconstruction, kl : Tensor
        The two parts of the ELBO.
    supervised : Tensor or None
        Weighted log-likelihood of the targets, a mean over the labelled rows, if there are targets.
    bound : Tensor or None
        Importance-weighted bound, if that is the objective.
    factor_kl : tuple of Tensor
        The KL of each factor of a product space.
    stress : Tensor or None
        Stress between geodesic distances of the locations and distances of the rows, between 0 and
        1, if it has a weight.
    """

    reconstruction: Tensor
    kl: Tensor
    supervised: Tensor | None = None
    bound: Tensor | None = None
    factor_kl: tuple[Tensor, ...] = ()
    stress: Tensor | None = None


def combined(pieces: list[Evidence], counts: list[int]) -> Evidence:
    """Evidence of all draws from that of pieces of them."""
    if len(pieces) == 1:
        return pieces[0]
    weights = torch.tensor(counts, dtype=torch.float64, device=pieces[0].kl.device) / sum(counts)

    def mean(values: Sequence[Tensor]) -> Tensor:
        return torch.stack(tuple(values), dim=-1) @ weights

    bounds = torch.stack([piece.log_likelihood for piece in pieces], dim=-1) + weights.log()
    factors = zip(*(piece.factor_kl for piece in pieces), strict=True)
    labels = [piece.supervised for piece in pieces if piece.supervised is not None]
    return Evidence(
        mean([piece.reconstruction for piece in pieces]),
        mean([piece.kl for piece in pieces]),
        torch.logsumexp(bounds, dim=-1),
        tuple(mean(factor) for factor in factors),
        mean(labels) if labels else None,
    )


def over_draws(values: Tensor) -> Tensor:
    """Mean over the leading axis of draws, if there is one."""
    return values.mean(0) if values.dim() > 1 else values


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean over rows, the last axis, and draws."""
    return values.mean() if weights is None else (weights * values).mean()


def mean_over_rows(factor_kl: Tensor | None, weights: Tensor | None) -> tuple[Tensor, ...]:
    """Mean KL of each factor over rows and draws."""
    if factor_kl is None:
        return ()
    if weights is not None:
        factor_kl = weights[:, None] * factor_kl
    return factor_kl.reshape(-1, factor_kl.shape[-1]).mean(0).unbind()
