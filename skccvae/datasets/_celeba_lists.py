"""CelebA's annotation lists: attributes and evaluation partition."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

N_ATTRIBUTES = 40


def read_attributes(path: Path) -> tuple[list[str], list[str], np.ndarray]:
    """Read ``list_attr_celeba.txt``.

    Parameters
    ----------
    path : Path

    Returns
    -------
    files : list of str
    attribute_names : list of 40 str
    attributes : ndarray of shape (n, 40), int8
        1 if the attribute is present (1 in the file), and 0 if not (-1 in the file).

    Raises
    ------
    ValueError
        If the count, the names or a row is wrong. The message names the file.
    """
    with path.open(encoding="utf-8", errors="replace") as stream:
        first = stream.readline().strip()
        if not first.isdecimal():
            raise ValueError(f"{path}, line 1: expected the number of images, got {first[:50]!r}")
        attribute_names = stream.readline().split()
        if len(set(attribute_names)) != N_ATTRIBUTES:
            raise ValueError(
                f"{path}, line 2: expected {N_ATTRIBUTES} names of attributes, got "
                f"{len(set(attribute_names))}"
            )
        files: list[str] = []
        bits = bytearray()
        for line, text in enumerate(stream, start=3):
            name, *values = text.split() or [""]
            if not name:
                continue
            if values.count("1") + values.count("-1") != len(values):
                wrong = next(value for value in values if value not in {"1", "-1"})
                raise ValueError(
                    f"{path}, line {line}: expected values of -1 or 1, got {wrong[:50]!r}"
                )
            if len(values) != N_ATTRIBUTES:
                raise ValueError(
                    f"{path}, line {line}: expected a name and {N_ATTRIBUTES} values, got "
                    f"{len(values)} values"
                )
            bits.extend(map("1".__eq__, values))
            files.append(name)
    _check_names(path, files)
    if len(files) != int(first) or not files:
        raise ValueError(f"{path}: its first line promises {first} images, but {len(files)} follow")
    attributes = np.frombuffer(bytes(bits), dtype=np.int8).reshape(-1, N_ATTRIBUTES).copy()
    return files, attribute_names, attributes


def read_partition(path: Path, files: list[str]) -> np.ndarray:
    """Read ``list_eval_partition.txt``.

    Parameters
    ----------
    path : Path
    files : list of str
        The images of the attribute list. The partition must list the same images in this order.

    Returns
    -------
    partition : ndarray of shape (n,), int8
        0 for training, 1 for validation, 2 for testing.

    Raises
    ------
    ValueError
        If a row is not a name and 0, 1 or 2, or the images differ from `files`. The message names
        the file.
    """
    names: list[str] = []
    parts = bytearray()
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line, text in enumerate(stream, start=1):
            fields = text.split()
            if not fields:
                continue
            if len(fields) != 2 or fields[1] not in {"0", "1", "2"}:
                raise ValueError(
                    f"{path}, line {line}: expected a name and 0, 1 or 2, got {text.strip()[:50]!r}"
                )
            names.append(fields[0])
            parts.append(int(fields[1]))
    if len(names) != len(files):
        raise ValueError(
            f"{path} lists {len(names)} images, but the attribute list beside it has {len(files)}"
        )
    for ours, theirs in zip(names, files, strict=True):
        if ours != theirs:
            raise ValueError(f"{path} lists {ours} where the attribute list has {theirs}")
    return np.frombuffer(bytes(parts), dtype=np.int8).copy()


def check_folder(folder: Path, files: list[str]) -> None:
    """Raise an error unless the JPEGs of `folder` are exactly `files`.

    Raises
    ------
    FileNotFoundError
        If one is missing. The message names the first.
    ValueError
        If there are other files as well. The message names the first.
    """
    present = {name for name in os.listdir(folder) if name.lower().endswith(".jpg")}
    missing = [name for name in files if name not in present]
    if missing:
        raise FileNotFoundError(
            f"{folder / missing[0]} is missing ({len(missing)} of the {len(files)} listed images "
            "are); unpack img_align_celeba.zip again"
        )
    if len(present) != len(files):
        extra = sorted(present.difference(files))
        raise ValueError(
            f"{folder} has {len(present)} images, but the list has {len(files)}: {extra[0]} is not "
            "listed; remove it, or put the full list there"
        )


def _check_names(path: Path, files: list[str]) -> None:
    if len(set(files)) != len(files):
        twice = next(name for name in files if files.count(name) > 1)
        raise ValueError(f"{path}: {twice} is listed twice")
    for name in files:
        if "/" in name or "\\" in name or not name.lower().endswith(".jpg"):
            raise ValueError(f"{path}: expected names like 000001.jpg, got {name[:50]!r}")
