"""Variational autoencoders with latent spaces of constant curvature, as scikit-learn estimators."""

from .estimators import (
    AutoencoderTransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    SphericalVAETransformer,
    load,
)
from .training import DivergenceError

__version__ = "0.1.0"

__all__ = [
    "AutoencoderTransformer",
    "DivergenceError",
    "GaussianVAETransformer",
    "HyperbolicVAETransformer",
    "SphericalVAETransformer",
    "__version__",
    "load",
]
