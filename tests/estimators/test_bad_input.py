"""Bad input: what was expected, what came, and what to do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from skccvae import (
    AutoencoderTransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    SphericalVAETransformer,
)
from skccvae.manifolds import CHARTS

FAST = {"max_epochs": 1, "hidden_layer_sizes": (8,), "random_state": 0}
X = np.random.default_rng(0).random((20, 4))


def refused(vae, match, X=X, y=None, error=ValueError):
    with pytest.raises(error, match=match):
        vae.fit(X, y)


# --- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1.0, 0.0, float("nan"), float("inf"), "1", None])
def test_curvature_of_a_sphere(value):
    refused(
        SphericalVAETransformer(curvature=value, **FAST),
        r"'curvature' parameter of SphericalVAETransformer must be a float in the range "
        r"\(0.0, inf\). Got .* instead. Use GaussianVAETransformer for curvature 0, Hyperbolic",
    )


@pytest.mark.parametrize("value", [1.0, 0.0, float("nan"), -float("inf"), "-1", None])
def test_curvature_of_a_hyperbolic_space(value):
    refused(
        HyperbolicVAETransformer(curvature=value, **FAST),
        r"'curvature' parameter of HyperbolicVAETransformer must be a float in the range "
        r"\(-inf, 0.0\). Got .* instead. Use GaussianVAETransformer for curvature 0, Spherical",
    )


@pytest.mark.parametrize("kind", [SphericalVAETransformer, HyperbolicVAETransformer])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_prior_scale(kind, value):
    refused(
        kind(posterior="wrapped_normal", prior_scale=value, **FAST),
        r"'prior_scale' parameter of \w+ must be a float in the range \(0.0, inf\).* Got",
    )


@pytest.mark.parametrize("value", [0, -1, 2.0, 2.5, "2", None])
def test_dimension(make, value):
    vae = make()
    if "n_components" not in vae.get_params():
        return
    refused(
        vae.set_params(n_components=value),
        r"'n_components' parameter of \w+ must be an int in the range \[1, inf\). Got .* instead. "
        "It is the intrinsic dimension",
    )


# scikit-learn prints the names in the order of a set, which differs from process to process.
_NETWORKS = r"{('conv', 'mlp'|'mlp', 'conv')}"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("coordinates", "polar", "a str among"),
        ("activation", "rulu", "a str among"),
        ("likelihood", "normal", "a str among"),
        ("objective", "vae", "a str among"),
        ("encoder", "cnn", r"among .*'molecular_graph'.*Got 'cnn' instead. A torch module"),
        ("decoder", 3, rf"among {_NETWORKS} or a callable. Got 3 instead. A torch module"),
        ("beta", -1.0, r"in the range \[0.0, inf\)"),
        ("beta", float("nan"), r"in the range \[0.0, inf\)"),
        ("learning_rate", 0.0, r"in the range \(0.0, inf\)"),
        ("learning_rate", float("inf"), r"in the range \(0.0, inf\)"),
        ("batch_size", 0, r"in the range \[1, inf\)"),
        ("batch_size", 12.5, "an int"),
        ("max_epochs", 0, r"in the range \[1, inf\)"),
        ("kl_warmup_epochs", -1, r"in the range \[0, inf\)"),
        ("free_bits", -0.1, r"in the range \[0.0, inf\)"),
        ("n_latent_samples", 0, r"in the range \[1, inf\)"),
        ("n_epochs_no_change", 0, r"in the range \[1, inf\)"),
        ("supervised_weight", -0.5, r"in the range \[0.0, inf\)"),
        ("weight_decay", -0.5, r"in the range \[0.0, inf\)"),
        ("weight_decay", float("inf"), r"in the range \[0.0, inf\)"),
        ("validation_fraction", 1.0, r"in the range \(0.0, 1.0\)"),
        ("binarize", "static", "Use 'dynamic' for fresh draws"),
        ("binarize", 1.5, "Use 'dynamic' for fresh draws"),
        ("binarize", True, "Got True instead. Use None for no binarisation"),
        ("binarize", False, "Got False instead. Use None for no binarisation"),
        ("callbacks", 4, "Pass a list of skorch callbacks"),
        ("random_state", "zero", "an int in the range"),
        ("random_state", -1, "an int in the range"),
        ("early_stopping", "yes", "an instance of 'bool'"),
        ("device", 0, "an instance of 'str' or an instance of 'torch.* Got 0"),
    ],
)
def test_other_parameters(name, value, expected):
    refused(
        GaussianVAETransformer(**{**FAST, name: value}),
        f"'{name}' parameter of GaussianVAETransformer must be .*{expected}",
    )


@pytest.mark.parametrize("value", [(8, 0), (8.5,), [[8, 8], [4, 4]], ("a",)])
def test_hidden_layer_sizes(value):
    refused(
        GaussianVAETransformer(hidden_layer_sizes=value, max_epochs=1),
        r"hidden_layer_sizes must hold positive integers, .* such as \(256, 128\); got",
    )


@pytest.mark.parametrize("value", [(0, 4), (2.0, 2), ("a", "b"), ()])
def test_image_shape_values(value):
    refused(
        GaussianVAETransformer(image_shape=value, **FAST),
        r"image_shape must hold positive integers, .* such as \(28, 28\); got",
    )


@pytest.mark.parametrize("convert", [np.asarray, list, sp.csr_matrix, lambda X: X[:, :, None]])
def test_image_shape_that_does_not_fit(convert):
    refused(
        GaussianVAETransformer(image_shape=(3, 2), **FAST),
        r"image_shape=\(3, 2\) has 6 numbers per sample, but X has 4 columns. Pass the shape",
        X=convert(X),
    )


def test_unknown_device():
    for name in ("tpu", "abacus", "mps:0:1"):
        refused(
            GaussianVAETransformer(device=name, **FAST),
            f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N'; got '{name}'",
        )


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused(
        GaussianVAETransformer(device="cuda", **FAST),
        "device='cuda' was requested, but torch sees no CUDA GPU on this machine. Use device=",
    )


def test_modules_of_the_wrong_shape():
    refused(
        GaussianVAETransformer(encoder=torch.nn.Linear(7, 3), **FAST),
        r"encoder module does not accept a batch of shape \(2, 4\)",
    )
    refused(
        GaussianVAETransformer(decoder=lambda n, m: torch.nn.Linear(n, m + 1), **FAST),
        "decoder must return 4 numbers per row for IsotropicGaussianLikelihood on 4 features; "
        "it returned 5",
    )
    refused(
        GaussianVAETransformer(encoder=lambda n: n, **FAST),
        r"encoder callable must return a torch.nn.Module .* it returned int",
        error=TypeError,
    )


# --- X --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix, sp.csc_array])
def test_nan_and_infinity(make, bad, convert):
    wrong = X.copy()
    wrong[3, 2] = bad
    what = "contains NaN" if np.isnan(bad) else "contains infinity"
    refused(make(), what, X=convert(wrong))
    vae = make().fit(X)
    for method in (vae.transform, vae.score_samples, vae.score, vae.evaluate, vae.partial_fit):
        with pytest.raises(ValueError, match=what):
            method(convert(wrong))


@pytest.mark.parametrize("shape", [(0, 4), (5, 0), (0, 3, 3)])
def test_empty_X(make, shape):
    refused(make(), r"Found array with 0 (sample|feature)\(s\) .* a minimum of 1", X=np.ones(shape))


def test_wrong_kinds_of_X():
    refused(GaussianVAETransformer(**FAST), "Expected 2D array, got 1D array", X=X[0])
    refused(GaussianVAETransformer(**FAST), "Complex data not supported", X=X + 1j)
    refused(GaussianVAETransformer(**FAST), "not compatible with arrays of bytes", X=[["a"], ["b"]])
    refused(GaussianVAETransformer(**FAST), "inhomogeneous", X=[[1.0, 2.0], [3.0]])


DAYS = pd.date_range("2020", periods=20)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.Categorical(["Paris", "Rome"] * 10), "category. holds text, such as 'Paris'"),
        (pd.Categorical(["1", "2"] * 10), "category. holds text, such as '1'"),
        (pd.cut(X[:, 0], 3), "category. holds Interval, such as"),
        (["Paris", "Rome"] * 10, ".*. holds text, such as 'Paris'"),
        (pd.array(["1", "Rome"] * 10, dtype="string"), "string. holds text, such as 'Rome'"),
        (np.array([1.0, "Rome"] * 10, dtype=object), "object. holds text, such as 'Rome'"),
        ([None, "Rome"] * 10, ".*. holds text, such as 'Rome'"),
        (np.array([None, "Rome", pd.NA, 1.0] * 5, dtype=object), "object. holds text, such as"),
        (DAYS.where(X[:, 0] > X[0, 0]), r"datetime64.*. holds Timestamp, such as '2020-01-0"),
        (DAYS, r"datetime64.*. holds Timestamp, such as '2020-01-01"),
        (DAYS.tz_localize("UTC"), r"datetime64.*UTC.. holds Timestamp"),
        (DAYS - DAYS[0], r"timedelta64.*. holds Timedelta"),
        (DAYS.to_period("D"), r"period.D.. holds Period"),
        (DAYS.date, "object. holds date, such as '2020-01-01'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("alone", [True, False])
def test_a_column_that_holds_no_numbers_is_named(column, kind, alone):
    frame = pd.DataFrame({"what": column})
    if not alone:
        frame.insert(0, "ok", X[:, 0])
    match = rf"Column 'what' of X \({kind}.*X takes numbers only.*leave the column out"
    # With columns of text in a frame "auto" takes a categorical likelihood for them.
    refused(GaussianVAETransformer(likelihood="gaussian", **FAST), match, X=frame)
    vae = GaussianVAETransformer(**FAST).fit(X[:, : frame.shape[1]])
    with pytest.raises(ValueError, match=match):
        vae.transform(frame)


@pytest.mark.parametrize("likelihood", ["auto", "poisson"])
@pytest.mark.parametrize(
    "dates",
    [
        DAYS.to_numpy()[:, None],
        (DAYS - DAYS[0]).to_numpy()[:, None],
        DAYS.to_numpy()[:, None, None],
    ],
    ids=["dates", "differences", "images"],
)
@pytest.mark.parametrize("convert", [np.asarray, list])
def test_dates_are_no_numbers(likelihood, dates, convert):
    vae = GaussianVAETransformer(likelihood=likelihood, **FAST)
    refused(
        vae,
        r"X holds (datetime|timedelta)64, such as .* [Tt]urn dates into numbers",
        X=convert(dates),
    )


def test_frames_of_every_kind_of_number_are_taken():
    frame = pd.DataFrame(
        {
            "float": X[:, 0],
            "category": pd.Categorical([1.5, 2.5] * 10),
            "Int64": pd.array([1, 2] * 10, dtype="Int64"),
            "boolean": pd.array([True, False] * 10, dtype="boolean"),
            "bool": [True, False] * 10,
            "object": np.array([1, 2.5] * 10, dtype=object),
            "text": ["1.5", "2.5"] * 10,
        }
    )
    vae = GaussianVAETransformer(**FAST)
    vae.set_params(likelihood="gaussian")
    Z = vae.fit_transform(frame)
    np.testing.assert_array_equal(Z, vae.fit_transform(frame.astype(float).to_numpy()))


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli"])
@pytest.mark.parametrize("wrong", [X + 0.5, X - 0.5, sp.csr_matrix(2 * X)])
def test_X_outside_the_unit_interval(make, likelihood, wrong):
    match = (
        rf"likelihood='{likelihood}' needs X in \[0, 1\]; X runs from .* to .*. Scale it, for "
        "example with sklearn.preprocessing.MinMaxScaler, or use likelihood='gaussian'"
    )
    refused(make(likelihood=likelihood), match, X=wrong)
    vae = make(likelihood=likelihood).fit(X)
    for method in (vae.score_samples, vae.score, vae.evaluate, vae.partial_fit):
        with pytest.raises(ValueError, match=match):
            method(wrong)


def test_binarize_needs_the_unit_interval_and_a_likelihood_of_pixels():
    refused(
        GaussianVAETransformer(binarize="dynamic", **FAST),
        r"binarize='dynamic' needs X in \[0, 1\] .* X runs from .* Scale it",
        X=3 * X,
    )
    refused(
        GaussianVAETransformer(binarize=0.5, likelihood="gaussian", **FAST),
        "binarize=0.5 makes X 0 or 1, which likelihood='gaussian' does not describe. Use",
    )


@pytest.mark.parametrize("name", ["poisson", "negative_binomial"])
def test_counts_are_not_negative(name):
    refused(
        GaussianVAETransformer(likelihood=name, **FAST),
        f"likelihood='{name}' needs counts, X >= 0; its smallest entry is -0.* Use likelihood=",
        X=X - 0.5,
    )


def test_a_wrong_number_of_columns(make):
    vae = make().fit(X)
    for n in (3, 5):
        wrong = np.ones((2, n))
        for call in (
            vae.transform,
            vae.score_samples,
            vae.partial_fit,
            lambda wrong: vae.interpolate(X[:2], wrong),
        ):
            with pytest.raises(ValueError, match=f"X has {n} features, but .* expecting 4"):
                call(wrong)


def test_images_of_another_shape(make):
    images = np.random.default_rng(0).random((10, 2, 6))
    vae = make().fit(images)
    with pytest.raises(ValueError, match=r"shape \(6, 2\), but .* fitted on samples of shape \(2"):
        vae.transform(images.reshape(10, 6, 2))
    with pytest.raises(ValueError, match="X has 9 features, but .* expecting 12"):
        vae.transform(np.ones((3, 3, 3)))


def test_too_few_rows_for_early_stopping():
    refused(
        GaussianVAETransformer(early_stopping=True, **FAST),
        r"holds out 1 row\(s\) of X and leaves none to train on: X has n_samples=1. Use "
        "early_stopping=False",
        X=X[:1],
    )


# --- y --------------------------------------------------------------------------------------------


def test_y_for_a_supervised_model():
    vae = GaussianVAETransformer(supervised_weight=1.0, **FAST)
    refused(vae, "supervised_weight > 0 needs y. Pass y to fit, with NaN for rows without a label")
    refused(vae, r"y must have shape \(20,\) or \(20, n_targets\); got \(3,\)", y=[1, 2, 3])
    refused(vae, "y contains infinity; use NaN for rows without a label", y=[np.inf] * 20)
    refused(vae, "target 0 of y has none", y=np.full(20, np.nan))
    vae.fit(X, np.arange(20) % 2)
    with pytest.raises(ValueError, match="a class that the model does not know: 7. The known"):
        vae.partial_fit(X, np.full(20, 7))
    with pytest.raises(ValueError, match=r"y has 2 target\(s\), but the model was started with 1"):
        vae.partial_fit(X, np.ones((20, 2)))
    plain = GaussianVAETransformer(**FAST).fit(X)
    with pytest.raises(ValueError, match="started without targets; call fit with warm_start=False"):
        plain.set_params(supervised_weight=1.0).partial_fit(X, np.arange(20))


# --- methods --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, 2.5, "3", None])
def test_counts(make_vae, value):
    vae = make_vae().fit(X)
    with pytest.raises(ValueError, match="n_samples must be an integer of at least 1; got"):
        vae.sample(value)
    with pytest.raises(ValueError, match="n_importance_samples must be an integer of at least 1"):
        vae.score_samples(X, value)
    with pytest.raises(ValueError, match="n_importance_samples must be an integer of at least 1"):
        vae.evaluate(X, n_importance_samples=value)
    with pytest.raises(ValueError, match="n_steps must be an integer of at least 2; got"):
        vae.interpolate(X[:2], X[2:4], value)


def test_interpolate_pairs_rows(make):
    vae = make().fit(X)
    with pytest.raises(ValueError, match="same number of rows; got 2 and 3"):
        vae.interpolate(X[:2], X[:3])


def test_methods_need_a_fitted_estimator(make):
    vae = make()
    Z = np.ones((2, 3))
    for call in (
        lambda: vae.transform(X),
        lambda: vae.inverse_transform(Z),
        lambda: vae.score_samples(X),
        lambda: vae.score(X),
        lambda: vae.evaluate(X),
        lambda: vae.interpolate(X, X),
        lambda: vae.geodesic_distances(Z),
        lambda: vae.get_feature_names_out(),
    ):
        with pytest.raises(ValueError, match="not fitted yet"):
            call()


def test_a_fit_that_failed_leaves_no_fitted_estimator():
    vae = GaussianVAETransformer(encoder=torch.nn.Linear(9, 2), **FAST)
    refused(vae, "does not accept a batch")
    with pytest.raises(ValueError, match="not fitted yet"):
        vae.transform(X)


def test_an_autoencoder_has_neither_posterior_nor_prior():
    vae = AutoencoderTransformer(**FAST).fit(X)
    assert not hasattr(vae, "posterior_distribution")
    assert not hasattr(vae, "sample")
    with pytest.raises(AttributeError, match="no prior to sample from; use GaussianVAE"):
        vae.sample(3)
    with pytest.raises(AttributeError, match="no posterior distribution; its code is a point"):
        vae.posterior_distribution(X)


def test_rows_too_far_out_for_float32(make):
    vae = make().fit(X)
    with pytest.raises(ValueError, match=r"not finite for 1 row\(s\), the first at 2"):
        vae.transform(np.vstack([X[:2], np.full((1, 4), 1e39)]))


# --- latent points --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vae", "coordinates", "wanted"),
    [
        (GaussianVAETransformer, "ambient", 2),
        (GaussianVAETransformer, "natural", 2),
        (SphericalVAETransformer, "ambient", 3),
        (SphericalVAETransformer, "natural", 3),
        (SphericalVAETransformer, "tangent", 2),
        (SphericalVAETransformer, "stereographic", 2),
        (HyperbolicVAETransformer, "ambient", 3),
        (HyperbolicVAETransformer, "natural", 2),
        (HyperbolicVAETransformer, "tangent", 2),
        (HyperbolicVAETransformer, "stereographic", 2),
    ],
)
def test_latent_points_with_a_wrong_number_of_columns(vae, coordinates, wanted):
    vae = vae(coordinates=coordinates, **FAST).fit(X)
    ambient = 2 if isinstance(vae, GaussianVAETransformer) else 3
    for n in (wanted - 1, wanted + 1):
        wrong = np.full((2, n), 0.1)
        with pytest.raises(
            ValueError,
            match=rf"X has {n} columns, but latent points in coordinates='{coordinates}' have "
            rf"{wanted}. The space has 2 intrinsic dimensions and {ambient} ambient ones",
        ):
            vae.inverse_transform(wrong)
        with pytest.raises(ValueError, match=r"2.* ambient dimension 2|3"):
            vae.geodesic_distances(wrong)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("coordinates", CHARTS)
def test_latent_points_that_are_not_finite(make, bad, coordinates):
    vae = make(coordinates=coordinates).fit(X)
    Z = vae.transform(X)
    Z[4, 0] = bad
    with pytest.raises(ValueError, match="contains (NaN|infinity)"):
        vae.inverse_transform(Z)
    with pytest.raises(ValueError, match="contain NaN or infinity"):
        vae.geodesic_distances(Z)


def test_latent_points_off_a_sphere():
    vae = SphericalVAETransformer(**FAST).fit(X)
    for coordinates in ("ambient", "natural"):
        vae.set_params(coordinates=coordinates)
        for method in (vae.inverse_transform, vae.geodesic_distances):
            with pytest.raises(ValueError, match="zero vector has no nearest point on the sphere"):
                method(np.zeros((1, 3)))


def test_latent_points_off_a_hyperbolic_space():
    vae = HyperbolicVAETransformer(coordinates="ambient", curvature=-0.25, **FAST).fit(X)
    for point in ([1.0, 2.0, 0.0], [1.0, 1.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 0.0, 0.0]):
        for method in (vae.inverse_transform, vae.geodesic_distances):
            with pytest.raises(ValueError, match="space-like .* misses the hyperboloid. Pass"):
                method([point])
    vae.set_params(coordinates="stereographic")
    for point in ([2.0, 0.0], [5.0, 1.0]):
        for method in (vae.inverse_transform, vae.geodesic_distances):
            with pytest.raises(ValueError, match="inside the ball of radius .* = 2; the largest"):
                method([point])
    vae.inverse_transform([[1.99, 0.0]])
