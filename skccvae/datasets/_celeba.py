"""CelebA: faces with forty attributes, from the official folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import Bunch

from skccvae._sklearn import Interval, StrOptions, validate_params
from skccvae.datasets._base import candidate_folders, pack
from skccvae.datasets._celeba_cache import ImageCache
from skccvae.datasets._celeba_lists import check_folder, read_attributes, read_partition

_SUBFOLDERS = ("celeba", "CelebA")
_PARTITION = {"train": 0, "validation": 1, "test": 2}
_SIDE = 178
LICENCE = """\
CelebA may be used for non-commercial research only. Its images come from the Internet. They are not
the property of the MMLAB of the Chinese University of Hong Kong, which is responsible neither for
their content nor for their meaning. Users agree not to reproduce, sell, trade or exploit any
portion of the images or of data derived from them for commercial purposes. They agree not to copy,
publish or distribute any portion of the data set further, except for internal use at one site of
one organisation. MMLAB may end the access at any time. The full terms and the download:
https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"""
_DESCR = f"""\
CelebA
------

202599 faces of 10177 people, aligned by their eyes (178 x 218 pixels), with 40 binary attributes
and an official partition of 162770 / 19867 / 19962 images. No person is in two parts. The central
square of each image is kept and resized.

{LICENCE}

