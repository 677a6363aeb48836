"""Encoder and decoder trunks: multilayer perceptrons and a user's own modules.

An encoder turns a batch of rows into hidden features, from which a linear head reads the
posterior's parameters. A decoder turns latent features into the likelihood's parameters.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "leaky_relu": nn.LeakyReLU,
}


def mlp(
    n_inputs: int, hidden: Sequence[int], activation: str, n_outputs: int | None = None
) -> nn.Sequential:
    """Stack linear layers with an activation between them.

    Parameters
    ----------
    n_inputs : int
        Width of the input.
    hidden : sequence of int
        Widths of the hidden layers, each followed by the activation.
    activation : str
        A key of ``ACTIVATIONS``.
    n_outputs : int, optional
        Width of a last linear layer without activation; left out when None.

    Returns
    -------
    torch.nn.Sequential
        The network; with neither hidden layers nor outputs it is the identity.

    Examples
    --------
    >>> from skccvae.nn import mlp
    >>> [type(layer).__name__ for layer in mlp(4, (8,), "relu", 2)]
    ['Linear', 'ReLU', 'Linear']
    """
    layers: list[nn.Module] = []
    width = n_inputs
    for size in hidden:
        layers += [nn.Linear(width, size), ACTIVATIONS[activation]()]
        width = size
    if n_outputs is not None:
        layers.append(nn.Linear(width, n_outputs))
    return nn.Sequential(*layers)


class Reshaped(nn.Module):
    """Give a module its inputs as images, and flatten what it returns to one row a sample.

    Parameters
    ----------
    module : torch.nn.Module
        The module, a user's own or one of the package's.
    shape : tuple of int or None
        Shape of one sample as the module wants it; None passes rows as they are.
    """

    def __init__(self, module: nn.Module, shape: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.module = module
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        if self.shape is not None:
            x = x.reshape(x.shape[0], *self.shape)
        return self.module(x).flatten(1)


def build_module(spec: Any, *sizes: int, role: str) -> nn.Module:
    """Turn what a user passed as ``encoder`` or ``decoder`` into a fresh module.

    Parameters
    ----------
    spec : torch.nn.Module or callable
        A module, which is copied so that fitting never changes the user's object, or a callable
        that is given the sizes and returns a module.
    *sizes : int
        What a callable is called with: the number of inputs, for a decoder also of outputs.
    role : {"encoder", "decoder"}
        Named in error messages.

    Returns
    -------
    torch.nn.Module
        A module that shares no parameter with ``spec``.

    Raises
    ------
    TypeError
        If ``spec`` is neither, or the callable returns no module.
    """
    if isinstance(spec, nn.Module):
        return copy.deepcopy(spec)
    if not callable(spec):
        raise TypeError(
            f"{role} must be a name, a torch.nn.Module or a callable that builds one; got {spec!r}."
        )
    module = spec(*sizes)
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"The {role} callable must return a torch.nn.Module when called with the sizes "
            f"{sizes}; it returned {type(module).__name__}."
        )
    return module


def output_width(module: nn.Module, n_inputs: int, role: str, n_extra: int = 0) -> int:
    """Width of a module's flattened output, found with a trial batch of two rows.

    Parameters
    ----------
    module : torch.nn.Module
        Takes a float32 batch ``(2, n_inputs)``.
    n_inputs : int
        Width of the trial batch.
    role : {"encoder", "decoder"}
        Named in error messages.
    n_extra : int, default=0
        Width of a second trial batch, for an encoder that reads two.

    Returns
    -------
    int
        Numbers a row in the output.

    Raises
    ------
    ValueError
        If the module refuses the batch or does not keep one row a sample.
    """
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            out = module(*(torch.zeros(2, n) for n in (n_inputs, n_extra) if n))
    except (RuntimeError, ValueError, TypeError) as error:
        raise ValueError(
            f"The {role} module does not accept a batch of shape (2, {n_inputs}): {error}"
        ) from error
    finally:
        module.train(was_training)
    if out.shape[0] != 2:
        raise ValueError(
            f"The {role} module must return one row a sample; a batch of 2 gave shape "
            f"{tuple(out.shape)}."
        )
    return math.prod(out.shape[1:])
