"""Likelihoods p(x | z): the meaning of the decoder's output, and the facts that estimators need.

One file holds one family. To add a likelihood, write a subclass of `Likelihood` and a line in
`LIKELIHOODS`.
"""

from __future__ import annotations

from typing import Any

from skccvae.nn.likelihoods._base import Likelihood
from skccvae.nn.likelihoods._bernoulli import BernoulliLikelihood
from skccvae.nn.likelihoods._categorical import CategoricalLikelihood
from skccvae.nn.likelihoods._continuous_bernoulli import ContinuousBernoulliLikelihood
from skccvae.nn.likelihoods._count_gaussian import CountGaussianLikelihood
from skccvae.nn.likelihoods._counts import NegativeBinomialLikelihood, PoissonLikelihood
from skccvae.nn.likelihoods._discretized_logistic import (
    DiscretizedLogistic,
    DiscretizedLogisticLikelihood,
)
from skccvae.nn.likelihoods._gaussian import GaussianLikelihood, IsotropicGaussianLikelihood
from skccvae.nn.likelihoods._mixed import MixedLikelihood
from skccvae.nn.likelihoods._von_mises import VonMisesLikelihood

__all__ = [
    "LIKELIHOODS",
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "ContinuousBernoulliLikelihood",
    "CountGaussianLikelihood",
    "DiscretizedLogistic",
    "DiscretizedLogisticLikelihood",
    "GaussianLikelihood",
    "IsotropicGaussianLikelihood",
    "Likelihood",
    "MixedLikelihood",
    "NegativeBinomialLikelihood",
    "PoissonLikelihood",
    "VonMisesLikelihood",
    "likelihood_class",
]

# What a user may call by name, in the order of the documentation.
LIKELIHOODS: dict[str, type[Likelihood]] = {
    kind.name: kind
    for kind in (
        BernoulliLikelihood,
        GaussianLikelihood,
        IsotropicGaussianLikelihood,
        CountGaussianLikelihood,
        ContinuousBernoulliLikelihood,
        PoissonLikelihood,
        DiscretizedLogisticLikelihood,
        NegativeBinomialLikelihood,
        VonMisesLikelihood,
    )
}


def likelihood_class(likelihood: Any) -> type[Likelihood]:
    """The class that a user's ``likelihood`` stands for.

    Parameters
    ----------
    likelihood : str, type or list
        A key of `LIKELIHOODS`, a subclass of `Likelihood`, or ``"auto"``, which stands for
        Bernoulli until an estimator has seen X. A list of likelihoods with their columns stands
        for `MixedLikelihood`.

    Returns
    -------
    type
        A subclass of `Likelihood`.

    Raises
    ------
    ValueError
        If there is no likelihood of that name.
    TypeError
        If it is neither a name nor a subclass, for example an instance.

    Examples
    --------
    >>> from skccvae.nn import likelihood_class
    >>> likelihood_class("poisson").support
    (0.0, inf)
    """
    if isinstance(likelihood, str):
        kind = BernoulliLikelihood if likelihood == "auto" else LIKELIHOODS.get(likelihood)
        if kind is None:
            known = ", ".join(map(repr, ("auto", *LIKELIHOODS)))
            raise ValueError(f"likelihood must be one of {known}; got {likelihood!r}.")
        return kind
    if isinstance(likelihood, list | tuple):
        return MixedLikelihood
    if isinstance(likelihood, type) and issubclass(likelihood, Likelihood):
        if likelihood is not Likelihood:
            return likelihood
    raise TypeError(
        "likelihood must be a name or a subclass of skccvae.nn.Likelihood (the class, not an "
        f"instance); got {likelihood!r}."
    )
