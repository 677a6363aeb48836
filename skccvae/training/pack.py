"""The training loop of several models at once.

Each model keeps its own rows, random numbers, learning rate, weight of the KL and number of epochs,
so it ends with the weights of its own training, up to rounding.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skccvae.nn import STRESS_ROWS
from skccvae.nn.stacking import Held, stacked_tensors
from skccvae.training.batches import Batches
from skccvae.training.exceptions import DivergenceError
from skccvae.training.net import VAENet
from skccvae.training.optimizer_state import AVERAGES
from skccvae.training.stacked_rows import StackedBatch, StackedRows
from skccvae.training.stacked_vae import StackedVAE, latent_key, structure
from skccvae.vae import VAE

__all__ = ["Training", "pack_key", "pack_limit", "train_pack"]


# Bounds of a pack: weights times rows in a batch of one model; weights and bytes of rows of all.
_MOST_WORK, _MOST_WEIGHTS, _MOST_ROW_BYTES, _MOST_MODELS = 2**24, 2**21, 2**30, 64


class Training(NamedTuple):
    """The arguments of `VAENet.train_epochs`, and the net.

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


def pack_key(training: Training) -> tuple | None:
    """What trainings must have in common to run at once, or None for one that runs alone.

    Those run alone that have callbacks (a progress bar is one) or validation rows, draw from
    torch's global generators (modules of the user's do), read more than rows, or have weights from
    an earlier training.
    """
    net, train = training.net, training.train
    stream = train.stream
    alone = (
        type(net) is not VAENet
        or training.valid is not None
        or bool(net.callbacks_)
        or stream is None
        or stream.lends
        or train.source._extra is not None
        or bool(net.optimizer_.state)
        or bool(net.history)
        or not _is_perceptron(net.module_)
    )
    if alone:
        return None
    criterion = net.criterion_
    return (
        structure(net.module_),
        train.batch_size,
        train.binarize,
        criterion.objective,
        criterion.n_latent_samples,
        str(net.device),
        train.source.weights is None,
        train.source.targets is None,
    )


def _is_perceptron(module: VAE) -> bool:
    """Whether the networks are made of dense layers, which are what pays to stack."""
    parts = [*module.encoder.modules(), *module.decoder.modules()]
    owners = [part for part in parts if next(part.parameters(recurse=False), None) is not None]
    return all(isinstance(part, nn.Linear) for part in owners)


