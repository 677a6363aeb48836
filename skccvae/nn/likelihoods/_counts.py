"""Poisson and negative binomial likelihoods of counts."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, NegativeBinomial, Poisson

from skccvae.nn.likelihoods._base import Likelihood

# Size of the dispersion parameter from which Stirling's series is exact to float64's digits.
_LARGE = 16.0


class PoissonLikelihood(Likelihood, name="poisson"):
    """Independent Poisson counts; the decoder gives the logarithm of the rate, in units of scale.

    Parameters
    ----------
    n_features : int
        Number of columns of X, non-negative counts.
    scale : Tensor of shape (n_features,), optional
        Unit of the rates, 1 by default: rates lie between exp(-15) and exp(15) units. Rows are not
        scaled.
    """

    support = (0.0, math.inf)
    support_error = (
        "needs counts, X >= 0; its smallest entry is {low:.9g}. Use likelihood='gaussian' for real "
        "values."
    )
    fingerprint = "counts"
    scaling = "rates"

    def encoder_inputs(self, x: Tensor) -> Tensor:
        # Counts run over orders of magnitude. Large ones, as they are, make the first posteriors
        # so wide that training starts a million nats away.
        return torch.asinh(x)

    def log_rate(self, outputs: Tensor) -> Tensor:
        """Logarithm of the mean of each column, shape (..., p)."""
        # Bounding the logarithm smoothly keeps exp finite in the first steps of training.
        return bounded_log_rate(outputs) + self.log_scale

    def log_prob_terms(self, outputs: Tensor, x: Tensor) -> Tensor:
        log_rate = self.log_rate(outputs)
        return x * log_rate - log_rate.exp() - torch.lgamma(x + 1)

    def mean(self, outputs: Tensor) -> Tensor:
        return self.log_rate(outputs).exp()

    def distribution(self, outputs: Tensor) -> Distribution:
        return Independent(Poisson(self.mean(outputs)), 1, validate_args=False)


class NegativeBinomialLikelihood(PoissonLikelihood, name="negative_binomial"):
    """Independent counts with a variance above their mean; the decoder gives the log mean.

    Parameters
    ----------
    n_features : int
        Number of columns of X, non-negative counts.
    scale : Tensor of shape (n_features,), optional
        Unit of the rates, 1 by default: rates lie between exp(-15) and exp(15) units. Rows are not
        scaled.

    Notes
    -----
    With mean mu the variance is ``mu + mu^2 / r``. The size r of a column is learned from 10 on,
    and bounded to (3e-7, 3e6). At its upper end the distribution of counts up to some hundred is the
    Poisson's to float32's digits.
    """

    def __init__(self, n_features: int, scale: Tensor | None = None) -> None:
        super().__init__(n_features, scale)
        start = 15 * math.atanh(math.log(10) / 15)
        self.raw_size = nn.Parameter(torch.full((n_features,), start))

    def size(self) -> Tensor:
        """Learned size r of each column, the inverse of its dispersion, shape (p,)."""
        return bounded_log_rate(self.raw_size).exp()

    def log_prob_terms(self, outputs: Tensor, x: Tensor) -> Tensor:
        log_size = bounded_log_rate(self.raw_size)
        return negative_binomial_log_prob(x, self.log_rate(outputs), log_size)

    def distribution(self, outputs: Tensor) -> Distribution:
        logits = self.log_rate(outputs) - bounded_log_rate(self.raw_size)
        return Independent(NegativeBinomial(self.size(), logits=logits), 1, validate_args=False)


def bounded_log_rate(raw: Tensor, bound: float = 15.0) -> Tensor:
    """Map the real line onto (-bound, bound), nearly the identity in the middle."""
    return bound * torch.tanh(raw / bound)


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

    Where r is large, the difference of the two log-gammas, less x log r, comes from Stirling's
    series: from r = 1e6 on the two log-gammas agree in all digits of float32.

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
