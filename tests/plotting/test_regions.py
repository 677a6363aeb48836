"""The regions of a latent display hold the stated share of a posterior."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from torch.distributions import Distribution, Independent, Normal

from skccvae import AutoencoderTransformer, HyperbolicVAETransformer, SphericalVAETransformer
from skccvae.distributions import (
    PowerSpherical,
    ProductDistribution,
    ProjectedNormal,
    RiemannianNormal,
    SphericalCauchy,
    VonMisesFisher,
    WrappedNormal,
)
from skccvae.manifolds import Euclidean, Hyperbolic, Product, Sphere
from skccvae.plotting import LatentDisplay
from skccvae.plotting import _regions as regions
from skccvae.plotting._scatter import _with_gaps

Path = pytest.importorskip("matplotlib.path", reason="of the extra 'plot'").Path

FAST = {"max_epochs": 1, "hidden_layer_sizes": (8,), "random_state": 0, "device": "cpu"}


def numbers(n: int, d: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(n, d)))


def normal(loc: torch.Tensor, scale: torch.Tensor) -> Distribution:
    return Independent(Normal(loc, scale.expand_as(loc)), 1)


def test_a_normal_in_the_plane_has_the_ellipse_of_its_scales() -> None:
    u, scale = numbers(3, 5), torch.tensor([1.0, 0.2, 1.0, 1.0, 0.7]).double()
    display = LatentDisplay(u, Euclidean(5), posterior=normal(u, scale))
    for share in (0.3, 0.9):
        display.plot(dims=(1, 4), uncertainty=share)
        size = np.ptp(display.regions_[0], axis=1)
        radius = math.sqrt(-2 * math.log(1 - share))
        # The scale has an error of 1/sqrt(2 n); the quantile of the radius, of density
        # r (1 - share), one of sqrt(share (1 - share) / n) / (r (1 - share)).
        quantile = math.sqrt(share / (1 - share) / regions.N_DRAWS) / radius**2
        tolerance = 5 * math.hypot(quantile, 1 / math.sqrt(2 * regions.N_DRAWS))
        expected = np.broadcast_to([2 * radius * 0.2, 2 * radius * 0.7], (3, 2))
        np.testing.assert_allclose(size, expected, rtol=tolerance)
        middle = display.regions_[0][:, :-1].mean(axis=1)
        assert (np.abs(middle - display.places_[0]) < 5 * size / math.sqrt(regions.N_DRAWS)).all()


H, S = Hyperbolic(2, -2.0), Sphere(2, 4.0)
AT_H = H.exp0(0.5 * numbers(4, 2))
TO_S = Sphere(2).exp0(0.4 * numbers(4, 2))  # unit vectors
FAMILIES = [
    (H, AT_H, WrappedNormal(AT_H, torch.tensor([0.1, 0.5]).double().expand(4, 2), H)),
    (H, AT_H, RiemannianNormal(AT_H, torch.full((4,), 0.3).double(), H)),
    (S, 0.5 * TO_S, VonMisesFisher(TO_S, torch.full((4,), 8.0).double())),
    (S, 0.5 * TO_S, PowerSpherical(TO_S, torch.full((4,), 8.0).double())),
    (S, 0.5 * TO_S, SphericalCauchy(TO_S, torch.full((4,), 0.6).double())),
    (S, 0.5 * TO_S, WrappedNormal(0.5 * TO_S, torch.tensor([0.1, 0.3]).double().expand(4, 2), S)),
    (S, 0.5 * TO_S, ProjectedNormal(3 * TO_S, torch.tensor([1.0, 0.3, 0.8]).double().expand(4, 3))),
]


def frame(space, p: torch.Tensor, z: torch.Tensor) -> np.ndarray:
    """Coordinates of points in the tangent space at p."""
    return space.to_frame(p, space.log(p.expand_as(z), z)).numpy()


@pytest.mark.parametrize(
    ("space", "loc", "posterior"), FAMILIES, ids=lambda value: type(value).__name__
)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_region_holds_its_share_of_other_draws(space, loc, posterior, share) -> None:
    draws = regions.draw_posterior(posterior, space, np.arange(4))
    outlines = regions.region_outlines(space, loc.numpy(), draws, share)
    torch.manual_seed(1)
    others = space.project(posterior.sample((regions.N_DRAWS,)).double())
    for number, outline in enumerate(outlines):
        assert space.belongs(torch.from_numpy(outline)).all()
        edge = frame(space, loc[number], torch.from_numpy(outline))
        inside = Path(edge).contains_points(frame(space, loc[number], others[:, number]))
        error = math.sqrt(2 * share * (1 - share) / regions.N_DRAWS)
        assert abs(inside.mean() - share) < 5 * error


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_family_with_rotational_symmetry_has_a_geodesic_circle(number) -> None:
    space, loc, posterior = FAMILIES[number]
    draws = regions.draw_posterior(posterior, space, np.arange(4))
    outlines = torch.from_numpy(regions.region_outlines(space, loc.numpy(), draws, 0.9))
    distances = space.dist(outlines, loc[:, None].expand_as(outlines))
    # The mean of n draws moves the circle by sigma/sqrt(n), its axes have errors of 1/sqrt(2 n);
    # heavy tails have larger ones.
    spread = 5 * 3 / math.sqrt(regions.N_DRAWS)
    assert (distances.amax(1) / distances.amin(1) < 1 + spread).all()


def test_an_interval_in_one_dimension() -> None:
    space = Product([Hyperbolic(1), Sphere(1)])
    loc = space.exp0(numbers(5, 2))
    h, s = space.split(loc)
    scale = torch.full((5, 1), 0.3).double()
    laws = [WrappedNormal(h, scale, Hyperbolic(1)), WrappedNormal(s, scale, Sphere(1))]
    display = LatentDisplay(loc, space, posterior=ProductDistribution(laws)).plot(uncertainty=0.9)
    line, circle = display.regions_
    error = 5 * math.sqrt(0.1 * 0.9 / regions.N_DRAWS) / 0.1  # in sigma; the density is above 0.1
    half = 1.645 * 0.3
    np.testing.assert_allclose(line[:, -1, 0] - display.places_[0][:, 0], half, atol=0.3 * error)
    np.testing.assert_allclose(display.places_[0][:, 0] - line[:, 0, 0], half, atol=0.3 * error)
    np.testing.assert_array_equal(line[:, 0, 1], display.places_[0][:, 1])
    radii, own = (np.linalg.norm(p, axis=-1) for p in (circle, display.places_[1]))
    np.testing.assert_allclose(
        radii, np.linalg.norm(display.places_[1], axis=1)[:, None] + 0 * radii
    )


def test_a_posterior_without_width_is_a_point() -> None:
    u = numbers(3, 2)
    posterior = normal(u, torch.tensor(1e-30).double())
    display = LatentDisplay(u, Euclidean(2), posterior=posterior).plot(uncertainty=True)
    assert np.ptp(display.regions_[0], axis=1).max() < 1e-9


def test_spread_rows_are_few_and_far_apart() -> None:
    u = numbers(3000, 2)
    u[:2990] *= 0.01
    rows = regions.spread_rows(Euclidean(2), u.numpy(), 30)
    assert len(np.unique(rows)) == 30
    np.testing.assert_array_equal(regions.spread_rows(Euclidean(2), u[:7].numpy(), 30), range(7))
    some = regions.spread_rows(Euclidean(2), u[2900:].numpy(), 12)
    assert set(range(90, 100)) <= set(some.tolist())


def test_wide_regions_are_few_and_a_number_is_a_number() -> None:
    u = numbers(200, 2)
    counts = []
    for scale in (0.01, 0.3, 10.0):
        posterior = normal(u, torch.tensor(scale).double())
        display = LatentDisplay(u, Euclidean(2), posterior=posterior).plot(uncertainty=True)
        counts.append(len(display.regions_[0]))
    assert counts[0] == 100 > counts[1] > counts[2] == 1
    assert len(display.plot(uncertainty=True, n_regions=30).regions_[0]) == 30


def test_the_global_generator_is_left_alone() -> None:
    space, loc, posterior = FAMILIES[0]
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    LatentDisplay(loc, space, posterior=posterior).plot(uncertainty=True)
    torch.testing.assert_close(torch.rand(2), expected, rtol=0, atol=0)


def test_regions_have_the_colours_of_their_points_and_gaps_at_the_edge_of_the_map() -> None:
    u = numbers(6, 2)
    y = [0, 1, None, 1, 0, 1]
    display = LatentDisplay(u, Euclidean(2), y=y, posterior=normal(u, torch.tensor(0.1).double()))
    display.plot(uncertainty=True)
    lines = [line for line in display.ax_.lines if line.get_alpha() == 0.7]
    assert len(lines) == 3  # two classes and no label
    outline = np.array([[[2.8, 0.0], [2.8, 0.01], [-2.8, 0.02], [-2.8, 0.03], [-2.8, 0.04]]])
    assert np.isnan(_with_gaps(outline)[:, 0]).tolist() == [False, False, True, *[False] * 3, True]


@pytest.mark.parametrize("kind", ["frame", "sparse", "list", "pipeline"])
def test_an_estimator_shows_the_posteriors_of_its_rows(kind, digits) -> None:
    X, y = digits
    vae = SphericalVAETransformer(2, curvature=4.0, **FAST)
    model = make_pipeline(MaxAbsScaler(), vae) if kind == "pipeline" else vae
    rows = {"frame": pd.DataFrame(X), "sparse": csr_array(X), "list": X.tolist()}.get(kind, X)
    model.fit(rows)
    display = LatentDisplay.from_estimator(model, rows, y, uncertainty=0.5, n_regions=20)
    assert display.regions_[0].shape == (20, 121, 2)
    assert len(display.posterior_rows) == 20
    scaled = model[0].transform(rows) if kind == "pipeline" else X
    expected = vae.posterior_distribution(np.asarray(scaled)[display.posterior_rows])
    torch.testing.assert_close(display.posterior.loc, expected.loc, rtol=1e-4, atol=1e-5)
    globe = display.plot(kind="3d", uncertainty=True)
    assert globe.regions_[0].shape == (20, 121, 3)
    assert display.plot().regions_ == []


def test_what_has_no_posterior(digits) -> None:
    X, _ = digits
    code = AutoencoderTransformer(2, **FAST).fit(X)
    with pytest.raises(TypeError, match="Transformer has none, because its code is a point"):
        LatentDisplay.from_estimator(code, X, uncertainty=True)
    with pytest.raises(ValueError, match="uncertainty needs the posteriors"):
        LatentDisplay.from_estimator(code, X).plot(uncertainty=True)
    vae = HyperbolicVAETransformer(2, **FAST).fit(X)
    for bad in (1, 0.0, 1.0, "yes", float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1, such as 0.9"):
            LatentDisplay.from_estimator(vae, X, uncertainty=bad)
    with pytest.raises(ValueError, match="'auto' or an integer of at least 1"):
        LatentDisplay.from_estimator(vae, X, uncertainty=True, n_regions=0)
    space, loc, posterior = FAMILIES[0]
    with pytest.raises(TypeError, match="torch Distribution.*got str"):
        LatentDisplay(loc, space, posterior="normal")
    with pytest.raises(ValueError, match=r"batch shape \(3,\).*got \(4,\) and \(3,\)"):
        LatentDisplay(loc, space, posterior=posterior, posterior_rows=[0, 1, 2])
    with pytest.raises(ValueError, match="row numbers from 0 to 3"):
        LatentDisplay(loc, space, posterior=posterior, posterior_rows=[0, 1, 2, 4])
