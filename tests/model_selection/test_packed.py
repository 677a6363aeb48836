"""`PackedGridSearchCV` is `GridSearchCV`, with models that train together."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from torch.utils.data import DataLoader

from skccvae import ConstantCurvatureVAETransformer, GaussianVAETransformer
from skccvae.model_selection import PackedGridSearchCV

X, y = load_digits(return_X_y=True)
X, y = X[:150] / 16, y[:150] % 3
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "batch_size": 32, "random_state": 0}
TIMES = {f"{which}_{what}_time" for which in ("mean", "std") for what in ("fit", "score")}


def pipeline(**options):
    return Pipeline(
        [
            ("scale", MinMaxScaler()),
            ("vae", GaussianVAETransformer(**{**SMALL, **options})),
            ("clf", LogisticRegression(max_iter=500)),
        ]
    )


def assert_equal_results(packed, plain):
    """Entries but for times; scores to rounding."""
    assert packed.cv_results_.keys() - {"packed"} == plain.cv_results_.keys()
    for name, wanted in plain.cv_results_.items():
        found = packed.cv_results_[name]
        if name == "params":
            assert [str(params) for params in found] == [str(params) for params in wanted]
        elif name.startswith("param_"):
            assert [str(value) for value in found] == [str(value) for value in wanted]
        elif name not in TIMES:
            np.testing.assert_allclose(found, wanted, atol=1e-3, err_msg=name)


def both(estimator, grid, fit=(X, y), fit_params=None, **options):
    searches = []
    for kind in (PackedGridSearchCV, GridSearchCV):
        search = kind(clone(estimator), grid, **{"cv": 3, **options})
        searches.append(search.fit(*fit, **(fit_params or {})))
    assert_equal_results(*searches)
    return searches


def test_a_transformer():
    vae = GaussianVAETransformer(**SMALL)
    packed, plain = both(vae, {"n_components": [2, 3], "beta": [0.5, 1.0]}, (X,))
    assert packed.cv_results_["packed"].dtype == bool
    assert packed.cv_results_["packed"].all()
    assert packed.best_params_ == plain.best_params_
    np.testing.assert_allclose(packed.transform(X), plain.transform(X), atol=1e-4)
    assert packed.score(X) == pytest.approx(plain.score(X), abs=1e-4)


def test_a_pipeline():
    grid = {"vae__n_components": [2, 3], "clf__C": [0.1, 1.0]}
    packed, plain = both(pipeline(), grid, return_train_score=True)
    assert packed.cv_results_["packed"].all()
    assert packed.best_params_ == plain.best_params_
    np.testing.assert_array_equal(packed.predict(X), plain.predict(X))
    np.testing.assert_array_equal(packed.classes_, plain.classes_)
    assert packed.n_features_in_ == 64


def test_steps_and_models_in_the_grid():
    grid = [
        {
            "scale": [MinMaxScaler(), StandardScaler(), PCA(10, random_state=0)],
            "vae": [GaussianVAETransformer(**SMALL), ConstantCurvatureVAETransformer(**SMALL)],
        },
        {"vae": [PCA(3, random_state=0), "passthrough"]},
        {"vae__early_stopping": [True]},
    ]
    packed, _ = both(pipeline(), grid)
    assert packed.cv_results_["packed"].tolist() == [True] * 6 + [False] * 3


def test_processes():
    grid = {"vae__n_components": [2, 3], "vae__early_stopping": [False, True]}
    packed, _ = both(pipeline(), grid, n_jobs=2)
    # Keys come in alphabetical order.
    assert packed.cv_results_["packed"].tolist() == [True, True, False, False]


def test_a_pipeline_with_memory_trains_once_for_equal_steps(tmp_path):
    pipe = pipeline().set_params(memory=str(tmp_path))
    search = PackedGridSearchCV(pipe, {"clf__C": [0.1, 1.0, 10.0]}, cv=2, refit=False).fit(X, y)
    assert not search.cv_results_["packed"].any()
    # The scaler and the model of each fold.
    assert len(list(tmp_path.rglob("output.pkl"))) == 4


def test_filters_of_warnings_stay():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        before, copy = warnings.filters, list(warnings.filters)
        PackedGridSearchCV(pipeline(), {"vae__n_components": [2, 3]}, cv=2).fit(X, y)
        assert warnings.filters is before
        assert before == copy


def test_scores():
    scoring = {"accuracy": "accuracy", "again": make_scorer(accuracy_score)}
    grid = {"vae__n_components": [2, 3]}
    both(pipeline(), grid, scoring=scoring, refit="again")
    both(pipeline(), grid, scoring=scoring, refit=False)
    both(pipeline(), grid, scoring=lambda model, X, y: {"one": model.score(X, y)}, refit=False)
    both(pipeline(), grid, refit=lambda results: int(results["mean_test_score"].argmin()))


def test_a_scorer_that_fails():
    def fails(model, X, y):
        if model[1].n_components == 3:
            raise ValueError("no score")
        return model.score(X, y)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        packed, _ = both(pipeline(), {"vae__n_components": [2, 3]}, scoring=fails)
    assert np.isnan(packed.cv_results_["mean_test_score"]).tolist() == [False, True]
    search = PackedGridSearchCV(
        pipeline(), {"vae__n_components": [2, 3]}, cv=3, scoring=fails, error_score="raise"
    )
    with pytest.raises(ValueError, match="no score"):
        search.fit(X, y)


def test_a_model_that_diverges():
    grid = {"vae__learning_rate": [1e-3, 1e20]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.warns(FitFailedWarning, match="3 fits failed"):
            packed, _ = both(pipeline(), grid, error_score=-1.0)
    assert packed.cv_results_["mean_test_score"][1] == -1.0
    assert packed.best_params_ == {"vae__learning_rate": 1e-3}
    with pytest.raises(ArithmeticError, match="diverged"):
        PackedGridSearchCV(pipeline(), grid, cv=3, error_score="raise").fit(X, y)


def test_metadata():
    weights = np.random.default_rng(0).uniform(0.5, 2, len(X))
    groups = np.arange(len(X)) % 5
    vae = GaussianVAETransformer(**SMALL)
    both(vae, {"n_components": [2, 3]}, (X,), {"sample_weight": weights})
    with sklearn.config_context(enable_metadata_routing=True):
        vae.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        options = {"sample_weight": weights, "groups": groups}
        both(vae, {"n_components": [2, 3]}, (X,), options, cv=GroupKFold(3))


@pytest.mark.parametrize("options", [{"pack_size": 1}, {"pack_size": 2}, {"pre_dispatch": 2}])
def test_bounds(options):
    grid = {"vae__n_components": [2, 3]}
    plain = GridSearchCV(pipeline(), grid, cv=2, refit=False).fit(X, y)
    packed = PackedGridSearchCV(pipeline(), grid, cv=2, refit=False, **options).fit(X, y)
    assert_equal_results(packed, plain)
    assert packed.cv_results_["packed"].all() == (options.get("pack_size") != 1)


def test_without_a_model_of_ours():
    packed, _ = both(SVC(), {"C": [0.1, 1.0]})
    assert not packed.cv_results_["packed"].any()


def test_fits_are_timed_without_waiting():
    search = PackedGridSearchCV(pipeline(), {"vae__n_components": [2, 3]}, cv=3).fit(X, y)
    times = search.cv_results_["mean_fit_time"]
    assert (times > 0).all()


def test_scorers_that_train_models_are_timed():
    def score(model, X, y=None):
        GaussianVAETransformer(hidden_layer_sizes=(8,), max_epochs=8, random_state=0).fit(X)
        return model.score(X)

    vae = GaussianVAETransformer(hidden_layer_sizes=(8,), max_epochs=1, random_state=0)
    search = PackedGridSearchCV(vae, {"n_components": [2, 3]}, cv=2, scoring=score, refit=False)
    results = search.fit(X).cv_results_
    assert (results["mean_fit_time"] > 0).all()
    assert (results["mean_score_time"] > 0).all()


def test_precision_that_is_chosen_packs():
    vae = GaussianVAETransformer(hidden_layer_sizes=(8,), max_epochs=1, precision="auto")
    search = PackedGridSearchCV(vae, {"n_components": [2, 3]}, cv=2, refit=False).fit(X)
    assert search.cv_results_["packed"].all()


def test_a_stream_cannot_be_split():
    with pytest.raises(TypeError, match=r"splits rows.*got DataLoader"):
        PackedGridSearchCV(GaussianVAETransformer(), {}).fit(DataLoader(X))


def test_a_search_is_an_estimator():
    search = PackedGridSearchCV(pipeline(), {"vae__n_components": [2]}, cv=2, pack_size=3)
    assert clone(search).get_params(deep=False)["pack_size"] == 3
    again = pickle.loads(pickle.dumps(search.fit(X, y)))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    assert set(vars(search)) - set(vars(GridSearchCV(pipeline(), {}, cv=2).fit(X, y))) == {
        "pack_size"
    }
    with pytest.raises(ValueError, match="pack_size"):
        PackedGridSearchCV(pipeline(), {}, pack_size=0).fit(X, y)


def test_interrupted(monkeypatch):
    from skccvae.training import meeting

    def interrupt(trainings):
        raise KeyboardInterrupt

    monkeypatch.setattr(meeting, "train_pack", interrupt)
    search = PackedGridSearchCV(pipeline(), {"vae__n_components": [2, 3]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert not hasattr(search, "cv_results_")


def test_no_fits_at_all():
    search = PackedGridSearchCV(pipeline(), {"vae__n_components": [2]}, cv=[])
    with pytest.raises(ValueError, match="No fits were performed"):
        search.fit(X, y)
