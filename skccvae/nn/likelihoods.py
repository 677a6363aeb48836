"""Likelihoods p(x | z): what the decoder's output means.

A likelihood owns the map from decoder outputs to a distribution over one row, and a direct
formula for the row's log-probability, which training uses without building the distribution.
Rows reach it in *model units*: pixels in [0, 1], counts as they are, and real values centred and
scaled column by column (`GaussianLikelihood` adds the Jacobian of that scaling, so that
log-probabilities are densities of the user's own X).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    Distribution,
    Independent,
    NegativeBinomial,
    Normal,
    VonMises,
)
from torch.distributions import Poisson as TorchPoisson

from skccvae.nn.discretized_logistic import DiscretizedLogistic, level_log_prob, level_mean
from skccvae.nn.negative_binomial import negative_binomial_log_prob
from skccvae.nn.von_mises import angle_cells, cos_and_sin, natural_parameters, von_mises_log_prob
from skccvae.special import log_sinc_k

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Likelihood(nn.Module):
    """Base of all likelihoods.

    Parameters
    ----------
    n_features : int
        Columns of X.

    Attributes
    ----------
    n_inputs : int
        Numbers the encoder reads of a row.
    n_outputs : int
        Numbers the decoder must give for a row.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = n_features
        self.n_inputs = n_features
        self.n_outputs = n_features

    def encoder_inputs(self, x: Tensor) -> Tensor:
        """What the encoder reads of rows ``x`` (..., p), shape (..., n_inputs): x itself here."""
        return x

    def row_content(self, x: Tensor) -> Tensor:
        """What tells rows ``x`` (n, p) apart where noise belongs to a row: x itself here."""
        return x

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Log-probability of rows ``x`` (..., p) given decoder outputs, shape (...), in nats."""
        return self.distribution(outputs).log_prob(x)

    def total_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Sum of `log_prob` over all rows, a scalar: what a training step needs."""
        return self.log_prob(outputs, x).sum()

    def mean(self, outputs: Tensor) -> Tensor:
        """Mean of p(x | z) in model units, shape (..., p)."""
        return self.distribution(outputs).mean

    def distribution(self, outputs: Tensor) -> Distribution:
        """The distribution of one row in model units, with event shape (p,)."""
        raise TypeError(f"{type(self).__name__} does not name its distribution.")


class BernoulliLikelihood(Likelihood):
    """Independent Bernoulli pixels; for grey values in (0, 1) the soft cross-entropy.

    With x in {0, 1} this is a probability. With grey x it is the cross-entropy that much of the
    literature reports, and no log-density; `ContinuousBernoulliLikelihood` is.

    Parameters
    ----------
    n_features : int
        Columns of X.
    """

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        x = x.expand_as(outputs)
        return -F.binary_cross_entropy_with_logits(outputs, x, reduction="none").sum(-1)

    def total_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        if outputs.shape == x.shape:
            return -F.binary_cross_entropy_with_logits(outputs, x, reduction="sum")
        return self.log_prob(outputs, x).sum()

    def mean(self, outputs: Tensor) -> Tensor:
        return torch.sigmoid(outputs)

    def distribution(self, outputs: Tensor) -> Distribution:
        return Independent(Bernoulli(logits=outputs), 1, validate_args=False)


class ContinuousBernoulliLikelihood(Likelihood):
    """Continuous Bernoulli on [0, 1]: the normalised density behind the soft cross-entropy.

    Notes
    -----
    With logit l the density is ``exp(x l) l / (exp(l) - 1)``, so that
    ``log p(x) = (x - 1/2) l - log(sinh(l/2) / (l/2))``, smooth at l = 0 and without overflow.

    References
    ----------
    Loaiza-Ganem and Cunningham, "The continuous Bernoulli", NeurIPS 2019, eq. 6.

    Parameters
    ----------
    n_features : int
        Columns of X.
    """

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        return ((x - 0.5) * outputs - log_sinc_k(outputs.abs() / 2, -1.0)).sum(-1)

    def mean(self, outputs: Tensor) -> Tensor:
        # 1/(1 - exp(-l)) - 1/l, with its series where the two cancel. torch's own clamps the
        # probability, which is 0.015 off at l = 80.
        near = outputs.abs() < 0.3
        safe = torch.where(near, 1.0, outputs)
        l2 = outputs.square()
        series = outputs * (1 / 12 - l2 * (1 / 720 - l2 * (1 / 30240 - l2 / 1209600)))
        return torch.where(near, 0.5 + series, -1 / torch.expm1(-safe) - 1 / safe)

    def distribution(self, outputs: Tensor) -> Distribution:
        return Independent(ContinuousBernoulli(logits=outputs), 1, validate_args=False)


