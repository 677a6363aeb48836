"""Models that start at PCA, in every geometry and for every kind of table."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.decomposition import PCA, TruncatedSVD

import skccvae
from skccvae import (
    AutoencoderTransformer,
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)

# One epoch of steps that change nothing: what is left is the start.
START = {"init": "pca", "max_epochs": 1, "learning_rate": 1e-12, "random_state": 0}
MODELS = [
    GaussianVAETransformer(3),
    AutoencoderTransformer(3),
    HyperbolicVAETransformer(3),
    HyperbolicVAETransformer(3, posterior="riemannian_normal", curvature=-0.3),
    SphericalVAETransformer(3),
    SphericalVAETransformer(3, posterior="power_spherical", curvature=0.5),
    SphericalVAETransformer(3, posterior="spherical_cauchy"),
    SphericalVAETransformer(3, posterior="projected_normal", curvature=2.0),
    SphericalVAETransformer(3, posterior="wrapped_normal"),
    ConstantCurvatureVAETransformer(3),
    ConstantCurvatureVAETransformer(3, curvature=-0.5, decoder_input="tangent"),
    ConstantCurvatureVAETransformer(3, learn_curvature=True),
    MixedCurvatureVAETransformer("h2,s2,e1"),
    MixedCurvatureVAETransformer("h2,s2,e1", posterior={"s": "projected_normal"}),
]


@pytest.fixture(scope="module")
def X():
    """Three strong directions among eight columns, and noise."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(400, 3)) * [3.0, 2.0, 1.0]
    return latent @ rng.normal(size=(3, 8)) + 0.3 * rng.normal(size=(400, 8)) + 5


def explained(model, X):
    """Share of the variance of X that decoded codes explain."""
    back = model.inverse_transform(model.transform(X))
    return 1 - ((X - back) ** 2).sum() / ((X - X.mean(0)) ** 2).sum()


@pytest.mark.parametrize("likelihood", ["isotropic_gaussian", "gaussian"])
def test_the_plane_starts_at_principal_components(X, likelihood):
    vae = GaussianVAETransformer(3, likelihood=likelihood, **START).fit(X)
    scale = X.std(0) if likelihood == "gaussian" else np.sqrt(X.var(0).mean())
    components = PCA(3).fit_transform(X / scale)
    standard = GaussianVAETransformer(3, likelihood=likelihood, prior_scale=1.0, **START).fit(X)
    for j, column in enumerate(vae.transform(X).T):
        assert abs(np.corrcoef(column, components[:, j])[0, 1]) > 1 - 1e-6
        # the posterior mean of probabilistic PCA shrinks a component a little
        assert 0.95 < column.std() / components[:, j].std() < 1.0
        assert 0.95 < standard.transform(X)[:, j].std() < 1.0
    # the scale of the prior is a choice of units
    np.testing.assert_allclose(vae.score_samples(X), standard.score_samples(X), atol=1e-4)


@pytest.mark.parametrize("estimator", [GaussianVAETransformer, HyperbolicVAETransformer])
def test_axes_of_the_prior_follow_the_components(X, estimator, tmp_path):
    vae = estimator(3, likelihood="isotropic_gaussian", **START).fit(X)
    latent = vae.net_.module_.latent
    deviations = np.sqrt(PCA(3).fit(X / np.sqrt(X.var(0).mean())).explained_variance_)
    axes = latent.axes.numpy()
    np.testing.assert_allclose(axes / axes[0], deviations / deviations[0], rtol=1e-5)
    draws = latent.prior().sample((4000,)).double()
    spread = vae.manifold_.log0(draws).numpy().std(0)
    np.testing.assert_allclose(spread, axes, rtol=0.05)  # 1.1 % is one standard error
    back = pickle.loads(pickle.dumps(vae))
    np.testing.assert_array_equal(back.transform(X), vae.transform(X))
    vae.save(tmp_path / "model")
    loaded = skccvae.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), vae.transform(X))
    np.testing.assert_array_equal(loaded.score_samples(X), vae.score_samples(X))


