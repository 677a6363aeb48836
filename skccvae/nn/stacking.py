"""Run several modules of one structure at once, with stacked weights: one product per layer.

A training step of a small network costs little arithmetic but many calls. Stacked, m networks of
one structure, each with its own rows, take as many calls as one network.

The stacked module holds the weights. The weights of the single modules become views of them, so
that training the stack trains the modules, which can be read at any time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from skccvae.kernels import accelerator
from skccvae.nn.gyroplane import LARGEST_OFFSET, POLE_MARGIN, SMALLEST_GAIN, Gyroplanes
from skccvae.nn.linear_path import SkipDecoder, SkipEncoder

__all__ = [
    "StackedGyroplanes",
    "StackedLinear",
    "VmappedModules",
    "shapes",
    "stacked",
    "stacked_tensors",
]

# Modules that only call their parts and accept any number of leading dimensions.
_CONTAINERS = (nn.Sequential, SkipEncoder, SkipDecoder)


class _Stack(nn.Module):
    """Base of the modules that hold the weights of several others."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Held] = []

    def _hold(self, parameters: Sequence[Tensor], transposed: bool = False) -> nn.Parameter:
        """Stack parameters to one of shape (m, ...), padding smaller ones with zeros."""
        values = _stacked(parameters)
        stack = nn.Parameter(values.mT.contiguous() if transposed else values)
        held = Held(stack, list(parameters), transposed)  # type: ignore[arg-type]
        self.held.append(held)
        for number, parameter in enumerate(parameters):
            parameter.data = held.part(stack.data, number, parameter)
        return stack


class Held(NamedTuple):
    """A stacked parameter, and the parameters that it holds.

    Attributes
    ----------
    stack : Parameter of shape (m, ...)
    owners : list of Parameter
    transposed : bool
        Whether the parameters are matrices that the stack holds transposed.
    """

    stack: nn.Parameter
    owners: list[nn.Parameter]
    transposed: bool = False

    def part(self, stack: Tensor, number: int, like: Tensor) -> Tensor:
        """The part of a tensor, stacked like the parameter, that belongs to one held parameter."""
        return part_of(stack.mT if self.transposed else stack, number, like)


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    size = [max(sizes) for sizes in zip(*(t.shape for t in tensors), strict=True)]
    result = tensors[0].new_zeros(len(tensors), *size)
    for number, tensor in enumerate(tensors):
        part_of(result, number, tensor).copy_(tensor.detach())
    return result


def part_of(stack: Tensor, number: int, like: Tensor) -> Tensor:
    """The part of a stacked tensor that belongs to one module."""
    return stack[number][tuple(slice(size) for size in like.shape)]


