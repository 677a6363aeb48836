"""Plots of latent spaces, reconstructions, training runs, searches and comparisons.

The displays follow scikit-learn's style. A class method computes and draws. The display stores the
axes in ``ax_`` and the figure in ``figure_``, and `plot` draws again on other axes. Drawing needs
matplotlib, which the extra ``skccvae[plot]`` installs.
"""

from __future__ import annotations

from skccvae.plotting._comparison import GeometryComparisonDisplay
from skccvae.plotting._grid import ManifoldGridDisplay
from skccvae.plotting._latent import LatentDisplay
from skccvae.plotting._reconstruction import ReconstructionDisplay
from skccvae.plotting._search import CurvatureSearchDisplay
from skccvae.plotting._training import TrainingDisplay

__all__ = [
    "CurvatureSearchDisplay",
    "GeometryComparisonDisplay",
    "LatentDisplay",
    "ManifoldGridDisplay",
    "ReconstructionDisplay",
    "TrainingDisplay",
]
