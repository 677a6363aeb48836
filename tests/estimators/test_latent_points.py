"""Charts, projection, reconstruction, geodesics: what happens to latent points."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skccvae import (
    AutoencoderTransformer,
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)
from skccvae.manifolds import CHARTS

CURVED = {
    "sphere": (SphericalVAETransformer, 1.0),
    "small sphere": (SphericalVAETransformer, 9.0),
    "wide sphere": (SphericalVAETransformer, 0.04),
    "hyperbolic": (HyperbolicVAETransformer, -1.0),
    "very hyperbolic": (HyperbolicVAETransformer, -9.0),
    "hardly hyperbolic": (HyperbolicVAETransformer, -0.04),
}


def fit(kind, X, **params):
    cls, curvature = CURVED[kind]
    settings = {"max_epochs": 3, "hidden_layer_sizes": (32,), "random_state": 0}
    return cls(curvature=curvature, **{**settings, **params}).fit(X)


@pytest.fixture(params=list(CURVED))
def curved(request, digits):
    return fit(request.param, digits, n_components=3, learning_rate=5e-3)


def test_the_defaults_are_the_contracts():
    assert GaussianVAETransformer().coordinates == "ambient"
    assert SphericalVAETransformer().coordinates == "ambient"
    assert HyperbolicVAETransformer().coordinates == "tangent"
    assert ConstantCurvatureVAETransformer().coordinates == "tangent"
    assert MixedCurvatureVAETransformer().coordinates == "natural"
    assert AutoencoderTransformer().coordinates == "ambient"


def test_widths_of_the_charts(make, digits):
    for coordinates in CHARTS:
        vae = make(coordinates=coordinates).fit(digits)
        d, ambient = vae.manifold_.dim, vae.manifold_.ambient_dim
        n_spheres = sum(factor.curvature > 0 for factor in vae.manifold_.factors)
        Z = vae.transform(digits)
        width = {"ambient": ambient, "natural": d + n_spheres}.get(coordinates, d)
        assert Z.shape == (600, width)
        assert len(vae.get_feature_names_out()) == Z.shape[1]


def test_points_lie_on_the_space(curved, digits):
    K, R = curved.curvature_, abs(curved.curvature_) ** -0.5
    curved.set_params(coordinates="ambient")
    Z = curved.transform(digits).astype(np.float64)
    if K > 0:
        np.testing.assert_allclose(np.linalg.norm(Z, axis=1), R, rtol=1e-5)
    else:
        np.testing.assert_allclose(Z[:, 0], np.sqrt(R**2 + (Z[:, 1:] ** 2).sum(1)), rtol=1e-5)
        assert (np.linalg.norm(curved.set_params(coordinates="stereographic").transform(digits),
                               axis=1) < R).all()  # fmt: skip


def test_all_charts_name_the_same_points(curved, digits):
    X = digits[:80]
    back, distances = {}, {}
    for coordinates in CHARTS:
        curved.set_params(coordinates=coordinates)
        Z = curved.transform(X)
        back[coordinates] = curved.inverse_transform(Z)
        distances[coordinates] = curved.geodesic_distances(Z)
    scale = distances["tangent"].max()
    for coordinates in CHARTS:
        np.testing.assert_allclose(back[coordinates], back["tangent"], atol=2e-5)
        np.testing.assert_allclose(distances[coordinates], distances["tangent"], atol=1e-4 * scale)


def test_the_charts_agree_with_their_textbook_formulas(curved, digits):
    K, R = curved.curvature_, abs(curved.curvature_) ** -0.5
    charts = {
        c: curved.set_params(coordinates=c).transform(digits[:50]).astype(np.float64)
        for c in CHARTS
    }
    ambient = charts["ambient"]
    # Stereographic projection from the antipode (-R, 0) onto the plane x_0 = 0.
    np.testing.assert_allclose(
        charts["stereographic"], R * ambient[:, 1:] / (R + ambient[:, :1]), rtol=1e-4, atol=1e-6 * R
    )
    # The length of the logarithm is the distance to the origin.
    radius = np.linalg.norm(charts["tangent"], axis=1)
    sine = np.linalg.norm(ambient[:, 1:], axis=1) / R
    expected = np.arctan2(sine, ambient[:, 0] / R) if K > 0 else np.arcsinh(sine)
    np.testing.assert_allclose(radius, R * expected, rtol=1e-4, atol=1e-6 * R)
    natural = "ambient" if K > 0 else "tangent"
    assert charts["natural"].tobytes() == charts[natural].tobytes()
    origin = {"ambient": [R, 0, 0, 0], "stereographic": [0, 0, 0], "tangent": [0, 0, 0]}
    decoded = [
        curved.set_params(coordinates=c).inverse_transform([point]) for c, point in origin.items()
    ]
    np.testing.assert_allclose(decoded[0], decoded[1], atol=1e-6)
    np.testing.assert_allclose(decoded[1], decoded[2], atol=1e-6)


@pytest.fixture
def product(digits):
    return MixedCurvatureVAETransformer(
        "h2,s2,e1,s1", curvature=[-0.5, 2.0, 0.0, 1.0], learning_rate=5e-3, max_epochs=3,
        hidden_layer_sizes=(32,), random_state=0,
    ).fit(digits)  # fmt: skip


def test_each_factor_of_a_product_has_its_natural_chart(product, digits):
    X = digits[:80]
    Z = product.transform(X)
    names = product.get_feature_names_out().tolist()
    assert names == ["h0_0", "h0_1", "s0_0", "s0_1", "s0_2", "e0_0", "s1_0", "s1_1"]
    ambient = product.set_params(coordinates="ambient").transform(X)
    assert ambient.shape == (80, 9)
    tangent = product.set_params(coordinates="tangent").transform(X)
    expected = np.concatenate([tangent[:, :2], ambient[:, 3:]], axis=1)
    assert Z.tobytes() == expected.tobytes()


def test_natural_points_of_a_product_decode_and_lie_apart_as_ambient_ones(product, digits):
    X = digits[:80]
    Z = product.transform(X)
    back, distances = product.inverse_transform(Z), product.geodesic_distances(Z)
    sample, path = product.sample(5), product.interpolate(X[:2], X[2:4], 3)
    product.set_params(coordinates="ambient")
    A = product.transform(X)
    np.testing.assert_allclose(back, product.inverse_transform(A), atol=2e-5)
    np.testing.assert_allclose(
        distances, product.geodesic_distances(A), atol=1e-4 * distances.max()
    )
    # These never pass through a chart.
    assert np.array_equal(sample, product.sample(5))
    assert np.array_equal(path, product.interpolate(X[:2], X[2:4], 3))


def test_natural_points_of_spheres_are_projected_along_rays(product, digits):
    Z = product.transform(digits[:40])
    longer = Z.copy()
    longer[:, 2:5] *= 7.0
    longer[:, 6:] *= 0.1
    np.testing.assert_allclose(
        product.inverse_transform(longer), product.inverse_transform(Z), atol=2e-4
    )
    D = product.geodesic_distances(Z)
    np.testing.assert_allclose(product.geodesic_distances(longer), D, atol=1e-5 * D.max())
    longer[3, 2:5] = 0.0
    for method in (product.inverse_transform, product.geodesic_distances):
        with pytest.raises(ValueError, match="zero vector has no nearest point on the sphere"):
            method(longer)


def test_a_learned_curvature_picks_its_natural_chart_by_its_fitted_sign(digits):
    vae = MixedCurvatureVAETransformer(
        "e2,h1", learn_curvature=True, max_epochs=1, hidden_layer_sizes=(8,), random_state=0
    ).fit(digits)
    factor = vae.net_.module_.latent.factors[0]
    for value, names in (
        (-0.3, ["e0_0", "e0_1", "h0_0"]),
        (0.3, ["e0_0", "e0_1", "e0_2", "h0_0"]),
    ):
        with torch.no_grad():
            factor.learned.fill_(value)
        vae._update_fitted()
        assert np.sign(vae.curvature_[0]) == np.sign(value)
        assert vae.get_feature_names_out().tolist() == names
        Z = vae.transform(digits[:20])
        assert Z.shape == (20, len(names))
        assert np.isfinite(vae.inverse_transform(Z)).all()


def test_ambient_points_are_projected_along_rays(curved, digits):
    curved.set_params(coordinates="ambient")
    Z = curved.transform(digits[:40])
    expected = curved.inverse_transform(Z)
    for factor in (1e-3, 0.5, 2.0, 1e3):
        np.testing.assert_allclose(curved.inverse_transform(factor * Z), expected, atol=2e-4)
        distance = curved.geodesic_distances(factor * Z[:1], Z[:1])
        np.testing.assert_allclose(distance, 0, atol=2e-3 * curved.manifold_.radius_)


def test_a_mean_of_latent_points_is_fair_input(curved, digits):
    curved.set_params(coordinates="ambient")
    mean = curved.transform(digits[:30]).mean(axis=0, keepdims=True)
    assert np.isfinite(curved.inverse_transform(mean)).all()
    assert np.isfinite(curved.geodesic_distances(mean, curved.transform(digits))).all()


def test_inverse_transform_reconstructs(make, digits):
    vae = make(
        max_epochs=40, learning_rate=2e-3, hidden_layer_sizes=(128,), batch_size=32, beta=0.01
    ).fit(digits)
    back = vae.inverse_transform(vae.transform(digits))
    assert back.dtype == np.float32
    error = np.mean((back - digits) ** 2)
    assert error < 0.85 * np.mean((digits - digits.mean(axis=0)) ** 2)


def test_latent_points_may_come_as_lists_and_frames(make, small):
    vae = make().fit(small)
    Z = vae.transform(small)
    expected = vae.inverse_transform(Z)
    np.testing.assert_allclose(vae.inverse_transform(Z.tolist()), expected, rtol=1e-5)
    vae.set_output(transform="pandas")
    frame = vae.transform(small)
    assert list(frame.columns) == list(vae.get_feature_names_out())
    assert np.array_equal(vae.inverse_transform(frame), expected)
    np.testing.assert_array_equal(vae.geodesic_distances(frame), vae.geodesic_distances(Z))


# --- distances and paths --------------------------------------------------------------------------


def test_geodesic_distances_are_a_metric(make, digits):
    vae = make().fit(digits)
    Z = vae.transform(digits[:40])
    D = vae.geodesic_distances(Z)
    assert D.shape == (40, 40)
    assert np.array_equal(D, D.T)
    assert (np.diag(D) == 0).all()
    assert (D[~np.eye(40, dtype=bool)] >= 0).all()
    assert (D[:, None] <= D[:, :, None] + D[None] + 1e-9 * D.max()).all()
    other = vae.geodesic_distances(Z[:7], Z)
    np.testing.assert_allclose(other, D[:7], rtol=1e-9, atol=1e-12)
    if vae.curvature_ == 0:
        np.testing.assert_allclose(
            D, np.linalg.norm(Z[:, None].astype(float) - Z[None].astype(float), axis=-1), atol=1e-6
        )


def test_distances_on_a_sphere_are_angles_times_its_radius(digits):
    vae = fit("small sphere", digits)
    Z = vae.transform(digits[:30]).astype(np.float64)
    cosine = np.clip(9 * Z @ Z.T, -1, 1)
    np.testing.assert_allclose(vae.geodesic_distances(Z), np.arccos(cosine) / 3, atol=2e-3)


def test_interpolation_begins_and_ends_at_the_reconstructions(make, digits):
    vae = make().fit(digits)
    start, end = digits[:6], digits[6:12]
    path = vae.interpolate(start, end, 7)
    assert path.shape == (6, 7, 64)
    assert path.dtype == np.float32
    np.testing.assert_allclose(path[:, 0], vae.inverse_transform(vae.transform(start)), atol=1e-5)
    np.testing.assert_allclose(path[:, -1], vae.inverse_transform(vae.transform(end)), atol=1e-5)
    back = vae.interpolate(end, start, 7)
    np.testing.assert_allclose(back[:, ::-1], path, atol=1e-5)
    still = vae.interpolate(start, start, 3)
    np.testing.assert_allclose(still[:, 1], still[:, 0], atol=1e-5)
    assert vae.interpolate(start, end).shape[1] == 10


def test_interpolation_goes_along_the_geodesic(curved, digits):
    """The decoded midpoint is that of the point halfway, by the distance itself."""
    curved.set_params(coordinates="ambient")
    X0, X1 = digits[:1], digits[1:2]
    Z0, Z1 = curved.transform(X0).astype(float), curved.transform(X1).astype(float)
    middle = Z0 + Z1  # by symmetry on the ray through the midpoint
    length = curved.geodesic_distances(Z0, Z1)
    np.testing.assert_allclose(curved.geodesic_distances(Z0, middle), length / 2, rtol=1e-3)
    np.testing.assert_allclose(
        curved.interpolate(X0, X1, 3)[0, 1], curved.inverse_transform(middle)[0], atol=1e-4
    )


def test_rows_far_outside_the_training_data_stay_usable(make, digits):
    vae = make(likelihood="gaussian").fit(digits)
    for scale in (1e2, 1e4, 1e6):
        for coordinates in CHARTS:
            Z = vae.set_params(coordinates=coordinates).transform(scale * digits[:20])
            assert np.isfinite(Z).all()
            if coordinates == "stereographic":
                continue  # float32 rounds points near the boundary of the ball onto it
            assert np.isfinite(vae.inverse_transform(Z)).all()
            assert np.isfinite(vae.geodesic_distances(Z)).all()
