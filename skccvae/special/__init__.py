"""Special functions in pure torch: generalised trigonometry, Bessel ratios, quantile functions."""

from __future__ import annotations

from skccvae.special.bessel import bessel_ratio, log_bessel_i, log_hyp0f1
from skccvae.special.power_spherical import (
    power_spherical_kl_uniform,
    power_spherical_log_normalizer,
)
from skccvae.special.projected_normal import ProjectedNormalRadius, projected_normal_radius
from skccvae.special.quantile import RadialQuantile
from skccvae.special.spherical_cauchy import (
    spherical_cauchy_kl_uniform,
    spherical_cauchy_mean_resultant_length,
)
from skccvae.special.trigonometry import (
    arctan_k,
    cos_k,
    log_sinc_k,
    sin_k,
    sinc_k,
    tan_k,
    versin_k,
)
from skccvae.special.von_mises_fisher import vmf_kl_uniform, vmf_log_normalizer

__all__ = [
    "ProjectedNormalRadius",
    "RadialQuantile",
    "arctan_k",
    "bessel_ratio",
    "cos_k",
    "log_bessel_i",
    "log_hyp0f1",
    "log_sinc_k",
    "power_spherical_kl_uniform",
    "power_spherical_log_normalizer",
    "projected_normal_radius",
    "sin_k",
    "sinc_k",
    "spherical_cauchy_kl_uniform",
    "spherical_cauchy_mean_resultant_length",
    "tan_k",
    "versin_k",
    "vmf_kl_uniform",
    "vmf_log_normalizer",
]