@pytest.mark.parametrize("d", [1, 2, 10])
def test_a_hyperbolic_prior_keeps_its_radius_in_every_dimension(d):
    X = np.random.default_rng(0).normal(size=(100, 12))
    for init in ("random", "pca"):
        for posterior in ("wrapped_normal", "riemannian_normal"):
            vae = HyperbolicVAETransformer(d, posterior=posterior, init=init, max_epochs=1)
            prior = vae.fit(X).net_.module_.latent.prior()
            radius = (prior.scale.square() * torch.ones(d)).sum().sqrt()
            assert float(radius) == pytest.approx(min(np.sqrt(2), np.sqrt(d)), rel=0.2)
            assert float(prior.scale.max()) <= 1


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_every_geometry_starts_near_pca_and_goes_on(X, model):
    model.set_params(likelihood="isotropic_gaussian", **START).fit(X)
    d = 5 if isinstance(model, MixedCurvatureVAETransformer) else 3
    best = PCA(d).fit(X).explained_variance_ratio_.sum()
    spherical = "Spherical" in type(model).__name__ or d == 5
    # A sphere has no radius to tell: it keeps directions only.
    assert explained(model, X) > (0.6 if spherical else best - 0.1)
    start = model.score(X)
    model.set_params(init="random").fit(X)
    assert start > model.score(X) + 1
    model.set_params(init="pca", learning_rate=1e-3, max_epochs=20).fit(X)
    assert model.score(X) > start


def test_data_may_wind_round_a_sphere():
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    rng = np.random.default_rng(1)
    X = np.stack([np.cos(angle), np.sin(angle)], 1) @ rng.normal(size=(2, 6))
    X += 0.05 * rng.normal(size=X.shape)
    Z = SphericalVAETransformer(1, likelihood="isotropic_gaussian", **START).fit_transform(X)
    turn = np.unwrap(np.arctan2(Z[:, 1], Z[:, 0]))
    assert abs(abs(turn[-1] - turn[0]) - 2 * np.pi) < 0.5


def test_the_start_does_not_depend_on_the_container(X, tmp_path):
    X = np.where(np.abs(X - 5) > 2, X, 0).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    vae = GaussianVAETransformer(2, likelihood="isotropic_gaussian", prior_scale=1.0, **START)
    expected = vae.fit(X).transform(X)
    rows = torch.utils.data.TensorDataset(torch.from_numpy(X))
    for same in (sp.csr_matrix(X), np.load(tmp_path / "X.npy", mmap_mode="r"), rows):
        np.testing.assert_allclose(vae.fit(same).transform(X), expected, atol=2e-4)


def test_many_rows_are_sampled(X, monkeypatch):
    from skccvae.estimators import _start

    monkeypatch.setattr(_start, "_ROWS", 100)
    assert len(_start.start_rows(np.arange(400), 8, 0)) == 100
    vae = GaussianVAETransformer(2, likelihood="isotropic_gaussian", **START)
    Z = vae.fit_transform(X)
    np.testing.assert_array_equal(Z, vae.fit_transform(X))
    all_rows = PCA(2).fit_transform(X)
    assert abs(np.corrcoef(Z[:, 0], all_rows[:, 0])[0, 1]) > 0.95


@pytest.mark.parametrize(
    ("likelihood", "make"),
    [
        ("bernoulli", lambda x: (x > 5) * 1.0),
        ("continuous_bernoulli", lambda x: 1 / (1 + np.exp(5 - x))),
        ("poisson", lambda x: np.floor(np.exp(x / 5))),
        ("negative_binomial", lambda x: np.floor(np.exp(x / 5))),
        ("von_mises", lambda x: np.angle(np.exp(1j * x / 4))),
        ("discretized_logistic", lambda x: np.clip(x * 20, 0, 255).astype(np.uint8)),
    ],
)
def test_other_likelihoods_start_at_the_components_too(X, likelihood, make):
    Y = make(X)
    vae = GaussianVAETransformer(2, likelihood=likelihood, **START).fit(Y)
    first = vae.score(Y)
    if likelihood != "von_mises":  # whose decoder starts at random
        assert first > vae.set_params(init="random").fit(Y).score(Y) + 1
        vae.set_params(init="pca")
    vae.set_params(learning_rate=1e-3, max_epochs=15).fit(Y)
    assert vae.score(Y) > first


