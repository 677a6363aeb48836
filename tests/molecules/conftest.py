"""Molecules, good ones and odd ones."""

from __future__ import annotations

import numpy as np
import pytest

from skccvae.datasets import fetch_qm9

# None of these may be lost, though each trips some tool.
ODD = {
    "chain of 300 atoms": "C" * 300,
    "salt": "[Na+].CC(=O)[O-]",
    "isotopes": "[2H]C([2H])([2H])[13CH3]",
    "single atom": "[He]",
    "wildcard": "*CC",
    "no carbon": "N#N",
    "stereo": "C/C=C\\[C@H](N)O",
}
_HEADS = ["C", "N", "O", "F", "Cl", "c1ccccc1", "C1CC1", "C#N", "C=O", "S"]
_TAILS = ["O", "N", "C", "Br", "C(=O)O", "c1ccncc1", "C1CCC1", "C#C", "C=C", "OC"]


@pytest.fixture(params=ODD.values(), ids=list(ODD), scope="session")
def odd(request: pytest.FixtureRequest) -> str:
    """Each odd molecule."""
    return request.param


@pytest.fixture(scope="session")
def all_odd() -> list[str]:
    """All of them."""
    return list(ODD.values())


@pytest.fixture(scope="session")
def smiles() -> list[str]:
    """A hundred small molecules."""
    return [f"{tail}CC{'C' * (i % 3)}{head}" for i, head in enumerate(_HEADS) for tail in _TAILS]


@pytest.fixture(scope="session")
def sizes(smiles: list[str]) -> np.ndarray:
    """Something to predict: how long each string is."""
    return np.array([float(len(s)) for s in smiles])


@pytest.fixture(scope="session")
def qm9(data_folder) -> tuple[np.ndarray, np.ndarray]:
    """SMILES and HOMO-LUMO gaps of 1000 molecules of QM9, in hartree."""
    if not (data_folder / "qm9" / "qm9.csv.gz").is_file():
        pytest.skip("no QM9 in the data folder")
    X, y = fetch_qm9(
        data_home=data_folder, targets="gap", return_X_y=True, download_if_missing=False
    )
    chosen = np.random.default_rng(0).permutation(len(X))[:1000]
    return X[chosen], y[chosen]
