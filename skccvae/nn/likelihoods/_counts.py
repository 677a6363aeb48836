"""Poisson and negative binomial likelihoods of counts."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, NegativeBinomial, Poisson

from skccvae.nn.likelihoods._base import Likelihood, set_to_likeliest

# Size of the dispersion parameter from which Stirling's series is exact to float64's digits.
_LARGE = 16.0
TWO_PI = 2 * math.pi


class PoissonLikelihood(Likelihood, name="poisson"):
    """Independent Poisson counts. The decoder gives the logarithm of the rate, in units of scale.

    Parameters
    ----------
    n_features : int
        Number of columns of X, non-negative counts.
    scale : Tensor of shape (n_features,), optional
        Unit of the rates, 1 by default. Rates lie between exp(-15) and exp(15) units. Rows are not
        scaled.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import PoissonLikelihood
    >>> log_rate, x = torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])
    >>> PoissonLikelihood(2).log_prob(log_rate, x)  # rate 1
    tensor([-2.])
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

    def __init__(self, n_features: int, scale: Tensor | None = None) -> None:
        super().__init__(n_features, scale)
        self.counts_are_large = scale is not None

    def log_rate(self, outputs: Tensor) -> Tensor:
        """Logarithm of the mean of each column, shape (..., p)."""
        # Bounding the logarithm smoothly keeps exp finite in the first steps of training.
        return bounded_log_rate(outputs) + self.log_scale

    def log_prob_terms(self, outputs: Tensor, x: Tensor) -> Tensor:
        log_rate = self.log_rate(outputs)
        if self.counts_are_large:
            return poisson_log_prob(x, log_rate)
        return x * log_rate - log_rate.exp() - torch.lgamma(x + 1)

    def mean(self, outputs: Tensor) -> Tensor:
        return self.log_rate(outputs).exp()

    def start_outputs(self, x: Tensor) -> Tensor | None:
        # Logarithms; a quarter of the column mean keeps those of 0 finite, whatever the unit. In
        # place of a decoder at random (plane, 5 dimensions, bound of held-out rows): -115.1 to
        # -104.7 nats on digits, -315.8 to -311.5 on simulated counts.
        counts = x.double()
        mean = counts.mean(0).clamp(min=1e-3)
        log_rate = torch.log((counts + mean / 4) / 1.25) - self.log_scale
        return unbounded_log_rate(log_rate).float()

    def distribution(self, outputs: Tensor) -> Distribution:
        return Independent(Poisson(self.mean(outputs)), 1, validate_args=False)


class NegativeBinomialLikelihood(PoissonLikelihood, name="negative_binomial"):
    """Independent counts with a variance above their mean. The decoder gives the log mean.

    Parameters
    ----------
    n_features : int
        Number of columns of X, non-negative counts.
    scale : Tensor of shape (n_features,), optional
        Unit of the rates, 1 by default. Rates lie between exp(-15) and exp(15) units. Rows are not
        scaled.

    Notes
    -----
    With mean mu the variance is ``mu + mu^2 / r``. The size r of a column is learned. It starts at
    10 and is bounded to (3e-7, 3e6). At the upper bound the distribution of counts up to some
    hundred equals the Poisson distribution to the precision of float32.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import NegativeBinomialLikelihood
    >>> likelihood = NegativeBinomialLikelihood(2)
    >>> law = likelihood.distribution(torch.zeros(1, 2)).base_dist
    >>> mean, variance = law.mean[0, 0].item(), law.variance[0, 0].item()
    >>> round(mean, 4), round(variance, 4)  # at the start of training
    (1.0, 1.1)
    """

    def __init__(self, n_features: int, scale: Tensor | None = None) -> None:
        super().__init__(n_features, scale)
        start = 15 * math.atanh(math.log(10) / 15)
        self.raw_size = nn.Parameter(torch.full((n_features,), start))

    def size(self) -> Tensor:
        """Learned size r of each column, the inverse of its dispersion, shape (p,)."""
        return bounded_log_rate(self.raw_size).exp()

    def start_noise(self, outputs: Tensor, x: Tensor, share: float) -> None:
        # A size moves by the learning rate in a step, so that training hardly corrects a bad one.
        # With both starts the bound goes from -334.3 to -311.2 nats on simulated counts of size 2.
        if share < 1:
            sizes = torch.linspace(math.log(0.1), math.log(1000), 17)
            set_to_likeliest(self, self.raw_size, unbounded_log_rate(sizes), outputs, x)

    def log_prob_terms(self, outputs: Tensor, x: Tensor) -> Tensor:
        log_size = bounded_log_rate(self.raw_size)
        if self.counts_are_large:
            return large_negative_binomial_log_prob(x, self.log_rate(outputs), log_size)
        return negative_binomial_log_prob(x, self.log_rate(outputs), log_size)

    def distribution(self, outputs: Tensor) -> Distribution:
        logits = self.log_rate(outputs) - bounded_log_rate(self.raw_size)
        return Independent(NegativeBinomial(self.size(), logits=logits), 1, validate_args=False)


