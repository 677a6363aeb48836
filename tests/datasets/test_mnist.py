from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.datasets

from skccvae.datasets import _mnist, fetch_mnist
from skccvae.datasets._idx import IMAGES_MAGIC, LABELS_MAGIC, idx_header, read_idx, write_idx

COUNTS = {"train": 7, "t10k": 3}


def idx(*values: int) -> bytes:
    return b"".join(v.to_bytes(4, "big") for v in values)


def arrays(part: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.RandomState(len(part))
    images = rng.randint(0, 256, (COUNTS[part], 28, 28)).astype(np.uint8)
    return images, rng.randint(0, 10, COUNTS[part]).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small data home: plain training files, gzipped test files."""
    for part, suffix in (("train", ""), ("t10k", ".gz")):
        images, labels = arrays(part)
        write_idx(tmp_path / "mnist" / f"{part}-images-idx3-ubyte{suffix}", images)
        write_idx(tmp_path / "mnist" / f"{part}-labels-idx1-ubyte{suffix}", labels)
    return tmp_path


@pytest.mark.parametrize("sub", [".", "mnist"])
def test_all_is_train_then_test(folder: Path, sub: str) -> None:
    digits = fetch_mnist(data_home=folder / sub, download_if_missing=False)
    images = np.concatenate([arrays("train")[0], arrays("t10k")[0]])
    np.testing.assert_array_equal(digits.images, images)
    np.testing.assert_array_equal(digits.data, images.reshape(10, 784))
    np.testing.assert_array_equal(
        digits.target, np.concatenate([arrays("train")[1], arrays("t10k")[1]])
    )
    assert digits.data.dtype == np.uint8
    assert digits.target.dtype == np.int64
    assert np.shares_memory(digits.data, digits.images)
    assert digits.data.flags.writeable
    assert digits.frame is None
    assert digits.target_names == list("0123456789")
    assert digits.feature_names[29] == "pixel_1_1"
    assert "LeCun" in digits.DESCR


@pytest.mark.parametrize(("subset", "part"), [("train", "train"), ("test", "t10k")])
def test_subsets(folder: Path, subset: str, part: str) -> None:
    X, y = fetch_mnist(data_home=str(folder), subset=subset, return_X_y=True)
    np.testing.assert_array_equal(X, arrays(part)[0].reshape(-1, 784))
    np.testing.assert_array_equal(y, arrays(part)[1])


def test_a_subset_needs_only_its_own_files(folder: Path) -> None:
    for path in (folder / "mnist").glob("train*"):
        path.unlink()
    assert len(fetch_mnist(data_home=folder, subset="test").data) == 3
    with pytest.raises(FileNotFoundError, match="not train-images-idx3-ubyte and train-labels"):
        fetch_mnist(data_home=folder)


def test_as_frame(folder: Path) -> None:
    pd = pytest.importorskip("pandas")
    digits = fetch_mnist(data_home=folder, as_frame=True)
    assert isinstance(digits.data, pd.DataFrame)
    assert isinstance(digits.target, pd.Series)
    assert list(digits.data.columns) == digits.feature_names
    assert digits.frame.shape == (10, 785)
    assert (digits.data.dtypes == np.uint8).all()


def test_dotted_names_are_read(folder: Path) -> None:
    for path in (folder / "mnist").iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert len(fetch_mnist(data_home=folder).data) == 10


def test_missing_and_not_to_download(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="download_if_missing is False") as caught:
        fetch_mnist(data_home=tmp_path, download_if_missing=False)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "only 0 bytes"),
        (idx(2049, 7) + bytes(7), "got magic number 2049: that is an IDX file of labels"),
        (idx(1234, 7, 28, 28) + bytes(7 * 784), "expected magic number 2051 .*got .*1234"),
        (idx(2051, 7), "truncated in its header"),
        (idx(2051, 7, 28, 28) + bytes(7 * 784 - 1), "truncated: .*7 x 28 x 28 = 5488 bytes, 5487"),
        (idx(2051, 7, 28, 28) + bytes(7 * 784 + 2), "trailing bytes: .*5490"),
        (idx(2051, 7, 27, 28) + bytes(7 * 27 * 28), "expected images of 28 x 28, got 27 x 28"),
        (idx(2051, 6, 28, 28) + bytes(6 * 784), "7 labels for the 6 images"),
        (
            gzip.compress(idx(2051, 7, 28, 28) + bytes(7 * 784), mtime=0)[:-9],
            "truncated or damaged gzip",
        ),
        (
            gzip.compress(idx(2051, 7, 28, 28) + bytes(7 * 784), mtime=0) + b"x",
            "truncated or damaged gzip",
        ),
    ],
)
def test_a_bad_file_is_refused_by_name(folder: Path, content: bytes, message: str) -> None:
    (folder / "mnist" / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        fetch_mnist(data_home=folder)
    assert "train-images-idx3-ubyte" in str(caught.value)


def test_a_label_above_nine_is_refused(folder: Path) -> None:
    write_idx(folder / "mnist" / "train-labels-idx1-ubyte", np.arange(4, 11, dtype=np.uint8))
    with pytest.raises(ValueError, match="train-labels.*labels from 0 to 9, got 10"):
        fetch_mnist(data_home=folder)


def test_verify_checksum_refuses_what_is_not_mnist(folder: Path) -> None:
    with pytest.raises(ValueError, match="the train images from .*mnist are not MNIST's"):
        fetch_mnist(data_home=folder, verify_checksum=True)


def test_parameters_are_validated(folder: Path) -> None:
    with pytest.raises(ValueError, match="'subset' parameter"):
        fetch_mnist(data_home=folder, subset="validation")
    with pytest.raises(TypeError):
        fetch_mnist(folder)


def test_openml_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.RandomState(0)
    pixels = rng.randint(0, 256, (10, 784))
    labels = rng.randint(0, 10, 10)
    calls = []

    def fake(name: str, **parameters: object) -> SimpleNamespace:
        calls.append((name, parameters))
        return SimpleNamespace(data=pixels.astype(float), target=labels.astype(str))

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fake)
    monkeypatch.setattr(_mnist, "_N_TRAIN", 7)
    monkeypatch.setattr(_mnist, "_N_TEST", 3)
    for _ in range(2):
        digits = fetch_mnist(data_home=tmp_path)
        np.testing.assert_array_equal(digits.data, pixels)
        np.testing.assert_array_equal(digits.target, labels)
    np.testing.assert_array_equal(fetch_mnist(data_home=tmp_path, subset="test").target, labels[7:])
    assert len(calls) == 1
    assert calls[0][0] == "mnist_784"
    assert calls[0][1]["data_home"] == str(tmp_path)

    monkeypatch.setattr(_mnist, "_N_TEST", 4)
    with pytest.raises(ValueError, match="shape .10, 784., expected .11, 784."):
        fetch_mnist(data_home=tmp_path / "other")
    monkeypatch.setattr(_mnist, "_N_TEST", 3)
    pixels[3, 5] = 256
    with pytest.raises(ValueError, match="other than whole numbers from 0 to 255"):
        fetch_mnist(data_home=tmp_path / "other")


@pytest.mark.parametrize("stops_at", range(4))
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_conversion_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops_at: int, error: type[BaseException]
) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (10, 784))
    source = SimpleNamespace(data=pixels, target=np.arange(10).astype(str))
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *a, **k: source)
    monkeypatch.setattr(_mnist, "_N_TRAIN", 7)
    monkeypatch.setattr(_mnist, "_N_TEST", 3)
    written = []

    def stop(path: Path, array: np.ndarray) -> None:
        if len(written) == stops_at:
            raise error("the disk is full")
        written.append(path)
        write_idx(path, array)

    with monkeypatch.context() as patch:
        patch.setattr(_mnist, "write_idx", stop)
        with pytest.raises(error):
            fetch_mnist(data_home=tmp_path)
    assert len(list((tmp_path / "mnist").glob("*ubyte.gz"))) == stops_at
    with pytest.raises(OSError, match="were not found in"):
        fetch_mnist(data_home=tmp_path, download_if_missing=False)
    for _ in range(2):
        digits = fetch_mnist(data_home=tmp_path)
        np.testing.assert_array_equal(digits.data, pixels)
        np.testing.assert_array_equal(digits.target, range(10))
    # Now that all files are there, one that goes is the user's affair.
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="has some of MNIST's files"):
        fetch_mnist(data_home=tmp_path)


def test_idx_writes_what_it_reads(tmp_path: Path) -> None:
    images, labels = arrays("train")
    assert idx_header(images) == idx(IMAGES_MAGIC, 7, 28, 28)
    assert idx_header(labels) == idx(LABELS_MAGIC, 7)
    path = tmp_path / "labels.gz"
    write_idx(path, labels)
    first = path.read_bytes()
    write_idx(path, labels)
    assert path.read_bytes() == first
    np.testing.assert_array_equal(read_idx(path, LABELS_MAGIC), labels)
    with pytest.raises(TypeError, match="expected an array of uint8, got int64"):
        write_idx(path, labels.astype(np.int64))


def test_the_real_mnist(mnist_folder: Path) -> None:
    digits = fetch_mnist(data_home=mnist_folder, verify_checksum=True)
    assert digits.data.shape == (70000, 784)
    # Class counts as published by the authors.
    train, test = np.bincount(digits.target[:60000]), np.bincount(digits.target[60000:])
    assert train.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert fetch_mnist(data_home=mnist_folder.parent, subset="test").images.shape[0] == 10000
