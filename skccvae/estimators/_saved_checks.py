"""Whether the description of a model in a file is consistent, before the model is built from it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from skccvae.estimators._columns import MOST_LEVELS, MixedColumns
from skccvae.estimators._input_spec import InputSpec
from skccvae.estimators._supervision import TargetEncoder
from skccvae.nn import Likelihood, MixedLikelihood
from skccvae.training import RowScaling

# Numbers that training records in each epoch. Callbacks may record text as well.
_NUMBERS = """
epoch train_loss elbo reconstruction kl beta dur
valid_loss valid_elbo valid_reconstruction valid_kl
""".split()


def _require(condition: Any, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


def check_counts(estimator: Any) -> None:
    """Check the seed of `fit` and the number of its calls."""
    _require(0 <= estimator._entropy < 2**32, "the seed must be an integer of 32 bits.")
    _require(estimator._n_fits >= 0, "the number of fits must not be negative.")


def check_input(spec: InputSpec, n_observed: int, kind: type[Likelihood]) -> None:
    """Check the specification of X against the likelihood of its ``n_observed`` columns."""
    _require(spec.n_columns >= 1, f"X must have a column; got {spec.n_columns}.")
    names = spec.column_names
    _require(
        names is None or len(names) == spec.n_columns,
        f"there must be {spec.n_columns} column names; got {len(names or ())}.",
    )
    for shape in (spec.sample_shape, spec.image_shape):
        _require(
            shape is None or (min(shape, default=0) > 0 and math.prod(shape) == spec.n_columns),
            f"a sample of {spec.n_columns} numbers cannot have the shape {shape}.",
        )
    _require(
        (spec.columns is not None) == (kind is MixedLikelihood),
        f"likelihood {kind.name!r} and the description of the columns contradict each other.",
    )
    if spec.columns is not None:
        _check_columns(spec.columns, spec.n_columns)
    _check_units(spec.units, n_observed, kind)


def _check_columns(columns: MixedColumns, p: int) -> None:
    """Check the levels of columns and the likelihoods that describe them."""
    block, levels = columns.block, columns.levels
    _require(
        block.shape == (p,)
        and block.dtype == np.int64
        and 0 <= block.min()
        and block.max() < len(columns.names),
        f"each of {p} columns must belong to one of {len(columns.names)} likelihoods.",
    )
    _require(
        len(levels) == p
        and all(
            bool(known) == (columns.names[number] == "categorical")
            and len(set(known)) == len(known) <= MOST_LEVELS
            and all(isinstance(level, bool | int | float | str) for level in known)
            for known, number in zip(levels, block.tolist(), strict=True)
        ),
        "categorical columns, and only those, must have levels, each of them once.",
    )
    _require(
        len(columns.dtypes) in (0, p),
        f"there must be {p} column dtypes; got {len(columns.dtypes)}.",
    )
    shares, ends = columns.shares, np.cumsum([0, *map(len, levels)])
    _require(
        shares.dtype == np.float64
        and shares.shape == (ends[-1],)
        and all(
            abs(shares[first:last].sum() - 1) < 1e-6 and shares[first:last].min() >= 0
            for first, last in itertools.pairwise(ends)
            if last > first
        ),
        "shares of the levels of a column must not be negative, and must sum to 1.",
    )
    scale = columns.scale
    _require(
        scale.dtype == np.float64 and scale.shape == (p,) and (scale > 0).all(),
        "scales of columns must be positive.",
    )


def _check_units(units: RowScaling, n_observed: int, kind: type[Likelihood]) -> None:
    centred = kind.scaling in ("columns", "shared")
    for name, array, wanted, dtype in (
        ("center", units.center, centred, np.float64),
        # counts have a unit only where a column of them is large
        ("scale", units.scale, None if kind.scaling == "rates" else centred, np.float64),
        ("constant", units.constant, None if centred else False, np.bool_),
    ):
        _require(
            wanted is None or (array is not None) == wanted,
            f"likelihood {kind.name!r} and the {name} of the columns contradict each other.",
        )
        _require(
            array is None or (array.shape == (n_observed,) and array.dtype == dtype),
            f"the {name} of the columns must hold {n_observed} entries of {np.dtype(dtype)}.",
        )
    _require(
        units.support in (None, kind.support),
        f"the support must be {kind.support}; got {units.support!r}.",
    )
    _require(units.scale is None or (units.scale > 0).all(), "scales of columns must be positive.")
    _require(
        units.divisor == 1 or (kind.reads_bytes and units.divisor == 255),
        f"rows for likelihood {kind.name!r} cannot be divided by {units.divisor!r}.",
    )
    _require(
        units.threshold is None or (kind.binarizable and 0 <= units.threshold < 1),
        f"rows for likelihood {kind.name!r} cannot have the threshold {units.threshold!r}.",
    )
    _require(units.period == kind.period, f"the period must be {kind.period}; got {units.period}.")


def check_targets(targets: TargetEncoder | None) -> None:
    """Check classes, centres and scales of the targets."""
    if targets is None:
        return
    shape = (len(targets.classes),)
    _require(
        len(targets.classes) >= 1
        and all(a.shape == shape and a.dtype == np.float64 for a in (targets.center, targets.scale))
        and (targets.scale > 0).all(),
        "targets must have a centre and a positive scale each, in float64.",
    )
    for classes in targets.classes:
        _require(
            classes is None
            or (classes.ndim == 1 and classes.size and (classes[1:] > classes[:-1]).all()),
            "the classes of a target must be different and in order.",
        )


def check_history(history: Any, n_iter: int) -> None:
    """Check a list of epochs with named numbers and text. The last ``n_iter`` are the last call."""
    _require(isinstance(history, list), "its history is not a list of epochs.")
    for number, row in enumerate(history, 1):
        _require(
            isinstance(row, dict)
            and "batches" not in row
            and all(isinstance(value, bool | int | float | str) for value in row.values())
            and all(_is_number(row[name]) for name in _NUMBERS if name in row)
            # A schedule of the learning rate repeats this many steps when training continues.
            and type(row.get("train_batch_count", 0)) is int
            and 0 <= row.get("train_batch_count", 0) < 2**31,
            f"epoch {number} of its history does not hold named numbers and text.",
        )
    _require(
        1 <= n_iter <= max(len(history), 1),
        f"n_iter_={n_iter} cannot be the last epochs of a history of {len(history)}.",
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def check_state(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Check names, shapes and dtypes of a module's tensors against those in a file.

    Parameters
    ----------
    module : torch.nn.Module
        A module that the file's parameters describe. On the meta device it takes no memory.
    tensors : mapping of str to Tensor
        All tensors of the file that belong to the module.
    prefix : str
        The prefix of their names in the file.
    """
    state = {f"{prefix}{name}": value for name, value in module.state_dict().items()}
    missing, extra = sorted(state.keys() - tensors), sorted(tensors.keys() - state)
    _require(not missing, f"its parameters describe a model with the tensor {missing[:1]}.")
    _require(not extra, f"its parameters describe a model without the tensor {extra[:1]}.")
    for name, tensor in tensors.items():
        wanted = state[name]
        _require(
            (tensor.shape, tensor.dtype) == (wanted.shape, wanted.dtype),
            f"{name} has shape {tuple(tensor.shape)} and dtype {tensor.dtype}; its parameters "
            f"describe a model with {tuple(wanted.shape)} and {wanted.dtype}.",
        )
