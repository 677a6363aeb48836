"""Products of latent spaces, with independent posteriors."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from skccvae.distributions import ProductDistribution
from skccvae.manifolds import Product
from skccvae.nn.latent._base import Latent, LatentStep


class ProductLatent(Latent):
    """Product of latent spaces; the KLs add up.

    Parameters
    ----------
    factors : sequence of Latent
        The spaces, in the order of their coordinates.
    names : sequence of str
        A name for each factor, such as ``"s0"``.

    References
    ----------
    Skopek, Ganea and Bécigneul, "Mixed-curvature variational autoencoders", ICLR 2020.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import EuclideanLatent, ProductLatent, SphericalLatent
    >>> latent = ProductLatent([SphericalLatent(2), EuclideanLatent(3)], ["s0", "e0"])
    >>> step = latent.step(torch.randn(5, latent.n_params), torch.randn(5, latent.noise_dim))
    >>> step.features.shape, step.factor_kl.shape
    (torch.Size([5, 6]), torch.Size([5, 2]))
    """

    def __init__(self, factors: Sequence[Latent], names: Sequence[str]) -> None:
        parts: list[Any] = [factor.manifold for factor in factors]
        super().__init__(Product(parts))
        self.factors: Any = nn.ModuleList(factors)  # Any, because ModuleList loses the type Latent
        self.factor_names = list(names)
        self.n_params = sum(factor.n_params for factor in factors)
        self.n_features = sum(factor.n_features for factor in factors)
        self.noise_dim = sum(factor.noise_dim for factor in factors)
        self._groups = _groups(list(factors))
        self._param_sizes = [n * factors[first].n_params for first, n in self._groups]
        self._noise_sizes = [n * factors[first].noise_dim for first, n in self._groups]

    def _parts(self, params: Tensor) -> Iterable[tuple[Any, Tensor]]:
        """Pairs of a factor and the parameters of its posterior."""
        sizes = [factor.n_params for factor in self.factors]
        return zip(self.factors, params.split(sizes, dim=-1), strict=True)

    def _grouped(self, params: Tensor, noise: Tensor) -> Iterable[tuple[Any, int, Tensor, Tensor]]:
        """For each group of equal factors: one factor, their number, the parameters and the noise.

        Each factor of a group has its own rows in these parameters and in this noise.
        """
        parts = zip(
            self._groups,
            params.split(self._param_sizes, dim=-1),
            noise.split(self._noise_sizes, dim=-1),
            strict=True,
        )
        for (first, n), part, eps in parts:
            if n > 1:
                part = part.reshape(*part.shape[:-2], -1, part.shape[-1] // n)
                eps = eps.reshape(*eps.shape[:-2], -1, eps.shape[-1] // n)
            yield self.factors[first], n, part, eps

    @property
    def row_key(self) -> tuple | None:
        planes = any(factor.gyroplanes is not None for factor in self.factors)
        keys = (None,) if planes else tuple(factor.row_key for factor in self.factors)
        # The factors of a group form one batch.
        return None if None in keys else (type(self), *self._groups, *keys)

    def for_rows(self, spaces: Sequence[Latent], n: int, planes: nn.Module | None = None) -> Latent:
        space, products = copy.copy(self), cast(Sequence[ProductLatent], spaces)
        rows = [
            factor.for_rows([product.factors[i] for product in products], n)
            for i, factor in enumerate(self.factors)
        ]
        space._modules = {**self._modules, "factors": nn.ModuleList(rows)}
        return space

    @property
    def kl_dims(self) -> list[int]:
        return [factor.dim for factor in self.factors]

    @property
    def n_start(self) -> int:
        return sum(factor.n_start for factor in self.factors)

    def start_at(self, noise_ratio: Tensor, components: Tensor) -> tuple[Tensor, Tensor] | None:
        hands = self._hands()
        weight, biases = noise_ratio.new_zeros(self.n_params, self.n_start), []
        row = 0
        for hand, factor in zip(hands, self.factors, strict=True):
            if not factor.n_start:
                biases.append(noise_ratio.new_zeros(factor.n_params))
            else:
                start = factor.start_at(noise_ratio[hand], components[:, hand])
                if start is None:
                    return None
                part, bias = start
                weight[row : row + factor.n_params, hand] = part
                biases.append(bias)
            row += factor.n_params
        return weight, torch.cat(biases)

    def _hands(self) -> list[list[int]]:
        """The components at which each factor starts."""
        # A sphere of radius sqrt(d) is as wide as a normal prior of scale 1. A narrower sphere adds
        # little to the distances of a product, so it gets the smallest components. Other factors
        # are dealt components in turn, so that each of them gets large ones. On MNIST and faces in
        # ten dimensions, neighbours gain .04 in accuracy (`benchmarks/defaults.py`).
        places = sorted(
            (factor.curvature() * factor.dim > 1.001, place, number)  # a learned one is rounded
            for number, factor in enumerate(self.factors)
            for place in range(factor.n_start)
        )
        hands: list[list[int]] = [[] for _ in self.factors]
        for component, (_, _, number) in enumerate(places):
            hands[number].append(component)
        return hands

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
        posteriors = [factor.posterior(part) for factor, part in self._parts(params)]
        return ProductDistribution(posteriors, validate_args=False)

    def prior(self) -> Distribution:
        return ProductDistribution([factor.prior() for factor in self.factors], validate_args=False)

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        features, kls = [], []
        for factor, n, part, eps in self._grouped(params, noise):
            step = factor.step(part, eps)
            features.append(_side_by_side(step.features, n))
            kls.append(step.kl.reshape(*step.kl.shape[:-1], -1, n))
        # A closed form gives one KL per row, an estimate gives one per draw.
        lead = torch.broadcast_shapes(*[kl.shape[:-1] for kl in kls])
        kl = torch.cat([kl.expand(*lead, kl.shape[-1]) for kl in kls], dim=-1)
        return LatentStep(torch.cat(features, dim=-1), kl.sum(-1), kl)

    def weighted(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        features, ratios = [], []
        for factor, n, part, eps in self._grouped(params, noise):
            feature, ratio = factor.weighted(part, eps)
            features.append(_side_by_side(feature, n))
            ratios.append(ratio.reshape(*ratio.shape[:-1], -1, n).sum(-1))
        return torch.cat(features, dim=-1), torch.stack(ratios).sum(0)

    def location(self, params: Tensor) -> Tensor:
        return torch.cat([factor.location(part) for factor, part in self._parts(params)], dim=-1)

    def placed(
        self, params: Tensor, tangent: Tensor | None = None
    ) -> list[tuple[Tensor | None, Tensor, float | Tensor]]:
        return [place for factor, part in self._parts(params) for place in factor.placed(part)]

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

    def fix_curvature(self) -> None:
        for factor in self.factors:
            factor.fix_curvature()

    def train_curvature(self, active: bool) -> None:
        for factor in self.factors:
            factor.train_curvature(active)


def _groups(factors: list[Latent]) -> list[tuple[int, int]]:
    """Group neighbouring factors with equal `batch_key`: index of the first factor, and count.

    A group is computed as one batch with more rows. In a training step this costs hardly more than
    a single factor.
    """
    runs: list[tuple[int, int]] = []
    for number, factor in enumerate(factors):
        if (
            runs
            and factor.batch_key is not None
            and factor.batch_key == factors[runs[-1][0]].batch_key
        ):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((number, 1))
    return runs


def _side_by_side(features: Tensor, n: int) -> Tensor:
    """Put the features of n factors, which are n rows of a batch, next to each other in one row."""
    if n == 1:
        return features
    return features.reshape(*features.shape[:-2], -1, n * features.shape[-1])
