"""CIFAR in its real format, small: pickles of a few images. The test replaces the published MD5s by their MD5s."""

import hashlib
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets

from cudfkd import data
from cudfkd.base.errors import DataError

EACH = 60  # images a file
CASES = {
    "cifar10": (torchvision.datasets.CIFAR10, "labels", 10),
    "cifar100": (torchvision.datasets.CIFAR100, "fine_labels", 100),
}


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def images_of(number: int) -> np.ndarray:
    """Rows of a file as published: 1024 red, 1024 green, 1024 blue bytes; the first byte is the image's number."""
    rows = np.random.default_rng(number).integers(0, 256, (EACH, 3 * 32 * 32)).astype(np.uint8)
    rows[:, 0] = np.arange(EACH)
    return rows


class Small:
    """A small CIFAR in `root`."""

    def __init__(self, name: str, root: Path, monkeypatch) -> None:
        self.name, self.root, self.patch = name, root, monkeypatch
        self.kind, self.labels, self.classes = CASES[name]
        self.folder = root / self.kind.base_folder
        self.folder.mkdir(parents=True)
        self.train = [file for file, _ in self.kind.train_list]
        self.test = [file for file, _ in self.kind.test_list]
        for number, file in enumerate(self.train + self.test):
            labels = [(number + i) % self.classes for i in range(EACH)]
            self.dump(file, {"data": images_of(number), self.labels: labels})
        self.dump(self.kind.meta["filename"], {self.kind.meta["key"]: list(data.info(name).classes)})
        self.trust()

    def dump(self, file: str, content: object) -> None:
        (self.folder / file).write_bytes(pickle.dumps(content, protocol=2))

    def trust(self) -> None:
        for names, attribute in ((self.train, "train_list"), (self.test, "test_list")):
            self.patch.setattr(self.kind, attribute, [[file, md5(self.folder / file)] for file in names])
        meta = self.kind.meta
        self.patch.setattr(self.kind, "meta", {**meta, "md5": md5(self.folder / meta["filename"])})

    def load(self, split: str) -> data.ImageSet:
        return data.load(self.name, split, self.root)

    def refused(self, split: str = "train") -> str:
        with pytest.raises(DataError) as error:
            self.load(split)
        assert "\n" not in str(error.value)
        return str(error.value)


@pytest.fixture(params=list(CASES))
def small(request, tmp_path, monkeypatch):
    monkeypatch.delenv("CUDFKD_DATA", raising=False)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", lambda *_: pytest.fail("went to the network"))
    return Small(request.param, tmp_path / "data", monkeypatch)


def in_order(pixels: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, list[bytes]]:
    """Images and labels in the order of the images' hashes, and these hashes."""
    keys = [hashlib.sha256(image.numpy().tobytes()).digest() for image in pixels]
    chosen = sorted(range(len(keys)), key=lambda i: (keys[i], int(labels[i])))
    return pixels[chosen], labels[chosen], [keys[i] for i in chosen]


def test_test_is_the_test_file_in_the_order_of_hashes(small):
    images, labels = small.load("test").tensors
    number = len(small.train)
    assert images.shape == (EACH, 3, 32, 32)
    assert images.dtype == torch.float32
    stored = torch.from_numpy(images_of(number)).view(EACH, 3, 32, 32)
    expected, of_class, _ = in_order(stored, torch.tensor([(number + i) % small.classes for i in range(EACH)]))
    assert torch.equal((images * 255).round().byte(), expected)
    assert torch.equal(labels, of_class)
    assert labels.dtype == torch.int64


