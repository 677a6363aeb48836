"""Kullback-Leibler divergences, registered with `torch.distributions.kl_divergence`.

The table in `skccvae.distributions` says which pairs have one. Between distributions with different
parameters the terms cancel when the distributions are close, so these divergences are computed in
float64.
"""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor
from torch.distributions import register_kl

from skccvae.distributions.hyperspherical_uniform import HypersphericalUniform
from skccvae.distributions.normal_on_manifold import NormalOnManifold
from skccvae.distributions.power_spherical import PowerSpherical
from skccvae.distributions.projected_normal import ProjectedNormal
from skccvae.distributions.riemannian_normal import RiemannianNormal
from skccvae.distributions.rotationally_symmetric import RotationallySymmetric, log_sphere_area
from skccvae.distributions.spherical_cauchy import SphericalCauchy
from skccvae.distributions.von_mises_fisher import VonMisesFisher
from skccvae.distributions.wrapped_normal import WrappedNormal
from skccvae.special.bessel import log_hyp0f1
from skccvae.special.power_spherical import power_spherical_kl
from skccvae.special.spherical_cauchy import spherical_cauchy_kl
from skccvae.special.von_mises_fisher import vmf_log_normalizer

__all__: list[str] = []

_OnSphere = RotationallySymmetric | HypersphericalUniform


def _check_same_sphere(p: _OnSphere | RiemannianNormal, q: _OnSphere) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "both distributions must have the same ambient dimension, got "
            f"{p.event_shape[0]} and {q.event_shape[0]}."
        )


def _broadcast(value: Tensor, other: _OnSphere) -> Tensor:
    """Broadcast a divergence, which does not depend on `other`, to the batch shape of `other`."""
    return value if not other.batch_shape else value + value.new_zeros(other.batch_shape)


def _same_location(p: Tensor, q: Tensor) -> bool:
    return bool((p == q).all())


@register_kl(VonMisesFisher, HypersphericalUniform)
@register_kl(PowerSpherical, HypersphericalUniform)
@register_kl(SphericalCauchy, HypersphericalUniform)
def _kl_symmetric_uniform(p: RotationallySymmetric, q: HypersphericalUniform) -> Tensor:
    _check_same_sphere(p, q)
    return _broadcast(p._kl_uniform(), q)


@register_kl(HypersphericalUniform, HypersphericalUniform)
def _kl_uniform_uniform(p: HypersphericalUniform, q: HypersphericalUniform) -> Tensor:
    _check_same_sphere(p, q)
    return (p.entropy() + q.entropy()) * 0


@register_kl(HypersphericalUniform, VonMisesFisher)
def _kl_uniform_von_mises_fisher(p: HypersphericalUniform, q: VonMisesFisher) -> Tensor:
    _check_same_sphere(p, q)
    # The mean of <mu, z> is 0, so only the normaliser is left. It is not taken from its scaled
    # form, because adding kappa back would cancel near kappa = 0.
    return _broadcast(log_hyp0f1(0.5 * p.event_shape[0] - 1, q.concentration), p)


@register_kl(HypersphericalUniform, PowerSpherical)
def _kl_uniform_power_spherical(p: HypersphericalUniform, q: PowerSpherical) -> Tensor:
    _check_same_sphere(p, q)
    zero = torch.zeros_like(q.concentration)
    return _broadcast(power_spherical_kl(zero, q.concentration, p.event_shape[0]), p)


@register_kl(HypersphericalUniform, SphericalCauchy)
def _kl_uniform_spherical_cauchy(p: HypersphericalUniform, q: SphericalCauchy) -> Tensor:
    _check_same_sphere(p, q)
    return _broadcast(q._kl_uniform(), p)  # symmetric, see `spherical_cauchy_kl`


@register_kl(VonMisesFisher, VonMisesFisher)
@register_kl(PowerSpherical, VonMisesFisher)
@register_kl(SphericalCauchy, VonMisesFisher)
def _kl_symmetric_von_mises_fisher(p: RotationallySymmetric, q: VonMisesFisher) -> Tensor:
    _check_same_sphere(p, q)
    wide = copy(p)
    wide.loc, wide.concentration, wide._grid_cache = p.loc.double(), p.concentration.double(), None
    kappa, ratio = q.concentration.double(), wide.mean_resultant_length
    # 1 - A <mu_p, mu_q> without cancellation when both factors are close to 1
    gap = (1 - ratio) + ratio * 0.5 * (wide.loc - q.loc.double()).square().sum(-1)
    divergence = wide._kl_uniform() + vmf_log_normalizer(kappa, p.event_shape[0]) + kappa * gap
    return divergence.to(p.concentration.dtype)


