"""A user's own latent space, in place of the name of a posterior."""

from __future__ import annotations

import copy
from typing import Any

import torch

from skccvae.manifolds import ConstantCurvature
from skccvae.nn import Latent

# What `posterior` may be besides a name: a subclass of Latent, or a function that makes one.
POSTERIOR_HINT = (
    "A subclass of skccvae.nn.Latent, or a factory called as factory(manifold, prior_scale), is "
    "accepted too."
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
        Its ``prior_scale`` is passed on, with 1 for ``"auto"``. Its ``decoder_input`` must be
        ``"auto"``, because the latent space itself says what the decoder reads.

    Returns
    -------
    Latent
        A copy of what the call returned, so that two models never share weights.

    Raises
    ------
    TypeError
        If the call fails or does not return a `Latent`, or the class lacks a required method.
    ValueError
        If the latent space lives on another manifold, if its locations are not points of the
        manifold, or if ``decoder_input`` or ``posterior_scale`` is set.
    """
    if estimator.decoder_input != "auto":
        raise ValueError(
            f"decoder_input={estimator.decoder_input!r} cannot be combined with a latent space of "
            "your own, whose `features` say what the decoder reads. Use decoder_input='auto'."
        )
    if estimator.posterior_scale != "free":
        raise ValueError(
            f"posterior_scale={estimator.posterior_scale!r} cannot be combined with a latent space "
            "of your own, whose `posterior` sets its own scale. Use posterior_scale='free'."
        )
    wanted = "a subclass of skccvae.nn.Latent, or a factory that makes one,"
    call = "when called as posterior(manifold, prior_scale)"
    if isinstance(posterior, Latent):
        raise TypeError(
            f"posterior must be {wanted} and not an instance; got {type(posterior).__name__}(...)."
        )
    try:
        scale = 1.0 if estimator.prior_scale == "auto" else float(estimator.prior_scale)
        latent = posterior(manifold, scale)
    except (TypeError, AttributeError) as error:
        raise TypeError(
            f"posterior must be {wanted} {call}; {posterior!r} failed: {error}"
        ) from error
    if not isinstance(latent, Latent):
        raise TypeError(
            f"posterior must make a skccvae.nn.Latent {call}; {posterior!r} returned "
            f"{type(latent).__name__}."
        )
    if latent.manifold != manifold:
        raise ValueError(
            f"posterior={posterior!r} made a latent space on {latent.manifold!r}, but this "
            f"estimator's is {manifold!r}. Pass the manifold on to `Latent.__init__`."
        )
    _check_latent(latent, manifold)
    return copy.deepcopy(latent)


def _check_latent(latent: Latent, manifold: ConstantCurvature) -> None:
    """Refuse a latent space that could train a model but could not be used afterwards."""
    name = type(latent).__name__
    needed = ["n_params", "noise_dim", "posterior", "prior", "location"]
    missing = [n for n in needed if getattr(type(latent), n, None) is getattr(Latent, n, None)]
    missing = [n for n in missing if n not in vars(latent)]
    if missing:
        raise TypeError(f"{name} must define {', '.join(missing)}; see skccvae.nn.Latent.")
    # Not random numbers: the weights of the networks do not depend on this check.
    params = torch.linspace(-1, 1, 4 * latent.n_params).reshape(4, latent.n_params)
    with torch.no_grad():
        points = latent.location(params)
    if points.shape != (4, manifold.ambient_dim) or not bool(manifold.belongs(points).all()):
        raise ValueError(
            f"{name}.location must return points of {manifold!r} with {manifold.ambient_dim} "
            f"coordinates each; it returned shape {tuple(points.shape)} and points that do not lie "
            "there. For distributions on the unit sphere, `location` and `to_ambient` must "
            "multiply by manifold.radius_."
        )


def posterior_name(posterior: Any) -> str:
    """Name of a family, or the import path of a class or factory."""
    if isinstance(posterior, str):
        return str(posterior)
    module = getattr(posterior, "__module__", type(posterior).__module__)
    return f"{module}.{getattr(posterior, '__qualname__', type(posterior).__qualname__)}"
