"""The estimators, and reading saved ones."""

from skccvae.estimators._autoencoder import AutoencoderTransformer
from skccvae.estimators._base import BaseVAETransformer
from skccvae.estimators._constant_curvature import ConstantCurvatureVAETransformer
from skccvae.estimators._gaussian import GaussianVAETransformer
from skccvae.estimators._hyperbolic import HyperbolicVAETransformer
from skccvae.estimators._mixed_curvature import MixedCurvatureVAETransformer
from skccvae.estimators._outliers import LatentOutlierDetector
from skccvae.estimators._persistence import load
from skccvae.estimators._spherical import SphericalVAETransformer

ESTIMATORS: dict[str, type[BaseVAETransformer]] = {
    cls.__name__: cls
    for cls in (
        AutoencoderTransformer,
        ConstantCurvatureVAETransformer,
        GaussianVAETransformer,
        HyperbolicVAETransformer,
        MixedCurvatureVAETransformer,
        SphericalVAETransformer,
    )
}

__all__ = ["ESTIMATORS", "BaseVAETransformer", "LatentOutlierDetector", "load", *ESTIMATORS]
