"""The spherical VAE."""

from __future__ import annotations

from collections.abc import Callable

from skccvae._sklearn import StrOptions
from skccvae.estimators._base import BaseVAETransformer
from skccvae.estimators._own_latent import POSTERIOR_HINT, own_latent
from skccvae.estimators._parameters import (
    COUNT,
    DECODER_INPUTS,
    INTRINSIC,
    POSITIVE,
    parameter,
    with_parameters,
)
from skccvae.manifolds import Sphere
from skccvae.nn import NORMAL_LATENTS, UNIFORM_LATENTS, Latent


@with_parameters
class SphericalVAETransformer(BaseVAETransformer):
    """Variational autoencoder with a latent sphere.

    The posterior of a row is a von Mises-Fisher distribution on the d-sphere, and the prior is
    uniform [1]_. The density, its normalising constant and its gradients are exact in every
    dimension.

    Parameters
    ----------
    n_components : int, default=2
        Intrinsic dimension d of the sphere. Ambient points have d + 1 coordinates.
    curvature : float, default=1.0
        Curvature K > 0. The radius is 1/sqrt(K). With a uniform prior K only sets the units of the
        latent coordinates; see Notes.
    posterior : {"von_mises_fisher", "power_spherical", "spherical_cauchy", "projected_normal", \
            "wrapped_normal", "riemannian_normal"}, subclass of `skccvae.nn.Latent` or callable, \
            default="von_mises_fisher"
        Family of the posterior. The first four have the uniform prior. The wrapped and the
        Riemannian normal have a prior of their own family with scale ``prior_scale``. The projected
        and the wrapped normal have a scale for each direction. The others have one scale or
        concentration for all directions. Your own class or factory is called as
        ``posterior(manifold, prior_scale)`` and returns a `skccvae.nn.Latent`.
    prior_scale : float, default=1.0
        Scale of the prior of ``"wrapped_normal"`` and ``"riemannian_normal"``. The uniform prior
        has no scale.
    decoder_input : {"auto", "coordinates", "tangent", "gyroplane"}, default="auto"
        What the decoder reads at a latent point. ``"coordinates"`` are the ambient coordinates.
        ``"tangent"`` is the log map at the origin. ``"gyroplane"`` gives the signed geodesic
        distances to learned hyperplanes, which replace the decoder's first layer. ``"auto"`` is
        ``"coordinates"``, the only choice with the uniform prior.
    coordinates : {"ambient", "natural", "stereographic", "tangent"}, default="ambient"
        Chart of the latent points. ``"ambient"`` gives d + 1 numbers on the sphere of radius
        1/sqrt(K); ``"natural"`` is the same. ``"stereographic"`` gives the d numbers of the
        stereographic projection from the antipode of the origin, and ``"tangent"`` the d numbers of
        the log map at the origin.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    GaussianVAETransformer : The same model with a flat latent space.
    HyperbolicVAETransformer : The same model with a latent hyperbolic space.

    Notes
    -----
    With the uniform prior (``"von_mises_fisher"``, ``"power_spherical"``, ``"spherical_cauchy"``,
    ``"projected_normal"``) the KL does not depend on the radius. A search over ``curvature`` then
    only compares scales of the decoder's input.

    A projected normal is the distribution of the direction of a normal vector, which here is the
    posterior of the Gaussian model in d + 1 dimensions [4]_. A coordinate that the data do not need
    can return to the prior, which is impossible for a distribution with a single concentration. The
    KL is estimated from the draws, with little noise. `transform` returns the direction of the
    normal's mean.

    With ``"wrapped_normal"`` the scale of the prior is fixed, and K says how much of the sphere the
    prior covers. If the prior reaches round the sphere (``prior_scale * sqrt(d)`` near or beyond
    the radius), its density has poles, and training collapses onto them. A smaller ``prior_scale``
    avoids the poles, and ``"riemannian_normal"`` has none.

    References
    ----------
    .. [1] Davidson et al., "Hyperspherical variational auto-encoders", UAI 2018.
    .. [2] De Cao and Aziz, "The power spherical distribution", 2020.
    .. [3] L. Sablica and K. Hornik, "Hyperspherical variational autoencoders using efficient
       spherical Cauchy distribution", 2025.
    .. [4] F. Wang and A. E. Gelfand, "Directional data analysis under the general projected normal
       distribution", Statistical Methodology 10, 2013.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skccvae import SphericalVAETransformer
    >>> X = load_digits().data / 16
    >>> vae = SphericalVAETransformer(n_components=2, max_epochs=2, random_state=0).fit(X)
    >>> Z = vae.transform(X)
    >>> Z.shape
    (1797, 3)
    >>> bool((abs((Z**2).sum(axis=1) - 1) < 1e-5).all())
    True
    """

    n_components: int = parameter(
        default=2, allowed=[COUNT], hint=INTRINSIC, shapes_model=True, kw_only=False
    )
    curvature: float = parameter(
        default=1.0,
        allowed=[POSITIVE],
        hint="Use GaussianVAETransformer for curvature 0, HyperbolicVAETransformer for a negative "
        "curvature.",
        shapes_model=True,
    )
    posterior: str | Callable[..., Latent] = parameter(
        default="von_mises_fisher",
        allowed=[StrOptions({*UNIFORM_LATENTS, *NORMAL_LATENTS}), callable],
        hint=POSTERIOR_HINT,
        shapes_model=True,
    )
    prior_scale: float = parameter(default=1.0, allowed=[POSITIVE], shapes_model=True)
    decoder_input: str = parameter(default="auto", allowed=[DECODER_INPUTS], shapes_model=True)

    def _make_latent(self):
        if not isinstance(self.posterior, str):
            return own_latent(self.posterior, Sphere(self.n_components, self.curvature), self)
        if self.posterior in UNIFORM_LATENTS:
            if self.decoder_input not in {"auto", "coordinates"}:
                raise ValueError(
                    f"decoder_input={self.decoder_input!r} needs a normal posterior, such as "
                    f"posterior='wrapped_normal'; with posterior={str(self.posterior)!r} use "
                    "decoder_input='auto'."
                )
            return UNIFORM_LATENTS[self.posterior](
                self.n_components, self.curvature, posterior_scale=self.posterior_scale
            )
        return NORMAL_LATENTS[self.posterior](
            self.n_components,
            self.curvature,
            self.prior_scale,
            decoder_input="coordinates" if self.decoder_input == "auto" else self.decoder_input,
            n_planes=self._first_decoder_width(),
            posterior_scale=self.posterior_scale,
        )
