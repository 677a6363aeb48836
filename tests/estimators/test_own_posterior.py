"""``posterior=`` takes a class or a factory, wherever a name may stand."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

import skccvae
from skccvae import (
    ConstantCurvatureVAETransformer,
    HyperbolicVAETransformer,
    SphericalVAETransformer,
)
from skccvae.manifolds import Hyperbolic, Sphere
from skccvae.nn import (
    EuclideanLatent,
    Latent,
    SphericalCauchyLatent,
    SphericalLatent,
    WrappedLatent,
)

PATH = Path(__file__).resolve().parents[1] / "recipes" / "wrapped_laplace.py"
_spec = importlib.util.spec_from_file_location("recipe_wrapped_laplace", PATH)
recipe = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = recipe  # importable for pickle
_spec.loader.exec_module(recipe)
WrappedLaplaceLatent = recipe.WrappedLaplaceLatent

X = np.random.default_rng(0).random((90, 5))
FAST = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0}


def sphere(manifold, prior_scale):
    """A factory: the sphere of the package, by another way."""
    return SphericalLatent(manifold.dim, manifold.curvature)


class Nothing(Latent):
    """A latent space that says nothing of itself."""

    def __init__(self, manifold, prior_scale):
        super().__init__(manifold)


class OnUnitSphere(SphericalLatent):
    """Locations on the unit sphere, whatever the radius of the manifold."""

    def __init__(self, manifold, prior_scale):
        super().__init__(manifold.dim, manifold.curvature)

    def location(self, params):
        return super().location(params) / self.radius


# As in `test_sklearn_contract.py`: no stochastic fit gives equal codes for repeated rows.
WEIGHTS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "repeated rows change order and noise"
    for kind in ("dense", "sparse")
}


@parametrize_with_checks(
    [HyperbolicVAETransformer(posterior=WrappedLaplaceLatent, **FAST)],
    expected_failed_checks=lambda estimator: WEIGHTS,
)
@pytest.mark.sklearn_contract
def test_contract(estimator, check):
    check(estimator)


def test_the_law_of_the_recipe_integrates_to_one():
    space = Hyperbolic(2, -0.5)
    loc = space.exp0(torch.tensor([0.4, -0.2], dtype=torch.float64))
    q = recipe.WrappedLaplace(loc, torch.tensor([0.3, 0.6], dtype=torch.float64), space)
    line = torch.linspace(-12, 12, 1201, dtype=torch.float64)
    v = torch.cartesian_prod(line, line)
    z = space.exp(loc, space.from_frame(loc, v))
    volume = space.log_volume_ratio(torch.linalg.vector_norm(v, dim=-1))
    step = float(line[1] - line[0])
    assert float((q.log_prob(z) + volume).exp().sum() * step**2) == pytest.approx(1, abs=1e-3)
    draws = q.rsample((20000,))
    frame = space.to_frame(loc, space.log(loc, draws))
    assert frame.abs().mean(0).tolist() == pytest.approx([0.3, 0.6], rel=0.05)


def test_a_class_does_everything_a_name_does(tmp_path):
    vae = HyperbolicVAETransformer(posterior=WrappedLaplaceLatent, **FAST)
    Z = vae.fit_transform(X)
    assert Z.shape == (90, 2)
    assert vae.inverse_transform(Z).shape == X.shape
    assert vae.sample(3).shape == (3, 5)
    assert vae.interpolate(X[:2], X[2:4]).shape == (2, 10, 5)
    parts = vae.evaluate(X)
    assert parts["elbo"] <= parts["log_likelihood"] + 0.1
    assert clone(vae).posterior is WrappedLaplaceLatent
    again = pickle.loads(pickle.dumps(vae))
    np.testing.assert_array_equal(again.transform(X), Z)
    assert vae.posterior_distribution(X[:4]).batch_shape == (4,)
    search = GridSearchCV(
        vae,
        {"posterior": ["wrapped_normal", WrappedLaplaceLatent], "curvature": [-1.0, -0.2]},
        cv=2,
    )
    assert len(search.fit(X).cv_results_["params"]) == 4
    vae.save(tmp_path / "model.skccvae")
    with pytest.raises(ValueError, match="names '.*WrappedLaplaceLatent', which is not in"):
        skccvae.load(tmp_path / "model.skccvae")
    again = skccvae.load(tmp_path / "model.skccvae", trusted=[WrappedLaplaceLatent])
    np.testing.assert_array_equal(again.transform(X), Z)


def test_a_factory_that_makes_the_sphere_of_the_package_is_that_sphere():
    named = SphericalVAETransformer(curvature=0.5, **FAST).fit(X)
    made = SphericalVAETransformer(curvature=0.5, posterior=sphere, **FAST).fit(X)
    np.testing.assert_array_equal(named.transform(X), made.transform(X))


@pytest.mark.parametrize("curvature", [-0.7, 0.0, 0.4])
def test_constant_curvature_passes_its_own_space(curvature):
    seen = []

    def factory(manifold, prior_scale):
        seen.append((manifold.curvature, prior_scale))
        return WrappedLatent(manifold.dim, manifold.curvature, prior_scale)

    vae = ConstantCurvatureVAETransformer(
        curvature=curvature, prior_scale=0.6, posterior=factory, **FAST
    ).fit(X)
    assert seen == [(curvature, 0.6)]
    assert vae.posterior_.endswith("factory")
    assert vae.curvature_ == curvature


def test_what_does_not_fit_is_refused():
    with pytest.raises(TypeError, match="returned int"):
        SphericalVAETransformer(posterior=lambda manifold, scale: 3, **FAST).fit(X)
    with pytest.raises(ValueError, match=r"made a latent space on Euclidean\(dim=5\)"):
        SphericalVAETransformer(posterior=lambda *_: EuclideanLatent(5), **FAST).fit(X)
    with pytest.raises(ValueError, match=r"curvature=-1\), but this estimator's is Sphere"):
        SphericalVAETransformer(posterior=lambda m, s: WrappedLatent(m.dim, -1.0), **FAST).fit(X)
    with pytest.raises(TypeError, match="not an instance"):
        SphericalVAETransformer(posterior=SphericalLatent(2), **FAST).fit(X)
    with pytest.raises(TypeError, match=r"called as posterior\(manifold, prior_scale\)"):
        SphericalVAETransformer(posterior=SphericalLatent, **FAST).fit(X)
    with pytest.raises(TypeError, match="must define n_params, noise_dim, posterior"):
        SphericalVAETransformer(posterior=Nothing, **FAST).fit(X)
    with pytest.raises(ValueError, match="manifold.radius_"):
        SphericalVAETransformer(curvature=4.0, posterior=OnUnitSphere, **FAST).fit(X)
    with pytest.raises(ValueError, match="decoder_input='auto'"):
        HyperbolicVAETransformer(
            posterior=WrappedLaplaceLatent, decoder_input="tangent", **FAST
        ).fit(X)
    with pytest.raises(ValueError, match="learn_curvature"):
        ConstantCurvatureVAETransformer(
            posterior=WrappedLaplaceLatent, learn_curvature=True, **FAST
        ).fit(X)
    with pytest.raises(ValueError, match=r"A subclass of skccvae\.nn\.Latent"):
        SphericalVAETransformer(posterior="normal", **FAST).fit(X)


def test_spherical_cauchy_has_the_widths_of_the_von_mises_fisher_law():
    """The same outputs of the encoder mean about the same mean cosine in high dimension."""
    torch.manual_seed(0)
    params = torch.randn(50, 42)
    params[:, -1] += 1.0
    cauchy = SphericalCauchyLatent(40).posterior(params).mean_resultant_length
    other = SphericalLatent(40).posterior(params).mean_resultant_length
    assert (cauchy - other).abs().max() < 0.02
    assert SphericalCauchyLatent(2, 0.25).manifold == Sphere(2, 0.25)


def test_other_laws_with_the_uniform_prior_learn_what_the_von_mises_fisher_law_learns():
    blocks = np.repeat(np.kron(np.eye(4), np.ones((1, 8))), 50, axis=0)
    bounds = []
    for posterior in ("von_mises_fisher", "spherical_cauchy", "projected_normal"):
        found = []
        for seed in range(3):  # runs of one law differ by half a nat
            vae = SphericalVAETransformer(
                posterior=posterior, max_epochs=100, batch_size=20, random_state=seed
            ).fit(blocks)
            parts = vae.evaluate(blocks)
            assert parts["kl"] > 1.0  # log(4) = 1.39 tells four blocks apart
            assert parts["elbo"] > -8  # without a code it is -18, 32 entropies of a bit of 1/4
            found.append(parts["log_likelihood"])
        bounds.append(np.mean(found))
    assert bounds[1:] == pytest.approx([bounds[0]] * 2, abs=0.7)


@pytest.mark.parametrize("dim", [2, 40])
def test_location_and_scale_of_a_projected_normal_are_of_one_size_at_the_start(dim):
    vae = SphericalVAETransformer(
        dim,
        posterior="projected_normal",
        init="random",
        max_epochs=1,
        learning_rate=1e-30,
        random_state=0,
    ).fit(X)
    q = vae.posterior_distribution(X)
    assert 0.3 < float((q.loc / q.scale).square().mean().sqrt()) < 2
    assert np.allclose(vae.transform(X), q.loc / q.loc.norm(dim=-1, keepdim=True), atol=1e-6)


def test_two_models_of_one_factory_share_no_weights():
    latent = WrappedLatent(2, 1.0, decoder_input="gyroplane", n_planes=8)

    def factory(manifold, prior_scale):
        return latent

    first = SphericalVAETransformer(posterior=factory, **FAST).fit(X)
    score = first.score(X)
    again = SphericalVAETransformer(posterior=factory, **FAST).fit(X)
    assert first.score(X) == score == again.score(X)
