"""SVHN in its real format, small: MATLAB files of a few images. The test replaces the published MD5s by theirs."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets
from scipy.io import savemat

from cudfkd import data
from cudfkd.base.errors import DataError
from cudfkd.data import svhn

SIZES = {"train": 4000, "test": 30}


def content(name: str) -> tuple[np.ndarray, np.ndarray]:
    """X (32, 32, 3, n) of bytes and y (n, 1), labels 1 to 10, as published. The first two bytes are the number."""
    n = SIZES[name]
    images = (np.arange(32 * 32 * 3 * n) % 251).astype(np.uint8).reshape(32, 32, 3, n)
    images[0, 0, 0], images[0, 0, 1] = np.arange(n) % 256, np.arange(n) // 256
    return images, (np.arange(n) % 10 + 1).astype(np.uint8)[:, None]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDFKD_DATA", raising=False)
    monkeypatch.setattr(torchvision.datasets.SVHN, "download", lambda *_: pytest.fail("went to the network"))
    folder = tmp_path / "data"
    folder.mkdir()
    hashes = {}
    for name in SIZES:
        path = folder / f"{name}_32x32.mat"
        images, labels = content(name)
        savemat(path, {"X": images, "y": labels}, do_compression=True)
        hashes[name] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", hashes)
    return folder


def refused(split: str, root: Path) -> str:
    with pytest.raises(DataError) as error:
        data.load("svhn", split, root)
    assert "\n" not in str(error.value)
    return str(error.value)


def numbers(dataset: data.ImageSet) -> list[int]:
    corner = dataset.pixels[:, :, 0, 0].int()
    return (corner[:, 0] + 256 * corner[:, 1]).tolist()


def test_images_and_labels_are_those_of_the_file(root):
    images, labels = data.load("svhn", "test", root).tensors
    expected, stated = content("test")
    assert images.shape == (30, 3, 32, 32)
    assert torch.equal((images * 255).round().byte(), torch.from_numpy(expected.transpose(3, 2, 0, 1).copy()))
    assert labels.tolist() == [int(label) % 10 for label in stated[:, 0]]  # label 10 is the digit 0
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)


def test_dev_is_blocks_of_100_in_a_row_and_train_is_the_rest(root):
    dev, train = numbers(data.load("svhn", "dev", root)), numbers(data.load("svhn", "train", root))
    assert dev == [*range(100), *range(3700, 3800)]
    assert train == [*range(100, 3700), *range(3800, 4000)]


@pytest.mark.parametrize("inside", ["svhn", "SVHN"])
def test_the_files_may_lie_deeper(root, inside):
    other = root.parent / "other"
    other.mkdir()
    root.rename(other / inside)
    assert len(data.load("svhn", "test", other)) == 30


@pytest.mark.parametrize("split", data.SPLITS)
def test_only_the_file_of_the_split_is_needed(root, split):
    needed = "test" if split == "test" else "train"
    other = root / f"{'train' if split == 'test' else 'test'}_32x32.mat"
    other.unlink()
    data.load("svhn", split, root)
    (root / f"{needed}_32x32.mat").unlink()
    other.touch()
    assert f"no {needed}_32x32.mat in {root}" in refused(split, root)


@pytest.mark.parametrize(
    "damage",
    [lambda c: b"", lambda c: c[:-1], lambda c: c[:200] + bytes([c[200] ^ 1]) + c[201:]],
    ids=["empty", "truncated", "bit-flipped"],
)
@pytest.mark.parametrize("split", data.SPLITS)
def test_a_damaged_file_is_named_and_not_opened(root, split, damage, monkeypatch):
    path = root / f"{'test' if split == 'test' else 'train'}_32x32.mat"
    path.write_bytes(damage(path.read_bytes()))
    monkeypatch.setattr("scipy.io.loadmat", lambda *_: pytest.fail("was opened"))
    assert f"{path} is not the published file" in refused(split, root)


def test_without_scipy_it_says_so(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    line = refused("test", root)
    assert "pip install scipy" in line


def test_a_download_goes_to_the_cache_one_file_at_a_time(root, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "cudfkd").mkdir()
    fetched = []

    def download(asked):
        fetched.append(asked.filename)
        (root / asked.filename).rename(Path(asked.root) / asked.filename)

    monkeypatch.setattr(torchvision.datasets.SVHN, "download", download)
    for split in ("test", "dev", "train"):
        data.load("svhn", split)
    assert fetched == ["test_32x32.mat", "train_32x32.mat"]


def test_the_rule_of_dev_is_the_one_stated():
    assert (svhn.DEV_EVERY, svhn.DEV_BLOCK) == (37, 100)