class GaussianLikelihood(Likelihood):
    """Independent normals with one learned scale a column.

    Parameters
    ----------
    n_features : int
        Columns of X.
    scale : tensor of shape (n_features,), optional
        Standard deviation of each column of X, by which rows were divided; 1 by default.

    Notes
    -----
    The learned scale, in units of the column's standard deviation, is
    ``0.01 + softplus(parameter)``: a column that the model reproduces exactly cannot drive the
    density to infinity.
    """

    min_scale = 0.01
    log_jacobian: Tensor

    def __init__(self, n_features: int, scale: Tensor | None = None) -> None:
        super().__init__(n_features)
        scale = torch.ones(n_features) if scale is None else scale
        # In float64: columns of order 1e-30 have a logarithm, though float32 cannot hold them.
        self.register_buffer("log_jacobian", -scale.double().log().sum().float())
        start = math.log(math.expm1(1.0 - self.min_scale))
        self.raw_scale = nn.Parameter(torch.full((n_features,), start))

    def scale(self) -> Tensor:
        """Learned scale of each column in units of its standard deviation, shape (p,)."""
        return self.min_scale + F.softplus(self.raw_scale)

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        scale = self.scale()
        constant = scale.log().sum() + self.n_features * HALF_LOG_TWO_PI - self.log_jacobian
        return -0.5 * ((x - outputs) / scale).square().sum(-1) - constant

    def mean(self, outputs: Tensor) -> Tensor:
        return outputs

    def distribution(self, outputs: Tensor) -> Distribution:
        return Independent(Normal(outputs, self.scale()), 1, validate_args=False)


class IsotropicGaussianLikelihood(GaussianLikelihood):
    """Independent normals with one learned scale for all columns, as in probabilistic PCA.

    Columns weigh in by their variance, as they do in PCA: the model of columns that share a unit,
    such as counts or a spectrum, where those that hardly vary are noise to leave alone.

    Parameters
    ----------
    n_features : int
        Columns of X.
    scale : tensor of shape (n_features,), optional
        The unit by which rows were divided, the same for every column; 1 by default.

    References
    ----------
    Tipping and Bishop, "Probabilistic principal component analysis", JRSS B 1999, eq. 2: with
    linear networks and a Gaussian latent space this is its model.
    """

    def __init__(self, n_features: int, scale: Tensor | None = None) -> None:
        super().__init__(n_features, scale)
        self.raw_scale = nn.Parameter(self.raw_scale.detach()[:1].clone())

    def scale(self) -> Tensor:
        """Learned scale in units of the root mean variance of the columns, shape (p,)."""
        return super().scale().expand(self.n_features)


class DiscretizedLogisticLikelihood(Likelihood):
    """Independent 8-bit intensities: a logistic on [0, 1] rounded to 256 levels.

    A probability of the levels, so that bits per dimension of images can be reported. Rows hold
    levels / 255; values between levels count as the nearest one.

    Parameters
    ----------
    n_features : int
        Columns of X.

    Notes
    -----
    The location is ``0.5 + output / 4``, whose slope is the one a sigmoid has at 0, and unbounded,
    so that black and white pixels can have all of the probability. The learned scale of a column
    is ``min_scale + softplus(parameter)``, from a tenth of the range at the start down to a tenth
    of a level.

    References
    ----------
    Salimans, Karpathy, Chen and Kingma, "PixelCNN++", ICLR 2017, eq. 2.
    """

    min_scale = 0.1 / 255

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        start = math.log(math.expm1(0.1))
        self.raw_scale = nn.Parameter(torch.full((n_features,), start))

    def scale(self) -> Tensor:
        """Learned scale of each column, where 1 is the range from black to white, shape (p,)."""
        return self.min_scale + F.softplus(self.raw_scale)

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        return level_log_prob(x, 0.5 + 0.25 * outputs, self.scale()).sum(-1)

    def mean(self, outputs: Tensor) -> Tensor:
        return level_mean(0.5 + 0.25 * outputs, self.scale())

    def distribution(self, outputs: Tensor) -> Distribution:
        logistic = DiscretizedLogistic(0.5 + 0.25 * outputs, self.scale(), validate_args=False)
        return Independent(logistic, 1, validate_args=False)


