"""Choosing a model: comparison of latent geometries on rows held out."""

from __future__ import annotations

from skccvae.model_selection._compare import compare_geometries
from skccvae.model_selection._comparison import GeometryComparison

__all__ = ["GeometryComparison", "compare_geometries"]
