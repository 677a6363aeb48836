"""Skip connections of encoder and decoder."""

from __future__ import annotations

import copy

import pytest
import torch

from skccvae.nn import SkipDecoder, SkipEncoder, mlp


@pytest.mark.parametrize("hidden", [(), (5,), (7, 3)])
def test_components_are_affine_in_the_rows_whatever_the_network_says(hidden):
    torch.manual_seed(0)
    encoder = SkipEncoder(4, hidden, "tanh", 3)
    axes, offset = torch.randn(2, 4), torch.randn(2)
    with torch.no_grad():
        encoder.set_components(axes, offset)
    x = torch.randn(6, 4)
    features = encoder(x)
    width = hidden[-1] if hidden else 4
    assert features.shape == (6, width + 16)
    torch.testing.assert_close(features[:, width : width + 2], x @ axes.T + offset)
    if not hidden:
        torch.testing.assert_close(features[:, :4], x)
    exact = copy.deepcopy(encoder).double()(x.double())
    found = encoder.in_double(x)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found[:, :width], exact[:, :width], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(found[:, width:], exact[:, width:], atol=1e-14, rtol=1e-14)


def test_linear_features_in_float64_do_not_depend_on_the_rows_beside_them():
    torch.manual_seed(0)
    encoder, x = SkipEncoder(31, (16,), "relu", 5), torch.randn(1300, 31)
    with torch.no_grad():
        whole, alone = encoder.in_double(x), encoder.in_double(x[700:701])
    torch.testing.assert_close(whole[700, 16:], alone[0, 16:], atol=1e-14, rtol=1e-14)


@pytest.mark.parametrize("hidden", [(), (5,)])
def test_a_decoder_starts_affine_and_can_leave(hidden):
    torch.manual_seed(0)
    decoder = SkipDecoder(mlp(2, hidden, "tanh"), 2, hidden[-1] if hidden else 2, 3)
    weight, bias = torch.randn(3, 2), torch.randn(3)
    with torch.no_grad():
        decoder.set_affine(weight, bias)
    z = torch.randn(6, 2)
    torch.testing.assert_close(decoder(z), z @ weight.T + bias)
    decoder(z).square().sum().backward()
    assert decoder.last.weight.grad[:, : decoder.n_hidden].abs().sum() > 0
