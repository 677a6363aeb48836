"""The base of all likelihoods: a distribution of rows, and the facts that estimators ask for."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

# Number of rows that suffice to start the learned scale of a column.
_ROWS = 1000
# Each of these follows from the one before it; see `Likelihood.__init_subclass__`.
_FORMULAS = (
    "distribution",
    "log_prob_terms",
    "log_prob",
    "total_log_prob",
    "total_log_prob_of_rounded",
)


class Likelihood(nn.Module):
    """Base class of the likelihoods p(x | z), including your own.

    A likelihood defines what the decoder's outputs mean. A subclass states its facts as class
    attributes and overrides `distribution`. Pass the class to an estimator as ``likelihood=``.

    Rows reach a likelihood in *model units*: the values that the user passed, minus the centre and
    divided by the scale that `scaling` asks for. Log-probabilities are those of the user's own X,
    so `log_scale`, the logarithm of that scale, is subtracted in each column.

    Parameters
    ----------
    n_features : int
        Number of columns p of X.
    scale : Tensor of shape (n_features,), optional
        The positive number that each column was divided by. Default: 1 everywhere. Estimators
        construct a likelihood as ``kind(n_features, scale)``, so the constructor of a subclass must
        take both.

    Attributes
    ----------
    n_features : int
        Number of columns p.
    n_inputs : int
        How many numbers the encoder reads from a row, p by default. A subclass that overrides
        `encoder_inputs` sets this in its constructor.
    n_outputs : int
        How many numbers the decoder returns for a row, p by default. A subclass whose columns need
        several parameters each sets this in its constructor.
    log_scale : Tensor of shape (n_features,)
        Logarithm of ``scale``. It is zero if nothing was scaled.
    name : str
        The name that an estimator's ``likelihood_`` shows. For your own class, its import path.
    support : tuple of float, default=(-inf, inf)
        Smallest and largest value that a column may have, in model units, ends included. Estimators
        refuse anything outside. If both ends are finite, values that rounding moved outside are put
        back. With ``scaling = "columns"`` or ``"shared"``, do not set a support.
    support_error : str
        The error message for such an X. It follows the name of the likelihood. ``{low}`` and
        ``{high}`` are the range of X, ``{least}`` and ``{most}`` that of the support.
    allow_nan : bool, default=False
        Whether NaN stands for a value that was not observed even if an estimator has
        ``missing="error"``. If so, `log_prob_terms` must be 0 there, and `encoder_inputs` and
        `row_content` must not contain NaN. It requires ``scaling = None``. With ``missing="mask"``
        the model handles NaN itself, and this fact is not used.
    accept_sparse : bool, default=True
        Whether X may be a sparse matrix, whose missing entries are zeros.
    reads_bytes : bool, default=False
        Whether bytes (uint8) above 1 are 8-bit intensities, to be divided by 255.
    binarizable : bool, default=False
        Whether ``binarize`` of an estimator may turn rows in [0, 1] into zeros and ones.
    scaling : {None, "columns", "shared", "rates"}, default=None
        How rows are centred and scaled: not at all, by the standard deviation of each column, or by
        one scale for all columns, the square root of their mean variance. With "rates" rows stay as
        they are, and ``scale`` is the mean of each column whose largest entry exceeds 1e5.
    period : float or None, default=None
        Period of the columns. Whole periods are subtracted from X, so that at most half is left.
    fingerprint : {None, "bits", "counts"}, default=None
        What the likelihood describes of a molecule's fingerprint in ``encoder="molecular_graph"``.

    Raises
    ------
    ValueError
        If ``scale`` does not have one entry for each column. Facts that contradict each other raise
        it in the class statement.

    Notes
    -----
    The methods build on each other: `log_prob_terms` on `distribution`, `log_prob` on
    `log_prob_terms`, and `total_log_prob`, which training calls, on `log_prob`. You may override
    any of them. The methods that build on it follow, even if the parent class has a faster formula
    for them. Weights and masks can act on single columns only through `log_prob_terms`. A class
    that overrides only `log_prob` can therefore not be combined with them, nor with
    ``missing="mask"``. A class without `distribution` needs `mean`.

    Everything runs on the device of the arguments, in their dtype, float32 or float64.

    Examples
    --------
    Columns with heavy tails, in units of their standard deviation:

    >>> import numpy as np
    >>> from torch.distributions import Independent, StudentT
    >>> from skccvae import GaussianVAETransformer
    >>> from skccvae.nn import Likelihood
    >>> class HeavyTailed(Likelihood):
    ...     scaling = "columns"
    ...
    ...     def distribution(self, outputs):
    ...         return Independent(StudentT(4.0, outputs, 0.5, validate_args=False), 1)
    >>> X = np.random.default_rng(0).standard_t(4, size=(200, 5))
    >>> vae = GaussianVAETransformer(likelihood=HeavyTailed, max_epochs=2, random_state=0).fit(X)
    >>> vae.inverse_transform(vae.transform(X)).shape
    (200, 5)
    """

    name: ClassVar[str]
    support: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    support_error: ClassVar[str] = (
        "needs X in [{least:g}, {most:g}]; X runs from {low:.9g} to {high:.9g}."
    )
    allow_nan: ClassVar[bool] = False
    accept_sparse: ClassVar[bool] = True
    reads_bytes: ClassVar[bool] = False
    binarizable: ClassVar[bool] = False
    scaling: ClassVar[str | None] = None
    period: ClassVar[float | None] = None
    fingerprint: ClassVar[str | None] = None

    log_scale: Tensor

    def __init_subclass__(cls, name: str | None = None, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        # Only the likelihoods of this package have short names; they are those of `LIKELIHOODS`.
        cls.name = name or f"{cls.__module__}.{cls.__qualname__}"
        _check_facts(cls)
        # A class may state a faster formula for one of these. Where its subclass overrides an
        # earlier one, that shortcut would bypass the override; it gives way to the base's formula.
        depths = [
            next(depth for depth, kind in enumerate(cls.__mro__) if formula in vars(kind))
            for formula in _FORMULAS
        ]
        for number, formula in enumerate(_FORMULAS):
            of_base = getattr(Likelihood, formula)
            if min(depths[: number + 1]) < depths[number] and getattr(cls, formula) is not of_base:
                setattr(cls, formula, of_base)

    def __init__(self, n_features: int, scale: Tensor | None = None) -> None:
        super().__init__()
        self.n_features = n_features
        self.n_inputs = n_features
        self.n_outputs = n_features
        scale = torch.ones(n_features) if scale is None else scale
        if scale.shape != (n_features,):
            raise ValueError(
                f"scale must have shape ({n_features},), one entry for each column; got "
                f"{tuple(scale.shape)}."
            )
        # In float64: columns of order 1e-50 have a logarithm, though float32 cannot hold them.
        # Not part of the weights: whoever constructs the likelihood knows the scale.
        self.register_buffer("log_scale", scale.double().log().float(), persistent=False)

    # --- facts about a range of X ---------------------------------------------------------------

    @classmethod
    def supports(cls, low: float, high: float, divisor: float = 1.0) -> bool:
        """Whether numbers from ``low`` to ``high``, once divided, lie in the support."""
        return not (low < divisor * cls.support[0] or high > divisor * cls.support[1])

    @classmethod
    def check_support(cls, low: float, high: float, divisor: float = 1.0) -> None:
        """Raise ValueError if numbers from ``low`` to ``high`` leave the support.

        Parameters
        ----------
        low, high : float
            Smallest and largest entry of the user's X.
        divisor : float, default=1.0
            The number that X is divided by to be in model units.
        """
        if not cls.supports(low, high, divisor):
            least, most = (divisor * end for end in cls.support)
            reason = cls.support_error.format(low=low, high=high, least=least, most=most)
            # scikit-learn's words, which its own checks look for.
            negative = "Negative values in data: " if low < 0 <= least else ""
            raise ValueError(f"{negative}likelihood={cls.name!r} {reason}")

    @classmethod
    def unit_warning(cls, low: float, high: float) -> str | None:
        """Warning for an X from ``low`` to ``high`` that looks like the wrong unit, or None."""
        return None

    # --- what is read from a row ----------------------------------------------------------------

    def encoder_inputs(self, x: Tensor) -> Tensor:
        """What the encoder reads from rows, shape (..., n_inputs). By default, the rows.

        Parameters
        ----------
        x : Tensor of shape (..., p)
            Rows in model units.
        """
        return x

    def row_content(self, x: Tensor) -> Tensor:
        """What identifies a row to noise that belongs to it, shape (n, p). By default, the rows.

        Parameters
        ----------
        x : Tensor of shape (n, p)
            Rows in model units.
        """
        return x

    def input_columns(self) -> Tensor:
        """Column of X for each number that the encoder reads, shape (n_inputs,).

        By default the columns follow each other, and repeat in this order if there are several
        numbers for each. A class whose `encoder_inputs` have another order overrides this method,
        for ``missing="mask"``.
        """
        return torch.arange(self.n_inputs) % self.n_features

    def outputs_of_columns(self, columns: Tensor) -> Tensor | None:
        """Outputs that are the means of some columns, and should be 0 for constant columns.

        Parameters
        ----------
        columns : Tensor of bool, shape (p,)
            The columns.

        Returns
        -------
        Tensor of bool, shape (n_outputs,), or None
            None if there are no such outputs. This is the default if a column has several outputs.
        """
        return columns if self.n_outputs == self.n_features else None

    # --- the distribution -----------------------------------------------------------------------

    def distribution(self, outputs: Tensor) -> Distribution:
        """Distribution of one row in model units.

        Parameters
        ----------
        outputs : Tensor of shape (..., n_outputs)
            The decoder's outputs.

        Returns
        -------
        Distribution
            Batch shape (...), event shape (p,): ``Independent(columns, 1)``, where ``columns`` is
            a distribution of batch shape (..., p).
        """
        raise TypeError(
            f"{type(self).__name__} does not define its distribution. Override `distribution`, or "
            "`log_prob_terms` and `mean`."
        )

    def log_prob_terms(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Log-probability of each entry of the rows, in nats of the user's X.

        Parameters
        ----------
        outputs : Tensor of shape (..., n_outputs)
            The decoder's outputs.
        x : Tensor of shape (..., p)
            Rows in model units. Its leading dimensions and those of ``outputs`` broadcast.

        Returns
        -------
        Tensor of shape (..., p)
            The log-density of each entry in model units, minus `log_scale`. Columns are independent
            given the outputs, so the sum over columns is the log-probability of the row.
        """
        law = self.distribution(outputs)
        if not isinstance(law, Independent):
            raise TypeError(
                f"`distribution` of {type(self).__name__} returns a {type(law).__name__}, which "
                "has no term for each column. Return Independent(columns, 1), or override "
                "`log_prob`."
            )
        return law.base_dist.log_prob(x) - self.log_scale

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Log-probability of rows, the sum of `log_prob_terms` over columns, shape (...).

        Parameters
        ----------
        outputs : Tensor of shape (..., n_outputs)
            The decoder's outputs.
        x : Tensor of shape (..., p)
            Rows in model units.
        """
        return self.log_prob_terms(outputs, x).sum(-1)

    def observed_log_prob(self, outputs: Tensor, x: Tensor, missing: Tensor) -> Tensor:
        """Log-probability of the observed values of rows, shape (...).

        By default this is the sum of `log_prob_terms` over the observed columns. A class must
        override it if columns are not independent given the outputs.

        Parameters
        ----------
        outputs : Tensor of shape (..., n_outputs)
            The decoder's outputs.
        x : Tensor of shape (..., p)
            Rows in model units, with any number of the support for a missing value.
        missing : Tensor of bool, shape (..., p)
            Which values are missing.
        """
        return self.log_prob_terms(outputs, x).masked_fill(missing, 0.0).sum(-1)

    def given_observed(self, rows: Tensor, x: Tensor) -> Tensor:
        """Means or draws of rows, given the latent point, conditioned on what was observed.

        By default nothing changes: columns are independent given the latent point. A class in which
        they are not must override it, if it is to fill in missing values.

        Parameters
        ----------
        rows : Tensor of shape (..., n, p)
            Means of p(x | z), or draws from it, in model units.
        x : Tensor of shape (n, p)
            The observed values in model units, NaN where a value is missing.

        Returns
        -------
        Tensor of shape (..., n, p)
            Only the entries at missing values are used.
        """
        return rows

    def total_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Sum of `log_prob` over all rows, a scalar for a training step."""
        return self.log_prob(outputs, x).sum()

    def total_log_prob_of_rounded(self, outputs: Tensor, x: Tensor) -> Tensor:
        """`total_log_prob` of bfloat16 outputs, computed in float32."""
        return self.total_log_prob(outputs.float(), x)

    def mean(self, outputs: Tensor) -> Tensor:
        """Mean of p(x | z) in model units, shape (..., p)."""
        return self.distribution(outputs).mean

    def average(self, means: Tensor, weights: Tensor) -> Tensor:
        """Mean of several means of rows, over the first axis.

        Parameters
        ----------
        means : Tensor of shape (k, ..., p)
            As `mean` returns them.
        weights : Tensor of shape (k, ..., 1)
            Weights with sum 1 over the first axis.

        Returns
        -------
        Tensor of shape (..., p)
        """
        return (weights * means).sum(0)

    def posterior_mean(self, outputs: Tensor, weights: Tensor) -> Tensor:
        """Mean of p(x | z) over several z, the `average` of their means.

        Parameters
        ----------
        outputs : Tensor of shape (k, ..., n_outputs)
            The decoder's outputs.
        weights : Tensor of shape (k, ..., 1)
            Weights with sum 1 over the first axis.

        Returns
        -------
        Tensor of shape (..., p)
        """
        return self.average(self.mean(outputs), weights)

    # --- the start ------------------------------------------------------------------------------

    #: Whether `learn_units` learns something.
    has_units = False

    def learn_units(self, x: Tensor) -> None:
        """Learn `noise_units` from rows before training. By default there is nothing to learn.

        Parameters
        ----------
        x : Tensor of shape (n, p)
            Rows in model units, NaN where a value is missing.
        """

    def noise_units(self, x: Tensor) -> Tensor:
        """Rows in units in which the noise of all directions is one: the rows by default.

        A start at principal components looks for them there. A class whose encoder reads the rows
        as they are may override it.

        Parameters
        ----------
        x : Tensor of shape (..., n_inputs)
            What the encoder reads of rows, or directions of such rows.

        Returns
        -------
        Tensor of shape (..., n_inputs)
            Their products with one symmetric matrix.
        """
        return x

    def start_outputs(self, x: Tensor) -> Tensor | None:
        """Outputs of an ideal decoder for the rows, to first order around the column means.

        With ``init="pca"`` the decoder starts at the regression of these outputs on latent
        features, and `start_noise` is called. None, the default, starts the decoder at random.

        Parameters
        ----------
        x : Tensor of shape (n, p)
            Rows in model units, with missing values filled in.

        Returns
        -------
        Tensor of shape (n, n_outputs) or None
        """
        return None

    def start_noise(self, outputs: Tensor, x: Tensor, share: float) -> None:
        """Set learned scales to what first outputs leave unexplained. By default there are none.

        Parameters
        ----------
        outputs : Tensor of shape (n, n_outputs)
            First outputs for these rows.
        x : Tensor of shape (n, p)
            Rows in model units. With ``missing="mask"``, NaN where a value is missing.
        share : float
            Number of coefficients of the first decoder per row and column, at most 1. At 1 the
            residuals carry no information.
        """