class PoissonLikelihood(Likelihood):
    """Independent Poisson counts; the decoder gives the logarithm of the rate.

    Parameters
    ----------
    n_features : int
        Columns of X, non-negative counts.
    """

    def encoder_inputs(self, x: Tensor) -> Tensor:
        # Counts run over orders of magnitude; as they are, large ones make the first posteriors
        # so wide that training starts a million nats away.
        return torch.asinh(x)

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        # A rate of exp(15) is beyond any count in a fingerprint or a word count, and bounding the
        # logarithm smoothly keeps exp finite in the first steps of training.
        log_rate = bounded_log_rate(outputs)
        return (x * log_rate - log_rate.exp() - torch.lgamma(x + 1)).sum(-1)

    def mean(self, outputs: Tensor) -> Tensor:
        return bounded_log_rate(outputs).exp()

    def distribution(self, outputs: Tensor) -> Distribution:
        return Independent(TorchPoisson(bounded_log_rate(outputs).exp()), 1, validate_args=False)


class NegativeBinomialLikelihood(PoissonLikelihood):
    """Independent counts with a variance above their mean; the decoder gives the log mean.

    Parameters
    ----------
    n_features : int
        Columns of X, non-negative counts.

    Notes
    -----
    With mean mu the variance is ``mu + mu^2 / r``. The size r of a column is learned from 10 on,
    and bounded to (3e-7, 3e6), where the distribution is the Poisson's to float32's digits.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        start = 15 * math.atanh(math.log(10) / 15)
        self.raw_size = nn.Parameter(torch.full((n_features,), start))

    def size(self) -> Tensor:
        """Learned size r of each column, the inverse of its dispersion, shape (p,)."""
        return bounded_log_rate(self.raw_size).exp()

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        log_size = bounded_log_rate(self.raw_size)
        return negative_binomial_log_prob(x, bounded_log_rate(outputs), log_size).sum(-1)

    def distribution(self, outputs: Tensor) -> Distribution:
        logits = bounded_log_rate(outputs) - bounded_log_rate(self.raw_size)
        return Independent(NegativeBinomial(self.size(), logits=logits), 1, validate_args=False)


def bounded_log_rate(raw: Tensor, bound: float = 15.0) -> Tensor:
    """Map the real line onto (-bound, bound), nearly the identity in the middle."""
    return bound * torch.tanh(raw / bound)


class VonMisesLikelihood(Likelihood):
    """Independent angles in radians, with a direction and a concentration a column.

    -pi and pi are one point, for the density and for the encoder, which reads the cosine and the
    sine. NaN is a missing angle: it adds 0 to the log-probability, and the encoder reads (0, 0).

    Parameters
    ----------
    n_features : int
        Columns of X.

    Notes
    -----
    The decoder gives a vector in the plane for each column, `natural_parameters` its law. `mean`
    is the mean direction, in [-pi, pi].
    """

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.n_inputs = self.n_outputs = 2 * n_features

    def encoder_inputs(self, x: Tensor) -> Tensor:
        return cos_and_sin(x)

    def row_content(self, x: Tensor) -> Tensor:
        return angle_cells(x)

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        return von_mises_log_prob(x, *natural_parameters(outputs)).sum(-1)

    def mean(self, outputs: Tensor) -> Tensor:
        x, y = outputs.chunk(2, dim=-1)
        return torch.atan2(y, x)

    def distribution(self, outputs: Tensor) -> Distribution:
        law = VonMises(self.mean(outputs), natural_parameters(outputs)[2], validate_args=False)
        return Independent(law, 1, validate_args=False)


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": BernoulliLikelihood,
    "gaussian": GaussianLikelihood,
    "isotropic_gaussian": IsotropicGaussianLikelihood,
    "continuous_bernoulli": ContinuousBernoulliLikelihood,
    "poisson": PoissonLikelihood,
    "discretized_logistic": DiscretizedLogisticLikelihood,
    "negative_binomial": NegativeBinomialLikelihood,
    "von_mises": VonMisesLikelihood,
}
