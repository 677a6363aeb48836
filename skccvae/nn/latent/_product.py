"""Products of latent spaces: posteriors independent of each other, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ...distributions import ProductDistribution
from ...manifolds import Product
from ._base import Latent, LatentStep


class ProductLatent(Latent):
    """Product of latent spaces; the KLs add up.

    Parameters
    ----------
    factors : sequence of Latent
        The spaces, in the order of their coordinates.
    names : sequence of str
        A name for each, such as ``"s0"``.

    References
    ----------
    Skopek, Ganea and Becigneul, "Mixed-curvature variational autoencoders", ICLR 2020.
    """

    def __init__(self, factors: Sequence[Latent], names: Sequence[str]) -> None:
        parts: list[Any] = [factor.manifold for factor in factors]
        super().__init__(Product(parts))
        self.factors: Any = nn.ModuleList(factors)  # of Latent, a type that torch forgets
        self.factor_names = list(names)
        self.n_params = sum(factor.n_params for factor in factors)
        self.n_features = sum(factor.n_features for factor in factors)
        self.noise_dim = sum(factor.noise_dim for factor in factors)
        self._param_sizes = [factor.n_params for factor in factors]
        self._noise_sizes = [factor.noise_dim for factor in factors]

    def _parts(self, params: Tensor, noise: Tensor | None = None) -> Iterable[tuple[Any, ...]]:
        split = params.split(self._param_sizes, dim=-1)
        if noise is None:
            return zip(self.factors, split, strict=True)
        return zip(self.factors, split, noise.split(self._noise_sizes, dim=-1), strict=True)

    def fitted_manifold(self) -> Product:
        return Product([factor.fitted_manifold() for factor in self.factors])

    def curvature(self) -> list[float]:
        return [factor.curvature() for factor in self.factors]

    def history(self) -> dict[str, float]:
        record = {}
        for name, factor in zip(self.factor_names, self.factors, strict=True):
            record.update({f"{key}_{name}": value for key, value in factor.history().items()})
        return record

    def posterior(self, params: Tensor) -> Distribution:
        return ProductDistribution([factor.posterior(part) for factor, part in self._parts(params)])

    def prior(self) -> Distribution:
        return ProductDistribution([factor.prior() for factor in self.factors])

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        steps = [factor.step(part, eps) for factor, part, eps in self._parts(params, noise)]
        # A factor with a closed form gives one KL a row, one with draws a KL a draw.
        total = steps[0].kl
        for step in steps[1:]:
            total = total + step.kl
        features = torch.cat([step.features for step in steps], dim=-1)
        return LatentStep(features, total, [step.kl for step in steps])

    def weighted(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        parts = [factor.weighted(part, eps) for factor, part, eps in self._parts(params, noise)]
        log_ratio = torch.stack([part[1] for part in parts]).sum(0)
        return torch.cat([part[0] for part in parts], dim=-1), log_ratio

    def location(self, params: Tensor) -> Tensor:
        return torch.cat([factor.location(part) for factor, part in self._parts(params)], dim=-1)

    def to_ambient(self, z: Tensor) -> Tensor:
        pieces = self.fitted_manifold().split(z)
        return torch.cat(
            [f.to_ambient(piece) for f, piece in zip(self.factors, pieces, strict=True)], dim=-1
        )

    def features(self, points: Tensor) -> Tensor:
        pieces = self.fitted_manifold().split(points)
        return torch.cat(
            [f.features(piece) for f, piece in zip(self.factors, pieces, strict=True)], dim=-1
        )
