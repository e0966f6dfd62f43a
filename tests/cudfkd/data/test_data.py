import gzip
import sys
from hashlib import sha256
from http.client import IncompleteRead
from pathlib import Path

import numpy as np
import pytest
import torch

from cudfkd import data
from cudfkd.base.errors import ConfigError, DataError
from cudfkd.boundary.images import read
from cudfkd.data import fashion_mnist, idx
from cudfkd.data.fashion_mnist import FashionMnist
from cudfkd.data.images import held_out, unit

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
DEV_IMAGES, DEV_LABELS = "dev-images-idx3-ubyte", "dev-labels-idx1-ubyte"


def hash_of(content: bytes) -> str:
    return sha256(content).hexdigest()


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Makes folders with 90 training images of `shade`, and replaces the published hashes by their hashes."""
    monkeypatch.setattr(fashion_mnist, "SHA256", dict(fashion_mnist.SHA256))
    monkeypatch.delenv("CUDFKD_DATA", raising=False)

    def make(name: str, shade: int = 0, inside: str = "") -> Path:
        folder = tmp_path / name / inside
        folder.mkdir(parents=True)
        images = np.full((90, 28, 28), shade, dtype=np.uint8)
        images[:, 0, 0] = np.arange(90)
        data.write_idx(folder / f"{TRAIN_IMAGES}.gz", images)
        data.write_idx(folder / f"{TRAIN_LABELS}.gz", np.arange(90, dtype=np.uint8) % 10)
        trust(folder)
        return tmp_path / name

    def trust(folder: Path) -> None:
        for stem in (TRAIN_IMAGES, TRAIN_LABELS):
            fashion_mnist.SHA256[stem] = hash_of(gzip.decompress((folder / f"{stem}.gz").read_bytes()))

    make.trust = trust
    return make


def shade(data_root: Path | str | None = None) -> int:
    """The shade of the fake folder that was read. Its hash must be trusted, as the folders' hashes differ."""
    return int(data.full_training_set(data_root)[0][0, 1, 1])


def refused(function, *arguments) -> str:
    with pytest.raises(DataError) as error:
        function(*arguments)
    line = str(error.value)
    assert "\n" not in line
    return line


# What ships


@pytest.mark.parametrize(("split", "each"), [("dev", None), ("test", 1000)])
def test_splits_that_ship(split, each):
    images, labels = data.load("fashion-mnist", split).tensors
    n = {"dev": 2000, "test": 10_000}[split]
    assert images.shape == (n, 1, 28, 28)
    assert images.dtype == torch.float32
    assert (float(images.min()), float(images.max())) == (0, 1)
    assert labels.shape == (n,)
    assert labels.dtype == torch.int64
    counts = labels.bincount().tolist()
    assert len(counts) == 10
    assert min(counts) > 150
    assert each is None or counts == [each] * 10


