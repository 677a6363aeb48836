"""score_samples, score, evaluate, sample, posterior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch.distributions import Distribution, kl_divergence

from skccvae import GaussianVAETransformer, HyperbolicVAETransformer, SphericalVAETransformer
from skccvae.distributions import ProjectedNormal
from skccvae.vae import VAE


@pytest.fixture
def fitted(make, digits):
    return make(max_epochs=8, learning_rate=3e-3, hidden_layer_sizes=(64,)).fit(digits)


@pytest.fixture
def fitted_vae(make_vae, digits):
    return make_vae(max_epochs=8, learning_rate=3e-3, hidden_layer_sizes=(64,)).fit(digits)


def test_scores_do_not_depend_on_the_rows_beside(fitted, digits):
    X = digits[:150]
    scores = fitted.score_samples(X, 16)
    assert scores.shape == (150,)
    assert scores.dtype == np.float64
    order = np.random.default_rng(0).permutation(150)
    np.testing.assert_allclose(fitted.score_samples(X[order], 16), scores[order], rtol=1e-5)
    single = np.concatenate([fitted.score_samples(X[i : i + 1], 16) for i in range(12)])
    np.testing.assert_allclose(single, scores[:12], rtol=1e-5)
    twice = fitted.score_samples(np.vstack([X, X]), 16)
    np.testing.assert_allclose(twice[:150], twice[150:], rtol=1e-5)


def test_scores_do_not_depend_on_how_draws_are_batched(fitted_vae, digits, monkeypatch):
    import skccvae.estimators._inference as inference
    import skccvae.estimators._scoring as scoring

    scores = fitted_vae.score_samples(digits[:60], 16)
    Z = fitted_vae.transform(digits[:60])
    monkeypatch.setattr(scoring, "_DRAWS_IN_MEMORY", 64)
    monkeypatch.setattr(inference, "_CHUNK", 7)
    np.testing.assert_allclose(fitted_vae.score_samples(digits[:60], 16), scores, rtol=1e-5)
    np.testing.assert_allclose(fitted_vae.transform(digits[:60]), Z, rtol=1e-5, atol=1e-6)
    assert fitted_vae.inverse_transform(Z).shape == (60, 64)


def test_many_draws_of_a_row_are_scored_in_pieces(fitted, digits, monkeypatch):
    whole = fitted.evaluate(digits[:7], n_importance_samples=30)
    decode, widest = VAE.decode, []

    def watched(self, features):
        widest.append(features.shape[:-1].numel())
        return decode(self, features)

    monkeypatch.setattr(VAE, "decode", watched)
    monkeypatch.setattr("skccvae.estimators._scoring._DRAWS_IN_MEMORY", 7)
    pieces = fitted.evaluate(digits[:7], n_importance_samples=30)
    assert max(widest) == 7  # and 2 for the rest of each row
    # Outputs of 64 columns round to float32, and a small noise scale magnifies that.
    assert pieces == pytest.approx(whole, rel=1e-6, abs=1e-4)


def test_the_importance_weighted_bound_is_above_the_elbo_and_grows(fitted_vae, digits):
    X = digits[:300]
    found = fitted_vae.evaluate(X, 64)
    assert found["log_likelihood"] > found["elbo"]
    bounds = [fitted_vae.evaluate(X, n)["log_likelihood"] for n in (1, 8, 256)]
    assert bounds[0] < bounds[1] < bounds[2]
    assert bounds[0] == pytest.approx(found["elbo"], abs=0.5)


def test_evaluate_is_consistent(fitted, digits):
    X = digits[:200]
    found = fitted.evaluate(X, 16)
    assert {"elbo", "reconstruction", "kl", "log_likelihood"} <= set(found)
    assert all(name.startswith("kl_") for name in list(found)[4:])  # the factors of a product
    assert all(type(value) is float for value in found.values())
    assert found["elbo"] == pytest.approx(found["reconstruction"] - found["kl"], rel=1e-12)
    assert found["log_likelihood"] == pytest.approx(fitted.score_samples(X, 16).mean(), rel=1e-5)
    assert fitted.evaluate(X)["log_likelihood"] == pytest.approx(fitted.score(X), rel=1e-9)
    assert fitted.score(X, np.zeros(200)) == fitted.score(X)
    assert isinstance(fitted.score(X), float)


def test_an_autoencoder_scores_its_reconstructions(digits):
    from skccvae import AutoencoderTransformer

    settings = {"max_epochs": 3, "random_state": 0, "hidden_layer_sizes": (16,)}
    vae = AutoencoderTransformer(likelihood="bernoulli", **settings).fit(digits)
    found = vae.evaluate(digits, 4)
    assert found["kl"] == 0
    assert found["log_likelihood"] == pytest.approx(found["reconstruction"], rel=1e-6)
    mean = vae.inverse_transform(vae.transform(digits)).astype(float)
    by_hand = (digits * np.log(mean) + (1 - digits) * np.log1p(-mean)).sum(axis=1).mean()
    assert found["elbo"] == pytest.approx(by_hand, rel=1e-4)


def test_the_bound_by_hand_for_a_gaussian_model(real):
    """The package's bound against the textbook formula with other draws."""
    vae = GaussianVAETransformer(
        max_epochs=60, learning_rate=1e-2, random_state=0, hidden_layer_sizes=(16,)
    ).fit(real)
    module = vae.net_.module_
    q = vae.posterior_distribution(real)
    torch.manual_seed(0)
    with torch.no_grad():
        z = q.sample((4000,))
        features = module.latent.features(z)
        prior = torch.distributions.Normal(0.0, module.latent.prior().scale)
        mean = (
            module.decode(features).double().numpy() * vae._input.units.scale
            + vae._input.units.center
        )
        scale = module.likelihood.scale().double().numpy() * vae._input.units.scale
        log_lik = -0.5 * ((real - mean) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)
        log_ratio = (prior.log_prob(z).sum(-1) - q.log_prob(z)).double().numpy()
    by_hand = logsumexp(log_lik.sum(-1) + log_ratio, axis=0) - np.log(4000)
    np.testing.assert_allclose(vae.score_samples(real, 4000), by_hand, atol=0.15)
    assert vae.score(real) == pytest.approx(by_hand.mean(), abs=0.1)


