"""Values of parameters and attributes as JSON and tensors, and back.

JSON holds numbers, text, None and lists as they are. The rest are objects: ``{"tensor": name}``,
``{"text": [...], "dtype": ...}``, ``{"fields": {...}}`` for a dataclass of the package, and
``{"trusted": path}`` for one of the user's classes or functions.
"""

from __future__ import annotations

import math
import reprlib
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from skccvae.nn import LIKELIHOODS

# Parameters and attributes are nested less deeply than this.
_DEEPEST = 8


def import_path(thing: Any) -> str | None:
    """Path from which a class or function can be imported, or None."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}.{name}" if found is thing else None


def trusted_paths(trusted: Any) -> dict[str, Any]:
    """Trusted classes and functions by import path; TypeError for anything else."""
    things = trusted if isinstance(trusted, Collection) and not isinstance(trusted, str) else ()
    paths = {import_path(thing): thing for thing in things}
    if None in paths or (trusted is not None and things is not trusted):
        raise TypeError(
            "trusted must be a tuple of classes and functions that can be imported, such as "
            f"(MyLikelihood,); got {trusted!r}."
        )
    return {str(path): thing for path, thing in paths.items()}


@cache
def type_hints(kind: Any) -> dict[str, Any]:
    """The type hints of a class, cached because reading them takes longer than most values."""
    return get_type_hints(kind)


def _record(hint: Any) -> Any:
    """The dataclass that a type hint, or one of its alternatives, names."""
    return next((kind for kind in (hint, *get_args(hint)) if is_dataclass(kind)), None)


def pack(value: Any, hint: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Turn a value into JSON.

    Parameters
    ----------
    value : object
        Numbers, text, arrays, sequences of those, a dict from text to text, a dataclass of those
        that ``hint`` names, or a class or function that can be imported.
    hint : type
        The type that the estimator declares for it.
    name : str
        Name for error messages and tensors.
    tensors : dict
        Arrays of numbers go here, under names that begin with ``name``.

    Raises
    ------
    TypeError
        If the value is of another kind.
    """
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, np.random.RandomState):
        return None  # the seed drawn from it is an attribute
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [pack(item, None, f"{name}/{i}", tensors) for i, item in enumerate(value)]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
        native = np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
        tensors[name] = torch.from_numpy(native)
        return {"tensor": name}
    if isinstance(value, np.ndarray):
        items = value.tolist()
        if value.ndim == 1 and all(isinstance(item, str) for item in items):
            dtype = "object" if value.dtype.kind == "O" else "str"
            return {"text": items, "dtype": dtype}
    elif type(value) is _record(hint):
        kind: Any = type(value)
        hints = type_hints(kind)
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
        return {"fields": {n: pack(v, hints[n], f"{name}/{n}", tensors) for n, v in parts.items()}}
    elif any(value is kind for kind in LIKELIHOODS.values()):
        return value.name
    elif import_path(value) is not None:
        return {"trusted": import_path(value)}
    elif isinstance(value, dict) and _is_plain(value):
        return {"mapping": dict(value)}
    raise TypeError(
        f"save cannot store {name}={value!r} without pickle. Use pickle or joblib for this "
        "estimator. What can be saved are numbers, text and arrays of them, dicts of text, and "
        "classes and functions that can be imported."
    )


class Unpacker:
    """Inverse of `pack`, except that lists become tuples.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        The tensors of the file.
    trusted : mapping of str to object
        Classes and functions by import path. Nothing else that a file names is used.

    Attributes
    ----------
    used : set of str
        Names of the tensors that were asked for.
    """

    def __init__(self, tensors: Mapping[str, Tensor], trusted: Mapping[str, Any]) -> None:
        self.tensors = tensors
        self.trusted = trusted
        self.used: set[str] = set()

    def class_of(self, path: Any) -> Any:
        """The trusted object at a path; ValueError if there is none."""
        if not isinstance(path, str):
            raise ValueError(f"it names {reprlib.repr(path)} in place of a class.")
        if path not in self.trusted:
            last = path.rpartition(".")[2]
            raise ValueError(
                f"it names {path!r}, which is not in `trusted`. If you trust that code, import it "
                f"and pass it: skccvae.load(path, trusted=({last},))."
            )
        return self.trusted[path]

    def unpack(self, saved: Any, hint: Any, name: str) -> Any:
        """The value that `pack` turned into ``saved``.

        Parameters
        ----------
        saved : object
            Parsed JSON.
        hint : type
            The type that the class declares for the value. It names the dataclass.
        name : str
            As for `pack`.

        Raises
        ------
        ValueError
            If `pack` cannot have returned ``saved``.
        """
        if name.count("/") > _DEEPEST:
            raise ValueError(f"{name} is nested too deeply.")
        if isinstance(saved, int) and abs(saved) >= 2**63:
            raise ValueError(f"{name} is too large for an integer of 64 bits.")
        if saved is None or isinstance(saved, bool | int | float | str):
            return saved
        if isinstance(saved, list):
            return tuple(self.unpack(v, None, f"{name}/{i}") for i, v in enumerate(saved))
        record = _record(hint)
        match saved:
            case {"tensor": tensor, **rest} if not rest and tensor == name in self.tensors:
                self.used.add(name)
                return self.tensors[name].clone().numpy()
            case {"text": list(items), "dtype": "str" | "object" as dtype, **rest} if not rest:
                if all(isinstance(item, str) for item in items):
                    return np.array(items, dtype=object if dtype == "object" else np.str_)
            case {"trusted": path, **rest} if not rest:
                return self.class_of(path)
            case {"mapping": dict(items), **rest} if not rest and _is_plain(items):
                return dict(items)
            case {"fields": dict(parts), **rest} if not rest and record is not None:
                return self.record(parts, record, name)
        raise ValueError(f"{name} cannot be read from {reprlib.repr(saved)}.")

    def record(self, saved: dict[str, Any], kind: Any, name: str) -> Any:
        """A dataclass of the package from the values of its fields, each of the declared type."""
        hints = type_hints(kind)
        if set(saved) != {f.name for f in fields(kind)}:
            raise ValueError(f"{name} has the fields {reprlib.repr(sorted(saved))}.")
        return kind(**{n: self.typed(v, hints[n], f"{name}/{n}") for n, v in saved.items()})

    def typed(self, saved: Any, hint: Any, name: str) -> Any:
        """The value as `unpack` returns it, checked to have exactly the declared type."""
        value = self.unpack(saved, hint, name)
        if not _is_a(value, hint):
            kind = getattr(hint, "__name__", hint)
            raise ValueError(f"{name} must be {kind}; got {reprlib.repr(value)}.")
        return value


def _is_plain(items: dict[Any, Any]) -> bool:
    """Whether a dict maps only text to text."""
    return all(isinstance(text, str) for item in items.items() for text in item)


def _is_a(value: Any, hint: Any) -> bool:
    """Whether a value agrees with a type hint. A float must be finite."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if hint is None or hint is NoneType:
        return value is None
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    if isinstance(hint, type) and origin is None:
        return type(value) is hint
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return isinstance(value, tuple) and all(_is_a(item, args[0]) for item in value)
    return any(_is_a(value, choice) for choice in args)
