"""Molecules as SMILES strings or RDKit objects: parsing, fingerprints, graphs, torsion angles.

This needs the optional packages of ``pip install "skccvae[molecules]"``. They are imported only
when they are first used.
"""

from skccvae.molecules._fingerprints import FingerprintTransformer
from skccvae.molecules._graph import MolecularGraph
from skccvae.molecules._smiles import read_smiles
from skccvae.molecules._torsions import torsion_angles

__all__ = ["FingerprintTransformer", "MolecularGraph", "read_smiles", "torsion_angles"]
