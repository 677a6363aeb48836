"""One split of the rows: fit all geometries to one part, and measure them on the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances

from skccvae.estimators import (
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    SphericalVAETransformer,
)
from skccvae.model_selection._measures import (
    Target,
    distance_measures,
    nearest_rows,
    neighbour_measure,
    reconstruction_measures,
)

__all__ = ["ESTIMATORS", "SplitJob", "dense"]

ESTIMATORS = {
    "plane": GaussianVAETransformer,
    "sphere": SphericalVAETransformer,
    "hyperbolic": HyperbolicVAETransformer,
}
# All pairs of this many rows are two million distances.
_MOST_DISTANCES = 2000


@dataclass
class SplitJob:
    """Measures all geometries on one split of the rows."""

    rows: Any
    sample_shape: tuple[int, ...] | None
    y: Any
    target: Target | None
    distances: Any
    names: tuple[str, ...]
    n_components: int
    n_neighbors: int
    params: dict[str, Any]

    def __call__(
        self, train: NDArray[np.int64], test: NDArray[np.int64], seed: int
    ) -> tuple[str, dict[str, dict[str, float]]]:
        fitted = {name: self._fit(name, train, seed) for name in self.names if name != "pca"}
        model = next(iter(fitted.values()))
        # With a threshold, reconstructions are probabilities, which are compared as they are.
        units = model._input.units
        if units.period is not None:
            raise ValueError(
                f"compare_geometries measures differences of rows, but likelihood="
                f"{model.likelihood_!r} describes angles, which have none. Pass cosines and sines."
            )
        decoded_units = replace(units, threshold=None, support=None)
        known = dense(self.rows[train])
        seen = units.apply(known).astype(np.float64)
        held_out = units.apply(dense(self.rows[test])).astype(np.float64)
        near = test[:_MOST_DISTANCES]
        reference = self._reference(near, held_out[: len(near)])
        measured = {}
        for name in self.names:
            if name == "pca":
                pca = fit_ppca(seen, self.n_components, seed)
                codes, new = pca.transform(seen), pca.transform(held_out)
                decoded = pca.inverse_transform(new)
                nats = float("nan")
                if model.likelihood_ in ("gaussian", "isotropic_gaussian", "count_gaussian"):
                    nats = float(pca.score(held_out) - np.log(units.scale).sum())
                bounds = {"log_likelihood": nats, "elbo": nats}
                between: Callable[..., NDArray[np.float64]] = pairwise_distances
            else:
                vae = fitted[name]
                codes, new = (vae.transform(self._samples(part)) for part in (train, test))
                evidence = vae.evaluate(self._samples(test))
                bounds = {key: evidence[key] for key in ("log_likelihood", "elbo")}
                back = vae.inverse_transform(new)
                decoded = decoded_units.apply(back.reshape(len(test), -1)).astype(np.float64)
                between = vae.geodesic_distances
            measured[name] = {
                **bounds,
                **reconstruction_measures(held_out, decoded, np.nanmean(seen, axis=0)),
                **distance_measures(between(new[: len(near)]), reference),
                **self._neighbours(codes, new, between, train, test),
            }
        return model.likelihood_, measured

    def _fit(self, name: str, train: NDArray[np.int64], seed: int) -> Any:
        model = ESTIMATORS[name](self.n_components, random_state=seed, **self.params)
        return model.fit(self._samples(train), None if self.y is None else self.y[train])

    def _samples(self, index: NDArray[np.int64]) -> Any:
        """Rows as a user passes them, images included."""
        rows = self.rows[index]
        return rows if self.sample_shape is None else rows.reshape(len(index), *self.sample_shape)

    def _reference(
        self, index: NDArray[np.int64], in_model_units: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Distances to compare the latent distances with."""
        if isinstance(self.distances, np.ndarray):
            return self.distances[np.ix_(index, index)]
        if self.distances is not None:
            return pairwise_distances(dense(self.rows[index]), metric=self.distances)
        metric = "nan_euclidean" if np.isnan(in_model_units).any() else "euclidean"
        return pairwise_distances(in_model_units, metric=metric)

    def _neighbours(
        self,
        codes: NDArray[Any],
        new: NDArray[Any],
        between: Callable[..., NDArray[np.float64]],
        train: NDArray[np.int64],
        test: NDArray[np.int64],
    ) -> dict[str, float]:
        if self.target is None:
            return {}
        values = self.target.values
        with_label, asked = ~np.isnan(values[train]), ~np.isnan(values[test])
        nearest = nearest_rows(between, new[asked], codes[with_label], self.n_neighbors)
        found = values[train][with_label][nearest]
        score = neighbour_measure(found, values[test][asked], self.target.measured)
        return {self.target.criterion: score}


def dense(rows: Any) -> NDArray[Any]:
    """Rows as an array."""
    return rows.toarray() if sp.issparse(rows) else rows


def fit_ppca(rows: NDArray[np.float64], n_components: int, seed: int) -> PCA:
    """PCA of the rows, whose `score` is that of probabilistic PCA."""
    pca = PCA(n_components, random_state=seed).fit(rows)
    n, p = rows.shape
    if n < p and p > n_components:
        # scikit-learn spreads the remaining variance over as many directions as there are rows, but
        # the maximum of the likelihood spreads it over all (Tipping and Bishop 1999, eq. 8).
        pca.noise_variance_ *= (min(n, p) - n_components) / (p - n_components)
    return pca
