"""Random numbers that belong to the estimator.

The draws of a fit come from a `RandomStream`, which has its own generators. Torch's global
generators do not change, and fits in other threads draw from other streams. Code that can only use
torch's global generators, such as dropout in a user's module, borrows them under a lock.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

# The drawing functions that take a generator as a keyword: functions of torch, methods of tensors,
# and functions of torch.nn.init.
_DRAWS = frozenset(
    "bernoulli bernoulli_ cauchy_ exponential_ geometric_ kaiming_normal_ kaiming_uniform_ "
    "log_normal_ multinomial normal normal_ orthogonal_ poisson rand randint randn random_ "
    "randperm trunc_normal_ uniform_ xavier_normal_ xavier_uniform_".split()
)
# The functions that make tensors of torch's default dtype.
_FACTORIES = frozenset(("empty", "eye", "ones", "rand", "randn", "zeros"))
# Held while the global generators continue a stream. The same thread may acquire it again. The
# streams that currently lend, with the innermost last, belong to the thread that holds the lock.
_GLOBAL_GENERATORS = threading.RLock()
_lenders: list[RandomStream] = []


def entropy_from(random_state: object) -> int:
    """Turn scikit-learn's ``random_state`` into one integer.

    Parameters
    ----------
    random_state : None, int or numpy.random.RandomState
        None takes fresh entropy from the operating system and leaves NumPy's global state alone.
        A RandomState yields its next number, so two fits in a row differ, as in scikit-learn.

    Returns
    -------
    int
        In [0, 2**32).

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> from skccvae.training import entropy_from
    >>> entropy_from(7)
    7
    """
    if random_state is None:
        return secrets.randbits(32)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**32, dtype=np.uint32))
    if isinstance(random_state, Integral) and int(random_state) >= 0:
        return int(random_state) % 2**32
    raise ValueError(
        "random_state must be None, an integer of at least 0 or a numpy.random.RandomState; got "
        f"{random_state!r}."
    )


def derive_seed(entropy: int, *path: int) -> int:
    """Seed for one purpose, unrelated to the seeds of other purposes.

    Parameters
    ----------
    entropy : int
        A number from `entropy_from`.
    *path : int
        Numbers that identify the purpose.

    Returns
    -------
    int
        In [0, 2**63).
    """
    state = np.random.SeedSequence([entropy, *path]).generate_state(1, dtype=np.uint64)
    return int(state[0] >> np.uint64(1))


class RandomStream:
    """The random numbers of one fit or one sample.

    Parameters
    ----------
    seed : int
        The seed.
    device : str or torch.device, default="cpu"
        Device of the model. The stream has one generator on the CPU, and another on a GPU.
    lends : bool, default=False
        Whether code outside this package also draws, such as a user's module. Within `drawing`,
        torch's global generators then continue from this stream.

    Attributes
    ----------
    cpu, device : torch.Generator or None
        Generators for tensors on the CPU and on the device. None means torch's global generator,
        which then has the state of this stream.
    order : torch.Generator
        Generator for the order of rows. It is separate from that of the noise. A stream of rows in
        the same order as in a fit from memory is therefore trained with the same noise.

    Examples
    --------
    >>> import torch
    >>> from skccvae.training import RandomStream
    >>> before = torch.get_rng_state()
    >>> stream = RandomStream(0)
    >>> x = torch.randn(3, generator=stream.cpu)
    >>> with RandomStream(0).building():
    ...     y = torch.randn(3)
    >>> with RandomStream(0, lends=True).drawing():
    ...     z = torch.randn(3)
    >>> bool((x == y).all()), bool((x == z).all()), bool((torch.get_rng_state() == before).all())
    (True, True, True)
    """

    def __init__(self, seed: int, device: str | torch.device = "cpu", lends: bool = False) -> None:
        self.cpu: torch.Generator | None = torch.Generator().manual_seed(seed)
        self.device: torch.Generator | None = self.cpu
        if torch.device(device).type == "cuda":
            self.device = torch.Generator(device).manual_seed(seed)
        self.order = torch.Generator().manual_seed(derive_seed(seed, 1))
        self.lends = lends

    @contextmanager
    def drawing(self, within: bool = False) -> Iterator[None]:
        """Lend the stream to torch's global generators for a block, if ``lends`` is true.

        Threads of this package wait for each other at such blocks. With ``within``, a block inside
        that of another stream continues with the other stream.
        """
        if not self.lends or self.cpu is None:
            yield
            return
        own = list(dict.fromkeys(g for g in (self.cpu, self.device) if g is not None))
        with _GLOBAL_GENERATORS:
            if within and _lenders:
                yield
                return
            lent = [_global_generator(generator.device) for generator in own]
            before = [generator.get_state() for generator in lent]
            _lenders.append(self)
            try:
                for generator, mine in zip(lent, own, strict=True):
                    generator.set_state(mine.get_state())
                self.cpu = self.device = None
                yield
            finally:
                _lenders.remove(self)
                self.cpu, self.device = own[0], own[-1]
                for generator, mine, state in zip(lent, own, before, strict=True):
                    mine.set_state(generator.get_state())
                    generator.set_state(state)

    @contextmanager
    def building(self, draws: bool = True) -> Iterator[None]:
        """A block in which layers are initialised from this stream, in float32.

        It affects only this thread, whatever torch's default dtype is. It slows down every call of
        torch, so training passes the generators instead. Without ``draws``, tensors that would be
        filled with random numbers keep their values, because stored weights replace them anyway.
        """
        with self.drawing(), _Defaults(self, draws):
            yield


class _Defaults(TorchFunctionMode):
    """Generator and dtype for calls of torch that do not specify them."""

    def __init__(self, stream: RandomStream, draws: bool) -> None:
        super().__init__()
        self.stream = stream
        self.draws = draws

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), dict(kwargs or {})
        if name in _DRAWS and name.endswith("_") and not self.draws:
            return args[0] if args else kwargs["tensor"]
        of_a_float = name in {"full", "tensor"} and args and isinstance(args[-1], float)
        if name in _FACTORIES or of_a_float:
            kwargs["dtype"] = kwargs.get("dtype") or torch.float32
        if name in _DRAWS and kwargs.get("generator") is None:
            first = args[0] if args else kwargs.get("tensor")
            place = first.device if isinstance(first, torch.Tensor) else kwargs.get("device")
            on_cpu = place is None or torch.device(place).type == "cpu"
            kwargs["generator"] = self.stream.cpu if on_cpu else self.stream.device
        return func(*args, **kwargs)


def _global_generator(device: torch.device) -> torch.Generator:
    if device.type == "cpu":
        return torch.default_generator
    index = torch.cuda.current_device() if device.index is None else device.index
    return torch.cuda.default_generators[index]
