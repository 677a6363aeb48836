"""`to_torch`: two modules with the numbers of the methods, as they are, exported, and in ONNX."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from skccvae import (
    ConstantCurvatureVAETransformer,
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)

RNG = np.random.default_rng(0)
# Columns of different size, one of them far from 0.
X = (
    RNG.normal(size=(40, 3)) @ RNG.normal(size=(3, 5)) * [1, 5, 0.1, 1, 1] + [0, 1e6, 0, 0, 0]
).astype(np.float32)
UNIT = RNG.random((40, 5)).astype(np.float32)
COUNTS = RNG.poisson(3, (40, 5)).astype(np.float32)
ANGLES = RNG.uniform(-9, 9, (40, 5)).astype(np.float32)
ANGLES[3, 2] = np.nan
BYTES = RNG.integers(0, 256, (40, 6, 6), dtype=np.uint8)
CONSTANT = X.copy()
CONSTANT[:, 2] = 4
FAST = {"max_epochs": 2, "hidden_layer_sizes": (16,), "random_state": 0}
CHARTS = ("ambient", "stereographic", "tangent")  # "natural" is one of them


def exported(module, rows, strict=False):
    """The module as torch.export makes it, for any number of rows."""
    shapes = ({0: torch.export.Dim("rows")},)
    return torch.export.export(module, (rows,), dynamic_shapes=shapes, strict=strict).module()


def in_onnx(module, rows):
    """The module as a function of ONNX Runtime."""
    pytest.importorskip("onnxscript", reason="torch.onnx.export needs onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    shapes = ({0: torch.export.Dim("rows")},)
    program = torch.onnx.export(module, (rows,), dynamo=True, dynamic_shapes=shapes, verbose=False)
    model = program.model_proto.SerializeToString()
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (first,) = session.get_inputs()
    return lambda rows: session.run(None, {first.name: rows.numpy()})[0]


def as_it_is(module, rows):
    return module


def check(vae, X, how):
    """Both modules give the numbers of `transform` and `inverse_transform`."""
    encoder, decoder = vae.to_torch()
    Z = vae.transform(X)
    for module, rows, wanted in (
        (encoder, torch.from_numpy(X), Z),
        (decoder, torch.from_numpy(Z), vae.inverse_transform(Z)),
    ):
        rows = rows.float()
        found = np.asarray(how(module, rows[:3])(rows))
        assert found.dtype == wanted.dtype
        assert found.shape == wanted.shape
        assert np.allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("how", [as_it_is, exported])
def test_every_estimator_and_chart(make, how):
    vae = make().fit(X)
    for chart in CHARTS if "coordinates" in vae.get_params() else (vae.coordinates,):
        vae.coordinates = chart
        check(vae, X, how)


LIKELIHOODS = [
    ("bernoulli", UNIT),
    ("continuous_bernoulli", UNIT),
    ("gaussian", X),
    ("gaussian", CONSTANT),
    ("isotropic_gaussian", X),
    ("poisson", COUNTS),
    ("poisson", 1e6 * COUNTS),
    ("negative_binomial", COUNTS),
    ("von_mises", ANGLES),
    ("discretized_logistic", UNIT),
    ("bernoulli", BYTES),
    ("discretized_logistic", BYTES),
]


@pytest.mark.parametrize("how", [as_it_is, exported])
@pytest.mark.parametrize(("likelihood", "rows"), LIKELIHOODS)
def test_every_likelihood(likelihood, rows, how):
    check(HyperbolicVAETransformer(likelihood=likelihood, **FAST).fit(rows), rows, how)


NETWORKS = [
    (SphericalVAETransformer, {"encoder": "conv", "decoder": "conv"}, BYTES),
    (GaussianVAETransformer, {"binarize": 0.5}, BYTES),
    (GaussianVAETransformer, {"init": "random"}, X),
    (GaussianVAETransformer, {"hidden_layer_sizes": ()}, X),
    (GaussianVAETransformer, {"encoder": torch.nn.Linear(5, 8), "decoder": torch.nn.Linear}, X),
    (HyperbolicVAETransformer, {"decoder_input": "gyroplane", "init": "random"}, X),
    (ConstantCurvatureVAETransformer, {"curvature": 0.0}, X),
    (ConstantCurvatureVAETransformer, {"curvature": 0.5, "learn_curvature": True}, X),
    (ConstantCurvatureVAETransformer, {"curvature": -0.5, "learn_curvature": True}, X),
    (MixedCurvatureVAETransformer, {"signature": "h2,s2", "learn_curvature": True}, X),
]


@pytest.mark.parametrize("how", [as_it_is, exported])
@pytest.mark.parametrize(("cls", "settings", "rows"), NETWORKS)
def test_networks_and_learned_curvatures(cls, settings, rows, how):
    check(cls(**{**FAST, **settings}).fit(rows), rows, how)


@pytest.mark.parametrize("make", ["mixed_curvature"], indirect=True)  # every sign of the curvature
@pytest.mark.parametrize("chart", ["ambient", "stereographic", "tangent"])
def test_onnx_in_every_chart(make, chart):
    vae = make(coordinates=chart).fit(X)
    check(vae, X, in_onnx)


@pytest.mark.parametrize(
    ("likelihood", "rows"),
    [LIKELIHOODS[n] for n in (1, 7, 8)],
    ids=lambda value: str(value)[:9],
)
def test_onnx_of_likelihoods(likelihood, rows):
    check(HyperbolicVAETransformer(likelihood=likelihood, **FAST).fit(rows), rows, in_onnx)


def test_onnx_of_convolutions_and_hyperplanes():
    images = SphericalVAETransformer(encoder="conv", decoder="conv", **FAST).fit(BYTES)
    check(images, BYTES, in_onnx)
    check(ConstantCurvatureVAETransformer(learn_curvature=True, **FAST).fit(X), X, in_onnx)


def test_narrow_and_wide_columns_of_bytes():
    vae = GaussianVAETransformer(likelihood="discretized_logistic", **FAST).fit(UNIT)
    with torch.no_grad():
        vae.net_.module_.likelihood.raw_scale[:2] = -8.0  # below one level
    check(vae, UNIT, exported)


def test_far_from_the_training_rows():
    vae = HyperbolicVAETransformer(coordinates="ambient", **FAST).fit(X)
    check(vae, X + 30 * np.float32([1, 5, 0.1, 1, 1]), exported)


INVALID = [
    (SphericalVAETransformer, "ambient", [[0.0, 0.0, 0.0]]),
    (HyperbolicVAETransformer, "ambient", [[1.0, 2.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    (HyperbolicVAETransformer, "stereographic", [[1.0, 0.0], [3.0, 1.0]]),
    (HyperbolicVAETransformer, "tangent", [[np.nan, 1.0], [np.inf, 1.0]]),
]


@pytest.mark.parametrize(
    ("cls", "chart", "points", "how"),
    [(*case, how) for case in INVALID for how in (as_it_is, exported)]
    + [(*INVALID[n], in_onnx) for n in (0, 1)],
)
def test_what_the_methods_refuse_becomes_nan(cls, chart, points, how):
    vae = cls(coordinates=chart, **FAST).fit(X)
    encoder, decoder = vae.to_torch()
    rows = torch.from_numpy(X[:5].copy())
    rows[1, 0], rows[3, 4] = np.nan, np.inf
    found = np.isnan(np.asarray(how(encoder, rows)(rows)))
    assert found.all(1).tolist() == found.any(1).tolist() == [False, True, False, True, False]
    for point in points:
        with pytest.raises(ValueError):
            vae.inverse_transform([point])
    Z = torch.cat([torch.from_numpy(vae.transform(X[:2])), torch.tensor(points)])
    found = np.isnan(np.asarray(how(decoder, Z)(Z)))
    assert found.all(1).tolist() == found.any(1).tolist() == [False] * 2 + [True] * len(points)


def test_the_antipode_has_no_stereographic_coordinates():
    from skccvae.manifolds import Sphere

    sphere, antipode = Sphere(2), torch.tensor([[-1.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match="antipode"):
        sphere.to_chart(antipode, "stereographic")
    assert sphere.to_chart(antipode, "stereographic", check=False).isnan().all()


@pytest.mark.parametrize("strict", [False, True])
def test_export_without_gradients(strict):
    images = GaussianVAETransformer(encoder="conv", decoder="conv", **FAST).fit(BYTES)
    with torch.no_grad():
        check(images, BYTES, lambda module, rows: exported(module, rows, strict))


def test_no_value_is_read_and_all_tensors_move(make):
    """Tensors on the device "meta" have no values, and meet no tensor of another device."""
    vae = make().fit(X)
    for chart in CHARTS if "coordinates" in vae.get_params() else (vae.coordinates,):
        vae.coordinates = chart
        encoder, decoder = (module.to("meta") for module in vae.to_torch())
        Z = encoder(torch.from_numpy(X).to("meta"))
        assert Z.shape == vae.transform(X).shape
        assert decoder(Z).shape == X.shape


def test_modules_are_copies():
    vae = ConstantCurvatureVAETransformer(learn_curvature=True, **FAST).fit(X)
    before, rows = vae.transform(X), torch.from_numpy(X)
    encoder, decoder = vae.to_torch()
    assert not any(p.requires_grad for m in (encoder, decoder) for p in m.parameters())
    assert not encoder.training
    vae.partial_fit(X)
    assert np.allclose(encoder(rows), before, atol=1e-5)
    assert not np.allclose(vae.transform(X), before, atol=1e-5)


def test_each_module_holds_its_part_alone():
    vae = GaussianVAETransformer(supervised_weight=1.0, **FAST).fit(X, X[:, 0])
    encoder, decoder = vae.to_torch()
    assert not any("decoder" in name or "predictor" in name for name in encoder.state_dict())
    assert not any("encoder" in name or "head" in name for name in decoder.state_dict())


def test_images_as_rows_and_bytes():
    vae = GaussianVAETransformer(**FAST).fit(BYTES)
    encoder, decoder = vae.to_torch()
    images = torch.from_numpy(BYTES)
    Z = encoder(images.float())
    assert torch.equal(encoder(images), Z)
    assert torch.equal(encoder(images.flatten(1)), Z)
    assert decoder(Z).shape == images.shape


def test_what_has_no_modules():
    with pytest.raises(NotFittedError):
        GaussianVAETransformer().to_torch()


def test_molecules_have_no_modules():
    pytest.importorskip("torch_geometric")
    from skccvae.molecules import MolecularGraph

    smiles = ["C" * n + "O" for n in range(1, 20)]
    vae = GaussianVAETransformer(encoder=MolecularGraph(n_bits=64), **FAST).fit(smiles)
    with pytest.raises(TypeError, match="FingerprintTransformer"):
        vae.to_torch()


def with_holes(rows):
    """Some values of the rows are missing, all of those of row 1, and none of row 2."""
    holes = np.random.default_rng(1).random(rows.shape) < 0.3
    holes[1], holes[2] = True, False
    return np.where(holes, np.nan, rows).astype(np.float32)


def mixed_rows():
    codes = np.random.default_rng(2).integers(0, 3, (40, 1))
    return np.hstack([X, codes, UNIT[:, :1] > 0.5]).astype(np.float32)


MIXED = [("gaussian", slice(0, 5)), ("categorical", [5]), ("bernoulli", [6])]
MASKED = [
    (GaussianVAETransformer, {}, X),
    (GaussianVAETransformer, {"likelihood": "gaussian", "init": "random"}, CONSTANT),
    (GaussianVAETransformer, {"likelihood": "bernoulli", "binarize": 0.5}, UNIT),
    (GaussianVAETransformer, {"likelihood": MIXED}, mixed_rows()),
    (GaussianVAETransformer, {"encoder": torch.nn.Linear(5, 8), "decoder": torch.nn.Linear}, X),
    (GaussianVAETransformer, {"hidden_layer_sizes": ()}, X),
    (SphericalVAETransformer, {"likelihood": "von_mises"}, ANGLES),
    (SphericalVAETransformer, {"encoder": "conv", "decoder": "conv"}, BYTES / 255),
    (HyperbolicVAETransformer, {"likelihood": "negative_binomial"}, COUNTS),
    (HyperbolicVAETransformer, {"likelihood": "discretized_logistic"}, UNIT),
    (HyperbolicVAETransformer, {"likelihood": "continuous_bernoulli"}, UNIT),
    (ConstantCurvatureVAETransformer, {"curvature": -0.5, "learn_curvature": True}, X),
    (MixedCurvatureVAETransformer, {"signature": "h2,s2,e1"}, X),
]


@pytest.mark.parametrize("how", [as_it_is, exported, in_onnx])
@pytest.mark.parametrize(("cls", "settings", "rows"), MASKED)
def test_missing_values(cls, settings, rows, how):
    holes = with_holes(rows)
    vae = cls(missing="mask", **{**FAST, **settings}).fit(holes)
    check(vae, holes, how)
    encoder, _ = vae.to_torch()
    first = torch.from_numpy(holes[:4].copy())
    first[0].flatten()[0] = first[3].flatten()[1] = torch.inf  # not missing
    found = np.asarray(how(encoder, first)(first))
    assert np.isnan(found).all(axis=1).tolist() == [True, False, False, True]
