"""The module: evidence, objectives, repeatable noise, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import kl_divergence

from skccvae.nn import (
    BernoulliLikelihood,
    DeterministicLatent,
    EuclideanLatent,
    PowerSphericalLatent,
    PredictionHead,
    SphericalLatent,
    WrappedLatent,
    mlp,
)
from skccvae.vae import VAE

P = 6
LATENTS = {
    "euclidean": lambda: EuclideanLatent(3),
    "deterministic": lambda: DeterministicLatent(3),
    "von_mises_fisher": lambda: SphericalLatent(3, 2.0),
    "power_spherical": lambda: PowerSphericalLatent(3),
    "wrapped_sphere": lambda: WrappedLatent(3, 0.5, decoder_input="coordinates"),
    "hyperbolic": lambda: WrappedLatent(3, -0.5),
}


def build(latent, predictor=None, weight=0.0):
    torch.manual_seed(0)
    decoder = mlp(latent.n_features, (8,), "tanh", P)
    return VAE(mlp(P, (8,), "tanh"), latent, decoder, BernoulliLikelihood(P), predictor, weight)


@pytest.fixture(params=list(LATENTS))
def model(request):
    return build(LATENTS[request.param]())


@pytest.fixture
def x():
    return torch.rand(10, P, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("n_samples", [1, 4])
def test_shapes_and_finite_gradients(model, x, n_samples):
    torch.manual_seed(0)
    log_lik, kl = model(x, n_samples)
    assert log_lik.shape == kl.shape == (10,)
    terms = model.elbo_terms(x, n_samples)
    assert terms.reconstruction.shape == terms.kl.shape == ()
    assert terms.bound is None
    (terms.kl - terms.reconstruction).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert model.encoder[0].weight.grad.abs().max() > 0


def test_the_fast_path_of_training_is_the_mean_of_forward(model, x):
    for n in (1, 3):
        torch.manual_seed(5)
        log_lik, kl = model(x, n)
        torch.manual_seed(5)
        terms = model.elbo_terms(x, n)
        torch.testing.assert_close(terms.reconstruction, log_lik.mean())
        torch.testing.assert_close(terms.kl, kl.mean())


def test_evidence_is_repeatable_and_belongs_to_the_row(model, x):
    with torch.no_grad():
        first = model.evidence(x, 8, seed=3)
        again = model.evidence(x.flip(0), 8, seed=3)
        other = model.evidence(x, 8, seed=4)
    for a, b in zip(first[:3], again[:3], strict=True):
        torch.testing.assert_close(a, b.flip(0), rtol=1e-5, atol=1e-5)
    if model.latent.noise_dim:
        assert not torch.equal(first.reconstruction, other.reconstruction)


@pytest.mark.parametrize("numbers", [1, 5 * P, 23 * P, 45 * P])
def test_evidence_does_not_depend_on_how_many_draws_are_decoded_at_once(
    model, x, numbers, monkeypatch
):
    with torch.no_grad():
        whole = model.evidence(x, 6, seed=0)
        monkeypatch.setattr("skccvae.vae._NUMBERS_IN_CACHE", numbers)
        pieces = model.evidence(x, 6, seed=0)
    for a, b in zip(whole[:3], pieces[:3], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)  # outputs are float32


def test_the_bound_is_above_the_elbo_of_the_same_draws(model, x):
    """Jensen: log mean w >= mean log w, and the mean of log w has the KL as its expectation."""
    with torch.no_grad():
        found = model.evidence(x, 2000, seed=0)
    elbo = found.reconstruction - found.kl
    assert (found.log_likelihood > elbo - 0.05).all()
    assert found.log_likelihood.mean() >= elbo.mean() - 0.01


def test_the_kl_of_evidence_and_its_weights_are_of_one_model(model, x):
    """Mean of log q - log p over draws, as the weights have it, is the KL that is reported."""
    with torch.no_grad():
        params = model.encode(x)
        noise = torch.randn(4000, 10, model.latent.noise_dim)
        _, log_ratio = model.latent.weighted(params, noise)
        kl = model.evidence(x, 4000, seed=0).kl
    error = 5 * log_ratio.std(0) / math.sqrt(4000) * math.sqrt(2) + 1e-4
    assert ((-log_ratio.mean(0) - kl).abs() <= error).all()


def test_the_kl_is_that_of_the_distributions(model, x):
    if isinstance(model.latent, DeterministicLatent):
        assert model(x)[1].abs().max() == 0
        return
    with torch.no_grad():
        q, p = model.latent.posterior(model.encode(x)), model.latent.prior()
        kl = model.evidence(x, 4000, seed=0).kl
        try:
            expected, error = kl_divergence(q, p), torch.tensor(1e-4)
        except NotImplementedError:
            z = q.rsample((4000,))
            each = q.log_prob(z) - p.log_prob(z)
            expected, error = each.mean(0), 8 * each.std(0) / math.sqrt(4000)
    assert ((kl - expected).abs() <= error + 1e-4).all()


def test_importance_weights_of_one_draw_are_the_elbo(model, x):
    torch.manual_seed(2)
    terms = model.iwae_terms(x, 1)
    torch.testing.assert_close(terms.bound, terms.reconstruction - terms.kl)
    with torch.no_grad():
        torch.manual_seed(2)
        bounds = [model.iwae_terms(x.repeat(40, 1), n).bound for n in (1, 64)]
    assert bounds[1] >= bounds[0] - 1e-5


def test_drawn_pixels(x):
    model = build(EuclideanLatent(2))
    wide = x.repeat(1, 50)[:, :P].repeat(4000, 1) + 0
    wide += 1e-6 * torch.rand(wide.shape, generator=torch.Generator().manual_seed(0))
    drawn = model.draw_pixels(wide.clamp(0, 1), seed=0)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    frequency = drawn.reshape(4000, 10, P).mean(0)
    assert (frequency - x).abs().max() < 5 * 0.5 / math.sqrt(4000)
    assert torch.equal(drawn, model.draw_pixels(wide.clamp(0, 1), seed=0))
    assert not torch.equal(drawn, model.draw_pixels(wide.clamp(0, 1), seed=1))
    certain = torch.tensor([[0.0, 1.0, 0.0, 1.0, 1.0, 0.0]])
    assert torch.equal(model.draw_pixels(certain, seed=9), certain)


def test_targets_enter_with_their_weight(x):
    latent = SphericalLatent(3)
    predictor = PredictionHead(latent.n_features, [0, 3])
    model = build(latent, predictor, weight=2.0)
    targets = torch.stack([torch.randn(10), torch.arange(10.0) % 3], dim=1)
    terms = model.elbo_terms(x, 1, targets)
    assert terms.supervised.shape == ()
    terms.supervised.backward()
    assert model.encoder[0].weight.grad.abs().max() > 0
    model.supervised_weight = 4.0
    torch.manual_seed(3)
    four = model.elbo_terms(x, 1, targets).supervised
    model.supervised_weight = 2.0
    torch.manual_seed(3)
    torch.testing.assert_close(four, 2 * model.elbo_terms(x, 1, targets).supervised)
    assert model.elbo_terms(x, 1).supervised is None
    torch.manual_seed(3)
    targets[4:] = torch.nan
    model.supervised_weight = 1.0
    for terms in (model.elbo_terms(x, 3, targets), model.iwae_terms(x, 3, targets)):
        assert torch.isfinite(terms.supervised)


@pytest.mark.parametrize("draws_at_once", [None, 2])
def test_evidence_of_labels(x, draws_at_once):
    latent = SphericalLatent(3)
    model = build(latent, PredictionHead(latent.n_features, [0, 3]))
    targets = torch.stack([torch.randn(10), torch.arange(10.0) % 3], dim=1)
    targets[3, 0] = targets[5:, 1] = torch.nan
    found = model.evidence(x, 5, 0, draws_at_once=draws_at_once, targets=targets)
    assert found.supervised.shape == (10, 2)
    assert torch.equal(found.supervised == 0, targets.isnan())
    whole = model.evidence(x, 5, 0, targets=targets)
    torch.testing.assert_close(found.supervised, whole.supervised)
    assert torch.equal(model.evidence(x, 5, 0).reconstruction, whole.reconstruction)
    assert model.evidence(x, 5, 0).supervised is None


class ReadsExtra(torch.nn.Module):
    """An encoder that reads what the likelihood does not describe, and nothing else."""

    n_extra = 4

    def __init__(self):
        super().__init__()
        self.layers = mlp(4, (8,), "tanh")

    def forward(self, inputs, extra):
        assert inputs.shape[1] == P
        return self.layers(extra)


@pytest.mark.parametrize("n_samples", [1, 3])
def test_extra_reaches_the_encoder_and_nothing_else(x, n_samples):
    """Every result is the one of a model without extra whose encoder reads the same numbers."""
    extra = torch.rand(10, 4, generator=torch.Generator().manual_seed(2))
    latent = SphericalLatent(3)
    torch.manual_seed(0)
    decoder = mlp(latent.n_features, (8,), "tanh", P)
    model = VAE(ReadsExtra(), latent, decoder, BernoulliLikelihood(P))
    params = model.encode(x, extra)
    assert torch.equal(params, model.encode(torch.zeros_like(x), extra))
    assert not torch.equal(params, model.encode(x, extra.flip(0)))
    with pytest.raises(TypeError, match="extra"):
        model.encode(x)

    def seeded(method, *arguments, **keywords):
        torch.manual_seed(1)
        return method(*arguments, **keywords)

    def fixed(self, x, extra=None):
        return params

    twin = VAE(mlp(P, (8,), "tanh"), latent, decoder, BernoulliLikelihood(P))
    twin.encode = fixed.__get__(twin)
    in_double = model.encode_in_double(x, extra)
    twin.encode_in_double = lambda x, extra=None: in_double
    for name in ("forward", "elbo_terms", "iwae_terms"):
        found = seeded(getattr(model, name), x, n_samples, extra=extra)
        expected = seeded(getattr(twin, name), x, n_samples)
        for a, b in zip(found, expected, strict=True):
            assert a == b if a is None or isinstance(a, tuple) else torch.equal(a, b)
    evidence = model.evidence(x, n_samples, 0, extra=extra)
    for a, b in zip(evidence[:3], twin.evidence(x, n_samples, 0)[:3], strict=True):
        assert torch.equal(a, b)


def test_a_decoder_of_the_wrong_width_is_refused():
    encoder = mlp(P, (8,), "relu")
    with pytest.raises(ValueError, match="decoder must return 6 numbers per row .* returned 5"):
        VAE(encoder, EuclideanLatent(2), mlp(2, (), "relu", 5), BernoulliLikelihood(P))


def test_double_precision_throughout(model, x):
    model.double()
    log_lik, kl = model(x.double())
    assert log_lik.dtype == kl.dtype == torch.float64
    evidence = model.evidence(x.double(), 4, seed=0)
    assert evidence.log_likelihood.dtype == torch.float64
