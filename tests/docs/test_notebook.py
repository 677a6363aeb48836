"""The notebook on the site has the cells of the one in examples/, run on QM9 without warnings."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import pytest
from figures import notebook


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def test_its_cells_are_those_of_the_example() -> None:
    title, made, *rest = cells(notebook.TARGET)
    kept = [(cell["cell_type"], source(cell)) for cell in cells(notebook.SOURCE)]
    assert [(cell["cell_type"], source(cell)) for cell in (title, *rest)] == kept
    assert re.search(r"QM9 on \d+ \w+ 20\d\d by `make figures ARGS=", source(made))
    assert notebook.STEM in source(made)


def test_every_cell_ran_and_none_warned() -> None:
    code = [cell for cell in cells(notebook.TARGET) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    kinds = {output["output_type"] for output in outputs}
    assert kinds == {"stream", "execute_result", "display_data"}
    printed = [output for output in outputs if output["output_type"] == "stream"]
    assert {output["name"] for output in printed} == {"stdout"}
    text = "".join("".join(output["text"]) for output in printed)
    assert "HOMO-LUMO gap" in text
    assert "not at hand" not in text


def test_images_keep_their_size_in_few_colours() -> None:
    Image = pytest.importorskip("PIL.Image")
    noise = Image.effect_noise((60, 40), 90).convert("RGB")
    file = io.BytesIO()
    noise.save(file, format="png")
    small = notebook.smaller(base64.b64encode(file.getvalue()).decode())
    image = Image.open(io.BytesIO(base64.b64decode(small)))
    assert image.size == (60, 40)
    assert len(image.getcolors()) <= 256
