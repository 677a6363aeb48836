"""Find the model in what a user passes: a transformer, a Pipeline with one, or a search."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skccvae._array_api import as_numpy
from skccvae._tables import as_frame
from skccvae.manifolds import Manifold


def find_model(estimator: Any, required: bool = True) -> tuple[Any, Any]:
    """Return the last transformer of skccvae in an estimator, and the estimator up to that step.

    Parameters
    ----------
    estimator : estimator
        A transformer of skccvae, a Pipeline that has one as a step, or a fitted search over either.
    required : bool, default=True
        Whether it is an error if there is no transformer of skccvae.

    Returns
    -------
    model : estimator or None
        The transformer of skccvae, or None.
    transformer : estimator
        The model with the steps before it, which takes the same rows as ``estimator``. If
        ``estimator`` is not a Pipeline, it is ``estimator`` itself.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If there is no transformer of skccvae and one is required.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)
    check_is_fitted(estimator)
    n_steps = len(estimator) if isinstance(estimator, Pipeline) else 0
    for index in reversed(range(n_steps)):
        if _is_model(estimator[index]):
            return estimator[index], estimator[: index + 1]
    if _is_model(estimator):
        return estimator, estimator
    if required:
        raise TypeError(
            "Expected a fitted transformer of skccvae, with an attribute manifold_, or a Pipeline "
            f"with one as a step; got {type(estimator).__name__}."
        )
    return None, estimator


def _is_model(step: Any) -> bool:
    return isinstance(getattr(step, "manifold_", None), Manifold)


def decode(transformer: Any, Z: NDArray[Any]) -> NDArray[Any]:
    """Rows decoded from latent points; TypeError if the transformer has no way back."""
    if not hasattr(transformer, "inverse_transform"):
        raise TypeError(
            f"This {type(transformer).__name__} has no inverse_transform, or one of its steps has "
            "none. Pass the step that makes the latent space, such as pipeline['vae'], and rows as "
            "that step reads them."
        )
    return np.asarray(as_numpy(transformer.inverse_transform(Z)))


def ambient_points(estimator: Any, X: Any) -> NDArray[np.float64]:
    """Encode the rows of X, as ambient points of the model's ``manifold_`` in float64."""
    model, transformer = find_model(estimator)
    Z = torch.from_numpy(np.array(as_numpy(transformer.transform(X)), dtype=np.float64))
    return np.asarray(model.manifold_.from_chart(Z, model.coordinates).numpy())


def posterior_of(estimator: Any, X: Any, rows: NDArray[np.int64]) -> Any:
    """Posterior of some rows of X; TypeError if the model has none or X has no rows by index."""
    model, transformer = find_model(estimator)
    if not hasattr(model, "posterior_distribution"):
        raise TypeError(
            f"uncertainty shows posteriors, but {type(model).__name__} has none, because its code "
            "is a point. Use a variational autoencoder, or uncertainty=False."
        )
    chosen = _take(X, rows)
    if transformer is not model:
        chosen = transformer[:-1].transform(chosen)
    return model.posterior_distribution(chosen)


def _take(X: Any, rows: NDArray[np.int64]) -> Any:
    """Some rows of what a user passes as X."""
    X = as_frame(X)
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if hasattr(X, "tocsr"):
        return X.tocsr()[rows]
    if isinstance(X, list | tuple):
        return [X[row] for row in rows]
    stream = isinstance(X, torch.utils.data.IterableDataset)
    if isinstance(X, torch.utils.data.Dataset) and not stream:
        return torch.utils.data.Subset(X, rows.tolist())
    if hasattr(X, "__getitem__") and not stream:
        return X[rows]
    raise TypeError(
        f"uncertainty reads some rows of X again, which is not possible with a "
        f"{type(X).__name__}. Pass rows in memory or a Dataset."
    )
