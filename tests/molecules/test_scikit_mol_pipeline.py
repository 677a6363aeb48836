"""scikit-mol's own transformers before a latent space, in one pipeline."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scikit_mol.conversions import SmilesToMolTransformer
from scikit_mol.fingerprints import MorganFingerprintTransformer
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skccvae import SphericalVAETransformer


@pytest.fixture
def pipe():
    """As it is written in one line, but for the time it takes."""
    return make_pipeline(
        SmilesToMolTransformer(),
        MorganFingerprintTransformer(),
        SphericalVAETransformer(
            n_components=32, hidden_layer_sizes=(32,), max_epochs=5, random_state=0
        ),
        Ridge(),
    )


def test_it_fits_predicts_clones_and_pickles(pipe, smiles, sizes, all_odd):
    predicted = pipe.fit(smiles, sizes).predict(smiles)
    assert np.corrcoef(predicted, sizes)[0, 1] > 0.5
    np.testing.assert_array_equal(clone(pipe).fit(smiles, sizes).predict(smiles), predicted)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pipe)).predict(smiles), predicted)
    assert pipe[-2].likelihood_ == "bernoulli"
    names = pipe[:-1].get_feature_names_out()
    assert names.shape == (33,)
    assert names[0] == "sphericalvaetransformer0"
    assert pipe.predict(all_odd).shape == (len(all_odd),)


def test_it_predicts_gaps_of_real_molecules_better_than_their_mean(pipe, qm9):
    X, y = qm9
    pipe.set_params(sphericalvaetransformer__max_epochs=15, ridge__alpha=1e-3)
    assert pipe.fit(X[:800], y[:800]).score(X[800:], y[800:]) > 0.2


def test_grid_search_in_two_processes(pipe, smiles, sizes):
    grid = {
        "sphericalvaetransformer__n_components": [4, 8],
        "morganfingerprinttransformer__radius": [1, 2],
    }
    searches = [
        GridSearchCV(pipe, grid, cv=2, n_jobs=n, error_score="raise").fit(smiles, sizes)
        for n in (1, 2)
    ]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(*scores)


def test_a_string_that_is_no_molecule_stops_it(pipe, smiles, sizes):
    with pytest.raises(ValueError, match="x1x"):
        pipe.fit([*smiles[:-1], "x1x"], sizes)
