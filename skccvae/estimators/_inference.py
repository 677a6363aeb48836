"""Everything a fitted estimator does: embed, decode, score, sample, move along geodesics."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import torch
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor
from torch.distributions import Distribution

from skccvae.estimators._molecules import observed
from skccvae.estimators._parameter_method import ParameterMethod
from skccvae.estimators._validation import check_range, check_units, data_range, validate_rows
from skccvae.manifolds import inside_the_ball
from skccvae.metrics import pairwise_geodesic_distances
from skccvae.training import RowSource, derive_seed, entropy_from, isolated_random_state

# What the streams of random numbers are for; training uses 0 to 2.
_SCORE, _SAMPLE = 3, 4
# Rows encoded or decoded at once, and draws scored at once, where rows are narrow; of wider rows
# as many as have so many numbers.
_CHUNK = 4096
_DRAWS_IN_MEMORY = 8192
_NUMBERS_IN_MEMORY = 2**22


def rows_at_once(width: int) -> int:
    """Rows of so many columns that are encoded or decoded together."""
    # Whole multiples of 64 rows: the end of a chunk falls where vector instructions end anyway.
    return min(_CHUNK, max(64, _NUMBERS_IN_MEMORY // width // 64 * 64))


class InferenceMixin:
    """Public methods of a fitted estimator."""

    # --- embedding and decoding -----------------------------------------------------------------

    @torch.no_grad()
    def transform(self, X):
        """Embed X: the location of each row's posterior.

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in `fit`.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_outputs), float32
            Coordinates in the chart named by ``coordinates``: ``n_components`` numbers, one more
            where they are ambient coordinates of a curved space.
        """
        check_is_fitted(self)
        X = self._rows(X)
        latent = self.net_.module_.latent
        out = np.empty((X.shape[0], self._n_features_out), dtype=np.float32)
        for rows, params in self._encoded(X):
            points = latent.location(params)
            out[rows] = self._chart(points).cpu().numpy()
        return self._finite(out, "transform")

    def _chart(self, points: Tensor) -> Tensor:
        """Ambient points in the chart of the user."""
        coordinates = self.manifold_.to_chart(points, self.coordinates)
        if self.coordinates == "stereographic":
            return inside_the_ball(self.manifold_, coordinates)
        return coordinates

    def inverse_transform(self, Z):
        """Decode latent points: the mean of p(x | z).

        Parameters
        ----------
        Z : array-like of shape (n_points, n_outputs)
            Points in the chart named by ``coordinates``. Ambient points are projected radially
            onto the space first, so that a mean of latent points is a fair input.

        Returns
        -------
        X : ndarray of shape (n_points, n_features) or (n_points, ...), float32
            In the units and the shape that `fit` was given.

        Raises
        ------
        ValueError
            If Z has the wrong number of columns, holds NaN, or a point has no nearest point on
            the space: the zero vector on a sphere, a vector outside the cone over a hyperboloid,
            stereographic coordinates on or outside the ball.
        """
        check_is_fitted(self)
        points = self._points_from(Z)
        return self._decode(points)

    def _points_from(self, Z, name: str = "Z") -> Tensor:
        """Latent coordinates as the user has them to ambient points, float64 on the CPU."""
        Z = check_array(Z, dtype=[np.float64, np.float32], input_name=name)
        wanted = self._n_features_out
        if Z.shape[1] != wanted:
            raise ValueError(
                f"{name} has {Z.shape[1]} columns, but latent points in coordinates="
                f"{self.coordinates!r} have {wanted}. The space has {self.manifold_.dim} intrinsic "
                f"dimensions and {self.manifold_.ambient_dim} ambient ones."
            )
        coordinates = torch.from_numpy(np.array(Z, dtype=np.float64))
        if self.coordinates == "ambient":
            return self.manifold_.project(coordinates)
        return self.manifold_.from_chart(coordinates, self.coordinates)

    @torch.no_grad()
    def _decode(self, points: Tensor) -> np.ndarray:
        """Ambient points of shape (n, m) to rows in the user's units and shape."""
        module = self.net_.module_
        # Features in float64, where hyperboloid coordinates keep their digits; then the network.
        features = module.latent.features(points).float()
        n_columns = module.likelihood.n_features
        rows = np.empty((len(features), n_columns), dtype=np.float32)
        chunk = rows_at_once(n_columns)
        for start in range(0, len(features), chunk):
            part = slice(start, start + chunk)
            outputs = module.decode(features[part].to(self._device()))
            mean = module.likelihood.mean(outputs).cpu().numpy()
            rows[part] = self._scaling.invert(mean)
        rows = self._finite(rows, "inverse_transform")
        return rows.reshape(len(rows), *self._sample_shape) if self._sample_shape else rows

    # --- likelihoods ----------------------------------------------------------------------------

    def score_samples(self, X, n_importance_samples: int = 64):
        """Importance-weighted bound on log p(x) of each row.

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in `fit`.
        n_importance_samples : int, default=64
            Draws from the posterior; the bound grows with it towards log p(x).

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,), float32
            Nats. A row's value does not depend on the rows beside it, and is the same at each
            call.

        References
        ----------
        Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, eq. 8.
        """
        return self._evidence(X, n_importance_samples)[:, 2].astype(np.float32)

    def score(self, X, y=None):
        """Mean of `score_samples`: higher is better.

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in `fit`.
        y : None
            Ignored.

        Returns
        -------
        score : float
            Nats a row.
        """
        return float(self._evidence(X, 64)[:, 2].mean())

    def evaluate(self, X, n_importance_samples: int = 64) -> dict[str, float]:
        """ELBO and its parts, averaged over rows.

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in `fit`. With ``binarize="dynamic"`` each pixel is drawn once.
        n_importance_samples : int, default=64
            Draws a row.

        Returns
        -------
        dict
            ``elbo``, ``reconstruction``, ``kl`` and ``log_likelihood`` (the importance-weighted
            bound), in nats a row; ``elbo`` is ``reconstruction - kl``. A product space adds
            the KL of each factor, ``kl_s0`` and so on.
        """
        means = self._evidence(X, n_importance_samples).mean(axis=0).tolist()
        reconstruction, kl, bound, *parts = means
        names = self.net_.module_.latent.factor_names
        return {
            "elbo": reconstruction - kl,
            "reconstruction": reconstruction,
            "kl": kl,
            "log_likelihood": bound,
            **{f"kl_{name}": part for name, part in zip(names, parts, strict=True)},
        }

    @torch.no_grad()
    def _evidence(self, X, n_importance_samples: int) -> np.ndarray:
        check_is_fitted(self)
        if not isinstance(n_importance_samples, Integral) or n_importance_samples < 1:
            raise ValueError(
                "n_importance_samples must be an integer of at least 1; got "
                f"{n_importance_samples!r}."
            )
        X = self._rows(X)
        self._check_support(X)
        module = self.net_.module_
        seed = derive_seed(self._entropy, _SCORE)
        n_factors = len(module.latent.factor_names)
        out = np.empty((X.shape[0], 3 + n_factors), dtype=np.float64)
        draws = min(_DRAWS_IN_MEMORY, 2 * _NUMBERS_IN_MEMORY // X.shape[1])
        chunk = self._at_a_time(max(1, draws // n_importance_samples))
        for rows, batch in self._batches(X, chunk):
            x = module.draw_pixels(batch.x, seed) if self.binarize == "dynamic" else batch.x
            evidence = module.evidence(x, n_importance_samples, seed, extra=batch.extra)
            columns = [*evidence[:3], *evidence.factor_kl]
            out[rows] = torch.stack(columns, dim=1).cpu().numpy()
        return self._finite(out, "the likelihood")

    # --- distributions and geometry -------------------------------------------------------------

    @ParameterMethod
    @torch.no_grad()
    def posterior(self, X) -> Distribution:
        """Posterior q(z | x) of each row.

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in `fit`.

        Returns
        -------
        torch.distributions.Distribution
            Batch shape ``(n_samples,)``, over ambient points. Distributions with a
            ``concentration`` live on the unit sphere, whatever the curvature.
        """
        check_is_fitted(self)
        X = self._rows(X)
        # `cat` copies outside of inference mode: a user may take gradients through what it gives.
        params = torch.cat([params for _, params in self._encoded(X)])
        self._finite(params.cpu().numpy(), "posterior")
        return self.net_.module_.latent.posterior(params)

    @torch.no_grad()
    def sample(self, n_samples: int = 1, random_state=None):
        """Draw rows from the model: z from the prior, then the mean of p(x | z).

        Parameters
        ----------
        n_samples : int, default=1
            How many.
        random_state : int, RandomState or None, default=None
            None takes the estimator's own ``random_state``.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features) or (n_samples, ...), float32
            In the units and the shape that `fit` was given.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be an integer of at least 1; got {n_samples!r}.")
        state = self.random_state if random_state is None else random_state
        latent = self.net_.module_.latent
        with isolated_random_state(derive_seed(entropy_from(state), _SAMPLE), self._device()):
            z = latent.prior().sample((n_samples,))
        return self._decode(latent.to_ambient(z).cpu().double())

    @torch.no_grad()
    def interpolate(self, X0, X1, n_steps: int = 10):
        """Decode points along the geodesics between embedded rows.

        Parameters
        ----------
        X0, X1 : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Start and end rows, paired.
        n_steps : int, default=10
            Points on each geodesic, both ends included; at least 2.

        Returns
        -------
        X : ndarray of shape (n_samples, n_steps, n_features) or (n_samples, n_steps, ...), float32
            Means of p(x | z) along the way.
        """
        check_is_fitted(self)
        if not isinstance(n_steps, Integral) or n_steps < 2:
            raise ValueError(f"n_steps must be an integer of at least 2; got {n_steps!r}.")
        start, end = self._locations(X0), self._locations(X1)
        if start.shape != end.shape:
            raise ValueError(
                f"X0 and X1 must have the same number of rows; got {len(start)} and {len(end)}."
            )
        fractions = torch.linspace(0, 1, n_steps, dtype=torch.float64)
        path = self.manifold_.geodesic(start[:, None], end[:, None], fractions)
        rows = self._decode(path.reshape(-1, path.shape[-1]))
        return rows.reshape(len(start), n_steps, *rows.shape[1:])

    def geodesic_distances(self, Z, W=None):
        """Geodesic distances between latent points.

        Parameters
        ----------
        Z : array-like of shape (n_points, n_outputs)
            Points in the chart named by ``coordinates``, as `transform` returns them.
        W : array-like of shape (n_others, n_outputs), default=None
            Other points; Z itself by default.

        Returns
        -------
        D : ndarray of shape (n_points, n_others)
            Distances; symmetric with a zero diagonal where W is None.
        """
        check_is_fitted(self)
        return pairwise_geodesic_distances(
            Z, W, manifold=self.manifold_, coordinates=self.coordinates
        )

    # --- shared ---------------------------------------------------------------------------------

    def _rows(self, X):
        """Validated rows, in the units that the model was fitted on."""
        X = validate_rows(self, X, reset=False)
        check_units(observed(X), self.likelihood_, self._scaling.divisor)
        return X

    def _check_support(self, X) -> None:
        low, high = data_range(observed(X))
        check_range(low, high, self.likelihood_, self._scaling.divisor)

    def _device(self) -> torch.device:
        return torch.device(self.net_.device)

    def _at_a_time(self, n_rows: int) -> int:
        """At most as many rows as the encoder wants at a time."""
        return min(n_rows, getattr(self.net_.module_.encoder, "rows_at_a_time", n_rows))

    def _batches(self, X, chunk: int):
        """Pairs of a slice of X and its batch in model units on the device."""
        source = RowSource(X, self._scaling, self._device(), resident=False)
        for start in range(0, X.shape[0], chunk):
            rows = slice(start, min(start + chunk, X.shape[0]))
            yield rows, source.batch(rows)

    def _encoded(self, X):
        """Pairs of a slice of X and its posterior parameters."""
        module = self.net_.module_
        for rows, batch in self._batches(X, self._at_a_time(rows_at_once(X.shape[1]))):
            # Left before the yield: a mode entered around it would hold in the caller's code too,
            # for as long as a traceback keeps this generator alive.
            with torch.inference_mode():
                params = module.encode(batch.x, batch.extra)
            yield rows, params

    @torch.no_grad()
    def _locations(self, X) -> Tensor:
        """Ambient points of the rows' locations, float64 on the CPU."""
        X = self._rows(X)
        latent = self.net_.module_.latent
        parts = [latent.location(params.double()) for _, params in self._encoded(X)]
        return torch.cat(parts).cpu()

    def _finite(self, values: np.ndarray, what: str) -> np.ndarray:
        if not np.isfinite(values).all():
            bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
            raise ValueError(
                f"{what} is not finite for {len(bad)} row(s), the first at {int(bad[0])}: they lie "
                "too far from the training data for float32. Compare their scale with that of the "
                "rows the model was fitted on."
            )
        return values