class StackedLinear(_Stack):
    """Linear layers, each with its own rows.

    Parameters
    ----------
    layers : sequence of torch.nn.Linear
        m layers with a bias. If they differ in size, their inputs are padded with zeros, and their
        outputs end in zeros. No gradient reaches the padding.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn.stacking import StackedLinear
    >>> layers = [torch.nn.Linear(3, 2), torch.nn.Linear(3, 4)]
    >>> StackedLinear(layers)(torch.zeros(2, 5, 3)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        super().__init__()
        # Its gradient, a product of matrices, then has the same layout.
        self.weight = self._hold([layer.weight for layer in layers], transposed=True)
        self.bias = self._hold([layer.bias for layer in layers])

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight)


class VmappedModules(_Stack):
    """Modules of any kind, run by `torch.func.vmap`, which only needs them to have one structure.

    Parameters
    ----------
    modules : sequence of torch.nn.Module
        m modules, whose tensors have the same names.
    call : callable, optional
        Called as ``call(module, *args)``, with arguments that lack the dimension of the m modules.
        By default the module itself is called.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import GaussianLikelihood
    >>> from skccvae.nn.stacking import VmappedModules
    >>> likelihoods = [GaussianLikelihood(3) for _ in range(2)]
    >>> total = VmappedModules(likelihoods, lambda part, *args: part.total_log_prob(*args))
    >>> total(torch.zeros(2, 5, 3), torch.zeros(2, 5, 3)).shape
    torch.Size([2])
    """

    def __init__(
        self, modules: Sequence[nn.Module], call: Callable[..., Any] | None = None
    ) -> None:
        super().__init__()
        # A list, so that torch does not register it as a part of this module.
        self._template = [_Called(copy.deepcopy(modules[0]), call)]
        self._state: dict[str, Tensor] = {}
        for name, _ in modules[0].named_parameters():
            held = self._hold([module.get_parameter(name) for module in modules])
            self._state[f"module.{name}"] = held
            self.register_parameter(name.replace(".", "_"), held)
        for name, _ in modules[0].named_buffers():
            self._state[f"module.{name}"] = _stacked([m.get_buffer(name) for m in modules])

    def forward(self, *args: Tensor | None, call: Callable[..., Any] | None = None) -> Any:
        template = self._template[0] if call is None else _Called(self._template[0].module, call)
        given = [arg for arg in args if arg is not None]

        def one(state: dict[str, Tensor], *given: Tensor) -> Any:
            parts = iter(given)
            call_args = tuple(arg if arg is None else next(parts) for arg in args)
            # No tensor has two names; torch would look for such names at each call.
            return functional_call(template, state, call_args, tie_weights=False)

        return vmap(one)(self._state, *given)


class StackedGyroplanes(VmappedModules):
    """Hyperplanes of several models, for a batch with the rows of all of them.

    Parameters
    ----------
    layers : sequence of Gyroplanes
        m layers of one size.
    """

    def forward(self, c: Tensor, s: Tensor, K: float) -> Tensor:  # type: ignore[override]
        """As `Gyroplanes.forward`, for the rows of the first model, then of the next, and so on.

        Parameters
        ----------
        c : Tensor of shape (..., m * b)
        s : Tensor of shape (..., m * b, d)
        K : float
        """
        weight, bias = self._state["module.linear.weight"], self._state["module.linear.bias"]
        m, d = len(weight), s.shape[-1]
        c = c.unflatten(-1, (m, -1)).movedim(-2, 0)
        s = s.unflatten(-2, (m, -1)).movedim(-3, 0)
        fused = accelerator("hyperplanes", s, curvature=K)
        if K == 0:
            rows = s.reshape(m, -1, d)
            result = torch.baddbmm(bias.unsqueeze(1), rows, weight.mT).reshape(*s.shape[:-1], -1)
        elif fused is None:
            result = super().forward(c, s, call=lambda layer, c, s: layer(c, s, K))
        else:
            margins = LARGEST_OFFSET, POLE_MARGIN, SMALLEST_GAIN
            rows = s.reshape(m, -1, d)
            result = fused(c.reshape(m, -1), rows, weight, bias, K, *margins)
            result = result.reshape(*s.shape[:-1], -1)
        return result.movedim(0, -3).flatten(-3, -2)


class _Called(nn.Module):
    """A module whose call calls a function of another module."""

    def __init__(self, module: nn.Module, call: Callable[..., Any] | None) -> None:
        super().__init__()
        self.module = module
        self._call = call

    def forward(self, *args: Any) -> Any:
        return self.module(*args) if self._call is None else self._call(self.module, *args)


def stacked(modules: Sequence[nn.Module]) -> nn.Module:
    """One module that runs several, on rows of shape (m, n, inputs).

    Parameters
    ----------
    modules : sequence of torch.nn.Module
        m modules of one structure, see `shapes`. Their parameters become views of the result's.

    Returns
    -------
    torch.nn.Module

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import mlp
    >>> from skccvae.nn.stacking import stacked
    >>> nets = [mlp(4, (8,), "relu", 2) for _ in range(3)]
    >>> x = torch.randn(3, 5, 4)
    >>> alone = torch.stack([net(rows) for net, rows in zip(nets, x)])
    >>> bool(torch.allclose(stacked(nets)(x), alone, atol=1e-6))
    True
    """
    first = modules[0]
    if type(first) is nn.Linear and first.bias is not None:
        return StackedLinear(modules)
    if type(first) is Gyroplanes:
        return StackedGyroplanes(modules)
    if next(_tensors(first), None) is None:
        return first
    if type(first) not in _CONTAINERS:
        return VmappedModules(modules)
    twin = copy.copy(first)
    twin._modules = {
        name: None if part is None else stacked([module.get_submodule(name) for module in modules])
        for name, part in first._modules.items()
    }
    if isinstance(twin, SkipDecoder):
        # The widest input sets the width; narrower inputs are padded with zeros.
        decoders: Sequence[Any] = modules
        width = max(decoder.last.in_features for decoder in decoders)
        twin.n_unused = width - max(d.last.in_features - d.n_unused for d in decoders)
    return twin


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def stacked_tensors(module: nn.Module) -> Iterator[Held]:
    """The stacked parameters of a module."""
    for part in module.modules():
        if isinstance(part, _Stack):
            yield from part.held


def shapes(module: nn.Module, any_input: bool = False) -> tuple:
    """Structure of a module: modules of equal structure can be `stacked`.

    Parameters
    ----------
    module : torch.nn.Module
    any_input : bool, default=False
        Whether the number of inputs may differ, if the module is a multilayer perceptron.

    Returns
    -------
    tuple
        Hashable.
    """
    kinds = tuple((name, type(part)) for name, part in module.named_modules())
    sizes = {name: tuple(tensor.shape) for name, tensor in _tensors(module)}
    reading = _first_layer(module) if any_input else None
    if reading is not None:
        name, layer = reading
        sizes[f"{name}.weight" if name else "weight"] = (layer.out_features,)
        for name, part in module.named_modules():
            if isinstance(part, SkipDecoder):
                sizes[f"{name}.last.weight" if name else "last.weight"] = (part.n_hidden,)
    return kinds, tuple(sizes.items())


def _first_layer(module: nn.Module, name: str = "") -> tuple[str, nn.Linear] | None:
    """The only layer that reads the inputs of a perceptron, or None if there is no such layer."""
    if type(module) is nn.Linear:
        return name, module
    if isinstance(module, SkipDecoder):
        key, inner = "hidden", module.hidden
    elif type(module) is nn.Sequential and len(module):
        key, inner = "0", module[0]
    else:
        return None
    return _first_layer(inner, f"{name}.{key}" if name else key)
