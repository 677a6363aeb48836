"""Multilayer perceptrons with a linear skip connection, through which a model can start at PCA.

An encoder with a skip connection returns its hidden features together with linear features of the
row. The last layer of a decoder with a skip connection reads both the hidden and the latent
features. At the start the linear features are principal components, the head reads only these, and
the last layer reads only latent features, so the model is probabilistic PCA. Training then changes
all weights.

The first layer computes the linear features, and the last layer is one matrix, so a training step
has no additional matrix product. The number of linear features is a multiple of 16. At other
widths, products on some processors round a row differently, depending on its place in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skccvae.nn.missing import MaskedLinear
from skccvae.nn.networks import ACTIVATIONS, mlp

__all__ = ["SkipDecoder", "SkipEncoder"]

_MULTIPLE = 16
# Rows that are converted to float64 at once.
_ROWS = 512


class SkipEncoder(nn.Module):
    """Features of a multilayer perceptron, together with linear features of the same rows.

    Parameters
    ----------
    n_inputs : int
        Width p of the rows.
    hidden : sequence of int
        Widths of the hidden layers. With none, the features are the rows.
    activation : str
        A key of ``ACTIVATIONS``.
    n_components : int
        Number of linear features that are needed. They are the first of ``n_linear`` features, the
        next multiple of 16.
    n_mask : int, default=0
        Width of an indicator of missing values behind the row, which the first layer reads.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import SkipEncoder
    >>> encoder = SkipEncoder(6, (16, 8), "relu", 2)
    >>> encoder(torch.zeros(4, 6)).shape, encoder.n_linear
    (torch.Size([4, 24]), 16)
    """

    def __init__(
        self,
        n_inputs: int,
        hidden: Sequence[int],
        activation: str,
        n_components: int,
        n_mask: int = 0,
    ) -> None:
        super().__init__()
        self.n_inputs, self.n_mask = n_inputs, n_mask
        self.n_components = n_components
        self.n_linear = _rounded_up(n_components)
        width = hidden[0] if hidden else 0
        n_first = width + self.n_linear
        self.first = (
            MaskedLinear(n_inputs, n_first, n_mask) if n_mask else nn.Linear(n_inputs, n_first)
        )
        self.rest: nn.Module | None = None
        if hidden:
            self.rest = nn.Sequential(
                ACTIVATIONS[activation](), *mlp(width, hidden[1:], activation)
            )

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        if self.rest is None:
            return torch.cat([x[..., : self.n_inputs], first], dim=-1)
        k = self.n_linear
        hidden, components = first.split([first.shape[-1] - k, k], dim=-1)
        return torch.cat([self.rest(hidden), components], dim=-1)

    def in_double(self, x: Tensor) -> Tensor:
        """The same features as float64; only the linear ones are computed in float64.

        Parameters
        ----------
        x : Tensor of shape (n, p)
            Float32 rows.
        """
        width = self.first.out_features - self.n_linear
        weight, bias = self.first.weight, self.first.bias
        if isinstance(self.first, MaskedLinear):
            weight = self.first.both_weights()
        linear, offset = weight[width:].double(), bias[width:].double()
        # A float64 copy of all rows would not fit into the cache, which takes five times as long
        # for 6400 rows. In an exported graph the number of rows is not known.
        blocks = (x,) if torch.compiler.is_compiling() else x.split(_ROWS)
        components = torch.cat([F.linear(rows.double(), linear, offset) for rows in blocks])
        hidden = x[..., : self.n_inputs]
        if self.rest is not None:
            hidden = self.rest(F.linear(x, weight[:width], bias[:width]))
        return torch.cat([hidden.double(), components], dim=-1)

    def set_components(self, axes: Tensor, offset: Tensor) -> None:
        """Set the first linear features to ``axes @ x + offset``.

        Parameters
        ----------
        axes : Tensor of shape (j, p)
            j is at most ``n_components``; further features stay as they are.
        offset : Tensor of shape (j,)
        """
        start = self.first.out_features - self.n_linear
        self.first.weight[start : start + len(axes)] = axes
        self.first.bias[start : start + len(axes)] = offset

    def read_missing_as(self, inputs: Tensor, columns: Tensor) -> None:
        """Make a missing value act on the first layer as if its inputs were these numbers.

        Parameters
        ----------
        inputs : Tensor of shape (p,)
            Numbers that the layer reads from a row.
        columns : Tensor of int, shape (p,)
            The column of the indicator to which each of them belongs.
        """
        assert isinstance(self.first, MaskedLinear)
        shares = self.first.weight * inputs
        self.first.mask_weight.zero_().index_add_(1, columns, shares)


class SkipDecoder(nn.Module):
    """Hidden layers, and a last layer that reads their features and the inputs.

    Parameters
    ----------
    hidden : torch.nn.Module
        Maps inputs (n, f) to features (n, h).
    n_inputs : int
        The width f.
    n_hidden : int
        The width h.
    n_outputs : int
        Width of the result.
    n_linear : int, optional
        Number of inputs, counted from the first, that the last layer reads. By default it reads
        all of them.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import SkipDecoder, mlp
    >>> SkipDecoder(mlp(2, (8,), "relu"), 2, 8, 6)(torch.zeros(4, 2)).shape
    torch.Size([4, 6])
    """

    def __init__(
        self,
        hidden: nn.Module,
        n_inputs: int,
        n_hidden: int,
        n_outputs: int,
        n_linear: int | None = None,
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.n_hidden = n_hidden
        #: How many inputs the last layer reads, or None for all of them.
        self.n_linear = None if n_linear is None or n_linear >= n_inputs else n_linear
        n_read = self.n_linear or n_inputs
        self.n_unused = _rounded_up(n_read) - n_read
        self.last = nn.Linear(n_hidden + n_read + self.n_unused, n_outputs)

    def forward(self, z: Tensor) -> Tensor:
        hidden = self.hidden(z)
        if self.n_linear is not None:
            z = z[..., : self.n_linear]
        z = z.to(hidden.dtype)  # rounded only once if the layer reads rounded numbers
        unused = z.new_zeros(*z.shape[:-1], self.n_unused)
        return self.last(torch.cat([hidden, z, unused], dim=-1))

    def set_affine(self, weight: Tensor, bias: Tensor) -> None:
        """Set the outputs to ``weight @ z + bias``, without a contribution of hidden features.

        ``weight`` has a column for each input that the last layer reads.
        """
        self.last.weight.zero_()
        self.last.weight[:, self.n_hidden : self.n_hidden + weight.shape[-1]] = weight
        self.last.bias.copy_(bias)


def _rounded_up(width: int) -> int:
    return -(-width // _MULTIPLE) * _MULTIPLE
