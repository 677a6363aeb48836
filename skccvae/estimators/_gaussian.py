"""The Gaussian VAE: the flat latent space that everything is measured against."""

from __future__ import annotations

from skccvae.estimators._base import BaseVAETransformer
from skccvae.estimators._docs import with_shared_docs
from skccvae.nn import EuclideanLatent


@with_shared_docs
class GaussianVAETransformer(BaseVAETransformer):
    """Variational autoencoder with a Euclidean latent space.

    Posterior and prior are normal distributions on R^d, the posterior with a diagonal covariance
    and the prior standard: the usual VAE [1]_, with K = 0.

    Parameters
    ----------
    n_components : int, default=2
        Dimension d of the latent space.
    coordinates : {"ambient", "stereographic", "tangent"}, default="ambient"
        Chart of the latent points. In flat space ambient and tangent coordinates are the same;
        stereographic ones are half of them, the limit K -> 0 of the curved charts.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    SphericalVAETransformer : The same with a latent sphere.
    HyperbolicVAETransformer : The same with a latent hyperbolic space.
    AutoencoderTransformer : The same without noise and prior.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skccvae import GaussianVAETransformer
    >>> X = load_digits().data / 16
    >>> vae = GaussianVAETransformer(n_components=3, max_epochs=2, random_state=0)
    >>> vae.fit_transform(X).shape
    (1797, 3)
    >>> vae.likelihood_
    'bernoulli'
    """

    def __init__(
        self,
        n_components=2,
        *,
        coordinates="ambient",
        hidden_layer_sizes=(256, 128),
        activation="relu",
        encoder="mlp",
        decoder="mlp",
        image_shape=None,
        likelihood="auto",
        binarize=None,
        beta=1.0,
        kl_warmup_epochs=0,
        free_bits=0.0,
        objective="elbo",
        n_latent_samples=1,
        supervised_weight=0.0,
        learning_rate=1e-3,
        batch_size=128,
        max_epochs=50,
        early_stopping=False,
        validation_fraction=0.1,
        n_epochs_no_change=10,
        warm_start=False,
        device="auto",
        random_state=None,
        callbacks=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.coordinates = coordinates
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.encoder = encoder
        self.decoder = decoder
        self.image_shape = image_shape
        self.likelihood = likelihood
        self.binarize = binarize
        self.beta = beta
        self.kl_warmup_epochs = kl_warmup_epochs
        self.free_bits = free_bits
        self.objective = objective
        self.n_latent_samples = n_latent_samples
        self.supervised_weight = supervised_weight
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_epochs_no_change = n_epochs_no_change
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.callbacks = callbacks
        self.verbose = verbose

    def _make_latent(self):
        return EuclideanLatent(self.n_components)