def pack_limit(training: Training) -> int:
    """How many trainings of a kind pay as a pack; 1 if they do not pay.

    A pack saves calls of operations, and no arithmetic. Its weights and what the optimizer
    remembers of them should stay in the cache of a core, and its rows in memory.
    """
    net, source = training.net, training.train.source
    n_weights = sum(parameter.numel() for parameter in net.module_.parameters())
    if n_weights * training.train.batch_size > _MOST_WORK:
        return 1
    n_bytes = max(source.X.shape[0] * source.X.shape[1] * 4, 1)
    return max(1, min(_MOST_WEIGHTS // n_weights, _MOST_ROW_BYTES // n_bytes, _MOST_MODELS))


class _Member:
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
        """Neighbours share a latent step, and if they can, one call of the optimizer."""
        return (
            repr(latent_key(self.module.latent)),
            self.net.lr,
            self.net.weight_decay,
            self.n_batches,
        )


def train_pack(trainings: Sequence[Training]) -> list[BaseException | None]:
    """Train models of one `pack_key` together.

    Parameters
    ----------
    trainings : sequence of Training
        At least two.

    Returns
    -------
    list
        For each training the `DivergenceError` that ended it, or None. The other models go on.
    """
    members = [_Member(number, training) for number, training in enumerate(trainings)]
    members.sort(key=_Member.order)
    start = [copy.deepcopy(member.module.state_dict()) for member in members]
    states = [
        (member, stream.cpu, stream.device)
        for member in members
        if (stream := member.training.train.stream) is not None
    ]
    generators = {id(g): (g, g.get_state()) for _, *pair in states for g in pair if g is not None}
    for member in members:
        member.net.check_training_readiness()
        member.net.n_epochs_ = 0
        member.net.curvature_burn_in_ = member.training.burn_in
        member.net.settled_after_ = member.net.settling_epochs(
            member.n_batches, member.training.epochs
        )
    try:
        _run(members)
    except Exception:
        # A number that is not finite can stop the step of all. Alone, each model says what is
        # wrong with it.
        for generator, state in generators.values():
            generator.set_state(state)
        for member, weights in zip(members, start, strict=True):
            member.net.history = []
            member.module.load_state_dict(weights)
            member.net.initialize_optimizer()
            member.error = None
            try:
                member.training.run()
            except Exception as error:
                member.error = error
    found = {member.number: member.error for member in members}
    return [found[number] for number in range(len(members))]


def _run(members: list[_Member]) -> None:
    epoch, pack = 0, None
    try:
        while True:
            epoch += 1
            left = [m for m in members if m.error is None and m.training.epochs >= epoch]
            if pack is None or left != pack.members:
                if pack is not None:
                    pack.dissolve()
                    pack = None
                if not left:
                    return
                pack = _Pack(left)
            pack.run_epoch(epoch)
    finally:
        if pack is not None:
            pack.dissolve()
        for member in members:
            member.net.rest()
            member.net.whole_ = True


class _Part(NamedTuple):
    """What some members have of a stacked parameter.

    Attributes
    ----------
    parameter : Parameter
        The part, whose first axis is that of the members.
    held : Held
        What it is a part of.
    where : slice
        Its place there.
    owners, nets : list
        The parameters that it holds, and their nets.
    """

    parameter: nn.Parameter
    held: Held
    where: slice
    owners: list[nn.Parameter]
    nets: list[VAENet]


def _own(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format)


class _Pack:
    """Some models, stacked, with one optimizer."""

    def __init__(self, members: list[_Member]) -> None:
        self.members = list(members)
        first = members[0].net
        self.criterion = first.criterion_
        self.iwae = self.criterion.objective == "iwae"
        self.stack = StackedVAE([member.module for member in members])
        self.stack.train()
        self.rows = StackedRows([member.training.train for member in members])
        self.held = list(stacked_tensors(self.stack))
        held = {id(owner) for each in self.held for owner in each.owners}
        #: Parameters that are not stacked: those of latent spaces.
        self.own = [[p for p in m.module.parameters() if id(p) not in held] for m in members]
        self._make_optimizer()

    def _make_optimizer(self) -> None:
        """One optimizer for all, in which neighbours of one rate and length share tensors."""
        settings = [(m.net.lr, m.net.weight_decay, m.n_batches) for m in self.members]
        groups = []
        #: Of each group of the optimizer, its parts of stacked parameters, and its batches.
        self.runs: list[tuple[list[_Part], int]] = []
        for setting, run in groupby(range(len(settings)), key=settings.__getitem__):
            numbers = list(run)
            parts = list(self._parts(numbers[0], numbers[-1] + 1))
            self.runs.append((parts, setting[2]))
            own = [p for number in numbers for p in self.own[number]]
            stacks = [part.parameter for part in parts]
            groups.append({"params": [*stacks, *own], "lr": setting[0], "decay": setting[1]})
        self.optimizer = torch.optim.Adam(groups, fused=True)
        for parts, _ in self.runs:
            for part in parts:
                self._read_state(part)
        for member, own in zip(self.members, self.own, strict=True):
            for parameter in own:
                known = member.net.optimizer_.state.get(parameter)
                if known:
                    self.optimizer.state[parameter] = dict(known)

    def _parts(self, start: int, stop: int) -> Iterator[_Part]:
        """What the members from ``start`` to ``stop`` have of the stacked parameters."""
        places = {id(p): n for n, m in enumerate(self.members) for p in m.module.parameters()}
        for each in self.held:
            stack, owners, _ = each
            first = places[id(owners[0])]  # hyperplanes are stacked in groups
            low, high = max(start, first), min(stop, first + len(owners))
            if low >= high:
                continue
            where = slice(low - first, high - first)
            whole = high - low == len(owners)
            part = stack if whole else nn.Parameter(stack.data[where])
            nets = [member.net for member in self.members[low:high]]
            yield _Part(part, each, where, owners[where], nets)

    def _read_state(self, part: _Part) -> None:
        """What the optimizers of the nets remember of some parameters, stacked."""
        owned = list(zip(part.nets, part.owners, strict=True))
        known = [net.optimizer_.state.get(owner) for net, owner in owned]
        if not any(known):
            return
        state = {name: torch.zeros_like(part.parameter.data) for name in AVERAGES[1:]}
        for number, (entry, owner) in enumerate(zip(known, part.owners, strict=True)):
            for name, value in state.items():
                part.held.part(value, number, owner).copy_(entry[name])
        self.optimizer.state[part.parameter] = {"step": known[0]["step"].clone(), **state}

    def dissolve(self) -> None:
        """Give each net its weights, and what its optimizer remembers of them, as its own."""
        for parts, _ in self.runs:
            for part in parts:
                state = self.optimizer.state.get(part.parameter)
                for number, (net, owner) in enumerate(zip(part.nets, part.owners, strict=True)):
                    owner.data = _own(owner.data)
                    owner.grad = None
                    if state:
                        net.optimizer_.state[owner] = {"step": state["step"].clone()} | {
                            name: _own(part.held.part(state[name], number, owner))
                            for name in AVERAGES[1:]
                        }
        for member, own in zip(self.members, self.own, strict=True):
            for parameter in own:
                if self.optimizer.state.get(parameter):
                    member.net.optimizer_.state[parameter] = self.optimizer.state[parameter]
            if member.error is not None:
                # The averages hold the gradients of the abandoned epoch.
                member.net.initialize_optimizer()

    # --- an epoch -------------------------------------------------------------------------------

    def run_epoch(self, epoch: int) -> None:
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
    def _undo(member: _Member, tensors: dict[str, Tensor]) -> None:
        for name, tensor in member.net._tensors():
            tensor.copy_(tensors[name])
        # The new optimizer takes all parameters that need a gradient, a curvature in burn-in too.
        member.module.latent.train_curvature(True)
        member.net.history.pop()
        member.net.whole_ = True

    @torch.no_grad()
    def _finite(self) -> bool:
        own = [p for parameters in self.own for p in parameters]
        total = sum(t.detach().abs().sum() for t in [*(held.stack for held in self.held), *own])
        return bool(torch.isfinite(torch.as_tensor(total)))

    def _pass(self, epochs_done: int) -> list[list[float]]:
        """Train on all batches; returns what `VAENet.epoch_record` takes, for each model."""
        totals: Tensor | None = None
        factors: list[Any] = [0.0] * len(self.members)
        stress = torch.zeros(len(self.members), dtype=torch.float64)
        rows = torch.zeros(len(self.members), dtype=torch.float64)
        for number, batch in enumerate(self.rows):
            if number == 0:
                self._measure(batch, epochs_done)
            loss, terms, found = self._loss(batch, number, epochs_done)
            self._optimize(loss, number)
            sizes = torch.tensor(batch.sizes, dtype=torch.float64)
            rows += sizes
            parts = torch.stack([loss, terms.reconstruction, terms.kl], dim=-1).detach().double()
            # A model without a batch has no loss, and means of nothing.
            parts = sizes.to(parts.device)[:, None] * parts
            totals = parts if totals is None else totals + parts
            for i, kl in enumerate(terms.factor_kl):
                if len(kl):
                    factors[i] = factors[i] + batch.sizes[i] * kl.detach().double()
            for i, value in found.items():
                stress[i] += batch.sizes[i] * float(value.detach())
        assert totals is not None, "an epoch has at least one batch"
        result = (totals.cpu() / rows[:, None]).tolist()
        for i, member in enumerate(self.members):
            if isinstance(factors[i], Tensor):
                result[i] += (factors[i].cpu() / rows[i]).tolist()
            if member.module.distance_weight:
                result[i].append(float(stress[i] / rows[i]))
        return result

    def _measure(self, batch: StackedBatch, epochs_done: int) -> None:
        for i, member in enumerate(self.members):
            if member.net.measures_distances(epochs_done):
                x, weights = batch.of(i)
                member.module.measure_distance_scale(x, None, weights)

    def _loss(self, batch: StackedBatch, number: int, epochs_done: int) -> tuple[Any, ...]:
        """Losses of the models, their terms, and the stress of those that have one."""
        noise = self._noise(batch)
        terms = self.stack(
            batch.x, noise, batch.weights, batch.targets, batch.target_weights, self.iwae
        )
        if self.iwae:
            loss = -terms.bound
        else:
            weights = [
                m.net.criterion_.weight(epochs_done + (number + 1) / m.n_batches)
                for m in self.members
            ]
            kl = self._penalty(terms)
            if all(weight == 1.0 for weight in weights):
                loss = kl - terms.reconstruction
            else:
                loss = kl.new_tensor(weights) * kl - terms.reconstruction
        if terms.supervised is not None:
            shares = [member.module.supervised_weight for member in self.members]
            loss = loss - loss.new_tensor(shares) * terms.supervised
        found: dict[int, Tensor] = {}
        if self.members[0].module.distance_weight:
            zero, parts = loss.new_zeros(()), []
            for i, member in enumerate(self.members):
                module = member.module
                if not batch.sizes[i]:
                    parts.append(zero)
                    continue
                x, of_rows = batch.of(i)
                params = terms.params[i, : len(x), : module.latent.n_params]
                found[i] = module._stress(params, x, of_rows, STRESS_ROWS)
                parts.append(module.distance_weight * module.distance_scale * found[i])
            loss = loss + torch.stack(parts)
        return loss, terms, found

    def _penalty(self, terms: Any) -> Tensor:
        """KL of each model as its objective counts it."""
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

    def _optimize(self, loss: Tensor, number: int) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        for each in self.held:
            each.stack.grad = None
        loss.sum().backward()
        for (parts, n_batches), group in zip(self.runs, self.optimizer.param_groups, strict=True):
            if number >= n_batches:  # these models have no batch any more in this epoch
                for parameter in group["params"]:
                    parameter.grad = None
                continue
            for part in parts:
                if part.parameter is not part.held.stack:
                    grad = part.held.stack.grad
                    part.parameter.grad = None if grad is None else grad[part.where]
            if group["decay"]:
                self._decay_weights(group, len(parts))
        self.optimizer.step()

    @torch.no_grad()
    def _decay_weights(self, group: dict[str, Any], n_stacked: int) -> None:
        """As `VAENet` does it; stacked parameters have one more dimension."""
        matrices = [
            p
            for number, p in enumerate(group["params"])
            if p.dim() > 1 + (number < n_stacked) and p.grad is not None
        ]
        if matrices:
            torch._foreach_mul_(matrices, 1 - group["lr"] * group["decay"])
