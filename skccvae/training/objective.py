"""The loss of a training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skccvae.training.batches import Batch


class NegativeELBO(nn.Module):
    """Loss of a batch: ``beta`` times the KL minus the reconstruction, in nats per row.

    Parameters
    ----------
    beta : float, default=1.0
        Weight of the KL after the warm-up.
    warmup_epochs : int, default=0
        Number of epochs over which the weight grows linearly from 0.
    objective : {"elbo", "iwae"}, default="elbo"
        The bound to maximise. The importance-weighted bound contains the KL, so warm-up and
        ``beta`` do not apply to it.
    n_latent_samples : int, default=1
        Draws per row.
    free_bits : float, default=0.0
        Nats per latent dimension. For each factor of the space, the mean KL of a batch is not
        penalised below this. A factor counts as a whole: a posterior on a sphere has only one KL.

    References
    ----------
    Kingma et al., "Improving variational inference with inverse autoregressive flow", NeurIPS 2016,
    eq. 15. Here the groups of latent variables are the factors of the space.
    """

    def __init__(
        self,
        beta: float = 1.0,
        warmup_epochs: int = 0,
        objective: str = "elbo",
        n_latent_samples: int = 1,
        free_bits: float = 0.0,
    ) -> None:
        super().__init__()
        self.beta = beta
        self.warmup_epochs = warmup_epochs
        self.objective = objective
        self.n_latent_samples = n_latent_samples
        self.free_bits = free_bits

    def penalty(self, kl: Tensor, factor_kl: Sequence[Tensor], dims: Sequence[int]) -> Tensor:
        """Mean KL in the objective: at least ``free_bits * dim`` for each factor."""
        if self.free_bits == 0:
            return kl
        parts = zip(factor_kl or (kl,), dims, strict=True)
        return torch.stack([part.clamp(min=self.free_bits * dim) for part, dim in parts]).sum()

    def weight(self, epoch: float) -> float:
        """Weight of the KL after ``epoch`` epochs of training, which may be a fraction."""
        if self.warmup_epochs == 0:
            return self.beta
        return self.beta * min(1.0, epoch / self.warmup_epochs)

    def forward(self, module: Any, batch: Batch, weight: float | Tensor) -> tuple[Tensor, ...]:
        """Loss, mean reconstruction and KL of a batch, the KL of each factor, and any stress."""
        terms_of = module.iwae_terms if self.objective == "iwae" else module.elbo_terms
        terms = terms_of(
            batch.x,
            self.n_latent_samples,
            batch.targets,
            extra=batch.extra,
            weights=batch.weights,
            target_weights=batch.target_weights,
        )
        if self.objective == "iwae":
            loss = -terms.bound
        else:
            kl = self.penalty(terms.kl, terms.factor_kl, module.latent.kl_dims)
            # A tensor's value is not read.
            whole = isinstance(weight, float) and weight == 1.0
            loss = (kl if whole else weight * kl) - terms.reconstruction
        if terms.supervised is not None:
            loss = loss - terms.supervised
        parts: tuple[Tensor, ...] = (terms.reconstruction, terms.kl, *terms.factor_kl)
        if terms.stress is not None:
            loss = loss + module.distance_weight * module.distance_scale * terms.stress
            parts = (*parts, terms.stress)
        return loss, *(part.detach() for part in parts)
