"""The result of a comparison: its rule, its tables."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from skccvae.model_selection import GeometryComparison


def comparison(n_train: int = 75, n_test: int = 25, **values) -> GeometryComparison:
    n = len(next(iter(values.values()))[0])
    return GeometryComparison(
        [f"g{i}" for i in range(n)],
        values,
        n_train=n_train,
        n_test=n_test,
        n_components=3,
        likelihood="gaussian",
    )


@pytest.mark.parametrize("gain", [0.2, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("n_repeats", [2, 5, 12])
def test_the_rule_is_the_corrected_t_test(gain: float, n_repeats: int) -> None:
    rng = np.random.default_rng(n_repeats)
    first = rng.normal(size=n_repeats)
    second = first + gain + 0.2 * rng.normal(size=n_repeats)
    values = np.stack([first, second], axis=1)
    # With a test set that is nothing beside the training set, it is the paired t-test.
    plain = comparison(n_train=10**9, n_test=1, elbo=values)
    test = ttest_rel(second, first)
    expected = "g1" if test.statistic > 0 and test.pvalue < 0.05 else "no difference"
    assert plain.best("elbo") == expected
    mean, error = plain.difference("elbo", "g1", "g0")
    np.testing.assert_allclose(mean / error, test.statistic, rtol=1e-6)
    # Overlap of the training rows widens the error.
    _, wider = comparison(elbo=values).difference("elbo", "g1", "g0")
    np.testing.assert_allclose((wider / error) ** 2, 1 + n_repeats / 3, rtol=1e-6)


def test_lower_errors_are_better() -> None:
    values = np.array([[1.0, 2.0, 3.0]]) + np.array([[0.0], [0.5], [1.0]])
    result = comparison(mean_squared_error=values, elbo=values)
    assert result.best("mean_squared_error") == "g0"
    assert result.best("elbo") == "g2"


def test_the_runner_up_decides_and_ties_are_none() -> None:
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.normal(size=5)
    values = np.stack([np.zeros(5), noise, np.full(5, -9.0)], axis=1)
    assert comparison(elbo=values).best("elbo") == "no difference"
    assert comparison(elbo=np.ones((4, 2))).best("elbo") == "no difference"


def test_geometries_without_a_value_are_left_out() -> None:
    values = np.array([[np.nan, 1.0, 2.0], [np.nan, 1.1, 2.1], [np.nan, 1.0, 2.0]])
    result = comparison(elbo=values, knn_r2=np.where([[1, 0, 0]] * 3, 1.0, np.nan))
    assert result.best("elbo") == "g2"
    with pytest.raises(ValueError, match="needs two geometries with a value.*got 1"):
        result.best("knn_r2")
    text = str(result).splitlines()
    assert text[2].split()[:2] == ["elbo", "-"]
    assert text[3].split()[-3:] == ["-", "-", "-"]


def test_tables() -> None:
    values = np.array([[1.0, 2.0], [3.0, 2.0]])
    result = comparison(elbo=values)
    assert list(result.table) == ["geometry", "mean_elbo", "std_elbo"]
    np.testing.assert_allclose(result.table["std_elbo"], [np.sqrt(2), 0])
    frame = result.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame.loc["g0", "mean_elbo"] == 2.0
    assert (
        repr(result)
        == "GeometryComparison(geometries=['g0', 'g1'], criteria=['elbo'], n_repeats=2)"
    )
    assert str(pickle.loads(pickle.dumps(result))) == str(result)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="at least 2 repeats"):
        comparison(elbo=[[1.0, 2.0]])
    with pytest.raises(ValueError, match="all of shape"):
        comparison(elbo=[[1.0, 2.0]] * 2, pearson=[[1.0, 2.0]] * 3)
    result = comparison(elbo=[[1.0, 2.0]] * 2)
    with pytest.raises(ValueError, match="criterion must be one of .'elbo'.; got 'speed'"):
        result.best("speed")
    with pytest.raises(ValueError, match="expected one of .'g0', 'g1'.; got 'g7'"):
        result.difference("elbo", "g0", "g7")
