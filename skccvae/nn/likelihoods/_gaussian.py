"""Normal likelihoods of real values, with a learned scale for each column or for all of them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from skccvae.nn.likelihoods._base import Likelihood

# The parameter of a scale is divided by this gain. Adam changes a parameter by about the learning
# rate per step, and the scale should follow the residuals within a few hundred.
_GAIN = 10.0
HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class GaussianLikelihood(Likelihood, name="gaussian"):
    """Independent normal columns, each with a learned scale.

    Parameters
    ----------
    n_features : int
        Number of columns of X.
    scale : Tensor of shape (n_features,), optional
        Standard deviation of each column of X, by which rows were divided. Default: 1.

    Notes
    -----
    The learned scale, in units of the column's standard deviation, is
    ``0.01 + softplus(10 parameter)``. The lower bound keeps the density finite where the model
    reproduces a column exactly.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import GaussianLikelihood
    >>> means, x = torch.zeros(1, 2), torch.tensor([[1.0, -1.0]])
    >>> round(GaussianLikelihood(2).log_prob(means, x).item(), 4)  # -log(2 pi) - 1
    -2.8379
    """

    scaling = "columns"
    fingerprint = "counts"
    min_scale = 0.01
    log_jacobian: Tensor

    def __init__(self, n_features: int, scale: Tensor | None = None) -> None:
        super().__init__(n_features, scale)
        # The sum of minus `log_scale`, rounded once and not in each column.
        scale = torch.ones(n_features) if scale is None else scale
        self.register_buffer("log_jacobian", -scale.double().log().sum().float())
        start = math.log(math.expm1(1.0 - self.min_scale))
        self.raw_scale = nn.Parameter(torch.full((n_features,), start / _GAIN))

    def scale(self) -> Tensor:
        """Learned scale of each column in units of its standard deviation, shape (p,)."""
        return self.min_scale + F.softplus(_GAIN * self.raw_scale)

    def log_prob_terms(self, outputs: Tensor, x: Tensor) -> Tensor:
        scale = self.scale()
        constant = scale.log() + HALF_LOG_TWO_PI + self.log_scale
        return -0.5 * ((x - outputs) / scale).square() - constant

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        # The constant is added once to a row, not once to each column.
        scale = self.scale()
        constant = scale.log().sum() + self.n_features * HALF_LOG_TWO_PI - self.log_jacobian
        return -0.5 * ((x - outputs) / scale).square().sum(-1) - constant

    def mean(self, outputs: Tensor) -> Tensor:
        return outputs

    def start_outputs(self, x: Tensor) -> Tensor | None:
        return x

    def start_noise(self, outputs: Tensor, x: Tensor, share: float) -> None:
        square = (x - outputs).double().square()
        variance = square.mean(0)
        if len(self.raw_scale) == 1:
            variance = variance.mean(0, keepdim=True)
        if variance.isnan().any():  # values are missing
            variance = square.nanmean((0, 1) if len(self.raw_scale) == 1 else 0)
            # A column that was never observed has the variance of the rows.
            variance = variance.masked_fill(variance.isnan(), 1.0).reshape(self.raw_scale.shape)
        # Residuals of n rows after a fit of `share * n` coefficients; where they say little, the
        # variance of the rows themselves, which is 1 in model units.
        if share < 1:
            variance = (1 - share**2) * variance / (1 - share) + share**2
        else:
            variance = torch.ones_like(variance)
        excess = (variance.sqrt() - self.min_scale).clamp_(min=0.5 * self.min_scale)
        with torch.no_grad():
            self.raw_scale.copy_(excess.expm1().log() / _GAIN)

    def distribution(self, outputs: Tensor) -> Distribution:
        return Independent(Normal(outputs, self.scale()), 1, validate_args=False)


class IsotropicGaussianLikelihood(GaussianLikelihood, name="isotropic_gaussian"):
    """Independent normal columns with one learned scale for all, as in probabilistic PCA.

    Columns count by their variance, as they do in PCA. This suits columns that share a unit, such
    as counts or a spectrum. Columns that hardly vary are then noise that the model may ignore.

    Parameters
    ----------
    n_features : int
        Number of columns of X.
    scale : Tensor of shape (n_features,), optional
        The unit by which rows were divided, the same for every column. Default: 1.

    References
    ----------
    Tipping and Bishop, "Probabilistic principal component analysis", JRSS B 1999, eq. 2. With
    linear networks and a Gaussian latent space the model here is the one of that paper.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import IsotropicGaussianLikelihood
    >>> likelihood = IsotropicGaussianLikelihood(3)
    >>> likelihood.raw_scale.shape, likelihood.scale().shape  # one parameter for all columns
    (torch.Size([1]), torch.Size([3]))
    """

    scaling = "shared"

    def __init__(self, n_features: int, scale: Tensor | None = None) -> None:
        super().__init__(n_features, scale)
        self.raw_scale = nn.Parameter(self.raw_scale.detach()[:1].clone())

    def scale(self) -> Tensor:
        """Learned scale in units of the root mean variance of the columns, shape (p,)."""
        return super().scale().expand(self.n_features)
