"""scikit-learn's own checks: all that `check_estimator` runs, and those that it does not yield."""

from __future__ import annotations

import warnings

import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from skccvae.estimators import ESTIMATORS, HyperbolicVAETransformer, SphericalVAETransformer

pytestmark = pytest.mark.sklearn_contract

FAST = {"max_epochs": 2, "hidden_layer_sizes": (8,)}
INSTANCES = [
    *(cls(**FAST) for cls in ESTIMATORS.values()),
    *(
        SphericalVAETransformer(posterior=name, **FAST)
        for name in ("power_spherical", "wrapped_normal", "riemannian_normal")
    ),
    HyperbolicVAETransformer(posterior="riemannian_normal", **FAST),
]
# The weights of these checks are equivalent to repeated rows in the objective that is minimised, as
# `test_sample_weight.py` shows. The checks compare codes to the last digits.
WEIGHTS_ARE_REPEATED_ROWS = dict.fromkeys(
    [
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    ],
    "repeated rows change the order of the rows and the noise of a stochastic fit",
)
# Called by scikit-learn's tests on each of its estimators, beside `check_estimator`.
FURTHER = [
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_get_feature_names_out_error",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_n_features_in_after_fitting",
    "check_param_validation",
    "check_estimators_partial_fit_n_features",
    "check_readonly_memmap_input",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
]


@parametrize_with_checks(
    INSTANCES, expected_failed_checks=lambda estimator: WEIGHTS_ARE_REPEATED_ROWS
)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", INSTANCES, ids=repr)
@pytest.mark.parametrize("check", FURTHER)
# Some checks transform frames after a fit on arrays, and the other way round, on purpose.
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names:UserWarning")
def test_further_check(check, estimator):
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("estimator", INSTANCES, ids=repr)
def test_data_frames_are_followed_without_a_warning(estimator, early_stopping):
    estimator = clone(estimator).set_params(early_stopping=early_stopping)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*feature names.*")
        estimator_checks.check_dataframe_column_names_consistency(
            type(estimator).__name__, estimator
        )


def test_every_estimator_is_checked():
    assert {type(estimator) for estimator in INSTANCES} == set(ESTIMATORS.values())