def test_pixels_are_255ths():
    images = data.load("fashion-mnist", "dev").tensors[0][:50]
    torch.testing.assert_close(images * 255, (images * 255).round(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_split_ships_in_full_whatever_the_data_root(split, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDFKD_DATA", str(tmp_path))
    assert len(data.load("fashion-mnist", split, tmp_path)) == {"dev": 2000, "test": 10_000}[split]


def test_info():
    about = data.info("fashion-mnist")
    assert (about.num_classes, about.channels, about.image_size) == (10, 1, 28)
    assert len(about.mean) == len(about.std) == 1
    assert len(set(about.classes)) == 10


@pytest.mark.parametrize("split", ["dev", "test"])
def test_at_32_pixels_the_images_are_the_same_with_a_black_border(split):
    small, large = data.load("fashion-mnist", split), data.load("fashion-mnist-32", split)
    assert large.pixels.shape == (len(small), 1, 32, 32)
    assert large.pixels.dtype == torch.uint8
    assert torch.equal(large.pixels[:, :, 2:-2, 2:-2], small.pixels)
    assert large.pixels.sum() == small.pixels.sum()
    assert torch.equal(large.labels, small.labels)


@pytest.mark.parametrize("name", ["fashion-mnist", "fashion-mnist-32"])
def test_a_batch_of_dev_has_about_the_mean_and_deviation_that_are_stated(name):
    images, about = data.load(name, "dev").tensors[0], data.info(name)
    assert float(images.mean()) == pytest.approx(about.mean[0], abs=0.01)
    assert float(images.std()) == pytest.approx(about.std[0], abs=0.01)


@pytest.fixture(scope="module")
def whole():
    """The 60,000 training images, if they are on this machine without a download."""

    def skip() -> Path:
        pytest.skip("the training images are not on this machine")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FashionMnist, "download", lambda *_: skip())
        return data.full_training_set()


def test_dev_image_i_is_training_image_30_i(whole):
    images, labels = whole
    assert images.shape == (60_000, 28, 28)
    dev = data.load("fashion-mnist", "dev").tensors
    for i in (0, 1, 2, 777, 1999):
        assert torch.equal((dev[0][i, 0] * 255).round().to(torch.uint8), images[30 * i])
        assert dev[1][i] == labels[30 * i]
    assert torch.equal((dev[0][:, 0] * 255).round().to(torch.uint8), images[::30])
    assert torch.equal(dev[1], labels[::30].long())


@pytest.mark.parametrize(("name", "border"), [("fashion-mnist", 0), ("fashion-mnist-32", 32**2 - 28**2)])
def test_stated_mean_and_deviation_are_those_of_the_training_images(whole, name, border):
    about = data.info(name)
    pixels = whole[0].flatten().bincount(minlength=256).double()
    pixels[0] += border * len(whole[0])
    shades = torch.arange(256).double() / 255
    mean = float((pixels * shades).sum() / pixels.sum())
    deviation = float((pixels * (shades - mean) ** 2).sum() / pixels.sum()) ** 0.5
    assert (mean, deviation) == (pytest.approx(about.mean[0], abs=5e-5), pytest.approx(about.std[0], abs=5e-5))


# The training split


def test_train_leaves_dev_out(fake):
    images, labels = data.load("fashion-mnist", "train", fake("a")).tensors
    assert images.shape == (87, 1, 28, 28)
    numbers = (images[:, 0, 0, 0] * 255).round().int().tolist()
    assert numbers == [i for i in range(90) if i not in (0, 30, 60)]
    assert labels.tolist() == [i % 10 for i in numbers]


def test_train_at_32_pixels_is_made_of_the_same_files(fake):
    folder = fake("a")
    small, large = (data.load(name, "train", folder) for name in ("fashion-mnist", "fashion-mnist-32"))
    assert torch.equal(large.pixels[:, :, 2:-2, 2:-2], small.pixels)
    assert large.pixels.shape == (87, 1, 32, 32)


@pytest.mark.parametrize("inside", ["", "fashion-mnist", "FashionMNIST/raw"])
@pytest.mark.parametrize("kind", [str, Path])
def test_data_root_may_hold_the_files_or_their_usual_folders(fake, inside, kind):
    assert shade(kind(fake("a", 7, inside))) == 7


def test_the_home_folder_may_be_written_as_a_tilde(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fake("a", 5)
    assert shade("~/a") == 5


def test_uncompressed_files_are_read(fake):
    folder = fake("a", 9)
    for stem in (TRAIN_IMAGES, TRAIN_LABELS):
        (folder / stem).write_bytes(gzip.decompress((folder / f"{stem}.gz").read_bytes()))
        (folder / f"{stem}.gz").unlink()
    assert shade(folder) == 9


def test_data_root_wins_over_the_environment_and_that_over_the_cache(fake, tmp_path, monkeypatch):
    asked, named = fake("asked", 1), fake("named", 2)
    cache = fake("cache", 3, "cudfkd/FashionMNIST/raw")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "none")
    fake.trust(cache / "cudfkd/FashionMNIST/raw")
    assert shade() == 3
    monkeypatch.setenv("CUDFKD_DATA", str(named))
    fake.trust(named)
    assert shade() == 2
    fake.trust(asked)
    assert shade(asked) == 1


def test_debians_folder_wins_over_the_cache(fake, monkeypatch):
    system, cache = fake("system", 4, "datasets/fashion-mnist"), fake("cache", 3, "cudfkd/FashionMNIST/raw")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(fashion_mnist, "DEBIAN", system / "datasets/fashion-mnist")
    fake.trust(system / "datasets/fashion-mnist")
    assert shade() == 4


@pytest.mark.parametrize("variable", [True, False])
def test_a_folder_that_was_asked_for_is_never_replaced_by_another(fake, tmp_path, monkeypatch, variable):
    """Neither the default folders nor a download may stand in for it."""
    monkeypatch.setattr(FashionMnist, "download", lambda *_: pytest.fail("went to the network"))
    asked = tmp_path / "empty"
    if variable:
        monkeypatch.setenv("CUDFKD_DATA", str(asked))
    else:
        monkeypatch.setenv("CUDFKD_DATA", str(fake("named")))
    line = refused(data.full_training_set, None if variable else asked)
    assert str(asked) in line
    assert TRAIN_IMAGES in line


def test_a_download_that_fails_says_what_to_do(tmp_path, monkeypatch):
    import torchvision.datasets

    def offline(*_, **__):
        raise RuntimeError("Error downloading\ntrain-images")

    monkeypatch.delenv("CUDFKD_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "none")
    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", offline)
    line = refused(data.full_training_set)
    assert "--data-root" in line
    assert "CUDFKD_DATA" in line
    assert "dataset-fashion-mnist" in line


# idx files


@pytest.mark.parametrize("shape", [(5,), (3, 4), (4, 3, 2)])
def test_idx_round_trip(tmp_path, shape):
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    path = tmp_path / "a.gz"
    data.write_idx(path, array)
    result = idx.read_idx(path, hash_of(gzip.decompress(path.read_bytes())))
    assert result.dtype == torch.uint8
    np.testing.assert_array_equal(result.numpy(), array)


def test_idx_header_is_that_of_the_format(tmp_path):
    """Header: two zeros, 8 for unsigned bytes, the number of dimensions, then each size in four big-endian bytes."""
    data.write_idx(tmp_path / "a.gz", np.array([[1, 2, 3]], dtype=np.uint8))
    content = gzip.decompress((tmp_path / "a.gz").read_bytes())
    assert content == bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3])


def test_idx_files_are_the_same_bytes_every_time(tmp_path, monkeypatch):
    import time

    array = np.arange(100, dtype=np.uint8)
    data.write_idx(tmp_path / "a.gz", array)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    data.write_idx(tmp_path / "b.gz", array)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


# Damage


def flip_bit(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("stem", [TRAIN_IMAGES, TRAIN_LABELS])
@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[:1],
        lambda content: content[:10],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-4],
        lambda content: flip_bit(content, 0),
        lambda content: flip_bit(content, len(content) // 2),
        lambda content: flip_bit(content, len(content) - 8),
        lambda content: content[:10] + b"\xff" + content[11:],
        lambda content: content + b"more",
        lambda _: b"<html>not found</html>",
        lambda content: gzip.compress(flip_bit(gzip.decompress(content), 40)),
        lambda content: gzip.compress(gzip.decompress(content)[:-1]),
        lambda _: gzip.compress(b""),
    ],
    ids=[
        "empty", "a byte", "a header", "a half", "cut off", "no gzip", "bit in the middle", "bit in the checksum",
        "no such block", "more at the end", "a web page", "other content", "content cut off", "no content",
    ],
)  # fmt: skip
def test_damaged_files_are_refused_by_name(fake, stem, damage):
    path = fake("a") / f"{stem}.gz"
    path.write_bytes(damage(path.read_bytes()))
    assert str(path) in refused(data.load, "fashion-mnist", "train", path.parent)


