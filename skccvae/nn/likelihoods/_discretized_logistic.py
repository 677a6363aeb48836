"""Discretised logistic distribution and likelihood of the 256 levels of an 8-bit intensity."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, constraints
from torch.distributions.utils import broadcast_all

from skccvae.nn.likelihoods._base import UnitIntervalLikelihood, set_to_likeliest

N_LEVELS = 256
LAST = N_LEVELS - 1
# Levels on either side of the location beyond which a logistic of scale at most one level has
# less than exp(-24) of its probability.
WINDOW = 25
# How many means are taken at once: some 20 temporaries of 1 MiB. It is a power of two, so that only
# the last piece ends within a vector instruction, which would round an exponential differently.
PIECE = 2**18


class DiscretizedLogisticLikelihood(UnitIntervalLikelihood, name="discretized_logistic"):
    """Independent 8-bit intensities: a logistic on [0, 1] rounded to 256 levels.

    This is a probability of levels, so that bits per dimension of images can be reported. Rows hold
    levels / 255. A value between levels counts as the nearest level.

    Parameters
    ----------
    n_features : int
        Number of columns of X.
    scale : Tensor of shape (n_features,), optional
        Not used, because rows are not scaled.

    Notes
    -----
    The location is ``0.5 + output / 4``. It has the slope of a sigmoid at 0, and it is unbounded,
    so that black and white pixels can get all of the probability. The learned scale of a column is
    ``min_scale + softplus(parameter)``. It starts at a tenth of the range, and can go down to a
    tenth of a level.

    References
    ----------
    Salimans, Karpathy, Chen and Kingma, "PixelCNN++", ICLR 2017, eq. 2.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import DiscretizedLogisticLikelihood
    >>> likelihood = DiscretizedLogisticLikelihood(2)
    >>> round(likelihood.mean(torch.zeros(1, 2))[0, 0].item(), 4)  # between black and white
    0.5
    """

    min_scale = 0.1 / 255

    def __init__(self, n_features: int, scale: Tensor | None = None) -> None:
        super().__init__(n_features, scale)
        start = math.log(math.expm1(0.1))
        self.raw_scale = nn.Parameter(torch.full((n_features,), start))

    def scale(self) -> Tensor:
        """Learned scale of each column, where 1 is the range from black to white, shape (p,)."""
        return self.min_scale + F.softplus(self.raw_scale)

    def log_prob_terms(self, outputs: Tensor, x: Tensor) -> Tensor:
        return level_log_prob(x, 0.5 + 0.25 * outputs, self.scale())

    def mean(self, outputs: Tensor) -> Tensor:
        return level_mean(0.5 + 0.25 * outputs, self.scale())

    def start_outputs(self, x: Tensor) -> Tensor | None:
        return 4 * (x - 0.5)

    def start_noise(self, outputs: Tensor, x: Tensor, share: float) -> None:
        # From one level to a third of the range. Outputs and scales in place of a decoder at random
        # (plane, 5 dimensions, held-out rows): -167.6 to -166.1 nats on digits, -1111 to -1021 on
        # 1000 images of MNIST.
        if share < 1:
            scales = torch.logspace(-2.5, -0.5, 13) - self.min_scale
            set_to_likeliest(self, self.raw_scale, scales.expm1().log(), outputs, x)

    def distribution(self, outputs: Tensor) -> Distribution:
        logistic = DiscretizedLogistic(0.5 + 0.25 * outputs, self.scale(), validate_args=False)
        return Independent(logistic, 1, validate_args=False)


class DiscretizedLogistic(Distribution):
    r"""Logistic variable on [0, 1], rounded to the 256 levels k / 255.

    The end levels take the whole tails, so that the probabilities sum to 1:

    .. math:: P(k/255) = \sigma(b_k) - \sigma(a_k), \quad
              b_k, a_k = \frac{(k \pm 1/2)/255 - \mu}{s},
              \quad a_0 = -\infty, \; b_{255} = \infty .

    Parameters
    ----------
    loc : Tensor
        Location mu, any real number. 0 is black and 1 is white.
    scale : Tensor
        Scale s > 0 in the same unit. One level is 1/255.
    validate_args : bool, optional
        Whether to check the parameters and the values given to `log_prob`.

    Notes
    -----
    The difference of sigmoids is the product ``sigmoid(b) sigmoid(-a) (1 - exp(a - b))``, whose
    logarithm loses no digits in the tails. Values between levels count as the nearest level.

    References
    ----------
    Salimans, Karpathy, Chen and Kingma, "PixelCNN++", ICLR 2017, eq. 2, with one component.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import DiscretizedLogistic
    >>> levels = torch.arange(256) / 255
    >>> p = DiscretizedLogistic(torch.tensor(0.3), torch.tensor(0.05)).log_prob(levels).exp()
    >>> round(float(p.sum()), 4)
    1.0
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.unit_interval

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(
        self,
        batch_shape: torch.Size | list[int] | tuple[int, ...],
        _instance: Distribution | None = None,
    ) -> DiscretizedLogistic:
        """Return the distribution with a larger batch shape."""
        new = self._get_checked_instance(DiscretizedLogistic, _instance)
        new.loc, new.scale = self.loc.expand(batch_shape), self.scale.expand(batch_shape)
        super(DiscretizedLogistic, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            u = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
            # rand may give 0, whose logit is minus infinity: black, as it should be.
            draw = self.loc + self.scale * (u.log() - torch.log1p(-u))
            return (LAST * draw).round().clamp(0, LAST) / LAST

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return level_log_prob(value, self.loc, self.scale)

    @property
    def mean(self) -> Tensor:
        return level_mean(self.loc, self.scale)


def level_log_prob(x: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Log-probability of the level nearest to x, in nats; all arguments broadcast."""
    level = (LAST * x).round()
    half = 0.5 / (LAST * scale)
    z = (level / LAST - loc) / scale
    # log sigmoid(b), log sigmoid(-a) and log(1 - exp(a - b)). An open end lies at infinity, where
    # the first two and their gradients are 0. Sums and products with masks cost a third of
    # `torch.where` and its gradient, a tenth of an epoch on the digits.
    white, black = level >= LAST, level <= 0
    below = F.logsigmoid(z + half + white * _INFINITY)
    above = F.logsigmoid(half - z + black * _INFINITY)
    width = torch.log(-torch.expm1(-2 * half))
    return below + above + width * ~(white | black)


# Far above any location, and finite, so that 0 times it is 0.
_INFINITY = 1e30


def level_mean(loc: Tensor, scale: Tensor) -> Tensor:
    """Mean of the discretised logistic, without a sum over all levels.

    Notes
    -----
    The mean is ``sum_j sigmoid((loc - e_j) / s) / 255`` over the 255 edges e_j between levels,
    which is a midpoint rule on [0, 1]. For scales of at least one level, the integral with the
    first three Euler-Maclaurin corrections is exact to 3e-9. For smaller scales the edges near the
    location are summed, since edges further away count as 0 or 1 to within exp(-24).
    """
    if scale.dim() != 1 or loc.shape[-1:] != scale.shape:
        loc, scale = torch.broadcast_tensors(loc, scale)
    # With one scale for each column, as a likelihood has, whole columns are wide or narrow.
    wide = scale * LAST >= 1
    if torch.compiler.is_compiling():  # an exported graph has no branch on values
        return torch.where(wide, _smooth_mean(loc, scale), _window_mean(loc, scale))
    if bool(wide.all()):
        return _in_pieces(_smooth_mean, loc, scale)
    out, narrow = torch.empty_like(loc), ~wide
    out[..., wide] = _in_pieces(_smooth_mean, loc[..., wide], scale[wide])
    out[..., narrow] = _in_pieces(_window_mean, loc[..., narrow], scale[narrow])
    return out


def _in_pieces(function: Callable[[Tensor, Tensor], Tensor], loc: Tensor, scale: Tensor) -> Tensor:
    """Apply a mean to some rows at a time, which bounds the memory for intermediate results.

    The scale has the shape of the locations, or is one row for all of them.
    """
    if loc.numel() <= PIECE:
        return function(loc, scale)
    if scale.shape == loc.shape:
        pairs = zip(loc.flatten().split(PIECE), scale.flatten().split(PIECE), strict=True)
        return torch.cat([function(*pair) for pair in pairs]).reshape(loc.shape)
    # Whole multiples of 64 rows, for the reason given at `PIECE`.
    rows = loc.reshape(-1, loc.shape[-1])
    n = 64 * max(1, PIECE // (64 * rows.shape[1]))
    return torch.cat([function(part, scale) for part in rows.split(n)]).reshape(loc.shape)


def _smooth_mean(loc: Tensor, s: Tensor) -> Tensor:
    upper, lower = loc / s, (loc - 1) / s
    # softplus(upper) - softplus(lower), without two large terms where the location is above 1.
    integral = s * torch.where(
        lower > 0,
        1 / s + F.softplus(-upper) - F.softplus(-lower),
        F.softplus(upper) - F.softplus(lower),
    )
    unit = 1 / (LAST * s)
    at_one, at_zero = _odd_derivatives(lower), _odd_derivatives(upper)
    first, third, fifth = (a - b for a, b in zip(at_one, at_zero, strict=True))
    square = unit * unit
    correction = first / 24 - square * (7 * third / 5760 - square * 31 * fifth / 967680)
    # Rounding may leave [0, 1] by one unit in the last place.
    return (integral + unit * correction / LAST).clamp(0, 1)


def _odd_derivatives(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """First, third and fifth derivative of the sigmoid."""
    v = torch.sigmoid(z) * torch.sigmoid(-z)
    return v, v * (1 - 6 * v), v * (1 - v * (30 - 120 * v))


def _window_mean(loc: Tensor, s: Tensor) -> Tensor:
    level = LAST * loc
    unit = 1 / (LAST * s)
    centre = level.round().clamp(-WINDOW - 1, LAST + WINDOW + 1)
    total = (centre - WINDOW - 1).clamp(0, LAST)
    for offset in range(-WINDOW, WINDOW + 1):
        edge = centre + offset
        passed = torch.sigmoid((level - edge + 0.5) * unit)
        total = total + torch.where((edge >= 1) & (edge <= LAST), passed, 0.0)
    return (total / LAST).clamp(0, 1)
