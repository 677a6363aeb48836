"""CelebA's decoded images in one memory-mapped file, built once and resumed where it stopped.

While it is built, the file is called ``<stem>.npy.part``. Beside it, ``<stem>.sha256`` gets a line
for each finished chunk: its number and the SHA-256 of its bytes. A chunk counts as done only if its
bytes still have that checksum, so neither a killed process nor a crashed machine can leave a wrong
image behind. In the end the file becomes ``<stem>.npy``.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from joblib import Parallel, delayed
from numpy.lib.format import open_memmap
from tqdm import tqdm

from skccvae.datasets._base import optional_import

# The aligned and cropped images of the official release.
WIDTH, HEIGHT = 178, 218
# Images per chunk: about 0.1 s of work.
CHUNK = 128
# To be raised by any change that alters the bytes or the chunks of a cache.
_FORMAT = 2


class ImageCache:
    """The cache of one list of images at one crop and size.

    Parameters
    ----------
    folder : Path
        Folder of the cache.
    names : sequence of str
        File names of the images, in order.
    crop, size : int
        Side of the central square that is kept, and of the result.
    """

    def __init__(self, folder: Path, names: Sequence[str], crop: int, size: int) -> None:
        self.names = names
        self.crop = crop
        self.shape = (len(names), size, size, 3)
        self.chunks = [
            slice(start, min(start + CHUNK, len(names))) for start in range(0, len(names), CHUNK)
        ]
        # A different list of images, crop or size gets a different cache.
        key = "\n".join([f"{_FORMAT} {crop} {size}", *names])
        stem = f"celeba_{crop}_{size}_{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        self.path = folder / f"{stem}.npy"
        self.part = folder / f"{stem}.npy.part"
        self.checksums = folder / f"{stem}.sha256"

    def is_complete(self) -> bool:
        """Whether the whole cache is there."""
        return self.path.is_file()

    def open(self, *, verify: bool = False) -> np.memmap[Any, np.dtype[np.uint8]]:
        """Map the complete cache, read-only.

        Raises
        ------
        ValueError
            If the file has the wrong shape or, with `verify`, a wrong checksum.
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
            intact = self._intact(images)
            for number, rows in enumerate(self.chunks):
                if number not in intact:
                    raise ValueError(
                        f"{self.path} is damaged between the images {self.names[rows.start]} and "
                        f"{self.names[rows.stop - 1]}: wrong checksum; delete the file"
                    )
        return images

    def build(self, folder: Path, *, n_jobs: int | None = None, verbose: bool = True) -> None:
        """Decode the images of a folder, continuing where an earlier call was interrupted.

        Parameters
        ----------
        folder : Path
            Folder of the JPEGs.
        n_jobs : int or None
            Number of threads, as joblib counts them.
        verbose : bool
            Whether to show a progress bar.

        Raises
        ------
        ValueError
            If an image is missing, damaged, or of another size. The message names it. Images that
            were decoded before are kept for the next call.
        OSError
            If the cache cannot be written.
        """
        optional_import("PIL", "fetch_celeba", "pip install pillow")
        with self._locked_log() as log:
            if self.is_complete():  # another process built it while this one waited
                return
            images = self._partial_file()
            done = self._intact(images)
            log.truncate(0)  # drop torn lines and lines of chunks that were lost
            log.writelines(f"{number} {digest}\n" for number, digest in done.items())
            tasks = (
                delayed(_decode_chunk)(
                    number, [folder / name for name in self.names[rows]], self.crop, images[rows]
                )
                for number, rows in enumerate(self.chunks)
                if number not in done
            )
            # Pillow decodes and resizes without the interpreter's lock, and a thread starts at
            # once: a process would import all of this package first.
            finished = Parallel(n_jobs, prefer="threads", return_as="generator_unordered")(tasks)
            with tqdm(
                total=len(self.names), desc="CelebA", unit="image", disable=not verbose
            ) as bar:
                bar.update(sum(map(self._n_images, done)))
                for number, digest in finished:
                    log.write(f"{number} {digest}\n")
                    log.flush()
                    bar.update(self._n_images(number))
            images.flush()
            os.fsync(log.fileno())
            os.replace(self.part, self.path)

    def _n_images(self, number: int) -> int:
        return self.chunks[number].stop - self.chunks[number].start

    def _intact(self, images: np.ndarray) -> dict[int, str]:
        """Numbers and checksums of the chunks whose bytes have the checksum of the log."""
        if not self.checksums.is_file():
            return {}
        text = self.checksums.read_text(encoding="utf-8", errors="replace")
        lines = [line.split() for line in text.splitlines()]
        logged = {line[0]: line[1] for line in lines if len(line) == 2}
        return {
            number: digest
            for number, rows in enumerate(self.chunks)
            if (digest := hashlib.sha256(images[rows].data).hexdigest()) == logged.get(str(number))
        }

    def _partial_file(self) -> np.memmap[Any, np.dtype[np.uint8]]:
        """Map the unfinished file for writing; make a new one if there is none that can be used."""
        with self._refuse_to_write():
            try:
                images = open_memmap(self.part, mode="r+")
                usable = images.shape == self.shape and images.dtype == np.uint8
            except (FileNotFoundError, ValueError, EOFError):
                usable = False
            if not usable:
                images = open_memmap(self.part, mode="w+", dtype=np.uint8, shape=self.shape)
            if hasattr(os, "posix_fallocate"):
                # A full disk raises here; later it would kill the process that writes to the map.
                with self.part.open("r+b") as stream:
                    os.posix_fallocate(stream.fileno(), 0, self.part.stat().st_size)
        return images

    @contextmanager
    def _locked_log(self) -> Iterator[TextIO]:
        """Open the log, for one process at a time if the system has file locks."""
        with self._refuse_to_write():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            log = self.checksums.open("a", encoding="utf-8")
        with log:
            # There is no fcntl on Windows, and some network file systems have no locks. The lock
            # ends when the file is closed, even if that is because the process is killed.
            with suppress(ImportError, OSError):
                import fcntl

                fcntl.flock(log, fcntl.LOCK_EX)
            yield log

    @contextmanager
    def _refuse_to_write(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(
                f"cannot write the cache {self.part} ({error}); name a folder for it with cache_dir"
            ) from error


def _decode_chunk(
    number: int, paths: Sequence[Path], crop: int, images: np.ndarray
) -> tuple[int, str]:
    """Decode files into an array (n, size, size, 3); return the number and the SHA-256."""
    for path, image in zip(paths, images, strict=True):
        image[...] = decode(path, crop, len(image))
    return number, hashlib.sha256(images.data).hexdigest()


def decode(path: Path, crop: int, size: int) -> Any:
    """One image of shape (size, size, 3): its middle `crop` x `crop` pixels, resized.

    Raises
    ------
    ValueError
        If the file is missing, is not a readable JPEG, or is not 178 x 218 in RGB. The message
        names the file.
    """
    from PIL import Image

    left, top = (WIDTH - crop) // 2, (HEIGHT - crop) // 2
    try:
        # One read of the whole file, because Pillow's own many small reads cost 3 % of the time.
        with open(path, "rb", buffering=0) as stream:
            content = stream.read()
        # No draft mode: it decodes at a lower resolution, which gives other bytes.
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            if image.size != (WIDTH, HEIGHT) or image.mode != "RGB":
                width, height = image.size
                raise ValueError(
                    f"{path}: expected an RGB image of {WIDTH} x {HEIGHT}, got {image.mode} of "
                    f"{width} x {height}: not the official img_align_celeba"
                )
            face = image.crop((left, top, left + crop, top + crop))
        return face.resize((size, size), Image.Resampling.BILINEAR)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: there is no such file") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        # Pillow reports some broken files by a SyntaxError.
        raise ValueError(f"{path}: damaged, cannot be decoded ({error})") from error
