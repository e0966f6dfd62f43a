"""Tiny-ImageNet-200 as JPEG files: train/WNID/images/*.JPEG with 500 images a class, and val/ with 50 images a class.

Classes are numbered in the order of their WNIDs (WordNet identifiers such as n01443537), as in torchvision's
ImageFolder. The splits are:

    train   the training images without dev
    dev     every 50th training image, sorted by class and then by file name: 10 of each class, 2,000 in all
    test    the validation set, because the labels of the set's own test images were never published

The folder val/ may be as published (val/images and val_annotations.txt), or re-arranged into folders named by WNIDs.
Only the files of a split are read.

No hashes of these files were published. So two things are checked: each class has its number of images, and each image
is a complete JPEG of 64 x 64 pixels. A cut file is always noticed. A single changed bit is seldom noticed: of all
13,240 bits of such a file, 1,130 were noticed, 3,133 changed no pixel, and 8,977 went unnoticed.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cudfkd.base.errors import DataError
from cudfkd.data.catalog import TINY_IMAGENET
from cudfkd.data.images import held_out
from cudfkd.data.places import cache, import_torchvision
from cudfkd.data.source import Source

DEV_EVERY = 50
EACH = {"train": 500, "val": 50}  # images of each class


class TinyImageNet(Source):
    """Source of Tiny-ImageNet, see the module."""

    info = TINY_IMAGENET
    advice = (
        "unpack tiny-imagenet-200.zip (cs231n.stanford.edu) in a folder and name it with --data-root or CUDFKD_DATA;"
        " it is not downloaded for you"
    )

    def files(self, split: str) -> tuple[str, ...]:
        return (_part(split),)

    def folders(self, asked: Path | None) -> list[Path]:
        places = [(asked or cache()) / name for name in ("tiny-imagenet-200", "tiny-imagenet")]
        return [*places, asked] if asked else places

    def read(self, split: str, data_root: str | Path | None) -> tuple[Tensor, Tensor]:
        folder = self.folder(split, data_root) / _part(split)
        named = _training(folder) if split != "test" else _validation(folder)
        paths, labels = _numbered(named, folder)
        if split != "test":
            keep = held_out(len(labels), DEV_EVERY) == (split == "dev")
            paths, labels = [path for path, kept in zip(paths, keep.tolist(), strict=True) if kept], labels[keep]
        return _decoded(paths), labels


def _part(split: str) -> str:
    return "val" if split == "test" else "train"


def _training(folder: Path) -> list[tuple[str, Path]]:
    """WNID and path of each training image."""
    try:
        listing = import_torchvision().datasets.ImageFolder(str(folder), allow_empty=True)
    except OSError as error:
        raise DataError(f"{folder} holds no folders of classes: {TinyImageNet.advice}") from error
    return [(listing.classes[label], Path(path)) for path, label in listing.samples]


def _validation(folder: Path) -> list[tuple[str, Path]]:
    """WNID and path of each validation image. The WNID is from val_annotations.txt, else from a folder of the path."""
    stated, images = _annotations(folder / "val_annotations.txt"), {path.name: path for path in folder.rglob("*.JPEG")}
    missing = sorted(stated.keys() - images.keys())
    if missing:
        raise DataError(f"{folder}: {missing[0]} is missing, which val_annotations.txt names: unpack the set again")
    return [(stated.get(name) or _wnid(path.relative_to(folder)), path) for name, path in images.items()]


def _annotations(path: Path) -> dict[str, str]:
    """WNIDs by file name; {} if the file `path` does not exist."""
    try:
        lines = path.read_text().splitlines() if path.exists() else []
        return {name: wnid for name, wnid, *_ in (line.split() for line in lines)}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: unpack the set again") from error


def _wnid(path: Path) -> str:
    """The first folder of the path that is named by a WNID."""
    return next((name for name in path.parts if name[:1] == "n" and name[1:].isdigit()), "no WNID")


def _numbered(named: list[tuple[str, Path]], folder: Path) -> tuple[list[Path], Tensor]:
    """Paths sorted by class and file name, and class numbers. Raises DataError if a count is wrong."""
    each, counts = EACH[folder.name], Counter(wnid for wnid, _ in named)
    for wnid, count in sorted(counts.items()):
        if count != each:
            raise DataError(f"{folder}: {count} images of {wnid} where {each} belong: unpack the set again")
    if len(counts) != TINY_IMAGENET.num_classes:
        belong = TINY_IMAGENET.num_classes
        raise DataError(f"{folder}: images of {len(counts)} classes where {belong} belong: unpack the set again")
    numbers = {wnid: number for number, wnid in enumerate(sorted(counts))}
    ordered = sorted(named, key=lambda row: (row[0], row[1].name))
    return [path for _, path in ordered], torch.tensor([numbers[wnid] for wnid, _ in ordered])


def _decoded(paths: list[Path]) -> Tensor:
    """Reads images as bytes (n, 3, 64, 64). Some files are grey; their three channels are equal."""
    size = TINY_IMAGENET.image_size
    images = torch.empty(len(paths), 3, size, size, dtype=torch.uint8)
    for image, path in zip(images, paths, strict=True):
        image.copy_(_pixels(path, size))
    return images


def _pixels(path: Path, size: int) -> Tensor:
    try:
        picture = import_torchvision().datasets.folder.default_loader(str(path))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} is not a whole JPEG file ({error}): unpack the set again") from error
    if picture.size != (size, size):
        raise DataError(f"{path} is {picture.width} x {picture.height} pixels where {size} x {size} belong")
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
