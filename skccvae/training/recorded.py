"""A recorded function, and how it is written from the operations that torch has carried out.

It calls the same operations in the same order, or cheaper ones with the same bits. Views of
weights, and whatever only depends on shapes, are computed once.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from skccvae.training.cheap_calls import cheapest_call

__all__ = ["CannotRecord", "Recorded", "Writer", "changed_tensors", "memory_of", "tensors_in"]

# These return the same numbers whenever they get the same shapes, or numbers that nobody reads.
_CONSTANT = frozenset(
    "arange empty_like full full_like new_full new_ones new_zeros ones ones_like scalar_tensor "
    "zeros zeros_like lift_fresh".split()
)
_PLAIN = (int, float, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format)


class CannotRecord(Exception):
    """The operations of a function depend on more than the shapes of its inputs."""


class Recorded:
    """What `record` returns: a function of the same inputs, with the same results.

    Attributes
    ----------
    generators : list of torch.Generator
        The generators from which the function draws. It continues them.
    """

    def __init__(self, graph: fx.Graph, held: list[Any]) -> None:
        code = graph.python_code("self")
        names = dict(code.globals)
        # `torch.fx.GraphModule` would keep the source of each recording until Python ends.
        exec(compile(code.src, "<recorded operations>", "exec"), names)
        self._run = names["forward"]
        self._held = held
        self.generators = [value for value in held if isinstance(value, torch.Generator)]

    def __call__(self, *inputs: Any) -> tuple[Tensor | None, ...]:
        # Like `torch.no_grad`, but the operations skip autograd entirely. This saves about 5 per
        # cent of a step.
        with torch._C._AutoDispatchBelowAutograd():
            return self._run(None, *inputs, *self._held)


class Writer:
    """Writes a graph from the calls of a recorder, with less work where the result is the same."""

    def __init__(self, calls: list, inputs: Sequence[Any]) -> None:
        self.calls = calls
        self.graph = fx.Graph()
        self.held: list[Any] = []
        self._nodes: dict[tuple, fx.Node] = {}
        # Nodes whose numbers never change, and nodes that always stay at their place in memory.
        self._constant: set[fx.Node] = set()
        self._fixed: set[fx.Node] = set()
        memory = [memory_of(tensor) for tensor in inputs if isinstance(tensor, Tensor)]
        if len(set(memory)) < len(memory):
            raise CannotRecord("Two inputs share memory.")
        for number, tensor in enumerate(inputs):
            node = self.graph.placeholder(f"input_{number}")
            if isinstance(tensor, Tensor):
                self._nodes[_place(tensor)] = node
        self._last_placeholder = node
        #: The memory of tensors that change after they were made.
        self._changing = {
            memory_of(tensor)
            for func, args, kwargs, _ in calls
            for tensor in changed_tensors(func, args, kwargs)
        }

    def write(self, results: Sequence[Tensor | None]) -> Recorded:
        """The recorded function that returns the results."""
        for call in self.calls:
            self._write(*call)
        outputs: list[fx.Node | None] = []
        for tensor in results:
            if tensor is not None and _place(tensor) not in self._nodes:
                raise CannotRecord("A result was not made by the recorded operations.")
            outputs.append(None if tensor is None else self._nodes[_place(tensor)])
        self.graph.output(tuple(outputs))
        self._shorten_sums()
        for node in reversed(self.graph.nodes):
            if node.op.startswith("call") and not node.users and not node.meta["needed"]:
                self.graph.erase_node(node)
        return Recorded(self.graph, self.held)

    def _write(self, func: Any, args: tuple, kwargs: dict[str, Any], out: Any) -> None:
        changes = func._schema.is_mutable
        found = tensors_in(out)
        if not changes and found and all(_place(tensor) in self._nodes for tensor in found):
            return  # the same memory, seen in the same way, for example by `detach`
        if not changes and self._once(func, args, kwargs, found):
            return
        call = self._call(*cheapest_call(func, args, kwargs, out))
        # Draws move a generator on, and what returns nothing is there for its effect.
        draws = torch.Tag.nondeterministic_seeded in func.tags
        call.meta["needed"] = changes or draws or not found
        if isinstance(out, Tensor):
            call.meta["is_matrix"] = out.dim() == 2
            self._nodes.setdefault(_place(out), call)
        elif out is not None:
            for number, tensor in enumerate(out):
                if tensor is not None:
                    part = self.graph.call_function(operator.getitem, (call, number))
                    part.meta["needed"] = False
                    self._nodes.setdefault(_place(tensor), part)

    def _shorten_sums(self) -> None:
        """Sum rows straight to a vector, without a matrix in between.

        The gradient of each bias is such a sum.
        """
        for view in self.graph.find_nodes(op="call_method", target="view"):
            total, shape = view.args
            if (
                total.target is torch.sum
                and total.args[1:] == ([0], True)
                and total.meta["is_matrix"]
                and isinstance(shape, (list, tuple))  # and not another type of numbers
                and len(total.users) == len(shape) == 1
            ):
                total.args = total.args[0], [0]
                view.replace_all_uses_with(total)

    def _call(self, target: Any, args: tuple, kwargs: dict[str, Any]) -> fx.Node:
        call = self.graph.call_method if isinstance(target, str) else self.graph.call_function
        named = {name: self._argument(value) for name, value in kwargs.items() if value is not None}
        return call(target, tuple(self._argument(value) for value in args), named)

    def _once(self, func: Any, args: tuple, kwargs: dict[str, Any], found: list[Tensor]) -> bool:
        """Hold the results of an operation if they can be kept from one call to the next."""
        if torch.Tag.nondeterministic_seeded in func.tags:
            return False
        if any(memory_of(tensor) in self._changing for tensor in found):
            return False
        sources = {self._node(tensor) for tensor in tensors_in([*args, *kwargs.values()])}
        constant = func.overloadpacket.__name__ in _CONSTANT or (
            bool(sources) and sources <= self._constant
        )
        is_view = any(value.alias_info is not None for value in func._schema.returns)
        fixed = is_view and bool(sources) and sources <= self._fixed
        if constant or fixed:
            for tensor in found:
                self._hold(tensor.detach(), _place(tensor), constant)
        return constant or fixed

    def _node(self, tensor: Tensor) -> fx.Node:
        place = _place(tensor)
        if place not in self._nodes:
            self._hold(tensor, place, constant=False)  # such as a weight
        return self._nodes[place]

    def _hold(self, value: Any, place: tuple | None = None, constant: bool = True) -> fx.Node:
        """A node for a tensor, or another object, that is the same in each call."""
        with self.graph.inserting_after(self._last_placeholder):
            node = self.graph.placeholder(f"held_{len(self.held)}")
        self._last_placeholder = node
        self.held.append(value)
        self._fixed.add(node)
        if constant:
            self._constant.add(node)
        if place is not None:
            self._nodes[place] = node
        return node

    def _argument(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._node(value)
        if isinstance(value, (list, tuple)):
            return [self._argument(part) for part in value]
        return value if isinstance(value, _PLAIN) else self._hold(value)


def memory_of(tensor: Tensor) -> int:
    """The address of a tensor's memory, which its views share."""
    return tensor.untyped_storage().data_ptr()


def _place(tensor: Tensor) -> tuple:
    """What two tensors have in common if they are the same numbers in the same memory.

    All results are kept while a function is recorded, so no memory is used twice.
    """
    return (
        tensor.data_ptr(),
        tensor.shape,
        tensor.stride(),
        tensor.dtype,
        tensor.device,
    )


def tensors_in(values: Any) -> list[Tensor]:
    """All tensors in a value or in nested lists."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, (list, tuple)):
        return [tensor for value in values for tensor in tensors_in(value)]
    return []


def changed_tensors(func: Any, args: tuple, kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors to which an operation writes."""
    named = dict(zip((a.name for a in func._schema.arguments), args, strict=False)) | kwargs
    written = [
        named.get(argument.name)
        for argument in func._schema.arguments
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return tensors_in(written)
