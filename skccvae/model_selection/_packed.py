"""A grid search whose models train together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from joblib import effective_n_jobs, parallel_config
from joblib.parallel import ParallelBackendBase, get_active_backend
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ParameterGrid
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed

from skccvae._sklearn import Interval, StrOptions
from skccvae.estimators._base import BaseVAETransformer

__all__ = ["PackedGridSearchCV"]


class PackedGridSearchCV(GridSearchCV):
    """Search over a grid of parameters, in which the models of all candidates train together.

    It is `sklearn.model_selection.GridSearchCV` with the same parameters, attributes and results. A
    training step of a small network is mostly calls of operations, and hardly any arithmetic. Here
    the networks of many candidates and folds are stacked, so that one call serves them all.

    Parameters
    ----------
    estimator : estimator object
        An estimator of this package, or a pipeline or other estimator with one of them in it.
    param_grid : dict or list of dict
        Lists of values for the names of parameters, as for `GridSearchCV`.
    scoring : str, callable, list, tuple or dict, default=None
        As for `GridSearchCV`. None is the estimator's ``score``.
    n_jobs : int, default=None
        Number of processes that share the fits, as in scikit-learn. Set the environment variable
        ``OMP_NUM_THREADS=1`` with it.
    refit : bool, str or callable, default=True
        Whether the best candidate is fitted to all rows, and which it is, as for `GridSearchCV`.
    cv : int, cross-validation generator or an iterable, default=None
        How rows are split, as for `GridSearchCV`.
    verbose : int, default=0
        As for `GridSearchCV`. The times that it prints contain the wait for other models.
    pre_dispatch : int or str, default="2*n_jobs"
        A number is how many fits are begun before the first of them ends, which bounds the memory
        that they take together. The default begins as many as ``pack_size`` asks for.
    error_score : "raise" or float, default=np.nan
        Score of a fit that fails, as for `GridSearchCV`. A model that diverges ends alone.
    return_train_score : bool, default=False
        As for `GridSearchCV`.
    pack_size : int or "auto", default="auto"
        Most models that train together. ``"auto"`` is as many as pay and as fit into memory; where
        they do not pay it is 1.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        As for `GridSearchCV`, and ``"packed"``, an array of bool: whether all models of a candidate
        trained together with others. The time of a fit is its own and its share of the pack's.
    best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_, \
