"""The contract of the input: learnt by the first fit, kept by later rows and by saved files."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

import skccvae
from skccvae import GaussianVAETransformer
from skccvae.estimators._attributes import SavedAttributes
from skccvae.estimators._input_spec import InputSpec
from skccvae.estimators._saved_values import Unpacker, pack
from skccvae.estimators._supervision import TargetEncoder

FAST = {"max_epochs": 1, "hidden_layer_sizes": (8,), "random_state": 0, "device": "cpu"}
RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (20, 4, 3), dtype=np.uint8)


def spec_of(X, **settings):
    return GaussianVAETransformer(**FAST, **settings).fit(X)._input


def test_what_is_learnt(real):
    spec = spec_of(real)
    assert (spec.n_columns, spec.column_names) == (5, None)
    assert spec.sample_shape is spec.image_shape is None
    rounding = len(real) * np.finfo(float).eps
    np.testing.assert_allclose(spec.units.center, real.mean(axis=0), rtol=rounding)
    assert spec_of(pd.DataFrame(real, columns=list("abcde"))).column_names == tuple("abcde")
    images = spec_of(BYTES, likelihood="bernoulli")
    assert images.sample_shape == images.image_shape == (4, 3)
    assert (images.n_columns, images.units.divisor) == (12, 255.0)
    flat = spec_of(BYTES.reshape(20, 12), image_shape=[4, 3])
    assert (flat.sample_shape, flat.image_shape) == (None, (4, 3))
    with pytest.raises(FrozenInstanceError):
        flat.n_columns = 3


def test_a_new_fit_learns_anew_and_a_later_call_does_not(small):
    vae = GaussianVAETransformer(**FAST).fit(BYTES)
    vae.fit(small)
    assert (vae._input.n_columns, vae._input.sample_shape) == (5, None)
    before = vae._input
    vae.partial_fit(small)
    vae.transform(small)
    assert vae._input is before


def test_shapes_are_compared_where_the_numbers_agree():
    spec = InputSpec(12, None, None, (4, 3))
    spec.check_shape((4, 3))
    spec.check_shape(None)
    spec.check_shape((5, 3))  # another number of columns, which scikit-learn refuses
    InputSpec(12, None, None, None).check_shape((3, 4))
    with pytest.raises(
        ValueError, match=r"shape \(3, 4\), but the model was fitted on .* \(4, 3\)"
    ):
        spec.check_shape((3, 4))


@pytest.mark.parametrize("method", ["transform", "score", "partial_fit"])
def test_units_are_compared_in_every_call(method):
    vae = GaussianVAETransformer(likelihood="bernoulli", **FAST)
    on_bytes = clone(vae).fit(BYTES)
    with pytest.warns(UserWarning, match="Multiply pixels in .* by 255"):
        getattr(on_bytes, method)(BYTES / 255.0)
    on_fractions = clone(vae).fit(BYTES / 255.0)
    with pytest.raises(ValueError, match="Divide X by 255"):
        getattr(on_fractions, method)(BYTES)


@pytest.mark.parametrize("X", [BYTES, pd.DataFrame(RNG.normal(size=(20, 2)), columns=["u", "v"])])
def test_a_saved_file_keeps_it_bit_for_bit(X, tmp_path):
    vae = GaussianVAETransformer(**FAST).fit(X)
    vae.save(tmp_path / "m")
    back = skccvae.load(tmp_path / "m")
    np.testing.assert_equal(asdict(back._input), asdict(vae._input))
    assert back.n_features_in_ == vae.n_features_in_
    assert hasattr(back, "feature_names_in_") == hasattr(vae, "feature_names_in_")


def test_a_new_attribute_is_saved_by_its_declaration_alone(small, tmp_path, monkeypatch):
    declared = {**SavedAttributes.__annotations__, "widths_": "np.ndarray", "note_": "str"}
    monkeypatch.setattr(SavedAttributes, "__annotations__", {**declared, "pair_": "tuple"})
    vae = GaussianVAETransformer(**FAST).fit(small)
    vae.widths_, vae.note_, vae.pair_ = np.array([1.5, 2.5]), "of the columns", (3, (4, None))
    vae.save(tmp_path / "m")
    back = skccvae.load(tmp_path / "m")
    assert np.array_equal(back.widths_, vae.widths_)
    assert (back.note_, back.pair_) == (vae.note_, vae.pair_)


@pytest.mark.parametrize(
    "y",
    [
        np.array(["b", None, "a"], dtype=object),
        np.array([3, 1, 1], dtype=np.int16),
        np.array([0.1, np.nan, 0.7]),
        np.array([[0.1, 3.0], [0.2, 1.0], [0.4, 1.0]]),
    ],
)
def test_targets_survive_packing(y):
    encoder = TargetEncoder.fit(y, 3)
    tensors: dict[str, torch.Tensor] = {}
    packed = json.loads(json.dumps(pack(encoder, TargetEncoder | None, "t", tensors)))
    unpacker = Unpacker(tensors, {})
    back = unpacker.typed(packed, TargetEncoder | None, "t")
    assert unpacker.used == set(tensors)
    np.testing.assert_array_equal(back.transform(y, 3), encoder.transform(y, 3))
    assert len(back.classes) == len(encoder.classes)


def test_a_record_that_is_not_declared_is_refused():
    with pytest.raises(TypeError, match="save cannot store encoder=.* without pickle"):
        pack(InputSpec(1, None, None, None), str, "encoder", {})
