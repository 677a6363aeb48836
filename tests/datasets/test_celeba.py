from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from skccvae.datasets import _celeba_cache, fetch_celeba

Image = pytest.importorskip("PIL.Image")

N = 12
NAMES = [f"{i:06d}.jpg" for i in range(1, N + 1)]
PARTITION = [0] * 7 + [1] * 2 + [2] * 3
ATTRIBUTES = [f"Attribute_{j}" for j in range(39)] + ["Smiling"]
BITS = np.random.RandomState(0).randint(0, 2, (N, 40))


def jpeg(seed: int, size: tuple[int, int] = (178, 218), mode: str = "RGB") -> Image.Image:
    rng = np.random.RandomState(seed)
    small = rng.randint(0, 256, (7, 6, 3)).astype(np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)


def write_lists(root: Path, names: list[str], bits: np.ndarray, partition: list[int]) -> None:
    rows = [
        f"{name}  {'  '.join('1' if b else '-1' for b in row)}"
        for name, row in zip(names, bits, strict=True)
    ]
    text = "\n".join([str(len(names)), " ".join(ATTRIBUTES), *rows])
    (root / "list_attr_celeba.txt").write_text(text + "\n")
    lines = [f"{name} {part}" for name, part in zip(names, partition, strict=True)]
    (root / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of the official shape, with twelve faces that are none."""
    folder = tmp_path / "img_align_celeba"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        jpeg(seed).save(folder / name, quality=95)
    write_lists(tmp_path, NAMES, BITS, PARTITION)
    return tmp_path


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_celeba_cache, "CHUNK", 5)


def fetch(root: Path, **parameters: object):
    return fetch_celeba(data_home=root, **{"n_jobs": 1, "verbose": False, **parameters})


def expected(root: Path, crop: int = 148, size: int = 64) -> np.ndarray:
    """The same by Pillow alone."""
    left, top = (178 - crop) // 2, (218 - crop) // 2
    faces = []
    for name in NAMES:
        image = Image.open(root / "img_align_celeba" / name)
        face = image.crop((left, top, left + crop, top + crop))
        faces.append(np.asarray(face.resize((size, size), Image.Resampling.BILINEAR)))
    return np.stack(faces)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(("crop", "size"), [(148, 64), (140, 64), (178, 7)])
def test_bytes_are_pillows(root: Path, n_jobs: int, crop: int, size: int) -> None:
    faces = fetch(root, n_jobs=n_jobs, crop=crop, size=size)
    np.testing.assert_array_equal(faces.images, expected(root, crop, size))
    np.testing.assert_array_equal(faces.data, faces.images.reshape(N, -1))
    np.testing.assert_array_equal(faces.target, BITS)
    assert isinstance(faces.data, np.memmap)
    assert np.shares_memory(faces.data, faces.images)
    assert faces.data.dtype == np.uint8
    assert not faces.data.flags.writeable
    assert faces.filenames == NAMES
    assert faces.target_names == ATTRIBUTES
    assert len(faces.feature_names) == faces.data.shape[1]
    assert "non-commercial" in faces.DESCR


@pytest.mark.parametrize(
    ("subset", "rows"),
    [("train", slice(0, 7)), ("validation", slice(7, 9)), ("test", slice(9, 12))],
)
def test_subsets_are_views_of_the_cache(root: Path, subset: str, rows: slice) -> None:
    faces = fetch(root, subset=subset)
    np.testing.assert_array_equal(faces.images, expected(root)[rows])
    np.testing.assert_array_equal(faces.target, BITS[rows])
    np.testing.assert_array_equal(faces.partition, PARTITION[rows])
    assert faces.filenames == NAMES[rows]
    assert isinstance(faces.data, np.memmap)


def test_a_subset_that_is_not_consecutive(root: Path) -> None:
    write_lists(root, NAMES, BITS, [0, 2] * 6)
    faces = fetch(root, subset="test")
    np.testing.assert_array_equal(faces.images, expected(root)[1::2])
    np.testing.assert_array_equal(faces.target, BITS[1::2])
    assert len(fetch(root, subset="validation").data) == 0


def test_attributes(root: Path) -> None:
    X, y = fetch(root, attributes="Smiling", return_X_y=True)
    assert X.shape == (N, 64 * 64 * 3)
    np.testing.assert_array_equal(y, BITS[:, 39])
    target = fetch(root, attributes=["Smiling", "Attribute_3"]).target
    np.testing.assert_array_equal(target, BITS[:, [39, 3]])
    for bad in ("Smile", [], ["Smiling", "Smiling"]):
        with pytest.raises(ValueError, match="expected attributes from Attribute_0"):
            fetch(root, attributes=bad)


def test_as_frame(root: Path) -> None:
    pytest.importorskip("pandas")
    faces = fetch(root, size=4, attributes=["Smiling"], as_frame=True)
    assert faces.frame.shape == (N, 4 * 4 * 3 + 1)
    assert faces.frame.columns[4] == "pixel_0_1_green"
    np.testing.assert_array_equal(faces.data.to_numpy(), expected(root, size=4).reshape(N, -1))


def test_the_published_arrangement_of_folders(root: Path) -> None:
    home = root / "home" / "CelebA"
    for part, name in (
        ("Img", "img_align_celeba"),
        ("Anno", "list_attr_celeba.txt"),
        ("Eval", "list_eval_partition.txt"),
    ):
        (home / part).mkdir(parents=True)
        (root / name).rename(home / part / name)
    assert len(fetch(home.parent).data) == N


def test_the_cache_is_built_once_and_needs_no_images(root: Path) -> None:
    first = fetch(root).images
    (cache,) = root.glob("celeba_148_64_*.npy")
    written = cache.stat().st_mtime_ns
    for path in (root / "img_align_celeba").iterdir():
        path.unlink()
    (root / "img_align_celeba").rmdir()
    np.testing.assert_array_equal(fetch(root, verify_checksum=True).images, first)
    assert cache.stat().st_mtime_ns == written
    assert sorted(p.suffix for p in root.glob("celeba_*")) == [".npy", ".sha256"]


def test_another_crop_size_or_list_is_another_cache(root: Path) -> None:
    fetch(root)
    fetch(root, crop=140)
    fetch(root, size=8)
    (root / "img_align_celeba" / NAMES[-1]).unlink()
    write_lists(root, NAMES[:-1], BITS[:-1], PARTITION[:-1])
    assert len(fetch(root).data) == N - 1
    assert len(list(root.glob("celeba_*.npy"))) == 4


def test_cache_dir(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "new" / "cache"
    fetch(root, cache_dir=elsewhere)
    assert len(list(elsewhere.glob("*.npy"))) == 1
    assert not list(root.glob("celeba_*"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write the cache .*name a folder for it with"):
        fetch(root, cache_dir=tmp_path / "file")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot reserve space")
def test_a_full_disk_is_an_error_before_anything_is_decoded(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        assert length > N * 64 * 64 * 3
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(_celeba_cache, "_decode_chunk", None)
    with pytest.raises(OSError, match="cannot write the cache .*No space left on device"):
        fetch(root)


def test_progress_bar(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(root, verbose=True)
    assert f"{N}/{N}" in capsys.readouterr().err
    fetch(root, crop=140, verbose=False)
    assert capsys.readouterr().err == ""


def test_absent_shows_the_licence_and_the_address(tmp_path: Path) -> None:
    for download in (True, False):
        with pytest.raises(FileNotFoundError, match="non-commercial research only") as caught:
            fetch(tmp_path, download_if_missing=download)
        assert "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html" in str(caught.value)
        assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "list_eval_partition.txt"])
def test_a_missing_list_is_named(root: Path, name: str) -> None:
    (root / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"there is no file .*{name}"):
        fetch(root)


def test_a_missing_image_folder_is_named(root: Path) -> None:
    (root / "img_align_celeba").rename(root / "other")
    with pytest.raises(FileNotFoundError, match="there is no folder .*img_align_celeba"):
        fetch(root)


def test_a_missing_image_is_named(root: Path) -> None:
    (root / "img_align_celeba" / NAMES[6]).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{NAMES[6]} is missing \(1 of the 12"):
        fetch(root)


def test_an_image_that_is_not_listed_is_named(root: Path) -> None:
    jpeg(99).save(root / "img_align_celeba" / "000099.jpg")
    with pytest.raises(
        ValueError, match="13 images, but the list has 12: 000099.jpg is not listed"
    ):
        fetch(root)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-400]), "damaged, cannot be decoded"),
        (lambda p: p.write_bytes(b""), "damaged, cannot be decoded"),
        (lambda p: p.write_bytes(b"no image at all"), "damaged, cannot be decoded"),
        (lambda p: jpeg(0).save(p, format="PNG"), "damaged, cannot be decoded"),
        (lambda p: jpeg(0, (218, 178)).save(p), "expected an RGB image of 178 x 218, got RGB"),
        (lambda p: jpeg(0, (178, 217)).save(p), "got RGB of 178 x 217"),
        (lambda p: jpeg(0, mode="L").save(p), "got L of 178 x 218"),
    ],
)
def test_a_bad_image_is_named_and_repaired(root: Path, n_jobs: int, damage, message: str) -> None:
    path = root / "img_align_celeba" / NAMES[8]
    good = path.read_bytes()
    damage(path)
    for _ in range(2):
        with pytest.raises(ValueError, match=message) as caught:
            fetch(root, n_jobs=n_jobs)
        assert NAMES[8] in str(caught.value)
    assert not list(root.glob("*.npy"))
    path.write_bytes(good)
    np.testing.assert_array_equal(fetch(root, n_jobs=n_jobs).images, expected(root))


def test_a_bad_list_is_refused_before_anything_is_decoded(root: Path) -> None:
    path = root / "list_eval_partition.txt"
    path.write_text(path.read_text().replace(NAMES[2], NAMES[1]))
    with pytest.raises(ValueError, match=r"list_eval_partition\.txt lists 000002\.jpg where"):
        fetch(root)
    assert not list(root.glob("celeba_*"))


def test_a_damaged_cache_is_found(root: Path) -> None:
    fetch(root)
    (cache,) = root.glob("*.npy")
    content = bytearray(cache.read_bytes())
    content[-3 * 64 * 64 * 3] ^= 1  # in the tenth image, of the second chunk of five
    cache.write_bytes(content)
    with pytest.raises(ValueError, match="between the images 000006.jpg and 000010.jpg"):
        fetch(root, verify_checksum=True)
    cache.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"\.npy is damaged"):
        fetch(root)
    cache.write_bytes(content[:50])
    with pytest.raises(ValueError, match=r"\.npy is damaged"):
        fetch(root)
    np.save(cache, np.zeros((N, 2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="is damaged: expected uint8 of shape"):
        fetch(root)
    cache.unlink()
    np.testing.assert_array_equal(fetch(root).images, expected(root))


def start(program: str) -> subprocess.Popen[str]:
    """Run a program in another process, which finds this package where this process does."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", program]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


