"""One axis of curvature: a VAE whose latent space has any curvature, positive or negative."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real

import numpy as np

from skccvae._sklearn import Interval, StrOptions
from skccvae.estimators._base import BaseVAETransformer
from skccvae.estimators._own_latent import POSTERIOR_HINT, own_latent, posterior_name
from skccvae.estimators._parameters import (
    COORDINATES,
    COUNT,
    DECODER_INPUTS,
    INTRINSIC,
    POSITIVE,
    parameter,
    with_parameters,
)
from skccvae.manifolds import constant_curvature
from skccvae.nn import NORMAL_LATENTS, Latent, riemannian_prior_fits


@with_parameters
class ConstantCurvatureVAETransformer(BaseVAETransformer):
    """Variational autoencoder whose latent space has any constant curvature.

    K < 0 gives a hyperbolic space, K = 0 the Gaussian VAE and K > 0 a sphere. Posterior and prior
    are normals on the space, and the scale of the prior is fixed. This gives K a meaning: in units
    of the prior's scale, it says how strongly the space bends over the region that the prior
    covers. One search, or one gradient, covers both signs.

    Parameters
    ----------
    n_components : int, default=2
        Intrinsic dimension d.
    curvature : float, default=0.0
        Curvature K of any sign. If the curvature is learned, it starts from this value.
    learn_curvature : bool, default=False
        Whether K is trained by gradient together with the weights. It may pass through 0 to the
        other sign. ``curvature_`` is its last value, and ``history_["curvature"]`` its path. `fit`
        holds K at its first value for a fifth of the epochs, until the networks have learned
        something.
    posterior : {"auto", "riemannian_normal", "wrapped_normal"}, subclass of `skccvae.nn.Latent` \
            or callable, default="auto"
        Family of the posterior and the prior. Both are normals on the space for every K, so that
        there is a limit K -> 0. A von Mises-Fisher posterior with its uniform prior has no such
        limit. ``"auto"`` is the Riemannian normal, whose density has no poles on a sphere. It is
        the wrapped normal only where the Riemannian normal's prior would exceed the range of
        float32, in hyperbolic spaces of many dimensions. Your own class or factory is called as
        ``posterior(manifold, prior_scale)`` and returns a `skccvae.nn.Latent`.
    prior_scale : float, default=1.0
        Scale of the prior. (K, s) and (s^2 K, 1) are the same model in other units.
    decoder_input : {"auto", "coordinates", "tangent", "gyroplane"}, default="auto"
        What the decoder reads at a latent point. ``"coordinates"`` are ambient on a sphere of fixed
        curvature, and stereographic (times 2) otherwise. ``"tangent"`` is the log map at the
        origin. ``"gyroplane"`` gives the signed geodesic distances to learned hyperplanes, which
        replace the decoder's first layer. ``"auto"`` is ``"gyroplane"``: it is continuous in K and,
        unlike the log map, has no cut at the antipode of the origin of a sphere.
    coordinates : {"ambient", "natural", "stereographic", "tangent"}, default="tangent"
        Chart of the latent points. Tangent and stereographic coordinates are d numbers for every K.
        Ambient coordinates are d numbers for K = 0 and d + 1 otherwise. Natural coordinates are
        ambient for K > 0 and tangent for other K.
    {shared_parameters}

    Attributes
    ----------
    posterior_ : str
        The family that ``posterior`` stands for.
    {shared_attributes}

    See Also
    --------
    MixedCurvatureVAETransformer : Products of such spaces.
    SphericalVAETransformer : A sphere with a von Mises-Fisher posterior.

    Notes
    -----
    A line has no curvature. With ``n_components=1`` a K below 0 changes nothing, and a learned K
    drifts with the rounding error.

    At K = 0 the model is the Gaussian VAE, and it is continuous there from both sides. With the
    Riemannian normal it is the Gaussian VAE with one scale for all directions.

    References
    ----------
    .. [1] O. Skopek, O.-E. Ganea and G. Bécigneul, "Mixed-curvature variational autoencoders",
       ICLR 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skccvae import ConstantCurvatureVAETransformer
    >>> X = load_digits().data / 16
    >>> vae = ConstantCurvatureVAETransformer(
    ...     curvature=0.0, learn_curvature=True, max_epochs=2, random_state=0
    ... ).fit(X)
    >>> vae.transform(X).shape, len(vae.history_["curvature"])
    ((1797, 2), 2)
    """

    n_components: int = parameter(
        default=2, allowed=[COUNT], hint=INTRINSIC, shapes_model=True, kw_only=False
    )
    curvature: float = parameter(
        default=0.0, allowed=[Interval(Real, -np.inf, np.inf, closed="neither")], shapes_model=True
    )
    learn_curvature: bool = parameter(default=False, allowed=["boolean"], shapes_model=True)
    posterior: str | Callable[..., Latent] = parameter(
        default="auto",
        allowed=[StrOptions({"auto", *NORMAL_LATENTS}), callable],
        hint=POSTERIOR_HINT,
        shapes_model=True,
    )
    prior_scale: float = parameter(default=1.0, allowed=[POSITIVE], shapes_model=True)
    decoder_input: str = parameter(default="auto", allowed=[DECODER_INPUTS], shapes_model=True)
    coordinates: str = parameter(default="tangent", allowed=[COORDINATES])

    def _make_latent(self):
        family = self.posterior_ = self._family()
        if not isinstance(self.posterior, str):
            if self.learn_curvature:
                raise ValueError(
                    "learn_curvature=True needs one of the named posteriors, whose densities are "
                    f"smooth in the curvature; got posterior={self.posterior!r}. Use "
                    "'riemannian_normal' or 'wrapped_normal', or learn_curvature=False."
                )
            manifold = constant_curvature(self.n_components, self.curvature)
            return own_latent(self.posterior, manifold, self)
        # The flat model's KL is known exactly; only the difference that curvature makes is drawn.
        options = {"flat_part": True} if family == "wrapped_normal" else {}
        return NORMAL_LATENTS[family](
            self.n_components,
            self.curvature,
            self.prior_scale,
            **options,
            decoder_input="gyroplane" if self.decoder_input == "auto" else self.decoder_input,
            n_planes=self._first_decoder_width(),
            learn_curvature=self.learn_curvature,
            posterior_scale=self.posterior_scale,
        )

    def _family(self) -> str:
        if not (isinstance(self.posterior, str) and self.posterior == "auto"):
            return posterior_name(self.posterior)
        fits = riemannian_prior_fits(self.n_components, self.prior_scale, self.curvature)
        return "riemannian_normal" if fits else "wrapped_normal"
