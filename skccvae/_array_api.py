"""Arrays of other libraries: convert tensors and GPU arrays to NumPy, and convert results back.

The estimators work on NumPy arrays, whatever X is. With scikit-learn's ``array_api_dispatch``,
results have the type of X, as those of scikit-learn's own transformers do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn import get_config

from skccvae._sklearn import convert_to_numpy, device, get_namespace, max_precision_float_dtype

_NUMPY_FLOATS = (torch.float16, torch.float32, torch.float64)


def as_numpy(X: Any) -> Any:
    """Convert a torch tensor, or an array that scikit-learn dispatches on, to a NumPy array.

    Parameters
    ----------
    X : object
        A torch tensor may be on any device and may require a gradient. If it has a floating-point
        dtype that NumPy lacks, such as bfloat16, it becomes float32, which represents the same
        numbers exactly.

    Returns
    -------
    object
        An ndarray, or X itself if it is anything else.
    """
    if isinstance(X, torch.Tensor):
        if X.is_floating_point() and X.dtype not in _NUMPY_FLOATS:
            X = X.float()
        return X.numpy(force=True)
    xp = _dispatched(X)
    return X if xp is None else convert_to_numpy(X, xp)


def as_given(values: np.ndarray, X: Any) -> Any:
    """Convert results to the array library and device of X, if scikit-learn dispatches on X.

    Parameters
    ----------
    values : ndarray
        The results.
    X : object
        The array that the caller passed.

    Returns
    -------
    array
        Its dtype is that of ``values``, or float32 on a device without float64.
    """
    xp = _dispatched(X)
    if xp is None:
        return values
    if values.dtype == np.float64 and max_precision_float_dtype(xp, device(X)) == xp.float32:
        values = values.astype(np.float32)
    return xp.asarray(values, device=device(X))


def _dispatched(X: Any) -> Any:
    """The array API namespace of X, or None if results should be NumPy arrays."""
    if not get_config()["array_api_dispatch"] or isinstance(X, np.ndarray | np.generic):
        return None
    if not (isinstance(X, torch.Tensor) or hasattr(X, "__array_namespace__")):
        return None
    return get_namespace(X)[0]
