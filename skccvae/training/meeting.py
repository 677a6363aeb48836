"""Fits that wait for each other where their trainings begin, so that these run as packs.

Each fit runs in a thread of its own, and only one of them at a time: the threads are coroutines.
So what stands before and after a training, steps of a pipeline and scores, runs as it always does.
All trainings run in the thread that has called `run_together`, where Ctrl-C arrives.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar, copy_context
from typing import Any, NamedTuple

from skccvae.training.modes import own_modes
from skccvae.training.pack import Training, pack_key, pack_limit, train_pack

__all__ = ["Outcome", "Wait", "run_together", "train"]


class Wait(NamedTuple):
    """The wait of a call for one of its trainings.

    Attributes
    ----------
    begin : float
        Seconds since the call began.
    seconds : float
        How long it waited.
    training : float
        Its share of the time that the training took.
    """

    begin: float
    seconds: float
    training: float


class Outcome(NamedTuple):
    """What a call of `run_together` has come to.

    Attributes
    ----------
    value : object
        What it returned.
    packed : bool
        Whether it trained, and all of its trainings ran in a pack.
    waits : list of Wait
        One for each training, but for those in threads that the call itself has started.
    """

    value: Any
    packed: bool
    waits: list[Wait]


class _Abandoned(BaseException):
    """Ends a thread whose result nobody wants any more."""


# Seconds that a thread has to end.
_PATIENCE = 2.0

_current: ContextVar[_Fit | None] = ContextVar("skccvae_current_fit", default=None)


def train(training: Training) -> None:
    """Train a model: at once, or within `run_together` with others.

    A call of `run_together` can wait in its own thread alone. Trainings in threads that it has
    started run at once.

    Raises
    ------
    DivergenceError
        As `VAENet.train_epochs`.
    """
    fit = _current.get()
    if fit is None:
        training.run()
    elif not fit.is_here():
        fit.packed.append(False)
        fit.leave_if_abandoned()
        training.run()
    else:
        fit.wait_for(training)


class _Fit:
    """A call in a thread that runs only while its owner waits in `resume`."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._abandoned = False
        self.wanted: Training | None = None
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.ended: BaseException | None = None  # what ended the training early
        self.packed: list[bool] = []
        self.waits: list[Wait] = []
        self.training = 0.0  # seconds of the last one
        self._start = 0.0

    def resume(self) -> None:
        """Go on until the call wants a training, or is done."""
        if self._thread is None:
            # Settings in context variables hold in the thread as well.
            target = copy_context().run
            self._thread = threading.Thread(target=target, args=(self._run,), daemon=True)
            self._thread.start()
        else:
            self._go.release()
        self._back.acquire()

    def is_here(self) -> bool:
        """Whether the call runs in this thread."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        _current.set(self)
        self._start = time.perf_counter()
        try:
            self.value = self._call()
        except BaseException as error:
            self.error = error
        self.done = True
        self._back.release()

    def wait_for(self, training: Training) -> None:
        start = time.perf_counter()
        self.wanted = training
        if not self._abandoned:
            self._back.release()
            self._go.acquire()
        self.wanted = None
        seconds = time.perf_counter() - start
        self.waits.append(Wait(start - self._start, seconds, self.training))
        self.leave_if_abandoned()
        ended, self.ended = self.ended, None
        if ended is not None:
            raise ended

    def leave_if_abandoned(self) -> None:
        if self._abandoned:
            raise _Abandoned

    def abandon(self) -> None:
        """Let the thread end: at its next training, if it is not in one, or with its call."""
        self._abandoned = True
        self._go.release()

    def join(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            # One that waits for threads of its own may take long, and ends by itself.
            self._thread.join(_PATIENCE)


def run_together(
    calls: Sequence[Callable[[], Any]], pack_size: int | str = "auto"
) -> list[Outcome]:
    """Run calls that train models, so that trainings of one kind run as a pack.

    Parameters
    ----------
    calls : sequence of callable
        Called without arguments, one after the other up to the training, and then again from there
        on. A call may train several models, or none.
    pack_size : int or "auto", default="auto"
        Most models in a pack. ``"auto"`` is as many as pay, see `pack_limit`.

    Returns
    -------
    list of Outcome
        In the order of the calls.

    Raises
    ------
    BaseException
        What a call has raised; the others are given up. A training that ends early raises in its
        own call, which may catch it.
    """
    fits = [_Fit(call) for call in calls]
    ready = deque(fits)
    waiting: dict[tuple, list[_Fit]] = {}
    try:
        while ready or waiting:
            if ready:
                group = _advance(ready.popleft(), waiting, pack_size)
            else:
                group = waiting.pop(next(iter(waiting)))
            # A call that wants a further training joins the others again.
            _train(group)
            ready.extendleft(reversed(group))
    except BaseException:
        # All of them before the first join, which another Ctrl-C may interrupt.
        for fit in fits:
            fit.abandon()
        for fit in fits:
            fit.join()
        raise
    return [Outcome(fit.value, bool(fit.packed) and all(fit.packed), fit.waits) for fit in fits]


def _advance(fit: _Fit, waiting: dict[tuple, list[_Fit]], pack_size: int | str) -> list[_Fit]:
    """Run a call until it wants a training or is done; those that should train now."""
    fit.resume()
    if fit.error is not None:
        raise fit.error
    if fit.done:
        return []
    assert fit.wanted is not None
    key, limit = pack_key(fit.wanted), pack_limit(fit.wanted)
    if pack_size != "auto":
        limit = int(pack_size)
    if key is None or limit == 1:
        return [fit]
    waiting.setdefault(key, []).append(fit)
    return waiting.pop(key) if len(waiting[key]) >= limit else []


@own_modes(grad=True)
def _train(fits: list[_Fit]) -> None:
    trainings = [fit.wanted for fit in fits if fit.wanted is not None]
    start = time.perf_counter()
    together = len(fits) > 1
    if together:
        errors, together = train_pack(trainings)
        for fit, error in zip(fits, errors, strict=True):
            fit.ended = error
    elif fits:
        try:
            trainings[0].run()
        except Exception as error:
            fits[0].ended = error
    for fit in fits:
        fit.packed.append(together)
        fit.training = (time.perf_counter() - start) / len(fits)
