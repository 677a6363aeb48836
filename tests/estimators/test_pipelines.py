"""Inside scikit-learn: Pipeline, GridSearchCV, FeatureUnion, cross-validation, data frames."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skccvae import (
    DivergenceError,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    SphericalVAETransformer,
)
from skccvae.molecules import FingerprintTransformer

FAST = {"max_epochs": 3, "hidden_layer_sizes": (16,), "random_state": 0}


@pytest.mark.parametrize(
    ("vae", "curvatures"),
    [
        (SphericalVAETransformer(**FAST), [0.25, 4.0]),
        (HyperbolicVAETransformer(**FAST), [-0.25, -1.0]),
    ],
)
def test_grid_search_over_curvature_and_dimension_in_two_processes(
    vae, curvatures, digits, digit_labels
):
    pipeline = Pipeline([("vae", vae), ("classify", LogisticRegression(max_iter=200))])
    grid = {"vae__curvature": curvatures, "vae__n_components": [2, 4]}
    searches = [
        GridSearchCV(pipeline, grid, cv=2, n_jobs=n, error_score="raise").fit(digits, digit_labels)
        for n in (1, 2)
    ]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    assert len(scores[0]) == 4
    np.testing.assert_array_equal(*scores)  # the same bits in worker processes
    best = searches[1].best_estimator_.named_steps["vae"]
    assert best.curvature_ == searches[1].best_params_["vae__curvature"]
    assert best.manifold_.dim == searches[1].best_params_["vae__n_components"]
    assert searches[1].score(digits, digit_labels) > 0.2


def test_unsupervised_search_maximises_the_likelihood(digits):
    search = GridSearchCV(
        GaussianVAETransformer(**FAST), {"max_epochs": [1, 12]}, cv=2, error_score="raise"
    ).fit(digits)
    assert search.best_params_ == {"max_epochs": 12}
    assert search.best_score_ < 0


def test_a_pipeline_decodes_back_to_its_input(make, real):
    pipeline = make_pipeline(StandardScaler(), make()).fit(real)
    back = pipeline.inverse_transform(pipeline.transform(real))
    assert back.shape == real.shape
    assert abs(back.mean() - real.mean()) < 1


def test_cross_validation_beside_another_transformer(make, digits, digit_labels):
    union = FeatureUnion([("vae", make()), ("pca", PCA(5))])
    model = make_pipeline(union, LogisticRegression(max_iter=500))
    scores = cross_val_score(model, digits, digit_labels, cv=2, error_score="raise")
    assert scores.min() > 0.6


def test_data_frames_and_feature_names(make, small):
    frame = pd.DataFrame(small, columns=[f"pixel{n}" for n in range(5)], index=range(100, 160))
    vae = make().set_output(transform="pandas").fit(frame)
    Z = vae.transform(frame)
    assert isinstance(Z, pd.DataFrame)
    assert Z.index.equals(frame.index)
    assert list(Z.columns) == list(vae.get_feature_names_out())
    assert list(vae.feature_names_in_) == list(frame.columns)
    assert (Z.dtypes == np.float32).all()
    assert isinstance(make().set_output(transform="pandas").fit_transform(frame), pd.DataFrame)
    with pytest.raises(ValueError, match="feature names should match"):
        vae.transform(frame[frame.columns[::-1]])


def test_names_come_from_the_class(small):
    names = SphericalVAETransformer(**FAST).fit(small).get_feature_names_out()
    assert list(names) == [f"sphericalvaetransformer{n}" for n in range(3)]


def test_column_transformer(make, real):
    frame = pd.DataFrame(real, columns=list("abcde"))
    columns = ColumnTransformer([("vae", make(), ["a", "b", "c"])], remainder="passthrough")
    out = columns.set_output(transform="pandas").fit_transform(frame)
    assert list(out.columns[-2:]) == ["remainder__d", "remainder__e"]


def test_clone_gives_an_unfitted_twin(make, small):
    vae = make(encoder=lambda n: __import__("torch").nn.Linear(n, 4)).fit(small)
    twin = clone(vae)
    assert twin.get_params() == vae.get_params()
    assert not hasattr(twin, "net_")
    assert not hasattr(twin, "n_features_in_")


def test_a_search_survives_a_candidate_that_diverges(small):
    import torch

    class Bad(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) * (float("inf") if self.training else 1.0)

    grid = {"encoder": ["mlp", lambda n: Bad(n, 4)]}
    search = GridSearchCV(GaussianVAETransformer(**FAST), grid, cv=2)
    with pytest.warns() as caught:
        search.fit(small)
    messages = " ".join(str(warning.message) for warning in caught)
    assert "2 fits failed out of a total of 4" in messages
    assert "DivergenceError: Training diverged in epoch 1: the loss is not finite" in messages
    assert np.isnan(search.cv_results_["mean_test_score"][1])
    assert search.best_index_ == 0
    assert issubclass(DivergenceError, ArithmeticError)


def test_fitted_attributes(make, small):
    vae = make().fit(small)
    assert vae.n_features_in_ == 5
    assert vae.n_iter_ == 2
    assert len(vae.loss_curve_) == 2
    assert set(vae.history_) >= {"epoch", "train_loss", "elbo", "reconstruction", "kl", "dur"}
    assert vae.likelihood_ == "isotropic_gaussian"
    assert vae.device_ == "cpu"
    assert hasattr(vae.net_, "module_")
    if not isinstance(vae.curvature_, list):
        assert vae.curvature_ == pytest.approx(vae.manifold_.curvature)
        assert vae.manifold_.dim == vae.n_components


def test_the_only_metadata_are_weights(make):
    requests = dict.fromkeys(("fit", "partial_fit", "score"), {"sample_weight": None})
    assert str(make().get_metadata_routing()) == str(requests)


def test_diagrams_link_to_no_page_of_another_project(make):
    for estimator in (make(), FingerprintTransformer()):
        assert estimator._doc_link_module == "skccvae"
        assert "href" not in estimator._repr_html_()
