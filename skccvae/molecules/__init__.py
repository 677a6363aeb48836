"""Molecules as rows of numbers: torsion angles.

Needs the optional packages of ``pip install "skccvae[molecules]"``, which are imported when they
are first used and not before.
"""

from ._torsions import torsion_angles

__all__ = ["torsion_angles"]
