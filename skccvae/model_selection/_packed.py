"""A grid search whose models train together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV, ParameterGrid

from skccvae._sklearn import Interval, StrOptions
from skccvae.estimators._streams import is_stream
from skccvae.model_selection._pack_backend import PackBackend

__all__ = ["PackedGridSearchCV"]


class PackedGridSearchCV(GridSearchCV):
    """Search over a grid of parameters, in which the models of all candidates train together.

    This is `sklearn.model_selection.GridSearchCV` with the same parameters, attributes and results.
    A training step of a small network spends its time on calling operations, and hardly any of it
    on arithmetic. Here the networks of many candidates and folds are stacked, so that one call
    serves them all.

    As with `GridSearchCV`, a fitted search stands for its best model, unless ``refit=False``.
    ``transform``, ``inverse_transform``, ``score_samples``, ``predict``, ``predict_proba``,
    ``predict_log_proba`` and ``decision_function`` are those of ``best_estimator_``, if it has
    them. ``score`` uses ``scoring``. Call other methods, such as ``sample``, on
    ``best_estimator_``.

    Parameters
    ----------
    estimator : estimator object
        An estimator of this package, or a pipeline or other estimator that contains one.
    param_grid : dict or list of dict
        Lists of values by parameter name, as for `GridSearchCV`.
    scoring : str, callable, list, tuple or dict, default=None
        As for `GridSearchCV`. None uses the estimator's ``score``.
    n_jobs : int, default=None
        Number of processes that share the fits, as in scikit-learn. Set the environment variable
        ``OMP_NUM_THREADS=1`` with it.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate to all rows, and how to choose it, as for `GridSearchCV`.
    cv : int, cross-validation generator or an iterable, default=None
        How to split the rows, as for `GridSearchCV`.
    verbose : int, default=0
        As for `GridSearchCV`. The printed times include the wait for other models.
    pre_dispatch : int or str, default="2*n_jobs"
        A number says how many fits are begun before the first of them ends, which bounds the memory
        that they take together. The default begins as many as ``pack_size`` asks for.
    error_score : "raise" or float, default=np.nan
        Score of a fit that fails, as for `GridSearchCV`. If a model diverges, the others
        train on.
    return_train_score : bool, default=False
        As for `GridSearchCV`.
    pack_size : int or "auto", default="auto"
        Largest number of models that train together. ``"auto"`` is as many as pay off and fit into
        memory. It is 1 if packing does not pay off.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        As for `GridSearchCV`, with an additional array of bool ``"packed"``, which says whether all
        models of a candidate trained together with others. The time of a fit is its own time and
        its share of the pack's.
    best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_, \
multimetric_, n_features_in_, feature_names_in_, classes_
        As for `GridSearchCV`.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : The same search, one model after the other.
    compare_geometries : Comparison of geometries on held-out rows.

    Notes
    -----
    Each model has its own rows, random numbers, learning rate, number of epochs and weight of the
    KL. It ends as it does in its own `fit`, up to rounding. Scores and choices are therefore those
    of `GridSearchCV`, up to the growth of rounding errors in training. If two candidates are
    equally good, rounding may decide between them, whereas `GridSearchCV` takes the first.

    Models train together if their networks are of kind ``"mlp"`` with equal ``hidden_layer_sizes``
    and ``activation``, and they have the same number of columns, ``likelihood``, ``binarize``,
    ``missing``, ``batch_size``, ``objective``, ``n_latent_samples`` and device. With
    ``supervised_weight`` they need the same targets. Either all or none of them may have a
    ``distance_weight``, or row weights. Latent spaces may differ in everything. Spaces of equal
    posterior, dimension and curvature share a step, and so do folds.

    Other models train alone, in the same call. These are models with other networks or parts of
    your own, ``early_stopping``, ``callbacks``, ``verbose``, ``precision="bfloat16"``, columns of
    several kinds, rows of a Dataset or molecules, and models in a pipeline with ``memory``. Models
    that continue an earlier training, or that your own step trains in its own threads, also train
    alone. If the step of a pack fails, its models start again, each alone.

    The gain is largest for small networks and small batches. It vanishes if a step is mostly
    arithmetic: ``pack_size="auto"`` stacks nothing if the number of weights times ``batch_size`` is
    above sixteen million. If a step of your own beside the model draws random numbers or prints,
    the order may differ from that in `GridSearchCV`.

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
            Rows that the estimator accepts.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets for steps, scorers and splitters that read them.
        **params : dict
            As for `GridSearchCV.fit`: parameters of the estimator's ``fit``, of the scorer and of
            the splitter.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        TypeError
            If X is a stream, whose rows cannot be split.
        Exception
            Whatever `GridSearchCV` raises, and with ``error_score="raise"`` whatever a fit raises.
        """
        if is_stream(X):
            raise TypeError(
                "A search splits rows, which is not possible with a stream. Pass an array, a "
                f"memory map or a sparse matrix; got {type(X).__name__}."
            )
        backend = PackBackend(self.n_jobs, self.pack_size)
        # The fits of the search go to this backend, and nothing else does: `_run_search` leaves it.
        self._packs = backend
        backend.config = parallel_config(backend=backend)
        try:
            return super().fit(X, y, **params)
        finally:
            backend.config.unregister()
            del self._packs

    def _run_search(self, evaluate_candidates: Callable, *, callback_ctx: Any = None) -> None:
        backend: PackBackend = self._packs
        backend.config.unregister()
        packed = backend.packed(len(ParameterGrid(self.param_grid)))
        evaluate = partial(evaluate_candidates, more_results={"packed": packed})
        # scikit-learn has contexts of callbacks since 1.9.
        context = {} if callback_ctx is None else {"callback_ctx": callback_ctx}
        super()._run_search(evaluate, **context)
