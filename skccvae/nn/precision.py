"""Matrix products of training steps in bfloat16, with weights that stay float32.

bfloat16 has the range of float32 and three significant digits. Processors and GPUs that support it
multiply bfloat16 matrices several times as fast, and add up the products in float32. The optimiser
works on float32 weights, because its small steps would otherwise be lost.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["RoundedWeights", "knows_bfloat16", "matrix_layers"]

# Layers whose forward pass is a product of their input with their weights.
_LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)

# The names of their weights. With hooks, such as spectral normalisation, layers use other weights.
_WEIGHTS = ("weight", "bias", "mask_weight")


def matrix_layers(network: nn.Module) -> list[nn.Module]:
    """Dense and convolutional layers of a network.

    Examples
    --------
    >>> from skccvae.nn import mlp
    >>> from skccvae.nn.precision import matrix_layers
    >>> matrix_layers(mlp(4, (8,), "relu", 2))  # doctest: +NORMALIZE_WHITESPACE
    [Linear(in_features=4, out_features=8, bias=True),
     Linear(in_features=8, out_features=2, bias=True)]
    """
    # Compiled code only looks like these layers; its weights are inside.
    return [
        m
        for m in network.modules()
        if isinstance(m, _LAYERS) and not isinstance(m, torch.jit.ScriptModule)
    ]


class RoundedWeights:
    """bfloat16 copies of the weights of networks, with which training steps run.

    The copies are leaves of the graph. So a weight is rounded only once in each step, however often
    it is used, and its gradient is converted to float32 once. All copies stay in the same memory,
    because allocating it anew in each step would take as long as a product.

    A copy or pickle of this object is None, because the object belongs to the weights of a running
    training.

    Parameters
    ----------
    *networks : torch.nn.Module
        The weights of their dense and convolutional layers are rounded; other weights stay as they
        are. `torch.autocast` handles the products of other layers, and sums of rounded and
        unrounded numbers.

    References
    ----------
    Micikevicius et al., "Mixed precision training", ICLR 2018, section 3.1.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn.precision import RoundedWeights
    >>> layer = torch.nn.Linear(4, 3)
    >>> rounded = RoundedWeights(layer)
    >>> out = rounded.call(layer, torch.ones(2, 4))
    >>> out.sum().backward()
    >>> rounded.collect_gradients()
    >>> out.dtype, layer.weight.grad.dtype
    (torch.bfloat16, torch.float32)
    """

    def __init__(self, *networks: nn.Module) -> None:
        self._weights: list[Tensor] = []
        self._rounded: list[Tensor] = []
        self._gradients: list[Tensor] = []
        devices = {p.device.type for n in networks for p in n.parameters()} or {"cpu"}
        self._mode = torch.autocast(devices.pop(), dtype=torch.bfloat16)
        # For each network, where its weights are: the layer, name, weight and copy.
        self._places: dict[int, list[tuple[nn.Module, str, nn.Parameter, Tensor]]] = {}
        known = self._known = dict[nn.Parameter, Tensor]()
        for network in networks:
            places = self._places[id(network)] = []
            for layer in matrix_layers(network):
                for name in _WEIGHTS:
                    weight = layer._parameters.get(name)
                    if weight is None:
                        continue
                    if weight not in known:
                        known[weight] = self._add(weight)
                    places.append((layer, name, weight, known[weight]))

    def _add(self, weight: nn.Parameter) -> Tensor:
        rounded = weight.detach().to(torch.bfloat16).requires_grad_(weight.requires_grad)
        self._weights.append(weight)
        self._rounded.append(rounded)
        self._gradients.append(torch.zeros_like(weight))
        return rounded

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()

    def copy_of(self, weight: nn.Parameter) -> Tensor:
        """The rounded copy of a weight, or the weight itself if it is not rounded."""
        return self._known.get(weight, weight)

    @torch.no_grad()
    def refresh(self) -> None:
        """Round the weights as they are now, and forget the gradients."""
        torch._foreach_copy_(self._rounded, self._weights)
        for rounded in self._rounded:
            rounded.grad = None

    def call(self, network: nn.Module, *inputs: Tensor) -> Tensor:
        """Output of a network with its rounded weights."""
        places = self._places[id(network)]
        # As `torch.func.functional_call` does, which itself takes longer than a small product.
        for layer, name, _, rounded in places:
            layer._parameters[name] = rounded  # type: ignore[assignment]
        try:
            with self._mode:
                return network(*inputs)
        finally:
            for layer, name, weight, _ in places:
                layer._parameters[name] = weight

    @torch.no_grad()
    def collect_gradients(self) -> None:
        """Give the weights the gradients of their rounded copies."""
        found = [
            (weight, gradient, rounded.grad)
            for weight, gradient, rounded in zip(
                self._weights, self._gradients, self._rounded, strict=True
            )
            if rounded.grad is not None
        ]
        if found:
            weights, gradients, rounded = zip(*found, strict=True)
            torch._foreach_copy_(gradients, rounded)
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient


def knows_bfloat16(device: Any) -> bool:
    """Whether a processor or GPU has instructions for bfloat16 that torch uses.

    Parameters
    ----------
    device : str or torch.device
        The device.

    Returns
    -------
    bool
        False if torch does not say.

    Examples
    --------
    >>> from skccvae.nn.precision import knows_bfloat16
    >>> knows_bfloat16("meta")
    False
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(False)
    if kind != "cpu":
        return False
    # Torch has no public name for these. avx512_bf16 multiplies pairs, amx_tile whole tiles.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)
