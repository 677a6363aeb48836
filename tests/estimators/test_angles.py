"""Angles as rows: periodic, with missing ones, in bounds that are densities of the angle."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from torch.utils.data import Dataset

import skccvae
from skccvae import GaussianVAETransformer, SphericalVAETransformer

RNG = np.random.default_rng(0)
TURN = 2 * math.pi


def rows(n=120, missing=0.2):
    """Four columns that follow one hidden angle, one of them around the cut at pi."""
    t = RNG.uniform(-math.pi, math.pi, n)
    X = np.stack([t, -t, 2 * t + 1, math.pi + RNG.vonmises(0, 30, n)], axis=1)
    X = np.angle(np.exp(1j * (X + RNG.normal(0, 0.1, X.shape))))
    X[:, 1:][RNG.random((n, 3)) < missing] = np.nan
    return X


X = rows()
FAST = {"hidden_layer_sizes": (16,), "max_epochs": 2, "random_state": 0, "likelihood": "von_mises"}


class Computed(Dataset):
    """Samples made on demand for any index: reading on until an IndexError never ends."""

    def __init__(self, table):
        self.table, self.reads = table, 0

    def __len__(self):
        return len(self.table)

    def __getitem__(self, number):
        self.reads += 1
        assert self.reads < 20 * len(self.table)
        return torch.from_numpy(self.table[number % len(self.table)])


def test_a_dataset_and_a_memory_map_are_the_array(tmp_path):
    path = tmp_path / "angles.npy"
    np.save(path, X)
    vae = GaussianVAETransformer(**FAST).fit(X)
    for same in (Computed(X), np.load(path, mmap_mode="r")):
        other = GaussianVAETransformer(**FAST).fit(same)
        assert np.array_equal(other.transform(same), vae.transform(X))
        assert np.array_equal(other.score_samples(same, 2), vae.score_samples(X, 2))


@pytest.mark.parametrize(("bad", "message"), [(np.nan, "only NaN"), (np.inf, "infinity")])
def test_a_dataset_names_its_bad_sample(bad, message):
    table = X.copy()
    table[3] = bad
    with pytest.raises(ValueError, match=f"Sample 3 of the Dataset contains .*{message}"):
        GaussianVAETransformer(**FAST).fit(Computed(table))


def test_every_method_of_every_estimator(make):
    vae = make(likelihood="von_mises").fit(X)
    assert vae.likelihood_ == "von_mises"
    Z = vae.transform(X)
    assert np.isfinite(Z).all()
    back = vae.inverse_transform(Z)
    assert back.shape == X.shape
    assert (np.abs(back) <= np.float32(math.pi)).all()
    assert np.isfinite(vae.score_samples(X, 4)).all()
    assert np.isfinite(list(vae.evaluate(X, 4).values())).all()
    assert np.isfinite(vae.loss_curve_).all()
    assert np.isfinite(vae.interpolate(X[:2], X[2:4], 3)).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_whole_turns_change_nothing(make, dtype):
    """Up to the rounding of the sum itself, a unit in the last place of 2 pi and 20 pi."""
    vae = make(likelihood="von_mises").fit(X)
    once, more = (X + n * TURN for n in (1, -10))
    few = X.astype(dtype)
    atol = 1e-5 if dtype is np.float64 else 1e-4
    for turned in (once.astype(dtype), more.astype(dtype)):
        np.testing.assert_allclose(vae.transform(turned), vae.transform(few), atol=atol)
        np.testing.assert_allclose(vae.score_samples(turned), vae.score_samples(few), atol=atol)


def test_degrees_are_noticed():
    degrees = np.rad2deg(X)
    with pytest.warns(UserWarning, match=r"reads radians, but X runs from -.*deg2rad"):
        GaussianVAETransformer(**FAST).fit(degrees)
    with pytest.warns(UserWarning, match="reads radians"):
        GaussianVAETransformer(**FAST).fit(Computed(np.nan_to_num(degrees)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianVAETransformer(**FAST).fit(X + TURN)
        for dtype in (np.uint8, np.int8, bool, np.float16):
            GaussianVAETransformer(**FAST).fit(np.arange(1, 5).reshape(2, 2).astype(dtype))


def test_the_two_ends_of_the_range_are_one_point():
    vae = GaussianVAETransformer(**FAST).fit(X)
    ends = np.repeat(X[:1], 2, axis=0)
    ends[:, 0] = [-math.pi, math.pi]
    a, b = vae.transform(ends)
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.ptp(vae.score_samples(ends)) < 1e-5


@pytest.mark.parametrize("kind", [GaussianVAETransformer, SphericalVAETransformer])
def test_the_model_is_a_density_of_an_angle(kind):
    """exp of the bound, which many importance samples make tight, integrates to 1."""
    x = np.angle(np.exp(1j * (RNG.vonmises(2.9, 6.0, 300)[:, None])))
    vae = kind(1, **{**FAST, "max_epochs": 30, "learning_rate": 1e-2}).fit(x)
    grid = np.linspace(-math.pi, math.pi, 400, endpoint=False)[:, None]
    total = np.exp(vae.score_samples(grid, 1000).astype(float)).mean() * TURN
    assert total == pytest.approx(1.0, abs=0.01)
    assert vae.score(x) > -math.log(TURN) + 0.8  # what a uniform angle has, and more


def test_it_learns_the_angles_and_fills_in_missing_ones():
    train, test = rows(1500), rows(300, missing=0.0)
    vae = GaussianVAETransformer(2, **{**FAST, "max_epochs": 40, "hidden_layer_sizes": (64,)})
    vae.set_params(learning_rate=5e-3).fit(train)
    back = vae.inverse_transform(vae.transform(test))
    assert np.cos(back - test)[:, 3].mean() > 0.9
    masked = test.copy()
    masked[:, 1] = np.nan
    filled = vae.inverse_transform(vae.transform(masked))
    assert np.cos(filled - test)[:, 1].mean() > 0.7  # 0 for a guess


def test_a_missing_angle_adds_nothing_to_the_bound():
    vae = GaussianVAETransformer(**FAST).fit(X)
    module = vae.net_.module_
    one = torch.tensor([[0.4, math.nan, math.nan, math.nan]])
    with torch.no_grad():
        evidence = module.evidence(one, 1, seed=0)
        inputs = module.likelihood.encoder_inputs(one)
    assert inputs.shape == (1, 8)
    assert int((inputs != 0).sum()) == 2
    assert float(evidence.reconstruction) < 0.0
    assert float(evidence.reconstruction) > -2 * math.log(TURN)  # one angle's, not four


def test_saved_models_take_off_turns_too(tmp_path):
    vae = GaussianVAETransformer(**FAST).fit(X)
    vae.save(tmp_path / "model")
    loaded = skccvae.load(tmp_path / "model")
    for rows in (X, X + 2000 * TURN):
        assert np.array_equal(loaded.score_samples(rows), vae.score_samples(rows))


def test_frames():
    first = GaussianVAETransformer(**FAST).fit(X)
    frame = pd.DataFrame(X, columns=list("abcd"))
    second = GaussianVAETransformer(**FAST).fit(frame)
    assert np.array_equal(second.transform(frame), first.transform(X))


def test_networks_for_rows_with_a_shape():
    """A module of the user's sees cosines and sines along a new first axis."""
    images = X.reshape(-1, 2, 2)
    seen = []

    class Encoder(torch.nn.Module):
        def forward(self, x):
            seen.append(tuple(x.shape[1:]))
            return x.flatten(1)

    vae = GaussianVAETransformer(encoder=Encoder(), decoder="conv", **FAST).fit(images)
    assert set(seen) == {(2, 2, 2)}
    assert vae.inverse_transform(vae.transform(images)).shape == images.shape
    with pytest.raises(ValueError, match="encoder='conv' reads images"):
        GaussianVAETransformer(encoder="conv", **FAST).fit(images)


