"""Molecules as X: fingerprints for the likelihood, and graphs for the encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from skccvae.molecules import MolecularGraph
from skccvae.nn import LIKELIHOODS
from skccvae.training import PairedRows


def molecular_graph(encoder: Any) -> MolecularGraph | None:
    """The settings of a molecular encoder, or None for any other ``encoder``."""
    if isinstance(encoder, MolecularGraph):
        return encoder
    return MolecularGraph() if isinstance(encoder, str) and encoder == "molecular_graph" else None


def describe_molecules(input_tags: Any) -> None:
    """Say in scikit-learn's tags that X is a column of strings and not a table of numbers."""
    input_tags.string = input_tags.one_d_array = True
    input_tags.two_d_array = input_tags.three_d_array = input_tags.sparse = False
    input_tags.allow_nan = input_tags.positive_only = False


def same_setting(a: Any, b: Any) -> bool:
    """Whether two values of a parameter mean the same. A name stands for its settings."""
    if molecular_graph(a) is not None:
        return molecular_graph(a) == molecular_graph(b)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same_setting, a, b))
    return a is b or bool(np.array_equal(a, b))


def n_observed(encoder: Any, n_features: int) -> int:
    """Number of columns that the likelihood describes, for X of ``n_features`` columns."""
    graph = molecular_graph(encoder)
    return n_features if graph is None else graph.n_bits


def molecule_rows(estimator: Any, X: Any, *, reset: bool) -> PairedRows:
    """Read a column of molecules as rows, for `validate_rows`.

    Parameters
    ----------
    estimator : BaseEstimator
        An estimator with a molecular encoder. Its ``n_features_in_`` becomes 1.
    X : array-like of shape (n,) or (n, 1)
        SMILES strings or RDKit molecules.
    reset : bool
        Whether the estimator sees data for the first time.

    Returns
    -------
    PairedRows
        Fingerprints and graphs of the molecules.

    Raises
    ------
    ValueError
        If a row is not a molecule, X is empty, or the likelihood does not describe fingerprints.
    """
    if reset:
        _check_settings(estimator)
    encoder = estimator.encoder if reset else estimator._structure["encoder"]
    if isinstance(encoder, str):
        # The name stands for one object per estimator, which keeps the rows that it made last.
        encoder = vars(estimator).setdefault("_named_encoder", MolecularGraph())
    counts = estimator._likelihood_class(reset).fingerprint == "counts"
    rows = PairedRows(*encoder.rows(X, counts=counts))
    # A data frame has a name for its column; anything else just has one column.
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
            "decoder='conv' produces images, but encoder='molecular_graph' needs a decoder for "
            "fingerprints. Use decoder='mlp'."
        )
    if estimator.binarize is not None:
        raise ValueError(
            f"binarize={estimator.binarize!r} has no meaning for encoder='molecular_graph', whose "
            "fingerprints are bits or counts already. Use binarize=None."
        )
    if estimator.missing != "error":
        raise ValueError(
            f"missing={estimator.missing!r} has no meaning for encoder='molecular_graph', whose "
            "fingerprints have no missing values. Use missing='error'."
        )
    if estimator.image_shape is not None:
        raise ValueError(
            f"image_shape={estimator.image_shape!r} has no meaning for encoder='molecular_graph', "
            "which reads molecules. Use image_shape=None."
        )


def _names(fingerprint: str) -> str:
    """Names of the likelihoods for a fingerprint's bits or counts, as a list in a sentence."""
    names = [repr(name) for name, kind in LIKELIHOODS.items() if kind.fingerprint == fingerprint]
    return " or ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
