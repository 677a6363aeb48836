"""What scikit-learn asks an estimator about itself: its parameters, and the data it accepts."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from sklearn.base import BaseEstimator

from skccvae._sklearn import InvalidParameterError
from skccvae.estimators._distances import FEWEST_ROWS
from skccvae.estimators._model import ModelMixin
from skccvae.estimators._molecules import describe_molecules, molecular_graph, same_setting
from skccvae.estimators._validation import check_objective


class ContractMixin(ModelMixin, BaseEstimator):
    """Checks of parameters, and scikit-learn's tags, which follow the parameters."""

    def _validate_params(self):
        if isinstance(self.binarize, bool | np.bool_):
            # A bool is a number to Python; False would silently be the threshold 0.
            raise InvalidParameterError(
                f"The 'binarize' parameter of {type(self).__name__} must be None, 'dynamic' or a "
                f"float in the range [0.0, 1.0). Got {self.binarize!r} instead. Use None for no "
                "binarisation."
            )
        try:
            super()._validate_params()
        except InvalidParameterError as error:
            name = str(error).partition("The '")[2].partition("'")[0]
            hint = next((f.metadata["hint"] for f in fields(self) if f.name == name), "")
            if not hint:
                raise
            raise InvalidParameterError(f"{error} {hint}") from None
        check_objective(self.objective, self.free_bits)
        few = not isinstance(self.batch_size, str) and self.batch_size < FEWEST_ROWS
        if self.distance_weight > 0 and few:
            raise ValueError(
                "distance_weight compares the distances of the rows of a batch, and needs at least "
                f"three rows; batch_size={self.batch_size} leaves none to compare. Use "
                "larger batches."
            )

    def _check_structure(self) -> None:
        """Refuse parameters that differ from those that the model was built with."""
        self._validate_params()  # scikit-learn skips this where there is a fitted model
        for name, value in self._structure.items():
            current = getattr(self, name)
            if not same_setting(current, value):
                raise ValueError(
                    f"{name} was {value!r} when the model was built and is {current!r} now. "
                    "Further training cannot change it. Set it back, or fit a new estimator "
                    "(sklearn.base.clone)."
                )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        try:
            kind = self._likelihood_class(reset=True)
        except (TypeError, ValueError):  # `fit` says what is wrong with it
            return tags
        tags.input_tags.sparse = kind.accept_sparse
        tags.input_tags.allow_nan = kind.allow_nan or self.missing == "mask"
        # "auto" accepts negative numbers, unless X is binarised and so needs its first choice.
        first_choice = self.likelihood == "auto" and self.binarize is None
        tags.input_tags.positive_only = kind.support[0] >= 0 and not first_choice
        if isinstance(self.likelihood, list | tuple):
            tags.input_tags.three_d_array = False
            tags.input_tags.categorical = any(
                isinstance(entry, list | tuple) and entry and entry[0] == "categorical"
                for entry in self.likelihood
            )
        if molecular_graph(self.encoder) is not None:
            describe_molecules(tags.input_tags)
        names = [n for n in (self.encoder, self.decoder) if isinstance(n, str)]
        if "conv" in names and self.image_shape is None:
            tags.input_tags.two_d_array = False  # images only
        return tags
