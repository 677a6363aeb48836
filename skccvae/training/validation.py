"""The losses of the validation rows after an epoch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skccvae.nn.supervision import mean_of_known
from skccvae.training.objective import NegativeELBO
from skccvae.vae import VAE

__all__ = ["validation_record"]


@torch.no_grad()
def validation_record(net: Any, valid: Any, per_batch: bool = False) -> dict[str, float]:
    """Entries of the history for the validation rows.

    The noise is the same each time, so that epochs are comparable.

    Parameters
    ----------
    net : VAENet
        The net after an epoch.
    valid : Batches
        Validation batches.
    per_batch : bool, default=False
        Whether to record each batch and to call the hooks of the callbacks.
    """
    module, criterion = net.module_, net.criterion_
    totals = torch.zeros(3 + len(module.latent.factor_names), dtype=torch.float64)
    # One row for the sums of log p(y | z), one for the numbers of labels. A column per target.
    labels: Tensor | None = None
    stress = total = 0.0
    for batch in valid:
        if per_batch:
            net.notify("on_batch_begin", batch=batch[:2], training=False)
        module.eval()
        x = module.draw_pixels(batch.x, seed=0) if valid.binarize else batch.x
        evidence = module.evidence(
            x, criterion.n_latent_samples, seed=0, extra=batch.extra, targets=batch.targets
        )
        values = (*evidence[:3], *evidence.factor_kl)
        size, weights = float(batch.x.shape[0]), batch.weights
        if weights is None:
            sums = [value.sum() for value in values]
        else:
            size, weights = float(weights.double().sum()), weights.double()
            sums = [weights @ value for value in values]
        total += size
        totals += torch.stack(sums).double().cpu()
        found: Tensor | None = None
        if evidence.supervised is not None:
            parts = [evidence.supervised, (~batch.targets.isnan()).double()]
            if batch.target_weights is not None:
                parts = [batch.target_weights.double() * part for part in parts]
            found = torch.stack([part.sum(0) for part in parts]).cpu()
            labels = found if labels is None else labels + found
        if per_batch:
            means = torch.stack(sums).double().cpu() / size
            net.end_batch(batch, _loss(module, criterion, means, found), training=False)
        if module.distance_weight:
            stress += float(module.stress(x, batch.extra, batch.weights)) * size
    means = totals / total
    stress /= total
    stress_loss = module.distance_weight * float(module.distance_scale) * stress
    reconstruction, kl = means[:2].tolist()
    return {
        "valid_loss": float(_loss(module, criterion, means, labels)) + stress_loss,
        "valid_reconstruction": reconstruction,
        "valid_kl": kl,
        "valid_elbo": reconstruction - kl,
        **({"valid_stress": stress} if module.distance_weight else {}),
        **({"valid_batch_count": len(valid)} if per_batch else {}),
    }


def _loss(module: VAE, criterion: NegativeELBO, means: Tensor, labels: Tensor | None) -> Tensor:
    """Loss from the means (reconstruction, KL, bound, KL of each factor) and from labels."""
    if criterion.objective == "iwae":
        loss = -means[2]
    else:
        penalty = criterion.penalty(means[1], means[3:].unbind(), module.latent.kl_dims)
        loss = criterion.beta * penalty - means[0]
    if labels is not None:
        loss = loss - module.supervised_weight * mean_of_known(*labels)
    return loss
