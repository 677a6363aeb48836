"""Data sets on which default models are compared: each X as a user would pass it, and y."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.preprocessing import StandardScaler

# Folder of MNIST and QM9, which a benchmark sets.
DATA_HOME: str | None = None


class Table(NamedTuple):
    """X, y, and whether y is a quantity; ``dims`` are the widths that are tried."""

    X: Any
    y: np.ndarray
    regression: bool = False
    dims: tuple[int, ...] = (2, 5, 10)


def _standardised(load: Callable[..., Any], **kwargs: Any) -> Table:
    X, y = load(return_X_y=True)
    return Table(StandardScaler().fit_transform(X), y, **kwargs)


def _digits(divisor: float) -> Table:
    X, y = load_digits(return_X_y=True)
    return Table(X / divisor, y)


def _faces() -> Table:
    from skimage.data import lfw_subset

    images = lfw_subset()  # a hundred crops of faces, then a hundred of background
    return Table(images.reshape(len(images), -1), np.repeat([1, 0], 100))


def _mnist() -> Table:
    from skccvae.datasets import fetch_mnist

    data = fetch_mnist(subset="train", data_home=DATA_HOME)
    rows = np.random.default_rng(0).permutation(len(data.data))[:5000]
    return Table(np.asarray(data.data)[rows], np.asarray(data.target)[rows])


def _qm9(n: int, counts: bool) -> Table:
    from _qm9 import molecules

    found = molecules(DATA_HOME, ["gap"])
    rows = np.random.default_rng(0).permutation(len(found.smiles))[:n]
    X = (found.counts if counts else found.bits)[rows].toarray().astype(np.float32)
    return Table(X, found.target[rows].ravel(), regression=True, dims=(32,))


def _penguins() -> Table:
    """Measurements of penguins, standardised, and island and sex as indicator columns."""
    import pandas as pd
    from palmerpenguins import load_penguins

    frame = load_penguins().dropna()
    real = frame[["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]]
    indicators = pd.get_dummies(frame[["island", "sex"]]).to_numpy(float)
    X = np.hstack([StandardScaler().fit_transform(real), indicators])
    return Table(X, frame["species"].to_numpy(str), dims=(2, 5))


#: The list is fixed; a set may be left out of a run, but never because of its results.
TABLES: dict[str, Callable[[], Table]] = {
    "iris": lambda: _standardised(load_iris, dims=(2,)),
    "wine": lambda: _standardised(load_wine),
    "breast cancer": lambda: _standardised(load_breast_cancer),
    "diabetes": lambda: _standardised(load_diabetes, regression=True, dims=(2, 5)),
    "penguins": _penguins,
    "digits": lambda: _digits(1.0),
    "digits / 16": lambda: _digits(16.0),
    "faces": _faces,
    "MNIST 5000": _mnist,
    "QM9 600 counts": lambda: _qm9(600, True),
    "QM9 600 bits": lambda: _qm9(600, False),
    "QM9 5000 counts": lambda: _qm9(5000, True),
    "QM9 5000 bits": lambda: _qm9(5000, False),
}
