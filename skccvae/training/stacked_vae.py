"""Several models in one, with stacked networks and one latent step for each kind of latent space.

The modules are those of the models. A stacked network holds their weights (`skccvae.nn.stacking`).
The step of a latent space treats each row separately, so it gets the rows of all models with a
latent space of this kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skccvae.nn import Latent, observed_log_prob
from skccvae.nn.stacking import VmappedModules, shapes, stacked
from skccvae.vae import VAE

__all__ = ["StackedTerms", "StackedVAE", "latent_key", "structure"]


class StackedTerms(NamedTuple):
    """Means over the batches of m models.

    Attributes
    ----------
    reconstruction, kl : Tensor of shape (m,)
    factor_kl : list of Tensor of shape (n_factors,)
        One for each model, empty if there are no factors.
    params : Tensor of shape (m, b, n_params)
        Outputs of the encoder, padded with zeros for smaller latent spaces.
    bound : Tensor of shape (m,) or None
        Importance-weighted bound.
    supervised : Tensor of shape (m,) or None
        Log-likelihood of the targets, without its weight.
    """

    reconstruction: Tensor
    kl: Tensor
    factor_kl: list[Tensor]
    params: Tensor
    bound: Tensor | None = None
    supervised: Tensor | None = None


def latent_key(latent: Latent) -> tuple:
    """A key that is equal for latent spaces that step together, and differs for all others."""
    return latent.row_key or (id(latent),)


def structure(model: VAE) -> tuple:
    """What models must have in common to become one `StackedVAE`."""
    return (
        shapes(model.encoder),
        shapes(model.decoder, any_input=True),
        shapes(model.likelihood),
        None
        if model.predictor is None
        else (shapes(model.predictor.network, any_input=True), tuple(model.predictor.n_classes)),
        model.missing,
        model.n_mask,
        model.distance_weight > 0,
    )


class StackedVAE(nn.Module):
    """Terms of the objective of m models, each for its own rows.

    Parameters
    ----------
    models : sequence of VAE
        Models with the same `structure`, ordered so that latent spaces with the same `latent_key`
        are neighbours. The weights of their networks become views of the stacked weights.
    """

    def __init__(self, models: Sequence[VAE]) -> None:
        super().__init__()
        self.models = list(models)
        self.first = [models[0]]  # in a list, so that it is not a submodule
        self.encoder = stacked([model.encoder for model in models])
        self.head = stacked([model.head for model in models])
        self.decoder = stacked([model.decoder for model in models])
        self.likelihood = VmappedModules([model.likelihood for model in models])
        self.predictor: VmappedModules | None = None
        if models[0].predictor is not None:
            predictors: list[Any] = [model.predictor for model in models]
            self.predictor = VmappedModules(predictors, _targets_log_prob)
        self.groups = [
            list(group)
            for _, group in groupby(
                range(len(models)), key=lambda number: latent_key(models[number].latent)
            )
        ]
        #: Hyperplanes of the groups that have hyperplanes.
        self.planes = nn.ModuleDict()
        for place, group in enumerate(self.groups):
            layers: list[Any] = [models[number].latent.gyroplanes for number in group]
            if layers[0] is not None and len(group) > 1:
                self.planes[str(place)] = stacked(layers)
        self.n_features = max(model.latent.n_features for model in models)
        self._rows: dict[int, list[Latent]] = {}

    def _spaces(self, n: int) -> list[Latent]:
        """The latent space of each group for n rows of each model."""
        if n not in self._rows:
            self._rows[n] = []
            for place, group in enumerate(self.groups):
                spaces = [self.models[number].latent for number in group]
                planes = self.planes[str(place)] if str(place) in self.planes else None
                alone = len(group) == 1  # its parameters, if any, must stay its own
                self._rows[n].append(spaces[0] if alone else spaces[0].for_rows(spaces, n, planes))
        return self._rows[n]

    def noise(self, x: Tensor, lead: tuple[int, ...]) -> list[Tensor]:
        """Tensors for the noise of each group, of shape (group, *lead, b, noise_dim).

        They are filled with ones rather than zeros, because zeros have no direction.
        """
        return [
            x.new_ones(len(group), *lead, x.shape[1], self.models[group[0]].latent.noise_dim)
            for group in self.groups
        ]

    def forward(
        self,
        x: Tensor,
        noise: list[Tensor],
        weights: Tensor | None = None,
        targets: Tensor | None = None,
        target_weights: Tensor | None = None,
        iwae: bool = False,
    ) -> StackedTerms:
        """Terms of a batch of each model.

        Parameters
        ----------
        x : Tensor of shape (m, b, p)
            Rows in model units.
        noise : list of Tensor of shape (group, ..., b, noise_dim)
            Standard normal numbers for each group, in the tensors of `noise`.
        weights : Tensor of shape (m, b), optional
            Weights with which sums over rows become means; 1/b by default.
        targets, target_weights : Tensor of shape (m, b, t), optional
            As for `VAE.elbo_terms`.
        iwae : bool, default=False
            Whether to compute the importance-weighted bound, as in `VAE.iwae_terms`.
        """
        m, b = x.shape[:2]
        model = self.first[0]
        params = self.head(self.encoder(model._inputs(x)))
        features, kls, factors = [], [], []
        sizes = [len(group) for group in self.groups]
        parts = zip(params.split(sizes), noise, self._spaces(b), strict=True)
        for part, eps, space in parts:
            size = len(part)
            rows = part[..., : space.n_params].reshape(size * b, space.n_params)
            # With several draws per row, their axis comes first.
            eps = eps.flatten(0, 1) if eps.dim() == 3 else eps.movedim(0, -3).flatten(-3, -2)
            factor_kl = None
            if iwae:
                feature, kl = space.weighted(rows, eps)
            else:
                feature, kl, factor_kl, _ = space.step(rows, eps)
            lacking = self.n_features - feature.shape[-1]
            feature = _by_model(feature, size, row_axis=-2)
            features.append(F.pad(feature, (0, lacking)) if lacking else feature)
            kls.append(_by_model(kl, size, row_axis=-1))
            if factor_kl is None:
                factors += [kl.new_zeros(0)] * size
            else:
                values = over_draws(_by_model(factor_kl, size, row_axis=-2), 3)
                own = None if weights is None else weights[len(factors) : len(factors) + size]
                factors += mean_over_rows(values, own).unbind()
        z = torch.cat(features)
        if z.dim() == 3:
            outputs = self.decoder(z)
        else:
            outputs = self.decoder(z.flatten(1, -2)).unflatten(1, z.shape[1:-1])
        bound = None
        if iwae:
            log_lik, log_ratio = self._log_prob(outputs, x), torch.cat(kls)
            bounds = torch.logsumexp(log_lik + log_ratio, dim=1) - math.log(log_lik.shape[1])
            bound = mean_over_rows(bounds, weights)
            kls = [-log_ratio]
            reconstruction = mean_over_rows(over_draws(log_lik, 2), weights)
        elif weights is None and outputs.dim() == 3 and not model.missing:
            reconstruction = self.likelihood(outputs, x, call=_total_log_prob) / b
        else:
            reconstruction = mean_over_rows(over_draws(self._log_prob(outputs, x), 2), weights)
        supervised = None
        if targets is not None and self.predictor is not None:
            supervised = self.predictor(z, targets, target_weights)
        kl = mean_over_rows(torch.cat([over_draws(part, 2) for part in kls]), weights)
        return StackedTerms(reconstruction, kl, factors, params, bound, supervised)

    def _log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        call = _observed_log_prob if self.first[0].missing else _log_prob
        return self.likelihood(outputs, x, call=call)


def _by_model(values: Tensor, size: int, row_axis: int) -> Tensor:
    """Reshape values of rows of several models, so that the first axis is the model."""
    axis = values.dim() + row_axis
    if axis == 0:  # one draw, the most common case
        return values.unflatten(0, (size, -1))
    return values.unflatten(axis, (size, -1)).movedim(axis, 0)


def mean_over_rows(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean or weighted sum over rows, the second axis."""
    if weights is None:
        return values.mean(1)
    return (values * (weights if values.dim() == 2 else weights.unsqueeze(-1))).sum(1)


def over_draws(values: Tensor, dims: int) -> Tensor:
    """Mean over the second axis, that of draws, if there are more than ``dims`` axes."""
    return values.mean(1) if values.dim() > dims else values


# Functions of one model of the stack, which `vmap` applies to all models.
def _total_log_prob(likelihood: Any, outputs: Tensor, x: Tensor) -> Tensor:
    return likelihood.total_log_prob(outputs, x)


def _log_prob(likelihood: Any, outputs: Tensor, x: Tensor) -> Tensor:
    return likelihood.log_prob(outputs, x)


def _observed_log_prob(likelihood: Any, outputs: Tensor, x: Tensor) -> Tensor:
    return observed_log_prob(likelihood, outputs, x)


def _targets_log_prob(predictor: Any, z: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    return predictor.log_prob(z, targets, weights)
