"""Molecules as X: rows that hold more than the likelihood describes."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from skccvae.molecules import MolecularGraph
from skccvae.nn import LIKELIHOODS


def molecular_graph(encoder: Any) -> MolecularGraph | None:
    """The settings of a molecular encoder, or None for any other ``encoder``."""
    if isinstance(encoder, MolecularGraph):
        return encoder
    return MolecularGraph() if isinstance(encoder, str) and encoder == "molecular_graph" else None


def same_setting(a: Any, b: Any) -> bool:
    """Whether two values of a parameter ask for the same; a name stands for its settings."""
    if molecular_graph(a) is not None:
        return molecular_graph(a) == molecular_graph(b)
    return a is b or bool(np.array_equal(a, b))


def row_layout(encoder: Any, n_features: int) -> tuple[int, int]:
    """How many columns the likelihood describes, and how many the shortest row has."""
    graph = molecular_graph(encoder)
    return (n_features, n_features) if graph is None else (graph.n_bits, graph.n_columns)


def observed(X: Any, encoder: Any) -> Any:
    """The columns of validated rows that the likelihood describes."""
    graph = molecular_graph(encoder)
    return X if graph is None else X[:, : graph.n_bits]


def molecule_rows(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Rows of a column of molecules, for `validate_rows`.

    Parameters
    ----------
    estimator : BaseEstimator
        With a molecular encoder; ``n_features_in_`` becomes 1.
    X : array-like of shape (n,) or (n, 1)
        SMILES strings or RDKit molecules.
    reset : bool
        Whether this is the first sight of the data.

    Returns
    -------
    csr_array of shape (n, p)
        Fingerprint and graph of each molecule.

    Raises
    ------
    ValueError
        If a row is not a molecule, X is empty, or the likelihood does not describe fingerprints.
    """
    if reset:
        _check_settings(estimator)
    encoder = estimator.encoder if reset else estimator._structure["encoder"]
    graph = molecular_graph(encoder)
    assert graph is not None, "called for molecular encoders"
    rows = graph.rows(X, counts=estimator._likelihood_class(reset).fingerprint == "counts")
    if rows.shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) while a minimum of 1 is required by "
            f"{type(estimator).__name__}; X holds no molecule."
        )
    # Names of columns are those of a data frame; of anything else, that there is one column.
    named = X if hasattr(X, "columns") else np.empty((rows.shape[0], 1))
    validate_data(estimator, named, reset=reset, skip_check_array=True)
    return rows


def _check_settings(estimator: Any) -> None:
    kind = estimator._likelihood_class(reset=True)
    if kind.fingerprint is None:
        raise ValueError(
            f"likelihood={kind.name!r} does not describe a fingerprint, which is what the decoder "
            f"of encoder='molecular_graph' returns. Use {_names('bits')} for bits or "
            f"{_names('counts')} for counts."
        )
    if estimator.decoder == "conv":
        raise ValueError(
            "decoder='conv' makes images, and encoder='molecular_graph' goes with fingerprints. "
            "Use decoder='mlp'."
        )
    if estimator.binarize is not None:
        raise ValueError(
            f"binarize={estimator.binarize!r} has no meaning for encoder='molecular_graph', whose "
            "fingerprints are bits or counts already. Use binarize=None."
        )
    if estimator.image_shape is not None:
        raise ValueError(
            f"image_shape={estimator.image_shape!r} has no meaning for encoder='molecular_graph', "
            "which reads molecules. Use image_shape=None."
        )


def _names(fingerprint: str) -> str:
    """Names of the likelihoods of a fingerprint's bits or counts, as a list in a sentence."""
    names = [repr(name) for name, kind in LIKELIHOODS.items() if kind.fingerprint == fingerprint]
    return " or ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
