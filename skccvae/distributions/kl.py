"""Kullback-Leibler divergences, registered with `torch.distributions.kl_divergence`."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import register_kl

from skccvae.distributions.hyperspherical_uniform import HypersphericalUniform
from skccvae.distributions.power_spherical import PowerSpherical
from skccvae.distributions.riemannian_normal import RiemannianNormal
from skccvae.distributions.rotationally_symmetric import RotationallySymmetric, log_sphere_area
from skccvae.distributions.spherical_cauchy import SphericalCauchy
from skccvae.distributions.von_mises_fisher import VonMisesFisher
from skccvae.special.bessel import bessel_ratio, log_hyp0f1
from skccvae.special.von_mises_fisher import vmf_kl_uniform, vmf_log_normalizer

__all__: list[str] = []

_OnSphere = RotationallySymmetric | HypersphericalUniform


def _check_same_sphere(p: _OnSphere, q: _OnSphere) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "both distributions must have the same ambient dimension, got "
            f"{p.event_shape[0]} and {q.event_shape[0]}."
        )


def _broadcast(value: Tensor, other: _OnSphere) -> Tensor:
    """Broadcast a divergence, which does not depend on `other`, to the batch shape of `other`."""
    return value if not other.batch_shape else value + value.new_zeros(other.batch_shape)


@register_kl(VonMisesFisher, HypersphericalUniform)
def _kl_von_mises_fisher_uniform(p: VonMisesFisher, q: HypersphericalUniform) -> Tensor:
    _check_same_sphere(p, q)
    return _broadcast(p._kl_uniform(), q)


@register_kl(PowerSpherical, HypersphericalUniform)
def _kl_power_spherical_uniform(p: PowerSpherical, q: HypersphericalUniform) -> Tensor:
    _check_same_sphere(p, q)
    return _broadcast(p._kl_uniform(), q)


@register_kl(SphericalCauchy, HypersphericalUniform)
def _kl_spherical_cauchy_uniform(p: SphericalCauchy, q: HypersphericalUniform) -> Tensor:
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


@register_kl(VonMisesFisher, VonMisesFisher)
def _kl_von_mises_fisher_von_mises_fisher(p: VonMisesFisher, q: VonMisesFisher) -> Tensor:
    _check_same_sphere(p, q)
    m = p.event_shape[0]
    # in float64, because the terms cancel when the laws are close
    kappa_p, kappa_q = p.concentration.double(), q.concentration.double()
    ratio = bessel_ratio(0.5 * m - 1, kappa_p)
    # 1 - A <mu_p, mu_q> without cancellation when both factors are close to 1
    gap = (1 - ratio) + ratio * 0.5 * (p.loc.double() - q.loc.double()).square().sum(-1)
    divergence = vmf_kl_uniform(kappa_p, m) + vmf_log_normalizer(kappa_q, m) + kappa_q * gap
    return divergence.to(p.concentration.dtype)


@register_kl(RiemannianNormal, HypersphericalUniform)
def _kl_riemannian_normal_uniform(p: RiemannianNormal, q: HypersphericalUniform) -> Tensor:
    curvature = getattr(p.manifold, "curvature", None)
    if curvature != 1:
        raise ValueError(
            "the uniform distribution is on the unit sphere, so the Riemannian normal must be on "
            f"Sphere(dim, curvature=1.0); got {p.manifold!r}."
        )
    if p.event_shape != q.event_shape:
        raise ValueError(
            "both distributions must have the same ambient dimension, got "
            f"{p.event_shape[0]} and {q.event_shape[0]}."
        )
    divergence = log_sphere_area(p.event_shape[0]) - p.entropy()
    return divergence if not q.batch_shape else divergence + divergence.new_zeros(q.batch_shape)
