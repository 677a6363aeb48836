"""The examples run as they stand, and models beat PCA where the quick start says they do."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
QUICKSTART = REPOSITORY / "examples" / "quickstart.py"
BENCHMARK = REPOSITORY / "benchmarks" / "digits_accuracy.py"

pytest.importorskip("matplotlib", reason="the examples draw with matplotlib, of the extra 'plot'")


def run(
    *arguments: str, folder: Path, script: Path = QUICKSTART, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_quickstart_prints_its_table_and_names_its_figure(tmp_path: Path) -> None:
    done = run("--fast", "--figure", "spaces.png", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    row = re.compile(
        r"^(.+?)\s+(2|10)\s+(0\.\d{3})\s+(0\.\d{3})\s+(-|-?\d+\.\d\d)\s+\d+\.\d$", re.M
    )
    rows = {
        (name, int(d)): (float(acc), bound) for name, d, acc, _, bound in row.findall(done.stdout)
    }
    kinds = ["PCA", "autoencoder", "Gaussian VAE", "spherical VAE", "hyperbolic VAE"]
    assert set(rows) == {(kind, d) for kind in kinds for d in (2, 10)}
    for (kind, _), (accuracy, bound) in rows.items():
        assert 0.2 < accuracy <= 1  # ten classes: twice chance after two epochs
        assert (bound == "-") == (kind == "autoencoder")
    assert "Best: K = -1, d = 2" in done.stdout
    assert "Figure: spaces.png" in done.stdout
    assert (tmp_path / "spaces.png").read_bytes().startswith(b"\x89PNG")
    assert "SphericalVAETransformer: 100%" in done.stderr  # progress


def test_quickstart_says_where_it_looked_for_mnist(tmp_path: Path) -> None:
    done = run("--mnist", str(tmp_path), folder=tmp_path)
    assert done.returncode != 0
    assert str(tmp_path) in done.stderr.splitlines()[-1]
    assert "train-images-idx3-ubyte" in done.stderr


def test_faces_run_without_celeba(tmp_path: Path) -> None:
    script = REPOSITORY / "benchmarks" / "celeba.py"
    empty = {"SKCCVAE_DATA": str(tmp_path), "SCIKIT_LEARN_DATA": str(tmp_path)}
    options = ("--epochs", "1", "--save-to", "pictures")
    done = run(*options, folder=tmp_path, script=script, **empty)
    assert done.returncode == 0, done.stderr
    assert "instead" in done.stdout
    assert "Warning" not in done.stderr
    assert re.search(r"hyperbolic +d = 16 +0\.\d{3}\n*$", done.stdout)  # to the last line
    assert len(list((tmp_path / "pictures").glob("celeba_*.png"))) == 5


@pytest.mark.parametrize("name", ["mnist", "qm9"])
def test_examples_say_which_data_are_missing(tmp_path: Path, name: str) -> None:
    if name == "qm9":
        pytest.importorskip("scikit_mol", reason="molecules need the extra 'molecules'")
    script = REPOSITORY / "examples" / f"{name}.py"
    empty = {"SKCCVAE_DATA": str(tmp_path), "SCIKIT_LEARN_DATA": str(tmp_path)}
    done = run(folder=tmp_path, script=script, **empty)
    assert done.returncode != 0
    assert str(tmp_path) in done.stderr


def test_notebook_runs_from_top_to_bottom_without_qm9(tmp_path: Path) -> None:
    pytest.importorskip("scikit_mol", reason="molecules need the extra 'molecules'")
    path = REPOSITORY / "examples" / "qm9_for_chemists.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    # What papermill and nbconvert look for.
    assert [cell["metadata"].get("tags") for cell in code[:2]] == [["parameters"], None]
    assert notebook["metadata"]["language_info"]["file_extension"] == ".py"
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    sources = ["".join(cell["source"]) for cell in code]
    assert sources[0].count("EPOCHS = 20") == 1
    sources[0] = sources[0].replace("EPOCHS = 20", "EPOCHS = 3")
    cells = tmp_path / "cells.py"
    # Each cell on its own, in one namespace, as a kernel runs them.
    cells.write_text(f"for source in {sources!r}:\n    exec(source)\n", encoding="utf-8")
    empty = {"SKCCVAE_DATA": str(tmp_path), "SCIKIT_LEARN_DATA": str(tmp_path)}
    done = run(folder=tmp_path, script=cells, **empty)
    assert done.returncode == 0, done.stderr
    assert "molecules put together here instead" in done.stdout
    error = dict(re.findall(r"^(\w+) +(\d\.\d{3})$", done.stdout, re.M))
    assert set(error) == {"mean", "TruncatedSVD", "plane", "sphere", "hyperbolic"}
    assert all(float(error[name]) <= float(error["mean"]) for name in error)
    assert len(re.findall(r"^supervised_weight=.* error \d\.\d{3}$", done.stdout, re.M)) == 2


@pytest.mark.parametrize("name", ["Gaussian VAE", "spherical VAE", "hyperbolic VAE"])
def test_a_geometry_is_at_least_as_accurate_as_pca(name: str) -> None:
    # Digits at ten dimensions; one split of 450 test images has a standard error of one per cent.
    benchmark = runpy.run_path(str(BENCHMARK))
    quickstart = runpy.run_path(str(QUICKSTART))
    runs = [benchmark["accuracies"](seed, 10, [name], quickstart) for seed in range(5)]
    pca = sum(run["PCA"] for run in runs) / len(runs)
    assert pca > 0.92
    gaps = [run[name] - run["PCA"] for run in runs]
    # Both see the same splits. The standard error of their difference is about 0.004.
    assert sum(gaps) / len(gaps) > -2 * 0.004
