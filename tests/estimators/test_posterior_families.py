"""`posterior` names a family of distributions; `posterior_distribution` gives one of them."""

from __future__ import annotations

import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from torch.distributions import Distribution

import skccvae
from skccvae import GaussianVAETransformer, SphericalVAETransformer
from skccvae._sklearn import InvalidParameterError
from skccvae.distributions import PowerSpherical, VonMisesFisher

FAST = {"max_epochs": 1, "hidden_layer_sizes": (8,), "random_state": 0}


@pytest.mark.parametrize(
    ("family", "law"), [("von_mises_fisher", VonMisesFisher), ("power_spherical", PowerSpherical)]
)
def test_the_parameter_is_a_plain_string_and_the_method_gives_its_law(small, family, law):
    vae = SphericalVAETransformer(posterior=family, **FAST).fit(small)
    assert type(vae.posterior) is str
    assert vae.posterior == family
    assert isinstance(vae.posterior_distribution(small), law)
    assert vae.posterior_distribution(small).batch_shape == (60,)


def test_an_estimator_without_the_parameter_has_the_method(small):
    vae = GaussianVAETransformer(**FAST).fit(small)
    assert isinstance(vae.posterior_distribution(small), Distribution)
    assert not hasattr(vae, "posterior")


def test_validation_names_the_families():
    for wrong in ("von_mises", 3, None):
        with pytest.raises(InvalidParameterError, match="'posterior' parameter .* must be a str"):
            SphericalVAETransformer(posterior=wrong, **FAST).fit([[0.0], [1.0]])


def test_save_keeps_the_family(small, tmp_path):
    vae = SphericalVAETransformer(posterior="power_spherical", **FAST).fit(small)
    vae.save(tmp_path / "model.skccvae")
    back = skccvae.load(tmp_path / "model.skccvae")
    assert back.posterior == "power_spherical"
    assert isinstance(back.posterior_distribution(small), PowerSpherical)


def test_grid_search_over_the_family(small):
    pipeline = Pipeline([("vae", SphericalVAETransformer(**FAST))])
    grid = {"vae__posterior": ["von_mises_fisher", "power_spherical", "wrapped_normal"]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(small)
    assert list(search.cv_results_["param_vae__posterior"]) == grid["vae__posterior"]
    best = search.best_estimator_.named_steps["vae"]
    assert best.posterior == search.best_params_["vae__posterior"]
    assert isinstance(best.posterior_distribution(small), Distribution)
