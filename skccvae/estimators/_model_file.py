"""The file of a model: tensors and a JSON description, written completely or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

FORMAT = 7
# Bytes that names, shapes and description may take. A file says their number first.
MOST_HEADER_BYTES = 2**26
_META, _HASH = "skccvae", "sha256"
_ENTRIES = {"format", "version", "class", "params", "attributes", "history", "tensors"}


def write_model(path: str | PathLike, meta: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a model to a temporary file, and rename it to ``path`` once it is on the disk.

    Parameters
    ----------
    path : str or path-like
        The file. If anything goes wrong, an older file of that name stays as it was.
    meta : dict
        A description that JSON can hold. ``"format"`` and ``"tensors"`` are added.
    tensors : dict of str to Tensor
        Contiguous tensors on the CPU that share no memory.

    Raises
    ------
    ValueError
            If a tensor contains NaN or infinity, or the description is too long.
    """
    check_finite(tensors)
    text = json.dumps({"format": FORMAT, **meta, "tensors": _summary(tensors)})
    content = save(tensors, {_META: text, _HASH: _digest(text, tensors)})
    size = _header_size(content)
    if size > MOST_HEADER_BYTES:
        raise ValueError(
            f"save can store {MOST_HEADER_BYTES} bytes of parameters, names and history; this "
            f"estimator has {size}. Use pickle or joblib."
        )
    write_whole(path, content)


def check_target(path: str | PathLike | None) -> None:
    """Raise if no file can have this path. None stands for no file.

    Raises
    ------
    TypeError
        If the path is bytes.
    FileNotFoundError
        If its folder does not exist.
    IsADirectoryError
        If it is a folder itself, or empty.
    """
    if path is None:
        return
    text = os.fspath(path)
    if isinstance(text, bytes):
        raise TypeError(f"A path must be text or a pathlib.Path; got the bytes {text!r}.")
    if not text or os.path.isdir(text):
        raise IsADirectoryError(
            f"{text!r} is {'a folder' if text else 'empty'}. Add the name of a file to the path."
        )
    folder = os.path.dirname(os.path.realpath(text))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"The folder {folder!r} does not exist. Create it first.")


def write_whole(path: str | PathLike, content: bytes) -> None:
    """Write bytes to a temporary file, and rename it to ``path`` once it is on the disk."""
    path = os.path.realpath(path)  # a link keeps pointing to its file
    folder = os.path.dirname(path)
    part = os.path.join(folder, f".skccvae-{secrets.token_hex(8)}.part")
    try:
        with open(part, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            shutil.copymode(path, part)
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # the new name itself
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class ModelFile:
    """The content of a file, as far as it can be known without the model.

    Attributes
    ----------
    meta : dict
        The description, with exactly the entries that it must have.
    tensors : dict of str to Tensor
        Views of the file, which take no memory until they are used. They fill the file exactly.
    """

    meta: dict[str, Any]
    tensors: dict[str, Tensor]
    _text: str
    _hash: str

    def check_content(self) -> None:
        """Read everything; ValueError unless tensors and description are those that were saved."""
        check_finite(self.tensors)
        if _digest(self._text, self.tensors) != self._hash:
            raise ValueError("its content does not have the checksum that it was saved with.")


def read_model(path: str | PathLike) -> ModelFile:
    """Open a file written by `write_model`.

    Raises
    ------
    ValueError
        If the file is of another kind or format, or is incomplete. The message is the rest of a
        sentence that begins with the name of the file.
    """
    if not os.path.isfile(path):
        raise ValueError("it is not a file.")
    with open(path, "rb") as raw:
        start = raw.read(8)
        room = os.fstat(raw.fileno()).st_size - 8
    if start.startswith(b"PK"):
        raise ValueError(
            "it is a zip archive, which earlier versions of skccvae wrote. Fit the estimator again "
            "and save it with this version."
        )
    if len(start) < 8 or not 2 <= _header_size(start) <= min(MOST_HEADER_BYTES, room):
        raise ValueError("it is not a model saved by skccvae, or it is incomplete.")
    try:
        # The outer device is for safetensors 0.5, which asks torch's default device as well.
        with torch.device("cpu"), safe_open(path, framework="pt", device="cpu") as file:
            entries = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"it is damaged or incomplete ({error}).") from error
    if set(entries) != {_META, _HASH}:
        raise ValueError("it is not a model saved by skccvae, but another safetensors file.")
    try:
        meta = json.loads(entries[_META])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its description is damaged ({error}).") from error
    if not isinstance(meta, dict) or not isinstance(meta.get("format"), int):
        raise ValueError("its description does not state its format.")
    if meta["format"] != FORMAT:
        raise ValueError(
            f"it has format {meta['format']}, and this version of skccvae reads format {FORMAT}. "
            "Update skccvae, or save the model again with this version."
        )
    if set(meta) != _ENTRIES:
        raise ValueError(f"its description holds {sorted(meta)} instead of {sorted(_ENTRIES)}.")
    if not isinstance(meta["version"], str):
        raise ValueError("its description does not state the version of skccvae that wrote it.")
    if meta["tensors"] != _summary(tensors):
        raise ValueError("its tensors are not those that its description lists.")
    return ModelFile(meta, tensors, entries[_META], entries[_HASH])


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Refuse NaN and infinity."""
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} contains NaN or infinity, so it is not a working model.")


def _header_size(content: bytes) -> int:
    return int.from_bytes(content[:8], "little")


def _summary(tensors: Mapping[str, Tensor]) -> dict[str, list]:
    """Dtype and shape of each tensor."""
    return {
        name: [str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        for name, tensor in sorted(tensors.items())
    }


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the description, which lists the tensors, and of the tensors in that order."""
    sha = hashlib.sha256(text.encode())
    for _, tensor in sorted(tensors.items()):
        if tensor.numel():  # an empty one may have no stride
            sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
