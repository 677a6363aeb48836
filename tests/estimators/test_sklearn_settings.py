"""scikit-learn's checks on every value of every parameter that has a list of them.

`test_sklearn_contract.py` runs them on the defaults. The values here come from the declarations of
the parameters, so that a new one is checked without a line in this file. One parameter at a time
differs from its default.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator

from skccvae._sklearn import StrOptions
from skccvae.estimators import ESTIMATORS, BaseVAETransformer, MixedCurvatureVAETransformer
from skccvae.estimators._mixed_curvature import _UNIT
from skccvae.nn import LIKELIHOODS

pytestmark = pytest.mark.sklearn_contract

# At other widths the matrix products of some processors round a row differently, by its place in
# the batch. A check of scikit-learn compares float32 results to the last digit.
FAST = {"max_epochs": 1, "hidden_layer_sizes": (16,)}
# What a value needs beside it; at a high learning rate every check sees that training goes on.
WITH = {
    ("SphericalVAETransformer", "decoder_input"): {"posterior": "wrapped_normal"},
    **{(cls, "warm_start"): {"learning_rate": 0.03} for cls in ESTIMATORS},
}
# Checks that fail, and why they have to.
FAILS = {
    ("warm_start", True): dict.fromkeys(
        [
            "check_pipeline_consistency",
            "check_set_output_transform",
            "check_transformer_data_not_an_array",
            "check_transformer_general",
        ],
        "it fits one object twice and expects the result of one fit",
    ),
}
# Repeated rows change the order of the rows and the noise. They do not change the objective, so
# where there is no noise, as in the first step of an autoencoder, these checks pass.
MAY_FAIL = {f"check_sample_weight_equivalence_on_{kind}_data" for kind in ("dense", "sparse")}
FURTHER = [
    "check_get_feature_names_out_error",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
]


class _InUnitInterval:
    """Takes the rows of the checks to (-1, 1), those that are not negative to [0, 1).

    Entry by entry and without a fit, so that whatever a check expects of rows still holds.
    """

    def fit(self, X, y=None, sample_weight=None):
        return super().fit(_squashed(X), y, sample_weight)

    def partial_fit(self, X, y=None, sample_weight=None):
        return super().partial_fit(_squashed(X), y, sample_weight)

    def transform(self, X):
        return super().transform(_squashed(X))

    def score_samples(self, X, n_importance_samples=64):
        return super().score_samples(_squashed(X), n_importance_samples)

    def score(self, X, y=None, sample_weight=None):
        return super().score(_squashed(X), y, sample_weight)


class _RowsAsImages:
    """Reads the rows of the checks as images of one line, for networks that need images."""

    def _build_module(self, kind, n_features):
        self._input = replace(self._input, image_shape=(1, n_features))
        return super()._build_module(kind, n_features)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


def _squashed(X: Any) -> Any:
    """X / (1 + abs(X)), in the container of X; what is no table of numbers comes back as it is."""
    if sp.issparse(X):
        X = X.tocsr(copy=True)
        X.data = X.data / (1 + abs(X.data))
        return X
    if not hasattr(X, "iloc"):
        array = np.asarray(X)
        if array.dtype.kind == "O":
            try:
                array = array.astype(np.float64)
            except (TypeError, ValueError):
                return X
        if array.dtype.kind not in "fiu":
            return X
        X = array
    with np.errstate(invalid="ignore"):  # infinity becomes NaN, which is refused as well
        return X / (1 + abs(X))


def _variant(mixin: type, cls: type[BaseVAETransformer]) -> type[BaseVAETransformer]:
    """A class of this module, which pickle finds, with the mixin before an estimator."""
    name = f"{mixin.__name__}{cls.__name__}"
    return globals().setdefault(name, type(name, (mixin, cls), {"__module__": __name__}))


def _values(cls: type[BaseVAETransformer], name: str) -> list[Any]:
    """The values that a parameter may have by its declared range, the default left out."""
    default = getattr(cls(), name)
    values: list[Any] = []
    for allowed in cls._parameter_constraints[name]:
        if isinstance(allowed, StrOptions):
            values += sorted(allowed.options)
        elif isinstance(allowed, str) and allowed == "boolean":
            values += [False, True]
    if (cls, name) == (MixedCurvatureVAETransformer, "signature"):
        values += [f"{kind}2" for kind in _UNIT]  # a language of its own, of these letters
    return [value for value in values if value != default]


SETTINGS = [
    (cls.__name__, name, value)
    for cls in ESTIMATORS.values()
    for name in cls._parameter_constraints
    for value in _values(cls, name)
]
NUMERIC = [setting for setting in SETTINGS if setting[2] != "molecular_graph"]


def make(class_name: str, name: str, value: Any) -> BaseVAETransformer:
    """An estimator with one parameter set, and rows made suitable where that is needed."""
    cls = ESTIMATORS[class_name]
    kind = LIKELIHOODS.get(value) if name == "likelihood" else None
    if name == "binarize" or kind is not None and all(map(math.isfinite, kind.support)):
        cls = _variant(_InUnitInterval, cls)
    if value == "conv":
        cls = _variant(_RowsAsImages, cls)
    return cls(**{**FAST, **WITH.get((class_name, name), {}), name: value})


@pytest.mark.parametrize(("cls", "name", "value"), NUMERIC)
# Some checks transform frames after a fit on arrays, and the other way round, on purpose.
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names:UserWarning")
@pytest.mark.filterwarnings("ignore:likelihood='von_mises' reads radians:UserWarning")
def test_every_check(cls, name, value):
    estimator = make(cls, name, value)
    reasons = FAILS.get((name, value), {})
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(results) > 40
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    for check in FURTHER:
        try:
            getattr(estimator_checks, check)(cls, estimator)
        except estimator_checks.SkipTest:
            continue
        except Exception as error:
            failed[check] = error
    failed = {check: error for check, error in failed.items() if check not in MAY_FAIL}
    unexpected = {check: error for check, error in failed.items() if check not in reasons}
    assert not unexpected
    # A reason that excuses nothing has to go.
    assert set(reasons) == set(failed)


def test_reasons_belong_to_settings():
    assert set(FAILS) <= {(name, value) for _, name, value in SETTINGS}
    assert set(WITH) <= {(cls, name) for cls, name, _ in SETTINGS}


@pytest.mark.parametrize("cls", ESTIMATORS.values())
def test_what_does_not_read_tables_says_so(cls):
    images = cls(encoder="conv")
    assert not images.__sklearn_tags__().input_tags.two_d_array
    assert images.__sklearn_tags__().input_tags.three_d_array
    assert images.set_params(image_shape=(2, 2)).__sklearn_tags__().input_tags.two_d_array
    tags = cls(encoder="molecular_graph").__sklearn_tags__().input_tags
    assert tags.string
    assert tags.one_d_array
    numbers = (
        tags.two_d_array,
        tags.three_d_array,
        tags.sparse,
        tags.allow_nan,
        tags.positive_only,
    )
    assert not any(numbers)
    for estimator in (cls(encoder="conv"), cls(encoder="molecular_graph")):
        with pytest.warns(estimator_checks.SkipTestWarning, match="Can't test estimator"):
            results = check_estimator(estimator)
        assert len(results) < 10  # those that need no data
