"""Building blocks of the models: networks, latent spaces, likelihoods, repeatable noise."""

from .bounds import riemannian_prior_fits
from .gyroplane import Gyroplanes
from .latent import (
    NORMAL_LATENTS,
    DeterministicLatent,
    EuclideanLatent,
    HyperbolicLatent,
    Latent,
    LatentStep,
    ProductLatent,
    RiemannianLatent,
    SphericalLatent,
    WrappedLatent,
    WrappedSphereLatent,
)
from .likelihoods import (
    LIKELIHOODS,
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    Likelihood,
    PoissonLikelihood,
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
    "DeterministicLatent",
    "EuclideanLatent",
    "GaussianLikelihood",
    "Gyroplanes",
    "HyperbolicLatent",
    "Latent",
    "Likelihood",
    "PoissonLikelihood",
    "PredictionHead",
    "Reshaped",
    "LatentStep",
    "ProductLatent",
    "RiemannianLatent",
    "SphericalLatent",
    "WrappedLatent",
    "WrappedSphereLatent",
    "build_module",
    "mlp",
    "normal_noise",
    "output_width",
    "riemannian_prior_fits",
    "row_keys",
    "uniform_noise",
]
