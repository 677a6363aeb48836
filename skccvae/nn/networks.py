"""Networks for encoders and decoders: multilayer perceptrons and a user's own modules.

An encoder maps a batch of rows to hidden features, and a linear head maps these to the parameters
of the posterior. A decoder maps latent features to the parameters of the likelihood.
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
    """Stack linear layers with activations.

    Parameters
    ----------
    n_inputs : int
        Width of the input.
    hidden : sequence of int
        Widths of the hidden layers. The activation follows each of them.
    activation : str
        A key of ``ACTIVATIONS``.
    n_outputs : int, optional
        Width of a last linear layer without activation. None adds no such layer.

    Returns
    -------
    torch.nn.Sequential
        The network. Without hidden layers and outputs it is the identity.

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
    """Reshape the rows that a module gets, and flatten its output to one row per sample.

    The module gets a copy of the rows, which it may change in place.

    Parameters
    ----------
    module : torch.nn.Module
        Any module.
    shape : tuple of int or None
        Shape of one sample as the module expects it. None passes rows unchanged.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import Reshaped
    >>> convolution = torch.nn.Conv2d(1, 2, kernel_size=3)
    >>> Reshaped(convolution, (1, 5, 5))(torch.zeros(4, 25)).shape
    torch.Size([4, 18])
    """

    def __init__(self, module: nn.Module, shape: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.module = module
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        x = x.clone()
        if self.shape is not None:
            x = x.reshape(x.shape[0], *self.shape)
        return self.module(x).flatten(1)


class ZeroColumns(nn.Module):
    """Set some columns of a batch to zero: the decoder's output for constant columns.

    Parameters
    ----------
    columns : Tensor of bool, shape (p,)
        The columns.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn.networks import ZeroColumns
    >>> ZeroColumns(torch.tensor([False, True]))(torch.ones(1, 2))
    tensor([[1., 0.]])
    """

    columns: Tensor

    def __init__(self, columns: Tensor) -> None:
        super().__init__()
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x.masked_fill(self.columns, 0.0)


def build_module(spec: Any, *sizes: int, role: str) -> nn.Module:
    """Make a new module from the argument ``encoder`` or ``decoder`` of an estimator.

    Parameters
    ----------
    spec : torch.nn.Module or callable
        A module, which is copied so that fitting never changes the user's object, or a callable
        that takes the sizes and returns a module.
    *sizes : int
        Arguments of the callable: the number of inputs and, for a decoder, of outputs.
    role : {"encoder", "decoder"}
        Used in error messages.

    Returns
    -------
    torch.nn.Module
        A float32 module that shares no parameter with ``spec``.

    Raises
    ------
    TypeError
        If ``spec`` is neither a module nor a callable, or the callable does not return a module.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import build_module
    >>> build_module(torch.nn.Linear, 4, 3, role="decoder")
    Linear(in_features=4, out_features=3, bias=True)
    """
    if isinstance(spec, nn.Module):
        return copy.deepcopy(spec).float()
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
    return module.float()


def output_width(module: nn.Module, n_inputs: int, role: str, n_extra: int = 0) -> int:
    """Width of a module's flattened output, found with a trial batch of two rows.

    Parameters
    ----------
    module : torch.nn.Module
        Accepts a float32 batch ``(2, n_inputs)``.
    n_inputs : int
        Width of the trial batch.
    role : {"encoder", "decoder"}
        Named in error messages.
    n_extra : int, default=0
        Width of a second trial batch, for an encoder that reads two.

    Returns
    -------
    int
        Number of output values per row.

    Raises
    ------
    ValueError
        If the module does not accept the batch or does not return one row per sample.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import output_width
    >>> output_width(torch.nn.Linear(4, 3), 4, "encoder")
    3
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
            f"The {role} module must return one row per sample; a batch of 2 gave shape "
            f"{tuple(out.shape)}."
        )
    return math.prod(out.shape[1:])
