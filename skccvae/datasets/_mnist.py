"""MNIST, from its IDX files or from OpenML."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skccvae._sklearn import StrOptions, validate_params
from skccvae.datasets._base import candidate_folders, data_homes, pack
from skccvae.datasets._idx import IMAGES_MAGIC, LABELS_MAGIC, idx_header, read_idx, write_idx

_SUBFOLDERS = ("mnist", "MNIST/raw")
_PARTS = {"train": ("train",), "test": ("t10k",), "all": ("train", "t10k")}
# Stands beside the files while they are written: some may be missing after an interruption.
_UNFINISHED = ".openml-unfinished"
_N_TRAIN, _N_TEST, _SIDE = 60000, 10000, 28
# SHA-256 of the published files, decompressed: images, labels.
_SHA256 = {
    "train": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
_DESCR = """\
MNIST handwritten digits
------------------------

70000 grey-scale images of 28 x 28 pixels (0 is background, 255 ink) in ten classes. The first 60000
are for training, the other 10000, by other writers, for testing. The digits were taken from NIST's
special databases 1 and 3, normalised in size and centred.

LeCun, Y., Bottou, L., Bengio, Y. and Haffner, P. (1998). Gradient-based learning applied to
document recognition. Proceedings of the IEEE 86(11), 2278-2324.
"""


@validate_params(
    {
        "data_home": [str, os.PathLike, None],
        "subset": [StrOptions({"all", "train", "test"})],
        "download_if_missing": ["boolean"],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
        "verify_checksum": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_mnist(
    *,
    data_home: str | os.PathLike[str] | None = None,
    subset: str = "all",
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
    verify_checksum: bool = False,
) -> Bunch | tuple[Any, Any]:
    """Load the MNIST images of handwritten digits.

    The four IDX files are read from their folder, plain or gzipped. If there are none, scikit-learn
    fetches the data from OpenML (``mnist_784``), and the IDX files are written to the data folder
    for the next call.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the IDX files, or one that holds them in ``mnist/`` or ``MNIST/raw/``. None means
        the folder named by the environment variable ``SKCCVAE_DATA``, then scikit-learn's data
        folder.
    subset : {"all", "train", "test"}, default="all"
        ``"all"`` means the training images followed by the test images.
    download_if_missing : bool, default=True
        If False, raise an OSError if the files are not there.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        If True, `data` is a pandas DataFrame and `target` a Series.
    verify_checksum : bool, default=False
        If True, check that the images and labels have the published SHA-256. Leave it False for
        another data set in MNIST's format.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the entries

        data : ndarray of shape (n_samples, 784), uint8
            Pixels, row by row. A DataFrame if `as_frame`.
        target : ndarray of shape (n_samples,), int64
            The digit. A Series if `as_frame`.
        images : ndarray of shape (n_samples, 28, 28), uint8
            The same memory as `data`, as images.
        feature_names : list of str
            ``"pixel_0_0"`` (row, column) to ``"pixel_27_27"``.
        target_names : list of str
            ``"0"`` to ``"9"``.
        frame : DataFrame of shape (n_samples, 785) or None
            Data and target together if `as_frame`.
        DESCR : str
            Description of the data set.

    (data, target) : tuple, if `return_X_y`

    Raises
    ------
    ValueError
        If a file is not IDX, is truncated, has trailing bytes, or has the wrong counts or image
        size; or, with `verify_checksum`, if it is not MNIST. The message names the file.
    OSError
        If the files are missing and may not be downloaded, or some of them are missing.

    See Also
    --------
    fetch_celeba : Faces in colour, 64 x 64.

    References
    ----------
    LeCun, Y., Bottou, L., Bengio, Y. and Haffner, P. (1998). Gradient-based learning applied to
    document recognition. Proceedings of the IEEE 86(11), 2278-2324.

    Examples
    --------
    >>> from skccvae.datasets import fetch_mnist
    >>> X, y = fetch_mnist(subset="test", return_X_y=True)  # doctest: +SKIP
    >>> X.shape, X.dtype  # doctest: +SKIP
    ((10000, 784), dtype('uint8'))
    """
    parts = _PARTS[subset]
    files = _find(data_home, parts)
    if files is None:
        if not download_if_missing:
            places = ", ".join(str(f) for f in candidate_folders(data_home, _SUBFOLDERS))
            raise OSError(
                "MNIST's IDX files (train-images-idx3-ubyte.gz, ...) were not found in "
                f"{places}, and download_if_missing is False"
            )
        pairs = _from_openml(data_homes(data_home)[0])
        sources = dict.fromkeys(parts, "OpenML's mnist_784")
    else:
        pairs = {part: _read_pair(*files[part]) for part in parts}
        sources = {part: str(files[part][0].parent) for part in parts}
    if verify_checksum:
        for part in parts:
            _verify(part, pairs[part], sources[part])
    images = np.concatenate([pairs[part][0] for part in parts])
    labels = np.concatenate([pairs[part][1] for part in parts]).astype(np.int64)
    return pack(
        "fetch_mnist",
        data=images.reshape(len(images), _SIDE * _SIDE),
        target=labels,
        feature_names=[f"pixel_{i}_{j}" for i in range(_SIDE) for j in range(_SIDE)],
        target_columns=["class"],
        return_X_y=return_X_y,
        as_frame=as_frame,
        images=images,
        target_names=[str(digit) for digit in range(10)],
        DESCR=_DESCR,
    )


def _find(
    data_home: str | os.PathLike[str] | None, parts: tuple[str, ...]
) -> dict[str, tuple[Path, Path]] | None:
    """Paths of images and labels per part, in the first folder that has any; None if none does."""
    for folder in candidate_folders(data_home, _SUBFOLDERS):
        found = {}
        missing = []
        for part in parts:
            for kind in ("images-idx3", "labels-idx1"):
                stem = f"{part}-{kind}-ubyte"
                # Some unpackers turn the second hyphen into a dot.
                dotted = stem.replace("-idx", ".idx")
                names = (stem, dotted, f"{stem}.gz", f"{dotted}.gz")
                path = next((folder / n for n in names if (folder / n).is_file()), None)
                if path is None:
                    missing.append(stem)
                else:
                    found[part, kind] = path
        if missing and (folder / _UNFINISHED).exists():
            continue
        if found and missing:
            raise FileNotFoundError(
                f"{folder} has some of MNIST's files, but not {' and '.join(missing)} (plain or "
                ".gz); put the missing files there, or move the others away"
            )
        if found:
            return {p: (found[p, "images-idx3"], found[p, "labels-idx1"]) for p in parts}
    return None


def _read_pair(images_path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray]:
    images = read_idx(images_path, IMAGES_MAGIC)
    labels = read_idx(labels_path, LABELS_MAGIC)
    if images.shape[1:] != (_SIDE, _SIDE):
        raise ValueError(
            f"{images_path}: expected images of 28 x 28, got {images.shape[1]} x {images.shape[2]}"
        )
    if len(images) != len(labels):
        raise ValueError(
            f"{labels_path} has {len(labels)} labels for the {len(images)} images of {images_path}"
        )
    if len(labels) and labels.max() > 9:
        raise ValueError(f"{labels_path}: expected labels from 0 to 9, got {labels.max()}")
    return images, labels


def _verify(part: str, pair: tuple[np.ndarray, np.ndarray], source: str) -> None:
    for array, kind, expected in zip(pair, ("images", "labels"), _SHA256[part], strict=True):
        digest = hashlib.sha256(idx_header(array))
        digest.update(array.tobytes())
        if digest.hexdigest() != expected:
            raise ValueError(
                f"the {part} {kind} from {source} are not MNIST's: SHA-256 of the IDX file is "
                f"{digest.hexdigest()}, expected {expected}"
            )


def _from_openml(home: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Fetch from OpenML and write the IDX files to ``home/mnist`` for the next call."""
    from sklearn.datasets import fetch_openml

    # With pandas parsing takes seconds, without it a minute; but pandas is optional.
    parser = "pandas" if importlib.util.find_spec("pandas") else "liac-arff"
    raw = fetch_openml("mnist_784", version=1, as_frame=False, parser=parser, data_home=str(home))
    pixels = np.asarray(raw.data)
    n_rows = _N_TRAIN + _N_TEST
    if pixels.shape != (n_rows, _SIDE * _SIDE):
        raise ValueError(f"OpenML's mnist_784 has shape {pixels.shape}, expected ({n_rows}, 784)")
    images = pixels.astype(np.uint8)
    if not np.array_equal(images, pixels):
        raise ValueError("OpenML's mnist_784 has pixels other than whole numbers from 0 to 255")
    images = images.reshape(-1, _SIDE, _SIDE)
    labels = np.asarray(raw.target).astype(np.uint8)
    cuts = {"train": slice(0, _N_TRAIN), "t10k": slice(_N_TRAIN, n_rows)}
    folder = home / "mnist"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _UNFINISHED).touch()
    for part, cut in cuts.items():
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images[cut])
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels[cut])
    (folder / _UNFINISHED).unlink()
    return {part: (images[cut], labels[cut]) for part, cut in cuts.items()}