# --- what is refused ------------------------------------------------------------------------------


def test_rows_of_nothing_but_nan_are_refused():
    bad = X.copy()
    bad[[3, 7]] = np.nan
    vae = GaussianVAETransformer(**FAST).fit(X)
    message = r"2 row\(s\) that are all NaN, the first at 3"
    for method in (vae.transform, vae.score_samples, GaussianVAETransformer(**FAST).fit):
        with pytest.raises(ValueError, match=message):
            method(bad)


def test_infinity_sparse_rows_and_binarize_are_refused():
    bad = X.copy()
    bad[0, 0] = np.inf
    vae = GaussianVAETransformer(**FAST)
    with pytest.raises(ValueError, match="infinity"):
        vae.fit(bad)
    with pytest.raises(TypeError, match="needs a dense X"):
        vae.fit(sp.csr_array(np.nan_to_num(X)))
    for binarize in ("dynamic", 0.5):
        with pytest.raises(ValueError, match="likelihood='von_mises' does not describe"):
            GaussianVAETransformer(binarize=binarize, **FAST).fit(X)


@pytest.mark.parametrize(
    "name",
    ["auto", "bernoulli", "gaussian", "poisson", "negative_binomial", "discretized_logistic"],
)
def test_no_other_likelihood_takes_nan(name):
    vae = GaussianVAETransformer(**{**FAST, "likelihood": name})
    with pytest.raises(ValueError, match="contains NaN"):
        vae.fit(np.abs(X) / 4)


def test_auto_never_picks_angles_and_tags_follow_the_likelihood():
    vae = GaussianVAETransformer(**{**FAST, "likelihood": "auto"})
    assert vae.fit(np.nan_to_num(X)).likelihood_ == "isotropic_gaussian"
    tags = vae.__sklearn_tags__().input_tags
    assert (tags.sparse, tags.allow_nan) == (True, False)
    tags = GaussianVAETransformer(likelihood="von_mises").__sklearn_tags__().input_tags
    assert (tags.sparse, tags.allow_nan) == (False, True)
