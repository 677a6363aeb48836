"""One Adam for the stacked weights of several models, each with its own rate and steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skccvae.nn.stacking import Held
from skccvae.training.adam import Adam
from skccvae.training.net import VAENet
from skccvae.training.optimizer_state import AVERAGES

__all__ = ["StackedOptimizer", "own_copy"]


class _Part(NamedTuple):
    """The part of a stacked parameter that belongs to some of the members.

    Attributes
    ----------
    parameter : Parameter
        The part. Its first axis runs over the members.
    held : Held
        The whole stacked parameter.
    where : slice
        Position of the part in the whole.
    owners, nets : list
        The parameters of the members in this part, and their nets.
    """

    parameter: nn.Parameter
    held: Held
    where: slice
    owners: list[nn.Parameter]
    nets: list[VAENet]


def own_copy(tensor: Tensor) -> Tensor:
    """A copy that is not part of a larger tensor."""
    return tensor.clone(memory_format=torch.contiguous_format)


class StackedOptimizer:
    """Adam for several nets. It continues from the states of their own optimisers.

    Parameters
    ----------
    nets : sequence of VAENet
        In the order of the stack.
    n_batches : sequence of int
        Steps of each net in an epoch.
    held : sequence of Held
        The stacked parameters.
    """

    def __init__(
        self, nets: Sequence[VAENet], n_batches: Sequence[int], held: Sequence[Held]
    ) -> None:
        self.nets, self.held = list(nets), list(held)
        owners = {id(owner) for each in held for owner in each.owners}
        #: Parameters that are not stacked: those of latent spaces.
        self.own = [[p for p in n.module_.parameters() if id(p) not in owners] for n in nets]
        # Neighbours with the same rates and number of steps share tensors.
        settings = [(n.lr, n.weight_decay, size) for n, size in zip(nets, n_batches, strict=True)]
        groups = []
        #: For each group of the optimiser, its parts of stacked parameters and number of batches.
        self.runs: list[tuple[list[_Part], int]] = []
        for setting, run in groupby(range(len(settings)), key=settings.__getitem__):
            numbers = list(run)
            parts = list(self._parts(numbers[0], numbers[-1] + 1))
            self.runs.append((parts, setting[2]))
            own = [p for number in numbers for p in self.own[number]]
            stacks = [part.parameter for part in parts]
            groups.append({"params": [*stacks, *own], "lr": setting[0], "decay": setting[1]})
        self.adam = Adam(groups, fused=True)
        for parts, _ in self.runs:
            for part in parts:
                self._read_state(part)
        for net, own in zip(self.nets, self.own, strict=True):
            for parameter in own:
                if known := net.optimizer_.state.get(parameter):
                    self.adam.state[parameter] = dict(known)

    def _parts(self, start: int, stop: int) -> Iterator[_Part]:
        """The parts of the stacked parameters that belong to nets ``start`` to ``stop``."""
        places = {id(p): i for i, net in enumerate(self.nets) for p in net.module_.parameters()}
        for each in self.held:
            stack, owners, _ = each
            first = places[id(owners[0])]  # hyperplanes are stacked in groups
            low, high = max(start, first), min(stop, first + len(owners))
            if low >= high:
                continue
            where = slice(low - first, high - first)
            whole = high - low == len(owners)
            part = stack if whole else nn.Parameter(stack.data[where])
            yield _Part(part, each, where, owners[where], self.nets[low:high])

    def _read_state(self, part: _Part) -> None:
        """Stack the states of the nets' optimisers for the parameters in a part."""
        owned = list(zip(part.nets, part.owners, strict=True))
        known = [net.optimizer_.state.get(owner) for net, owner in owned]
        if not any(known):
            return
        state = {name: torch.zeros_like(part.parameter.data) for name in AVERAGES[1:]}
        for number, (entry, owner) in enumerate(zip(known, part.owners, strict=True)):
            for name, value in state.items():
                part.held.part(value, number, owner).copy_(entry[name])
        self.adam.state[part.parameter] = {"step": known[0]["step"].clone(), **state}

    def give_back(self) -> None:
        """Give each net its own copy of its weights and of their optimiser state."""
        for parts, _ in self.runs:
            for part in parts:
                state = self.adam.state.get(part.parameter)
                for number, (net, owner) in enumerate(zip(part.nets, part.owners, strict=True)):
                    owner.data = own_copy(owner.data)
                    owner.grad = None
                    if state:
                        net.optimizer_.state[owner] = {"step": state["step"].clone()} | {
                            name: own_copy(part.held.part(state[name], number, owner))
                            for name in AVERAGES[1:]
                        }
        for net, own in zip(self.nets, self.own, strict=True):
            for parameter in own:
                if known := self.adam.state.get(parameter):
                    net.optimizer_.state[parameter] = known

    def leaves(self) -> list[Tensor]:
        """The tensors that get a gradient: the stacks, and parameters that are not stacked."""
        own = [p for parameters in self.own for p in parameters if p.requires_grad]
        return [*(each.stack for each in self.held), *own]

    def step(self, number: int) -> None:
        """Make a step with the gradients of `leaves`, except for nets without such a batch."""
        for parameter in (p for parameters in self.own for p in parameters):
            if not parameter.requires_grad:
                parameter.grad = None
        for (parts, n_batches), group in zip(self.runs, self.adam.param_groups, strict=True):
            if number >= n_batches:  # these models have no batches left in this epoch
                for parameter in group["params"]:
                    parameter.grad = None
                continue
            for part in parts:
                if part.parameter is not part.held.stack:
                    grad = part.held.stack.grad
                    part.parameter.grad = None if grad is None else grad[part.where]
            if group["decay"]:
                self._decay_weights(group, len(parts))
        self.adam.step()

    @torch.no_grad()
    def _decay_weights(self, group: dict[str, Any], n_stacked: int) -> None:
        """Decay as in `VAENet`. Stacked parameters have one more dimension."""
        matrices = [
            p
            for number, p in enumerate(group["params"])
            if p.dim() > 1 + (number < n_stacked) and p.grad is not None
        ]
        if matrices:
            torch._foreach_mul_(matrices, 1 - group["lr"] * group["decay"])
