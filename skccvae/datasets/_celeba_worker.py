"""Decode, crop and resize a chunk of CelebA's JPEGs into its place in the cache file.

Run as a script, this is a process that does so for every line of JSON on its standard input and
answers each with a line of JSON. It imports Pillow and nothing of this package, so that it starts
at once, and it ends when its input does: also when its parent is killed.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

# The aligned and cropped images of the official release.
WIDTH, HEIGHT = 178, 218


def decode(path: str | Path, crop: int, size: int) -> bytes:
    """Bytes (size, size, 3) of one image, its middle `crop` x `crop` pixels resized.

    Raises
    ------
    ValueError
        If the file is missing, is no readable JPEG, or is not 178 x 218 in RGB. The message
        names the file.
    """
    left, top = (WIDTH - crop) // 2, (HEIGHT - crop) // 2
    try:
        # One read of the whole file: Pillow's own many small ones cost 3 % of the time.
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
        return face.resize((size, size), Image.Resampling.BILINEAR).tobytes()
    except FileNotFoundError as error:
        raise ValueError(f"{path}: there is no such file") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        # A SyntaxError is how Pillow reports some broken files.
        raise ValueError(f"{path}: damaged, it cannot be decoded ({error})") from error


def decode_chunk(
    folder: str, names: Sequence[str], crop: int, size: int, output: str, offset: int
) -> str:
    """Write the images `names` of `folder` to `output` from byte `offset`; return the SHA-256."""
    content = b"".join(decode(f"{folder}/{name}", crop, size) for name in names)
    try:
        with open(output, "r+b") as stream:
            stream.seek(offset)
            stream.write(content)
    except OSError as error:
        raise OSError(f"{output}: cannot be written ({error})") from error
    return hashlib.sha256(content).hexdigest()


def answer(line: str) -> str:
    """Carry out one line of JSON; an error becomes part of the answer."""
    job: dict[str, Any] = json.loads(line)
    chunk = job.pop("chunk")
    try:
        return json.dumps({"chunk": chunk, "sha256": decode_chunk(**job)})
    except (ValueError, OSError) as error:
        is_os_error = isinstance(error, OSError)
        return json.dumps({"chunk": chunk, "error": str(error), "is_os_error": is_os_error})


def main() -> None:
    """Answer every line of the standard input."""
    try:
        for line in sys.stdin:
            sys.stdout.write(answer(line) + "\n")
            sys.stdout.flush()
    except (KeyboardInterrupt, BrokenPipeError):
        # The parent was interrupted too, and reports it.
        sys.exit(1)


if __name__ == "__main__":
    main()
