"""The reference shows what this package defines, and not what its classes inherit from others."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
from members import defined_elsewhere

import skccvae

NAMES = [found.name for found in pkgutil.iter_modules(skccvae.__path__)]
MODULES = ["skccvae", *(f"skccvae.{name}" for name in NAMES)]
CLASSES = {
    member
    for module in map(importlib.import_module, MODULES)
    for member in (getattr(module, name) for name in getattr(module, "__all__", ()))
    if inspect.isclass(member)
}


def shown(cls: type) -> dict[str, object]:
    """Methods and properties on the page of a class: with a docstring, and not left out."""
    return {
        name: member
        for name, member in inspect.getmembers(cls)
        if not name.startswith("_")
        and (inspect.isroutine(member) or inspect.isdatadescriptor(member))
        and inspect.getdoc(member)
        and not defined_elsewhere(member)
    }


@pytest.mark.parametrize("cls", sorted(CLASSES, key=lambda cls: cls.__name__))
def test_no_member_has_a_docstring_in_the_words_of_another_package(cls: type) -> None:
    for name, member in shown(cls).items():
        doc = inspect.getdoc(member)
        foreign = [mark for mark in (".. version", ":ref:", ":term:", "Alias for") if mark in doc]
        assert not foreign, f"{name}: {foreign}"


def test_what_is_left_of_classes_that_inherit_much() -> None:
    from skccvae import DivergenceError, GaussianVAETransformer, LatentOutlierDetector
    from skccvae.manifolds import FactorSpec
    from skccvae.model_selection import PackedGridSearchCV

    assert set(shown(PackedGridSearchCV)) == {"fit"}
    assert set(shown(DivergenceError)) == set()
    assert set(shown(FactorSpec)) == {"sign"}
    assert {"fit", "fit_predict", "predict", "n_features_in_"} <= set(shown(LatentOutlierDetector))
    assert {"fit", "transform", "save"} <= set(shown(GaussianVAETransformer))
    assert not {"get_params", "set_fit_request"} & set(shown(GaussianVAETransformer))
