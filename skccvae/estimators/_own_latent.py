"""A latent space of the user's own, in place of the name of a posterior."""

from __future__ import annotations

from typing import Any

from skccvae.manifolds import ConstantCurvature
from skccvae.nn import Latent

# What `posterior` may be beside a name: a subclass of Latent, or a function that makes one.
POSTERIOR_HINT = (
    "A subclass of skccvae.nn.Latent, or a factory called as factory(manifold, prior_scale), will "
    "do."
)


def own_latent(posterior: Any, manifold: ConstantCurvature, estimator: Any) -> Latent:
    """The latent space that a class or factory makes.

    Parameters
    ----------
    posterior : type or callable
        Called as ``posterior(manifold, prior_scale)``.
    manifold : Euclidean, Sphere or Hyperbolic
        The space that the estimator's ``n_components`` and ``curvature`` name.
    estimator : BaseEstimator
        Whose ``prior_scale`` is passed on. Its ``decoder_input`` must be ``"auto"``, because the
        latent space says itself what the decoder reads.

    Raises
    ------
    TypeError
        If the call does not return a `Latent`.
    ValueError
        If its dimension is not that of the manifold, or ``decoder_input`` is set.
    """
    if estimator.decoder_input != "auto":
        raise ValueError(
            f"decoder_input={estimator.decoder_input!r} cannot be combined with a latent space of "
            "your own, whose `features` say what the decoder reads. Use decoder_input='auto'."
        )
    latent = posterior(manifold, float(estimator.prior_scale))
    if not isinstance(latent, Latent):
        raise TypeError(
            "posterior must make a skccvae.nn.Latent when called as posterior(manifold, "
            f"prior_scale); {posterior!r} returned {type(latent).__name__}."
        )
    if latent.dim != manifold.dim:
        raise ValueError(
            f"posterior={posterior!r} made a latent space of {latent.dim} dimensions for "
            f"{manifold!r}; it must have n_components={manifold.dim}."
        )
    return latent


def posterior_name(posterior: Any) -> str:
    """Name of a family, or the import path of a class or factory."""
    if isinstance(posterior, str):
        return str(posterior)
    module = getattr(posterior, "__module__", type(posterior).__module__)
    return f"{module}.{getattr(posterior, '__qualname__', type(posterior).__qualname__)}"