def test_bits_start_close_to_truncated_svd(X):
    B = (X > X.mean(0)) * 1.0
    vae = GaussianVAETransformer(2, **START).fit(B)
    assert vae.likelihood_ == "bernoulli"
    best = TruncatedSVD(2).fit(B - B.mean(0)).explained_variance_ratio_.sum()
    assert explained(vae, B) > 0.8 * best


@pytest.mark.parametrize(
    "table",
    [
        lambda x: x[:1],
        lambda x: x[:2],
        lambda x: x[:, :1],
        lambda x: x[:, :2],  # fewer columns than components
        lambda x: np.repeat(x[:, :1], 5, axis=1),  # rank 1
        lambda x: np.full((30, 4), 3.0),
        lambda x: np.hstack([x, np.full((400, 1), 2020.0)]),
        lambda x: 1e-30 * x,
        lambda x: 1e25 * x,
    ],
)
@pytest.mark.parametrize("kind", [GaussianVAETransformer, SphericalVAETransformer])
def test_tables_without_enough_components(X, table, kind):
    X = table(X)
    vae = kind(3, init="pca", max_epochs=3, random_state=0).fit(X)
    assert np.isfinite(vae.transform(X)).all()
    assert np.isfinite(vae.inverse_transform(vae.transform(X))).all()


@pytest.mark.parametrize("kind", [GaussianVAETransformer, SphericalVAETransformer])
@pytest.mark.parametrize(("n", "d"), [(5, 20), (20, 20), (20, 5), (60, 5)])
def test_few_rows_are_not_believed(X, kind, n, d):
    """Components that span all rows leave no residuals there, and large ones for other rows."""
    scores = [
        kind(d, init=init, likelihood="isotropic_gaussian", max_epochs=40, random_state=0)
        .fit(X[:n])
        .score(X[100:])
        for init in ("pca", "random")
    ]
    assert scores[0] > scores[1] - 15


def test_streams_may_begin_with_few_rows(X):
    for n in (1, 3, 10):
        both = []
        for init in ("pca", "random"):
            vae = GaussianVAETransformer(2, init=init, likelihood="gaussian", random_state=0)
            for start in range(0, 300, n):
                vae.partial_fit(X[start : start + n])
            both.append(vae.score(X[300:]))
        assert both[0] > both[1] - 5


def test_held_out_rows_have_no_part_in_the_start(X, monkeypatch):
    from skccvae.estimators import _base

    seen = []
    monkeypatch.setattr(_base, "start_at_pca", lambda model, x, *_: seen.append(len(x)))
    vae = GaussianVAETransformer(2, init="pca", early_stopping=True, validation_fraction=0.25)
    vae.set_params(max_epochs=1).fit(X)
    assert seen == [300]
    vae.set_params(warm_start=False)
    GaussianVAETransformer(2, init="pca", early_stopping=True).partial_fit(X)
    assert seen == [300, 400]


def test_a_skip_decoder_inside_the_users_own_is_theirs(X):
    from skccvae.nn import SkipDecoder, mlp

    def own(n_inputs, n_outputs):
        hidden = SkipDecoder(mlp(n_inputs, (8,), "relu"), n_inputs, 8, 32)
        return torch.nn.Sequential(hidden, torch.nn.ReLU(), torch.nn.Linear(32, n_outputs))

    vae = GaussianVAETransformer(2, init="pca", decoder=own, max_epochs=2, random_state=0).fit(X)
    assert np.isfinite(vae.score(X))


