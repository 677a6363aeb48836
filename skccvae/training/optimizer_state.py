"""The state of Adam after earlier steps, as named tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

# Adam's entries for each parameter that has made a step: the number of steps and two averages.
AVERAGES = ("step", "exp_avg", "exp_avg_sq")


def optimizer_tensors(optimizer: Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """Tensors of an optimiser, named after the parameters of its module.

    Parameters
    ----------
    optimizer : torch.optim.Adam
        Parameters that have not made a step yet have no entries.
    module : torch.nn.Module
        Owner of the parameters.

    Returns
    -------
    dict of str to Tensor
        The names are those of ``module.named_parameters()`` followed by ``".step"``, ``".exp_avg"``
        or ``".exp_avg_sq"``. The tensors are those of the optimiser, not copies.
    """
    return {
        f"{name}.{entry}": optimizer.state[parameter][entry].detach()
        for name, parameter in module.named_parameters()
        if optimizer.state.get(parameter)
        for entry in AVERAGES
    }


def load_optimizer_tensors(
    optimizer: Optimizer, module: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Load copies of the tensors of `optimizer_tensors` into an optimiser, on its own device."""
    for name, parameter in module.named_parameters():
        if f"{name}.step" in tensors:
            optimizer.state[parameter] = {
                entry: tensors[f"{name}.{entry}"].to(parameter.device, copy=True)
                for entry in AVERAGES
            }


def check_optimizer_tensors(tensors: Mapping[str, Tensor], module: nn.Module) -> None:
    """Reject tensors that no optimiser of a module can have.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        With the names that `optimizer_tensors` uses.
    module : torch.nn.Module
        The module. It may be on the meta device, where it takes no memory.

    Raises
    ------
    ValueError
        If a name, shape or dtype does not fit the module, or a number is outside its range.
    """
    parameters = dict(module.named_parameters())
    for name, tensor in tensors.items():
        owner, _, entry = name.rpartition(".")
        parameter = parameters.get(owner)
        if parameter is None or entry not in AVERAGES:
            raise ValueError(f"{name!r} is not an average in the optimiser of this model.")
        wanted = () if entry == "step" else parameter.shape
        dtype = torch.float32 if entry == "step" else parameter.dtype
        if tensor.shape != wanted or tensor.dtype != dtype:
            raise ValueError(
                f"{name} of the optimiser has shape {tuple(tensor.shape)} and dtype "
                f"{tensor.dtype}; the model needs {tuple(wanted)} and {dtype}."
            )
        missing = [other for other in AVERAGES if f"{owner}.{other}" not in tensors]
        if missing:
            raise ValueError(f"the optimiser has {name} but no {owner}.{missing[0]}.")
        # The first step has number 1, because averages are divided by 1 - beta^step.
        least = {"step": 1.0, "exp_avg_sq": 0.0}.get(entry)
        if least is not None and tensor.numel() and not bool((tensor >= least).all()):
            raise ValueError(f"{name} of the optimiser must be at least {least}.")
