"""The training loop: a skorch net whose epochs take no longer than those of a hand-written loop."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext, suppress
from typing import Any

import torch
from skorch.callbacks import EarlyStopping
from torch import Tensor

from skccvae.training.batches import Batch
from skccvae.training.callback_rows import callback_rows
from skccvae.training.callbacks import (
    EpochPrinter,
    KeepBest,
    ProgressBar,
    may_change_steps,
    raised_on_purpose,
)
from skccvae.training.exceptions import DivergenceError, StopTraining
from skccvae.training.gradient_step import GradientStep, renewed
from skccvae.training.module_net import LOSSES, ModuleNet
from skccvae.training.repeatable import repeatable
from skccvae.training.repeated import worth_recording
from skccvae.training.schedules import resume_schedules
from skccvae.training.validation import validation_record

# The scale of the stress is measured at the start of each of the first epochs. There are at least
# this many such epochs, and as many as it takes to make this many steps, but no more than half of
# the epochs of a training.
_SETTLING, _SETTLING_STEPS = 5, 200
# Callbacks that neither use batches nor read the history of batches.
_EPOCHS_ONLY = (KeepBest, ProgressBar, EpochPrinter, EarlyStopping)


class VAENet(ModuleNet):
    """skorch net that trains a `VAE` on `Batches` or `StreamBatches`.

    It keeps skorch's callbacks, history and parameters, with the following changes. One indexing
    call makes a batch. An epoch reads the losses from the device once, not at every step. The
    history has an entry for each batch, and hooks for batches are called, only if there are
    callbacks that may use them. Scoring callbacks do not get predictions from training, because
    there are none. They call the net themselves. A diverged epoch ends training and restores the
    last finite weights. Ctrl-C is not swallowed. Learning-rate schedules continue in the next
    training.

    Attributes
    ----------
    n_epochs_ : int
        Number of epochs that the last training completed.
    """

    # Whether the running training may repeat its steps from a recording.
    _records: bool = False
    # The step, if so, and if its operations are the same each time.
    _step: GradientStep | None = None

    # --- the loop -----------------------------------------------------------------------------

    def notify(self, method_name, **cb_kwargs):
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as interrupt:
            if not raised_on_purpose(interrupt):
                raise
            raise StopTraining from interrupt

    def set_training_callbacks(self, callbacks: list) -> VAENet:
        """Use these callbacks, in any form that skorch accepts, for the following epochs."""
        self.callbacks = callbacks
        self.initialize_callbacks()
        return self

    def train_epochs(self, train, valid, epochs: int, burn_in: float = 0.0) -> VAENet:
        """Run epochs over prepared batches.

        Parameters
        ----------
        train : Batches or StreamBatches
            Training batches.
        valid : Batches or None
            Validation batches.
        epochs : int
            Number of epochs.
        burn_in : float, default=0.0
            Epochs from the start of the history in which a learned curvature keeps its initial
            value.

        Raises
        ------
        DivergenceError
            If a loss or a weight is no longer finite. The net then gets back the weights of the
            previous epoch.
        """
        self.check_training_readiness()
        # Whether the weights and the history belong to the same epoch. A callback may load both
        # from files.
        self.whole_ = False
        self.n_epochs_ = 0
        per_batch = self._wants_batches()
        may_change = any(may_change_steps(callback) for _, callback in self.callbacks_)
        self._records = worth_recording(epochs * len(train)) and not may_change
        self.module_.round_weights(self.precision)
        self.curvature_burn_in_ = burn_in
        self.settled_after_ = self.settling_epochs(len(train), epochs)
        rows = {
            "dataset_train": callback_rows(train),
            "dataset_valid": None if valid is None else callback_rows(valid),
        }
        try:
            self.notify("on_train_begin", X=rows["dataset_train"], y=None)
            resume_schedules(self)
            self.whole_ = True
            for _ in range(epochs):
                self._run_epoch(train, valid, per_batch, rows)
        except StopTraining:
            pass
        except BaseException:
            for _, callback in self.callbacks_:
                if isinstance(callback, ProgressBar):
                    callback.close()  # else the error message would follow an unfinished bar
            raise
        finally:
            self.rest()
        self.whole_ = False  # while the best weights are restored
        with suppress(StopTraining):
            self.notify("on_train_end", X=rows["dataset_train"], y=None)
        self.whole_ = True
        return self

    def rest(self) -> None:
        """Reset everything that only training needs."""
        self.module_.generator = None
        self.module_.round_weights("float32")
        # A copy rebuilds its optimiser from the parameters that need a gradient.
        self.module_.latent.train_curvature(True)
        self.module_.eval()
        self._step = None

    def _wants_batches(self) -> bool:
        return any(
            not isinstance(callback, _EPOCHS_ONLY) or may_change_steps(callback)
            for _, callback in self.callbacks_
        )

    def _run_epoch(self, train, valid, per_batch: bool, rows: dict[str, Any]) -> None:
        start = time.perf_counter()
        epochs_before, best_before, done = len(self.history), self.best_, self.n_epochs_
        # Buffers as well: batch normalisation in a user's module keeps its statistics there.
        before = {name: t.detach().clone() for name, t in self._tensors()}
        self.whole_ = False
        try:
            self.notify("on_epoch_begin", **rows)
            epoch = len(self.history)
            # A curvature that changes before the networks have learned anything goes astray.
            self.module_.latent.train_curvature(epoch > self.curvature_burn_in_)
            with nullcontext() if train.stream is None else train.stream.drawing():
                record = self._passes(train, valid, epoch, per_batch)
            record["dur"] = time.perf_counter() - start
            self.note_epoch(record)
        except BaseException:
            # An interrupted or diverged epoch leaves partly trained weights. The history describes
            # the weights of the last complete epoch.
            self._restore(before)
            if len(self.history) > epochs_before:
                self.history.pop()
            self.best_, self.n_epochs_ = best_before, done
            self.whole_ = True
            raise
        self.whole_ = True
        self.notify("on_epoch_end", **rows)

    def note_epoch(self, record: dict[str, float]) -> None:
        """Write the history's entries for the epoch that has just ended."""
        for name, value in record.items():
            self.history.record(name, value)
        for name in LOSSES:
            if name in record:
                self.history.record(f"{name}_best", record[name] < self.best_[name])
                self.best_ = {**self.best_, name: min(record[name], self.best_[name])}
        self.n_epochs_ += 1

    def _passes(self, train, valid, epoch: int, per_batch: bool) -> dict[str, float]:
        """Train on all batches, validate, and return the history's entries for the epoch."""
        self.module_.generator = None if train.stream is None else train.stream.device
        try:
            means = self._train_pass(train, epoch - 1, per_batch)
            self._check_finite(means, epoch)
            validation = {} if valid is None else self._validate(valid, per_batch)
        except DivergenceError:
            raise
        except Exception:
            # A weight that is not finite, such as a curvature, may raise another error first.
            self._check_finite([], epoch)
            raise
        if not all(map(math.isfinite, validation.values())):
            raise DivergenceError(epoch, "the validation loss", self.lr)
        return {
            **self.epoch_record(means, epoch),
            **validation,
            **({"train_batch_count": len(train)} if per_batch else {}),
            **self.module_.latent.history(),
        }

    def epoch_record(self, means: list[float], epoch: int) -> dict[str, float]:
        """Entries of the history for the mean loss, reconstruction, KLs and stress of an epoch."""
        names = self.module_.latent.factor_names
        # The stress comes last, if it has a weight.
        stress = {"stress": means.pop()} if self.module_.distance_weight else {}
        return {
            "train_loss": means[0],
            "reconstruction": means[1],
            "kl": means[2],
            "elbo": means[1] - means[2],
            "beta": self.criterion_.weight(epoch),
            **{f"kl_{name}": kl for name, kl in zip(names, means[3:], strict=False)},
            **stress,
        }

    def _train_pass(self, train, epochs_done: int, per_batch: bool) -> list[float]:
        self.module_.train()
        self._step = self._repeatable_step() if self._records else None
        # Filled in place. Small tensors kept from each step would fragment the memory that large
        # batches free, and the process would grow by about one batch per step.
        table: Tensor | None = None
        sizes: list[int] = []
        n_batches = len(train)
        measure = self.measures_distances(epochs_done)
        for number, batch in enumerate(train):
            if number == 0 and measure:
                self.module_.measure_distance_scale(batch.x, batch.extra, batch.weights)
            # A stream may turn out longer than expected when the pass began.
            weight = self.criterion_.weight(epochs_done + min((number + 1) / n_batches, 1.0))
            if per_batch:
                self.module_.train()  # a callback may have asked for predictions
                self.notify("on_batch_begin", batch=batch[:2], training=True)
            step = self.train_step(batch, weight=weight, notify=per_batch)
            if table is None:
                table = step[0].new_empty(n_batches, len(step))
            elif number == len(table):
                table = torch.cat([table, torch.empty_like(table)])
            torch.stack(step, out=table[number])
            sizes.append(batch.x.shape[0])
            if per_batch:
                self.end_batch(batch, step[0], training=True)
        assert table is not None, "an epoch has at least one batch"
        values = table[: len(sizes)].double()
        rows = torch.tensor(sizes, dtype=torch.float64, device=values.device)
        return ((rows[:, None] * values).sum(0) / rows.sum()).tolist()

    def measures_distances(self, epochs_done: int) -> bool:
        """Whether the next epoch starts by measuring the price of a unit of stress."""
        return self.module_.distance_weight > 0 and (
            # The weight may be set after the first epoch.
            epochs_done < self.settled_after_ or float(self.module_.distance_scale) == 0
        )

    def end_batch(self, batch, loss: Tensor, training: bool) -> None:
        """Record the loss of a batch, and call the hooks of the callbacks."""
        prefix = "train" if training else "valid"
        self.history.record_batch(f"{prefix}_loss", loss.item())
        self.history.record_batch(f"{prefix}_batch_size", batch.x.shape[0])
        self.notify("on_batch_end", batch=batch[:2], training=training, loss=loss, y_pred=None)

    def _repeatable_step(self) -> GradientStep | None:
        """The step for the next pass, or None if its operations may differ from batch to batch."""
        key = repeatable(self.module_, self.criterion_)
        if key is None:
            return None
        weights = [p for p in self.module_.parameters() if p.requires_grad]
        rounded = self.module_.rounded
        if rounded is not None:
            weights = [rounded.copy_of(weight) for weight in weights]
        return renewed(self._step, self._losses, weights, key)

    def _losses(self, *inputs) -> tuple[Tensor, ...]:
        *fields, weight = inputs
        return self.criterion_(self.module_, Batch(*fields), weight)

    def train_step(self, batch, *, weight: float = 1.0, notify: bool = False, **fit_params):
        """Make one step of the optimiser; return detached loss, reconstruction and KL."""
        rounded = self.module_.rounded
        if rounded is not None:
            rounded.refresh()
        # The optimiser's own method takes as long as some layers do.
        for group in self.optimizer_.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
        if self._step is None:
            loss, *parts = self.criterion_(self.module_, batch, weight)
            loss.backward()
            losses = [loss.detach(), *parts]
        else:
            losses = self._step(*batch, weight)
        if rounded is not None:
            rounded.collect_gradients()
        if notify:
            named = self.module_.named_parameters()
            self.notify(
                "on_grad_computed", named_parameters=list(named), batch=batch[:2], training=True
            )
        if self.weight_decay:
            self._decay_weights()
        self.optimizer_.step()
        return losses

    @torch.no_grad()
    def _decay_weights(self) -> None:
        """Shrink the matrices of this step, as AdamW does before it moves them."""
        # Biases, scales and a curvature do not decay, because their size is not a fault in itself.
        # A schedule changes the rates of the groups; `lr` is only their initial value.
        for group in self.optimizer_.param_groups:
            matrices = [p for p in group["params"] if p.dim() > 1 and p.grad is not None]
            if matrices:
                torch._foreach_mul_(matrices, 1 - group["lr"] * self.weight_decay)

    def _validate(self, valid, per_batch: bool = False) -> dict[str, float]:
        return validation_record(self, valid, per_batch)

    def settling_epochs(self, n_batches: int, epochs: int) -> int:
        """Number of initial epochs whose losses are not comparable with later ones.

        The KL may still be warming up. The scale of the stress follows the model, which must have
        learned something before the scale can be fixed.

        Parameters
        ----------
        n_batches : int
            Steps in an epoch.
        epochs : int
            Epochs of the training that is about to begin; 1 for each call of `partial_fit`.
        """
        if not self.module_.distance_weight:
            return self.criterion_.warmup_epochs
        settling = math.ceil(_SETTLING_STEPS / n_batches)
        if epochs > 1:
            settling = min(settling, (len(self.history) + epochs) // 2)
        return max(self.criterion_.warmup_epochs, _SETTLING, settling)

    def _check_finite(self, means: list[float], epoch: int) -> None:
        floating = [t.detach() for _, t in self._tensors() if t.is_floating_point()]
        total = sum(t.double().abs().sum() for t in floating)
        finite = bool(torch.isfinite(torch.as_tensor(total)))
        if finite and all(abs(value) < float("inf") for value in means):
            return
        what = "a weight" if all(v == v and abs(v) < float("inf") for v in means) else "the loss"
        raise DivergenceError(epoch, what, self.lr)

    def _tensors(self):
        yield from self.module_.named_parameters()
        yield from self.module_.named_buffers()

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in self._tensors():
                tensor.copy_(tensors[name])
        # The optimiser's averages contain the gradients of the abandoned epoch, perhaps infinite
        # ones. The new optimiser gets all parameters that need a gradient, including a curvature
        # in burn-in.
        self.module_.latent.train_curvature(True)
        self.initialize_optimizer()