@register_kl(PowerSpherical, PowerSpherical)
def _kl_power_spherical_power_spherical(p: PowerSpherical, q: PowerSpherical) -> Tensor:
    _check_same_sphere(p, q)
    if not _same_location(p.loc, q.loc):
        raise NotImplementedError(
            "The divergence between power spherical distributions has a closed form only if both "
            "have the same loc. Average p.log_prob(z) - q.log_prob(z) over draws z of p instead."
        )
    return power_spherical_kl(p.concentration, q.concentration, p.event_shape[0])


@register_kl(SphericalCauchy, SphericalCauchy)
def _kl_spherical_cauchy_spherical_cauchy(p: SphericalCauchy, q: SphericalCauchy) -> Tensor:
    _check_same_sphere(p, q)
    gap = (p.loc - q.loc).square().sum(-1)
    return spherical_cauchy_kl(p.concentration, q.concentration, gap, p.event_shape[0])


@register_kl(ProjectedNormal, HypersphericalUniform)
def _kl_projected_normal_uniform(p: ProjectedNormal, q: HypersphericalUniform) -> Tensor:
    raise NotImplementedError(
        "The divergence of a projected normal from the uniform distribution has no closed form. "
        "Average the estimates p.rsample_with_kl(noise)[1] over standard normal noise of shape "
        "(n, m) instead."
    )


@register_kl(RiemannianNormal, HypersphericalUniform)
def _kl_riemannian_normal_uniform(p: RiemannianNormal, q: HypersphericalUniform) -> Tensor:
    curvature = getattr(p.manifold, "curvature", None)
    if curvature != 1:
        raise ValueError(
            "the uniform distribution is on the unit sphere, so the Riemannian normal must be on "
            f"Sphere(dim, curvature=1.0); got {p.manifold!r}."
        )
    _check_same_sphere(p, q)
    return _broadcast(log_sphere_area(p.event_shape[0]) - p.entropy(), q)


def _square_between(p: NormalOnManifold, q: NormalOnManifold, name: str) -> Tensor:
    """Squared coordinates between the locations, in float64. They must be 0 except on R^d."""
    if p.manifold != q.manifold:
        raise ValueError(
            f"both distributions must be on the same space, got {p.manifold!r} and {q.manifold!r}."
        )
    if p._K != 0 and not _same_location(p.loc, q.loc):
        raise NotImplementedError(
            f"The divergence between {name} normals on a curved space has a closed form only if "
            "both have the same loc. Average p.log_prob(z) - q.log_prob(z) over draws z of p "
            "instead."
        )
    return (p._tangent.double() - q._tangent.double()).square()


@register_kl(RiemannianNormal, RiemannianNormal)
def _kl_riemannian_normal_riemannian_normal(p: RiemannianNormal, q: RiemannianNormal) -> Tensor:
    gap = _square_between(p, q, "Riemannian").sum(-1)
    p_wide, q_wide = (
        RiemannianNormal.from_tangent(
            law._tangent.double(), law.scale.double(), law.manifold, validate_args=False
        )
        for law in (p, q)
    )
    square = p_wide.mean_square_distance + gap
    cross_entropy = q_wide.log_normalizer + 0.5 * square / q_wide.scale.square()
    return (cross_entropy - p_wide.entropy()).to(p.scale.dtype)


@register_kl(WrappedNormal, WrappedNormal)
def _kl_wrapped_normal_wrapped_normal(p: WrappedNormal, q: WrappedNormal) -> Tensor:
    gap = _square_between(p, q, "wrapped")
    if p._K > 0:
        raise NotImplementedError(
            "The divergence between wrapped normals on a sphere has no closed form, because many "
            "tangent vectors lead to each point. Average p.log_prob(z) - q.log_prob(z) over draws "
            "z of p instead."
        )
    # The exponential map at one location is one-to-one for K <= 0 and does not change a divergence.
    ratio = (p.scale.double() / q.scale.double()).square()
    terms = ratio - 1 - ratio.log() + gap / q.scale.double().square()
    return (0.5 * terms.sum(-1)).to(p.scale.dtype)
