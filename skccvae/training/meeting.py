"""Fits that wait for each other before they train, so that their trainings run as packs.

Each fit runs in its own thread. Only one thread runs at a time, so they behave like coroutines.
The code before and after a training, such as the steps of a pipeline or the scores, runs as usual.
All trainings run in the thread that called `run_together`, which is the one that gets Ctrl-C.
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
    """The time for which a call waited for one of its trainings.

    Attributes
    ----------
    begin : float
        Start of the wait, in seconds since the call began.
    seconds : float
        Length of the wait.
    training : float
        The call's share of the training time.
    """

    begin: float
    seconds: float
    training: float


class Outcome(NamedTuple):
    """The result of one of the calls that `run_together` runs.

    Attributes
    ----------
    value : object
        What the call returned.
    packed : bool
        Whether the call trained a model, and all of its trainings ran in a pack.
    waits : list of Wait
        One for each training, except trainings in threads that the call itself started.
    """

    value: Any
    packed: bool
    waits: list[Wait]


class _Abandoned(BaseException):
    """Ends a thread whose result is no longer needed."""


# Seconds to wait for a thread to end.
_PATIENCE = 2.0

_current: ContextVar[_Fit | None] = ContextVar("skccvae_current_fit", default=None)


def train(training: Training) -> None:
    """Train a model: immediately, or together with others within `run_together`.

    A call that `run_together` runs can only wait in its own thread. Trainings in threads that the
    call itself started run immediately.

    Raises
    ------
    DivergenceError
        As for `VAENet.train_epochs`.
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
    """A call in a thread that runs only while another thread waits in `resume`."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._abandoned = False
        self.wanted: Training | None = None
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.ended: BaseException | None = None  # the error that ended the training early
        self.packed: list[bool] = []
        self.waits: list[Wait] = []
        self.training = 0.0  # seconds that the last training took
        self._start = 0.0

    def resume(self) -> None:
        """Run the call until it requests a training or returns."""
        if self._thread is None:
            # Settings in context variables apply in the thread as well.
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
        """Make the thread end.

        It ends now if it waits for a training, else at its next training or when its call returns.
        """
        self._abandoned = True
        self._go.release()

    def join(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            # A call that waits for its own threads may take longer, and ends later by itself.
            self._thread.join(_PATIENCE)


def run_together(
    calls: Sequence[Callable[[], Any]], pack_size: int | str = "auto"
) -> list[Outcome]:
    """Run calls that train models, so that trainings of the same kind run as a pack.

    Parameters
    ----------
    calls : sequence of callable
        They take no arguments. They run one after the other, each up to its training, and continue
        from there when it is done. A call may train several models, or none.
    pack_size : int or "auto", default="auto"
        Largest number of models in a pack. ``"auto"`` uses `pack_limit`.

    Returns
    -------
    list of Outcome
        In the order of the calls.

    Raises
    ------
    BaseException
        The exception that a call raised. The other calls are then abandoned. A training that ends
        early raises its error in the call that requested it, and this call may catch the error.
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
            # A call that requests another training joins the others again.
            _train(group)
            ready.extendleft(reversed(group))
    except BaseException:
        # Abandon all of them before the first join, because another Ctrl-C may interrupt the join.
        for fit in fits:
            fit.abandon()
        for fit in fits:
            fit.join()
        raise
    return [Outcome(fit.value, bool(fit.packed) and all(fit.packed), fit.waits) for fit in fits]


def _advance(fit: _Fit, waiting: dict[tuple, list[_Fit]], pack_size: int | str) -> list[_Fit]:
    """Run a call until it requests a training or returns. Return the fits that should train now."""
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
