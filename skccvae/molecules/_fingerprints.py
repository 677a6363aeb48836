"""Sparse fingerprints of molecules, as a scikit-learn transformer."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin

from skccvae._sklearn import HasMethods, Interval, StrOptions, fit_context, output_config
from skccvae.molecules._chunks import featurise
from skccvae.molecules._optional import require
from skccvae.molecules._smiles import molecule_column, report


class FingerprintTransformer(TransformerMixin, BaseEstimator):
    """Molecular fingerprints as a sparse matrix.

    scikit-mol's fingerprint transformers return dense arrays: 2 GB for a million molecules and 2048
    bits, of which only a few dozen are set. This transformer wraps any of them, works through the
    molecules chunk by chunk and keeps only nonzero entries. It does not need to be fitted.

    Parameters
    ----------
    fingerprint : scikit-mol fingerprint transformer, default=None
        Turns a list of RDKit molecules into an array with one row for each. None stands for
        ``scikit_mol.fingerprints.MorganFingerprintTransformer()``, 2048 bits of radius 2. With
        ``useCounts=True`` the entries are counts.
    on_invalid : {"raise", "skip"}, default="raise"
        What to do with rows that are not molecules. ``"skip"`` leaves them out with a warning, so
        that the result has fewer rows than X; a data frame keeps the index of the other rows. If
        there are targets too, use `read_smiles` first, which drops the rows from both.
    sparse_output : {"csr_array", "csr_matrix"} or bool, default="csr_array"
        Container of the result. False gives a dense array, which ``set_output`` needs for data
        frames.
    chunk_size : int, default=1024
        Number of molecules at a time.
    n_jobs : int, default=None
        Number of processes, as joblib counts them. None means 1 unless a ``joblib.parallel_config``
        says otherwise, and -1 means all cores.

    Attributes
    ----------
    n_features_in_ : int
        1, the column of molecules.

    See Also
    --------
    read_smiles : SMILES to molecules, without the rows that are not molecules.

    Examples
    --------
    >>> from skccvae.molecules import FingerprintTransformer
    >>> X = FingerprintTransformer().fit_transform(["CCO", "c1ccccc1", "CC(=O)O"])
    >>> X.shape, X.format, X.nnz
    ((3, 2048), 'csr', 16)
    """

    _doc_link_module = "skccvae"  # as for the estimators: no link until there is an address
    _doc_link_template = ""
    _parameter_constraints: dict[str, list] = {
        "fingerprint": [HasMethods("transform"), None],
        "on_invalid": [StrOptions({"raise", "skip"})],
        "sparse_output": [StrOptions({"csr_array", "csr_matrix"}), "boolean"],
        "chunk_size": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        fingerprint: Any = None,
        *,
        on_invalid: str = "raise",
        sparse_output: str | bool = "csr_array",
        chunk_size: int = 1024,
        n_jobs: int | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self.on_invalid = on_invalid
        self.sparse_output = sparse_output
        self.chunk_size = chunk_size
        self.n_jobs = n_jobs

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> FingerprintTransformer:
        """Check the parameters. Nothing is learned.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, 1)
            SMILES strings or RDKit molecules.
        y : None
            Ignored.

        Returns
        -------
        self : object
            This transformer.
        """
        self.n_features_in_ = 1
        return self

    def transform(self, X: Any) -> Any:
        """Compute the fingerprints of molecules.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, 1)
            SMILES strings or RDKit molecules: a list, an array, a Series or a one-column
            DataFrame.

        Returns
        -------
        fingerprints : csr_array of shape (n_samples, n_bits), float32
            Bits or counts, one row per molecule.

        Raises
        ------
        ValueError
            If a row is not a molecule and ``on_invalid="raise"``, if there is no molecule at all,
            or if the fingerprint of a molecule is masked or not finite.
        ImportError
            If RDKit or scikit-mol is not installed.
        """
        self._validate_params()
        values = molecule_column(X)
        work = _Rows(self._fingerprint())
        parts, invalid = featurise(values, work, self.chunk_size, self.n_jobs)
        report(invalid, len(values), self.on_invalid)
        if not parts:
            raise ValueError(
                f"Found 0 sample(s) among {len(values)} rows of X while a minimum of 1 is required "
                f"by {type(self).__name__}."
            )
        (rows,) = parts
        if self.sparse_output is False:
            dense = rows.toarray()
            if (
                invalid
                and hasattr(X, "iloc")
                and output_config("transform", self)["dense"] == "pandas"
            ):
                # scikit-learn would give the frame the whole index of X.
                import pandas as pd

                return pd.DataFrame(dense, index=X.index.delete([bad.row for bad in invalid]))
            return dense
        return sp.csr_matrix(rows) if self.sparse_output == "csr_matrix" else rows

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns, as the fingerprint gives them.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Ignored.

        Returns
        -------
        names : ndarray of str, object
            For Morgan fingerprints ``"fp_morgan_1"`` and so on.
        """
        return np.asarray(self._fingerprint().get_feature_names_out(), dtype=object)

    def _fingerprint(self) -> Any:
        if self.fingerprint is not None:
            return self.fingerprint
        fingerprints = require("scikit_mol.fingerprints", type(self).__name__)
        return fingerprints.MorganFingerprintTransformer()

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags


class _Rows:
    """A fingerprint transformer as a featuriser that refuses molecules without a fingerprint."""

    def __init__(self, fingerprint: Any) -> None:
        self.fingerprint = fingerprint

    def __call__(self, molecules: list[Any]) -> tuple[Any]:
        rows = self.fingerprint.transform(molecules)
        if sp.issparse(rows):
            rows = rows.tocsr()
            numbers = rows.data
        else:
            rows = rows if isinstance(rows, np.ma.MaskedArray) else np.asarray(rows)
            numbers = rows
        # scikit-mol's safe inference mode masks rows that failed: zeros would hide them.
        if np.ma.is_masked(rows) or not np.isfinite(numbers).all():
            raise ValueError(
                f"{type(self.fingerprint).__name__} found no fingerprint for one of "
                f"{len(molecules)} molecules: it is masked, NaN or infinite. Leave that molecule "
                "out; safe_inference_mode=False makes the fingerprint say what is wrong with it."
            )
        return (rows,)
