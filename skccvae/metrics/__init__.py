"""Geodesic distances for scikit-learn's neighbour and clustering estimators."""

from __future__ import annotations

from skccvae.metrics.geodesic import GeodesicDistance, pairwise_geodesic_distances

__all__ = ["GeodesicDistance", "pairwise_geodesic_distances"]
