"""The Gaussian VAE: the flat latent space that the others are measured against."""

from __future__ import annotations

from skccvae.estimators._base import BaseVAETransformer
from skccvae.estimators._parameters import (
    AUTO,
    COUNT,
    INTRINSIC,
    POSITIVE,
    parameter,
    with_parameters,
)
from skccvae.nn import EuclideanLatent


@with_parameters
class GaussianVAETransformer(BaseVAETransformer):
    """Variational autoencoder with a Euclidean latent space.

    Posterior and prior are normal distributions on R^d with diagonal covariances: the usual VAE
    [1]_, with K = 0.

    Parameters
    ----------
    n_components : int, default=2
        Dimension d of the latent space.
    prior_scale : float or "auto", default="auto"
        Scale of the prior along each axis. In flat space it is a choice of units for the latent
        coordinates. With ``init="pca"``, ``"auto"`` takes the standard deviations of the principal
        components of the rows as the encoder reads them (scaled for a Gaussian likelihood). The
        codes are then in proportion to those of `sklearn.decomposition.PCA`, and the last
        components, which are mostly noise, count less in their distances than the first. If the
        networks start at random, ``"auto"`` is 1.
    coordinates : {"ambient", "natural", "stereographic", "tangent"}, default="ambient"
        Chart of the latent points. In flat space ambient, natural and tangent coordinates are the
        same. Stereographic coordinates are half of them, the limit K -> 0 of the curved charts.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    SphericalVAETransformer : The same model with a latent sphere.
    HyperbolicVAETransformer : The same model with a latent hyperbolic space.
    AutoencoderTransformer : The same networks without noise or prior.

    References
    ----------
    .. [1] Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skccvae import GaussianVAETransformer
    >>> X = load_digits().data / 16
    >>> vae = GaussianVAETransformer(n_components=3, max_epochs=2, random_state=0)
    >>> vae.fit_transform(X).shape
    (1797, 3)
    >>> vae.likelihood_
    'isotropic_gaussian'
    """

    n_components: int = parameter(
        default=2, allowed=[COUNT], hint=INTRINSIC, shapes_model=True, kw_only=False
    )

    prior_scale: float | str = parameter(
        default="auto", allowed=[POSITIVE, AUTO], shapes_model=True
    )

    def _make_latent(self):
        return EuclideanLatent(
            int(self.n_components), self.prior_scale, posterior_scale=self.posterior_scale
        )
