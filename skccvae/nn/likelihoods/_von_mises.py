"""Von Mises likelihood of angles.

An angle is a point of the circle: -pi and pi are the same. NaN stands for an angle that does not
exist, as in rows that are padded to the length of the longest row. It adds nothing to a
log-probability.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, VonMises

from skccvae.nn.likelihoods._base import Likelihood

LOG_TWO_PI = math.log(2 * math.pi)
# A standard deviation of 0.01, half a degree. The bound keeps the density finite where the model
# reproduces a column exactly.
MAX_CONCENTRATION = 1e4
# Below the square of any length that matters; it keeps the slope of the root finite at zero.
_TINY = 1e-30
N_CELLS = 256
# Keeps the edges of cells away from angles that are common in data: 0, 60, 90 or 180 degrees.
_OFFSET = 0.5 * (math.sqrt(5) - 1)


class VonMisesLikelihood(Likelihood, name="von_mises"):
    """Independent angles in radians; -pi and pi are the same point, and NaN is a missing angle.

    Each column has a direction and a concentration. The encoder reads the cosine and the sine of
    an angle, and (0, 0) for a missing one, which adds 0 to the log-probability.

    Parameters
    ----------
    n_features : int
        Number of columns of X.
    scale : Tensor of shape (n_features,), optional
        Not used, because rows are not scaled.

    Notes
    -----
    The decoder gives a vector in the plane for each column, and `natural_parameters` turns it into
    a von Mises distribution. `mean` is the mean direction, in [-pi, pi].

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import VonMisesLikelihood
    >>> outputs = torch.tensor([[0.0, 2.0]])  # one column: the vector (0, 2)
    >>> likelihood = VonMisesLikelihood(1)
    >>> likelihood.mean(outputs), likelihood.log_prob(outputs, torch.tensor([[float("nan")]]))
    (tensor([[1.5708]]), tensor([0.]))
    """

    allow_nan = True
    accept_sparse = False
    period = 2 * math.pi

    def __init__(self, n_features: int, scale: Tensor | None = None) -> None:
        super().__init__(n_features, scale)
        self.n_inputs = self.n_outputs = 2 * n_features

    @classmethod
    def unit_warning(cls, low: float, high: float) -> str | None:
        if max(-low, high) <= 4 * math.pi:
            return None
        return (
            f"likelihood={cls.name!r} reads radians, but X runs from {low:g} to {high:g}, which is "
            "several turns. If X is in degrees, pass numpy.deg2rad(X)."
        )

    # The decoder starts at random. With the vectors of each column, turned to the angles, as
    # `start_outputs`, and so without a warm-up of the KL, bounds of QM9's torsions were -12.21,
    # -12.29 and -12.38 nats (plane, hyperbolic, sphere) in place of -12.21, -12.23 and -12.44, and
    # the KL fell from 2.3 to 1.9, 2.5 to 1.7 and 2.4 to 1.6: codes that say less.

    def encoder_inputs(self, x: Tensor) -> Tensor:
        return cos_and_sin(x)

    def row_content(self, x: Tensor) -> Tensor:
        return angle_cells(x)

    def log_prob_terms(self, outputs: Tensor, x: Tensor) -> Tensor:
        return von_mises_log_prob(x, *natural_parameters(outputs))

    def mean(self, outputs: Tensor) -> Tensor:
        x, y = outputs.chunk(2, dim=-1)
        return torch.atan2(y, x)

    def average(self, means: Tensor, weights: Tensor) -> Tensor:
        return torch.atan2((weights * means.sin()).sum(0), (weights * means.cos()).sum(0))

    def distribution(self, outputs: Tensor) -> Distribution:
        law = VonMises(self.mean(outputs), natural_parameters(outputs)[2], validate_args=False)
        return Independent(law, 1, validate_args=False)


def natural_parameters(raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""Natural parameters of von Mises distributions from unbounded numbers.

    Parameters
    ----------
    raw : Tensor of shape (..., 2 p)
        Vectors in the plane, one for each of p columns: all first coordinates, then all second.

    Returns
    -------
    a, b, kappa : Tensor of shape (..., p)
        :math:`a = \kappa \cos\mu`, :math:`b = \kappa \sin\mu` and the concentration.

    Notes
    -----
    The direction is that of the raw vector. If r is its length, the concentration is

    .. math:: \kappa = r \left(\frac{1}{1 + r^2} + \frac{r^2}{B^2}\right)^{-1/2} < B = 10^4 .

    This is r for short vectors, smooth at the origin, where there is no direction. For long vectors
    it is r^2, which gives the angle a spread of 1/r.
    """
    x, y = raw.chunk(2, dim=-1)
    square = x.square() + y.square()
    factor = (1 / (1 + square) + square / MAX_CONCENTRATION**2).rsqrt()
    return x * factor, y * factor, (square + _TINY).sqrt() * factor


def von_mises_log_prob(x: Tensor, a: Tensor, b: Tensor, kappa: Tensor) -> Tensor:
    r"""Log-density of angles with respect to their Lebesgue measure, in nats.

    Parameters
    ----------
    x : Tensor
        Angles in radians, of any size. NaN is a missing angle.
    a, b, kappa : Tensor
        The results of `natural_parameters`. All arguments broadcast.

    Returns
    -------
    Tensor
        Log-density of each angle, and 0 for a missing angle.

    Notes
    -----
    .. math:: \log p(x) = a \cos x + b \sin x - \log(2 \pi I_0(\kappa)).

    With u = (cos x, sin x) the first two terms minus kappa are :math:`-|(a, b) - \kappa u|^2 / (2
    \kappa)`. This form is accurate in float32 for large kappa, where the terms themselves cancel.

    References
    ----------
    Mardia and Jupp, "Directional statistics", 2000, eq. 3.5.17.
    """
    missing = x.isnan()
    angle = torch.where(missing, 0.0, x)
    distance = (a - kappa * angle.cos()).square() + (b - kappa * angle.sin()).square()
    # In float64 for the slope, I_1 / I_0 - 1, which is 1 / (2 kappa) where kappa is large. For
    # this one order torch's own function is as exact as `special.log_bessel_i` and faster.
    log_bessel = torch.special.i0e(kappa.double()).log().to(kappa.dtype)
    return torch.where(missing, 0.0, -0.5 * distance / kappa - log_bessel - LOG_TWO_PI)


def cos_and_sin(x: Tensor) -> Tensor:
    """Cosines and then sines of angles, and (0, 0) for a missing angle.

    Parameters
    ----------
    x : Tensor of shape (..., p)
        Angles in radians. NaN is a missing angle.

    Returns
    -------
    Tensor of shape (..., 2 p)
        Numbers in [-1, 1].
    """
    missing = x.isnan()
    angle = torch.where(missing, 0.0, x)
    present = (~missing).to(x.dtype)
    return torch.cat([present * angle.cos(), present * angle.sin()], dim=-1)


def angle_cells(x: Tensor) -> Tensor:
    """Which of 256 arcs of the circle each angle lies in, and -1 for a missing angle.

    Rows that differ by whole turns lie in the same arcs, whatever rounding did to their last digits
    (except for angles within rounding of an edge between two arcs).

    Parameters
    ----------
    x : Tensor
        Angles in radians. NaN is a missing angle.

    Returns
    -------
    Tensor
        Whole numbers in the dtype and shape of x.
    """
    missing = x.isnan()
    turns = torch.where(missing, 0.0, x) / (2 * math.pi)
    cells = torch.remainder(torch.floor(N_CELLS * turns + _OFFSET), N_CELLS)
    return torch.where(missing, -1.0, cells)
