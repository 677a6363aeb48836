"""Choosing a model: a comparison of geometries, and a search whose models train together."""

from __future__ import annotations

from skccvae.model_selection._compare import compare_geometries
from skccvae.model_selection._comparison import GeometryComparison
from skccvae.model_selection._packed import PackedGridSearchCV

__all__ = ["GeometryComparison", "PackedGridSearchCV", "compare_geometries"]