PROGRAM = """
from skccvae.datasets import fetch_celeba
fetch_celeba(data_home={root!r}, n_jobs=2, verbose=False)
"""


def many(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three thousand images, so that there is time to interrupt, in chunks of the usual size."""
    monkeypatch.setattr(_celeba_cache, "CHUNK", 128)
    folder = root / "img_align_celeba"
    names = [f"{i:06d}.jpg" for i in range(1, 3001)]
    contents = [(folder / name).read_bytes() for name in NAMES]
    for i, name in enumerate(names):
        (folder / name).write_bytes(contents[i % N])
    write_lists(root, names, BITS[np.arange(3000) % N], [0] * 3000)


def wait_for_chunks(root: Path, process: subprocess.Popen[str]) -> None:
    """Return when two chunks of the twenty-four are done."""
    while process.poll() is None:
        logs = list(root.glob("*.sha256"))
        if logs and logs[0].read_text().count("\n") >= 2:
            break
        time.sleep(0.001)
    assert process.poll() is None, "it ended before it could be interrupted"


def interrupted(root: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop a build of the cache after some chunks, as Ctrl-C would."""
    whole = _celeba_cache._decode_chunk
    count = itertools.count()

    def some(*task):
        if next(count) == after:
            raise KeyboardInterrupt
        return whole(*task)

    monkeypatch.setattr(_celeba_cache, "_decode_chunk", some)
    with pytest.raises(KeyboardInterrupt):
        fetch(root)
    monkeypatch.setattr(_celeba_cache, "_decode_chunk", whole)


def test_an_interrupted_build_goes_on_where_it_stopped(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(root, 2, monkeypatch)
    assert not list(root.glob("*.npy"))
    asked: list[int] = []
    whole = _celeba_cache._decode_chunk

    def watched(number, *task):
        asked.append(number)
        return whole(number, *task)

    monkeypatch.setattr(_celeba_cache, "_decode_chunk", watched)
    np.testing.assert_array_equal(fetch(root, verify_checksum=True).images, expected(root))
    assert asked == [2]


def test_what_was_lost_from_an_interrupted_build_is_decoded_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(root, 2, monkeypatch)
    (part,) = root.glob("*.part")
    content = bytearray(part.read_bytes())
    content[200:900] = bytes(700)  # as a crashed machine leaves pages that it had not written
    part.write_bytes(content)
    (log,) = root.glob("*.sha256")
    log.write_text(log.read_text() + "nonsense\n99 abc\n2 beef")  # and a torn line
    np.testing.assert_array_equal(fetch(root, verify_checksum=True).images, expected(root))
    assert sorted(line.split()[0] for line in log.read_text().splitlines()) == ["0", "1", "2"]
    assert not list(root.glob("*.part"))


@pytest.mark.parametrize("keep", [0, 5, 128, 200])
def test_a_file_that_was_cut_off_is_made_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    interrupted(root, 2, monkeypatch)
    (part,) = root.glob("*.part")
    part.write_bytes(part.read_bytes()[:keep])
    np.testing.assert_array_equal(fetch(root, verify_checksum=True).images, expected(root))


def test_ctrl_c_ends_the_threads_and_keeps_the_work(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(root, monkeypatch)
    process = start(PROGRAM.format(root=str(root)))
    wait_for_chunks(root, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    (log,) = root.glob("*.sha256")
    assert 2 <= log.read_text().count("\n") < 24
    images = fetch(root, verify_checksum=True).images
    np.testing.assert_array_equal(images, expected(root)[np.arange(3000) % N])


def test_a_killed_build_is_resumed_to_the_same_bytes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(root, monkeypatch)
    process = start(PROGRAM.format(root=str(root)))
    try:
        wait_for_chunks(root, process)
    finally:
        process.kill()
        process.communicate()
    assert not list(root.glob("*.npy"))
    (log,) = root.glob("*.sha256")
    assert 2 <= log.read_text().count("\n") < 24

    images = fetch(root, verify_checksum=True).images
    np.testing.assert_array_equal(images, expected(root)[np.arange(3000) % N])
    (cache,) = root.glob("*.npy")
    other = root / "other"
    fetch(root, cache_dir=other)
    assert (other / cache.name).read_bytes() == cache.read_bytes()
    first, second = (
        sorted(next(place.glob("*.sha256")).read_text().splitlines()) for place in (root, other)
    )
    assert first == second
    assert len(first) == 24


def test_two_builds_at_once_share_the_work(root: Path) -> None:
    program = (
        "import numpy as np\n"
        "from skccvae.datasets import fetch_celeba\n"
        f"images = fetch_celeba(data_home={str(root)!r}, n_jobs=2, verbose=False).images\n"
        "print(int(np.asarray(images, dtype=np.int64).sum()))\n"
    )
    processes = [start(program) for _ in range(2)]
    sums = [process.communicate()[0].strip() for process in processes]
    assert sums == [str(expected(root).astype(np.int64).sum())] * 2
    assert sorted(p.suffix for p in root.glob("celeba_*")) == [".npy", ".sha256"]


def test_without_pillow_the_error_says_what_to_install(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="fetch_celeba needs PIL; .*pip install pillow"):
        fetch(root)


@pytest.mark.parametrize(
    "parameters", [{"crop": 0}, {"crop": 179}, {"size": 0}, {"subset": "valid"}, {"n_jobs": 1.5}]
)
def test_parameters_are_validated(root: Path, parameters: dict) -> None:
    with pytest.raises(ValueError, match=f"'{next(iter(parameters))}' parameter"):
        fetch(root, **parameters)
