"""A plain autoencoder: the baseline without noise and prior."""

from __future__ import annotations

from skccvae.estimators._base import BaseVAETransformer
from skccvae.estimators._docs import with_shared_docs
from skccvae.nn import DeterministicLatent


@with_shared_docs
class AutoencoderTransformer(BaseVAETransformer):
    """Autoencoder with a Euclidean code: no noise, no prior, no KL.

    The baseline that every comparison starts from: the networks, likelihoods and training of the
    other estimators, with the code read off the encoder directly.

    Parameters
    ----------
    n_components : int, default=2
        Dimension of the code.
    coordinates : {"ambient", "stereographic", "tangent"}, default="ambient"
        As in `GaussianVAETransformer`.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    GaussianVAETransformer : The same with noise and a prior.

    Notes
    -----
    Without a prior there is nothing to sample from and no p(x): `sample` and
    `posterior_distribution` do not exist here. `score_samples` and `score` give the
    reconstruction log-likelihood at the code, which bounds nothing and cannot be compared with
    the values of the other estimators.
    ``beta``, ``kl_warmup_epochs``, ``free_bits``, ``objective`` and ``n_latent_samples`` have no
    effect.

    References
    ----------
    .. [1] G. E. Hinton and R. R. Salakhutdinov, "Reducing the dimensionality of data with neural
       networks", Science 313 (2006).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skccvae import AutoencoderTransformer
    >>> X = load_digits().data / 16
    >>> AutoencoderTransformer(max_epochs=2, random_state=0).fit_transform(X).shape
    (1797, 2)
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
        return DeterministicLatent(self.n_components)

    @property
    def posterior_distribution(self):
        """Not defined: the code has no distribution."""
        raise AttributeError(
            f"{type(self).__name__} has no posterior distribution; its code is a point."
        )

    @property
    def sample(self):
        """Not defined: there is no prior to draw from."""
        raise AttributeError(
            f"{type(self).__name__} has no prior to sample from; use GaussianVAETransformer."
        )
