"""Building blocks of the models: networks, latent spaces, likelihoods and repeatable noise.

Subclass `Latent` to write your own posterior, and `Likelihood` to write your own likelihood.
"""

from skccvae.nn.convolutional import ConvDecoder, ConvEncoder, ImageLayout, image_layout
from skccvae.nn.distance_term import (
    ROW_DISTANCES,
    STRESS_ROWS,
    STRESS_WEIGHT,
    distance_stress,
    euclidean,
    geodesic_pairs,
    stress,
)
from skccvae.nn.graph import GraphEncoder, read_graphs
from skccvae.nn.gyroplane import Gyroplanes
from skccvae.nn.latent import (
    NORMAL_LATENTS,
    UNIFORM_LATENTS,
    DeterministicLatent,
    EuclideanLatent,
    Latent,
    LatentStep,
    PowerSphericalLatent,
    ProductLatent,
    ProjectedNormalLatent,
    RiemannianLatent,
    SphericalCauchyLatent,
    SphericalLatent,
    WrappedLatent,
)
from skccvae.nn.likelihoods import (
    LIKELIHOODS,
    BernoulliLikelihood,
    CategoricalLikelihood,
    ContinuousBernoulliLikelihood,
    CountGaussianLikelihood,
    DiscretizedLogistic,
    DiscretizedLogisticLikelihood,
    GaussianLikelihood,
    IsotropicGaussianLikelihood,
    Likelihood,
    MixedLikelihood,
    NegativeBinomialLikelihood,
    PoissonLikelihood,
    VonMisesLikelihood,
    likelihood_class,
)
from skccvae.nn.limits import riemannian_prior_fits
from skccvae.nn.linear_path import SkipDecoder, SkipEncoder
from skccvae.nn.missing import (
    MaskedLinear,
    MaskedMLP,
    has_terms,
    observed_log_prob,
)
from skccvae.nn.networks import ACTIVATIONS, Reshaped, build_module, mlp, output_width
from skccvae.nn.repeatable_noise import normal_noise, row_keys, uniform_noise
from skccvae.nn.supervision import PredictionHead

__all__ = [
    "ACTIVATIONS",
    "LIKELIHOODS",
    "NORMAL_LATENTS",
    "ROW_DISTANCES",
    "STRESS_ROWS",
    "STRESS_WEIGHT",
    "UNIFORM_LATENTS",
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "ContinuousBernoulliLikelihood",
    "CountGaussianLikelihood",
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
    "MaskedLinear",
    "MaskedMLP",
    "MixedLikelihood",
    "NegativeBinomialLikelihood",
    "PoissonLikelihood",
    "PredictionHead",
    "Reshaped",
    "LatentStep",
    "PowerSphericalLatent",
    "ProductLatent",
    "ProjectedNormalLatent",
    "RiemannianLatent",
    "SkipDecoder",
    "SkipEncoder",
    "SphericalCauchyLatent",
    "SphericalLatent",
    "VonMisesLikelihood",
    "WrappedLatent",
    "build_module",
    "distance_stress",
    "euclidean",
    "geodesic_pairs",
    "has_terms",
    "image_layout",
    "likelihood_class",
    "mlp",
    "normal_noise",
    "observed_log_prob",
    "output_width",
    "read_graphs",
    "riemannian_prior_fits",
    "row_keys",
    "stress",
    "uniform_noise",
]