@pytest.mark.parametrize("damage", [lambda _: b"", lambda c: c[:-1], lambda c: flip_bit(c, len(c) // 2)])
def test_damaged_uncompressed_files_are_refused_by_name(fake, damage):
    folder = fake("a")
    path = folder / TRAIN_IMAGES
    path.write_bytes(damage(gzip.decompress((folder / f"{TRAIN_IMAGES}.gz").read_bytes())))
    (folder / f"{TRAIN_IMAGES}.gz").unlink()
    assert str(path) in refused(data.full_training_set, folder)


def test_missing_labels_are_named(fake):
    folder = fake("a")
    (folder / f"{TRAIN_LABELS}.gz").unlink()
    line = refused(data.full_training_set, folder)
    assert TRAIN_LABELS in line
    assert str(folder) in line


def test_a_folder_in_place_of_a_file_is_refused(fake):
    folder = fake("a")
    (folder / f"{TRAIN_LABELS}.gz").unlink()
    (folder / f"{TRAIN_LABELS}.gz").mkdir()
    assert TRAIN_LABELS in refused(data.full_training_set, folder)


@pytest.mark.parametrize("damage", ["missing", "flipped"])
@pytest.mark.parametrize("stem", [DEV_IMAGES, DEV_LABELS])
def test_damaged_assets_are_refused_by_name(tmp_path, monkeypatch, stem, damage):
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    for name in (DEV_IMAGES, DEV_LABELS):
        (folder / f"{name}.gz").write_bytes((data.ASSETS / "fashion-mnist" / f"{name}.gz").read_bytes())
    monkeypatch.setattr(fashion_mnist, "ASSETS", tmp_path)
    assert len(data.load("fashion-mnist", "dev")) == 2000
    path = folder / f"{stem}.gz"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(flip_bit(path.read_bytes(), path.stat().st_size // 2))
    line = refused(data.load, "fashion-mnist", "dev")
    assert path.name in line
    assert str(folder) in line


# Images as bytes


@pytest.fixture
def bytes_of_images():
    pixels = torch.randint(256, (7, 3, 4, 4), dtype=torch.uint8)
    return data.ImageSet(pixels, torch.arange(7, dtype=torch.uint8))


def test_an_image_set_is_a_tensor_data_set_of_float_images_and_labels(bytes_of_images):
    images, labels = bytes_of_images.tensors
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert torch.equal(images, bytes_of_images.pixels.float() / 255)
    assert len(bytes_of_images) == 7
    image, label = bytes_of_images[5]
    assert torch.equal(image, images[5])
    assert label == 5
    assert bytes_of_images.pixels.dtype == torch.uint8


def test_an_image_set_can_be_evaluated_on_batched_and_divided(bytes_of_images):
    images, labels = bytes_of_images.tensors
    for dataset in (bytes_of_images, torch.utils.data.Subset(bytes_of_images, range(7))):
        pixels, own_labels = read(dataset)
        assert torch.equal(pixels if pixels.is_floating_point() else unit(pixels), images)
        assert torch.equal(own_labels, labels)


def test_held_out_blocks():
    assert held_out(7, every=3).nonzero().flatten().tolist() == [0, 3, 6]
    assert held_out(9, every=3, block=2).nonzero().flatten().tolist() == [0, 1, 6, 7]


@pytest.mark.parametrize(
    ("n", "every", "block"), [(60_000, 30, 1), (50_000, 25, 1), (73_257, 37, 100), (100_000, 50, 1)]
)
def test_each_set_has_2000_images_of_dev(n, every, block):
    assert held_out(n, every, block).sum() == 2000


# What is said of the sets


@pytest.mark.parametrize("name", data.names())
def test_what_is_said_of_a_set_fits_together(name):
    about = data.info(name)
    assert about.name == name
    assert len(about.mean) == len(about.std) == about.channels
    assert all(0 < value < 1 for value in about.mean + about.std)
    assert len(set(about.classes)) == (0 if name == "tiny-imagenet" else about.num_classes)
    assert about.source
    assert about.licence


def test_the_papers_sets_are_there():
    assert data.names() == ["cifar10", "cifar100", "fashion-mnist", "fashion-mnist-32", "svhn", "tiny-imagenet"]


@pytest.mark.parametrize("split", data.SPLITS)
@pytest.mark.parametrize("name", [name for name in data.names() if not name.startswith("fashion-mnist")])
def test_a_set_that_is_not_there_says_what_to_put_where(name, split, tmp_path, monkeypatch):
    """The cache or a download never replaces the requested folder."""
    monkeypatch.setattr(type(data.source(name)), "download", lambda *_: pytest.fail("went to the network"))
    line = refused(data.load, name, split, tmp_path)
    assert str(tmp_path) in line
    for word in (name, "--data-root", "CUDFKD_DATA", {"svhn": ".mat"}.get(name, "unpack")):
        assert word in line


@pytest.mark.parametrize("error", [OSError("no route\nto host"), RuntimeError("corrupted"), IncompleteRead(b"")])
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
def test_a_download_that_fails_leaves_one_line(name, error, tmp_path, monkeypatch):
    import torchvision.datasets

    def offline(*_, **__):
        raise error

    monkeypatch.delenv("CUDFKD_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for kind in (torchvision.datasets.CIFAR10, torchvision.datasets.SVHN):
        monkeypatch.setattr(kind, "download", offline)
    line = refused(data.load, name, "dev")
    assert line.startswith(f"{name} is not on this machine and could not be downloaded: ")


def test_tiny_imagenet_is_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDFKD_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    line = refused(data.load, "tiny-imagenet", "test")
    assert f"no val in {tmp_path / 'cudfkd'}" in line
    assert "not downloaded" in line


def test_a_torchvision_that_does_not_import_says_why(tmp_path, monkeypatch):
    """The failure of an ordinary torchvision together with a CPU-only torch."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn/test_32x32.mat").touch()
    for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path)
    line = refused(data.load, "svhn", "test", tmp_path)
    assert "torchvision::nms does not exist" in line
    assert "CPU-only" in line
    assert len(data.load("fashion-mnist", "dev")) == 2000


# Names


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ConfigError, match="^unknown data set 'fashion_mnist': did you mean 'fashion-mnist'?"):
        data.load("fashion_mnist", "dev")
    with pytest.raises(ConfigError, match="^unknown split 'tests': did you mean 'test'. known: dev, test, train$"):
        data.load("fashion-mnist", "tests")
    with pytest.raises(ConfigError, match="^unknown data set 'cifar': did you mean 'cifar10'"):
        data.info("cifar")
