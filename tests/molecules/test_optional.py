"""The chemistry packages are imported when they are used; errors say what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

from skccvae import GaussianVAETransformer
from skccvae.molecules import FingerprintTransformer, MolecularGraph, read_smiles

HEAVY = ("rdkit", "scikit_mol", "torch_geometric", "pandas")


# scikit-learn imports pandas and skorch torch_geometric where they find them, so that what is
# imported says something about the first two only; that nothing needs them is seen without them.
OURS = ("rdkit", "scikit_mol")


@pytest.mark.parametrize("blocked", [(), HEAVY], ids=["there", "missing"])
def test_importing_the_package_imports_no_chemistry(blocked):
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked})); import skccvae.molecules; "
        f"print([name for name in {OURS} if sys.modules.get(name)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("rdkit", lambda: read_smiles(["C"])),
        ("rdkit", lambda: FingerprintTransformer(fingerprint=Stub()).transform(["C"])),
        ("scikit_mol", lambda: FingerprintTransformer().transform(["C"])),
        ("scikit_mol", lambda: FingerprintTransformer().get_feature_names_out()),
        ("rdkit", lambda: MolecularGraph().rows(["C"])),
        ("torch_geometric", lambda: MolecularGraph().rows(["C"])),
        ("torch_geometric", lambda: GaussianVAETransformer(encoder="molecular_graph").fit(["C"])),
    ],
)
def test_a_missing_package_is_named_with_the_extra(package, call, monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # an import of it fails
    with pytest.raises(ImportError, match=package) as error:
        call()
    assert 'pip install "skccvae[molecules]"' in str(error.value)


class Stub:
    def transform(self, molecules):
        raise AssertionError("not reached")
