"""Fit each geometry to the same rows, and measure it on the same held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import ShuffleSplit
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skccvae._labels import read_labels
from skccvae._sklearn import Interval, validate_params
from skccvae.estimators._streams import is_stream
from skccvae.estimators._units import choose_likelihood
from skccvae.estimators._validation import validate_rows
from skccvae.metrics.distance_matrix import check_distance_matrix
from skccvae.model_selection._comparison import GeometryComparison
from skccvae.model_selection._measures import Target
from skccvae.model_selection._split import ESTIMATORS, SplitJob, dense

__all__ = ["compare_geometries"]

GEOMETRIES = ("pca", *ESTIMATORS)


@validate_params(
    {
        "X": "no_validation",
        "y": "no_validation",
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "geometries": ["array-like", None],
        "distances": ["array-like", str, callable, None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "n_repeats": [Interval(Integral, 2, None, closed="left")],
        "test_size": [
            Interval(Real, 0, 1, closed="neither"),
            Interval(Integral, 3, None, closed="left"),
        ],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "params": "no_validation",
    },
    # The estimators and scikit-learn's splitter check what is passed on to them.
    prefer_skip_nested_validation=False,
)
def compare_geometries(
    X: Any,
    y: Any = None,
    *,
    n_components: int = 2,
    geometries: Sequence[str] | None = None,
    distances: ArrayLike | str | Callable[..., float] | None = None,
    n_neighbors: int = 5,
    n_repeats: int = 5,
    test_size: float | int = 0.25,
    random_state: int | RandomState | None = None,
    n_jobs: int | None = None,
    **params: Any,
) -> GeometryComparison:
    r"""Compare PCA, plane, sphere and hyperbolic space of one dimension on held-out rows.

    Each geometry is fitted to the training rows of several random splits, and measured on the
    held-out rows. Within a split all models have the same rows and the same seed.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, ...)
        Rows, as for `fit` of the estimators. Sparse rows become dense for PCA and distances.
    y : array-like of shape (n_samples,), default=None
        Labels for the nearest-neighbour criterion, and for ``supervised_weight`` if that is among
        `params`. Missing labels (NaN, None) are left out. Whether labels are classes or measured
        numbers is decided as for ``supervised_weight``.
    n_components : int, default=2
        Intrinsic dimension d of all latent spaces.
    geometries : sequence of {"pca", "plane", "sphere", "hyperbolic"}, default=None
        The geometries to compare, at least one of them other than ``"pca"``. They stand for
        scikit-learn's `PCA`, `GaussianVAETransformer`, `SphericalVAETransformer` and
        `HyperbolicVAETransformer`. None takes all four.
    distances : array-like of shape (n_samples, n_samples), str or callable, default=None
        True distances between the rows of X, or a metric of
        :func:`sklearn.metrics.pairwise_distances`, which is applied to the rows of X as they are.
        None takes Euclidean distances between rows in model units; see Notes.
    n_neighbors : int, default=5
        Number of neighbours that vote.
    n_repeats : int, default=5
        Number of splits, at least 2. Each split trains one model for each geometry.
    test_size : float or int, default=0.25
        Share or number of held-out rows.
    random_state : int, RandomState instance or None, default=None
        Determines splits and seeds.
    n_jobs : int, default=None
        Number of splits to work on in parallel, as in scikit-learn. Set the environment variable
        ``OMP_NUM_THREADS=1`` with it.
    **params : dict
        Parameters of the estimators, such as ``max_epochs`` or ``hidden_layer_sizes``, for all
        geometries except PCA.

    Returns
    -------
    GeometryComparison
        Printing it shows a table. For a criterion, :meth:`~GeometryComparison.best` names the
        geometry that is better than the others by more than chance. The criteria, on held-out rows,
        are

        - ``log_likelihood``, the importance-weighted bound with 64 draws, and ``elbo``, the
          evidence lower bound, in nats per row. With a Gaussian likelihood PCA has the value of
          probabilistic PCA [1]_, which is a density of X in the same units. With other likelihoods
          it has none (NaN).
        - ``mean_squared_error``, of the reconstruction, per entry in model units.
        - ``explained_variance``: one minus the ratio of that error to the error of the training
          mean.
        - ``pearson`` and ``spearman``: correlation of latent geodesic distances with `distances`,
          over all pairs of at most 2000 rows.
        - ``knn_accuracy`` or ``knn_r2``, if y is given: accuracy of the vote of the nearest
          training rows by geodesic distance, or :math:`R^2` of their mean.

    Raises
    ------
    TypeError
        If X is a Dataset or holds molecules, or the estimators do not have a parameter.
    ValueError
        If a parameter is outside its range; if X has NaN and PCA is requested; if the likelihood is
        one for angles, which have no differences; if `distances` is not a matrix of distances for
        X; if y is not a single target; or if too few labelled rows are left to train on. In
        addition, the errors that `fit` of the estimators raises for X and `params`.

    See Also
    --------
    skccvae.plotting.GeometryComparisonDisplay : A plot of the result.
    skccvae.metrics.delta_hyperbolicity : How far distances are from those of a tree.
    skccvae.metrics.estimate_curvature : The curvature that fits distances best.

    Notes
    -----
    Model units are those in which the likelihood sees the rows. For ``"gaussian"``,
    ``"isotropic_gaussian"`` and ``"count_gaussian"`` the column means are subtracted, and the
    columns are divided by their standard deviations, or all by one number. For other likelihoods
    they are the units of X, up to a factor. PCA is fitted in model units too. ``likelihood="auto"``
    is resolved once, for all rows.

    No single criterion is the right one. The likelihood judges the whole model of a row, including
    its noise, and the geometry of the codes only as far as it helps. Squared errors and the ELBO
    favour PCA on flat data: it has the smallest error of all linear codes, and its bound is tight.
    Correlations with Euclidean distances favour PCA and the plane, because these are distances of a
    flat space. If you know true distances, pass them. The splits share rows, so the spread over
    repeats says nothing about newly drawn data sets.

    References
    ----------
    .. [1] M. E. Tipping and C. M. Bishop, "Probabilistic principal component analysis", JRSS B 61,
       1999, eqs. 4 to 8.

    Examples
    --------
    >>> from skccvae.datasets import make_sphere_mixture
    >>> from skccvae.model_selection import compare_geometries
    >>> X, y = make_sphere_mixture(200, n_features=20, random_state=0, return_X_y=True)
    >>> result = compare_geometries(
    ...     X, y, geometries=["pca", "plane", "sphere"], n_repeats=3, max_epochs=5, random_state=0
    ... )
    >>> result.geometries
    ('pca', 'plane', 'sphere')
    >>> result.criteria[:3]
    ('log_likelihood', 'elbo', 'mean_squared_error')
    >>> result.values["knn_accuracy"].shape
    (3, 3)
    """
    names = _geometries(geometries)
    if is_stream(X):
        raise TypeError(
            "compare_geometries splits rows, which is not possible with a stream. Pass an array or "
            f"a sparse matrix of some of its rows; got {type(X).__name__}."
        )
    estimators = {name: ESTIMATORS[name] for name in names if name != "pca"}
    probe = next(iter(estimators.values()))(n_components, **params)
    rows = validate_rows(probe, X, reset=True)
    if probe._input.columns is not None:
        raise ValueError(
            "compare_geometries measures differences of rows, but the columns of X are of several "
            "kinds, which have no difference in common. Pass numbers: those of "
            "sklearn.preprocessing.OneHotEncoder and StandardScaler in a ColumnTransformer."
        )
    if not (isinstance(rows, np.ndarray) or sp.issparse(rows)):
        raise TypeError(
            "compare_geometries takes rows of numbers in memory; got "
            f"{type(X).__name__}. Pass an array of the samples of a Dataset, and for molecules "
            "rows made by skccvae.molecules.FingerprintTransformer."
        )
    if "pca" in names and not sp.issparse(rows) and np.isnan(rows).any():
        raise ValueError(
            "X contains NaN, which PCA does not accept. Leave PCA out: "
            f"geometries={[name for name in names if name != 'pca']}."
        )
    if "pca" in names and n_components > rows.shape[1]:
        raise ValueError(
            f"PCA has at most as many components as X has columns, {rows.shape[1]}; got "
            f"n_components={n_components}. Use fewer, or leave PCA out: "
            f"geometries={[name for name in names if name != 'pca']}."
        )
    if isinstance(probe.likelihood, str) and probe.likelihood == "auto":
        params["likelihood"] = choose_likelihood(rows, "auto", probe.binarize)[0].name
    n = rows.shape[0]
    labels, target = (None, None) if y is None else _read_target(y, n)
    reference = _check_distances(distances, rows)

    rng = check_random_state(random_state)
    splitter = ShuffleSplit(n_repeats, test_size=test_size, random_state=rng.randint(2**31 - 1))
    splits = list(splitter.split(np.empty(n)))
    seeds = rng.randint(2**31 - 1, size=n_repeats).tolist()
    n_train, n_test = map(len, splits[0])
    if "pca" in names and n_components > n_train:
        raise ValueError(
            f"PCA has at most as many components as there are rows to fit it, {n_train}; got "
            f"n_components={n_components}. Use fewer components, or more rows."
        )
    if n_test < 3:
        raise ValueError(
            f"{n_test} held-out row(s) have no distances to compare; use a larger test_size or "
            f"more rows than {n}."
        )
    if target is not None:
        _check_labels(target, splits, n_neighbors)
    job = SplitJob(
        rows=rows,
        sample_shape=probe._input.sample_shape,
        y=labels,
        target=target,
        distances=reference,
        names=names,
        n_components=n_components,
        n_neighbors=n_neighbors,
        params=params,
    )
    results = Parallel(n_jobs=n_jobs)(
        delayed(job)(train, test, seed) for (train, test), seed in zip(splits, seeds, strict=True)
    )
    criteria = results[0][1][names[0]]
    return GeometryComparison(
        names,
        {c: [[measured[name][c] for name in names] for _, measured in results] for c in criteria},
        n_train=n_train,
        n_test=n_test,
        n_components=n_components,
        likelihood=results[0][0],
    )


def _geometries(given: Sequence[str] | None) -> tuple[str, ...]:
    names = GEOMETRIES if given is None else tuple(given)
    unknown = [name for name in names if name not in GEOMETRIES]
    if unknown or len(set(names)) < len(names) or not set(names) & set(ESTIMATORS):
        raise ValueError(
            f"geometries must hold names from {list(GEOMETRIES)}, each once, and at least one "
            f"other than 'pca'; got {list(names)}."
        )
    return names


def _read_target(y: Any, n_rows: int) -> tuple[NDArray[Any], Target]:
    """Labels as `fit` accepts them, in an array, and as numbers."""
    targets = read_labels(y, n_rows)
    if len(targets) != 1:
        raise ValueError(
            f"y must hold one label for each row; got {len(targets)} columns. Run a comparison for "
            "each of them."
        )
    (found,) = targets
    numbers = found.values.dtype.kind in "iuf"
    labels = np.full(n_rows, np.nan) if numbers else np.full(n_rows, None, dtype=object)
    labels[found.known] = found.values
    return labels, Target.read(found)


def _check_labels(target: Target, splits: list[Any], n_neighbors: int) -> None:
    for train, test in splits:
        n_train, n_test = (
            np.count_nonzero(~np.isnan(target.values[part])) for part in (train, test)
        )
        if n_train < n_neighbors or n_test < 1:
            raise ValueError(
                f"A split has {n_train} labelled training row(s) and {n_test} labelled held-out "
                f"row(s), but n_neighbors={n_neighbors} needs that many to train on and one to "
                "predict. Give more labels, or leave y out."
            )


def _check_distances(given: Any, rows: Any) -> Any:
    """Matrix of true distances, or a metric that takes rows of X, or None."""
    if given is None:
        return None
    if isinstance(given, str) or callable(given):
        pairwise_distances(dense(rows[:2]), metric=given)  # an unknown metric raises here
        return given
    matrix = check_distance_matrix(given, "distances")
    if len(matrix) != rows.shape[0]:
        raise ValueError(
            f"distances must hold one row and one column for each of the {rows.shape[0]} rows of "
            f"X; got shape {matrix.shape}."
        )
    return matrix
