"""Targets for a supervised latent space: what y is, and how it reaches the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import column_or_1d

from skccvae.nn import PredictionHead


@dataclass
class TargetEncoder:
    """Standardises real targets and numbers the classes of discrete ones; NaN stays NaN.

    Attributes
    ----------
    classes : sequence of ndarray or None
        For each target its classes, or None for a real-valued target.
    center, scale : ndarray of shape (t,)
        Of real-valued targets; 0 and 1 for classes.
    """

    classes: Sequence[np.ndarray | None]
    center: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, y: Any, n_rows: int) -> TargetEncoder:
        """Read the kind of each target off y."""
        columns = _columns(y, n_rows)
        classes: list[np.ndarray | None] = []
        center, scale = np.zeros(len(columns)), np.ones(len(columns))
        for number, column in enumerate(columns):
            known = column[~_missing(column)]
            if known.size == 0:
                raise ValueError(
                    f"supervised_weight > 0 needs labels, but target {number} of y has none; "
                    "every entry is missing."
                )
            if _is_real(known):
                known = known.astype(np.float64)
                classes.append(None)
                center[number] = known.mean()
                scale[number] = known.std() or 1.0
            else:
                classes.append(np.unique(known))
        return cls(classes, center, scale)

    def transform(self, y: Any, n_rows: int) -> np.ndarray:
        """Targets as the model reads them, float32 of shape (n, t), NaN where unknown."""
        columns = _columns(y, n_rows)
        if len(columns) != len(self.classes):
            raise ValueError(
                f"y has {len(columns)} target(s), but the model was started with "
                f"{len(self.classes)}."
            )
        out = np.full((n_rows, len(columns)), np.nan, dtype=np.float32)
        for number, (column, known_classes) in enumerate(zip(columns, self.classes, strict=True)):
            known = ~_missing(column)
            if known_classes is None:
                values = column[known].astype(np.float64)
                out[known, number] = (values - self.center[number]) / self.scale[number]
                continue
            place = np.searchsorted(known_classes, column[known])
            place = np.minimum(place, len(known_classes) - 1)
            unseen = known_classes[place] != column[known]
            if unseen.any():
                raise ValueError(
                    "y holds a class that was not there at first: "
                    f"{column[known][unseen].tolist()[0]!r}; known are {known_classes.tolist()}."
                )
            out[known, number] = place
        return out

    def head(self, n_inputs: int) -> PredictionHead:
        """An untrained head for these targets."""
        return PredictionHead(n_inputs, [0 if c is None else len(c) for c in self.classes])


def _missing(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind == "f":
        return np.isnan(column)
    if column.dtype.kind == "O":
        return np.array([value is None or value != value for value in column])
    return np.zeros(column.shape, dtype=bool)


def _is_real(known: np.ndarray) -> bool:
    """Whether the known values of a target are measured numbers and not the names of classes.

    Fractions are measured. Whole numbers are if they take many values: more than 20, and more than
    a tenth of the number of labels. Digits from 0 to 9 are classes, counts up to 1000 are not.
    """
    if known.dtype.kind not in "fiu":
        return False
    if type_of_target(known).startswith("continuous"):
        return True
    return len(np.unique(known)) > max(20, 0.1 * len(known))


def _plain(column: np.ndarray, number: int) -> np.ndarray:
    """A column of objects as numbers where all of it is numbers, None and NaN; else as text."""
    if column.dtype.kind != "O":
        return column
    missing = _missing(column)
    known = column[~missing].tolist()
    if all(isinstance(value, Real) and not isinstance(value, bool) for value in known):
        out = np.full(column.shape, np.nan)
        out[~missing] = np.asarray(known, dtype=np.float64)
        return out
    kinds = sorted({type(value).__name__ for value in known})
    if len(kinds) > 1:
        raise ValueError(
            f"Target {number} of y mixes {' and '.join(kinds)}; give numbers, or names of classes, "
            "with NaN or None for rows without label."
        )
    return column


def _columns(y: Any, n_rows: int) -> list[np.ndarray]:
    if y is None:
        raise ValueError(
            "supervised_weight > 0 needs y; pass y to fit, with NaN for rows without label, or "
            "set supervised_weight=0."
        )
    if hasattr(y, "iloc") and getattr(y, "ndim", 1) == 2:
        # Column by column: in one array, a column of text would turn the numbers into objects.
        parts = [np.asarray(y.iloc[:, number]) for number in range(y.shape[1])]
        if y.shape[0] != n_rows or not parts:
            raise ValueError(
                f"y must have shape ({n_rows},) or ({n_rows}, n_targets); got {y.shape}."
            )
        return [_plain(_finite(part), number) for number, part in enumerate(parts)]
    y = np.asarray(y)
    shape = y.shape
    if y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1):
        y = column_or_1d(y, dtype=None, input_name="y")[:, None]
    if y.ndim != 2 or y.shape[0] != n_rows:
        raise ValueError(f"y must have shape ({n_rows},) or ({n_rows}, n_targets); got {shape}.")
    return [_plain(_finite(y[:, number]), number) for number in range(y.shape[1])]


def _finite(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind == "f" and np.isinf(column).any():
        raise ValueError("y contains infinity; use NaN for rows without label.")
    return column
