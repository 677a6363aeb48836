"""A function of tensors as a list of operations, which runs without Python's and autograd's work.

In a step of a small network, most of the time goes into deciding what to do: the code of the
modules, the graph for the gradient, and the walk through it. All of this comes out the same in each
step. `record` calls the function once and writes down the operations that torch carries out, those
of the backward pass included. The result calls the same operations in the same order, so it returns
the same bits.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Sequence
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Recorded", "record"]

# A recording keeps every result until it is complete. If they are larger than this in total, the
# arithmetic takes most of the time of a step anyway.
_MOST_NUMBERS = 2**24
# torch notes for all threads together whether one of them is in such a mode.
_ONE_AT_A_TIME = threading.Lock()
# These return the same numbers whenever they get the same shapes, or numbers that nobody reads.
_CONSTANT = frozenset(
    "arange empty_like full full_like new_full new_ones new_zeros ones ones_like scalar_tensor "
    "zeros zeros_like lift_fresh".split()
)
# A number as the second argument of these becomes a tensor once, and not in each call.
_ARITHMETIC = frozenset(("add", "div", "mul", "sub"))
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


def record(
    function: Callable[..., Sequence[Tensor | None]], *inputs: Any
) -> tuple[Sequence[Tensor | None], Recorded | None]:
    """Call a function, and record its operations if they always are the same.

    There is no recording if the function reads a number with `item`, makes tensors whose shapes
    depend on numbers, changes a tensor that it has not made, draws from torch's global generators,
    or makes sparse or very large tensors. The function is then called a second time, so it must not
    change anything but generators. Numbers that it reads with `tolist` or `numpy` go unnoticed.

    Other tensors that the function reads, such as weights, are read again in each call. They must
    stay at their place in memory. Settings that are no tensors must stay as they are. Results may
    be such a tensor itself, so do not write to them.

    Parameters
    ----------
    function : callable
        Takes the inputs, and returns a sequence of tensors or of None. It may compute gradients.
    *inputs : Tensor or object
        Arguments of the function, at least one. Those that are not tensors must be the same in each
        call.

    Returns
    -------
    results : sequence of Tensor or None
        What the function has returned.
    recorded : Recorded or None
        The recorded function, for other inputs of the same shapes.

    Examples
    --------
    >>> import torch
    >>> from skccvae.training.recording import record
    >>> def slope(x):
    ...     x = x.detach().requires_grad_()
    ...     return torch.autograd.grad((x**3).sum(), x)
    >>> _, recorded = record(slope, torch.ones(2))
    >>> recorded(torch.tensor([1.0, 2.0]))
    (tensor([ 3., 12.]),)
    >>> _, recorded = record(lambda x: [x * float(x.max())], torch.ones(2))
    >>> recorded is None
    True
    """
    recorder = _Recorder()
    try:
        with _ONE_AT_A_TIME, recorder:
            results = function(*inputs)
        return results, _Writer(recorder.calls, inputs).write(results)
    except CannotRecord:
        if recorder.complete:
            return results, None
        for generator, state in reversed(recorder.states):
            generator.set_state(state)
        return function(*inputs), None


class _Recorder(TorchDispatchMode):
    """Notes the operations below autograd, and what they return."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple, dict[str, Any], Any]] = []
        #: Whether the function has returned.
        self.complete = False
        #: The state of a generator before each draw. Each has an object of its own in Python, even
        #: if they are the same generator.
        self.states: list[tuple[torch.Generator, Tensor]] = []
        #: The memory of tensors that the function has made.
        self._memory: set[int] = set()
        self._numbers = 0

    def __exit__(self, kind, value, traceback):
        self.complete = kind is None
        super().__exit__(kind, value, traceback)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        self._check(func, args, kwargs)
        out = func(*args, **kwargs)
        if any(tensor.layout is not torch.strided for tensor in _tensors(out)):
            raise CannotRecord(f"{func} makes a sparse tensor.")
        known = {_memory(tensor) for tensor in _tensors([*args, *kwargs.values()])}
        for tensor in _tensors(out):
            if _memory(tensor) not in known:  # a view is not new
                self._memory.add(_memory(tensor))
                self._numbers += tensor.numel()
        self.calls.append((func, args, kwargs, out))
        return out

    def _check(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        """Raise an error before an operation that cannot be recorded."""
        tags = func.tags
        if any(t.layout is not torch.strided for t in _tensors([*args, *kwargs.values()])):
            raise CannotRecord(f"{func} reads a sparse tensor.")
        if torch.Tag.data_dependent_output in tags:
            raise CannotRecord(f"{func} reads a number.")
        masks = (torch.bool, torch.uint8)
        if torch.Tag.dynamic_output_shape in tags and (
            func is not torch.ops.aten.index.Tensor
            or any(tensor.dtype in masks for tensor in _tensors(args[1]))
        ):
            raise CannotRecord(f"The shape of the result of {func} depends on numbers.")
        if torch.Tag.nondeterministic_seeded in tags:
            generator = kwargs.get("generator")
            if generator is None:
                raise CannotRecord(f"{func} draws from a global generator.")
            self.states.append((generator, generator.get_state()))
        for tensor in _changed(func, args, kwargs):
            if _memory(tensor) not in self._memory:
                raise CannotRecord(f"{func} changes a tensor from outside.")
        if self._numbers > _MOST_NUMBERS:
            raise CannotRecord("The tensors are too large.")


class _Writer:
    """Writes a graph from the calls of a recorder, with less work where the result is the same."""

    def __init__(self, calls: list, inputs: Sequence[Any]) -> None:
        self.calls = calls
        self.graph = fx.Graph()
        self.held: list[Any] = []
        self._nodes: dict[tuple, fx.Node] = {}
        # Nodes whose numbers never change, and nodes that always stay at their place in memory.
        self._constant: set[fx.Node] = set()
        self._fixed: set[fx.Node] = set()
        memory = [_memory(tensor) for tensor in inputs if isinstance(tensor, Tensor)]
        if len(set(memory)) < len(memory):
            raise CannotRecord("Two inputs share memory.")
        for number, tensor in enumerate(inputs):
            node = self.graph.placeholder(f"input_{number}")
            if isinstance(tensor, Tensor):
                self._nodes[_place(tensor)] = node
        self._last_placeholder = node
        #: The memory of tensors that change after they were made.
        self._changing = {
            _memory(tensor)
            for func, args, kwargs, _ in calls
            for tensor in _changed(func, args, kwargs)
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
        for node in reversed(self.graph.nodes):
            if node.op.startswith("call") and not node.users and not node.meta["needed"]:
                self.graph.erase_node(node)
        return Recorded(self.graph, self.held)

    def _write(self, func: Any, args: tuple, kwargs: dict[str, Any], out: Any) -> None:
        changes = func._schema.is_mutable
        found = _tensors(out)
        if not changes and found and all(_place(tensor) in self._nodes for tensor in found):
            return  # the same memory, seen in the same way, for example by `detach`
        if not changes and self._once(func, args, kwargs, found):
            return
        arguments = [self._argument(value) for value in args]
        if (
            func.overloadpacket.__name__.rstrip("_") in _ARITHMETIC
            and len(args) == 2
            and type(args[1]) in (int, float)
            and isinstance(args[0], Tensor)
            and args[0].dtype == torch.float32
        ):
            arguments[1] = self._hold(torch.tensor(float(args[1]), dtype=torch.float32))
        named = {name: self._argument(value) for name, value in kwargs.items() if value is not None}
        call = self._call(func, tuple(arguments), named)
        # Draws move a generator on, and what returns nothing is there for its effect.
        draws = torch.Tag.nondeterministic_seeded in func.tags
        call.meta["needed"] = changes or draws or not found
        if isinstance(out, Tensor):
            self._nodes.setdefault(_place(out), call)
        elif out is not None:
            for number, tensor in enumerate(out):
                if tensor is not None:
                    part = self.graph.call_function(operator.getitem, (call, number))
                    part.meta["needed"] = False
                    self._nodes.setdefault(_place(tensor), part)

    def _call(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> fx.Node:
        """Call an operation by torch's function or method, which is faster than its own call.

        Both come from the same declaration, so they take the same arguments.
        """
        name = func.overloadpacket.__name__
        if isinstance(getattr(torch, name, None), BuiltinFunctionType):
            return self.graph.call_function(getattr(torch, name), args, kwargs)
        if isinstance(getattr(torch.Tensor, name, None), MethodDescriptorType):
            return self.graph.call_method(name, args, kwargs)
        return self.graph.call_function(func, args, kwargs)

    def _once(self, func: Any, args: tuple, kwargs: dict[str, Any], found: list[Tensor]) -> bool:
        """Hold the results of an operation if they can be kept from one call to the next."""
        if torch.Tag.nondeterministic_seeded in func.tags:
            return False
        if any(_memory(tensor) in self._changing for tensor in found):
            return False
        sources = {self._node(tensor) for tensor in _tensors([*args, *kwargs.values()])}
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


def _memory(tensor: Tensor) -> int:
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


def _tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, (list, tuple)):
        return [tensor for value in values for tensor in _tensors(value)]
    return []


def _changed(func: Any, args: tuple, kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors to which an operation writes."""
    named = dict(zip((a.name for a in func._schema.arguments), args, strict=False)) | kwargs
    written = [
        named.get(argument.name)
        for argument in func._schema.arguments
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return _tensors(written)
