"""The attributes of a fitted estimator, and their documentation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from skccvae.estimators._input_spec import InputSpec
from skccvae.estimators._supervision import TargetEncoder
from skccvae.manifolds import Manifold

if TYPE_CHECKING:
    from skccvae.training import VAENet


class SavedAttributes:
    """The attributes that `fit` decides and a saved file keeps. Others are rebuilt from these."""

    n_iter_: int
    likelihood_: str
    _input: InputSpec
    _targets: TargetEncoder | None
    # Seed of all draws, and how many calls have trained on the model since it was built.
    _entropy: int
    _n_fits: int


class FittedAttributes(SavedAttributes):
    """The attributes that `fit` sets.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns of X. For images, the number of values in one image; for molecules, 1.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X had names and all of them were strings.
    n_iter_ : int
        Number of epochs that the last call of `fit` or `partial_fit` ran.
    loss_curve_ : list of float
        Training loss of each epoch, in nats per row: minus the objective, with ``beta`` and
        ``free_bits`` applied.
    history_ : dict of list
        One list for each of the columns ``"epoch"``, ``"train_loss"``, ``"elbo"``,
        ``"reconstruction"``, ``"kl"``, ``"beta"`` and ``"dur"`` (seconds), with one entry for each
        epoch. ``distance_weight`` adds ``"stress"``, and early stopping adds the columns
        ``"valid_..."``. ``"train_loss_best"`` and ``"valid_loss_best"`` say whether the loss is the
        smallest so far. Callbacks may add columns of their own. ``pandas.DataFrame(history_)``
        makes a table of it.
    net_ : skorch.NeuralNet
        The trained net. Its torch module is ``net_.module_``.
    manifold_ : Manifold
        The latent space.
    curvature_ : float or list of float
        Curvature of the latent space, or the curvatures of the factors of a product.
    classes_ : ndarray of shape (n_classes,) or list
        The labels in y. It exists only if ``supervised_weight`` is positive and y is discrete. For
        several targets it is a list, with None in place of each real-valued target.
    likelihood_ : str
        The likelihood in use: its name, or the import path of your own class.
    device_ : str
        The device in use.
    """

    n_features_in_: int
    feature_names_in_: np.ndarray
    manifold_: Manifold
    curvature_: float | list[float]
    device_: str
    # Parameters that shaped the model, as they were when it was built.
    _structure: dict[str, Any]

    if TYPE_CHECKING:  # its name is not there before the first fit, and hints are read at run time
        net_: VAENet

    @property
    def history_(self) -> dict[str, list]:
        """The history of the net as columns, with one entry for each epoch."""
        rows = self._rows_of_history("history_")
        names = {name: None for row in rows for name in row if name not in {"batches", "epoch"}}
        # NaN in epochs without a column, such as one of validation losses, so that it stays a
        # table.
        columns = {name: [row.get(name, math.nan) for row in rows] for name in names}
        return {"epoch": list(range(1, len(rows) + 1)), **columns}

    @property
    def loss_curve_(self) -> list[float]:
        """Training loss of each epoch."""
        return [row["train_loss"] for row in self._rows_of_history("loss_curve_")]

    def _rows_of_history(self, name: str) -> list[dict[str, Any]]:
        # Columns are made only when they are read. If each call of partial_fit made them, it would
        # take longer than the call before.
        if "net_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no {name}: it is not fitted.")
        return self.net_.history

    @property
    def classes_(self) -> np.ndarray | list[np.ndarray | None]:
        """The labels of a discrete y under supervision. Otherwise the attribute does not exist."""
        targets = getattr(self, "_targets", None)
        if targets is None or all(classes is None for classes in targets.classes):
            raise AttributeError(
                f"{type(self).__name__} has no classes_: it was not fitted with a discrete y and "
                "supervised_weight > 0."
            )
        classes = list(targets.classes)
        return classes if len(classes) > 1 else classes[0]
