"""How an estimator declares each parameter once: its default, range and meaning together.

An estimator is a dataclass whose fields are its constructor parameters. Python's dataclasses write
``__init__`` with the parameters of the base class and those of the subclass, so that scikit-learn,
``help`` and type checkers all see one explicit signature.
"""

from __future__ import annotations

import inspect
from dataclasses import Field, dataclass, field, fields
from numbers import Integral, Real
from typing import Any, TypeVar, dataclass_transform

import numpy as np

from skccvae._sklearn import Interval, StrOptions
from skccvae.estimators._attributes import FittedAttributes
from skccvae.manifolds import CHARTS

T = TypeVar("T")

# Ranges that several parameters have.
COUNT = Interval(Integral, 1, None, closed="left")
NON_NEGATIVE = Interval(Real, 0, np.inf, closed="left")
POSITIVE = Interval(Real, 0, np.inf, closed="neither")
AUTO = StrOptions({"auto"})
COORDINATES = StrOptions(set(CHARTS))
DECODER_INPUTS = StrOptions({"auto", "coordinates", "tangent", "gyroplane"})
# What `n_components` is, said after scikit-learn's message about a wrong value.
INTRINSIC = "It is the intrinsic dimension of the latent space."


def parameter(
    *,
    default: T,
    allowed: list[Any],
    kind: str = "",
    doc: str = "",
    hint: str = "",
    shapes_model: bool = False,
    net: str = "",
    kw_only: bool = True,
) -> T:
    """Declare a constructor parameter, as the value of a field of an estimator.

    Parameters
    ----------
    default : object
        Its default.
    allowed : list
        Its range, in scikit-learn's constraints.
    kind, doc : str
        Type and description, if all estimators document the parameter in the same words. A subclass
        documents its own parameters in its docstring.
    hint : str
        What to do about a wrong value, added after scikit-learn's message.
    shapes_model : bool
        Whether the model is built from it, so that a fitted model cannot change it.
    net : str
        The setting of the net that takes its value in each call of `fit` or `partial_fit`.
    kw_only : bool
        Whether it is passed only by keyword.
    """
    facts = {
        "allowed": allowed,
        "kind": kind,
        "doc": inspect.cleandoc(doc),
        "hint": hint,
        "shapes_model": shapes_model,
        "net": net,
    }
    return field(default=default, metadata=facts, kw_only=kw_only)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(parameter,))
def with_parameters(cls: type[T]) -> type[T]:
    """Give a class ``__init__``, scikit-learn's constraints and the shared documentation.

    In the docstring, ``{shared_parameters}`` and ``{shared_attributes}`` mark where the
    documentation of the shared parameters and of the fitted attributes goes.
    """
    dataclass(cls, kw_only=True, repr=False, eq=False, match_args=False)
    declared = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    cls._parameter_constraints = {  # type: ignore[attr-defined]
        name: f.metadata["allowed"] for name, f in declared.items()
    }
    # A leaf's own parameters come first, as in its documentation, which also holds the types.
    first = ["self", *inspect.get_annotations(cls)]
    signature = inspect.signature(cls.__init__)
    order = sorted(
        (p.replace(annotation=p.empty) for p in signature.parameters.values()),
        key=lambda p: first.index(p.name) if p.name in first else len(first),
    )
    cls.__init__.__signature__ = inspect.Signature(order)  # type: ignore[attr-defined]
    parameters = [_entry(f) for f in declared.values() if f.metadata["doc"]]
    attributes = inspect.cleandoc(FittedAttributes.__doc__ or "").partition("----------\n")[2]
    doc = inspect.cleandoc(cls.__doc__ or "")
    doc = doc.replace("{shared_parameters}", "\n".join(parameters))
    cls.__doc__ = doc.replace("{shared_attributes}", attributes)
    return cls


def _entry(f: Field) -> str:
    """The numpydoc entry of a shared parameter."""
    default = f'"{f.default}"' if isinstance(f.default, str) else repr(f.default)
    lines = f.metadata["doc"].splitlines()
    return "\n    ".join([f"{f.name} : {f.metadata['kind']}, default={default}", *lines])
