r"""Functions of the power spherical concentration: normaliser, divergence, quantiles.

With w = <mu, z> and m the ambient dimension, (1 + w) / 2 follows the beta distribution with
parameters alpha = kappa + beta and beta = (m - 1) / 2. So the normaliser and the divergence can be
expressed with gamma functions.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from skccvae.special._autograd import with_derivative
from skccvae.special.bessel import working_dtype
from skccvae.special.quantile import RadialQuantile
from skccvae.special.von_mises_fisher import ConcentrationGrid, bounded_quantile

__all__ = [
    "power_spherical_kl",
    "power_spherical_kl_uniform",
    "power_spherical_log_normalizer",
]

_GAUSS_POINTS = 12


@lru_cache(maxsize=1)
def _gauss_legendre() -> tuple[tuple[float, float], ...]:
    """Nodes and weights on [0, 1], from the eigenvalues of the Jacobi matrix (Golub and Welsch)."""
    with torch.inference_mode(False), torch.no_grad():
        k = torch.arange(1, _GAUSS_POINTS, dtype=torch.float64, device="cpu")
        off_diagonal = k / torch.sqrt(4 * k * k - 1)
        matrix = torch.diag(off_diagonal, 1) + torch.diag(off_diagonal, -1)
        nodes, vectors = torch.linalg.eigh(matrix)
        pairs = zip((0.5 * (nodes + 1)).tolist(), vectors[0].square().tolist(), strict=True)
        return tuple(pairs)


def _log_variance(kappa: Tensor, beta: float) -> Tensor:
    """Variance of log((1 + w) / 2), which is the derivative of its mean in kappa."""
    return torch.polygamma(1, kappa + beta) - torch.polygamma(1, kappa + 2 * beta)


def _log_mean(kappa: Tensor, beta: float) -> Tensor:
    """Mean of log((1 + w) / 2), which is the derivative of the log-normaliser."""
    return torch.digamma(kappa + beta) - torch.digamma(kappa + 2 * beta)


def _log_normalizer(kappa: Tensor, beta: float) -> Tensor:
    zero = torch.zeros((), dtype=kappa.dtype, device=kappa.device)
    at_zero = torch.lgamma(zero + beta) - torch.lgamma(zero + 2 * beta)
    return torch.lgamma(kappa + beta) - torch.lgamma(kappa + 2 * beta) - at_zero


def power_spherical_log_normalizer(kappa: Tensor, m: int) -> Tensor:
    r"""Logarithm of the mean of ((1 + w) / 2)^kappa over the uniform distribution on the sphere.

    Parameters
    ----------
    kappa : Tensor
        Concentrations, any shape, float32 or float64, >= 0 (not checked).
    m : int
        Ambient dimension, at least 2.

    Returns
    -------
    Tensor
        Shape and dtype of kappa, computed in float64. It is 0 at kappa = 0 and can be
        differentiated once.

    References
    ----------
    De Cao and Aziz, "The power spherical distribution", 2020, equation 6.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import power_spherical_log_normalizer
    >>> power_spherical_log_normalizer(torch.tensor([1.0]), 3)  # log(1 / 2)
    tensor([-0.6931])
    """
    beta = 0.5 * (m - 1)

    def value_and_slope(kappa: Tensor) -> tuple[Tensor, Tensor]:
        kappa = kappa.to(working_dtype(kappa.device))
        return _log_normalizer(kappa, beta), _log_mean(kappa, beta)

    return with_derivative(kappa, value_and_slope)


def power_spherical_kl_uniform(kappa: Tensor, m: int) -> Tensor:
    r"""Kullback-Leibler divergence of a power spherical from the uniform distribution.

    Parameters
    ----------
    kappa, m
        As for `power_spherical_log_normalizer`.

    Returns
    -------
    Tensor
        Shape and dtype of kappa, in nats. It keeps full relative accuracy near kappa = 0 and can be
        differentiated once.

    References
    ----------
    De Cao and Aziz, "The power spherical distribution", 2020, equation 16.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special import power_spherical_kl_uniform
    >>> power_spherical_kl_uniform(torch.tensor([0.0, 1.0]), 3)  # the second is log(2) - 1 / 2
    tensor([0.0000, 0.1931])
    """
    beta = 0.5 * (m - 1)

    def value_and_slope(kappa: Tensor) -> tuple[Tensor, Tensor]:
        kappa = kappa.to(working_dtype(kappa.device))
        # kappa E[log t] - log M cancels as kappa -> 0. Up to kappa = beta this integrates the
        # derivative instead. Its integrand is smooth and positive, so Gaussian quadrature is exact
        # to rounding.
        small = kappa.clamp(max=beta)
        integral = torch.zeros_like(kappa)
        for node, weight in _gauss_legendre():
            integral = integral + weight * node * _log_variance(node * small, beta)
        integral = small * small * integral
        closed = kappa * _log_mean(kappa, beta) - _log_normalizer(kappa, beta)
        # a NaN fails the comparison and stays in the closed form
        value = torch.where(kappa <= beta, integral, closed)
        return value, kappa * _log_variance(kappa, beta)

    return with_derivative(kappa, value_and_slope)


def power_spherical_kl(kappa_p: Tensor, kappa_q: Tensor, m: int) -> Tensor:
    r"""Kullback-Leibler divergence of two power spherical distributions with the same location.

    Parameters
    ----------
    kappa_p, kappa_q : Tensor
        Concentrations >= 0 (not checked); they broadcast.
    m : int
        Ambient dimension, at least 2.

    Returns
    -------
    Tensor
        Broadcast shape and dtype, in nats, computed in float64. Its terms cancel when the
        distributions are close. The absolute error is then about 1e-15 times the larger
        concentration.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special.power_spherical import power_spherical_kl
    >>> power_spherical_kl(torch.tensor(1.0), torch.tensor(0.0), 3)  # log(2) - 1 / 2
    tensor(0.1931)
    """
    beta, dtype = 0.5 * (m - 1), working_dtype(kappa_p.device)
    p, q = kappa_p.to(dtype), kappa_q.to(dtype)
    divergence = (p - q) * _log_mean(p, beta) - _log_normalizer(p, beta) + _log_normalizer(q, beta)
    return divergence.to(torch.result_type(kappa_p, kappa_q))


@lru_cache(maxsize=256)
def power_spherical_quantile(m: int, dtype: torch.dtype) -> RadialQuantile:
    """Quantile table of the power spherical distribution; see `bounded_quantile`.

    It replaces kappa (w - 1) of the von Mises-Fisher distribution with kappa log((1 + w) / 2).
    """

    def log_ratio(y: Tensor, q: Tensor, log1p_qy: Tensor) -> Tensor:
        # (1 - q) / q log(1 + q e^y), which is e^y at q = 0
        small = q * torch.exp(y) < 1e-8
        ratio = log1p_qy / torch.where(small, 1.0, q)
        return -(1 - q) * torch.where(small, torch.exp(y), ratio)

    return bounded_quantile(m, dtype, log_ratio)


def power_spherical_log_tangent(
    score: Tensor, kappa: Tensor, m: int, grid: ConcentrationGrid
) -> tuple[Tensor, Tensor]:
    """Quantile y = 2 log tan(theta / 2) and dy/dkappa; see `vmf_log_tangent`."""
    return grid.read_quantile(power_spherical_quantile(m, kappa.dtype), score, kappa, m)
