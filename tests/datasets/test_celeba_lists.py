from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skccvae.datasets._celeba_lists import check_folder, read_attributes, read_partition

NAMES = [f"{i:06d}.jpg" for i in range(1, 13)]
ATTRIBUTES = [f"Attribute_{j}" for j in range(39)] + ["Smiling"]
BITS = np.random.RandomState(0).randint(0, 2, (12, 40))
PARTITION = [0] * 7 + [1] * 2 + [2] * 3


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rows = [
        f"{name}  {'  '.join('1' if b else '-1' for b in row)}"
        for name, row in zip(NAMES, BITS, strict=True)
    ]
    text = "\n".join(["12", " ".join(ATTRIBUTES), *rows]) + "\n"
    (tmp_path / "list_attr_celeba.txt").write_text(text)
    lines = [f"{name} {part}\n" for name, part in zip(NAMES, PARTITION, strict=True)]
    (tmp_path / "list_eval_partition.txt").write_text("".join(lines))
    return tmp_path


def read(root: Path) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    files, names, bits = read_attributes(root / "list_attr_celeba.txt")
    return files, names, bits, read_partition(root / "list_eval_partition.txt", files)


def test_reads_what_is_written(root: Path) -> None:
    files, names, bits, partition = read(root)
    assert files == NAMES
    assert names == ATTRIBUTES
    np.testing.assert_array_equal(bits, BITS)
    np.testing.assert_array_equal(partition, PARTITION)
    assert bits.dtype == partition.dtype == np.int8


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Edit that replaces the first `old` in a list."""

    def edit(root: Path) -> None:
        path = root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (replaced("list_attr_celeba.txt", "12\n", "13\n"), "promises 13 images, but 12 follow"),
        (replaced("list_attr_celeba.txt", "12\n", "twelve\n"), "line 1: .*number of images"),
        (replaced("list_attr_celeba.txt", "Smiling", ""), "line 2: expected 40 names.*got 39"),
        (replaced("list_attr_celeba.txt", "  -1", "  0"), "expected values of -1 or 1, got '0'"),
        (replaced("list_attr_celeba.txt", "  -1", ""), "40 values, got 39 values"),
        (
            replaced("list_attr_celeba.txt", "000004.jpg", "000003.jpg"),
            "000003.jpg is listed twice",
        ),
        (replaced("list_attr_celeba.txt", "000004.jpg", "../x.jpg"), "names like 000001.jpg"),
        (
            replaced("list_eval_partition.txt", " 2", " 3"),
            "line 10: .*0, 1 or 2, got '000010.jpg 3",
        ),
        (replaced("list_eval_partition.txt", "000003.jpg 0\n", ""), "lists 11 images, .* 12"),
        (replaced("list_eval_partition.txt", "000003.jpg", "000002.jpg"), "lists 000002.jpg where"),
    ],
)
def test_a_bad_list_is_named(root: Path, edit: Callable[[Path], None], message: str) -> None:
    edit(root)
    with pytest.raises(ValueError, match=message) as caught:
        read(root)
    assert "list_" in str(caught.value)


def test_an_empty_list_is_refused(root: Path) -> None:
    path = root / "list_attr_celeba.txt"
    path.write_text("\n".join(["0", " ".join(ATTRIBUTES)]))
    with pytest.raises(ValueError, match="promises 0 images, but 0 follow"):
        read_attributes(path)


def test_check_folder_ignores_what_is_no_jpeg(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.JPG", "notes.txt", ".DS_Store"):
        (tmp_path / name).write_bytes(b"")
    check_folder(tmp_path, ["a.jpg", "b.JPG"])
    with pytest.raises(FileNotFoundError, match=r"c\.jpg is missing"):
        check_folder(tmp_path, ["a.jpg", "b.JPG", "c.jpg"])
    with pytest.raises(ValueError, match=r"b\.JPG is not listed"):
        check_folder(tmp_path, ["a.jpg"])
