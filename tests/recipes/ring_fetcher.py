"""A data set of your own: a fetcher with a data folder, a checksum and a Bunch.

The file that this example downloads is made here, so that it runs without a network:

>>> import tempfile
>>> from pathlib import Path
>>> from unittest.mock import patch
>>> folder = tempfile.TemporaryDirectory()
>>> server, home = Path(folder.name), Path(folder.name) / "home"
>>> _ = (server / "ring.csv").write_bytes(b"1,0,0\\n0,1,1\\n-1,0,0\\n0,-1,1\\n")
>>> with patch.dict(SOURCE, url=(server / "ring.csv").as_uri()):
...     ring = fetch_ring(data_home=home)
>>> ring.data.shape, ring.target.tolist(), ring.feature_names
((4, 2), [0, 1, 0, 1], ['x', 'y'])

From then on the file is in the data folder:

>>> X, y = fetch_ring(data_home=home, download_if_missing=False, return_X_y=True)

A file with other content is refused, wherever it comes from:

>>> _ = (home / "ring" / "ring.csv").write_bytes(b"1,0,0\\n")
>>> fetch_ring(data_home=home)
Traceback (most recent call last):
ValueError: .../ring.csv is not the published file; delete it, and it is downloaded again
>>> folder.cleanup()
"""

import os

import numpy as np

from skccvae._sklearn import validate_params
from skccvae.datasets._base import candidate_folders, data_homes, download, pack, sha256_of

FILE = "ring.csv"
SOURCE = {
    "url": "https://example.org/ring.csv",
    "sha256": "029e15034dfdeaff475e64e8335c7ed50f6fdbf19528d70f7a9f8bcd10a2ef4b",
}


@validate_params(
    {
        "data_home": [str, os.PathLike, None],
        "download_if_missing": ["boolean"],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_ring(*, data_home=None, download_if_missing=True, return_X_y=False, as_frame=False):
    """Load four points on a ring, in two classes."""
    folders = candidate_folders(data_home, ("ring",))
    path = next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)
    if path is None:
        if not download_if_missing:
            places = ", ".join(map(str, folders))
            raise OSError(f"{FILE} is not in {places}, and download_if_missing is False")
        path = download(SOURCE["url"], data_homes(data_home)[0] / "ring" / FILE, SOURCE["sha256"])
    if sha256_of(path) != SOURCE["sha256"]:
        raise ValueError(f"{path} is not the published file; delete it, and it is downloaded again")
    table = np.loadtxt(path, delimiter=",")
    return pack(
        "fetch_ring",
        data=table[:, :2],
        target=table[:, 2].astype(np.int64),
        feature_names=["x", "y"],
        target_columns=["class"],
        return_X_y=return_X_y,
        as_frame=as_frame,
        target_names=["even", "odd"],
        DESCR="Four points on a ring.",
    )
