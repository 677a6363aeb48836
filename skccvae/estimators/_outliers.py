"""Outliers as rows that a model finds unlikely: any estimator as an outlier detector."""

from __future__ import annotations

import copy
import math
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags, indexable
from sklearn.utils.validation import check_is_fitted
from torch.utils.data import Dataset, Subset

from skccvae._array_api import as_numpy
from skccvae._sklearn import HasMethods, Interval, StrOptions, fit_context, safe_indexing
from skccvae._tables import as_frame
from skccvae.estimators._base import BaseVAETransformer
from skccvae.estimators._blocks import chosen_blocks
from skccvae.estimators._columns import known_levels
from skccvae.estimators._gaussian import GaussianVAETransformer
from skccvae.estimators._streams import is_stream

# Share of new rows, drawn as those of `fit` were, that "auto" may call outliers.
_FALSE_ALARMS = 0.05
# Number of folds, and number of scores after which the remaining folds are not used.
_FOLDS, _ENOUGH_SCORES = 5, 1000


class LatentOutlierDetector(OutlierMixin, BaseEstimator):
    """Outlier detector based on the log-likelihood of an estimator of this package.

    Parameters
    ----------
    estimator : estimator or Pipeline, default=None
        An estimator of this package, or a `Pipeline` that ends in one. It is cloned. None means
        ``GaussianVAETransformer()``.
    contamination : "auto" or float, default="auto"
        Sets the threshold for outliers. With "auto", about one in twenty new rows from the same
        distribution as those of `fit` is called an outlier; see Notes. A number in (0, 0.5] is the
        share of the rows of `fit` that are called outliers. The share of new rows from the same
        distribution may be much larger.
    n_importance_samples : int, default=64
        Draws for each row, as in ``score_samples`` of the estimator.

    Attributes
    ----------
    estimator_ : estimator or Pipeline
        The estimator, fitted to all rows.
    offset_ : float
        The score below which a row is an outlier, in nats.
    n_features_in_ : int
        Number of columns of the X of `fit`.
    feature_names_in_ : ndarray of str
        Names of the columns, if X had names and all of them were strings.

    See Also
    --------
    GaussianVAETransformer : The default estimator.
    sklearn.ensemble.IsolationForest : Outliers by random cuts, each through one column.
    sklearn.neighbors.LocalOutlierFactor : Outliers by local density, compared with neighbours.

    Notes
    -----
    A model gives the rows that it was fitted to a higher likelihood than new ones, and a much
    higher one if they are few. A threshold from these rows would call most new rows outliers. So
    "auto" takes the threshold from held-out rows. The rows form five folds, which are left out in
    turn, or as many of them as hold 1000 rows. A model fitted to the other rows scores the left-out
    rows. The threshold is the k-th smallest of m such scores, with k = floor((m + 1) / 20), or 1 if
    that is 0. If a single model had given all scores, a new row of the same distribution would fall
    below the threshold with a probability of at most k / (m + 1) [1]_. Here each fold has its own
    model, and the final model has seen more rows than they have, so the share is only approximately
    1/20. Outliers among the rows of `fit` lower the threshold.

    The price is up to six fits instead of one. A number for ``contamination`` needs only one. The
    training rows of each fold are copied, except those of a torch ``Dataset``.

    With `AutoencoderTransformer`, which has no likelihood of rows, the scores are those of the
    reconstruction. A high likelihood does not mean that a row is typical. Rows simpler than those
    of `fit`, such as blank images, may score higher than all of them [2]_.

    References
    ----------
    .. [1] Bates, Candès, Lei, Romano and Sesia, "Testing for outliers with conformal p-values",
       Annals of Statistics 51, 2023, section 1: the marginal conformal p-value.
    .. [2] Nalisnick et al., "Do deep generative models know what they don't know?", ICLR 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skccvae import GaussianVAETransformer, LatentOutlierDetector
    >>> X, y = load_wine(return_X_y=True)
    >>> vae = GaussianVAETransformer(max_epochs=20, random_state=0)
    >>> detector = LatentOutlierDetector(make_pipeline(StandardScaler(), vae)).fit(X[y == 0])
    >>> labels = detector.predict(X)
    >>> bool((labels[y == 0] == -1).mean() < 0.1), bool((labels[y != 0] == -1).mean() > 0.8)
    (True, True)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "estimator": [HasMethods(["fit", "score_samples"]), None],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, estimator=None, contamination="auto", n_importance_samples=64):
        self.estimator = estimator
        self.contamination = contamination
        self.n_importance_samples = n_importance_samples

    # The estimator validates its own parameters.
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Fit the estimator to X, and set the threshold for outliers.

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows that the estimator accepts.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted detector.

        Raises
        ------
        ValueError
            If the estimator refuses X, or X is a single row and ``contamination="auto"``.
        TypeError
            If ``estimator`` is not one of this package, or X is a stream and
            ``contamination="auto"``, which holds out rows.
        """
        estimator = clone(self._estimator())
        _last_step(estimator)
        if is_stream(X) and self.contamination == "auto":
            raise TypeError(
                f"contamination='auto' holds out rows of X, which is not possible with a stream "
                f"({type(X).__name__}). Give contamination as a number, or pass an array or a "
                "Dataset as X."
            )
        estimator.fit(X)
        if self.contamination == "auto":
            offset = self._held_out_offset(estimator, X)
        else:
            scores = as_numpy(self._scores(estimator, X))
            offset = float(np.percentile(scores, 100 * self.contamination))
        self.estimator_, self.offset_ = estimator, offset
        return self

    def score_samples(self, X):
        """Importance-weighted bound on log p(x) of each row. Lower values are less normal.

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in `fit`.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            Scores in nats, as ``score_samples`` of the estimator returns them.
        """
        check_is_fitted(self)
        return self._scores(self.estimator_, X)

    def decision_function(self, X):
        """Return `score_samples` minus ``offset_``: negative for outliers.

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in `fit`.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            Scores in nats.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Return 1 for rows like those of `fit`, and -1 for outliers.

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int
        """
        return np.where(as_numpy(self.decision_function(X)) < 0, -1, 1)

    def fit_predict(self, X, y=None):
        """Fit the estimator to X, and return 1 for its ordinary rows and -1 for outliers.

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in `fit`.
        y : None
            Ignored.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int
        """
        return self.fit(X).predict(X)

    @property
    def n_features_in_(self) -> int:
        """Number of columns of the X of `fit`."""
        check_is_fitted(self)
        return self.estimator_.n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the columns of the X of `fit`, if they are text."""
        check_is_fitted(self)
        return self.estimator_.feature_names_in_

    def _estimator(self) -> Any:
        return GaussianVAETransformer() if self.estimator is None else self.estimator

    def _scores(self, estimator: Any, X: Any) -> Any:
        if isinstance(estimator, Pipeline) and len(estimator) > 1:
            # The method of a Pipeline does not pass on the number of draws.
            X = estimator[:-1].transform(X)
        return _last_step(estimator).score_samples(X, self.n_importance_samples)

    def _held_out_offset(self, fitted: Any, X: Any) -> float:
        """Threshold from scores of rows that the scoring model has not seen."""
        (X,) = indexable(as_frame(as_numpy(X)))
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if n_rows < 2:
            raise ValueError(
                "contamination='auto' holds out rows and needs at least two of them; X has "
                f"n_samples={n_rows}. Set contamination to a number."
            )
        unfitted = clone(fitted)
        # Scores of different likelihoods could not be compared.
        last, columns = _last_step(fitted), _last_step(fitted)._input.columns
        if columns is not None:
            _last_step(unfitted).set_params(likelihood=chosen_blocks(last))
            if hasattr(X, "iloc") and last is fitted:
                X = known_levels(X, columns)
        elif isinstance(last.likelihood, str) and last.likelihood == "auto":
            _last_step(unfitted).set_params(likelihood=last.likelihood_)
        scores = np.empty(0)
        folds = KFold(min(_FOLDS, n_rows), shuffle=True, random_state=0)
        for train, held_out in folds.split(np.empty(n_rows)):
            model = clone(unfitted).fit(_rows(X, train))
            try:
                found = as_numpy(self._scores(model, _rows(X, held_out)))
            except ValueError as error:
                if columns is None or "was not fitted on" not in str(error):
                    raise
                raise ValueError(
                    "contamination='auto' scores one part of the rows by a model of the others, "
                    "and a level occurs in one part only. Give the column a category dtype, which "
                    f"names all levels, or set contamination to a number. ({error})"
                ) from error
            scores = np.append(scores, found)
            if len(scores) >= _ENOUGH_SCORES:
                break
        rank = max(math.floor(_FALSE_ALARMS * (len(scores) + 1)), 1)
        return float(np.sort(scores)[rank - 1])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = copy.deepcopy(get_tags(self._estimator()).input_tags)
        return tags


def _last_step(estimator: Any) -> BaseVAETransformer:
    """The estimator of this package that an estimator is, or ends in."""
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(last, BaseVAETransformer):
        raise TypeError(
            "estimator must be an estimator of skccvae, such as GaussianVAETransformer(), or a "
            f"Pipeline that ends in one; got {estimator!r}."
        )
    return last


def _rows(X: Any, index: np.ndarray) -> Any:
    if isinstance(X, Dataset):
        return Subset(X, index.tolist())
    return safe_indexing(X, index)
