"""The networks that an estimator's parameters name."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from skccvae._sklearn import StrOptions
from skccvae.estimators._molecules import molecular_graph
from skccvae.molecules import MolecularGraph
from skccvae.nn import (
    ACTIVATIONS,
    ConvDecoder,
    ConvEncoder,
    GraphEncoder,
    Likelihood,
    MaskedMLP,
    Reshaped,
    SkipDecoder,
    SkipEncoder,
    build_module,
    mlp,
)

# The names that `encoder` and `decoder` may have, and everything that `encoder` may be.
NETWORKS = ("mlp", "conv")
ENCODERS = [StrOptions({*NETWORKS, "molecular_graph"}), callable, MolecularGraph]


def hidden_sizes(value: Any) -> tuple[int, ...]:
    """``hidden_layer_sizes`` as plain integers; ValueError if they are not positive integers."""
    sizes = np.atleast_1d(np.asarray(value))
    if sizes.size and (sizes.ndim != 1 or sizes.dtype.kind not in "iu" or sizes.min() < 1):
        raise ValueError(
            "hidden_layer_sizes must hold positive integers, one for each hidden layer, such "
            f"as (256, 128); got {value!r}."
        )
    return tuple(int(size) for size in sizes)


def encoder_network(
    spec: Any,
    likelihood: Likelihood,
    sizes: tuple[int, ...],
    activation: str,
    image_shape: tuple[int, ...] | None,
    n_start: int = 0,
    missing: bool = False,
) -> nn.Module:
    """Network from flat rows to hidden features.

    Parameters
    ----------
    spec : str, torch.nn.Module, MolecularGraph or callable
        The estimator's ``encoder``.
    likelihood : Likelihood
        The network reads its ``n_inputs`` numbers per row.
    sizes : tuple of int
        Widths of the hidden layers. A convolutional network takes the last for its dense layer.
    activation : str
        A key of ``ACTIVATIONS``.
    image_shape : tuple of int or None
        Shape of one sample.
    n_start : int, default=0
        Number of linear features in addition to those of a multilayer perceptron.
    missing : bool, default=False
        Whether the package's networks read an indicator of missing values beside the row. The
        user's own networks see only zeros.

    Raises
    ------
    ValueError
        If a convolutional network is requested and samples are not images, or the likelihood gives
        the encoder several numbers for each entry.
    ImportError
        If a graph encoder is requested without the packages that it needs.
    """
    graph = molecular_graph(spec)
    if graph is not None:
        graph.check_packages()
        return GraphEncoder(*graph.sizes, sizes, activation, graph.n_layers)
    n_inputs = likelihood.n_inputs
    # A cosine and a sine for each angle, say: a new first axis of the sample's shape.
    several = (n_inputs // likelihood.n_features,) if n_inputs > likelihood.n_features else ()
    if not isinstance(spec, str):
        # A user's own encoder sees a sample in the shape that it was given, or a flat row.
        shape = None if image_shape is None else (*several, *image_shape)
        return Reshaped(build_module(spec, n_inputs, role="encoder"), shape)
    if spec == "conv" and several:
        raise ValueError(
            f"encoder='conv' reads images, but {type(likelihood).__name__} gives the encoder "
            f"{several[0]} numbers for each entry of X. Use encoder='mlp' or your own module."
        )
    if spec == "conv":
        return ConvEncoder(image_shape, sizes[-1] if sizes else None, activation, missing)
    n_mask = likelihood.n_features if missing else 0
    if n_start:
        return SkipEncoder(n_inputs, sizes, activation, n_start, n_mask)
    if n_mask:
        return MaskedMLP(n_inputs, sizes, activation, n_mask)
    return mlp(n_inputs, sizes, activation)


def decoder_network(
    spec: Any,
    latent: Any,
    n_outputs: int,
    sizes: tuple[int, ...],
    activation: str,
    image_shape: tuple[int, ...] | None,
    linear_path: bool = False,
) -> nn.Module:
    """Network from latent features to a likelihood's outputs.

    Parameters
    ----------
    spec : str, torch.nn.Module or callable
        The estimator's ``decoder``.
    latent : Latent
        The network reads its features. If it has hyperplanes, distances to them replace the first
        dense layer.
    n_outputs : int
        How many numbers the likelihood needs for each row.
    sizes : tuple of int
        Widths of the encoder's hidden layers. The decoder uses them in reverse.
    activation : str
        A key of ``ACTIVATIONS``.
    image_shape : tuple of int or None
        Shape of one sample.
    linear_path : bool, default=False
        Whether a linear map runs beside a multilayer perceptron.

    Raises
    ------
    ValueError
        If a convolutional network is requested and samples are not images.
    """
    n_inputs = latent.n_features
    if not isinstance(spec, str):
        return Reshaped(build_module(spec, n_inputs, n_outputs, role="decoder"))
    sizes = sizes[::-1]
    planes = latent.gyroplanes is not None and bool(sizes)
    rest = sizes[1:] if planes else sizes
    network: nn.Module
    if spec == "conv":
        n_hidden = sizes[0] if sizes and not planes else None
        network = ConvDecoder(n_inputs, image_shape, n_hidden, activation, n_outputs)
    elif linear_path:
        hidden = mlp(n_inputs, rest, activation)
        hidden = nn.Sequential(ACTIVATIONS[activation](), hidden) if planes else hidden
        # Random planes, twice as many as dimensions, can represent an affine map of the
        # coordinates. A product with all planes would take a third of the epoch. Spaces of up to 16
        # dimensions have networks of one shape, which can be trained together.
        n_linear = max(32, 2 * latent.dim) if planes else None
        n_hidden = rest[-1] if rest else n_inputs
        return SkipDecoder(hidden, n_inputs, n_hidden, n_outputs, n_linear)
    else:
        network = mlp(n_inputs, rest, activation, n_outputs)
    return nn.Sequential(ACTIVATIONS[activation](), network) if planes else network
