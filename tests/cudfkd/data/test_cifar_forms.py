"""CIFAR as class folders and as an archive: the same images, labels and dev as of the published files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets

from cudfkd import DataError, data
from cudfkd.data import cifar_forms
from tests.cudfkd.data.pictures import picture, write
from tests.cudfkd.data.test_cifar import Small, md5

EACH = {"train": 2, "test": 1}


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CUDFKD_DATA", raising=False)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", lambda *_: pytest.fail("went to the network"))


@pytest.fixture(params=["cifar10", "cifar100"])
def name(request, monkeypatch):
    classes = data.info(request.param).num_classes
    monkeypatch.setattr(cifar_forms, "IMAGES", {part: each * classes for part, each in EACH.items()})
    return request.param


def arrays(name: str) -> dict[str, np.ndarray]:
    """A few images of each class, in a mixed order."""
    classes = data.info(name).num_classes
    found = {}
    for part, each in EACH.items():
        n = each * classes
        start = 0 if part == "train" else 10_000
        found[f"x_{part}"] = np.stack([picture(start + i, 32) for i in range(n)])
        found[f"y_{part}"] = (np.arange(n)[::-1] * 3 % classes).astype(np.uint8)[:, None]
    return found


def folders(name: str, root: Path, join: str = "_") -> Path:
    content, classes = arrays(name), data.info(name).classes
    for part in EACH:
        images, labels = content[f"x_{part}"], content[f"y_{part}"].ravel()
        for i in np.random.default_rng(0).permutation(len(labels)):
            write(root / part / classes[labels[i]].replace("_", join) / f"x{i * 7919 % 1009}.png", images[i])
    return root


def archive(name: str, root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / f"{name}.npz", **arrays(name))
    return root


def test_all_forms_give_the_same_images_labels_and_dev(name, tmp_path, monkeypatch):
    content, published = arrays(name), Small(name, tmp_path / "published", monkeypatch)
    parts = {"train": published.train, "test": published.test}
    for part, batches in parts.items():
        chunks = np.array_split(np.arange(len(content[f"x_{part}"])), len(batches))
        for file, rows in zip(batches, chunks, strict=True):
            pixels = content[f"x_{part}"][rows].transpose(0, 3, 1, 2).reshape(len(rows), -1)
            published.dump(file, {"data": pixels, published.labels: content[f"y_{part}"].ravel()[rows].tolist()})
    published.trust()
    roots = [
        published.root, archive(name, tmp_path / "archive"), archive(name, tmp_path / "deep" / name).parent,
        folders(name, tmp_path / "folders"), folders(name, tmp_path / "inside" / name, join=" ").parent,
    ]  # fmt: skip
    for split in data.SPLITS:
        first, *others = [data.load(name, split, root) for root in roots]
        assert len(first)
        for other in others:
            assert torch.equal(first.pixels, other.pixels)
            assert torch.equal(first.labels, other.labels)


def test_the_cache_and_the_variable_are_places_too(name, tmp_path, monkeypatch):
    folders(name, tmp_path / "cache" / "cudfkd" / name)
    assert len(data.load(name, "test")) == len(arrays(name)["x_test"])
    monkeypatch.setenv("CUDFKD_DATA", str(tmp_path / "none"))
    with pytest.raises(DataError, match="class folders of PNG files"):
        data.load(name, "test")


def rename(root: Path, old: str, new: str) -> None:
    (root / "train" / old).rename(root / "train" / new)


BAD = [
    ("unknown", lambda r: rename(r, "bee", "bea"), "train/bea is not a class of cifar100: rename or remove it"),
    ("missing", lambda r: shutil.rmtree(r / "train" / "bee"), "train lacks the class folder bee of cifar100"),
    ("twice", lambda r: shutil.copytree(r / "train" / "oak_tree", r / "train" / "oak tree"), "the only folder of its"),
    ("fewer", lambda r: next((r / "train" / "bee").iterdir()).unlink(), "1 images of bee in train where 2 belong"),
    ("jpeg", lambda r: write(r / "train" / "bee" / "x.jpg", picture(1, 32)), "x.jpg is not taken for an image (known"),
    ("size", lambda r: [write(p, picture(1, 28)) for p in (r / "train").rglob("*.png")], "28 x 28 pixels where 32"),
    ("no part", lambda r: shutil.rmtree(r / "train"), "there is no folder"),
]


@pytest.mark.parametrize(("spoil", "told"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_line_for_each_fault_of_folders(tmp_path, monkeypatch, spoil, told):
    monkeypatch.setattr(cifar_forms, "IMAGES", {"train": 200, "test": 100})
    root = folders("cifar100", tmp_path / "cifar100")
    spoil(root)
    with pytest.raises(DataError) as error:
        data.load("cifar100", "dev", root)
    assert told in str(error.value)


def spoiled(**changes):
    return lambda path: np.savez(path, **{k: v for k, v in (arrays("cifar10") | changes).items() if v is not None})


ARCHIVES = [
    ("cut", lambda p: p.write_bytes(p.read_bytes()[:900]), "has no whole x_train and y_train ("),
    ("lacks", spoiled(y_train=None), "has no whole x_train and y_train ("),
    ("objects", spoiled(y_train=np.array([None] * 20)), "has no whole x_train and y_train ("),
    ("floats", spoiled(x_train=np.zeros((20, 32, 32, 3))), "x_train is float64 of shape (20, 32, 32, 3): it must be"),
    ("channels", spoiled(x_train=np.zeros((20, 3, 32, 32), np.uint8)), "it must be uint8 of shape (n, 32, 32, 3)"),
    ("one-hot", spoiled(y_train=np.zeros((20, 10), np.uint8)), "it must be a label for each image"),
    ("range", spoiled(y_train=np.arange(20)), "y_train has labels beyond 0 to 9"),
    ("fewer", spoiled(y_train=np.zeros(20, int)), "20 images of airplane in train where 2 belong"),
]


@pytest.mark.parametrize(("spoil", "told"), [row[1:] for row in ARCHIVES], ids=[row[0] for row in ARCHIVES])
def test_a_line_for_each_fault_of_an_archive(tmp_path, monkeypatch, spoil, told):
    monkeypatch.setattr(cifar_forms, "IMAGES", {"train": 20, "test": 10})
    root = archive("cifar10", tmp_path / "x")
    spoil(root / "cifar10.npz")
    with pytest.raises(DataError) as error:
        data.load("cifar10", "dev", root)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_published_files_come_first(tmp_path, monkeypatch):
    published = Small("cifar10", tmp_path / "x", monkeypatch)
    archive("cifar10", published.root)
    assert len(published.load("test")) == 60
    assert md5(published.folder / "test_batch")
