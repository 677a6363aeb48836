"""A plain autoencoder: the baseline without noise or prior."""

from __future__ import annotations

from skccvae.estimators._base import BaseVAETransformer
from skccvae.estimators._parameters import COUNT, INTRINSIC, parameter, with_parameters
from skccvae.nn import DeterministicLatent


@with_parameters
class AutoencoderTransformer(BaseVAETransformer):
    """Autoencoder with a Euclidean code: no noise, no prior and no KL divergence.

    This is the baseline for comparisons. It has the networks, likelihoods and training of the other
    estimators, but its code is the output of the encoder itself.

    Parameters
    ----------
    n_components : int, default=2
        Dimension of the code.
    coordinates : {"ambient", "natural", "stereographic", "tangent"}, default="ambient"
        As in `GaussianVAETransformer`.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    GaussianVAETransformer : The same model with noise and a prior.

    Notes
    -----
    Without a prior there is nothing to sample from and no p(x), so `sample` and
    `posterior_distribution` do not exist here. `score_samples` and `score` return the
    log-likelihood of the reconstruction. It bounds nothing and cannot be compared with the values
    of the other estimators. ``beta``, ``kl_warmup_epochs``, ``free_bits``, ``objective``,
    ``n_latent_samples`` and ``posterior_scale`` have no effect.

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

    n_components: int = parameter(
        default=2, allowed=[COUNT], hint=INTRINSIC, shapes_model=True, kw_only=False
    )

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
