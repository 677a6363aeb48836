"""The training loop of several models at once.

Each model keeps its own rows, random numbers, learning rate, weight of the KL and number of epochs.
Up to rounding, it ends with the same weights as if it had been trained alone.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skccvae.nn import STRESS_ROWS
from skccvae.nn.stacking import stacked_tensors
from skccvae.training.batches import Batches
from skccvae.training.exceptions import DivergenceError
from skccvae.training.gradient_step import GradientStep, renewed
from skccvae.training.net import VAENet
from skccvae.training.repeatable import repeatable
from skccvae.training.repeated import worth_recording
from skccvae.training.stacked_optimizer import StackedOptimizer
from skccvae.training.stacked_rows import StackedBatch, StackedRows
from skccvae.training.stacked_vae import StackedTerms, StackedVAE, latent_key

__all__ = ["Member", "Pack", "Training"]


class Training(NamedTuple):
    """A net and the arguments of its `VAENet.train_epochs`.

    Attributes
    ----------
    net : VAENet
    train, valid : Batches or None
    epochs : int
    burn_in : float
    """

    net: VAENet
    train: Batches
    valid: Batches | None
    epochs: int
    burn_in: float

    def run(self) -> None:
        """Train the model alone."""
        self.net.train_epochs(self.train, self.valid, self.epochs, self.burn_in)


class Member:
    """One of the trainings of a pack."""

    def __init__(self, number: int, training: Training) -> None:
        self.number = number  # in the order of the caller
        self.training = training
        self.net = training.net
        self.module: Any = training.net.module_
        self.n_batches = len(training.train)
        self.error: BaseException | None = None

    @property
    def generator(self) -> torch.Generator | None:
        stream = self.training.train.stream
        return None if stream is None else stream.device

    def order(self) -> tuple:
        """Sort key. Neighbours share a latent step and, if possible, one call of the optimiser."""
        return (
            repr(latent_key(self.module.latent)),
            self.net.lr,
            self.net.weight_decay,
            self.n_batches,
        )


class Pack:
    """Several stacked models with one optimiser.

    Parameters
    ----------
    members : list of Member
        Members with the same `pack_key`, in the order of `Member.order`.
    """

    def __init__(self, members: list[Member]) -> None:
        self.members = list(members)
        first = members[0].net
        self.criterion = first.criterion_
        self.iwae = self.criterion.objective == "iwae"
        self.stack = StackedVAE([member.module for member in members])
        self.stack.train()
        self.rows = StackedRows([member.training.train for member in members])
        self.optimizer = StackedOptimizer(
            [member.net for member in members],
            [member.n_batches for member in members],
            list(stacked_tensors(self.stack)),
        )
        self.distances = members[0].module.distance_weight > 0
        self._step: GradientStep | None = None
        steps = [member.n_batches * member.training.epochs for member in members]
        self._long = worth_recording(max(steps))

    def dissolve(self) -> None:
        """Give each net its own copy of its weights and of their optimiser state."""
        self._step = None  # it holds this pack
        self.optimizer.give_back()
        for member in self.members:
            if member.error is not None:
                # The averages contain the gradients of the abandoned epoch.
                member.net.initialize_optimizer()

    # --- an epoch -------------------------------------------------------------------------------

    def run_epoch(self, epoch: int) -> None:
        """Train all members for an epoch, and record the results in their histories.

        A model that diverges gets back its previous weights, and the divergence is its ``error``.
        """
        start = time.perf_counter()
        before = []
        for member in self.members:
            before.append({n: t.detach().clone() for n, t in member.net._tensors()})
            member.net.whole_ = False
            member.net.on_epoch_begin(member.net)
            member.module.latent.train_curvature(epoch > member.net.curvature_burn_in_)
        try:
            means = self._pass(epoch - 1)
        except BaseException:
            for member, tensors in zip(self.members, before, strict=True):
                self._undo(member, tensors)
            raise
        seconds = (time.perf_counter() - start) / len(self.members)
        finite = self._finite()
        for member, values, tensors in zip(self.members, means, before, strict=True):
            try:
                if not finite or not all(abs(v) < float("inf") for v in values):
                    member.net._check_finite(values, epoch)
            except DivergenceError as error:
                self._undo(member, tensors)
                member.error = error
                continue
            record = member.net.epoch_record(values, epoch)
            member.net.note_epoch({**record, **member.module.latent.history(), "dur": seconds})
            member.net.whole_ = True

    @staticmethod
    @torch.no_grad()
    def _undo(member: Member, tensors: dict[str, Tensor]) -> None:
        for name, tensor in member.net._tensors():
            tensor.copy_(tensors[name])
        # The new optimiser gets all parameters that need a gradient, even a curvature in burn-in.
        member.module.latent.train_curvature(True)
        member.net.history.pop()
        member.net.whole_ = True

    @torch.no_grad()
    def _finite(self) -> bool:
        own = [p for parameters in self.optimizer.own for p in parameters]
        stacks = [held.stack for held in self.optimizer.held]
        total = sum(t.detach().abs().sum() for t in [*stacks, *own])
        return bool(torch.isfinite(torch.as_tensor(total)))

    def _pass(self, epochs_done: int) -> list[list[float]]:
        """Train on all batches. Return the input of `VAENet.epoch_record` for each model."""
        totals: Tensor | None = None
        factors: list[Any] = [0.0] * len(self.members)
        stress = torch.zeros(len(self.members), dtype=torch.float64)
        rows = torch.zeros(len(self.members), dtype=torch.float64)
        self._prepare_step()
        for number, batch in enumerate(self.rows):
            if number == 0:
                self._measure(batch, epochs_done)
            terms, factor_kl, stresses = self._make_step(batch, number, epochs_done)
            sizes = torch.tensor(batch.sizes, dtype=torch.float64)
            rows += sizes
            parts = torch.stack(terms, dim=-1).double()
            # A model without a batch has no loss, and its means have no meaning. Its size is 0.
            parts = sizes.to(parts.device)[:, None] * parts
            totals = parts if totals is None else totals + parts
            for i, kl in enumerate(factor_kl):
                if len(kl):
                    factors[i] = factors[i] + batch.sizes[i] * kl.double()
            for i, value in enumerate(stresses):
                stress[i] += batch.sizes[i] * float(value)
        assert totals is not None, "an epoch has at least one batch"
        result = (totals.cpu() / rows[:, None]).tolist()
        for i in range(len(self.members)):
            if isinstance(factors[i], Tensor):
                result[i] += (factors[i].cpu() / rows[i]).tolist()
            if self.distances:
                result[i].append(float(stress[i] / rows[i]))
        return result

    def _measure(self, batch: StackedBatch, epochs_done: int) -> None:
        for i, member in enumerate(self.members):
            if member.net.measures_distances(epochs_done):
                x, weights = batch.of(i)
                member.module.measure_distance_scale(x, None, weights)

    def _prepare_step(self) -> None:
        leaves = self.optimizer.leaves()
        key: tuple | None = None
        # The stress reads the weights of each model's own rows, a list.
        if self._long and not self.distances:
            keys = [repeatable(member.module, member.net.criterion_) for member in self.members]
            key = None if None in keys else (*keys, *map(id, leaves))
        self._step = renewed(self._step, self._losses, leaves, key)

    def _make_step(
        self, batch: StackedBatch, number: int, epochs_done: int
    ) -> tuple[list[Tensor], ...]:
        """Make a step.

        Return the loss, reconstruction and KL, the KL of the factors of each model, and the stress
        of each model, if it has a weight.
        """
        assert self._step is not None
        weights = [
            m.net.criterion_.weight(epochs_done + (number + 1) / m.n_batches) for m in self.members
        ]
        of_kl = None
        if not self.iwae and any(weight != 1.0 for weight in weights):
            of_kl = torch.tensor(weights, dtype=batch.x.dtype).to(batch.x.device)
        losses = self._step(
            batch.x,
            batch.weights,
            batch.targets,
            batch.target_weights,
            batch.row_weights if self.distances else None,
            of_kl,
            tuple(batch.sizes),
        )
        self.optimizer.step(number)
        stop = 3 + len(self.members)
        return losses[:3], losses[3:stop], losses[stop:]

    def _losses(
        self,
        x: Tensor,
        weights: Tensor | None,
        targets: Tensor | None,
        target_weights: Tensor | None,
        row_weights: list[Tensor | None] | None,
        of_kl: Tensor | None,
        sizes: tuple[int, ...],
    ) -> list[Tensor]:
        """As `_make_step` returns them, with a graph."""
        batch = StackedBatch(x, list(sizes), weights, targets, target_weights, row_weights)
        loss, terms = self._loss(batch, of_kl)
        stresses = self._stresses(batch, terms.params) if self.distances else []
        if stresses:
            scales = [m.module.distance_weight * m.module.distance_scale for m in self.members]
            loss = loss + torch.stack(scales) * torch.stack(stresses)
        return [loss, terms.reconstruction, terms.kl, *terms.factor_kl, *stresses]

    def _loss(self, batch: StackedBatch, of_kl: Tensor | None) -> tuple[Tensor, StackedTerms]:
        """Losses of the models without stress, and their terms.

        ``of_kl`` are the weights of the KL of each model, or None if all are 1.
        """
        noise = self._noise(batch)
        terms = self.stack(
            batch.x, noise, batch.weights, batch.targets, batch.target_weights, self.iwae
        )
        if self.iwae:
            loss = -terms.bound
        else:
            kl = self._penalty(terms)
            loss = (kl if of_kl is None else of_kl * kl) - terms.reconstruction
        if terms.supervised is not None:
            shares = [member.module.supervised_weight for member in self.members]
            loss = loss - loss.new_tensor(shares) * terms.supervised
        return loss, terms

    def _stresses(self, batch: StackedBatch, params: Tensor) -> list[Tensor]:
        """The stress of each model, 0 for a model without a batch."""
        found = []
        for i, member in enumerate(self.members):
            value: Tensor | None = None
            if batch.sizes[i]:
                x, weights = batch.of(i)
                own = params[i, : len(x), : member.module.latent.n_params]
                value = member.module._stress(own, x, weights, STRESS_ROWS)
            found.append(params.new_zeros(()) if value is None else value)
        return found

    def _penalty(self, terms: Any) -> Tensor:
        """KL of each model in its objective."""
        criteria = [member.net.criterion_ for member in self.members]
        if not any(criterion.free_bits for criterion in criteria):
            return terms.kl
        parts = zip(criteria, terms.kl, terms.factor_kl, self.members, strict=True)
        return torch.stack(
            [c.penalty(kl, each.unbind(), m.module.latent.kl_dims) for c, kl, each, m in parts]
        )

    def _noise(self, batch: StackedBatch) -> list[Tensor]:
        """Standard normal numbers, from the generator of each model."""
        draws = self.criterion.n_latent_samples
        lead = (draws,) if self.iwae or draws > 1 else ()
        noise = self.stack.noise(batch.x, lead)
        for group, eps in zip(self.stack.groups, noise, strict=True):
            for own, i in zip(eps, group, strict=True):
                n, generator = batch.sizes[i], self.members[i].generator
                if n == own.shape[-2]:
                    own.normal_(generator=generator)
                elif n:
                    shape = (*lead, n, own.shape[-1])
                    own[..., :n, :] = own.new_empty(shape).normal_(generator=generator)
        return noise
