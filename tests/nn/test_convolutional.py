"""Convolutional networks and the discretised logistic likelihood."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from torch import nn

from skccvae.nn import (
    ConvDecoder,
    ConvEncoder,
    DiscretizedLogistic,
    DiscretizedLogisticLikelihood,
    convolutional,
    image_layout,
)
from skccvae.nn.likelihoods import _discretized_logistic as discretized_logistic

SHAPES = [
    (8, 8),
    (28, 28),
    (4, 4),
    (1, 9),
    (6, 2),
    (9, 7, 3),
    (3, 17, 40),
    (1, 8, 31),
    (128, 128, 3),
    (5, 128),
]
LEVELS = torch.arange(256, dtype=torch.float64) / 255


@pytest.mark.parametrize("shape", SHAPES)
def test_any_size_goes_in_and_comes_out(shape):
    torch.manual_seed(0)
    p = math.prod(shape)
    encoder = ConvEncoder(shape, 12, "silu")
    decoder = ConvDecoder(3, shape, 12, "silu")
    # One row is a batch too.
    rows = torch.rand(1, p)
    hidden = encoder(rows)
    assert hidden.shape == (1, 12)
    outputs = decoder(torch.randn(1, 3))
    assert outputs.shape == (1, p)
    (hidden.square().sum() + outputs.square().sum()).backward()
    for network in (encoder, decoder):
        for name, parameter in network.named_parameters():
            assert torch.isfinite(parameter.grad).all(), name
    assert all(not isinstance(m, nn.modules.batchnorm._BatchNorm) for m in encoder.modules())
    # Every pixel can be reached: its own bias-free part depends on the latent point.
    spread = decoder(torch.randn(64, 3)).std(0)
    assert (spread > 0).all()


@pytest.mark.parametrize(
    ("side", "depth"), [(8, 1), (9, 2), (16, 2), (28, 3), (64, 4), (100, 5), (128, 5)]
)
def test_depth_follows_the_size(side, depth):
    encoder = ConvEncoder((side, side), None, "relu")
    strided = [m for m in encoder.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert len(strided) == depth
    width = encoder(torch.rand(2, side * side)).shape[1]
    assert width <= 64 * 16


def test_axis_order_is_the_rows_own():
    """The same weights give the same features for an image in either order."""
    torch.manual_seed(1)
    images = torch.rand(5, 3, 10, 13)
    first, last = ConvEncoder((3, 10, 13), 8, "relu"), ConvEncoder((10, 13, 3), 8, "relu")
    last.load_state_dict(first.state_dict())
    rows_first, rows_last = images.flatten(1), images.permute(0, 2, 3, 1).flatten(1)
    torch.testing.assert_close(first(rows_first), last(rows_last))
    assert not torch.allclose(first(rows_first), last(rows_first))

    decode_first = ConvDecoder(4, (3, 10, 13), 8, "relu")
    decode_last = ConvDecoder(4, (10, 13, 3), 8, "relu")
    decode_last.load_state_dict(decode_first.state_dict())
    z = torch.randn(5, 4)
    back = decode_last(z).reshape(5, 10, 13, 3).permute(0, 3, 1, 2)
    torch.testing.assert_close(decode_first(z).reshape(5, 3, 10, 13), back)


def test_neighbours_in_the_image_are_neighbours_in_the_network():
    """A pixel of the first map sees its surroundings and nothing else, whatever the order."""
    for shape in ((3, 16, 20), (16, 20, 3)):
        encoder = ConvEncoder(shape, None, "relu")
        image = torch.zeros(3, 16, 20)
        image[:, 15, 19] = 1.0
        row = image if shape[0] == 3 else image.permute(1, 2, 0)
        stem = encoder.layers[0]
        changed = stem(encoder.layout.to_image(row.reshape(1, -1))) - stem(
            torch.zeros(1, 3, 16, 20)
        )
        touched = changed[0].abs().sum(0) > 1e-9
        assert touched.nonzero().tolist() == [[7, 9]]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((28, 20), (1, 28, 20, False)),
        ((3, 20), (1, 3, 20, False)),
        ((32, 30, 1), (1, 32, 30, True)),
        ((32, 30, 4), (4, 32, 30, True)),
        ((3, 32, 30), (3, 32, 30, False)),
        ((3, 32, 3), (3, 3, 32, True)),
        ((4, 64, 1), (1, 4, 64, True)),
    ],
)
def test_where_the_channels_are(shape, expected):
    layout = image_layout(shape)
    assert tuple(layout) == expected
    rows = torch.arange(2 * math.prod(shape)).reshape(2, -1)
    assert torch.equal(layout.to_rows(layout.to_image(rows)), rows)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (None, r"Pass image_shape, such as image_shape=\(28, 28\)"),
        ((784,), r"\(H, W\), \(H, W, C\) or \(C, H, W\); got \(784,\)"),
        ((2, 8, 8, 3), "needs images of shape"),
        ((2, 16, 16), "Images of shape .* have no channel axis"),
    ],
)
def test_shapes_that_are_no_images(shape, message):
    with pytest.raises(ValueError, match=message):
        ConvEncoder(shape, 8, "relu")
    with pytest.raises(ValueError, match=message):
        ConvDecoder(2, shape, 8, "relu")


def test_several_parameters_for_each_pixel():
    decoder = ConvDecoder(2, (6, 5, 3), 8, "relu", n_outputs=180)
    z = torch.randn(3, 2)
    out = decoder(z)
    assert out.shape == (3, 180)
    maps = decoder.layers(z)
    second = maps[:, 3:].permute(0, 2, 3, 1).flatten(1)
    torch.testing.assert_close(out[:, 90:], second)
    with pytest.raises(ValueError, match="multiple of the 90 numbers"):
        ConvDecoder(2, (6, 5, 3), 8, "relu", n_outputs=100)


def test_many_rows_go_in_pieces_without_gradient(monkeypatch):
    torch.manual_seed(2)
    encoder, decoder = ConvEncoder((12, 9), 8, "relu"), ConvDecoder(2, (12, 9), 8, "relu")
    rows, z = torch.rand(11, 108), torch.randn(11, 2)
    expected = encoder(rows).detach(), decoder(z).detach()
    sizes = []
    encoder.layers.register_forward_hook(lambda module, args, out: sizes.append(len(out)))
    monkeypatch.setattr(convolutional, "PIECE", 3 * encoder.largest_map)
    with torch.no_grad():
        torch.testing.assert_close(encoder(rows), expected[0])
        torch.testing.assert_close(decoder(z), expected[1])
    assert sizes == [3, 3, 3, 2]
    encoder(rows)
    assert sizes[4:] == [11]
    assert encoder.largest_map == 16 * 6 * 5


# --- discretised logistic -----------------------------------------------------------------------

LOCS = (-3.0, -0.01, 0.0, 0.3, 0.5019, 0.999, 1.2, 40.0)
SCALES = (4e-4, 0.002, 1 / 255, 0.004, 0.05, 0.7, 30.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", SCALES)
def test_levels_sum_to_one_with_their_mean(scale, dtype):
    loc = torch.tensor(LOCS, dtype=dtype)
    distribution = DiscretizedLogistic(loc, torch.tensor(scale, dtype=dtype))
    levels = LEVELS.to(dtype)[:, None]
    p = distribution.log_prob(levels).exp()
    tolerance = 2e-5 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(p.sum(0), torch.ones_like(loc), rtol=0, atol=tolerance)
    tolerance = 2e-5 if dtype == torch.float32 else 5e-9
    torch.testing.assert_close(distribution.mean, (p * levels).sum(0), rtol=0, atol=tolerance)
    assert ((distribution.mean >= 0) & (distribution.mean <= 1)).all()


@pytest.mark.parametrize("scale", [4e-4, 0.004, 0.05, 0.7])
def test_log_probabilities_in_float32_against_many_digits(scale):
    # exp(-4000) is added to 1 on the way.
    with mpmath.workdps(1800):
        for loc in (-0.4, 0.2, 1.3):
            # The numbers that float32 holds.
            mu, s = (mpmath.mpf(float(torch.tensor(v))) for v in (loc, scale))
            edges = [(mpmath.mpf(k) - 0.5) / 255 for k in range(257)]
            below = [1 / (1 + mpmath.exp((mu - edge) / s)) for edge in edges]
            below[0], below[256] = mpmath.mpf(0), mpmath.mpf(1)
            tested = (0, 1, 77, 254, 255)
            exact = [float(mpmath.log(below[k + 1] - below[k])) for k in tested]
            levels = torch.tensor(tested, dtype=torch.float32) / 255
            found = DiscretizedLogistic(torch.tensor(loc), torch.tensor(scale)).log_prob(levels)
            assert torch.isfinite(found).all()
            np.testing.assert_allclose(found.numpy(), exact, rtol=2e-6, atol=2e-6 + 1e-7 / scale)


def test_gradients_at_levels_inside_and_at_the_edges():
    loc = torch.tensor([0.1, 0.5, 0.97, 0.3], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([0.01, 0.2, 0.002, 0.05], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([0, 128, 255, 40], dtype=torch.float64) / 255
    assert torch.autograd.gradcheck(
        lambda m, s: DiscretizedLogistic(m, s).log_prob(x), (loc, scale)
    )


def test_draws_follow_the_probabilities():
    torch.manual_seed(3)
    distribution = DiscretizedLogistic(torch.tensor([0.02, 0.6]), torch.tensor([0.02, 0.004]))
    n = 40000
    draws = distribution.sample((n,))
    assert draws.shape == (n, 2)
    level = (255 * draws).round().long()
    torch.testing.assert_close(level / 255, draws)
    p = distribution.log_prob(LEVELS.float()[:, None]).exp()
    for column in range(2):
        count = torch.bincount(level[:, column], minlength=256)
        expected = n * p[:, column]
        often = expected > 20
        z = (count - expected)[often] / expected[often].sqrt()
        assert z.abs().max() < 4.5
    wider = distribution.expand((3, 2))
    assert wider.batch_shape == (3, 2)
    torch.testing.assert_close(wider.mean, distribution.mean.expand(3, 2))


def test_scales_are_learned_one_a_column():
    torch.manual_seed(4)
    # Column 0 is constant, column 1 within a level, column 2 spread widely.
    x = torch.stack(
        [
            torch.full((400,), 100 / 255),
            (100 + torch.randint(0, 2, (400,))) / 255,
            torch.randint(0, 256, (400,)) / 255,
        ],
        dim=1,
    )
    likelihood = DiscretizedLogisticLikelihood(3)
    outputs = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.Adam([*likelihood.parameters(), outputs], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        loss = -likelihood.total_log_prob(outputs.expand(400, 3), x) / 400
        loss.backward()
        optimizer.step()
    scale = likelihood.scale().detach()
    assert (scale >= likelihood.min_scale).all()
    assert scale[0] < scale[1] < 0.02 < scale[2]
    np.testing.assert_allclose(likelihood.mean(outputs).detach(), x.mean(0), atol=0.02)
    # At least the entropy of the columns, log 2 + log 256, and near to it.
    assert math.log(512) - 0.05 < loss.item() < math.log(512) + 0.7


@pytest.mark.parametrize("scales", ["columns", "one width", "entries"])
def test_means_in_pieces_are_the_same_numbers(monkeypatch, scales):
    torch.manual_seed(5)
    loc = torch.rand(1003, 2, 13) * 1.4 - 0.2
    scale = torch.rand(loc.shape if scales == "entries" else 13) * 0.02 + 4e-4
    if scales == "one width":
        scale = scale + 0.01
    sizes = []

    def spy(function):
        def wrapped(part, s):
            sizes.append(part.numel())
            return function(part, s)

        return wrapped

    for name in ("_smooth_mean", "_window_mean"):
        monkeypatch.setattr(discretized_logistic, name, spy(getattr(discretized_logistic, name)))
    # Threads divide an array between them, and each has an end of its own.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = DiscretizedLogistic(loc, scale).mean
        rows = discretized_logistic.level_mean(loc, scale)
        monkeypatch.setattr(discretized_logistic, "PIECE", 2**10)
        sizes.clear()
        assert torch.equal(discretized_logistic.level_mean(loc, scale), rows)
        assert max(sizes) <= 2**10
        assert torch.equal(DiscretizedLogistic(loc, scale).mean, whole)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(rows, whole)
    assert len(sizes) > 2 * loc.numel() / 2**10
