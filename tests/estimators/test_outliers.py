"""Outlier detection by likelihood: scikit-learn's convention, thresholds, what may be inside."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone, is_outlier_detector
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch.utils.data import TensorDataset

from skccvae import (
    AutoencoderTransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    LatentOutlierDetector,
    SphericalVAETransformer,
)

FAST = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0, "device": "cpu"}
RNG = np.random.default_rng(0)
MIX = RNG.normal(size=(2, 6))
X = RNG.normal(size=(200, 2)) @ MIX + 0.1 * RNG.normal(size=(200, 6))
FAR = 3.0 * RNG.normal(size=(40, 6))


@pytest.mark.sklearn_contract
@parametrize_with_checks(
    [
        LatentOutlierDetector(GaussianVAETransformer(**FAST)),
        LatentOutlierDetector(SphericalVAETransformer(**FAST), contamination=0.2),
        LatentOutlierDetector(make_pipeline(StandardScaler(), HyperbolicVAETransformer(**FAST))),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)


def test_it_finds_rows_off_the_plane():
    detector = LatentOutlierDetector(GaussianVAETransformer(max_epochs=20, random_state=0)).fit(X)
    assert (detector.predict(FAR) == -1).mean() > 0.9
    assert (detector.predict(X) == -1).mean() < 0.1
    assert is_outlier_detector(detector)
    np.testing.assert_array_equal(
        detector.decision_function(FAR), detector.score_samples(FAR) - detector.offset_
    )
    assert detector.n_features_in_ == 6


def test_scores_are_those_of_the_estimator():
    detector = LatentOutlierDetector(GaussianVAETransformer(**FAST), n_importance_samples=3).fit(X)
    plain = GaussianVAETransformer(**FAST).fit(X)
    np.testing.assert_array_equal(detector.score_samples(FAR), plain.score_samples(FAR, 3))
    pipe = make_pipeline(StandardScaler(), GaussianVAETransformer(**FAST))
    detector = LatentOutlierDetector(pipe, 0.1, n_importance_samples=3).fit(X)
    scaler = StandardScaler().fit(X)
    plain.fit(scaler.transform(X))
    found = detector.score_samples(FAR)
    np.testing.assert_array_equal(found, plain.score_samples(scaler.transform(FAR), 3))
    alone = LatentOutlierDetector(make_pipeline(GaussianVAETransformer(**FAST))).fit(X)
    assert np.isfinite(alone.score_samples(FAR)).all()
    assert not hasattr(pipe, "n_features_in_")  # it was cloned


def test_few_rows_need_a_threshold_from_rows_held_out():
    # Forty rows of noise in thirty columns, which ten components fit.
    rng = np.random.default_rng(1)
    rows, new = rng.normal(size=(2, 40, 30))
    vae = GaussianVAETransformer(10, random_state=0)
    shares = [
        (LatentOutlierDetector(vae, c).fit(rows).predict(new) == -1).mean() for c in ("auto", 0.05)
    ]
    assert shares[0] <= 0.2
    assert shares[1] > 0.5


@pytest.mark.parametrize(("n_rows", "rank"), [(10, 1), (18, 1), (39, 2), (100, 5)])
def test_the_threshold_is_a_rank_of_the_scores_held_out(n_rows, rank, monkeypatch):
    seen = []
    scores_of = LatentOutlierDetector._scores

    def note(self, estimator, rows):
        seen.append(scores_of(self, estimator, rows))
        return seen[-1]

    monkeypatch.setattr(LatentOutlierDetector, "_scores", note)
    detector = LatentOutlierDetector(GaussianVAETransformer(**FAST)).fit(X[:n_rows])
    scores = np.sort(np.concatenate(seen))
    assert len(seen) == 5
    assert len(scores) == n_rows
    assert detector.offset_ == scores[rank - 1]
    seen.clear()
    many = np.tile(X, (30, 1))  # one fold of 6000 rows has enough
    LatentOutlierDetector(GaussianVAETransformer(**FAST | {"max_epochs": 1})).fit(many)
    assert [len(found) for found in seen] == [1200]


def test_folds_have_the_likelihood_of_all_rows():
    # Only one row is not made of zeros and ones, and it is in one fold.
    bits = (RNG.random((50, 4)) < 0.5).astype(float)
    bits[7, 2] = 0.5
    detector = LatentOutlierDetector(GaussianVAETransformer(**FAST)).fit(bits)
    assert detector.estimator_.likelihood_ == "isotropic_gaussian"
    assert detector.estimator_.likelihood == "auto"
    assert np.isfinite(detector.offset_)


@pytest.mark.parametrize("contamination", [0.05, 0.3])
def test_a_number_is_a_share_of_the_rows(contamination):
    labels = LatentOutlierDetector(GaussianVAETransformer(**FAST), contamination).fit_predict(X)
    assert (labels == -1).sum() == contamination * 200


@pytest.mark.parametrize(
    "make",
    [
        lambda rows: rows.tolist(),
        sp.csr_array,
        lambda rows: TensorDataset(torch.from_numpy(rows)),
        torch.from_numpy,
        lambda rows: pd.DataFrame(rows, columns=list("abcdef")),
        lambda rows: rows.reshape(-1, 2, 3),
    ],
    ids=["list", "sparse", "dataset", "tensor", "frame", "images"],
)
def test_any_container(make):
    plain = LatentOutlierDetector(AutoencoderTransformer(likelihood="gaussian", **FAST)).fit(X)
    detector = clone(plain).fit(make(X))
    assert detector.offset_ == pytest.approx(plain.offset_, rel=1e-6)
    np.testing.assert_array_equal(detector.predict(make(FAR)), plain.predict(FAR))
    assert hasattr(detector, "feature_names_in_") == hasattr(make(X), "columns")


def test_one_row_has_no_rows_to_hold_out():
    with pytest.raises(ValueError, match=r"needs at least two of them; X has n_samples=1"):
        LatentOutlierDetector(GaussianVAETransformer(**FAST)).fit(X[:1])
    assert LatentOutlierDetector(GaussianVAETransformer(**FAST), 0.5).fit(X[:1]).offset_ < 0


@pytest.mark.parametrize("estimator", [PCA(2), make_pipeline(GaussianVAETransformer(), PCA(2))])
def test_an_estimator_of_another_package(estimator):
    with pytest.raises(TypeError, match="must be an estimator of skccvae"):
        LatentOutlierDetector(estimator).fit(X)


@pytest.mark.parametrize(
    "settings",
    [{"contamination": 0.0}, {"contamination": 0.6}, {"contamination": "few"}]
    + [{"n_importance_samples": 0}, {"estimator": StandardScaler()}],
)
def test_bad_parameters(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        LatentOutlierDetector(**{"estimator": GaussianVAETransformer(**FAST), **settings}).fit(X)


def test_a_failed_fit_leaves_the_detector_as_it_was():
    detector = LatentOutlierDetector(GaussianVAETransformer(**FAST))
    with pytest.raises(NotFittedError):
        detector.predict(X)
    detector.fit(X)
    before = dict(vars(detector))
    with pytest.raises(ValueError, match="NaN"):
        detector.fit(np.full((5, 6), np.nan))
    assert vars(detector) == before


def test_tags_are_those_of_the_estimator():
    tags = LatentOutlierDetector(GaussianVAETransformer(likelihood="von_mises")).__sklearn_tags__()
    assert tags.estimator_type == "outlier_detector"
    assert tags.input_tags.allow_nan
    assert not tags.input_tags.sparse
    assert LatentOutlierDetector().__sklearn_tags__().input_tags.sparse
