"""Conversion of rows to images that matplotlib can show, and mosaics of images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def find_image_shape(
    n_features: int, shape: tuple[int, ...] | None, image_shape: Any = None
) -> tuple[int, ...]:
    """Shape of one image: image_shape if given, else the shape of a sample, else a square.

    Raises
    ------
    ValueError
        If image_shape does not fit the rows, or flat rows are not square images.
    """
    if image_shape is not None:
        wanted = tuple(int(n) for n in image_shape)
        if len(wanted) not in (2, 3) or math.prod(wanted) != n_features:
            raise ValueError(
                f"image_shape must be (H, W), (H, W, C) or (C, H, W), and its product must be "
                f"{n_features}, the length of a row; got {image_shape!r}."
            )
        return wanted
    if shape is not None and len(shape) in (2, 3):
        return shape
    side = math.isqrt(n_features)
    if side * side != n_features:
        raise ValueError(
            f"Rows of {n_features} numbers are not square images; pass image_shape, such as "
            "image_shape=(28, 28) or (64, 64, 3)."
        )
    return side, side


def as_images(rows: ArrayLike, image_shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Reshape rows to images (n, H, W) or (n, H, W, 3).

    Raises
    ------
    ValueError
        If an image has three axes, and neither the first nor the last has length 1 or 3.
    """
    images = np.asarray(rows, dtype=np.float64)
    images = images.reshape(len(images), *image_shape)
    if images.ndim == 4 and images.shape[-1] not in (1, 3):
        if images.shape[1] not in (1, 3):
            raise ValueError(
                "Images must have 1 or 3 channels as their first or last axis; got shape "
                f"{image_shape}."
            )
        images = np.moveaxis(images, 1, -1)
    return images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images


def value_range(images: NDArray[np.float64]) -> tuple[float, float]:
    """Values to show as black and as white: (0, 1), (0, 255), or based on the data."""
    low, high = float(images.min()), float(images.max())
    if low < 0:
        return low, high
    if high <= 1:
        return 0.0, 1.0
    return 0.0, 255.0 if 16 < high <= 255 else high


def mosaic(images: NDArray[np.float64], n_columns: int, gap: int, fill: Any) -> NDArray[Any]:
    """Arrange images in rows of n_columns, with gap pixels of the value fill between them."""
    n, height, width = images.shape[:3]
    n_rows = math.ceil(n / n_columns)
    size = (n_rows * (height + gap) - gap, n_columns * (width + gap) - gap)
    canvas = np.full((*size, *images.shape[3:]), fill)
    for index, image in enumerate(images):
        top, left = divmod(index, n_columns)
        top, left = top * (height + gap), left * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def to_unit(images: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Map [low, high] linearly to [0, 1], and clip values outside."""
    return np.clip((images - low) / ((high - low) or 1.0), 0, 1)
