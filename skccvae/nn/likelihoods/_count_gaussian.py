"""Normal noise of counts under which the total of a row is known better than its parts."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from skccvae.nn.likelihoods._gaussian import HALF_LOG_TWO_PI, IsotropicGaussianLikelihood

# Totals whose variance is a smaller share of their squared mean are one constant, rounded.
_CONSTANT = 1e-9


class CountGaussianLikelihood(IsotropicGaussianLikelihood, name="count_gaussian"):
    r"""Isotropic normal columns, but with less noise in their sum, which says how large a row is.

    `PCA` subtracts the means of counts, so its components need not hold the total of a row. Its
    relatives without centring, such as `TruncatedSVD`, keep the total, because it counts with its
    distance from 0 and not from its mean. The same holds here. Codes therefore hold totals that
    differ little but say much, such as the numbers of atoms in molecules.

    Parameters
    ----------
    n_features : int
        Number of columns p of X.
    scale : Tensor of shape (n_features,), optional
        The unit by which rows were divided, the same for every column; 1 by default.

    Attributes
    ----------
    gain : Tensor of shape ()
        Factor g >= 1 by which the noise of a row's total is smaller than that of a sum of
        independent columns. `learn_units` computes it from the training rows. It is 1, so that the
        noise is isotropic, in a list of likelihoods, and if all rows have the same total.

    Notes
    -----
    With u the unit vector of equal entries, the covariance of the columns is

    .. math:: \sigma^2 \left(I - (1 - g^{-2}) u u^T\right), \qquad
        g^2 = \min\left(1 + \frac{m^2}{v}, 1 + p\right),

    where m and v are the mean and the variance of the totals of rows, after the smallest entry of
    each column is subtracted. Multiplied by g, the totals have the mean square m^2 + v, as in a
    decomposition without centring. The bound 1 + p is reached where the noise of the total is about
    that of one column.

    References
    ----------
    Tipping and Bishop, "Probabilistic principal component analysis", JRSS B 1999, eq. 2, which is
    this distribution for g = 1.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import CountGaussianLikelihood
    >>> likelihood = CountGaussianLikelihood(3)
    >>> likelihood.learn_units(torch.tensor([[0.0, 2.0, 1.0], [1.0, 0.0, 1.0], [3.0, 0.0, 0.0]]))
    >>> round(likelihood.gain.item(), 4)  # totals 3, 2, 3: 1 + 32 exceeds 1 + p
    2.0
    """

    gain: Tensor
    has_units = True

    def __init__(self, n_features: int, scale: Tensor | None = None) -> None:
        super().__init__(n_features, scale)
        self.register_buffer("gain", torch.ones(()))

    def learn_units(self, x: Tensor) -> None:
        x = x.double()
        missing = x.isnan()
        if missing.any():
            means = x.nanmean(0).nan_to_num()
            x = torch.where(missing, means, x)
        totals = x.sum(-1)
        mean = totals.mean() - x.amin(0).sum()
        variance = totals.var(correction=0)
        square = torch.ones_like(variance)
        if variance > _CONSTANT * mean.square():
            square = (1 + mean.square() / variance).clamp(max=1 + self.n_features)
        self.gain.copy_(square.sqrt())

    def noise_units(self, x: Tensor) -> Tensor:
        return x + (self.gain - 1) * x.mean(-1, keepdim=True)

    def log_prob_terms(self, outputs: Tensor, x: Tensor) -> Tensor:
        # Terms of columns in units of the noise; only for a gain of 1 are these the columns of X.
        terms = super().log_prob_terms(self.noise_units(outputs), self.noise_units(x))
        return terms + self.gain.log() / self.n_features

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        residual = x - outputs
        scale, gain = self.scale()[0].to(residual.dtype), self.gain.to(residual.dtype)
        total = residual.sum(-1).square() / self.n_features
        square = residual.square().sum(-1) + (gain.square() - 1) * total
        constant = self.n_features * (scale.log() + HALF_LOG_TWO_PI) - self.log_jacobian
        return gain.log() - constant - 0.5 * square / scale.square()

    def observed_log_prob(self, outputs: Tensor, x: Tensor, missing: Tensor) -> Tensor:
        # The covariance of k observed columns is s^2 (I - a u u^T) with the entries of u that they
        # have, a = 1 - 1/g^2 and |u|^2 = k/p. So its determinant has the factor 1 - a k/p, and its
        # inverse is (I + a/(1 - a k/p) u u^T) / s^2. Written with p - k, nothing cancels where few
        # values are missing and the factor is as small as 1/g^2.
        residual = (x - outputs).masked_fill(missing, 0.0)
        p, dtype = self.n_features, residual.dtype
        scale, n_seen = self.scale()[0].to(dtype), (~missing).sum(-1).to(dtype)
        factor, ratio = self._of_observed(missing, dtype)
        of_total = ratio * residual.sum(-1).square() / p
        square = residual.square().sum(-1) + of_total
        constant = n_seen * (scale.log() + HALF_LOG_TWO_PI - self.log_jacobian.to(dtype) / p)
        return -constant - 0.5 * factor.log() - 0.5 * square / scale.square()

    def _of_observed(self, missing: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """1 - a k/p and a / (1 - a k/p), for k observed columns."""
        p, square_gain = self.n_features, self.gain.to(dtype).square()
        n_missing = missing.sum(-1).to(dtype)
        factor = (n_missing + (p - n_missing) / square_gain) / p
        return factor, (1 - 1 / square_gain) / factor

    def given_observed(self, rows: Tensor, x: Tensor) -> Tensor:
        # The covariance of a missing and the observed columns times the inverse of that of the
        # observed ones is -a/(1 - a k/p) u u^T. For a draw this is Matheron's rule.
        missing = x.isnan()
        _, ratio = self._of_observed(missing, rows.dtype)
        total = (x - rows).masked_fill(missing, 0.0).sum(-1, keepdim=True)
        return rows - ratio.unsqueeze(-1) * total / self.n_features

    def start_noise(self, outputs: Tensor, x: Tensor, share: float) -> None:
        missing = x.isnan()
        whole = self.noise_units(torch.where(missing, outputs, x))
        super().start_noise(self.noise_units(outputs), whole.masked_fill(missing, math.nan), share)

    def distribution(self, outputs: Tensor) -> Distribution:
        """Distribution of one row in model units, in memory of the order p^2 for a gain above 1."""
        if self.gain == 1:
            return super().distribution(outputs)
        p = self.n_features
        shrunk = torch.eye(p, dtype=outputs.dtype, device=outputs.device)
        # The symmetric root of the covariance is I - (1 - 1/g) u u^T, times the scale.
        shrunk = self.scale()[0] ** 2 * (shrunk - (1 - self.gain**-2) / p)
        return MultivariateNormal(outputs, shrunk, validate_args=False)
