from __future__ import annotations

import ast
import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skccvae.datasets import _base

PACKAGE = Path(_base.__file__).resolve().parent
OPTIONAL = {"pandas", "PIL", "rdkit"}


def test_a_named_folder_is_the_only_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKCCVAE_DATA", str(tmp_path))
    assert _base.data_homes("~/x") == [Path("~/x").expanduser()]


def test_the_environment_variable_comes_before_scikit_learns_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(theirs))
    monkeypatch.setenv("SKCCVAE_DATA", str(ours))
    assert _base.data_homes(None) == [ours, theirs]
    monkeypatch.delenv("SKCCVAE_DATA")
    assert _base.data_homes(None) == [theirs]


def test_an_environment_variable_that_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKCCVAE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="SKCCVAE_DATA=.*nowhere is not a folder"):
        _base.data_homes(None)


def test_an_atomic_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail() -> None:
        with _base.atomic_write(path) as stream:
            stream.write(b"half")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_leaves_goes_with_the_next_write(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys\n"
        "from skccvae.datasets import _base\n"
        "with _base.atomic_write(pathlib.Path(sys.argv[1])) as stream:\n"
        "    stream.write(b'half')\n"
        "    stream.flush()\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "qm9[1].csv"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    killed = subprocess.run(
        [sys.executable, "-c", program, str(path)], env=environment, check=False
    )
    assert killed.returncode == -9
    (left,) = tmp_path.iterdir()
    other = tmp_path / ".other.csv.x.part"  # of another file
    other.touch()
    with _base.atomic_write(path) as stream:
        stream.write(b"first")
        stream.flush()
        assert not left.exists()
        with _base.atomic_write(path) as second:  # leaves the file of the first alone
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert sorted(tmp_path.iterdir()) == [other, path]


def test_an_atomic_write_replaces_the_file_with_ordinary_rights(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    with _base.atomic_write(path) as stream:
        stream.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert path.stat().st_mode == plain.stat().st_mode


def test_download_keeps_only_what_has_the_right_checksum(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content" * 1000)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    target = tmp_path / "home" / "target"
    with pytest.raises(OSError, match="expected 0000") as caught:
        _base.download(source.as_uri(), target, "0" * 64)
    assert sha256 in str(caught.value)
    assert list(target.parent.iterdir()) == []
    assert _base.download(source.as_uri(), target, sha256) == target
    assert _base.sha256_of(target) == sha256


def test_download_of_what_is_not_there_names_address_and_target(tmp_path: Path) -> None:
    source, target = tmp_path / "nothing", tmp_path / "target"
    with pytest.raises(OSError, match="by hand to .*target") as caught:
        _base.download(source.as_uri(), target, "0" * 64)
    assert source.as_uri() in str(caught.value)
    assert not target.exists()


@pytest.mark.parametrize("cut", [slice(None, -12), slice(None, 5)])
def test_a_truncated_gzip_file_is_named(tmp_path: Path, cut: slice) -> None:
    path = tmp_path / "broken.gz"
    path.write_bytes(gzip.compress(bytes(range(256)) * 20)[cut])
    with pytest.raises(ValueError, match=r"broken\.gz is a truncated or damaged gzip file"):
        _base.read_maybe_gzipped(path)


def test_a_damaged_gzip_file_is_named(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(bytes(range(256)) * 20))
    content[-6] ^= 1  # in the checksum
    path = tmp_path / "broken"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="broken is a truncated or damaged gzip file"):
        _base.read_maybe_gzipped(path)


def test_pack_without_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"fetch_x\(as_frame=True\) needs pandas.*pip install"):
        _base.pack(
            "fetch_x",
            data=np.zeros((2, 1)),
            target=np.zeros(2),
            feature_names=["a"],
            target_columns=["b"],
            return_X_y=False,
            as_frame=True,
        )


# The worker is a script that fetch_celeba runs; the next test sees that nothing imports it early.
MODULES = sorted(path for path in PACKAGE.glob("*.py") if path.name != "_celeba_worker.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_module_imports_an_optional_package_at_its_top(path: Path) -> None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(a.name for a in node.names)]
        assert OPTIONAL.isdisjoint(name.split(".")[0] for name in names)


def test_importing_needs_none_of_the_optional_packages() -> None:
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(OPTIONAL)!r}))\n"  # None: importing fails
        "from skccvae import datasets\n"
        "datasets.make_sphere_mixture(10, random_state=0)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
