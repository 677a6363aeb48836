"""Geodesic distances for scikit-learn's neighbours, and what distances say about the geometry."""

from __future__ import annotations

from skccvae.metrics.curvature import estimate_curvature
from skccvae.metrics.geodesic import GeodesicDistance, pairwise_geodesic_distances
from skccvae.metrics.hyperbolicity import delta_hyperbolicity

__all__ = [
    "GeodesicDistance",
    "delta_hyperbolicity",
    "estimate_curvature",
    "pairwise_geodesic_distances",
]
