"""Building blocks of the models: networks, latent spaces, likelihoods, repeatable noise."""

from .bounds import riemannian_prior_fits
from .convolutional import ConvDecoder, ConvEncoder, ImageLayout, image_layout
from .discretized_logistic import DiscretizedLogistic
from .graph import GraphEncoder, read_graphs
from .gyroplane import Gyroplanes
from .latent import (
    NORMAL_LATENTS,
    DeterministicLatent,
    EuclideanLatent,
    Latent,
    LatentStep,
    ProductLatent,
    RiemannianLatent,
    SphericalLatent,
    WrappedLatent,
)
from .likelihoods import (
    LIKELIHOODS,
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    DiscretizedLogisticLikelihood,
    GaussianLikelihood,
    IsotropicGaussianLikelihood,
    Likelihood,
    NegativeBinomialLikelihood,
    PoissonLikelihood,
    VonMisesLikelihood,
)
from .networks import ACTIVATIONS, Reshaped, build_module, mlp, output_width
from .row_noise import normal_noise, row_keys, uniform_noise
from .supervision import PredictionHead

__all__ = [
    "ACTIVATIONS",
    "LIKELIHOODS",
    "NORMAL_LATENTS",
    "BernoulliLikelihood",
    "ContinuousBernoulliLikelihood",
    "ConvDecoder",
    "ConvEncoder",
    "DeterministicLatent",
    "DiscretizedLogistic",
    "DiscretizedLogisticLikelihood",
    "EuclideanLatent",
    "GaussianLikelihood",
    "IsotropicGaussianLikelihood",
    "GraphEncoder",
    "Gyroplanes",
    "ImageLayout",
    "Latent",
    "Likelihood",
    "NegativeBinomialLikelihood",
    "PoissonLikelihood",
    "PredictionHead",
    "Reshaped",
    "LatentStep",
    "ProductLatent",
    "RiemannianLatent",
    "SphericalLatent",
    "VonMisesLikelihood",
    "WrappedLatent",
    "build_module",
    "image_layout",
    "mlp",
    "normal_noise",
    "output_width",
    "read_graphs",
    "riemannian_prior_fits",
    "row_keys",
    "uniform_noise",
]
