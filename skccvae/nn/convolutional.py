"""Compact residual convolutional encoder and decoder for images of any size.

Inputs and outputs are rows: images flattened in the user's own axis order. A convolutional network
can therefore replace a perceptron. The layout keeps the cost low: the first layer already halves
the image, large feature maps have few channels, and only small maps have residual blocks. There is
no BatchNorm, because a batch of one row has no batch statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skccvae.nn.networks import ACTIVATIONS

__all__ = ["ConvDecoder", "ConvEncoder", "ImageLayout", "image_layout"]

CHANNEL_COUNTS = (1, 3, 4)
# Feature maps are halved until their sides are at most this long. A dense layer does the rest.
SMALLEST_SIDE = 4
# Channels after each halving.
CHANNELS = (16, 32, 32, 64)
# Number of the first level with a residual block; the last level always has one. On 28 x 28 images,
# blocks on the 14 x 14 and 7 x 7 maps would double the cost of a step.
FIRST_RESIDUAL = 2
# Without gradients, rows are processed in pieces whose largest map has at most this many numbers
# (32 MiB of float32).
PIECE = 2**23


class ImageLayout(NamedTuple):
    """How the numbers of one flattened row form an image.

    Attributes
    ----------
    channels, height, width : int
        Size of the image.
    channels_last : bool
        Whether the channels are the last axis of a row. False if there is no channel axis.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import ImageLayout
    >>> layout = ImageLayout(channels=3, height=9, width=7, channels_last=True)
    >>> layout.to_image(torch.zeros(2, 189)).shape
    torch.Size([2, 3, 9, 7])
    """

    channels: int
    height: int
    width: int
    channels_last: bool

    def to_image(self, rows: Tensor) -> Tensor:
        """Reshape rows (n, p) to images (n, C, H, W)."""
        n = rows.shape[0]
        if self.channels_last:
            return rows.reshape(n, self.height, self.width, self.channels).permute(0, 3, 1, 2)
        return rows.reshape(n, self.channels, self.height, self.width)

    def to_rows(self, images: Tensor) -> Tensor:
        """Reshape images (n, C, H, W) to rows (n, p)."""
        return (images.permute(0, 2, 3, 1) if self.channels_last else images).flatten(1)


def image_layout(shape: tuple[int, ...] | None) -> ImageLayout:
    """Find height, width and channels in the shape of one image.

    Parameters
    ----------
    shape : tuple of int or None
        ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``. The channel axis is the last or first axis of
        size 1, 3 or 4; if both have such a size, it is the last.

    Returns
    -------
    ImageLayout
        The layout.

    Raises
    ------
    ValueError
        If the shape is None, does not have two or three axes, or has three axes of which neither
        the first nor the last can be the channel axis.

    Examples
    --------
    >>> from skccvae.nn import image_layout
    >>> image_layout((3, 64, 48))
    ImageLayout(channels=3, height=64, width=48, channels_last=False)
    >>> image_layout((4, 64, 3)).channels
    3
    """
    if shape is None:
        raise ValueError(
            "A convolutional network needs the shape of an image, but X holds flat rows. Pass "
            "image_shape, such as image_shape=(28, 28), or X of shape (n, 28, 28)."
        )
    if len(shape) == 2:
        return ImageLayout(1, shape[0], shape[1], False)
    if len(shape) != 3:
        raise ValueError(
            "A convolutional network needs images of shape (H, W), (H, W, C) or (C, H, W); got "
            f"{shape}. Pass image_shape, or encoder='mlp' and decoder='mlp'."
        )
    if shape[2] in CHANNEL_COUNTS:
        return ImageLayout(shape[2], shape[0], shape[1], True)
    if shape[0] in CHANNEL_COUNTS:
        return ImageLayout(shape[0], shape[1], shape[2], False)
    raise ValueError(
        f"Images of shape {shape} have no channel axis, which must be the first or last axis and "
        "have size 1, 3 or 4. Pass X or image_shape in such a shape, or your own torch modules as "
        "encoder and decoder."
    )


class _Level(NamedTuple):
    """One halving: the size and channels of its input, and the channels of its output."""

    size: tuple[int, int]
    n_in: int
    n_out: int
    halved: tuple[bool, bool]
    residual: bool


def _levels(layout: ImageLayout) -> tuple[list[_Level], tuple[int, int]]:
    """The halvings of an image, until each side is short, and the size of the last map."""
    sizes = [(layout.height, layout.width)]
    while max(sizes[-1]) > SMALLEST_SIDE or len(sizes) == 1:
        h, w = sizes[-1]
        sizes.append(tuple(-(-n // 2) if n > SMALLEST_SIDE else n for n in (h, w)))  # type: ignore[arg-type]
    depth = len(sizes) - 1
    # An image that is halved only once is small, so it gets the second width.
    widths = [CHANNELS[min(i + (depth == 1), len(CHANNELS) - 1)] for i in range(depth)]
    levels = [
        _Level(
            size,
            layout.channels if i == 0 else widths[i - 1],
            widths[i],
            (size[0] > SMALLEST_SIDE, size[1] > SMALLEST_SIDE),
            i >= FIRST_RESIDUAL or i == depth - 1,
        )
        for i, size in enumerate(sizes[:-1])
    ]
    return levels, sizes[-1]


class _ResidualBlock(nn.Module):
    """x + f(x) with two 3 x 3 convolutions in f; it starts as the identity."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, padding=1)
        self.body = nn.Sequential(
            nn.GroupNorm(channels // 8, channels),
            ACTIVATIONS[activation](),
            nn.Conv2d(channels, channels, 3, padding=1),
            ACTIVATIONS[activation](),
            last,
        )
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class _Upsample(nn.Module):
    """Transposed convolution back to the size of the input of a level, which may be odd."""

    def __init__(self, level: _Level) -> None:
        super().__init__()
        self.size = level.size
        kernel = tuple(4 if halved else 3 for halved in level.halved)
        stride = tuple(2 if halved else 1 for halved in level.halved)
        self.convolution = nn.ConvTranspose2d(level.n_out, level.n_in, kernel, stride, 1)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        # An odd side is halved and rounded up, so doubling gives one pixel too many.
        return self.convolution(x)[..., : self.size[0], : self.size[1]]


def _in_pieces(function: Callable[[Tensor], Tensor], rows: Tensor, largest_map: int) -> Tensor:
    """Apply a network to rows, and without gradients piece by piece to save memory."""
    piece = max(1, PIECE // largest_map)
    # The number of rows of an exported graph is not known.
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or rows.shape[0] <= piece:
        return function(rows)
    return torch.cat([function(part) for part in rows.split(piece)])


class ConvEncoder(nn.Module):
    """Convolutional network from flattened images to hidden features.

    Parameters
    ----------
    shape : tuple of int or None
        Shape of one image in the user's axis order; see `image_layout`.
    n_hidden : int or None
        Width of a dense layer after the convolutions. With None the output is the last feature map.
    activation : str
        A key of ``ACTIVATIONS``.
    missing : bool, default=False
        Whether rows are followed by an indicator of missing values, as long as a row. It forms
        further channels of the image, with weights that start at 0.

    Raises
    ------
    ValueError
        If the shape is not that of an image; see `image_layout`.

    Notes
    -----
    Each level halves the sides that are longer than 4 with a strided 3 x 3 convolution. The levels
    have 16, 32, 32 and then 64 channels (a single level has 32). From the third level on, and
    always in the last, a residual block with pre-activation and GroupNorm follows.

    References
    ----------
    He, Zhang, Ren and Sun, "Identity mappings in deep residual networks", ECCV 2016, figure 1b;
    Wu and He, "Group normalization", ECCV 2018.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import ConvEncoder
    >>> ConvEncoder((9, 7, 3), 32, "relu")(torch.rand(1, 189)).shape
    torch.Size([1, 32])
    """

    def __init__(
        self,
        shape: tuple[int, ...] | None,
        n_hidden: int | None,
        activation: str,
        missing: bool = False,
    ) -> None:
        super().__init__()
        self.layout = image_layout(shape)
        self.n_mask = self.layout.channels * self.layout.height * self.layout.width * missing
        levels, last = _levels(self.layout)
        layers: list[nn.Module] = []
        for level in levels:
            stride = tuple(2 if halved else 1 for halved in level.halved)
            layers.append(nn.Conv2d(level.n_in, level.n_out, 3, stride, 1))  # type: ignore[arg-type]
            if level.residual:
                layers.append(_ResidualBlock(level.n_out, activation))
            layers.append(ACTIVATIONS[activation]())
        layers.append(nn.Flatten())
        if n_hidden is not None:
            width = levels[-1].n_out * last[0] * last[1]
            layers += [nn.Linear(width, n_hidden), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers)
        self.largest_map = _largest_map(levels, last)
        if missing:
            first = layers[0]
            assert isinstance(first, nn.Conv2d)
            self.mask_weight = nn.Parameter(torch.zeros_like(first.weight))

    def forward(self, x: Tensor) -> Tensor:
        """Map rows, (n, p) or with the indicator (n, 2 p), to features (n, h)."""
        return _in_pieces(self._features, x, self.largest_map)

    def _features(self, rows: Tensor) -> Tensor:
        missing = rows[:, rows.shape[1] - self.n_mask :]
        images = self.layout.to_image(rows[:, : rows.shape[1] - self.n_mask])
        # On a CPU, convolutions with few channels are faster in the channels_last memory format.
        images = images.contiguous(memory_format=torch.channels_last)
        if not self.n_mask:
            return self.layers(images)
        first: Any = self.layers[0]
        masks = self.layout.to_image(missing).contiguous(memory_format=torch.channels_last)
        seen = F.conv2d(masks, self.mask_weight, None, first.stride, first.padding)
        return self.layers[1:](first(images) + seen)


class ConvDecoder(nn.Module):
    """Convolutional network from latent features to likelihood parameters of flattened images.

    Parameters
    ----------
    n_inputs : int
        Width of the latent features.
    shape : tuple of int or None
        Shape of one image in the user's axis order; see `image_layout`.
    n_hidden : int or None
        Width of a dense layer before the first feature map. None adds no such layer.
    activation : str
        A key of ``ACTIVATIONS``.
    n_outputs : int, optional
        Number of output values per row: a multiple of the number p of values in an image. If the
        likelihood has several parameters per value, the output holds p values of the first
        parameter, then p of the second, and so on. The default is p.

    Raises
    ------
    ValueError
        If the shape is not that of an image, or ``n_outputs`` is not a multiple of p.

    Notes
    -----
    The network reverses the levels of the encoder, with transposed convolutions of size 4 and
    stride 2.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import ConvDecoder
    >>> ConvDecoder(2, (9, 7, 3), 32, "relu")(torch.randn(1, 2)).shape
    torch.Size([1, 189])
    """

    def __init__(
        self,
        n_inputs: int,
        shape: tuple[int, ...] | None,
        n_hidden: int | None,
        activation: str,
        n_outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.layout = image_layout(shape)
        n_pixels = self.layout.channels * self.layout.height * self.layout.width
        n_outputs = n_pixels if n_outputs is None else n_outputs
        if n_outputs < 1 or n_outputs % n_pixels:
            raise ValueError(
                f"n_outputs must be a multiple of the {n_pixels} numbers in an image of shape "
                f"{shape}; got {n_outputs}."
            )
        self.n_parameters = n_outputs // n_pixels
        levels, last = _levels(self.layout)
        levels[0] = levels[0]._replace(n_in=self.layout.channels * self.n_parameters)
        layers: list[nn.Module] = []
        width = n_inputs
        if n_hidden is not None:
            layers += [nn.Linear(width, n_hidden), ACTIVATIONS[activation]()]
            width = n_hidden
        channels = levels[-1].n_out
        layers.append(nn.Linear(width, channels * last[0] * last[1]))
        layers.append(nn.Unflatten(1, (channels, *last)))
        for level in reversed(levels):
            if level.residual:
                layers.append(_ResidualBlock(level.n_out, activation))
            layers += [ACTIVATIONS[activation](), _Upsample(level)]
        self.layers = nn.Sequential(*layers)
        self.largest_map = _largest_map(levels, last)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, f) to likelihood outputs (n, n_outputs)."""
        return _in_pieces(self._outputs, features, self.largest_map)

    def _outputs(self, features: Tensor) -> Tensor:
        images = self.layers(features)
        if self.n_parameters == 1:
            return self.layout.to_rows(images)
        parts = images.chunk(self.n_parameters, dim=1)
        return torch.cat([self.layout.to_rows(part) for part in parts], dim=1)


def _largest_map(levels: list[_Level], last: tuple[int, int]) -> int:
    """Number of values per image in the largest map, including the image itself."""
    maps = [level.n_in * level.size[0] * level.size[1] for level in levels]
    return max(*maps, levels[-1].n_out * last[0] * last[1])
