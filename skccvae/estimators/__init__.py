"""The estimators, and reading saved ones."""

from ._autoencoder import AutoencoderTransformer
from ._base import BaseVAETransformer
from ._constant_curvature import ConstantCurvatureVAETransformer
from ._gaussian import GaussianVAETransformer
from ._hyperbolic import HyperbolicVAETransformer
from ._mixed_curvature import MixedCurvatureVAETransformer
from ._persistence import load
from ._spherical import SphericalVAETransformer

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

__all__ = ["ESTIMATORS", "BaseVAETransformer", "load", *ESTIMATORS]