def test_dev_is_the_smallest_hashes_of_each_class_and_train_is_the_rest(small):
    images = torch.cat([torch.from_numpy(images_of(number)) for number in range(len(small.train))]).view(-1, 3, 32, 32)
    labels = torch.tensor([(number + i) % small.classes for number in range(len(small.train)) for i in range(EACH)])
    images, labels, _ = in_order(images, labels)
    sizes = Counter(labels.tolist())
    seen, chosen = Counter(), []
    for label in labels.tolist():
        seen[label] += 1
        quota = max(1, len(labels) // 10 * sizes[label] // len(labels))
        chosen.append(seen[label] <= min(quota, sizes[label] - 1))
    mask, dev, train = torch.tensor(chosen), small.load("dev"), small.load("train")
    assert torch.equal(dev.pixels, images[mask])
    assert torch.equal(dev.labels, labels[mask])
    assert torch.equal(train.pixels, images[~mask])
    assert torch.equal(train.labels, labels[~mask])
    assert train.pixels.is_contiguous()


@pytest.mark.parametrize("inside", ["{name}", "{folder}"])
def test_the_set_may_lie_deeper_or_be_named_itself(small, inside):
    if inside == "{name}":
        root = small.root.parent / "other"
        (root / small.name).mkdir(parents=True)
        small.folder.rename(root / small.name / small.folder.name)
    else:
        root = small.folder
    assert len(data.load(small.name, "test", root)) == EACH


def test_the_environment_names_the_folder(small, monkeypatch):
    monkeypatch.setenv("CUDFKD_DATA", str(small.root))
    assert len(data.load(small.name, "dev")) == len(small.load("dev"))


def test_a_download_goes_to_the_cache_and_is_read_from_there(small, monkeypatch):
    cache = small.root.parent / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))

    def download(asked):
        small.folder.rename(Path(asked.root) / small.folder.name)

    (cache / "cudfkd").mkdir(parents=True)
    held_out = len(small.load("dev"))
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", download)
    assert len(data.load(small.name, "test")) == EACH
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", lambda *_: pytest.fail("went to the network"))
    assert len(data.load(small.name, "dev")) == held_out


# Damage


def every_file() -> list[tuple[str, str]]:
    files = {"cifar10": ["data_batch_1", "data_batch_5", "test_batch", "batches.meta"]}
    files["cifar100"] = ["train", "test", "meta"]
    return [(name, file) for name in CASES for file in files[name]]


@pytest.fixture
def damaged(request, tmp_path, monkeypatch):
    name, file = request.param
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", lambda *_: pytest.fail("went to the network"))
    dataset = Small(name, tmp_path / "data", monkeypatch)
    dataset.load("dev")
    return dataset, dataset.folder / file


@pytest.mark.parametrize("damaged", every_file(), indirect=True, ids=str)
@pytest.mark.parametrize("split", data.SPLITS)
def test_a_missing_file_is_named(damaged, split):
    small, path = damaged
    path.unlink()
    line = small.refused(split)
    assert f"{path} is missing" in line
    assert "--data-root" in line


@pytest.mark.parametrize("damaged", every_file(), indirect=True, ids=str)
@pytest.mark.parametrize(
    "damage",
    [lambda c: b"", lambda c: c[:-1], lambda c: c + b"x", lambda c: c[:50] + bytes([c[50] ^ 1]) + c[51:]],
    ids=["empty", "truncated", "longer", "bit-flipped"],
)
def test_a_damaged_file_is_named(damaged, damage):
    small, path = damaged
    path.write_bytes(damage(path.read_bytes()))
    assert f"{path} is not the published file" in small.refused()


@pytest.mark.parametrize("damaged", every_file(), indirect=True, ids=str)
def test_a_folder_in_place_of_a_file_is_named(damaged):
    small, path = damaged
    path.unlink()
    path.mkdir()
    assert f"{path} cannot be read" in small.refused()


class Bomb:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("damaged", every_file(), indirect=True, ids=str)
@pytest.mark.parametrize("split", data.SPLITS)
def test_a_tampered_pickle_is_refused_before_it_is_loaded(damaged, split):
    small, path = damaged
    trace = small.root / "trace"
    path.write_bytes(pickle.dumps(Bomb(trace)))
    assert f"{path} is not the published file" in small.refused(split)
    assert not trace.exists()
    pickle.loads(path.read_bytes())  # the control: pickle does write the file
    assert trace.exists()
