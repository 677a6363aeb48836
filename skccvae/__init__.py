"""Variational autoencoders with latent spaces of constant curvature, as scikit-learn estimators."""

from skccvae.estimators import (
    AutoencoderTransformer,
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    LatentOutlierDetector,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
    load,
)
from skccvae.training import DivergenceError

__version__ = "0.1.0"

__all__ = [
    "AutoencoderTransformer",
    "ConstantCurvatureVAETransformer",
    "DivergenceError",
    "GaussianVAETransformer",
    "HyperbolicVAETransformer",
    "LatentOutlierDetector",
    "MixedCurvatureVAETransformer",
    "SphericalVAETransformer",
    "__version__",
    "load",
]