def test_networks_of_the_users_own_keep_their_start(X):
    settings = {"max_epochs": 2, "random_state": 0, "likelihood": "gaussian"}
    for own in (
        {"encoder": torch.nn.Linear(8, 4), "decoder": torch.nn.Linear(2, 8)},
        {"image_shape": (2, 4), "encoder": "conv", "decoder": "conv"},
    ):
        one = GaussianVAETransformer(2, init="pca", **own, **settings).fit_transform(X)
        other = GaussianVAETransformer(2, init="random", **own, **settings).fit_transform(X)
        np.testing.assert_array_equal(one, other)


def test_the_start_is_saved_and_cannot_change(X, tmp_path):
    vae = SphericalVAETransformer(2, init="pca", max_epochs=2, random_state=0).fit(X)
    Z = vae.transform(X)
    vae.save(tmp_path / "model.safetensors")
    loaded = skccvae.load(tmp_path / "model.safetensors")
    assert loaded.init == "pca"
    np.testing.assert_array_equal(loaded.transform(X), Z)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(vae)).transform(X), Z)
    with pytest.raises(ValueError, match="init was 'pca'"):
        vae.set_params(init="random").partial_fit(X)


def test_supervision_and_streams_go_on_from_it(X):
    y = (X[:, 0] > X[:, 0].mean()).astype(int)
    vae = GaussianVAETransformer(2, init="pca", supervised_weight=5.0, max_epochs=3).fit(X, y)
    assert len(vae.classes_) == 2
    stream = GaussianVAETransformer(2, init="pca", random_state=0)
    for part in np.array_split(X, 4):
        stream.partial_fit(part)
    assert np.isfinite(stream.score(X))


@pytest.mark.parametrize("posterior", ["wrapped_normal", "riemannian_normal"])
def test_a_normal_on_a_sphere_starts_at_random_for_rows_on_all_of_it(X, posterior):
    """In a tangent plane they would start folded, one half of the sphere upon the other."""
    shell = np.random.default_rng(0).normal(size=(400, 3))
    shell = shell / np.linalg.norm(shell, axis=1, keepdims=True) @ np.eye(3, 6)
    settings = {"posterior": posterior, "max_epochs": 4, "random_state": 0}
    folded = SphericalVAETransformer(2, **settings).fit(shell)
    assert folded.history_["beta"] == [0.5, 1.0, 1.0, 1.0]  # the warm-up of a random start
    on_a_side = SphericalVAETransformer(2, **settings).fit(X)
    assert on_a_side.history_["beta"] == [1.0] * 4
    around = SphericalVAETransformer(2, max_epochs=4, random_state=0).fit(shell)
    assert around.history_["beta"] == [1.0] * 4


@pytest.mark.parametrize("likelihood", ["bernoulli", "poisson"])
def test_wide_sparse_rows_are_all_seen(likelihood, monkeypatch):
    """Without a dense copy: those that are dense at once are a few."""
    from skccvae.estimators import _start

    rng = np.random.default_rng(0)
    topics = rng.gamma(0.2, size=(4, 300))
    rates = rng.dirichlet(np.full(4, 0.3), size=400) @ topics
    X = sp.csr_matrix(rng.poisson(rates / rates.sum(1, keepdims=True) * 30).astype(np.float32))
    X = (X > 0).astype(np.float32) if likelihood == "bernoulli" else X
    vae = GaussianVAETransformer(3, likelihood=likelihood, **START)
    expected = vae.fit(X).transform(X)  # few enough numbers to be dense
    monkeypatch.setattr(_start, "_NUMBERS", 300 * 300)
    Z = vae.fit(X).transform(X)
    for j in range(3):
        assert abs(np.corrcoef(Z[:, j], expected[:, j])[0, 1]) > 0.999
    seen = []
    monkeypatch.setattr(_start, "_decompose", lambda inputs, *_: seen.append(inputs) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        vae.fit(X)
    assert sp.issparse(seen[0])
    assert seen[0].shape == X.shape
    assert seen[0].nnz == X.nnz
    with pytest.raises(ZeroDivisionError):
        vae.set_params(likelihood="gaussian").fit(X)  # rows that are centred are not sparse
    assert not sp.issparse(seen[1])
