"""Scores of a fitted estimator in nats: likelihoods, and the ELBO with its parts."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skccvae._array_api import as_given
from skccvae.estimators._inference import NUMBERS_IN_MEMORY, InferenceMixin, rows_at_once
from skccvae.estimators._streams import over_parts, warn_if_shuffled
from skccvae.estimators._validation import validate_rows
from skccvae.estimators._weights import checked_weights
from skccvae.training import derive_seed, own_modes

# What the stream of random numbers is for.
_SCORE = 3
# Draws scored at once where rows are narrow.
_DRAWS_IN_MEMORY = 8192


class ScoringMixin(InferenceMixin):
    """`score_samples`, `score` and `evaluate`."""

    def score_samples(self, X, n_importance_samples: int = 64):
        """Importance-weighted bound on log p(x) of each row.

        Parameters
        ----------
        X : {array-like, sparse, Dataset, stream} of shape (n_samples, ...)
            Rows as in `fit`. A stream is read to its end.
        n_importance_samples : int, default=64
            Draws from the posterior for each row. With more draws the bound rises to log p(x).

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,), float64
            Bounds in nats. The value of a row does not depend on the rows beside it, and every call
            returns the same value. Networks run in float32; densities, residuals and sums are
            computed in float64.

        Raises
        ------
        ValueError
            If a row leaves the support of the likelihood, or its values are too large for float32.

        References
        ----------
        Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, eq. 8.
        """
        warn_if_shuffled(X)
        return as_given(self._evidence(X, n_importance_samples)[:, 2], X)

    def score(self, X, y=None, sample_weight=None):
        """Mean of `score_samples`. Higher is better.

        Parameters
        ----------
        X : {array-like, sparse, Dataset, stream} of shape (n_samples, ...)
            Rows as in `fit`. A stream is read to its end.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows: finite, not negative, and not all 0. Only their ratios matter.

        Returns
        -------
        score : float
            Mean over the rows in nats. It is a weighted mean if there are weights.
        """
        bounds = self._evidence(X, 64)[:, 2]
        if sample_weight is None:
            return float(bounds.mean())
        return float(np.average(bounds, weights=checked_weights(sample_weight, len(bounds))))

    def evaluate(self, X, n_importance_samples: int = 64) -> dict[str, float]:
        """ELBO and its parts, averaged over rows.

        Parameters
        ----------
        X : {array-like, sparse, Dataset, stream} of shape (n_samples, ...)
            Rows as in `fit`. A stream is read to its end. With ``binarize="dynamic"`` each pixel is
            drawn once.
        n_importance_samples : int, default=64
            Draws for each row.

        Returns
        -------
        dict
            ``elbo``, ``reconstruction``, ``kl`` and ``log_likelihood`` (the importance-weighted
            bound), in nats per row. ``elbo`` is ``reconstruction - kl``. A product space adds the
            KL of each factor, as ``kl_s0`` and so on.
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

    @own_modes()
    def _evidence(self, X, n_importance_samples: int) -> np.ndarray:
        check_is_fitted(self)
        if not isinstance(n_importance_samples, Integral) or n_importance_samples < 1:
            raise ValueError(
                "n_importance_samples must be an integer of at least 1; got "
                f"{n_importance_samples!r}."
            )
        chunk = rows_at_once(self._input.n_columns)
        found = over_parts(self, X, chunk, lambda X: self._evidence_of(X, n_importance_samples))
        return self._finite(found, "the likelihood")

    def _evidence_of(self, X, n_importance_samples: int) -> np.ndarray:
        """Evidence of the rows, which may not be finite."""
        X = validate_rows(self, X, reset=False)
        self._check_support(X)
        module = self.net_.module_
        seed = derive_seed(self._entropy, _SCORE)
        n_factors = len(module.latent.factor_names)
        out = np.empty((X.shape[0], 3 + n_factors), dtype=np.float64)
        width = X.shape[1] if self._input.columns is None else module.likelihood.n_outputs
        draws = min(_DRAWS_IN_MEMORY, 2 * NUMBERS_IN_MEMORY // width)
        chunk = self._at_a_time(max(1, draws // n_importance_samples))
        at_once = max(1, draws // chunk)
        dynamic = self._structure["binarize"] == "dynamic"
        for rows, batch in self._batches(X, chunk):
            x = module.draw_pixels(batch.x, seed) if dynamic else batch.x
            evidence = module.evidence(
                x, n_importance_samples, seed, extra=batch.extra, draws_at_once=at_once
            )
            columns = [*evidence[:3], *evidence.factor_kl]
            out[rows] = torch.stack(columns, dim=1).cpu().numpy()
        return out