def bounded_log_rate(raw: Tensor, bound: float = 15.0) -> Tensor:
    """Map the real line onto (-bound, bound), close to the identity in the middle."""
    return bound * torch.tanh(raw / bound)


def unbounded_log_rate(log_rate: Tensor, bound: float = 15.0) -> Tensor:
    """Inverse of `bounded_log_rate`. Its argument is kept at a distance of 1 from the bound."""
    most = bound - 1
    return bound * torch.atanh(log_rate.clamp(-most, most) / bound)


def poisson_log_prob(x: Tensor, log_rate: Tensor) -> Tensor:
    r"""Log-probability of a Poisson count that may be large, in nats.

    Parameters
    ----------
    x : Tensor
        Counts, >= 0. The formula is smooth from 16 on.
    log_rate : Tensor
        Logarithm of the rate.

    Returns
    -------
    Tensor
        Log-probabilities. For a count of 5e7 float32 keeps two decimals, whereas the difference of
        :math:`x \log\lambda` and :math:`\log x!` has a rounding error of 64 nats.

    References
    ----------
    Loader, "Fast and accurate computation of binomial probabilities", 2000.
    """
    large = torch.where(x >= _LARGE, x, _LARGE)
    stable = -large * _excess(log_rate - large.log()) - 0.5 * (TWO_PI * large).log()
    plain = x * log_rate - log_rate.exp() - torch.lgamma(x + 1)
    return torch.where(x >= _LARGE, stable - _remainder(large), plain)


def large_negative_binomial_log_prob(x: Tensor, log_mean: Tensor, log_size: Tensor) -> Tensor:
    """`negative_binomial_log_prob` for large counts, without terms of order x log x.

    Parameters, result and reference are those of `negative_binomial_log_prob` and
    `poisson_log_prob`.
    """
    logit = log_mean - log_size
    size = log_size.exp()
    large = torch.where(x >= _LARGE, x, _LARGE)
    # A small size: log-gammas of x + r and of x + 1 differ by (r - 1) log x, and little else.
    small = size < _LARGE
    r = torch.where(small, size, 1.0)
    few = (large + r - 0.5) * torch.log1p((r - 1) / (large + 1)) - torch.lgamma(r)
    few = few + (r - 1) * ((large + 1).log() - 1) + _remainder(large + r) - _remainder(large + 1)
    # Not softplus, which torch cuts off at 20.
    few = few + large * F.logsigmoid(logit) + r * F.logsigmoid(-logit)
    # A large one: Loader's deviances of x and of r.
    r = torch.where(small, _LARGE, size)
    many = _remainder(large + r) - _remainder(large) - _remainder(r)
    many = many - large * _excess(torch.log1p(r / large) + F.logsigmoid(logit))
    many = many - r * _excess(torch.log1p(large / r) + F.logsigmoid(-logit))
    many = many + 0.5 * (r / (TWO_PI * large * (r + large))).log()
    plain = negative_binomial_log_prob(x.clamp(max=_LARGE), log_mean, log_size)
    return torch.where(x >= _LARGE, torch.where(small, few, many), plain)


def _excess(t: Tensor) -> Tensor:
    """``exp(t) - 1 - t``."""
    return torch.expm1(t) - t


def negative_binomial_log_prob(x: Tensor, log_mean: Tensor, log_size: Tensor) -> Tensor:
    r"""Log-probability of a negative binomial count, in nats.

    Parameters
    ----------
    x : Tensor
        Counts, >= 0. The formula is smooth in between.
    log_mean : Tensor
        Logarithm of the mean mu.
    log_size : Tensor
        Logarithm of the size r, the inverse dispersion. The variance is mu + mu^2 / r. All
        arguments broadcast.

    Returns
    -------
    Tensor
        Log-probabilities. For r to infinity they are those of the Poisson distribution.

    Notes
    -----
    .. math:: \log p(x) = \log\frac{\Gamma(x + r)}{\Gamma(r)\, x!}
              - r \log(1 + \mu / r) + x \log\frac{\mu}{r + \mu} .

    If r is large, the difference of the two log-gammas, minus x log r, comes from Stirling's
    series, because from r = 1e6 on the two log-gammas agree in all digits of float32.

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
