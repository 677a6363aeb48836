"""What all figures of the tutorials share: their names, how they are saved, what pages show."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_images_are_small_and_keep_their_size(tmp_path: Path) -> None:
    from figures._style import DPI, WIDTH, new, save
    from PIL import Image

    figure, axes = new(1, 2, height=2.0)
    axes[0, 0].plot([0, 1])
    assert save(figure, tmp_path / "a.png") == (tmp_path / "a.png").stat().st_size
    image = Image.open(tmp_path / "a.png")
    assert image.size == (int(WIDTH * DPI), int(2.0 * DPI))
    assert len(image.getcolors()) <= 256


def test_an_image_too_large_for_a_page_is_refused(tmp_path: Path) -> None:
    from figures._style import new, save

    figure, axes = new(height=8.0)
    axes[0, 0].imshow(np.random.default_rng(0).random((800, 800)), interpolation="nearest")
    with pytest.raises(ValueError, match="noise.png would have .* Draw fewer points"):
        save(figure, tmp_path / "noise.png")


def test_every_image_has_code_and_a_page_that_shows_it_with_its_alt_text() -> None:
    from figures.__main__ import all_figures

    shown = {}
    folders = (DOCS / "tutorials", DOCS / "guide")
    pages = [page for folder in folders for page in folder.glob("*.rst")]
    for page in [*pages, *(DOCS.parent / "examples").glob("*.py")]:
        text = page.read_text()
        for stem, rest in re.findall(r"\.\. figure:: \.\./_static/figures/(.+)\.png\n(.+)", text):
            shown[stem] = rest
    files = {path.stem for path in (DOCS / "_static" / "figures").glob("*.png")}
    assert set(shown) == files == set(all_figures())
    assert all(":alt:" in rest for rest in shown.values())
