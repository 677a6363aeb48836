"""A joblib backend for a search: it collects the fits, and lets their models train together."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import effective_n_jobs, parallel_config
from joblib.parallel import ParallelBackendBase, get_active_backend
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed

from skccvae.estimators._base import BaseVAETransformer

if TYPE_CHECKING:
    from skccvae.training.meeting import Wait

__all__ = ["PackBackend"]


class _Task:
    """A fit of the search, which joblib waits for."""

    def __init__(self, backend: PackBackend, batch: Any, callback: Any) -> None:
        self.backend, self.items, self.callback = backend, batch.items, callback
        self.values: list[Any] = []
        self.packed: list[bool] = []

    def get(self) -> list[Any]:
        if not self.packed:
            self.backend.run()
        return self.values


class PackBackend(ParallelBackendBase):
    """A joblib backend that collects the fits it is given and runs them when a result is due."""

    config: parallel_config
    uses_threads = True
    supports_sharedmem = True

    def __init__(self, n_jobs: int | None, pack_size: int | str) -> None:
        super().__init__()
        self.n_jobs, self.pack_size = n_jobs, pack_size
        self.tasks: list[_Task] = []

    def __reduce__(self) -> tuple:
        # Fits get the search that they belong to, even in other processes, but none of its tasks.
        return PackBackend, (self.n_jobs, self.pack_size)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        # How many fits may wait at once, which `pre_dispatch` can bound.
        return 10**4

    def submit(self, func: Any, callback: Any = None) -> _Task:
        task = _Task(self, func, callback)
        self.tasks.append(task)
        return task

    apply_async = submit  # its name in joblib 1.4

    def packed(self, n_candidates: int) -> Iterator[bool]:
        """For each candidate, whether all its fits trained in packs, once these are done."""
        flags = [flag for task in self.tasks for flag in task.packed]
        n_splits = max(len(flags) // max(n_candidates, 1), 1)
        for first in range(0, len(flags), n_splits):
            yield all(flags[first : first + n_splits])

    def run(self) -> None:
        """Run the tasks that wait, and let joblib hand over more."""
        tasks = [task for task in self.tasks if not task.packed]
        n_jobs = effective_n_jobs(self.n_jobs)
        shares = list(_shared_out(tasks, n_jobs, self.pack_size))
        found = Parallel(n_jobs=self.n_jobs)(
            delayed(_run_pack)([task.items for task in share], size) for share, size in shares
        )
        for (share, _), results in zip(shares, found, strict=True):
            for task, (values, packed) in zip(share, results, strict=True):
                task.values, task.packed = values, [packed] * len(values)
                task.items = []
        for task in tasks:
            task.callback(task)


def _shared_out(
    tasks: Sequence[_Task], n_jobs: int, pack_size: int | str
) -> Iterator[tuple[Sequence[_Task], int | str]]:
    """Shares of tasks that train together, and all other tasks one by one, with the pack size."""
    together = []
    for task in tasks:
        if any(map(_may_pack, task.items)):
            together.append(task)
        else:
            yield [task], 1
    if together:
        most = _MOST_IN_SHARE if pack_size == "auto" else int(pack_size)
        n_shares = n_jobs * -(-len(together) // (n_jobs * most)) if n_jobs > 1 else 1
        for share in np.array_split(np.arange(len(together)), min(n_shares, len(together))):
            yield [together[number] for number in share], pack_size


# Fits that one process gets at once.
_MOST_IN_SHARE = 64


def _may_pack(item: tuple) -> bool:
    """Whether a fit may train a model that can train with others, as far as parameters tell."""
    _, args, kwargs = item
    parameters = kwargs.get("parameters") or {}
    try:
        estimator = clone(args[0]).set_params(**clone(parameters, safe=False))
    except Exception:  # the fit says what is wrong
        return False
    parts = [estimator, *estimator.get_params(deep=True).values()]
    if any(isinstance(part, Pipeline) and part.memory is not None for part in parts):
        return False  # one after the other, so that a later fit finds what an earlier one has kept
    return any(part._may_pack() for part in parts if isinstance(part, BaseVAETransformer))


def _run_pack(batches: list[list[tuple]], pack_size: int | str) -> list[tuple[list[Any], bool]]:
    """Results of some tasks, and for each whether it trained in a pack."""
    from skccvae.training.meeting import run_together  # imports skorch too

    config = _config_here()
    calls = [partial(_run_task, items, config) for items in batches]
    # scikit-learn enters a context of filters in each fit, and fits do not end in reverse order.
    with warnings.catch_warnings():
        outcomes = run_together(calls, pack_size)
    results = []
    for values, packed, waits in outcomes:
        for value in values:  # one; joblib makes no larger batches here
            if isinstance(value, dict) and "fit_time" in value:
                _own_times(value, waits)
        results.append((values, packed))
    return results


def _own_times(value: dict[str, Any], waits: Sequence[Wait]) -> None:
    """Subtract from the times of a fit and its scores the time spent on other models."""
    fitted = value["fit_time"]
    for begin, seconds, training in waits:
        # Scorers may train models too.
        part = "fit_time" if begin < fitted else "score_time"
        if part in value:
            value[part] = max(value[part] + training - seconds, 0.0)


def _run_task(items: list[tuple], config: dict[str, Any]) -> list[Any]:
    if not config:
        return [func(*args, **kwargs) for func, args, kwargs in items]
    with parallel_config(**config):
        return [func(*args, **kwargs) for func, args, kwargs in items]


def _config_here() -> dict[str, Any]:
    """The joblib backend of this thread, for use in another one; empty for the default."""
    backend, n_jobs = get_active_backend()
    default = type(backend).__name__ == "LokyBackend" and not backend.nesting_level and n_jobs == 1
    return {} if default else {"backend": backend, "n_jobs": n_jobs}
