"""The figures of the tutorials are a package in docs/, which is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the figures are drawn with matplotlib")
pytest.importorskip("PIL", reason="the figures are saved with Pillow")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))


@pytest.fixture(scope="session")
def mnist(mnist_folder: Path) -> dict[str, np.ndarray]:
    """The arguments of figures that need MNIST, few rows: images in [0, 1], and labels."""
    from skccvae.datasets import fetch_mnist

    data = fetch_mnist(data_home=mnist_folder, subset="test")
    images = data.images[:1000].astype(np.float32) / 255
    return {"images": images, "labels": data.target[:1000]}