Liu, Z., Luo, P., Wang, X. and Tang, X. (2015). Deep learning face attributes in the wild. ICCV.
"""


@validate_params(
    {
        "data_home": [str, os.PathLike, None],
        "subset": [StrOptions({"all", "train", "validation", "test"})],
        "crop": [Interval(Integral, 1, _SIDE, closed="both")],
        "size": [Interval(Integral, 1, None, closed="left")],
        "attributes": [str, list, tuple, None],
        "cache_dir": [str, os.PathLike, None],
        "n_jobs": [Integral, None],
        "verify_checksum": ["boolean"],
        "download_if_missing": ["boolean"],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_celeba(
    *,
    data_home: str | os.PathLike[str] | None = None,
    subset: str = "all",
    crop: int = 148,
    size: int = 64,
    attributes: str | Sequence[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    n_jobs: int | None = -1,
    verify_checksum: bool = False,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
    verbose: int | bool = True,
) -> Bunch | tuple[Any, Any]:
    """Load the CelebA faces from the official folder, cropped and resized.

    The first call decodes the images into one file (2.5 GB at 64 x 64), with a progress bar. If it
    is interrupted, the next call continues where it stopped. Later calls map that file into memory,
    read only the parts they use, and no longer need the JPEGs. This package contains no part of the
    data set and never downloads it, because the licence forbids redistribution.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the official release, or one that holds it in ``celeba/`` or ``CelebA/``. The
        release is ``img_align_celeba/``, ``list_attr_celeba.txt`` and ``list_eval_partition.txt``,
        either together or in ``Img/``, ``Anno/`` and ``Eval/`` as published. None means the folder
        named by the environment variable ``SKCCVAE_DATA``, then scikit-learn's data folder.
    subset : {"all", "train", "validation", "test"}, default="all"
        Part of the official partition.
    crop : int, default=148
        Side of the central square that is kept, in pixels. 148 and 140 are common, and 178 is the
        maximum.
    size : int, default=64
        Side of the returned images, resized by Pillow's bilinear filter (with antialiasing).
    attributes : str, list of str or None, default=None
        The attribute or attributes in `target`. None means all 40. One name gives a 1-D target.
    cache_dir : str or path-like, default=None
        Folder of the decoded file. None means the folder of the data set.
    n_jobs : int or None, default=-1
        Number of threads that decode. None means 1, and -1 means one per core.
    verify_checksum : bool, default=False
        If True, read the whole decoded file and compare it with the checksums made when it was
        built.
    download_if_missing : bool, default=True
        Has no effect: nothing is ever downloaded. The other fetchers have this parameter.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        If True, `data` and `target` are pandas objects. They have one column per pixel and
        colour, which suits small parts only.
    verbose : bool or int, default=True
        Whether to show the progress bar.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the entries

        data : memmap of shape (n_samples, size * size * 3), uint8
            Read-only; pixels row by row, colours last. A DataFrame if `as_frame`.
        target : ndarray of shape (n_samples, n_attributes) or (n_samples,), int8
            1 if the attribute is present, and 0 otherwise.
        images : memmap of shape (n_samples, size, size, 3), uint8
            The same memory as `data`, as images.
        target_names : list of str
            Names of the attributes in `target`.
        filenames : list of str
            File name of each image.
        partition : ndarray of shape (n_samples,), int8
            0 for training, 1 for validation, 2 for testing.
        feature_names : list of str
            ``"pixel_0_0_red"`` (row, column, colour), ...
        frame : DataFrame or None
            Data and target together if `as_frame`.
        DESCR : str
            Description of the data set, and its licence.

    (data, target) : tuple, if `return_X_y`

    Raises
    ------
    FileNotFoundError
        If the data set or one of its files is missing. The message shows the licence and the
        address of the data set.
    ValueError
        If a list has wrong counts or rows, or an image is damaged or not 178 x 218. The message
        names the file.
    OSError
        If the cache cannot be written.
    ImportError
        If Pillow is not installed.

    See Also
    --------
    fetch_mnist : Handwritten digits, 28 x 28 in grey.

    Notes
    -----
    The parts of the official partition are consecutive. With a partition of your own they may not
    be, and then ``subset`` copies its images into memory. Delete the ``celeba_*.npy`` files if you
    replace the JPEGs.

    References
    ----------
    Liu, Z., Luo, P., Wang, X. and Tang, X. (2015). Deep learning face attributes in the wild.
    ICCV.

    Examples
    --------
    >>> from skccvae.datasets import fetch_celeba
    >>> faces = fetch_celeba(subset="train", attributes="Smiling")  # doctest: +SKIP
    >>> faces.images.shape, faces.target.shape  # doctest: +SKIP
    ((162770, 64, 64, 3), (162770,))
    """
    official = _find(data_home)
    files, names, bits = read_attributes(official.attributes)
    partition = read_partition(official.partition, files)
    wanted = _attribute_names(attributes, names)

    folder = official.root if cache_dir is None else Path(cache_dir).expanduser()
    cache = ImageCache(folder, files, int(crop), int(size))
    if not cache.is_complete():
        if not official.images.is_dir():
            raise FileNotFoundError(_missing(f"there is no folder {official.images}"))
        check_folder(official.images, files)
        cache.build(official.images, n_jobs=n_jobs, verbose=bool(verbose))
    images: np.ndarray = cache.open(verify=verify_checksum)

    rows = _rows(subset, partition)
    images = images[rows]
    target = bits[rows][:, [names.index(name) for name in wanted]]
    return pack(
        "fetch_celeba",
        data=images.reshape(len(images), size * size * 3),
        target=target[:, 0] if isinstance(attributes, str) else target,
        feature_names=[
            f"pixel_{i}_{j}_{colour}"
            for i in range(size)
            for j in range(size)
            for colour in ("red", "green", "blue")
        ],
        target_columns=wanted,
        return_X_y=return_X_y,
        as_frame=as_frame,
        images=images,
        target_names=wanted,
        filenames=[files[i] for i in np.arange(len(files))[rows]],
        partition=partition[rows],
        DESCR=_DESCR,
    )


class _Official(NamedTuple):
    root: Path
    images: Path
    attributes: Path
    partition: Path


def _find(data_home: str | os.PathLike[str] | None) -> _Official:
    places = candidate_folders(data_home, _SUBFOLDERS)
    for root in places:
        parts = {
            "images": _either(root / "img_align_celeba", root / "Img" / "img_align_celeba"),
            "attributes": _either(
                root / "list_attr_celeba.txt", root / "Anno" / "list_attr_celeba.txt"
            ),
            "partition": _either(
                root / "list_eval_partition.txt", root / "Eval" / "list_eval_partition.txt"
            ),
        }
        if not any(path.exists() for path in parts.values()):
            continue
        for kind in ("attributes", "partition"):
            if not parts[kind].is_file():
                raise FileNotFoundError(_missing(f"there is no file {parts[kind]}"))
        return _Official(root, **parts)
    raise FileNotFoundError(
        _missing(
            "CelebA (img_align_celeba/, list_attr_celeba.txt, list_eval_partition.txt) was not "
            f"found in {', '.join(map(str, places))}"
        )
    )


def _either(first: Path, second: Path) -> Path:
    return second if second.exists() and not first.exists() else first


def _missing(what: str) -> str:
    return f"{what}. It is never downloaded for you.\n\n{LICENCE}"


def _attribute_names(attributes: str | Sequence[str] | None, names: list[str]) -> list[str]:
    if attributes is None:
        return names
    wanted = [attributes] if isinstance(attributes, str) else list(attributes)
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted or len(set(wanted)) != len(wanted):
        raise ValueError(
            f"expected attributes from {', '.join(names)}, each once and at least one; got "
            f"{attributes!r}"
        )
    return wanted


def _rows(subset: str, partition: np.ndarray) -> slice | np.ndarray:
    """Rows of a part, as a slice if they are consecutive, because a slice copies nothing."""
    if subset == "all":
        return slice(None)
    rows = np.flatnonzero(partition == _PARTITION[subset])
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
