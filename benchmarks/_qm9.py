"""Code shared by the QM9 benchmarks: molecules as counts of fragments, settings, splits."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scikit_mol.fingerprints import MorganFingerprintTransformer

from skccvae import (
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    SphericalVAETransformer,
)
from skccvae.datasets import fetch_qm9
from skccvae.molecules import FingerprintTransformer, MolecularGraph

KINDS = {
    "Gaussian": GaussianVAETransformer,
    "spherical": SphericalVAETransformer,
    "hyperbolic": HyperbolicVAETransformer,
}
# Linear maps and one noise for all counts, as in PCA, but on a space. The warm-up keeps directions
# that pay off only once the learned noise is small.
LINEAR = {
    "hidden_layer_sizes": (),
    "likelihood": "isotropic_gaussian",
    "beta": 0.02,
    "kl_warmup_epochs": 5,
    "max_epochs": 15,
    "batch_size": 256,
    "learning_rate": 3e-3,
}
# The benchmarks add `supervised_weight`, which depends on the number of labels.
SUPERVISED = LINEAR | {
    "hidden_layer_sizes": (512,),
    "kl_warmup_epochs": 3,
    "max_epochs": 8,
    "learning_rate": 1e-3,
}
# Messages along the bonds in place of a layer that reads the fingerprint.
GRAPH = SUPERVISED | {
    "encoder": MolecularGraph(n_bits=1024, n_layers=4),
    "hidden_layer_sizes": (128, 128),
    "max_epochs": 12,
}


# How much the label of a molecule weighs against its fragments, whatever the number of labels.
LABEL_WEIGHT = 100.0


def supervised_weight(n_labels: int, n_rows: int) -> float:
    """The weight of the mean over labels with which each label weighs LABEL_WEIGHT."""
    return LABEL_WEIGHT * n_labels / n_rows


class Molecules(NamedTuple):
    """QM9 as the encoders read it."""

    smiles: list[str]
    counts: Any
    bits: Any
    target: np.ndarray


def molecules(
    data_home: str | None, targets: list[str], energy_unit: str = "published"
) -> Molecules:
    """All molecules, their Morgan fingerprints (radius 2, 1024 wide) and properties."""
    qm9 = fetch_qm9(data_home=data_home, targets=targets, energy_unit=energy_unit)
    fingerprint = MorganFingerprintTransformer(radius=2, fpSize=1024, useCounts=True)
    counts = FingerprintTransformer(fingerprint).fit_transform(qm9.data)
    return Molecules(list(qm9.data), counts, (counts > 0).astype(np.float32), qm9.target)


def rows_of(X: Any, index: np.ndarray) -> Any:
    """Some rows of a matrix or of a list."""
    return [X[i] for i in index] if isinstance(X, list) else X[index]
