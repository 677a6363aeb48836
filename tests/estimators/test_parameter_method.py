"""`posterior` names a family as a parameter and gives distributions as a method."""

from __future__ import annotations

import copy
import inspect
import json
import pickle

import joblib
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils._param_validation import InvalidParameterError, StrOptions
from torch.distributions import Distribution

import skccvae
from skccvae import GaussianVAETransformer, HyperbolicVAETransformer, SphericalVAETransformer
from skccvae.distributions import PowerSpherical, VonMisesFisher
from skccvae.estimators._parameter_method import CallableName, ParameterMethod

FAST = {"max_epochs": 1, "hidden_layer_sizes": (8,), "random_state": 0}


def test_the_attribute_is_the_string_and_the_method(small):
    vae = SphericalVAETransformer(posterior="power_spherical", **FAST).fit(small)
    assert vae.posterior == "power_spherical"
    assert "power_spherical" == vae.posterior
    assert vae.posterior != "von_mises_fisher"
    assert hash(vae.posterior) == hash("power_spherical")
    assert {"power_spherical": 1}[vae.posterior] == 1
    assert repr(vae.posterior) == "'power_spherical'"
    assert f"{vae.posterior}" == "power_spherical"
    assert vae.posterior in StrOptions({"power_spherical"}).options
    assert json.dumps(vae.posterior) == '"power_spherical"'
    assert isinstance(vae.posterior(small), PowerSpherical)
    assert vae.posterior(small).batch_shape == (60,)


@pytest.mark.parametrize(
    ("vae", "name"),
    [
        (SphericalVAETransformer(**FAST), "von_mises_fisher"),
        (HyperbolicVAETransformer(**FAST), "wrapped_normal"),
    ],
)
def test_what_is_stored_is_the_object_that_was_passed(vae, name):
    assert type(vars(vae)["posterior"]) is str
    assert vae.get_params()["posterior"] == name
    assert type(vae.get_params()["posterior"]) is str
    passed = "".join(["power_", "spherical"])  # a string that is not interned
    assert SphericalVAETransformer(posterior=passed).get_params()["posterior"] is passed


def test_an_estimator_without_the_parameter_has_the_plain_method(small):
    vae = GaussianVAETransformer(**FAST).fit(small)
    assert inspect.ismethod(vae.posterior)
    assert isinstance(vae.posterior(small), Distribution)
    assert "posterior" not in vae.get_params()


def test_the_class_shows_the_function_with_its_documentation():
    for cls in (SphericalVAETransformer, GaussianVAETransformer):
        assert inspect.isfunction(cls.posterior)
        assert "Posterior q(z | x)" in inspect.getdoc(cls.posterior)
        assert list(inspect.signature(cls.posterior).parameters) == ["self", "X"]
    vae = SphericalVAETransformer()
    assert "Posterior q(z | x)" in inspect.getdoc(vae.posterior)
    assert list(inspect.signature(vae.posterior).parameters) == ["X"]


def test_clone_set_params_and_copies(small):
    vae = SphericalVAETransformer(**FAST).fit(small)
    twin = clone(vae)
    assert twin.get_params()["posterior"] == "von_mises_fisher"
    assert twin.set_params(posterior="power_spherical") is twin
    assert vae.posterior == "von_mises_fisher"
    assert isinstance(twin.fit(small).posterior(small), PowerSpherical)
    # Handing the attribute on hands on the name, not the other estimator.
    other = SphericalVAETransformer(posterior=twin.posterior, **FAST)
    assert type(vars(other)["posterior"]) is str
    assert clone(other).posterior == "power_spherical"
    assert repr(other).count("posterior='power_spherical'") == 1
    for duplicate in (copy.copy(twin), copy.deepcopy(twin), pickle.loads(pickle.dumps(twin))):
        assert duplicate.posterior == "power_spherical"
        assert duplicate.posterior.__wrapped__.__self__ is duplicate
        assert isinstance(duplicate.posterior(small), PowerSpherical)


def test_copies_of_the_attribute_are_plain_strings():
    name = SphericalVAETransformer().posterior
    assert type(name) is CallableName
    for duplicate in (copy.copy(name), copy.deepcopy(name), pickle.loads(pickle.dumps(name))):
        assert type(duplicate) is str
        assert duplicate == "von_mises_fisher"
    assert joblib.hash(SphericalVAETransformer()) == joblib.hash(SphericalVAETransformer())


def test_validation_names_the_families():
    for wrong in ("von_mises", 3, None):
        vae = SphericalVAETransformer(posterior=wrong, **FAST)
        assert vae.posterior is wrong or vae.posterior == wrong
        with pytest.raises(InvalidParameterError, match="'posterior' parameter .* must be a str"):
            vae.fit([[0.0], [1.0]])


def test_deleting_falls_back_to_the_method():
    vae = SphericalVAETransformer()
    del vae.posterior
    assert inspect.ismethod(vae.posterior)
    with pytest.raises(AttributeError, match="posterior"):
        del vae.posterior


def test_save_keeps_the_family(small, tmp_path):
    vae = SphericalVAETransformer(posterior="power_spherical", **FAST).fit(small)
    vae.save(tmp_path / "model.skccvae")
    back = skccvae.load(tmp_path / "model.skccvae")
    assert back.posterior == "power_spherical"
    assert isinstance(back.posterior(small), PowerSpherical)


def test_grid_search_over_the_family(small):
    pipeline = Pipeline([("vae", SphericalVAETransformer(**FAST))])
    grid = {"vae__posterior": ["von_mises_fisher", "power_spherical", "wrapped_normal"]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(small)
    assert list(search.cv_results_["param_vae__posterior"]) == grid["vae__posterior"]
    best = search.best_estimator_.named_steps["vae"]
    assert best.posterior == search.best_params_["vae__posterior"]
    assert isinstance(best.posterior(small), Distribution)


def test_the_descriptor_works_for_any_class():
    class Thing:
        def __init__(self, colour):
            self.colour = colour

        @ParameterMethod
        def colour(self, x):
            return self.colour.upper() + x

    assert Thing("red").colour("!") == "RED!"
    assert Thing(4).colour == 4
    assert issubclass(VonMisesFisher, Distribution)