def test_training_raises_the_score_of_rows_that_were_not_seen(make_vae, digits):
    train, test = digits[:450], digits[450:]
    settings = {"init": "random", "likelihood": "bernoulli"}
    start = make_vae(max_epochs=1, learning_rate=1e-9, **settings).fit(train).score(test)
    settings |= {"max_epochs": 15, "learning_rate": 3e-3, "hidden_layer_sizes": (64,)}
    end = make_vae(**settings).fit(train)
    assert end.score(test) > start + 8
    assert end.score_samples(np.rint(1 - test)).mean() < end.score(test) - 10


# --- posterior and prior --------------------------------------------------------------------------


def test_the_posterior_is_the_distribution_behind_transform(fitted_vae, digits):
    if type(fitted_vae).__name__ == "MixedCurvatureVAETransformer":
        pytest.skip("the posterior of a product is tested with products")
    fitted_vae.set_params(coordinates="ambient")
    q = fitted_vae.posterior_distribution(digits[:50])
    assert isinstance(q, Distribution)
    assert q.batch_shape == (50,)
    assert q.event_shape == (fitted_vae.manifold_.ambient_dim,)
    loc = q.mean if isinstance(fitted_vae, GaussianVAETransformer) else q.loc
    if isinstance(q, ProjectedNormal):
        loc = loc / loc.norm(dim=-1, keepdim=True)  # its length has another meaning
    np.testing.assert_allclose(loc, fitted_vae.transform(digits[:50]), rtol=1e-5, atol=1e-5)
    torch.manual_seed(0)
    z = q.rsample((3,))
    assert z.shape == (3, 50, fitted_vae.manifold_.ambient_dim)
    assert torch.isfinite(q.log_prob(z)).all()


def test_gradients_flow_through_what_a_user_builds_on_the_posterior(fitted_vae, digits):
    q = fitted_vae.posterior_distribution(digits[:5])
    shift = torch.zeros((), requires_grad=True)
    (q.sample() * shift).sum().backward()
    assert shift.grad is not None


@pytest.mark.parametrize("kind", [GaussianVAETransformer, SphericalVAETransformer])
def test_evaluate_reports_the_closed_form_kl(kind, digits):
    vae = kind(max_epochs=5, random_state=0, hidden_layer_sizes=(32,)).fit(digits)
    with torch.no_grad():
        prior = vae.net_.module_.latent.prior()
        kl = kl_divergence(vae.posterior_distribution(digits), prior).mean()
    assert vae.evaluate(digits, 2)["kl"] == pytest.approx(float(kl), rel=1e-4)


def test_the_one_draw_kl_of_a_wrapped_normal_has_the_right_mean(digits):
    vae = HyperbolicVAETransformer(max_epochs=10, random_state=0, hidden_layer_sizes=(32,))
    vae.fit(digits)
    q, p = vae.posterior_distribution(digits[:100]), vae.net_.module_.latent.prior()
    torch.manual_seed(1)
    with torch.no_grad():
        z = q.sample((2000,))
        kl = (q.log_prob(z) - p.log_prob(z)).mean()
    assert vae.evaluate(digits[:100], 1000)["kl"] == pytest.approx(float(kl), abs=0.05)


def test_samples_look_like_the_data(make_vae, digits):
    settings = {"max_epochs": 30, "learning_rate": 5e-3, "hidden_layer_sizes": (64,)}
    vae = make_vae(init="random", likelihood="bernoulli", kl_warmup_epochs=0, **settings)
    if type(vae) is SphericalVAETransformer and vae.posterior == "wrapped_normal":
        # A prior as wide as the sphere's radius winds round it, with poles in its density, and the
        # model collapses onto it: a real property of that pair. This one stays on the near side.
        vae.set_params(prior_scale=0.5)
    vae.fit(digits)
    X = vae.sample(500, random_state=0)
    assert X.shape == (500, 64)
    assert X.min() >= 0
    assert X.max() <= 1
    assert np.corrcoef(X.mean(axis=0), digits.mean(axis=0))[0, 1] > 0.97
    assert X.std(axis=0).max() > 0.05  # not one picture five hundred times


def test_latent_samples_of_the_prior_fill_the_space_as_the_posteriors_do(digits):
    """Decoding transform's points and the prior's samples goes through the same units."""
    for curvature in (0.04, 1.0, 25.0):
        vae = SphericalVAETransformer(
            curvature=curvature, max_epochs=2, random_state=0, hidden_layer_sizes=(16,)
        ).fit(digits)
        latent = vae.net_.module_.latent
        z = latent.to_ambient(latent.prior().sample((10,)))
        np.testing.assert_allclose(z.norm(dim=-1), curvature**-0.5, rtol=1e-5)
        np.testing.assert_allclose(
            np.linalg.norm(vae.transform(digits), axis=1), curvature**-0.5, rtol=1e-5
        )
