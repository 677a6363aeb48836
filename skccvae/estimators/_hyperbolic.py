"""The hyperbolic VAE."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real

import numpy as np

from skccvae._sklearn import Interval, StrOptions
from skccvae.estimators._base import BaseVAETransformer
from skccvae.estimators._own_latent import POSTERIOR_HINT, own_latent
from skccvae.estimators._parameters import (
    AUTO,
    COORDINATES,
    COUNT,
    DECODER_INPUTS,
    INTRINSIC,
    POSITIVE,
    parameter,
    with_parameters,
)
from skccvae.manifolds import Hyperbolic
from skccvae.nn import NORMAL_LATENTS, Latent


@with_parameters
class HyperbolicVAETransformer(BaseVAETransformer):
    """Variational autoencoder with a latent hyperbolic space.

    Posterior and prior are wrapped normal distributions [1]_ [2]_: normals on the tangent space at
    the origin, transported to the location and wrapped onto the space by the exponential map. All
    computation happens on the hyperboloid in polar form. The Poincaré ball is only a chart for the
    result.

    Parameters
    ----------
    n_components : int, default=2
        Intrinsic dimension d. Ambient points, on the hyperboloid, have d + 1 coordinates.
    curvature : float, default=-1.0
        Curvature K < 0. The curvature radius is 1/sqrt(-K). The scale of the prior does not depend
        on K, so K says how strongly the space grows over the region that the prior covers. The
        limit K -> 0 is the Gaussian VAE.
    posterior : {"wrapped_normal", "riemannian_normal"}, subclass of `skccvae.nn.Latent` or \
            callable, default="wrapped_normal"
        Family of the posterior and of the prior. A wrapped normal has a scale for each direction. A
        Riemannian normal, with density proportional to exp(-dist^2 / (2 scale^2)), has one scale
        for all directions. Your own class or factory is called as ``posterior(manifold,
        prior_scale)`` and returns a `skccvae.nn.Latent`.
    prior_scale : float or "auto", default="auto"
        Scale of the prior. ``"auto"`` is 1 for d = 1 and sqrt(2/d) otherwise. This keeps the root
        mean squared radius of its draws at sqrt(2) for d >= 2, as scale 1 has in two dimensions, so
        that a space of many dimensions is not curved more strongly than a plane. With
        ``init="pca"`` the axes of a wrapped normal get their own scales within that radius. They
        are proportional to the standard deviations of the principal components of the rows in model
        units, and none exceeds 1. Your own class or factory gets 1.
    decoder_input : {"auto", "coordinates", "tangent", "gyroplane"}, default="auto"
        What the decoder reads at a latent point. ``"coordinates"`` are those of the Poincaré ball
        (times 2). ``"tangent"`` is the log map at the origin. ``"gyroplane"`` gives the signed
        geodesic distances to learned hyperplanes, which replace the decoder's first layer.
        ``"auto"`` is ``"tangent"``, the cheapest. With ``init="random"``, ``"gyroplane"`` fits
        trees better.
    coordinates : {"ambient", "natural", "stereographic", "tangent"}, default="tangent"
        Chart of the latent points. ``"tangent"`` gives the d numbers of the log map at the origin,
        which suit linear models best; ``"natural"`` is the same. ``"stereographic"`` gives d
        numbers in the Poincaré ball of radius 1/sqrt(-K), and ``"ambient"`` d + 1 numbers on the
        hyperboloid.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    GaussianVAETransformer : The same model with a flat latent space.
    SphericalVAETransformer : The same model with a latent sphere.

    Notes
    -----
    Locations stay within 19 curvature radii of the origin, the range that float32 coordinates on
    the hyperboloid can represent. The ball resolves 16 curvature radii.

    References
    ----------
    .. [1] Y. Nagano et al., "A wrapped normal distribution on hyperbolic space for gradient-based
       learning", ICML 2019.
    .. [2] E. Mathieu et al., "Continuous hierarchical representations with Poincaré variational
       auto-encoders", NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skccvae import HyperbolicVAETransformer
    >>> X = load_digits().data / 16
    >>> vae = HyperbolicVAETransformer(coordinates="stereographic", max_epochs=2, random_state=0)
    >>> Z = vae.fit_transform(X)
    >>> Z.shape, bool(((Z**2).sum(axis=1) < 1).all())
    ((1797, 2), True)
    """

    n_components: int = parameter(
        default=2, allowed=[COUNT], hint=INTRINSIC, shapes_model=True, kw_only=False
    )
    curvature: float = parameter(
        default=-1.0,
        allowed=[Interval(Real, -np.inf, 0, closed="neither")],
        hint="Use GaussianVAETransformer for curvature 0, SphericalVAETransformer for a positive "
        "curvature.",
        shapes_model=True,
    )
    posterior: str | Callable[..., Latent] = parameter(
        default="wrapped_normal",
        allowed=[StrOptions(set(NORMAL_LATENTS)), callable],
        hint=POSTERIOR_HINT,
        shapes_model=True,
    )
    prior_scale: float | str = parameter(
        default="auto", allowed=[POSITIVE, AUTO], shapes_model=True
    )
    decoder_input: str = parameter(default="auto", allowed=[DECODER_INPUTS], shapes_model=True)
    coordinates: str = parameter(default="tangent", allowed=[COORDINATES])

    def _make_latent(self):
        if not isinstance(self.posterior, str):
            return own_latent(self.posterior, Hyperbolic(self.n_components, self.curvature), self)
        return NORMAL_LATENTS[self.posterior](
            self.n_components,
            self.curvature,
            self.prior_scale,
            decoder_input="tangent" if self.decoder_input == "auto" else self.decoder_input,
            n_planes=self._first_decoder_width(),
            posterior_scale=self.posterior_scale,
        )
