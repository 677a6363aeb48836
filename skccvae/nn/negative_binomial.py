"""Log-probability of counts that spread wider than Poisson ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["negative_binomial_log_prob"]

# Size of the dispersion parameter from which Stirling's series is exact to float64's digits.
_LARGE = 16.0


def negative_binomial_log_prob(x: Tensor, log_mean: Tensor, log_size: Tensor) -> Tensor:
    r"""Log-probability of a negative binomial count, in nats.

    Parameters
    ----------
    x : Tensor
        Counts, >= 0; the formula is smooth in between.
    log_mean : Tensor
        Logarithm of the mean mu.
    log_size : Tensor
        Logarithm of the size r, the inverse dispersion: the variance is mu + mu^2 / r. All
        arguments broadcast.

    Returns
    -------
    Tensor
        Log-probabilities; for r to infinity those of the Poisson distribution.

    Notes
    -----
    .. math:: \log p(x) = \log\frac{\Gamma(x + r)}{\Gamma(r)\, x!}
              - r \log(1 + \mu / r) + x \log\frac{\mu}{r + \mu} .

    Where r is large, the difference of the two log-gammas, less x log r, is taken from Stirling's
    series, since the two agree in all digits of float32 from r = 1e6 on.

    References
    ----------
    DLMF 5.11.1 for Stirling's series, https://dlmf.nist.gov/5.11.
    """
    size = log_size.exp()
    logit = log_mean - log_size
    small = size < _LARGE
    r = torch.where(small, size, 1.0)
    few = torch.lgamma(x + r) - torch.lgamma(r) + x * F.logsigmoid(logit)
    r = torch.where(small, _LARGE, size)
    many = (r + x - 0.5) * torch.log1p(x / r) - x + _remainder(r + x) - _remainder(r)
    many = many + x * (log_mean - F.softplus(logit))
    return torch.where(small, few, many) - size * F.softplus(logit) - torch.lgamma(x + 1)


def _remainder(z: Tensor) -> Tensor:
    """Stirling's series behind ``(z - 1/2) log z - z + log(2 pi) / 2``, for z >= 16."""
    square = 1 / z.square()
    return (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / z
