"""What a user can import is documented, with an example that the doctests run."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import skccvae

MODULES = ["skccvae"] + [
    f"skccvae.{found.name}"
    for found in pkgutil.iter_modules(skccvae.__path__)
    if found.ispkg and found.name not in {"training", "estimators"}  # internal packages
]
PUBLIC = [
    pytest.param(getattr(module, name), id=f"{module.__name__}.{name}")
    for module in map(importlib.import_module, MODULES)
    for name in module.__all__
    if callable(getattr(module, name))
]


@pytest.mark.parametrize("module", MODULES)
def test_a_public_module_says_what_it_is_for(module: str) -> None:
    doc = importlib.import_module(module).__doc__
    assert doc is not None
    assert len(doc) > 20


@pytest.mark.parametrize("thing", PUBLIC)
def test_a_public_name_has_a_docstring_with_an_example(thing: object) -> None:
    doc = inspect.getdoc(thing) or ""
    assert doc, "no docstring"
    if not (inspect.isabstract(thing) or inspect.isclass(thing) and issubclass(thing, Warning)):
        assert ">>>" in doc, "no example"


@pytest.mark.parametrize("thing", [p for p in PUBLIC if inspect.isclass(p.values[0])])
def test_a_public_method_has_a_docstring(thing: type) -> None:
    bare = [
        name
        for name, member in inspect.getmembers(thing)
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, property))
        and (getattr(member, "__module__", None) or "skccvae").startswith("skccvae")
        and not inspect.getdoc(getattr(thing, name, member))
    ]
    assert bare == []