@torch.no_grad()
def set_to_likeliest(
    likelihood: Likelihood, raw: nn.Parameter, values: Tensor, outputs: Tensor, x: Tensor
) -> None:
    """Set the parameter of each column to the one of several values with the highest likelihood.

    Parameters
    ----------
    likelihood : Likelihood
        The likelihood, whose terms depend on ``raw``.
    raw : torch.nn.Parameter of shape (p,)
        One number for each column. Only the terms of that column depend on it.
    values : Tensor of shape (k,)
        The values to try.
    outputs : Tensor of shape (n, n_outputs)
        First outputs for the rows.
    x : Tensor of shape (n, p)
        Rows in model units, of which at least a thousand are used if there are that many.
    """
    step = max(len(x) // _ROWS, 1)
    outputs, x = outputs[::step], x[::step]
    best = torch.full_like(raw, -math.inf)
    likeliest = raw.clone()
    for value in values:
        raw.fill_(value)
        found = likelihood.log_prob_terms(outputs, x).sum(0)
        likeliest = torch.where(found > best, raw, likeliest)
        best = torch.maximum(found, best)
    raw.copy_(likeliest)


def _check_facts(kind: type[Likelihood]) -> None:
    """Refuse a class whose facts no estimator could follow."""
    for fact, choices in (
        ("scaling", (None, "columns", "shared", "rates")),
        ("fingerprint", (None, "bits", "counts")),
    ):
        value = getattr(kind, fact)
        if value not in choices:
            wanted = ", ".join(map(repr, choices))
            raise ValueError(f"{kind.__name__}.{fact} must be one of {wanted}; got {value!r}.")
    try:
        low, high = kind.support
        ordered = low < high
    except (TypeError, ValueError):
        ordered = False
    if not ordered:
        raise ValueError(
            f"{kind.__name__}.support must be a pair (low, high) with low < high; got "
            f"{kind.support!r}."
        )
    if kind.scaling in ("columns", "shared") and kind.support != (-math.inf, math.inf):
        raise ValueError(
            f"{kind.__name__} sets scaling = {kind.scaling!r} and support = {kind.support!r}, but "
            "centred numbers leave every bounded support. Set scaling = None."
        )
    if kind.allow_nan and kind.scaling is not None:
        raise ValueError(
            f"{kind.__name__} sets allow_nan = True and scaling = {kind.scaling!r}, but columns "
            "with NaN have no scale yet. Set scaling = None, or use missing='mask'."
        )


class UnitIntervalLikelihood(Likelihood):
    """Base of the likelihoods of grey values, which lie in [0, 1] or are bytes."""

    support = (0.0, 1.0)
    support_error = (
        f"{Likelihood.support_error} Scale it, for example with "
        "sklearn.preprocessing.MinMaxScaler, or use likelihood='gaussian'."
    )
    reads_bytes = True
    binarizable = True