multimetric_
        As for `GridSearchCV`.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : The same, one model after the other.
    compare_geometries : Comparison of geometries on rows held out.

    Notes
    -----
    Each model has its own rows, random numbers, learning rate, number of epochs and weight of the
    KL. It ends as it does in its own `fit`, up to rounding, so scores and choices are those of
    `GridSearchCV` but for what rounding grows to within a training.

    Models train together if their networks are of kind ``"mlp"`` with equal ``hidden_layer_sizes``
    and ``activation``, and they have the same number of columns, ``likelihood``, ``batch_size``,
    ``objective`` and ``n_latent_samples``. Latent spaces may differ in everything. Those of equal
    posterior, dimension and curvature share a step, and so do folds.

    Models train alone, in the same call, with other networks or parts of yours, ``early_stopping``,
    ``callbacks``, ``verbose``, rows that are molecules, or in a pipeline with ``memory``.

    The gain is largest for small networks and small batches. It vanishes where a step is mostly
    arithmetic: ``pack_size="auto"`` stacks nothing if the number of weights times ``batch_size`` is
    above sixteen millions. The random numbers of a step of yours beside the model, and what it
    prints, may come in another order than in `GridSearchCV`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skccvae import HyperbolicVAETransformer
    >>> from skccvae.model_selection import PackedGridSearchCV
    >>> X = load_digits().data[:300] / 16
    >>> vae = HyperbolicVAETransformer(hidden_layer_sizes=(32,), max_epochs=3, random_state=0)
    >>> grid = {"curvature": [-2.0, -0.5], "n_components": [2, 5]}
    >>> search = PackedGridSearchCV(vae, grid, cv=3).fit(X)
    >>> search.cv_results_["packed"]
    array([ True,  True,  True,  True])
    >>> sorted(search.best_params_), search.transform(X).shape[0]
    (['curvature', 'n_components'], 300)
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[..., Any] = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: float | str = np.nan,
        return_train_score: bool = False,
        pack_size: int | str = "auto",
    ) -> None:
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.pack_size = pack_size

    _parameter_constraints: ClassVar[dict] = {
        **GridSearchCV._parameter_constraints,
        "pack_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    }

    def fit(self, X: Any, y: Any = None, **params: Any) -> PackedGridSearchCV:
        """Run fit with all sets of parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, as the estimator takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets of steps, scorers and splitters that read them.
        **params : dict
            As for `GridSearchCV.fit`: parameters of the estimator's ``fit``, of the scorer and of
            the splitter.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        Exception
            What `GridSearchCV` raises, and with ``error_score="raise"`` what a fit raises.
        """
        backend = _PackBackend(self.n_jobs, self.pack_size)
        # The fits of the search go to this backend, and nothing else does: `_run_search` leaves it.
        self._packs = backend
        backend.config = parallel_config(backend=backend)
        try:
            return super().fit(X, y, **params)
        finally:
            backend.config.unregister()
            del self._packs

    def _run_search(self, evaluate_candidates: Callable, *, callback_ctx: Any = None) -> None:
        backend: _PackBackend = self._packs
        backend.config.unregister()
        packed = backend.packed(len(ParameterGrid(self.param_grid)))
        evaluate = partial(evaluate_candidates, more_results={"packed": packed})
        # scikit-learn has contexts of callbacks since 1.9.
        context = {} if callback_ctx is None else {"callback_ctx": callback_ctx}
        super()._run_search(evaluate, **context)


class _Task:
    """A fit of the search, as joblib waits for it."""

    def __init__(self, backend: _PackBackend, batch: Any, callback: Any) -> None:
        self.backend, self.items, self.callback = backend, batch.items, callback
        self.values: list[Any] = []
        self.packed: list[bool] = []

    def get(self) -> list[Any]:
        if not self.packed:
            self.backend.run()
        return self.values


class _PackBackend(ParallelBackendBase):
    """A backend of joblib that gathers the fits it is given and runs them when a result is due."""

    config: parallel_config
    uses_threads = True
    supports_sharedmem = True

    def __init__(self, n_jobs: int | None, pack_size: int | str) -> None:
        super().__init__()
        self.n_jobs, self.pack_size = n_jobs, pack_size
        self.tasks: list[_Task] = []

    def __reduce__(self) -> tuple:
        # Fits get the search that they belong to, also in other processes, and none of its tasks.
        return _PackBackend, (self.n_jobs, self.pack_size)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        # How many fits may wait at once, which `pre_dispatch` can bound.
        return 10**4

    def submit(self, func: Any, callback: Any = None) -> _Task:
        task = _Task(self, func, callback)
        self.tasks.append(task)
        return task

    apply_async = submit  # its name in joblib 1.4

    def packed(self, n_candidates: int) -> Iterator[bool]:
        """Whether all fits of a candidate trained in packs, when these are done."""
        flags = [flag for task in self.tasks for flag in task.packed]
        by_candidate: np.ndarray = np.reshape(flags, (n_candidates, -1))
        yield from by_candidate.all(axis=1).tolist()

    def run(self) -> None:
        """Run the tasks that wait, and let joblib hand over further ones."""
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
    """Neighbours that train together, in shares, and alone what cannot; with the size of packs."""
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
    """Whether a fit may train a model that can train with others, as far as parameters say."""
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
    """Results of some tasks, and whether each trained in a pack."""
    from skccvae.training.meeting import run_together  # and skorch with it

    config = _config_here()
    calls = [partial(_run_task, items, config) for items in batches]
    # scikit-learn enters a context of filters in each fit, and fits do not end in reverse order.
    with warnings.catch_warnings():
        outcomes = run_together(calls, pack_size)
    results = []
    for values, packed, waiting, training in outcomes:
        for value in values:
            if isinstance(value, dict) and "fit_time" in value:
                # Others were at work while it waited.
                value["fit_time"] += (training - waiting) / len(values)
        results.append((values, packed))
    return results


def _run_task(items: list[tuple], config: dict[str, Any]) -> list[Any]:
    if not config:
        return [func(*args, **kwargs) for func, args, kwargs in items]
    with parallel_config(**config):
        return [func(*args, **kwargs) for func, args, kwargs in items]


def _config_here() -> dict[str, Any]:
    """The backend of joblib in this thread, for another one; empty for the default."""
    backend, n_jobs = get_active_backend()
    default = type(backend).__name__ == "LokyBackend" and not backend.nesting_level and n_jobs == 1
    return {} if default else {"backend": backend, "n_jobs": n_jobs}
