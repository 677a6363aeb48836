"""What a fitted estimator knows about unobserved values: their means, and draws of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skccvae._tables import as_frame, like_table
from skccvae.estimators._holes import dense, filled, places_of_holes
from skccvae.estimators._inference import InferenceMixin
from skccvae.estimators._validation import validate_rows
from skccvae.nn import normal_noise, uniform_noise
from skccvae.training import PairedRows, RandomStream, derive_seed, entropy_from, own_modes

# What the stream of random numbers is for.
_IMPUTE = 5
# How many numbers the draws of one row decode to, and bounds on the number of draws. With few draws
# the weighted mean keeps more of the encoder's error: with four times as many, errors on digits,
# wine and breast cancer fall by 1 per cent, and fitting and filling in digits take three times as
# long.
_NUMBERS_OF_A_ROW, _FEWEST, _MOST = 2**12, 64, 1024
# Numbers decoded together, few enough for the cache.
_NUMBERS = 2**20
_CHOICE = 3  # stream of the numbers that choose among the draws of a row


class ImputationMixin(InferenceMixin):
    """`impute` and `sample_missing`."""

    @own_modes()
    def impute(self, X):
        """Fill in missing values with the mean of p(x | z) over the posterior of the row.

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in `fit`, with NaN (or None and ``pandas.NA`` in frames) where a value is
            missing. This needs a model with ``missing="mask"``, or a likelihood that accepts NaN.

        Returns
        -------
        X_filled : array, frame, sparse matrix or tensor of the shape of X
            A copy in the container of X. Observed values are the same bit for bit. Float columns
            keep their dtype, columns of whole numbers and bools with missing values become
            ``Float64``, and columns of objects remain so. A list and a `Dataset` become an array.
            With a list of likelihoods all columns of a frame keep their dtype: whole numbers are
            rounded, a bool is the more likely value, and a level is the most likely one. An Arrow
            or polars table keeps its kind, and its dtypes under the same conditions. Decimals that
            are filled in become float64.

        Raises
        ------
        ValueError
            If the model does not accept missing values, or X is invalid as in `transform`.

        See Also
        --------
        sample_missing : Several fillings, whose spread shows the uncertainty.

        Notes
        -----
        The mean is over draws from the encoder's posterior, weighted by ``p(x_observed, z) / q(z |
        x)`` [1]_: 64 draws for rows of 64 columns or more, up to 1024 for narrow ones. The draws
        depend only on the content of a row, so every call returns the same result. For angles the
        result is the mean direction. For bits it is a probability, from which `sample_missing`
        draws. A column that was constant in training is filled with that constant.

        References
        ----------
        .. [1] Mattei and Frellsen, "MIWAE: deep generative modelling and imputation of incomplete
           data sets", ICML 2019, eq. 12.

        Examples
        --------
        >>> import numpy as np
        >>> from skccvae import GaussianVAETransformer
        >>> t = np.random.default_rng(0).normal(size=200)
        >>> X = np.stack([t, 2 * t, -t], axis=1)
        >>> X[0] = [1.0, np.nan, -1.0]
        >>> vae = GaussianVAETransformer(1, missing="mask", random_state=0).fit(X)
        >>> filled = vae.impute(X)
        >>> bool(abs(filled[0, 1] - 2.0) < 0.2), bool((filled[1:] == X[1:]).all())
        (True, True)
        """
        given, X = X, as_frame(X)
        rows = self._rows_with_holes(X)
        seed = derive_seed(self._entropy, _IMPUTE)
        likelihood = self.net_.module_.likelihood

        def means(outputs: Tensor, weights: Tensor) -> Tensor:
            return likelihood.posterior_mean(outputs, weights[..., None])

        values = self._at_holes(rows, seed, means)
        if self._input.columns is not None:
            return like_table(given, X, self._input.columns.filled(X, rows, values))
        return like_table(given, X, filled(X, rows, values, self._input.sample_shape))

    @own_modes()
    def sample_missing(self, X, n_samples: int = 1, random_state=None):
        """Draw the missing values several times: z from the posterior, then x from p(x | z).

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in `impute`.
        n_samples : int, default=1
            Number of fillings.
        random_state : int, RandomState or None, default=None
            None uses the estimator's own ``random_state``.

        Returns
        -------
        X_filled : ndarray of shape (n_samples, n_rows, n_features) or (n_samples, n_rows, ...)
            The fillings. Each contains the observed values bit for bit. The dtype is that of X if
            that is floating, and float64 otherwise. With a list of likelihoods it is object if a
            level is text.

        Raises
        ------
        ValueError
            As for `impute`, or if ``n_samples`` is not a positive integer.
        TypeError
            If the likelihood does not define ``distribution``.

        Notes
        -----
        For multiple imputation, compute your estimate on each filling, then pool the estimates and
        their variance between fillings [1]_. The draws of z are chosen from those of `impute` by
        their weights.

        References
        ----------
        .. [1] Rubin, "Multiple imputation for nonresponse in surveys", 1987, section 3.1.

        Examples
        --------
        >>> import numpy as np
        >>> from skccvae import GaussianVAETransformer
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> X[0, 1] = np.nan
        >>> vae = GaussianVAETransformer(1, missing="mask", max_epochs=2, random_state=0).fit(X)
        >>> fillings = vae.sample_missing(X, n_samples=5, random_state=0)
        >>> fillings.shape, bool(np.ptp(fillings[:, 0, 1]) > 0), bool(np.ptp(fillings[:, 1, 1]) > 0)
        ((5, 100, 3), True, False)
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be an integer of at least 1; got {n_samples!r}.")
        rows = self._rows_with_holes(X)
        state = self.random_state if random_state is None else random_state
        seed = derive_seed(entropy_from(state), _IMPUTE)
        likelihood = self.net_.module_.likelihood
        stream = RandomStream(seed, self._device(), lends=True)

        def draws(outputs: Tensor, weights: Tensor, keys: Tensor) -> Tensor:
            u = uniform_noise(keys, int(n_samples), stream=_CHOICE)
            total = weights.cumsum(0).T.contiguous()
            index = torch.searchsorted(total, u * total[:, -1:]).clamp(max=len(total[0]) - 1)
            picked = outputs[index.T, torch.arange(outputs.shape[1], device=outputs.device)]
            with stream.drawing():
                return likelihood.distribution(picked).sample()

        values = self._at_holes(rows, seed, draws, with_keys=True)
        whole = dense(rows, slice(None))
        missing = np.isnan(whole)
        out = np.repeat(whole[None], int(n_samples), axis=0)
        out[:, missing] = values
        if self._input.columns is not None:
            return self._input.columns.values(out)
        shape = self._input.sample_shape
        return out.reshape(*out.shape[:2], *shape) if shape else out

    def _rows_with_holes(self, X) -> Any:
        check_is_fitted(self)
        rows = validate_rows(self, X, reset=False)
        if isinstance(rows, PairedRows):
            raise ValueError("Molecules have no missing values to fill in.")
        self._check_support(rows)
        return rows

    def _at_holes(
        self, rows: Any, seed: int, summary: Callable[..., Tensor], with_keys: bool = False
    ) -> NDArray[np.float64]:
        """A summary of the draws of each row at its holes, in the user's units.

        Parameters
        ----------
        rows : ndarray, sparse or DatasetRows of shape (n, p)
            Validated rows.
        seed : int
            Seed of the draws.
        summary : callable
            Maps outputs (k, m, o) and weights (k, m) of k draws of m rows, and the keys of the
            rows, to rows (..., m, p) in model units.
        with_keys : bool, default=False
            Whether the summary takes the keys.

        Returns
        -------
        ndarray of shape (..., n_holes)
            The holes row by row.
        """
        module, p = self.net_.module_, rows.shape[1]
        latent = copy.deepcopy(module.latent).double()
        k = min(max(_NUMBERS_OF_A_ROW // p, _FEWEST), _MOST) if latent.noise_dim else 1
        width = p if self._input.columns is None else max(p, module.likelihood.n_outputs)
        parts = []
        for part, batch in self._batches(rows, self._at_a_time(max(1, _NUMBERS // (k * width)))):
            missing = places_of_holes(rows, part)
            some = missing.any(axis=1)
            if not some.any():
                continue
            x = batch.x[torch.from_numpy(some).to(batch.x.device)]
            with torch.inference_mode():
                params = module.encode_in_double(x)
                keys = module.row_keys(x, seed)
                noise = normal_noise(keys, k, latent.noise_dim, torch.float64)
                features, log_ratio = latent.weighted(params, noise)
                outputs = module.decode(features.float())
                fit = module.log_prob(outputs.double(), x.double())
                weights = torch.softmax(fit + log_ratio, dim=0)
                extra = (keys,) if with_keys else ()
                found = summary(outputs, weights.to(outputs.dtype), *extra)
                found = module.likelihood.given_observed(found, x).cpu().numpy()
            flat = found.reshape(-1, p)
            values = self._input.units.invert(flat, np.float64).reshape(found.shape)
            parts.append(values[..., missing[some]])
        if not parts:
            return np.empty(0)
        values = np.concatenate(parts, axis=-1)
        self._finite(values.T, "the filling")
        return values
