"""What a fitted estimator does with points: encode, decode, sample, and follow geodesics."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor
from torch.distributions import Distribution

from skccvae._array_api import as_given, as_numpy
from skccvae._sklearn import output_config
from skccvae.estimators._blocks import check_blocks
from skccvae.estimators._model import ModelMixin
from skccvae.estimators._streams import is_stream, over_parts, warn_if_shuffled
from skccvae.estimators._units import check_support
from skccvae.estimators._validation import validate_rows, without_mask
from skccvae.manifolds import inside_the_ball
from skccvae.metrics import pairwise_geodesic_distances
from skccvae.nn import MixedLikelihood
from skccvae.training import RandomStream, RowSource, derive_seed, entropy_from, own_modes

# What the stream of random numbers is for; training uses 0 to 2, scoring 3.
_SAMPLE = 4
# How many narrow rows are encoded or decoded at once. Of wider rows, only as many as hold this many
# numbers.
_CHUNK = 4096
NUMBERS_IN_MEMORY = 2**22


def rows_at_once(width: int) -> int:
    """How many rows with this many columns are encoded or decoded together."""
    # A multiple of 64 rows, so that a chunk ends where vector instructions end anyway.
    return min(_CHUNK, max(64, NUMBERS_IN_MEMORY // width // 64 * 64))


def _in_polars(frame: Any) -> Any:
    import polars as pl  # installed, because scikit-learn returns its frames

    return pl.from_pandas(frame)


class InferenceMixin(ModelMixin):
    """Public methods of a fitted estimator."""

    # --- embedding and decoding -----------------------------------------------------------------

    @own_modes()
    def transform(self, X):
        """Encode X as latent points: the location of each row's posterior.

        Parameters
        ----------
        X : {array-like, sparse, Dataset, stream} of shape (n_samples, ...)
            Rows as in `fit`. A stream is read to its end. A row with missing values is encoded,
            filled in with the mean of p(x | z) at this first location, and encoded again, so that
            its code depends less on which values are missing. `posterior_distribution` returns the
            posterior of the first pass.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_outputs), float32
            Coordinates in the chart named by ``coordinates``: as many as the intrinsic dimension of
            the space, and one more for each curved factor whose coordinates are ambient. With
            scikit-learn's ``array_api_dispatch``, and X a tensor, this method and the others that
            return arrays for X return a tensor on the device of X.
        """
        check_is_fitted(self)
        warn_if_shuffled(X)
        chunk = rows_at_once(self._input.n_columns)
        codes = over_parts(self, X, chunk, self._codes)
        return as_given(self._finite(codes, "transform"), X)

    def _codes(self, X) -> np.ndarray:
        """Codes of the rows, which may not be finite."""
        checked = validate_rows(self, X, reset=False)
        latent = self.net_.module_.latent
        out = np.empty((checked.shape[0], self._n_features_out), dtype=np.float32)
        for rows, params in self._encoded(checked, again=True):
            points = latent.location(params)
            out[rows] = self._chart(points).cpu().numpy()
        return out

    def _chart(self, points: Tensor) -> Tensor:
        """Ambient points in the chart that the user chose."""
        coordinates = self.manifold_.to_chart(points, self.coordinates)
        if self.coordinates == "stereographic":
            return inside_the_ball(self.manifold_, coordinates.float())
        return coordinates

    @own_modes()
    def inverse_transform(self, X):
        """Decode latent points: the mean of p(x | z).

        Parameters
        ----------
        X : array-like of shape (n_points, n_outputs)
            Latent points, in the chart named by ``coordinates``. Ambient points, and natural ones
            on a sphere, are first projected radially onto the space, so that you may pass a mean of
            latent points.

        Returns
        -------
        X_original : ndarray of shape (n_points, n_features) or (n_points, ...), float32
            Rows in the units and the shape that `fit` was given. The dtype is float64 if float32 is
            too coarse for a column, such as one of dates in seconds. With a list of likelihoods the
            dtype is float64, or object if a level is text, and each categorical column holds the
            most likely level. After ``set_output(transform="pandas")`` the result is a frame with
            the index of X and the names and dtypes of the frame in `fit`; whole numbers are
            rounded, and a bool is the more likely value. With ``"polars"`` it is a polars frame of
            the same kind.

        Raises
        ------
        ValueError
            If X has the wrong number of columns or contains NaN, or a point has no nearest point on
            the space. Such points are the zero vector on a sphere, a vector outside the cone over a
            hyperboloid, and stereographic coordinates on or outside the ball.
        """
        check_is_fitted(self)
        rows = as_given(self._decode(self._points_from(X)), X)
        if hasattr(rows, "iloc") and hasattr(X, "iloc"):
            rows.index = X.index
        return rows

    def _points_from(self, X) -> Tensor:
        """Ambient points from latent coordinates in the user's chart, float64 on the CPU."""
        if is_stream(X):
            raise TypeError(
                f"X is a stream ({type(X).__name__}), but latent points must come in an array, "
                "such as `transform` returns. Decode it part by part."
            )
        Z = check_array(without_mask(as_numpy(X)), dtype=[np.float64, np.float32], input_name="X")
        wanted = self._n_features_out
        if Z.shape[1] != wanted:
            raise ValueError(
                f"X has {Z.shape[1]} columns, but latent points in coordinates="
                f"{self.coordinates!r} have {wanted}. The space has {self.manifold_.dim} intrinsic "
                f"dimensions and {self.manifold_.ambient_dim} ambient ones."
            )
        return self.manifold_.from_chart(
            torch.from_numpy(np.array(Z, dtype=np.float64)), self.coordinates
        )

    @own_modes()
    def _decode(self, points: Tensor, frames: bool = True, levels: RandomStream | None = None):
        """Ambient points of shape (n, m) to rows in the user's units, shape and container.

        The result is a frame if the user asks for frames and ``frames`` allows them. With a stream
        of random numbers, levels and bits of a table are drawn.
        """
        module = self.net_.module_
        # Features in float64, where hyperboloid coordinates keep their digits; then the network.
        features = module.latent.features(points).float()
        n_columns = module.likelihood.n_features
        table = self._input.columns is not None
        dtype = np.float64 if table else self._input.units.dtype
        rows = np.empty((len(features), n_columns), dtype=dtype)
        chunk = rows_at_once(max(n_columns, module.likelihood.n_outputs))
        for start in range(0, len(features), chunk):
            part = slice(start, start + chunk)
            outputs = module.decode(features[part].to(self._device()))
            if levels is not None and isinstance(module.likelihood, MixedLikelihood):
                with levels.drawing():
                    mean = module.likelihood.draw_levels(outputs)
            else:
                mean = module.likelihood.mean(outputs)
            rows[part] = self._input.units.invert(mean.cpu().numpy(), dtype)
        rows = self._finite(rows, "inverse_transform")
        if self._input.columns is not None:
            wanted = output_config("transform", self)["dense"]
            if frames and self._input.columns.dtypes and wanted in ("pandas", "polars"):
                frame = self._input.columns.frame(rows, self._input.column_names)
                return frame if wanted == "pandas" else _in_polars(frame)
            return self._input.columns.values(rows)
        shape = self._input.sample_shape
        return rows.reshape(len(rows), *shape) if shape else rows

    # --- distributions and geometry -------------------------------------------------------------

    @own_modes()
    def posterior_distribution(self, X) -> Distribution:
        """Return the posterior q(z | x) of each row.

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in `fit`.

        Returns
        -------
        torch.distributions.Distribution
            A distribution of batch shape ``(n_samples,)`` over ambient points. Distributions with a
            ``concentration`` live on the unit sphere, whatever the curvature.
        """
        check_is_fitted(self)
        X = validate_rows(self, X, reset=False)
        # `cat` copies outside of inference mode: a user may take gradients through what it gives.
        params = torch.cat([params.float() for _, params in self._encoded(X)])
        self._finite(params.cpu().numpy(), "posterior_distribution")
        return self.net_.module_.latent.posterior(params)

    @own_modes()
    def sample(self, n_samples: int = 1, random_state=None):
        """Sample rows from the model: z from the prior, then the mean of p(x | z).

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState or None, default=None
            None uses the estimator's own ``random_state``.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features) or (n_samples, ...), float32
            Rows in the units, the shape and the container of `inverse_transform`. With a list of
            likelihoods, the levels of categorical columns and the bits of Bernoulli columns are
            drawn.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be an integer of at least 1; got {n_samples!r}.")
        state = self.random_state if random_state is None else random_state
        latent = self.net_.module_.latent
        seed = derive_seed(entropy_from(state), _SAMPLE)
        with self._stream(seed, self._device()).building():
            z = latent.prior().sample((n_samples,))
        levels = RandomStream(derive_seed(seed, _SAMPLE), self._device(), lends=True)
        return self._decode(latent.to_ambient(z).cpu().double(), levels=levels)

    @own_modes()
    def interpolate(self, X0, X1, n_steps: int = 10):
        """Decode points along the geodesics between the codes of rows.

        Parameters
        ----------
        X0, X1 : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Start and end rows, paired.
        n_steps : int, default=10
            Number of points on each geodesic, both ends included; at least 2.

        Returns
        -------
        X : ndarray of shape (n_samples, n_steps, n_features) or (n_samples, n_steps, ...), float32
            The means of p(x | z) along the geodesics.
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
        rows = self._decode(path.reshape(-1, path.shape[-1]), frames=False)
        return as_given(rows.reshape(len(start), n_steps, *rows.shape[1:]), X0)

    @own_modes()
    def geodesic_distances(self, Z, W=None):
        """Geodesic distances between latent points.

        Parameters
        ----------
        Z : array-like of shape (n_points, n_outputs)
            Points in the chart named by ``coordinates``, as `transform` returns them.
        W : array-like of shape (n_others, n_outputs), default=None
            Other points. By default they are Z itself.

        Returns
        -------
        D : ndarray of shape (n_points, n_others)
            Distances. If W is None, the matrix is symmetric and its diagonal is zero.
        """
        check_is_fitted(self)
        return pairwise_geodesic_distances(
            without_mask(Z, "Z"),  # a tensor stays one here, and so does the result
            without_mask(W, "W"),
            manifold=self.manifold_,
            coordinates=self.coordinates,
        )

    # --- shared ---------------------------------------------------------------------------------

    def _check_support(self, X) -> None:
        columns = self._input.columns
        if columns is not None:
            check_blocks(X, columns, self._structure["likelihood"], hard=True)
            return
        check_support(X, self._likelihood_class(False), self._input.units.divisor)

    def _device(self) -> torch.device:
        return torch.device(self.net_.device)

    def _at_a_time(self, n_rows: int) -> int:
        """The given number of rows, or fewer if the encoder takes fewer at a time."""
        return min(n_rows, getattr(self.net_.module_.encoder, "rows_at_a_time", n_rows))

    def _batches(self, X, chunk: int):
        """Pairs of a slice of X and its batch in model units on the device."""
        source = RowSource(X, self._input.units, self._device(), resident=False)
        for start in range(0, X.shape[0], chunk):
            rows = slice(start, min(start + chunk, X.shape[0]))
            yield rows, source.batch(rows)

    def _encoded(self, X, again: bool = False):
        """Pairs of a slice of X and its posterior parameters, float64.

        With ``again``, rows with missing values are filled in at their first location and encoded a
        second time, so that the code no longer shows which values are missing.
        """
        module = self.net_.module_
        for rows, batch in self._batches(X, self._at_a_time(rows_at_once(X.shape[1]))):
            # This mode ends before the yield. Around it, the mode would also hold in the caller's
            # code, for as long as a traceback keeps this generator alive.
            with torch.inference_mode():
                params = module.encode_in_double(batch.x, batch.extra)
                # Measured by the accuracy of logistic regression on codes of rows with 30 % holes:
                # filling in the mean of `impute` gains .003 (wine, 60 seeds), .002 (breast cancer,
                # 15) and .001 (digits, 6) for 64 to 1024 decodings a row. A third encoding gains
                # .002 on wine and loses .002 on breast cancer. More holes, drawn anew in each
                # training step, gain .003 on wine and lose .04 on breast cancer (5).
                if again and module.missing and bool(batch.x.isnan().any()):
                    filled = module.filled_at(module.latent.location(params), batch.x)
                    params = module.encode_in_double(filled, batch.extra)
            yield rows, params

    @own_modes()
    def _locations(self, X) -> Tensor:
        """Ambient points of the rows' locations, float64 on the CPU."""
        X = validate_rows(self, X, reset=False)
        latent = self.net_.module_.latent
        parts = [latent.location(params) for _, params in self._encoded(X, again=True)]
        return torch.cat(parts).cpu()

    def _finite(self, values: np.ndarray, what: str) -> np.ndarray:
        if not np.isfinite(values).all():
            bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
            raise ValueError(
                f"{what} is not finite for {len(bad)} row(s), the first at {int(bad[0])}: these "
                "rows lie too far from the training data for float32. Compare their scale with "
                "that of the rows that the model was fitted on."
            )
        return values
