"""CelebA's decoded images in one memory-mapped file, built once and resumed where it stopped.

While it is built the file is called ``<stem>.npy.part``, and beside it ``<stem>.log`` holds a line
per finished chunk: its number and the SHA-256 of its bytes. A chunk counts as done only if the
bytes in the file still have that checksum, so that neither a killed process nor a crashed machine
can leave a wrong image behind. In the end the checksums go to ``<stem>.json``, and the file becomes
``<stem>.npy``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from joblib import effective_n_jobs

from skccvae.datasets._base import atomic_write, optional_import
from skccvae.datasets._celeba_pool import decode_chunks

# Images per chunk: about 0.1 s of work, and at 64 x 64 1.5 MB of memory per process.
CHUNK = 128
_FORMAT = 1


class ImageCache:
    """The cache of one list of images at one crop and size.

    Parameters
    ----------
    folder : Path
        Where the cache lies.
    names : sequence of str
        File names of the images, in order.
    crop, size : int
        Side of the central square that is kept, and of the result.
    """

    def __init__(self, folder: Path, names: Sequence[str], crop: int, size: int) -> None:
        self.names = names
        self.crop = crop
        self.size = size
        # Another list of images, crop or size is another cache.
        key = "\n".join([f"{_FORMAT} {crop} {size}", *names])
        stem = f"celeba_{crop}_{size}_{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        self.path = folder / f"{stem}.npy"
        self.summary = folder / f"{stem}.json"
        self.part = folder / f"{stem}.npy.part"
        self.log = folder / f"{stem}.log"
        self.image_bytes = size * size * 3
        self.n_chunks = -(-len(names) // CHUNK)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the array."""
        return (len(self.names), self.size, self.size, 3)

    def is_complete(self) -> bool:
        """Whether the cache is there, whole."""
        return self.path.is_file() and self.summary.is_file()

    def open(self, *, verify: bool = False) -> np.memmap[Any, np.dtype[np.uint8]]:
        """Map the complete cache, read-only.

        Raises
        ------
        ValueError
            If the file has not the shape or, with `verify`, not the checksum it should have.
        """
        try:
            images = np.load(self.path, mmap_mode="r")
        except (ValueError, EOFError) as error:
            raise ValueError(f"{self.path} is damaged ({error}); delete it") from error
        if images.shape != self.shape or images.dtype != np.uint8:
            raise ValueError(
                f"{self.path} is damaged: expected uint8 of shape {self.shape}, got "
                f"{images.dtype} of shape {images.shape}; delete it"
            )
        if verify:
            summary = json.loads(self.summary.read_text(encoding="utf-8"))
            step = summary["chunk_images"]
            for chunk, digest in enumerate(summary["chunk_sha256"]):
                first = chunk * step
                rows = images[first : first + step]
                if hashlib.sha256(rows).hexdigest() != digest:
                    raise ValueError(
                        f"{self.path} is damaged between the images {self.names[first]} and "
                        f"{self.names[first + len(rows) - 1]}: wrong checksum; delete the file"
                    )
        return images

    def build(self, images: Path, *, n_jobs: int | None = None, verbose: bool = True) -> None:
        """Decode the images of a folder; go on where an earlier call was interrupted.

        Parameters
        ----------
        images : Path
            Folder of the JPEGs.
        n_jobs : int or None
            Number of processes, as everywhere in scikit-learn.
        verbose : bool
            Whether to show a progress bar.

        Raises
        ------
        ValueError
            If an image is missing, damaged, or of another size; the message names it. What was
            decoded before stays for the next call.
        """
        with _locked(self.part) as part:
            if self.is_complete():  # another process built it while this one waited
                _remove(self.part, part)
                return
            offset = self._prepare(part)
            digests = self._finished(part, offset)
            jobs = [
                {
                    "chunk": chunk,
                    "folder": str(images),
                    "names": list(self._names_of(chunk)),
                    "crop": self.crop,
                    "size": self.size,
                    "output": str(self.part),
                    "offset": offset + chunk * CHUNK * self.image_bytes,
                }
                for chunk in range(self.n_chunks)
                if chunk not in digests
            ]
            bar = optional_import("tqdm", "the progress bar", "pip install tqdm").tqdm(
                total=len(self.names),
                initial=sum(len(self._names_of(chunk)) for chunk in digests),
                desc="CelebA",
                unit="image",
                disable=not verbose,
            )
            finished = decode_chunks(jobs, effective_n_jobs(n_jobs))
            with bar, closing(finished), self.log.open("a", encoding="utf-8") as log:
                for chunk, digest in finished:
                    digests[chunk] = digest
                    log.write(f"{chunk} {digest}\n")
                    log.flush()
                    bar.update(len(self._names_of(chunk)))
            self._complete(part, digests)

    def _names_of(self, chunk: int) -> Sequence[str]:
        return self.names[chunk * CHUNK : (chunk + 1) * CHUNK]

    def _prepare(self, part: BinaryIO) -> int:
        """Give the file its header and full length; return where the images start."""
        part.seek(0)
        np.lib.format.write_array_header_1_0(
            part, {"descr": "|u1", "fortran_order": False, "shape": self.shape}
        )
        part.flush()
        offset = part.tell()
        # Keeps what is there, and makes the rest zeros that take no room yet.
        part.truncate(offset + len(self.names) * self.image_bytes)
        return offset

    def _finished(self, part: BinaryIO, offset: int) -> dict[int, str]:
        """Chunks whose bytes have the checksum that the log gives."""
        digests: dict[int, str] = {}
        if not self.log.is_file():
            return digests
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):  # cut off while it was written
            with self.log.open("a", encoding="utf-8") as log:
                log.write("\n")
        for line in lines:
            fields = line.split()
            if len(fields) != 2 or not fields[0].isdecimal() or int(fields[0]) >= self.n_chunks:
                continue
            chunk = int(fields[0])
            part.seek(offset + chunk * CHUNK * self.image_bytes)
            content = part.read(len(self._names_of(chunk)) * self.image_bytes)
            if hashlib.sha256(content).hexdigest() == fields[1]:
                digests[chunk] = fields[1]
        return digests

    def _complete(self, part: BinaryIO, digests: dict[int, str]) -> None:
        import PIL

        os.fsync(part.fileno())
        summary = {
            "format": _FORMAT,
            "shape": self.shape,
            "crop": self.crop,
            "pillow": PIL.__version__,
            "chunk_images": CHUNK,
            "chunk_sha256": [digests[chunk] for chunk in range(self.n_chunks)],
        }
        with atomic_write(self.summary) as stream:
            stream.write(json.dumps(summary, indent=1).encode())
        os.replace(self.part, self.path)
        self.log.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for reading and writing; only one process at a time, where the system can."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise OSError(
            f"cannot write the cache {path} ({error}); name a folder for it with cache_dir"
        ) from error
    with os.fdopen(descriptor, "r+b") as stream:
        try:
            import fcntl
        except ImportError:  # not POSIX
            pass
        else:
            # Released when the file is closed, also by the end of a killed process.
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(stream, fcntl.LOCK_EX)
        yield stream


def _remove(path: Path, stream: BinaryIO) -> None:
    """Remove `path` if it still names the open file."""
    if path.exists() and os.path.samestat(path.stat(), os.fstat(stream.fileno())):
        path.unlink()
