"""Pictures of latent spaces, reconstructions, training runs and searches.

Displays in scikit-learn's style: a class method computes and draws, the display keeps what it drew
in ``ax_`` and ``figure_``, and `plot` draws it again elsewhere. They need matplotlib, which comes
with the extra ``skccvae[plot]``; it is imported when something is drawn.
"""

from __future__ import annotations

from skccvae.plotting._grid import ManifoldGridDisplay
from skccvae.plotting._latent import LatentDisplay
from skccvae.plotting._reconstruction import ReconstructionDisplay
from skccvae.plotting._search import CurvatureSearchDisplay
from skccvae.plotting._training import TrainingDisplay

__all__ = [
    "CurvatureSearchDisplay",
    "LatentDisplay",
    "ManifoldGridDisplay",
    "ReconstructionDisplay",
    "TrainingDisplay",
]
