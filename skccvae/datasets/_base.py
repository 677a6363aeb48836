"""Code that the data sets share: data folders, checksums, atomic writes, the Bunch."""

from __future__ import annotations

import csv
import glob
import gzip
import hashlib
import importlib
import io
import os
import tempfile
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ENVIRONMENT_VARIABLE = "SKCCVAE_DATA"
_BLOCK = 1 << 20


def data_homes(data_home: str | os.PathLike[str] | None) -> list[Path]:
    """List the folders to look in, first choice first.

    Parameters
    ----------
    data_home : str, path-like or None
        A folder named by the user is the only one. None means the folder named by the environment
        variable ``SKCCVAE_DATA`` if it is set, then scikit-learn's own data folder.

    Returns
    -------
    homes : list of Path

    Raises
    ------
    ValueError
        If ``SKCCVAE_DATA`` is set to something that is not a folder.
    """
    if data_home is not None:
        return [Path(data_home).expanduser()]
    homes = []
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise ValueError(
                f"{ENVIRONMENT_VARIABLE}={named} is not a folder; set it to the folder of the "
                "data sets, or unset it"
            )
        homes.append(folder)
    return [*homes, Path(get_data_home())]


def candidate_folders(
    data_home: str | os.PathLike[str] | None, subfolders: Sequence[str]
) -> list[Path]:
    """List every home of `data_home`, each followed by its `subfolders`."""
    return [
        folder
        for home in data_homes(data_home)
        for folder in (home, *(home / s for s in subfolders))
    ]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its name only once it is complete.

    A reader sees the old file or the whole new one. If the body raises, the temporary file is
    removed and `path` is left as it was. If the process is killed, the next writer of `path`
    removes the temporary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    stream, temporary = _temporary_file(path)
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            # mkstemp makes the file private; give it the permissions that open() would have given.
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            if fcntl is not None:  # Windows renames no open file
                temporary.replace(path)
        if fcntl is None:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary_file(path: Path) -> tuple[BinaryIO, Path]:
    """Open a temporary file, locked until it is closed or its process ends."""
    while True:
        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=".part", dir=path.parent
        )
        stream = os.fdopen(descriptor, "wb")
        if fcntl is not None:
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(stream, fcntl.LOCK_EX)
        # Another process may have taken the file for an abandoned one before it was locked.
        if os.path.exists(name):
            return stream, Path(name)
        stream.close()


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files that killed writers of `path` have left, which nobody locks."""
    if fcntl is None:
        return
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError), part.open("rb") as stream:  # locked by its writer, or gone
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def download(url: str, path: Path, sha256: str) -> Path:
    """Download `url` to `path`, which appears only if the checksum is right.

    Parameters
    ----------
    url : str
    path : Path
        The file to write. Its folder is made if it does not exist.
    sha256 : str
        Expected checksum, in hexadecimal.

    Returns
    -------
    path : Path

    Raises
    ------
    OSError
        If the address cannot be read, or the download has another checksum.
    """
    digest = hashlib.sha256()
    with atomic_write(path) as target:
        try:
            with urllib.request.urlopen(url, timeout=60) as source:
                while block := source.read(_BLOCK):
                    digest.update(block)
                    target.write(block)
        except OSError as error:
            raise OSError(
                f"could not download {url} ({error}); download it by hand to {path}"
            ) from error
        if digest.hexdigest() != sha256:
            raise OSError(
                f"{url} has SHA-256 {digest.hexdigest()}, expected {sha256}: the download is "
                "damaged or the file has changed at its source; nothing was kept"
            )
    return path


def read_maybe_gzipped(path: Path) -> bytes:
    """Bytes of a file, decompressed if its content (not its name) is gzip's.

    Raises
    ------
    ValueError
        If the gzip stream is truncated or damaged; the message names the file.
    """
    raw = path.read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(
            f"{path} is a truncated or damaged gzip file ({error}); fetch it again"
        ) from error


def packaged_table(file: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a gzipped CSV file in ``skccvae/datasets/data``."""
    raw = (files("skccvae.datasets") / "data" / file).read_bytes()
    header, *rows = csv.reader(io.StringIO(gzip.decompress(raw).decode("ascii")))
    return header, rows


def optional_import(module: str, purpose: str, install: str) -> Any:
    """Import an optional package; the ImportError says what needs it and how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{purpose} needs {module}; install it with `{install}`") from error


def pack(
    name: str,
    *,
    data: np.ndarray,
    target: np.ndarray,
    feature_names: list[str],
    target_columns: list[str],
    return_X_y: bool,
    as_frame: bool,
    **others: Any,
) -> Bunch | tuple[Any, Any]:
    """Return what a scikit-learn fetcher returns.

    Parameters
    ----------
    name : str
        Name of the calling function, for messages.
    data : ndarray of shape (n_samples, n_features) or (n_samples,)
    target : ndarray of shape (n_samples,) or (n_samples, n_targets)
    feature_names : list of str
        One name per column of `data`.
    target_columns : list of str
        One name per column of `target`.
    return_X_y, as_frame : bool
        As in scikit-learn's fetchers.
    **others
        Further entries of the Bunch.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch` or tuple of (data, target)
    """
    frame = None
    X: Any = data
    y: Any = target
    if as_frame:
        pd = optional_import("pandas", f"{name}(as_frame=True)", "pip install pandas")
        X = pd.DataFrame(
            data if data.ndim == 2 else data[:, None], columns=feature_names, copy=False
        )
        wide = target if target.ndim == 2 else target[:, None]
        y = pd.DataFrame(wide, columns=target_columns, copy=False)
        frame = pd.concat([X, y], axis=1)
        if target.ndim == 1:
            y = y.iloc[:, 0]
    if return_X_y:
        return X, y
    return Bunch(data=X, target=y, frame=frame, feature_names=feature_names, **others)
