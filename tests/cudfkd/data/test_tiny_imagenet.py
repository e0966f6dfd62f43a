"""Tiny-ImageNet in its real layout, small: three classes of a few JPEG files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cudfkd import data
from cudfkd.base.errors import DataError
from cudfkd.data import tiny_imagenet

WNIDS = ("n02124075", "n01443537", "n07871810")  # not sorted, as in the set's wnids.txt
SHADES = {wnid: 40 + 60 * number for number, wnid in enumerate(sorted(WNIDS))}  # tells the classes apart in the images
TRAIN_EACH, VAL_EACH = 12, 4


def picture(wnid: str, number: int, *, grey: bool = False, size: int = 64) -> Image.Image:
    """A picture: red encodes the class, green the number. In a grey file all channels encode the class."""
    shade = SHADES[wnid]
    if grey:
        return Image.fromarray(np.full((size, size), shade, dtype=np.uint8))
    pixels = np.broadcast_to(np.array([shade, 10 * number, 0], dtype=np.uint8), (size, size, 3))
    return Image.fromarray(np.ascontiguousarray(pixels))


def save(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, format="JPEG", quality=95)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The published layout. Every class has one grey file, and the validation images are mixed."""
    monkeypatch.delenv("CUDFKD_DATA", raising=False)
    monkeypatch.setattr(tiny_imagenet, "EACH", {"train": TRAIN_EACH, "val": VAL_EACH})
    monkeypatch.setattr(tiny_imagenet, "DEV_EVERY", 4)
    monkeypatch.setattr(tiny_imagenet, "TINY_IMAGENET", replace(tiny_imagenet.TINY_IMAGENET, num_classes=3))
    folder = tmp_path / "tiny-imagenet-200"
    for wnid in WNIDS:
        for number in range(TRAIN_EACH):
            image = picture(wnid, number, grey=number == 1)
            save(folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", image)
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t62\t63\n")
    lines = []
    for number in range(3 * VAL_EACH):
        wnid = WNIDS[number % 3]
        save(folder / "val" / "images" / f"val_{number}.JPEG", picture(wnid, number // 3))
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    (folder / "wnids.txt").write_text("\n".join(WNIDS))
    return folder


def load(split: str, root: Path) -> data.ImageSet:
    return data.load("tiny-imagenet", split, root)


def refused(split: str, root: Path) -> str:
    with pytest.raises(DataError) as error:
        load(split, root)
    assert "\n" not in str(error.value)
    return str(error.value)


def labels_fit_images(images: data.ImageSet) -> bool:
    shades = torch.tensor([SHADES[wnid] for wnid in sorted(WNIDS)])
    return bool(((images.pixels[:, 0].float().mean((1, 2)) - shades[images.labels]).abs() < 5).all())


def test_splits(root):
    train, dev, test = (load(split, root) for split in data.SPLITS)
    assert (len(train), len(dev), len(test)) == (27, 9, 12)
    for split_set, each in ((train, 9), (dev, 3), (test, VAL_EACH)):
        images, labels = split_set.tensors
        assert images.shape == (3 * each, 3, 64, 64)
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
        assert labels.bincount().tolist() == [each] * 3
        assert labels_fit_images(split_set)


def test_dev_is_every_4th_by_class_and_file_name(root):
    """In order of name 1, 10, 11 come before 2, so dev has files 0, 2 and 6 of each class."""
    order = sorted(range(TRAIN_EACH), key=lambda number: f"{number}.JPEG")
    greens = (load("dev", root).pixels[:, 1].float().mean((1, 2)) / 10).round().int().tolist()
    assert [order[i] for i in (0, 4, 8)] == [0, 2, 6]
    assert greens == [0, 2, 6] * 3


def test_only_the_files_of_the_split_are_opened(root):
    (root / "train" / WNIDS[0] / "images" / f"{WNIDS[0]}_1.JPEG").write_bytes(b"no image")
    load("dev", root)
    assert f"{WNIDS[0]}_1.JPEG" in refused("train", root)


def test_a_grey_file_has_three_equal_channels(root):
    grey = [pixels for pixels in load("train", root).pixels if torch.equal(pixels[0], pixels[2])]
    assert len(grey) == 3
    assert all(torch.equal(pixels[0], pixels[1]) for pixels in grey)


def test_the_set_is_found_in_a_folder_of_sets_and_through_the_environment(root, monkeypatch):
    assert len(load("test", root.parent)) == 12
    monkeypatch.setenv("CUDFKD_DATA", str(root.parent))
    assert len(data.load("tiny-imagenet", "test")) == 12


def test_test_needs_no_training_images(root):
    (root / "train").rename(root.parent / "elsewhere")
    assert labels_fit_images(load("test", root))


# val/ re-arranged


def rearrange(root: Path, inside: str, *, keep_annotations: bool) -> None:
    val = root / "val"
    lines = (val / "val_annotations.txt").read_text().splitlines()
    for name, wnid, *_ in (line.split("\t") for line in lines):
        place = val / inside.format(wnid=wnid) / name
        place.parent.mkdir(parents=True, exist_ok=True)
        (val / "images" / name).rename(place)
    if not keep_annotations:
        (val / "val_annotations.txt").unlink()


@pytest.mark.parametrize("keep_annotations", [True, False])
@pytest.mark.parametrize("inside", ["{wnid}", "{wnid}/images", "images/{wnid}"])
def test_val_in_folders_of_classes_is_the_same_set(root, inside, keep_annotations):
    published = load("test", root)
    rearrange(root, inside, keep_annotations=keep_annotations)
    rearranged = load("test", root)
    assert torch.equal(rearranged.pixels, published.pixels)
    assert torch.equal(rearranged.labels, published.labels)


def test_val_copied_into_folders_is_counted_once(root):
    for path in list((root / "val" / "images").iterdir()):
        (root / "val" / "copies").mkdir(exist_ok=True)
        (root / "val" / "copies" / path.name).write_bytes(path.read_bytes())
    assert len(load("test", root)) == 12


# Damage


@pytest.mark.parametrize("split", data.SPLITS)
@pytest.mark.parametrize(
    "damage",
    [lambda c: b"", lambda c: c[: len(c) // 2], lambda c: bytes([c[0] ^ 1]) + c[1:], lambda c: b"<html></html>"],
    ids=["empty", "truncated", "bit-flipped at the start", "a web page"],
)
def test_a_damaged_image_is_named(root, split, damage):
    wnid = WNIDS[0]
    name = {"train": f"train/{wnid}/images/{wnid}_5.JPEG", "dev": f"train/{wnid}/images/{wnid}_0.JPEG"}
    path = root / name.get(split, "val/images/val_7.JPEG")
    path.write_bytes(damage(path.read_bytes()))
    assert f"{path} is not a whole JPEG file" in refused(split, root)


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_missing_training_image_is_noticed_whatever_the_split(root, split):
    (root / "train" / WNIDS[0] / "images" / f"{WNIDS[0]}_5.JPEG").unlink()
    line = refused(split, root)
    assert f"11 images of {WNIDS[0]} where 12 belong" in line
    assert str(root / "train") in line


@pytest.mark.parametrize("split", data.SPLITS)
def test_a_missing_class_is_noticed(root, split):
    if split == "test":
        rearrange(root, "{wnid}", keep_annotations=False)
    for path in list((root / ("val" if split == "test" else "train") / WNIDS[1]).rglob("*.JPEG")):
        path.unlink()
    assert "images of 2 classes where 3 belong" in refused(split, root)


def test_a_missing_validation_image_is_named(root):
    (root / "val" / "images" / "val_7.JPEG").unlink()
    assert "val_7.JPEG is missing" in refused("test", root)


def test_validation_images_without_a_class_are_noticed(root):
    (root / "val" / "val_annotations.txt").unlink()
    assert "no WNID" in refused("test", root)


@pytest.mark.parametrize("content", [b"val_0.JPEG\n", b"\xff\xfe\x00"])
def test_annotations_that_are_none_are_named(root, content):
    path = root / "val" / "val_annotations.txt"
    path.write_bytes(content)
    assert f"{path} cannot be read" in refused("test", root)


def test_an_image_of_another_size_is_named(root):
    path = root / "val" / "images" / "val_3.JPEG"
    save(path, picture(WNIDS[0], 1, size=32))
    assert f"{path} is 32 x 32 pixels where 64 x 64 belong" in refused("test", root)


def test_an_empty_train_folder_is_named(root, tmp_path):
    (tmp_path / "empty" / "train").mkdir(parents=True)
    assert f"{tmp_path / 'empty' / 'train'} holds no folders of classes" in refused("train", tmp_path / "empty")


def test_the_real_set_has_200_classes_of_500_and_50():
    assert tiny_imagenet.EACH == {"train": 500, "val": 50}
    assert data.info("tiny-imagenet").num_classes == 200
    assert tiny_imagenet.DEV_EVERY == 50
