"""A mixture of von Mises-Fisher distributions, observed through a non-linear map."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skccvae._sklearn import Interval, validate_params
from skccvae.datasets._base import pack

_DESCR = """\
Mixture on the sphere
---------------------

Latent points from a mixture of von Mises-Fisher distributions on the unit sphere, mapped to a
higher dimension by a random neural network with one hidden layer, plus normal noise.

Davidson, T. R., Falorsi, L., De Cao, N., Kipf, T. and Tomczak, J. M. (2018). Hyperspherical
variational auto-encoders. UAI 34. Section 5.1.
"""


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "dim": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "concentration": [Interval(Real, 0, None, closed="left"), "array-like"],
        "means": ["array-like", None],
        "hidden_layer_size": [Interval(Integral, 1, None, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_sphere_mixture(
    n_samples: int = 1000,
    *,
    n_clusters: int = 4,
    dim: int = 2,
    n_features: int = 100,
    concentration: float | np.ndarray = 4.0,
    means: np.ndarray | None = None,
    hidden_layer_size: int = 64,
    noise: float = 0.1,
    return_X_y: bool = False,
    as_frame: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch | tuple[Any, Any]:
    r"""Generate a mixture on the sphere, mapped to a higher dimension (Davidson et al. 2018, 5.1).

    A latent point z is drawn from one of `n_clusters` equally likely von Mises-Fisher
    distributions on :math:`S^{dim}` and observed as :math:`x = B \tanh(A z + b) + \varepsilon`.
    The entries of A are standard normal, those of b normal with standard deviation 1/2, those of B
    normal with variance 1 / `hidden_layer_size`, and
    :math:`\varepsilon \sim N(0, \mathrm{noise}^2 I)`. The paper has three components on the
    circle: ``dim=1, n_clusters=3``.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_clusters : int, default=4
        Components of the mixture. The rows are spread over them as evenly as possible.
    dim : int, default=2
        Intrinsic dimension of the sphere: 1 is the circle, 2 the sphere in space.
    n_features : int, default=100
        Dimension of the observations.
    concentration : float or array-like of shape (n_clusters,), default=4.0
        Concentration of each component; 0 is the uniform distribution.
    means : array-like of shape (n_clusters, dim + 1), default=None
        Mean directions, which are scaled to length 1. None means the corners of a regular simplex
        in random orientation if it has enough corners (``n_clusters <= dim + 2``), and uniform
        draws otherwise.
    hidden_layer_size : int, default=64
        Width of the map. From about ``2 * dim + 2`` on, almost every draw is one-to-one.
    noise : float, default=0.1
        Standard deviation of the noise per feature. The features before the noise have a
        variance of about 0.3.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        If True, `data` is a pandas DataFrame and `target` a Series.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data on every call.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the entries

        data : ndarray of shape (n_samples, n_features)
            The observations, one row per point.
        target : ndarray of shape (n_samples,), int64
            Component of each row.
        latent : ndarray of shape (n_samples, dim + 1)
            The point on the unit sphere behind each row.
        means : ndarray of shape (n_clusters, dim + 1)
            Mean direction of each component.
        concentration : ndarray of shape (n_clusters,)
            Concentration of each component.
        feature_names : list of str
            Names of the columns of `data`.
        frame : DataFrame or None
            Data and target together if `as_frame`.
        DESCR : str
            Description of the data set.

    (data, target) : tuple, if `return_X_y`

    Raises
    ------
    ValueError
        If a parameter is outside its domain, `means` or `concentration` has the wrong shape, or a
        mean is zero or not finite.

    See Also
    --------
    make_branching_diffusion : Data of hyperbolic geometry.

    References
    ----------
    Davidson, T. R., Falorsi, L., De Cao, N., Kipf, T. and Tomczak, J. M. (2018). Hyperspherical
    variational auto-encoders. UAI 34.

    Wood, A. T. A. (1994). Simulation of the von Mises Fisher distribution. Communications in
    Statistics, Simulation and Computation 23(1), 157-164.

    Examples
    --------
    >>> import numpy as np
    >>> from skccvae.datasets import make_sphere_mixture
    >>> caps = make_sphere_mixture(200, random_state=0)
    >>> caps.data.shape, caps.latent.shape
    ((200, 100), (200, 3))
    >>> np.bincount(caps.target)
    array([50, 50, 50, 50])
    """
    rng = check_random_state(random_state)
    kappa = _concentrations(concentration, n_clusters)
    if means is None:
        directions = _simplex_or_uniform(n_clusters, dim, rng)
    else:
        directions = _unit_means(means, n_clusters, dim)

    target = rng.permutation(np.arange(n_samples) % n_clusters)
    latent = _von_mises_fisher(directions[target], kappa[target], rng)

    inner = rng.standard_normal((dim + 1, hidden_layer_size))
    shift = 0.5 * rng.standard_normal(hidden_layer_size)
    outer = rng.standard_normal((hidden_layer_size, n_features)) / np.sqrt(hidden_layer_size)
    data = np.tanh(latent @ inner + shift) @ outer
    data += noise * rng.standard_normal(data.shape)
    return pack(
        "make_sphere_mixture",
        data=data,
        target=target,
        feature_names=[f"x{j}" for j in range(n_features)],
        target_columns=["cluster"],
        return_X_y=return_X_y,
        as_frame=as_frame,
        latent=latent,
        means=directions,
        concentration=kappa,
        DESCR=_DESCR,
    )


def _concentrations(concentration: float | np.ndarray, n_clusters: int) -> np.ndarray:
    kappa = np.asarray(concentration, dtype=float)
    if kappa.ndim > 0 and kappa.shape != (n_clusters,):
        raise ValueError(
            f"expected one concentration or {n_clusters} of them (n_clusters), got an array of "
            f"shape {kappa.shape}"
        )
    if not (np.isfinite(kappa).all() and (kappa >= 0).all()):
        raise ValueError(f"expected finite concentrations >= 0, got {concentration}")
    return np.broadcast_to(kappa, (n_clusters,)).copy()


def _unit_means(means: Any, n_clusters: int, dim: int) -> np.ndarray:
    directions = np.asarray(means, dtype=float)
    if directions.shape != (n_clusters, dim + 1):
        raise ValueError(
            f"expected means of shape (n_clusters, dim + 1) = ({n_clusters}, {dim + 1}), got "
            f"{directions.shape}"
        )
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise ValueError("expected means that are finite and not zero: zero has no direction")
    return directions / lengths


def _simplex_or_uniform(n_clusters: int, dim: int, rng: np.random.RandomState) -> np.ndarray:
    """Mean directions, as far apart as possible if a simplex has enough corners."""
    if n_clusters == 1 or n_clusters > dim + 2:
        draws = rng.standard_normal((n_clusters, dim + 1))
        return draws / np.linalg.norm(draws, axis=1, keepdims=True)
    # The centred unit vectors of R^n_clusters are such a simplex, in one dimension less.
    centred = np.eye(n_clusters) - 1.0 / n_clusters
    basis = np.linalg.svd(centred)[2][: n_clusters - 1]
    corners = np.zeros((n_clusters, dim + 1))
    corners[:, : n_clusters - 1] = centred @ basis.T
    rotation = np.linalg.qr(rng.standard_normal((dim + 1, dim + 1)))[0]
    corners = corners @ rotation.T
    return corners / np.linalg.norm(corners, axis=1, keepdims=True)


def _von_mises_fisher(
    loc: np.ndarray, concentration: np.ndarray, rng: np.random.RandomState
) -> np.ndarray:
    """One exact draw per row, by Wood's rejection sampler (1994) in forms that do not cancel.

    `loc` holds unit vectors, shape (n, m); `concentration` has shape (n,). The proposal is
    t = 1 - cos(angle) = 2 b e / (1 - (1 - b) e) for e ~ Beta((m-1)/2, (m-1)/2).
    """
    n, m = loc.shape
    k = concentration
    b = (m - 1) / (2.0 * k + np.sqrt(4.0 * k**2 + (m - 1) ** 2))
    x = (1.0 - b) / (1.0 + b)
    one_minus_x = 2.0 * b / (1.0 + b)
    log_peak = (m - 1) * np.log(4.0 * b / (1.0 + b) ** 2)  # (m-1) log(1 - x^2)
    t = np.empty(n)
    todo = np.arange(n)
    while todo.size:
        e = rng.beta((m - 1) / 2, (m - 1) / 2, size=todo.size)
        bt = b[todo]
        proposal = 2.0 * bt * e / (1.0 - (1.0 - bt) * e)
        log_ratio = k[todo] * (one_minus_x[todo] - proposal)
        log_ratio += (m - 1) * np.log(one_minus_x[todo] + x[todo] * proposal) - log_peak[todo]
        accepted = log_ratio >= np.log1p(-rng.random_sample(todo.size))
        t[todo[accepted]] = proposal[accepted]
        todo = todo[~accepted]
    tangent = rng.standard_normal((n, m))
    tangent -= (tangent * loc).sum(axis=1, keepdims=True) * loc
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    z = (1.0 - t)[:, None] * loc + np.sqrt(t * (2.0 - t))[:, None] * tangent
    return z / np.linalg.norm(z, axis=1, keepdims=True)
