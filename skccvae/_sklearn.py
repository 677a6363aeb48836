"""The private names of scikit-learn that this package uses, in one place.

scikit-learn validates the parameters of its own estimators with these classes. This package uses
them too, so that its error messages for bad parameters read like those of scikit-learn. The names
are private, so a new version may move them. In that case this is the only file to change.
"""

from __future__ import annotations

from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._array_api import _convert_to_numpy as convert_to_numpy
from sklearn.utils._array_api import _max_precision_float_dtype as max_precision_float_dtype
from sklearn.utils._array_api import device, get_namespace
from sklearn.utils._indexing import _get_column_indices as get_column_indices
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_params,
)
from sklearn.utils._set_output import _get_output_config as output_config
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = [
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "check_sample_weight",
    "convert_to_numpy",
    "device",
    "fit_context",
    "get_column_indices",
    "get_namespace",
    "max_precision_float_dtype",
    "output_config",
    "safe_indexing",
    "validate_params",
]
