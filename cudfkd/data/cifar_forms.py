"""CIFAR-10 and CIFAR-100 in the forms that other tools leave: folders of images by class, and one NumPy archive.

    {train,test}/CLASS/*.png      lossless files, .png or .bmp; class names with `_` or spaces
    NAME.npz                      x_train, x_test: bytes (n, 32, 32, 3); y_train, y_test: labels (n,) or (n, 1)

Classes are known by name, so the order on the disk does not count. Each class must have its number of images. Hashes of
these forms were never published, so no single pixel is checked.
"""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from cudfkd.base.errors import DataError
from cudfkd.data.byte_cache import cached
from cudfkd.data.catalog import DataInfo
from cudfkd.data.class_folders import Listing, folders, listed
from cudfkd.data.decoding import coloured, decoded

LOSSLESS = (".png", ".bmp")
IMAGES = {"train": 50_000, "test": 10_000}
"""images of each part; all classes have the same number"""


def form_in(places: list[Path], info: DataInfo) -> Path | None:
    """The first folder or archive in `places` that holds one of these forms; None if there is none."""
    for place in places:
        if _holds_a_class(place, info):
            return place
        if _is_file(archive := place / f"{info.name}.npz"):
            return archive
    return None


def read_form(path: Path, part: str, info: DataInfo) -> tuple[Tensor, Tensor]:
    """Reads a part, "train" or "test", of what `form_in` found: bytes (n, 3, 32, 32) and labels (n,).

    Raises:
        DataError: a class or a file is missing, unknown or damaged, or a class has another number of images.
    """
    pixels, labels = _archive(path, part, info) if path.suffix == ".npz" else _folders(path / part, info)
    counts, each = torch.bincount(labels, minlength=info.num_classes).tolist(), IMAGES[part] // info.num_classes
    for name, count in zip(info.classes, counts, strict=True):
        if count != each:
            raise DataError(f"{path}: {count} images of {name} in {part} where {each} belong: unpack the set again")
    return pixels, labels


def _holds_a_class(place: Path, info: DataInfo) -> bool:
    class_names = {*info.classes, *(name.replace("_", " ") for name in info.classes)}
    try:
        return any(name in class_names for part in IMAGES if (place / part).is_dir() for name in folders(place / part))
    except (OSError, ValueError, DataError):
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _folders(folder: Path, info: DataInfo) -> tuple[Tensor, Tensor]:
    listing = listed(folder, LOSSLESS)
    label_of = _labels(listing, info)
    pixels = coloured(cached(listing, None, lambda: decoded(listing)))
    if pixels.shape[-1] != info.image_size:
        side, right = pixels.shape[-1], info.image_size
        raise DataError(f"{listing.path(0)} has {side} x {side} pixels where {right} x {right} belong")
    return pixels, label_of[torch.tensor(listing.numbers)]


def _labels(listing: Listing, info: DataInfo) -> Tensor:
    """The label of each class folder. Raises DataError if a class is unknown or missing, or has two folders."""
    names = [name.replace(" ", "_") for name in listing.classes]
    for folder, name in zip(listing.classes, names, strict=True):
        if name not in info.classes or names.count(name) > 1:
            expected = f"a class of {info.name}" if name not in info.classes else "the only folder of its class"
            raise DataError(f"{listing.folder / folder} is not {expected}: rename or remove it")
    missing = [name for name in info.classes if name not in names]
    if missing:
        raise DataError(f"{listing.folder} lacks the class folder {missing[0]} of {info.name}: unpack the set again")
    return torch.tensor([info.classes.index(name) for name in names])


def _archive(path: Path, part: str, info: DataInfo) -> tuple[Tensor, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            pixels, labels = archive[f"x_{part}"], archive[f"y_{part}"]
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        why = " ".join(str(error).split())
        raise DataError(f"{path} has no whole x_{part} and y_{part} ({why}): save the four arrays again") from error
    size = info.image_size
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (size, size, info.channels):
        shape = f"(n, {size}, {size}, {info.channels})"
        raise DataError(
            f"{path}: x_{part} is {pixels.dtype} of shape {pixels.shape}: it must be uint8 of shape {shape}"
        )
    if labels.dtype.kind not in "iu" or labels.size != len(pixels):
        raise DataError(
            f"{path}: y_{part} is {labels.dtype} of shape {labels.shape}: it must be a label for each image"
        )
    labels = labels.reshape(-1).astype(np.int64)
    if not 0 <= labels.min(initial=0) <= labels.max(initial=0) < info.num_classes:
        raise DataError(f"{path}: y_{part} has labels beyond 0 to {info.num_classes - 1}: save the four arrays again")
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))), torch.from_numpy(labels)
