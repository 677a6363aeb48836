"""Spaces of constant curvature: Euclidean, sphere, hyperbolic, and their products."""

from __future__ import annotations

from skccvae.manifolds.ball import inside_the_ball
from skccvae.manifolds.base import ConstantCurvature
from skccvae.manifolds.charts import CHARTS
from skccvae.manifolds.euclidean import Euclidean
from skccvae.manifolds.factory import constant_curvature
from skccvae.manifolds.hyperbolic import Hyperbolic
from skccvae.manifolds.manifold import Manifold
from skccvae.manifolds.polar import PolarSpace
from skccvae.manifolds.product import Product
from skccvae.manifolds.signature import FactorSpec, parse_signature
from skccvae.manifolds.sphere import Sphere

__all__ = [
    "CHARTS",
    "ConstantCurvature",
    "Euclidean",
    "FactorSpec",
    "Hyperbolic",
    "Manifold",
    "PolarSpace",
    "Product",
    "Sphere",
    "constant_curvature",
    "inside_the_ball",
    "parse_signature",
]
