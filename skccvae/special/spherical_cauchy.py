r"""Functions of the concentration of a spherical Cauchy law: its divergence and its mean.

The law is the image of the uniform law under a Moebius map of the sphere. Let d = m - 1 and
<mu, z> = w = tanh(s). Under the uniform law, s has a density proportional to sech(s)^d. The Moebius
map of concentration rho shifts s by L = 2 artanh(rho). Averages over s and over -s are equal, so

    KL = d E log(cosh(s + L) / cosh(s)) = d / 2 E log(1 + sinh(L)^2 sech(s)^2),
    E w = E tanh(s + L) = sinh(L) cosh(L) E[sech(s)^2 / (1 + sinh(L)^2 sech(s)^2)]

under the uniform law. No term is negative, so both keep their relative accuracy for every rho.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["spherical_cauchy_kl_uniform", "spherical_cauchy_mean_resultant_length"]

_LOG_ACCURACY = 30.0


@lru_cache(maxsize=256)
def _uniform_rule(m: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    r"""Nodes sech(s)^2 and weights of a mean over the uniform law on the sphere of R^m.

    For every rho the integrands are analytic in |Im s| < pi / 2, so the trapezoidal rule converges
    geometrically. With step h its error is exp(-2 pi y / h) / cos(y)^d for the best y below pi / 2.
    The step chosen here makes that about exp(-_LOG_ACCURACY) for small and for large d. The nodes
    end where sech(s)^d is as small: there are 102 for m = 2, 21 for m = 10 and 12 for m = 101. The
    sums agree with a computation in 40 digits to 2e-11 for m from 2 to 1001.
    """
    d = m - 1
    step = math.pi / math.sqrt(0.5 * d * _LOG_ACCURACY + (_LOG_ACCURACY / math.pi) ** 2)
    n_steps = math.ceil(math.acosh(math.exp(_LOG_ACCURACY / d)) / step)
    with torch.inference_mode(False), torch.no_grad():
        s = step * torch.arange(n_steps + 1, dtype=torch.float64, device="cpu")
        log_sech = math.log(2) - s - torch.log1p(torch.exp(-2 * s))
        weights = torch.exp(d * log_sech)
        weights[0] *= 0.5  # s and -s share the other nodes
        weights = weights / weights.sum()
        nodes = torch.exp(2 * log_sech)
        # convert the dtype first, because not every device has float64
        return nodes.to(dtype).to(device), weights.to(dtype).to(device)


def _uniform_terms(rho: Tensor, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """sinh(L), and the nodes sech(s)^2 and weights of `_uniform_rule`."""
    nodes, weights = _uniform_rule(m, rho.device, rho.dtype)
    return 2 * rho / ((1 - rho) * (1 + rho)), nodes, weights


def spherical_cauchy_kl_uniform(rho: Tensor, m: int) -> Tensor:
    r"""Kullback-Leibler divergence of a spherical Cauchy law from the uniform law on the sphere.

    Parameters
    ----------
    rho : Tensor
        Concentrations, any shape, float32 or float64, in [0, 1) (not checked).
    m : int
        Ambient dimension, at least 2.

    Returns
    -------
    Tensor
        Shape and dtype of rho, in nats. It is about 2 (m - 1)^2 rho^2 / m near rho = 0, grows like
        (m - 1) log(1 / (1 - rho)) near rho = 1, and keeps full relative accuracy at both ends. It
        can be differentiated any number of times.

    References
    ----------
    Kato and McCullagh, "Some properties of a Cauchy family on the sphere derived from the Moebius
    transformations", Bernoulli 26, 2020 (the law; the average is derived in this module).

    Examples
    --------
    >>> import torch
    >>> spherical_cauchy_kl_uniform(torch.tensor([0.0, 0.5]), 2)  # on the circle -log(1 - rho^2)
    tensor([0.0000, 0.2877])
    """
    sinh, nodes, weights = _uniform_terms(rho, m)
    # a sum of products: autocast would lower the precision of a matrix product
    mean = (torch.log1p(sinh.square().unsqueeze(-1) * nodes) * weights).sum(-1)
    return 0.5 * (m - 1) * mean


def spherical_cauchy_mean_resultant_length(rho: Tensor, m: int) -> Tensor:
    r"""Mean of <mu, z> under a spherical Cauchy law.

    Parameters
    ----------
    rho, m
        As for `spherical_cauchy_kl_uniform`.

    Returns
    -------
    Tensor
        Shape and dtype of rho, from 0 to 1. It equals rho for m = 2, and is about
        2 rho (m - 1) / m near rho = 0. It is (1 - rho^2) / (2 m - 2) times the derivative of the
        divergence. It can be differentiated any number of times.

    References
    ----------
    Kato and McCullagh, "Some properties of a Cauchy family on the sphere derived from the Moebius
    transformations", Bernoulli 26, 2020 (the law; the average is derived in this module).

    Examples
    --------
    >>> import torch
    >>> spherical_cauchy_mean_resultant_length(torch.tensor([0.0, 0.5]), 2)
    tensor([0.0000, 0.5000])
    """
    sinh, nodes, weights = _uniform_terms(rho, m)
    mean = (nodes / (1 + sinh.square().unsqueeze(-1) * nodes) * weights).sum(-1)
    cosh = (1 + rho * rho) / ((1 - rho) * (1 + rho))
    return sinh * cosh * mean
