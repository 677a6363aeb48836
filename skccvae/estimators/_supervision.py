"""Targets for a supervised latent space: their kinds, and how they reach the model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skccvae._labels import Labels, is_measured, read_labels, warn_of_many_classes
from skccvae.nn import PredictionHead


@dataclass
class TargetEncoder:
    """Standardise real-valued targets, and number the classes of discrete ones.

    Attributes
    ----------
    classes : sequence of ndarray or None
        The classes of each target, or None for a real-valued target.
    center, scale : ndarray of shape (t,)
        Mean and standard deviation of each real-valued target; 0 and 1 for classes.
    """

    classes: Sequence[np.ndarray | None]
    center: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, y: Any, n_rows: int, weights: np.ndarray | None = None) -> TargetEncoder:
        """Learn the kind, classes and units of each target from y, with row weights."""
        targets = _read(y, n_rows)
        classes: list[np.ndarray | None] = []
        center, scale = np.zeros(len(targets)), np.ones(len(targets))
        for number, (values, known) in enumerate(targets):
            if values.size == 0:
                raise ValueError(
                    f"supervised_weight > 0 needs labels, but target {number} of y has none; "
                    "all its entries are missing."
                )
            if is_measured(values):
                values = values.astype(np.float64)
                classes.append(None)
                if weights is None:
                    center[number], spread = values.mean(), values.std()
                else:
                    of_known = weights[known]
                    center[number] = np.average(values, weights=of_known)
                    spread = np.average((values - center[number]) ** 2, weights=of_known) ** 0.5
                scale[number] = spread or 1.0
            else:
                if values.dtype.itemsize > 8 and values.dtype.kind == "f":
                    values = values.astype(np.float64)  # as files and pickles hold numbers
                classes.append(np.unique(values))
                warn_of_many_classes(values, number)
        return cls(classes, center, scale)

    def transform(self, y: Any, n_rows: int) -> np.ndarray:
        """Targets in model units, float32 of shape (n, t), with NaN where they are unknown."""
        targets = _read(y, n_rows)
        if len(targets) != len(self.classes):
            raise ValueError(
                f"y has {len(targets)} target(s), but the model was started with "
                f"{len(self.classes)}."
            )
        out = np.full((n_rows, len(targets)), np.nan, dtype=np.float32)
        for number, ((values, known), classes) in enumerate(
            zip(targets, self.classes, strict=True)
        ):
            if classes is None:
                if values.dtype.kind == "U":
                    raise ValueError(
                        f"Target {number} of y contains text, such as {values[0]!r}, but it held "
                        "numbers at first. Convert it: y.astype(float)."
                    )
                out[known, number] = (values - self.center[number]) / self.scale[number]
                continue
            numbers = {label: place for place, label in enumerate(classes.tolist())}
            labels = values.tolist()
            unseen = [label for label in labels if label not in numbers]
            if unseen:
                raise ValueError(
                    f"y contains a class that the model does not know: {unseen[0]!r}. The known "
                    f"classes are {classes.tolist()}."
                )
            out[known, number] = [numbers[label] for label in labels]
        return out

    def head(self, n_inputs: int) -> PredictionHead:
        """An untrained head for these targets."""
        return PredictionHead(n_inputs, [0 if c is None else len(c) for c in self.classes])


def warn_of_lonely_labels(targets: np.ndarray, held_out: np.ndarray) -> None:
    """Warn about a target whose labels are all on one side of the validation split.

    Parameters
    ----------
    targets : ndarray of shape (n, t)
        As `TargetEncoder.transform` returns them.
    held_out : ndarray of int
        The rows that are held out.
    """
    known = ~np.isnan(targets)
    n_known, n_valid = known.sum(0), known[held_out].sum(0)
    for number in range(targets.shape[1]):
        if n_valid[number] not in (0, n_known[number]):
            continue
        if n_known[number] == 0:
            what = "there is no label at all"
        elif n_valid[number] == 0:
            what = f"none of {n_known[number]} label(s) is among them, so stopping ignores it"
        else:
            what = f"all {n_valid[number]} label(s) are among them, so it is not learned"
        warnings.warn(
            f"early_stopping=True holds out {len(held_out)} row(s), and for target {number} of y "
            f"{what}. Give more labels, change validation_fraction, or use early_stopping=False.",
            UserWarning,
            stacklevel=2,
        )


def _read(y: Any, n_rows: int) -> list[Labels]:
    if y is None:
        raise ValueError(
            "supervised_weight > 0 needs y. Pass y to fit, with NaN for rows without a label, or "
            "set supervised_weight=0."
        )
    targets = read_labels(y, n_rows)
    if any(values.dtype.kind == "f" and np.isinf(values).any() for values, _ in targets):
        raise ValueError("y contains infinity; use NaN for rows without a label.")
    return targets
