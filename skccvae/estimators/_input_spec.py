"""What X was when the model was built. All later rows have to match it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from skccvae.estimators._columns import MixedColumns
from skccvae.training import RowScaling


@dataclass(frozen=True)
class InputSpec:
    """Columns, shapes and units of X.

    Attributes
    ----------
    n_columns : int
        Number of columns, scikit-learn's ``n_features_in_``. It is 1 for a column of molecules.
    column_names : tuple of str or None
        Names of the columns, if X had names and all of them were strings.
    sample_shape : tuple of int or None
        Shape of one sample if X had more than two dimensions. Decoded rows get it back.
    image_shape : tuple of int or None
        Shape of one sample as convolutional networks see it: the estimator's ``image_shape`` if it
        is set, and ``sample_shape`` otherwise.
    units : RowScaling
        The scaling from the units of X to those of the model. It is the identity until the
        likelihood is known.
    columns : MixedColumns or None
        Likelihoods, levels and dtypes of columns, if they have a list of likelihoods.
    """

    n_columns: int
    column_names: tuple[str, ...] | None
    sample_shape: tuple[int, ...] | None
    image_shape: tuple[int, ...] | None
    units: RowScaling = RowScaling()
    columns: MixedColumns | None = None

    @classmethod
    def learn(
        cls,
        estimator: Any,
        sample_shape: tuple[int, ...] | None,
        columns: MixedColumns | None = None,
    ) -> InputSpec:
        """Read the specification off an estimator whose ``validate_data`` has just seen X.

        Raises
        ------
        ValueError
            If ``image_shape`` is not a shape, or does not fit the columns.
        """
        n_columns = int(estimator.n_features_in_)
        names = getattr(estimator, "feature_names_in_", None)
        shape = _checked_image_shape(estimator.image_shape)
        if shape is not None and math.prod(shape) != n_columns:
            raise ValueError(
                f"image_shape={shape} has {math.prod(shape)} numbers per sample, but X has "
                f"{n_columns} columns. Pass the shape of one image, such as (28, 28)."
            )
        return cls(
            n_columns=n_columns,
            column_names=None if names is None else tuple(str(name) for name in names),
            sample_shape=sample_shape,
            image_shape=sample_shape if shape is None else shape,
            columns=columns,
        )

    def check_shape(self, sample_shape: tuple[int, ...] | None) -> None:
        """Refuse images of another shape that have the right number of columns.

        A wrong number of columns is left to scikit-learn's check.
        """
        known = self.image_shape
        if known is None or sample_shape is None or math.prod(sample_shape) != self.n_columns:
            return
        if sample_shape != known:
            raise ValueError(
                f"X holds samples of shape {sample_shape}, but the model was fitted on samples of "
                f"shape {known}; transpose or resize X to that shape."
            )

    def give_back_to(self, estimator: Any) -> None:
        """Restore what scikit-learn's checks read, on an estimator that has been loaded."""
        estimator.n_features_in_ = self.n_columns
        if self.column_names is not None:
            estimator.feature_names_in_ = np.array(self.column_names, dtype=object)


def _checked_image_shape(image_shape: Any) -> tuple[int, ...] | None:
    """``image_shape`` as plain integers."""
    if image_shape is None:
        return None
    shape = tuple(image_shape)
    if not shape or not all(isinstance(n, Integral) and int(n) > 0 for n in shape):
        raise ValueError(
            "image_shape must hold positive integers, the shape of one image, such as (28, 28); "
            f"got {image_shape!r}."
        )
    return tuple(int(n) for n in shape)
