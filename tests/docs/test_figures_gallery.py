"""Examples on larger data: what their pages show is there, and was made by their own code."""

from __future__ import annotations

import re

import pytest
from figures import gallery
from figures.__main__ import TARGET


@pytest.mark.parametrize("script", sorted(gallery.STEMS))
def test_pages_show_what_was_made(script: str) -> None:
    page = (gallery.EXAMPLES / f"{script}.py").read_text(encoding="utf-8")
    drawn = set(re.findall(rf'"({script}_\w+)"', page))
    shown = set(re.findall(r"\.\. figure:: \.\./_static/figures/(\w+)\.png", page))
    assert drawn == shown == set(gallery.STEMS[script])
    for name in re.findall(r"_static/figures/(\w+\.(?:png|txt))", page):
        assert (TARGET / name).stat().st_size > 0
    made = (TARGET / f"{script}_made.txt").read_text(encoding="utf-8")
    assert re.search(r"on \d+ \w+ 20\d\d by ``make figures ARGS=", made)
    assert all(stem in made for stem in gallery.STEMS[script])


def test_figures_and_text_of_a_script_are_found(tmp_path, monkeypatch) -> None:
    code = 'import matplotlib.pyplot as plt\nplt.figure("tiny_one").gca().plot([0, 1])\nprint(7)\n'
    (tmp_path / "tiny.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(gallery, "EXAMPLES", tmp_path)
    monkeypatch.setitem(gallery.STEMS, "tiny", ("tiny_one",))
    figures, printed = gallery.run("tiny", None)
    assert list(figures) == ["tiny_one"]
    assert figures["tiny_one"].axes
    assert printed == "7\n"
    assert gallery.texts("tiny", None)["tiny_printed.txt"] == "7\n"


@pytest.mark.parametrize("script", sorted(gallery.STEMS))
def test_no_page_of_the_gallery_parses_options(script: str) -> None:
    assert "argparse" not in (gallery.EXAMPLES / f"{script}.py").read_text(encoding="utf-8")
